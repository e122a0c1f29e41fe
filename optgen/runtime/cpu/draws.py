"""Standard normal deviates for kernels: what `optgen.language.noise.normal` says, computed.

The generator is Philox4x32-10 (Salmon et al. 2011), a bijection of counters: ten rounds of two multiplications, whose
halves change places. Two of its words make two deviates. Box and Muller's formula is steep where u1 is next to 1 and
where u2 is next to a quarter of a turn, so distances from there are taken as integers, before anything is rounded; then
a deviate is right to three units in its last place in either type. In float32 logarithm and sine are polynomials, since
the calls of libm that float64 makes would take several times as long as the generator, and would keep the loop from
being packed.
"""

from __future__ import annotations

from math import log, pi, sin, sqrt
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from optgen.runtime.cpu.bits import bits_of, of_bits
from optgen.runtime.cpu.primitives import fma, outlined, per_element, where

__all__ = ["draws"]

ROUNDS = 10
STRIP = 1024
"""Elements whose words are made before they become deviates: few enough to stay in the nearest cache."""
PER_COUNTER = 4
"""Elements of which a counter has the words."""

FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_HALF = np.uint64(32)
_STREAM = np.uint64(16)
"""Where the number of a stream stands in the last word of a counter, above what a block has beyond 32 bits."""


@per_element
def philox(block: Any, tensor: Any, t: Any, stream: Any, seed: Any) -> Any:
    """The four words of 32 bits of a counter under a key, which are given as words of 64 bits without sign."""
    a, b, c = np.uint32(block), np.uint32(tensor), np.uint32(t)
    d = np.uint32((block >> _HALF) + (stream << _STREAM))
    key, other_key = np.uint32(seed), np.uint32(seed >> _HALF)
    for _ in range(ROUNDS):
        one, other = FACTORS[0] * np.uint64(a), FACTORS[1] * np.uint64(c)
        a, b, c, d = (
            np.uint32(np.uint32(other >> _HALF) ^ b ^ key),
            np.uint32(other),
            np.uint32(np.uint32(one >> _HALF) ^ d ^ other_key),
            np.uint32(one),
        )
        key, other_key = np.uint32(key + KEY_STEPS[0]), np.uint32(other_key + KEY_STEPS[1])
    return a, b, c, d


# Deviates -------------------------------------------------------------------------------------------------------------

LOG = tuple(
    map(
        np.float32,
        (
            *(-0.0763450290965, 0.127615773481, -0.131601804663, 0.142017579983, -0.16623357535, 0.200012268731),
            *(-0.250008210285, 0.333333317078, -0.5),
        ),
    )
)
"""``(log(1 + r) - r)/r**2`` for 1 + r from sqrt(1/2) to sqrt(2), highest power first: the logarithm to 6e-9."""
SINE = tuple(map(np.float32, (0.000151485130697, -0.00467376661259, 0.0796896789486, -0.645963710601, 1.57079631845)))
"""``sin(pi/2*w)/w`` as a polynomial in ``w*w``, for w from -1 to 1: the sine to 6e-9. Both are minimax."""
LOG_OF_2 = np.float32(0.6931471805599453)
ROOT = np.int32(np.float32(0.5**0.5).view(np.int32))


@per_element
def _polynomial(x: Any, coefficients: Any) -> Any:
    value = fma(coefficients[0], x, coefficients[1])
    for coefficient in coefficients[2:]:
        value = fma(value, x, coefficient)
    return value


@per_element
def angle(word: Any) -> Any:
    """``2**31*(1 - 4*u2)``, or ``2**31*(4*u2 - 3)`` for u2 above 1/2: a sine of it is the cosine of u2, exactly."""
    turned = np.int32(word)
    return np.int32(2**31 - 1 - 2 * (turned ^ (turned >> 31)))


@per_element
def _before(word: Any) -> Any:
    """The word of what is a quarter of a turn before: its cosine is the sine."""
    return np.uint32(word - np.uint32(2**30))


