"""Checks of arrays before a kernel writes through their addresses.

A kernel sees addresses and counts only, so everything that could make it write where it should not is refused here,
before any element has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import addressof, c_char
from functools import partial, reduce
from operator import or_
from typing import Any

import numpy as np

from optgen.runtime.core.foreign import converted, expression, instead
from optgen.runtime.core.program import Array, Call


def check(array: Any, name: str, shape: tuple[int, ...] | None, dtype: Any, *, written: bool) -> None:
    """Refuse an array that a kernel must not touch, under the name that the user has for it.

    A shape of None stands for any, a dtype of None for any that kernels take, a tuple for those of these names.
    """
    if array is None:
        raise ValueError(f"{name} is missing (None): expected a numpy.ndarray, zeros where there is nothing to say")
    names = ("float32", "float64") if dtype is None else dtype if isinstance(dtype, tuple) else (np.dtype(dtype).name,)
    if not issubclass(type(array), np.ndarray):
        kind = "numpy." * isinstance(array, np.generic) + type(array).__name__
        raise TypeError(f"{name}: expected a numpy.ndarray, got {kind}; {instead(array, name, names)}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected a plain numpy.ndarray, got a masked array; pass {expression(name)}.filled(0)"
        )
    array = plain(array)
    if array.dtype.name not in names or not array.dtype.isnative:
        expected = " or ".join(names)
        order = "" if array.dtype.isnative else ", whose bytes are not in this machine's order"
        how = converted(array.dtype, names[0])
        raise TypeError(f"{name}: expected dtype {expected}, got {array.dtype}{order}; {how}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {array.strides}; copy it first")
    if not array.flags.aligned:
        raise ValueError(
            f"{name}: expected an aligned array, its memory starts in the middle of an element; copy it first"
        )
    if written and not array.flags.writeable:
        raise ValueError(f"{name}: expected a writeable array, it is read-only; copy it first")


def plain(array: Any) -> Array:
    """A new array of NumPy's own class in the memory of another.

    A subclass may say anything of its shape and memory, so only this is believed. It can be shown to a user, too: what
    is done to it in place, as to its flags or its shape, does not reach the other, and it cannot be resized.
    """
    return np.ndarray.view(array, np.ndarray)


def addresses(arrays: Sequence[Array]) -> list[int]:
    """Where each array's first element lies."""
    return [plain(array).__array_interface__["data"][0] for array in arrays]


def addresses_if_plain(
    arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]], dtypes: Sequence[np.dtype[Any]]
) -> list[int] | None:
    """Where the first elements lie of arrays that `check` would pass, found several times faster than it could.

    None if any array needs a closer look: it may be wrong, or merely read-only, empty or a subclass.
    """
    if not {np.ndarray}.issuperset(map(type, arrays)):
        return None
    if [array.shape for array in arrays] != shapes or [array.dtype for array in arrays] != dtypes:
        return None
    try:
        # Raises unless the memory is writeable and C-contiguous, in a quarter of the time of __array_interface__.
        starts = [addressof(c_char.from_buffer(array)) for array in arrays]
    except (TypeError, ValueError, BufferError):
        # Those of bfloat16 say nothing of their memory, but as other numbers they do.
        words = [array.view(np.uint16) if array.dtype.kind == "V" else array for array in arrays]
        kinds = [array.dtype for array in words]
        return addresses_if_plain(words, shapes, kinds) if kinds != dtypes else None
    # Eight bytes are the alignment of float64, and what NumPy's own allocations have for any dtype.
    if reduce(or_, starts, 0) & 7 and not all(array.flags.aligned for array in arrays):
        return None
    return starts


def are_still_at(
    starts: Sequence[int],
    arrays: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[np.dtype[Any]],
) -> bool:
    """Whether arrays are where they were, and as they were: NumPy's can be made read-only, or be resized in place."""
    return addresses_if_plain(arrays, shapes, dtypes) == starts


def dtype_of(array: Array) -> np.dtype[Any]:
    """The dtype of an array."""
    return array.dtype


def full(shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Array:
    """A new array, filled with a value."""
    return np.full(shape, value, dtype)


def read(array: Array) -> Array:
    """A copy of an array."""
    return plain(array).copy()


def writing(array: Array, values: Array) -> Call:
    """The call that fills an array with the values of another, without a step of Python in it."""
    return partial(np.ndarray.__setitem__, array, ..., values)


def copy(target: Array, source: Array) -> None:
    """Fill an array with the values of another."""
    target[...] = source


class Extents:
    """The memory that kernels write, as intervals of addresses with names, none of which may overlap."""

    def __init__(self, starts: Array, sizes: Array, names: Sequence[str]) -> None:
        order = np.argsort(starts, kind="stable")
        order = order[sizes[order] > 0]
        self._starts = starts[order]
        # Where the interval before the k-th ends; there is none before the first.
        self._ends_before = np.concatenate(([0], starts[order] + sizes[order]))
        self._names_before = ["", *(names[k] for k in order)]
        shared = np.flatnonzero(np.maximum.accumulate(self._ends_before)[:-1] > self._starts)
        if shared.size:
            one, other = sorted(self._names_before[shared[0] : shared[0] + 2])
            raise ValueError(f"{other} overlaps {one} in memory: expected arrays that share none")

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Where the gaps between the intervals begin, and where they end; there is one before all and one after."""
        return self._ends_before, np.append(self._starts, np.iinfo(np.int64).max)

    def overlap(self, starts: Array, sizes: Array) -> tuple[int, str] | None:
        """The first array that is only read but shares memory with one that is written, and the name of that one."""
        after = self._starts.searchsorted(starts + sizes)
        shared = self._ends_before[after] > starts
        if not np.count_nonzero(shared):
            return None
        for k in np.flatnonzero(shared & (sizes > 0)):
            return int(k), self._names_before[after[k]]
        return None
