"""Checks of arrays before a kernel writes through their addresses.

A kernel sees addresses and counts only, so everything that could make it write where it should not is refused here,
before any element has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optgen.runtime.program import Array, Params

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def check(array: Any, name: str, shape: tuple[int, ...] | None, dtype: Any, *, written: bool) -> None:
    """Refuse an array that a kernel must not touch.

    Parameters
    ----------
    array : object
        What the user passed.
    name : str
        What the user calls it.
    shape : tuple of int or None
        The shape it must have; None for any.
    dtype : numpy.dtype or None
        The dtype it must have; None for float32 or float64.
    written : bool
        Whether a kernel will write to it.

    Raises
    ------
    TypeError
        If it is no array, or of another dtype.
    ValueError
        If its shape or its memory is not as expected.
    """
    if array is None:
        raise ValueError(f"{name} is missing (None): expected an array; pass zeros for a tensor without a gradient")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a numpy.ndarray, got {type(array).__name__}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain numpy.ndarray, got a masked array; pass {name}.filled(0), say")
    if array.dtype not in DTYPES if dtype is None else array.dtype != dtype:
        expected = "float32 or float64" if dtype is None else str(dtype)
        raise TypeError(f"{name}: expected dtype {expected}, got {array.dtype}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {array.strides}; copy it first")
    if not array.flags.aligned:
        raise ValueError(f"{name}: expected an aligned array, its memory starts in the middle of an element")
    if written and not array.flags.writeable:
        raise ValueError(f"{name}: expected a writeable array, it is read-only")


def addresses(arrays: Sequence[Array]) -> Array:
    """Where each array's first element lies: int64, one an array."""
    return np.array([array.__array_interface__["data"][0] for array in arrays], np.int64)


def labels(what: str, params: Params) -> list[str]:
    """What to call each array in a message: ``grads[0]`` or ``grads['w1']``."""
    return [f"{what}[{key!r}]" for key in (params if isinstance(params, Mapping) else range(len(params)))]


class Extents:
    """The memory that kernels write, as intervals of addresses.

    Parameters
    ----------
    starts : array of int64
        Where each array's first element lies.
    sizes : array of int64
        Their lengths in bytes.
    names : sequence of str
        What the user calls them.

    Raises
    ------
    ValueError
        If two of them share memory.
    """

    def __init__(self, starts: Array, sizes: Array, names: Sequence[str]) -> None:
        order = np.argsort(starts, kind="stable")
        order = order[sizes[order] > 0]
        self.starts = starts[order]
        self.ends = self.starts + sizes[order]
        self.names = [names[k] for k in order]
        shared = np.flatnonzero(self.starts[1:] < np.maximum.accumulate(self.ends)[:-1])
        if shared.size:
            one, other = sorted((self.names[shared[0]], self.names[shared[0] + 1]))
            raise ValueError(f"{other} overlaps {one} in memory: expected arrays that share none")

    def refuse_overlap(self, starts: Array, sizes: Array, names: Sequence[str]) -> None:
        """Refuse arrays that are only read but share memory with one that is written.

        Raises
        ------
        ValueError
            If one does, with both names.
        """
        if not self.starts.size:
            return
        last = np.searchsorted(self.starts, starts + sizes) - 1
        shared = np.flatnonzero((last >= 0) & (sizes > 0) & (self.ends[last] > starts))
        if shared.size:
            mine, theirs = names[shared[0]], self.names[last[shared[0]]]
            raise ValueError(f"{mine} overlaps {theirs} in memory: expected arrays that share none")
