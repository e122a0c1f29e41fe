"""What a GPU does in hardware, as Python, for Numba's simulator: twins of those in `optgen.runtime.cuda.primitives`.

The simulator runs one block at a time, and a thread of the system for each of its threads, so what a block shares is
kept here. Addresses are those of NumPy's arrays.
"""

from __future__ import annotations

import math
import threading
import weakref
from ctypes import c_char
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy import arctan2 as atan2
from numpy import cos, exp, expm1, log, log1p, sin, sqrt, tan, tanh

from optgen.runtime.core.storage import HALF, Stored, dtype_of
from optgen.runtime.cpu import draws, formats
from optgen.runtime.cpu.draws import philox
from optgen.runtime.cpu.primitives import per_element

__all__ = [
    "atan2", "block", "cos", "cosine", "erf", "exp", "expm1", "fma", "from_above", "leave", "left", "load", "load4",
    "log", "log1p", "narrow", "philox", "pointer", "radius", "sin", "sqrt", "store", "store4", "sync", "tan", "tanh",
    "thread", "times", "where",
]  # fmt: skip
"""NumPy's functions take the place of those of `math`, which know one type and raise where IEEE 754 has a value."""

THREADS, WARP, EACH = 4, 2, 4
"""Few, since each is a thread of the system, but more than one warp."""
_EXCHANGE = np.zeros(THREADS)
_PARTIAL = np.zeros(THREADS)
_WARPS: Any = weakref.WeakKeyDictionary()
_MEETING = threading.Lock()


def block() -> Any:
    """The number of the block."""
    return threading.current_thread().blockIdx.x  # type: ignore[attr-defined]


def thread() -> Any:
    """The number of the thread in its block."""
    return threading.current_thread().threadIdx.x  # type: ignore[attr-defined]


def sync() -> Any:
    """Wait for all threads of the block, and see what they wrote."""
    threading.current_thread().syncthreads()  # type: ignore[attr-defined]


def leave(place: Any, x: Any) -> None:
    """Leave a number for the block to see: there are as many places as threads."""
    _PARTIAL[place] = x


def left(place: Any) -> Any:
    """What has been left in a place."""
    return _PARTIAL[place]


def from_above(x: Any, distance: Any, team: Any) -> Any:  # noqa: ARG001 - a warp here, or a thread has it to itself
    """What a thread so much further on has for x; those of a team must call, a warp or an equal part of one."""
    me = thread()
    _EXCHANGE[me] = x
    _wait_for_warp()
    other = _EXCHANGE[(me + distance) % THREADS]
    _wait_for_warp()
    return other


