"""What has been seen of NumPy's arrays, and whether it still holds, read from the objects themselves by compiled code.

To ask an array from Python for its address takes longer than to update a hundred elements. Here a loop goes through
lists and reads what each array keeps of itself: the fields of ``PyArrayObject``, which NumPy documents and extensions
are compiled against. It believes arrays of NumPy's own class only, whose dtype, shape and flags are what they must be;
of all others it says nothing, and they get a closer look. It holds Python's lock, so that nothing changes meanwhile.

Fields are looked for where they should be once, in arrays that are known, and nothing is read if they are elsewhere.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from ctypes import c_int64
from functools import cache, cached_property, partial
from itertools import accumulate, chain
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from optgen.runtime.core.arrays import Extents
from optgen.runtime.core.memory import Kinds
from optgen.runtime.core.program import Array, Call
from optgen.runtime.core.turn import run
from optgen.runtime.cpu.compiled import CompilerOfSmallKernels
from optgen.runtime.cpu.notes import Due, Unlike, if_nothing_fails, kernel

MANY = 64
"""Arrays: the loop is compiled for those who have, over all steps, so many looked at."""
ITEMS = 24
"""Where a list keeps where its items are."""
KIND = 8
"""Where any object keeps its class."""
_DATA, _NDIM, _SHAPE, _DTYPE, _FLAGS = 16, 24, 32, 56, 64  # of an array
_HALF = 0xFFFFFFFF  # of a word: the number of dimensions and the flags are int
_READ, _WRITTEN = 0x1 | 0x100, 0x400  # C-contiguous and aligned, as all must be; writeable
_AHEAD = 8
"""Arrays: so far ahead of a look shapes are sent for, which lie apart and are seldom in a cache."""


class LastSeen:
    """What there was to see of parameters and gradients, so that a step need not look at it again.

    The parameters are those that `check` has passed; no gradient may share memory with what is written.
    """

    def __init__(
        self, params: list[Array], starts: Sequence[int], params_are: Kinds, gradients_are: Kinds, written: Extents
    ) -> None:
        self._params, self._written = params, written
        self._of = starts, params_are, gradients_are
        self._looked_at = 0
        self._starts = np.zeros(len(params), np.int64)
        self._words = np.array([id(params), id(np.ndarray), id(None)], np.int64)
        self._told = np.zeros(1, np.int64)

    def look(self, gradients: list[Any], *, may_miss: bool) -> Array | None:
        """Where gradients lie, if they are what they were, and parameters what and where; what is missing lies at 0.

        They come in a list of our own; found is the same array at each call. None if any needs a closer look, if few
        have been looked at, or if objects are not laid out as this module knows them.
        """
        if not self.is_worth_it(gradients):
            return None
        try:
            run([partial(self._told.fill, id(gradients) | may_miss), *self._look])
        except Unlike:
            return None
        return self._starts

    def is_worth_it(self, gradients: list[Any]) -> bool:
        """Whether gradients can be looked at, and enough have been."""
        if self._looked_at < MANY:
            self._looked_at += len(gradients)
        return self._looked_at >= MANY and len(gradients) == len(self._starts) and _is_known()

    def looking(self, told: Array, starts: Array) -> Due:
        """The call that looks, and writes where gradients lie to an array; it fails where `look` returns None.

        Another array says at which list: the call before has to write its identity there, 1 more if gradients may be
        missing, which is one more than any list has.
        """
        tasks = np.array([0, len(starts)])
        return Due(partial(_look, tasks, told, self._words, *self._known, self._gaps, starts))

    @cached_property
    def _look(self) -> list[Call]:
        return if_nothing_fails([self.looking(self._told, self._starts)], [], at_once=True)

    @cached_property
    def _gaps(self) -> Array:
        """Between which extents the gradients were."""
        return np.zeros_like(self._starts)

    @cached_property
    def _known(self) -> tuple[Array, Array, Array, Array]:
        """What they are as numbers, a row a parameter, then all shapes, then the bounds of what is written."""
        starts, theirs, mine = self._of
        begins = [0, *accumulate(map(len, theirs.shapes))]
        dtypes, of_gradients = (list(map(id, its.dtypes)) for its in (theirs, mine))
        columns = [dtypes, starts, of_gradients, mine.bytes, begins[:-1], begins[1:]]
        known = np.ascontiguousarray(np.array(columns, np.int64).T)
        return known, np.array(list(chain.from_iterable(theirs.shapes)), np.int64), *self._written.bounds


@intrinsic  # type: ignore[untyped-decorator]
def word(_context: Any, _address: Any) -> Any:
    """The word at an address, in compiled code."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], context.get_value_type(types.CPointer(types.int64))))

    return types.int64(types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def fetch(_context: Any, _address: Any) -> Any:
    """Have memory come to the cache, in compiled code, that will be read soon."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bits = ir.IntType(32)
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, bits, bits, bits])
        made = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(made, [pointer, bits(0), bits(3), bits(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@partial(kernel, by=CompilerOfSmallKernels, _nrt=False)
def _look(  # noqa: PLR0917
    tasks: Array,
    told: Array,
    words: Array,
    known: Array,
    shapes: Array,
    lows: Array,
    highs: Array,
    gaps: Array,
    starts: Array,
) -> None:
    """Write where each gradient lies; fail if any is not what it was, or where something is written."""
    ours, given, kind = word(words[0] + ITEMS), word((told[0] & ~1) + ITEMS), words[1]
    nothing = words[2] if told[0] & 1 else 0
    for k in range(tasks[0], tasks[-1]):
        if k + _AHEAD < tasks[-1]:
            soon = word(given + 8 * (k + _AHEAD))
            if word(soon + KIND) == kind:
                fetch(word(soon + _SHAPE))
        theta, dtype, flags = word(ours + 8 * k), known[k, 0], _READ | _WRITTEN
        if word(theta + _DATA) != known[k, 1]:
            raise Unlike
        array = theta
        for _ in range(2):  # of the parameter, then of its gradient
            if word(array + KIND) != kind or word(array + _DTYPE) != dtype or word(array + _FLAGS) & flags != flags:
                raise Unlike
            begin, end = known[k, 4], known[k, 5]
            if word(array + _NDIM) & _HALF != end - begin:
                raise Unlike
            shape = word(array + _SHAPE)
            for j in range(begin, end):
                if word(shape + 8 * (j - begin)) != shapes[j]:
                    raise Unlike
            array, dtype, flags = word(given + 8 * k), known[k, 2], _READ
            if array == nothing:
                break
        starts[k] = 0
        if array == nothing:
            continue
        first = word(array + _DATA)
        after, gap = first + known[k, 3], gaps[k]
        if first < lows[gap] or after > highs[gap]:
            gap, last = 0, len(highs) - 1  # the first that ends no sooner than the gradient
            while gap < last:
                middle = (gap + last) // 2
                if highs[middle] < after:
                    gap = middle + 1
                else:
                    last = middle
            if first < lows[gap] and first < after:
                raise Unlike
            gaps[k] = gap
        starts[k] = first


@cache
def _is_known() -> bool:
    """Whether arrays and lists keep what they are where `_look` looks for it."""
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
    kind, data, dtype, ndim, flags = (at(id(array) + field) for field in (KIND, _DATA, _DTYPE, _NDIM, _FLAGS))
    if (kind, data, dtype) != (id(np.ndarray), array.ctypes.data, id(array.dtype)):
        return False
    if (ndim & _HALF, flags & _HALF) != (array.ndim, array.flags.num):
        return False
    shape = at(id(array) + _SHAPE)
    return all(at(shape + 8 * k) == length for k, length in enumerate(array.shape))


def at(address: int) -> int:
    """The word at an address."""
    return c_int64.from_address(address).value