def _radius_in_float32(word: Any, like: Any) -> Any:  # noqa: ARG001
    pattern = np.int32(bits_of(np.float32(word) + np.float32(0.5)))  # of 2**32*u1 as a float
    exponent = np.int32(np.int32(pattern - ROOT) >> 23)
    fraction = of_bits(np.int32(pattern - np.int32(exponent << 23)))  # 2**(32 - exponent)*u1, near 1
    below_one = (np.float32(np.uint32(~word)) + np.float32(0.5)) * np.float32(-(2.0**-32))  # u1 - 1
    exponent = np.int32(exponent - 32)
    r = where(exponent == 0, below_one, fraction - np.float32(1))
    logarithm = fma(np.float32(exponent), LOG_OF_2, fma(r * r, _polynomial(r, LOG), r))
    return sqrt(np.float32(-2) * logarithm)


def _radius_in_float64(word: Any, like: Any) -> Any:  # noqa: ARG001
    return sqrt(-2 * log((np.float64(word) + 0.5) * 2.0**-32))


def _sine_in_float32(angle: Any, like: Any) -> Any:  # noqa: ARG001
    w = np.float32(angle) * np.float32(2.0**-31)
    return w * _polynomial(w * w, SINE)


def _sine_in_float64(angle: Any, like: Any) -> Any:  # noqa: ARG001
    return sin(pi / 2**32 * np.float64(angle))


def radius(word: Any, like: Any) -> Any:
    """``sqrt(-2*log(u1))`` of a word, in the type of the array ``like``."""
    raise NotImplementedError


def sine(angle: Any, like: Any) -> Any:
    """``sin(pi/2*angle/2**31)``, in the type of the array ``like``."""
    raise NotImplementedError


_INLINED = {"error_model": "numpy", "forceinline": True}


@overload(radius, jit_options=_INLINED)  # type: ignore[untyped-decorator]
def _radius(word: Any, like: Any) -> Any:  # noqa: ARG001
    return _radius_in_float32 if like.dtype == types.float32 else _radius_in_float64


@overload(sine, jit_options=_INLINED)  # type: ignore[untyped-decorator]
def _sine(angle: Any, like: Any) -> Any:  # noqa: ARG001
    return _sine_in_float32 if like.dtype == types.float32 else _sine_in_float64


@outlined
def deviates(words: Any, made: Any, size: Any) -> None:
    """What the words of so many counters make, both (4, n): ``made[q, k]`` is deviate q of four of ``words[:, k]``."""
    for pair in range(2):
        first, second, cosines, sines = words[2 * pair], words[2 * pair + 1], made[2 * pair], made[2 * pair + 1]
        for k in range(size):
            sines[k] = radius(first[k], made)
        for k in range(size):
            cosines[k] = sines[k] * sine(angle(second[k]), made)
        for k in range(size):
            sines[k] = sines[k] * sine(angle(_before(second[k])), made)


@outlined
def draws(row: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:
    """A standard normal deviate of a type for every element of a chunk, a row of the table.

    The seed is the key of the generator, the stream the number of the draw.
    """
    count, tensor, first = row[0], row[-2], row[-1]
    others = first % PER_COUNTER  # a chunk may begin within the elements of a counter
    counters = (others + count + PER_COUNTER - 1) // PER_COUNTER
    made = np.empty(PER_COUNTER * counters, like.dtype)
    room = STRIP // PER_COUNTER
    words, strip = np.empty((PER_COUNTER, room), np.uint32), np.empty((PER_COUNTER, room), like.dtype)
    for begin in range(0, counters, room):
        size = min(room, counters - begin)
        a, b, c, d = words[0], words[1], words[2], words[3]
        for k in range(size):
            block = np.uint64(first // PER_COUNTER + begin + k)
            a[k], b[k], c[k], d[k] = philox(block, np.uint64(tensor), np.uint64(t), np.uint64(stream), np.uint64(seed))
        deviates(words, strip, size)
        w, x, y, z = strip[0], strip[1], strip[2], strip[3]
        for k in range(size):
            i = PER_COUNTER * (begin + k)
            made[i], made[i + 1], made[i + 2], made[i + 3] = w[k], x[k], y[k], z[k]
    return made[others : others + count]