def _wait_for_warp() -> None:
    """Wait for the threads of a warp, whatever those of others do."""
    block = threading.current_thread()._manager  # type: ignore[attr-defined] # noqa: SLF001 - who has its threads
    with _MEETING:
        meeting = _WARPS.setdefault(block, [threading.Barrier(WARP) for _ in range(THREADS // WARP)])
    meeting[thread() // WARP].wait()


def where(condition: Any, a: Any, b: Any) -> Any:
    """One of two numbers, both of which have been computed."""
    return a if condition else b


def fma(a: Any, b: Any, c: Any) -> Any:
    """``a*b + c`` in the type of the arguments, rounded once."""
    kind = np.result_type(a, b, c).type
    if kind is np.float32:
        return kind(_odd_sum(float(a) * float(b), float(c)))  # float64 holds the product
    if not np.isfinite((a, b, c)).all():
        return a * b + c
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return kind(exact) if exact else a * b + c


def _odd_sum(a: float, b: float) -> float:
    """A sum that is odd where it is inexact: to round it to fewer digits is to round the exact sum."""
    total = a + b
    back = total - a
    left = (a - (total - back)) + (b - back)  # 2Sum (Knuth 1969): what the sum lacks; NaN where it is not finite
    if left == left and left and not np.float64(total).view(np.int64) & 1:  # noqa: PLR0124 - a test for NaN
        return math.nextafter(total, math.copysign(math.inf, left))
    return total


def times(a: Any, b: Any) -> Any:
    """``a*b``, rounded."""
    return a * b


@per_element
def _radius(word: Any, like: Any) -> Any:
    return draws.radius(word, like)


@per_element
def _cosine(word: Any, like: Any) -> Any:
    return draws.sine(draws.angle(word), like)


def radius(word: Any, like: Any) -> Any:
    """``sqrt(-2*log(u1))`` of a word, in the type of the array ``like``."""
    return like.dtype.type(_radius(word, np.empty(0, like.dtype)))


def cosine(word: Any, like: Any) -> Any:
    """The cosine of a part of a turn, ``(word + 1/2)/2**32``, in the type of the array ``like``."""
    return like.dtype.type(_cosine(word, np.empty(0, like.dtype)))


@dataclass(frozen=True)
class _Located:
    """Where elements lie that take more than the address of their words to be loaded and stored."""

    words: int
    rest: int
    tensor: int
    first: int
    stored: Stored

    def __or__(self, other: Any) -> Any:
        """The bits that keep four elements from being moved at once: chances come in fours too."""
        bits = self.words | (self.rest if self.stored.rest else 0)
        return bits | (4 * self.first if self.stored.is_by_chance else 0) | other

    __ror__ = __or__


def pointer(addresses: Any, column: Any, tensor: Any, begin: Any, stored: Any) -> Any:
    """Where element ``begin`` of a slot of a tensor lies: an address if that is enough to load and to store it."""
    words = int(addresses[column, tensor] + begin * stored.itemsize)
    if not stored.takes_more:
        return words
    rest = int(addresses[stored.column, tensor] + begin * stored.rest_itemsize)
    return _Located(words, rest, int(tensor), int(begin), stored)


def _at(address: int, i: int, name: str, count: int) -> Any:
    """Elements of a format, in memory."""
    dtype = dtype_of(name)
    memory = (c_char * (count * dtype.itemsize)).from_address(address + int(i) * dtype.itemsize)
    return np.frombuffer(memoryview(memory), dtype)


def _loaded(pointer: Any, i: Any, stored: Stored, count: int) -> Any:
    if not isinstance(pointer, _Located) or not stored.rest:
        words = getattr(pointer, "words", pointer)
        return _at(words, i, stored.format, count).astype(stored.computed)
    words, rest = _at(pointer.words, i, stored.format, count), _at(pointer.rest, i, stored.beside, count)
    numbers, whole = words.astype(np.float32), rest.astype(np.float32)
    same = whole.astype(stored.dtype).view(np.uint16) == words.view(np.uint16)
    return numbers + whole if stored.adds else np.where(same, whole, numbers)


def _put(pointer: Any, i: Any, stored: Stored, *given: Any) -> None:
    numbers, count = np.array(given, stored.computed), len(given)
    words = _at(getattr(pointer, "words", pointer), i, stored.format, count)
    words[:] = _by_chance(pointer, int(i), stored, numbers) if stored.is_by_chance else numbers.astype(stored.dtype)
    if stored.rest:
        left = numbers - words.astype(np.float32)
        rest = np.where(np.isnan(left), np.float32(0), left) if stored.adds else numbers
        _at(pointer.rest, i, stored.beside, count)[:] = rest.astype(dtype_of(stored.beside))


def _by_chance(pointer: _Located, i: int, stored: Stored, numbers: Any) -> Any:
    """Numbers as words next to them."""
    rounded, is_half, made = _BY_CHANCE[stored.format], stored.format in HALF, []
    t, seed = stored.keys.ravel()
    for element, number in enumerate(numbers, start=pointer.first + i):
        four = philox(*map(np.uint64, (element // 8, pointer.tensor, t, stored.stream, seed)))
        chance = np.array(four, np.uint32).view(np.uint16)[element % 8]
        made.append(rounded(np.float32(formats.single(number)) if is_half else number, chance))
    return np.array(made, np.uint16 if is_half else stored.dtype).view(stored.dtype)


_BY_CHANCE = {
    "bfloat16": formats.to_bfloat16_by_chance,
    "float16": formats.to_float16_by_chance,
    "float32": formats.to_float32_by_chance,
}


def load(pointer: Any, i: Any, stored: Stored) -> Any:
    """Element i after a pointer, in the type in which it is computed."""
    return _loaded(pointer, i, stored, 1)[0]


def load4(pointer: Any, i: Any, stored: Stored) -> Any:
    """Elements i to i + 3, in as few moves of 128 bits as they are; the pointer is a multiple of 16."""
    return tuple(_loaded(pointer, i, stored, 4))


def store(pointer: Any, i: Any, stored: Stored, x: Any) -> Any:
    """Let element i after a pointer be x."""
    _put(pointer, i, stored, x)


def store4(pointer: Any, i: Any, stored: Stored, x0: Any, x1: Any, x2: Any, x3: Any) -> Any:  # noqa: PLR0917
    """Let elements i to i + 3 be these."""
    _put(pointer, i, stored, x0, x1, x2, x3)


def narrow(x: Any, like: Any) -> Any:
    """A float64 in the type of the array ``like``."""
    return like.dtype.type(x)


def erf(x: Any) -> Any:
    """The error function, in the type of the argument."""
    return type(x)(math.erf(x))
