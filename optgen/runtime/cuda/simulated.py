"""What a GPU does in hardware, as Python, for Numba's simulator: twins of those in `optgen.runtime.cuda.primitives`.

The simulator runs one block at a time, and a thread of the system for each of its threads, so what a block shares is
kept here. Addresses are those of NumPy's arrays.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from ctypes import c_char
from fractions import Fraction
from typing import Any

import numpy as np
from numpy import arctan2 as atan2
from numpy import cos, exp, expm1, log, log1p, sin, sqrt, tan, tanh

from optgen.runtime.core.storage import Stored

__all__ = [
    "atan2",
    "block",
    "cos",
    "erf",
    "exp",
    "expm1",
    "fma",
    "from_above",
    "leave",
    "left",
    "load",
    "load4",
    "log",
    "log1p",
    "narrow",
    "place",
    "sin",
    "sine_of_turns",
    "sqrt",
    "store",
    "store4",
    "sync",
    "tan",
    "tanh",
    "thread",
    "times",
    "upper",
    "where",
]
"""NumPy's functions take the place of those of `math`, which know one type and raise where IEEE 754 has a value."""

THREADS, WARP = 4, 2
"""Few, since each is a thread of the system, but more than one warp."""
_EXCHANGE = np.zeros(THREADS)
_PARTIAL = np.zeros(THREADS // WARP)


def block() -> Any:
    """The number of the block."""
    return threading.current_thread().blockIdx.x  # type: ignore[attr-defined]


def thread() -> Any:
    """The number of the thread in its block."""
    return threading.current_thread().threadIdx.x  # type: ignore[attr-defined]


def sync() -> Any:
    """Wait for all threads of the block, and see what they wrote."""
    threading.current_thread().syncthreads()  # type: ignore[attr-defined]


def leave(warp: Any, x: Any) -> None:
    """Leave a number for the block to see: one a warp."""
    _PARTIAL[warp] = x


def left(warp: Any) -> Any:
    """What a warp has left."""
    return _PARTIAL[warp]


def from_above(x: Any, distance: Any) -> Any:
    """What a thread so much further on in the warp has for x."""
    me = thread()
    _EXCHANGE[me] = x
    sync()
    other = _EXCHANGE[(me + distance) % THREADS]
    sync()
    return other


def where(condition: Any, a: Any, b: Any) -> Any:
    """One of two numbers, both of which have been computed."""
    return a if condition else b


def fma(a: Any, b: Any, c: Any) -> Any:
    """``a*b + c`` in the type of the arguments, rounded once; of float32, once to float64 and then to float32."""
    kind = np.result_type(a, b, c).type
    if kind is np.float32:  # float64 holds the product
        return kind(np.float64(a) * np.float64(b) + np.float64(c))
    if not np.isfinite((a, b, c)).all():
        return a * b + c
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return kind(exact) if exact else a * b + c


def times(a: Any, b: Any) -> Any:
    """``a*b``, rounded."""
    return a * b


def upper(a: Any, b: Any) -> Any:
    """The upper 64 bits of a product of two words."""
    return np.uint64(int(a) * int(b) >> 64)


def sine_of_turns(x: Any) -> Any:
    """``sin(pi*x)``."""
    return type(x)(math.sin(math.pi * x))


def place(addresses: Any, column: Any, tensor: Any, begin: Any, stored: Any) -> Any:
    """Where element ``begin`` of a slot of a tensor lies."""
    return addresses[column, tensor] + begin * stored.itemsize


def _at(place: int, i: int, stored: Stored, count: int) -> Any:
    size, begin = count * stored.itemsize, int(place) + int(i) * stored.itemsize
    return np.frombuffer(memoryview((c_char * size).from_address(begin)), stored.dtype)


def _rounded(stored: Stored, values: Sequence[Any]) -> Any:
    """Numbers as they are stored."""
    return np.array(values, stored.computed).astype(stored.dtype)


def load(place: Any, i: Any, stored: Stored) -> Any:
    """Element i after a place, in the type in which it is computed."""
    return _at(place, i, stored, 1).astype(stored.computed)[0]


def load4(place: Any, i: Any, stored: Stored) -> Any:
    """Elements i to i + 3, in as few moves of 128 bits as they are; the place is a multiple of 16."""
    return tuple(_at(place, i, stored, 4).astype(stored.computed))


def store(place: Any, i: Any, stored: Stored, x: Any) -> Any:
    """Let element i after a place be x."""
    _at(place, i, stored, 1)[:] = _rounded(stored, [x])


def store4(place: Any, i: Any, stored: Stored, x0: Any, x1: Any, x2: Any, x3: Any) -> Any:  # noqa: PLR0917
    """Let elements i to i + 3 be these."""
    _at(place, i, stored, 4)[:] = _rounded(stored, [x0, x1, x2, x3])


def narrow(x: Any, like: Any) -> Any:
    """A float64 in the type of the array ``like``."""
    return like.dtype.type(x)


def erf(x: Any) -> Any:
    """The error function, in the type of the argument."""
    return type(x)(math.erf(x))
