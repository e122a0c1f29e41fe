"""Tensors as kernels take them: where they lie, in what order, as numbers of what kind."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from optgen.runtime.core.memory import Contents
from optgen.runtime.core.program import Array, Call
from optgen.runtime.core.storage import FORMATS

FORMAT: dict[Any, str] = {getattr(torch, name): name for name in FORMATS}
"""The formats of elements by the dtypes of tensors."""
DTYPE = {name: dtype for dtype, name in FORMAT.items()}
"""The dtypes of tensors by the formats of elements."""
_COMPLEX = {"float64": torch.complex128, "float32": torch.complex64, "float16": torch.complex32}
"""Those of complex numbers by the formats of both parts."""
HALVES = {torch.bfloat16, torch.float16, torch.complex32}
"""The dtypes whose numbers have 16 bits."""


def as_numbers(tensor: Any) -> Any:
    """A tensor in the same memory, cut off from autograd; one of complex numbers as pairs."""
    plain = tensor.detach()
    return torch.view_as_real(plain) if plain.is_complex() else plain


def is_dense(tensor: Any) -> bool:
    """Whether the elements of a tensor fill its memory without gaps, in whatever order."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def overlaps_itself(tensor: Any) -> bool:
    """Whether two elements of a tensor could lie in one place."""
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride <= reach and tensor.numel():
                return True
            reach += stride * (size - 1)
    return False


def empty_as(tensor: Any, dtype: Any, **where: Any) -> Any:
    """A new tensor of the shape and the order of a dense one, on the same device unless PyTorch is told otherwise."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype, **{"device": tensor.device, **where})


def dtype_as(tensor: Any, format_: str) -> Any:
    """The dtype of a tensor beside another, complex if that is, whose numbers have a format."""
    if not tensor.is_complex():
        return DTYPE[format_]
    return _COMPLEX[format_]


class TensorMemory(Contents):
    """What `optgen.runtime.core.beginning` and `evaluation` do with arrays, done with tensors."""

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        """The dtype in which NumPy is to hand over what a tensor will hold."""
        return np.dtype(np.float64 if FORMAT[as_numbers(array).dtype] == "float64" else np.float32)

    def read(self, array: Any) -> Array:
        """A copy that NumPy can hold."""
        there = as_numbers(array).cpu()
        return np.array((there.float() if there.element_size() < 4 else there).numpy())  # noqa: PLR2004 - bytes

    def writing(self, array: Any, values: Array) -> Call:
        """The call that fills a tensor with the values of an array of NumPy."""
        return partial(as_numbers(array).copy_, torch.from_numpy(np.array(values)))

    def copy(self, target: Any, source: Any) -> None:
        """Fill a tensor with the values of another."""
        target.detach().copy_(source.detach())
