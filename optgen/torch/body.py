"""Parameters as kernels see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from optgen.runtime.core.program import Array
from optgen.torch.sharded import first_here, here
from optgen.torch.tensors import FORMAT, as_numbers, is_dense, overlaps_itself


@dataclass(frozen=True, eq=False)
class Trained:
    """The parameters of an optimizer, and what it keeps of them."""

    params: list[Any]  # those of all groups, one group after another
    row: list[int]  # of each, which row of hyperparameters holds
    state: Any  # ``optimizer.state``
    parts: list[Any] = field(init=False)  # what of each parameter is in this process
    # int64: with which of its numbers each part begins, 0 where that is not known
    firsts: Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", list(map(here, self.params)))
        object.__setattr__(self, "firsts", np.array([first_here(param) or 0 for param in self.params], np.int64))


@dataclass(frozen=True, eq=False)
class Body:
    """A parameter as kernels see it."""

    like: Any  # the parameter, or where it lies in pieces or in an order that the rule cannot have, a copy in one piece
    is_copy: bool  # whether it is one
    numbers: Any = field(init=False)  # the same without autograd, complex numbers as pairs

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", as_numbers(self.like))

    @property
    def format(self) -> str:
        """As what its numbers are stored."""
        return FORMAT[self.numbers.dtype]

    def fits(self, tensor: Any) -> bool:
        """Whether the elements of a tensor lie in the same order."""
        if tensor.shape != self.like.shape or tensor.device != self.like.device:
            return False
        return bool(tensor.stride() == self.like.stride() or (tensor.is_contiguous() and self.like.is_contiguous()))


def refuse_without_memory(tensor: Any, what: str) -> None:
    """Refuse a tensor, called so, whose memory is not there: it never was, or its storage was made smaller since."""
    if not tensor.numel():
        return
    if not tensor.data_ptr():
        raise RuntimeError(f"{what}: expected a tensor with memory, this one, on {tensor.device}, has none")
    last = tensor.storage_offset() + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    needed, there = (last + 1) * tensor.element_size(), tensor.untyped_storage().nbytes()
    if there < needed:
        raise RuntimeError(f"{what}: its elements take {needed} bytes, but its storage was resized to {there}")


def body_of(param: Any, k: int, title: str, *, has_lines: bool) -> Body:
    """The k-th parameter as the kernels of an optimizer see it, which may have rows and columns."""
    what = f"params[{k}]"
    if type(param).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        kind = type(param).__name__
        raise TypeError(f"{what}: expected a plain tensor, got a {kind}, whose memory is not its own; step its parts")
    if param.layout != torch.strided:
        raise RuntimeError(f"{what}: expected a dense tensor, got one of layout {param.layout}")
    if param.is_conj() or param.is_neg():
        how = ".resolve_conj()" if param.is_conj() else ".resolve_neg()"
        raise ValueError(f"{what}: its memory does not hold its values but what they are made from; pass {what}{how}")
    plain = as_numbers(param)
    if plain.dtype not in FORMAT:
        expected = ", ".join(map(str, FORMAT))
        raise TypeError(f"{what}: expected one of {expected} or complex numbers of them, got {param.dtype}")
    if overlaps_itself(param):
        raise ValueError(f"{what}: expected elements of its own, several share memory; pass {what}.clone()")
    refuse_without_memory(param, what)
    if has_lines and param.is_complex():
        why = "for they have no rows and columns"
        raise RuntimeError(f"{what}: {title} does not support complex parameters, {why}")
    if param.is_contiguous() or (not has_lines and is_dense(param)):
        return Body(param, is_copy=False)
    return Body(torch.empty(param.shape, dtype=param.dtype, device=param.device), is_copy=True)
