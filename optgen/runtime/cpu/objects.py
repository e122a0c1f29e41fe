"""Where many of NumPy's arrays lie, read from the objects themselves by compiled code.

To ask an array from Python for its address takes longer than to update a hundred elements. Here a loop goes through a
list and reads what each array keeps of itself: the fields of ``PyArrayObject``, which NumPy documents and extensions
are compiled against. It believes arrays of NumPy's own class only, whose dtype, shape and flags are what they must be;
of all others it says nothing, and they get a closer look. It holds Python's lock, so that nothing changes meanwhile.

Fields are looked for where they should be once, in arrays that are known, and nothing is read if they are elsewhere.
"""

from __future__ import annotations

import sys
import sysconfig
from ctypes import c_int64
from functools import cache, partial
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from optgen.runtime.core.memory import Kinds
from optgen.runtime.core.program import Array
from optgen.runtime.cpu.compiled import compiled

MANY = 64
"""Arrays, at least: the loop is compiled for those who have so many."""
ITEMS = 24
"""Where a list keeps where its items are."""
_KIND = 8  # where any object keeps its class
_DATA, _NDIM, _SHAPE, _DTYPE, _FLAGS = 16, 24, 32, 56, 64  # of an array
_HALF = 0xFFFFFFFF  # of a word: the number of dimensions and the flags are int
_SOUND = 0x1 | 0x100 | 0x400  # C-contiguous, aligned, writeable


def addresses(arrays: list[Any], kinds: Kinds) -> Array | None:
    """Where the first elements lie of arrays that are as they must be.

    Parameters
    ----------
    arrays : list
        What the user passed, in a list of our own.
    kinds : Kinds
        What each must be.

    Returns
    -------
    array of int64 or None
        None if they are few, if any needs a closer look, or if objects are not laid out as this module knows them.
    """
    if not MANY <= len(arrays) == len(kinds.shapes) or not _is_known():
        return None
    starts = np.empty(len(arrays), np.int64)
    is_found = _read(id(arrays), id(np.ndarray), *kinds.words, starts)
    return starts if is_found else None


@intrinsic  # type: ignore[untyped-decorator]
def word(_context: Any, _address: Any) -> Any:
    """The word at an address, in compiled code."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], context.get_value_type(types.CPointer(types.int64))))

    return types.int64(types.int64), codegen


@partial(compiled, nogil=False)
def _read(arrays: int, kind: int, dtypes: Array, begins: Array, shapes: Array, starts: Array) -> bool:  # noqa: PLR0917
    """Write where each array lies; false if one is not of a kind, a dtype and a shape, or is not sound."""
    items = word(arrays + ITEMS)
    for k in range(len(starts)):
        array = word(items + 8 * k)
        if word(array + _KIND) != kind or word(array + _DTYPE) != dtypes[k]:
            return False
        if word(array + _FLAGS) & _SOUND != _SOUND or word(array + _NDIM) & _HALF != begins[k + 1] - begins[k]:
            return False
        shape = word(array + _SHAPE)
        for j in range(begins[k], begins[k + 1]):
            if word(shape + 8 * (j - begins[k])) != shapes[j]:
                return False
        starts[k] = word(array + _DATA)
    return True


@cache
def _is_known() -> bool:
    """Whether arrays and lists keep what they are where `_read` looks for it."""
    if not is_usual_python():
        return False
    probes: list[Array] = [np.zeros((3, 5), np.float32), np.zeros((7, 2, 4)), np.ones(11)[::2], np.zeros(())]
    items = at(id(probes) + ITEMS)
    return all(at(items + 8 * k) == id(probe) and _is_as_known(probe) for k, probe in enumerate(probes))


def is_usual_python() -> bool:
    """Whether objects and lists keep what they are where CPython's usual builds on machines of 64 bits do."""
    is_usual = sys.implementation.name == "cpython" and sys.byteorder == "little" and sys.maxsize == 2**63 - 1
    if not is_usual or sysconfig.get_config_var("Py_GIL_DISABLED"):  # then nothing keeps others from changing a list
        return False
    return (object.__basicsize__, list.__basicsize__) == (ITEMS - 8, ITEMS + 16)  # a debug build keeps more of each


def _is_as_known(array: Array) -> bool:
    kind, data, dtype, ndim, flags = (at(id(array) + field) for field in (_KIND, _DATA, _DTYPE, _NDIM, _FLAGS))
    if (kind, data, dtype) != (id(np.ndarray), array.ctypes.data, id(array.dtype)):
        return False
    if (ndim & _HALF, flags & _HALF) != (array.ndim, array.flags.num):
        return False
    shape = at(id(array) + _SHAPE)
    return all(at(shape + 8 * k) == length for k, length in enumerate(array.shape))


def at(address: int) -> int:
    """The word at an address."""
    return c_int64.from_address(address).value
