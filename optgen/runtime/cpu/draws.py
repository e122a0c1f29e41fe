"""Standard normal deviates for kernels: what `optgen.language.noise.normal` says, computed.

The generator is Philox4x64-10 (Salmon et al. 2011), a bijection of counters: ten rounds of two multiplications, whose
halves change places. Box and Muller's formula is steep where u1 is next to 1 and where u2 is next to 1/4 or 3/4, so
distances from there are taken as integers, before anything is rounded; then a deviate is right to three units in its
last place in either type. In float32 logarithm and sine are polynomials, since the calls of libm that float64 makes
would take several times as long as the generator, and would keep the loop from being packed.
"""

from __future__ import annotations

from math import log, pi, sin, sqrt
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from optgen.runtime.cpu.primitives import fma, helper, per_element, where

__all__ = ["draws"]

ROUNDS = 10
STRIP = 512
"""Elements whose words are made before they become deviates: in fours, and few enough to stay in the nearest cache."""

FACTORS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
KEY_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_HALF, _LOWER = np.uint64(32), np.uint64(2**32 - 1)


@per_element
def upper(a: Any, b: Any) -> Any:
    """The upper 64 bits of a product of two words; LLVM makes one instruction of it."""
    a0, a1, b0, b1 = a & _LOWER, a >> _HALF, b & _LOWER, b >> _HALF
    one, other = a1 * b0, a0 * b1
    carry = (a0 * b0 >> _HALF) + (one & _LOWER) + other
    return a1 * b1 + (one >> _HALF) + (carry >> _HALF)


@per_element
def philox(block: Any, tensor: Any, t: Any, stream: Any, seed: Any) -> Any:
    """The four words of a counter under a key, all of them 64-bit words without sign."""
    a, b, c, d = block, tensor, t, stream
    key, other_key = seed, np.uint64(0)
    for _ in range(ROUNDS):
        a, b, c, d = (
            upper(FACTORS[1], c) ^ b ^ key,
            FACTORS[1] * c,
            upper(FACTORS[0], a) ^ d ^ other_key,
            FACTORS[0] * a,
        )
        key, other_key = key + KEY_STEPS[0], other_key + KEY_STEPS[1]
    return a, b, c, d


# Deviates -------------------------------------------------------------------------------------------------------------

_LOG = tuple(
    map(
        np.float32,
        (
            *(-0.0763450290965, 0.127615773481, -0.131601804663, 0.142017579983, -0.16623357535, 0.200012268731),
            *(-0.250008210285, 0.333333317078, -0.5),
        ),
    )
)
"""``(log(1 + r) - r)/r**2`` for 1 + r from sqrt(1/2) to sqrt(2), highest power first: the logarithm to 6e-9."""
_SINE = tuple(map(np.float32, (0.000151485130697, -0.00467376661259, 0.0796896789486, -0.645963710601, 1.57079631845)))
"""``sin(pi/2*w)/w`` as a polynomial in ``w*w``, for w from -1 to 1: the sine to 6e-9. Both are minimax."""
_ROOT = np.int32(np.float32(0.5**0.5).view(np.int32))


@per_element
def _polynomial(x: Any, coefficients: Any) -> Any:
    value = fma(coefficients[0], x, coefficients[1])
    for coefficient in coefficients[2:]:
        value = fma(value, x, coefficient)
    return value


@per_element
def _angle(word: Any) -> Any:
    """``2**31*(1 - 4*u2)``, or ``2**31*(4*u2 - 3)`` for u2 above 1/2: a sine of it is the cosine of u2, exactly."""
    lower = np.int32(word & _LOWER)
    return np.int32(2**31 - 1 - 2 * (lower ^ (lower >> 31)))


def _in_float32(word: Any, like: Any) -> Any:  # noqa: ARG001
    bits = np.uint32(word >> _HALF)
    pattern = np.float32(np.float32(bits) + np.float32(0.5)).view(np.int32)  # of 2**32*u1 as a float
    exponent = np.int32(np.int32(pattern - _ROOT) >> 23)
    fraction = np.int32(pattern - np.int32(exponent << 23)).view(np.float32)  # 2**(32 - exponent)*u1, near 1
    below_one = (np.float32(np.uint32(~bits)) + np.float32(0.5)) * np.float32(-(2.0**-32))  # u1 - 1
    exponent = np.int32(exponent - 32)
    r = where(exponent == 0, below_one, fraction - np.float32(1))
    logarithm = fma(np.float32(exponent), np.float32(0.6931471805599453), fma(r * r, _polynomial(r, _LOG), r))
    w = np.float32(_angle(word)) * np.float32(2.0**-31)
    return sqrt(np.float32(-2) * logarithm) * (w * _polynomial(w * w, _SINE))


def _in_float64(word: Any, like: Any) -> Any:  # noqa: ARG001
    u1 = (np.float64(word >> _HALF) + 0.5) * 2.0**-32
    return sqrt(-2 * log(u1)) * sin(pi / 2**32 * np.float64(_angle(word)))


def deviate(word: Any, like: Any) -> Any:
    """The standard normal deviate of a word, in the type of the array ``like``."""
    raise NotImplementedError


@overload(deviate, jit_options={"error_model": "numpy", "forceinline": True})  # type: ignore[untyped-decorator]
def _deviate(word: Any, like: Any) -> Any:  # noqa: ARG001
    return _in_float32 if like.dtype == types.float32 else _in_float64


@helper
def draws(row: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:
    """A standard normal deviate for every element of a chunk.

    Parameters
    ----------
    row : array of int64
        A row of the table: how many elements, and at its end of which tensor, from which of its elements on.
    t, seed, stream : int
        The number of the step, the key of the generator, the number of the draw.
    like : array
        Its dtype is that of the result.
    """
    count, tensor, first = row[0], row[-2], row[-1]
    made = np.empty(count, like.dtype)
    words = np.empty(STRIP + 4, np.uint64)
    others = first % 4  # a chunk may begin within a block
    for begin in range(0, count, STRIP):
        size = min(STRIP, count - begin)
        block = (first + begin) // 4
        for k in range((others + size + 3) // 4):
            words[4 * k], words[4 * k + 1], words[4 * k + 2], words[4 * k + 3] = philox(
                np.uint64(block + k), np.uint64(tensor), np.uint64(t), np.uint64(stream), np.uint64(seed)
            )
        for i in range(size):
            made[begin + i] = deviate(words[others + i], like)
    return made
