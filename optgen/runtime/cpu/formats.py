"""Numbers in fewer bits: how they are widened to what kernels compute in, and how results are rounded.

bfloat16 is the upper half of a float32; float16 is IEEE 754's binary16. Words of both are taken as 16-bit integers, so
that LLVM packs the loops. Rounding is to nearest, ties to even, from what was computed: a float64 is not rounded twice.
Stochastic rounding goes up as often, in 2**16 cases for bfloat16, as what it drops is a part of the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optgen.runtime.cpu.bits import bits_of, of_bits
from optgen.runtime.cpu.primitives import per_element, where

_INFINITE = np.uint32(0x7F800000)
_SIGN = np.uint32(0x80000000)
_SIXTEEN = np.uint32(16)


@per_element
def single(x: Any) -> Any:
    """A float64 as the float32 next to it in the direction of 0, its last bit set where it differs.

    Rounded to fewer bits that is what the float64 would have been rounded to ("rounding to odd", Boldo and
    Melquiond 2008).
    """
    nearest = np.float32(x)
    bits = bits_of(nearest)
    beyond = abs(np.float64(nearest)) > abs(x)
    toward = np.uint32(bits - np.uint32(beyond))
    inexact = (np.float64(nearest) != x) & (x == x)  # noqa: PLR0124 a test for NaN
    return of_bits(np.uint32(toward | np.uint32(inexact)))


# bfloat16 ------------------------------------------------------------------------------------------------------------


@per_element
def from_bfloat16(word: Any) -> Any:
    """A float32."""
    return of_bits(np.uint32(np.uint32(word) << _SIXTEEN))


@per_element
def to_bfloat16(x: Any) -> Any:
    """The nearest word of a float32."""
    bits = bits_of(x)
    half = np.uint32(np.uint32(0x7FFF) + ((bits >> _SIXTEEN) & np.uint32(1)))
    quiet = np.uint32((bits >> _SIXTEEN) | np.uint32(0x40))
    rounded = np.uint32(np.uint32(bits + half) >> _SIXTEEN)
    return np.uint16(where(x == x, rounded, quiet))  # noqa: PLR0124


@per_element
def to_bfloat16_by_chance(x: Any, chance: Any) -> Any:
    """One of the two words next to a float32, by 16 random bits."""
    bits = bits_of(x)
    finite = (bits & _INFINITE) != _INFINITE
    added = np.uint32(bits + where(finite, np.uint32(chance), np.uint32(0)))
    quiet = np.uint32((bits >> _SIXTEEN) | np.uint32(0x40))
    return np.uint16(where(x == x, np.uint32(added >> _SIXTEEN), quiet))  # noqa: PLR0124


# float16 -------------------------------------------------------------------------------------------------------------


@per_element
def from_float16(word: Any) -> Any:
    """A float32."""
    wide = np.uint32(word)
    size = np.uint32((wide & np.uint32(0x7FFF)) << np.uint32(13))
    whole = np.float32(np.int32(wide & np.uint32(0x7FFF)))  # below 2**-14 words count multiples of 2**-24
    small = bits_of(whole * np.float32(2.0**-24))
    bits = np.uint32(where(size < np.uint32(1 << 23), small, np.uint32(size + np.uint32(112 << 23))))
    beyond = np.uint32(where(size >= np.uint32(0x0F800000), _INFINITE, np.uint32(0)))  # an infinity or NaN
    sign = np.uint32((wide & np.uint32(0x8000)) << _SIXTEEN)
    return of_bits(np.uint32(bits | beyond | sign))


@per_element
def to_float16(x: Any) -> Any:
    """The nearest word of a float32."""
    bits = bits_of(x)
    size, sign = np.uint32(bits & ~_SIGN), np.uint32((bits & _SIGN) >> _SIXTEEN)
    half = np.uint32(np.uint32(0xFFF) + ((size >> np.uint32(13)) & np.uint32(1)))
    usual = np.uint32(np.uint32(size - np.uint32(112 << 23) + half) >> np.uint32(13))
    # Below 2**-14 words are multiples of 2**-24: so is the last place of 1/2 and what is added to it.
    small = np.uint32(bits_of(of_bits(size) + np.float32(0.5)) - np.uint32(126 << 23))
    word = where(size < np.uint32(113 << 23), small, usual)
    word = where(size >= np.uint32(143 << 23), np.uint32(0x7C00), word)
    word = where(size > _INFINITE, np.uint32(0x7E00), word)
    return np.uint16(np.uint32(word | sign))


@per_element
def to_float16_by_chance(x: Any, chance: Any) -> Any:
    """One of the two words next to a float32, by 16 random bits."""
    bits = bits_of(x)
    size = np.uint32(bits & ~_SIGN)
    exponent = np.uint32(where(size < np.uint32(113 << 23), np.uint32(113), size >> np.uint32(23)))
    place = of_bits(np.uint32((exponent - np.uint32(10)) << np.uint32(23)))  # of its last bit
    finite = size < _INFINITE
    whole = np.floor(np.float64(of_bits(size)) / np.float64(place) + np.float64(chance) * 2.0**-16)
    snapped = np.float32(whole * np.float64(place))
    word = to_float16(where(finite, snapped, of_bits(size)))
    return np.uint16(np.uint32(np.uint32(word) | np.uint32((bits & _SIGN) >> _SIXTEEN)))


# float32 under float64 -----------------------------------------------------------------------------------------------


@per_element
def to_float32(x: Any) -> Any:
    """The nearest float32."""
    return np.float32(x)


@per_element
def to_float32_by_chance(x: Any, chance: Any) -> Any:
    """One of the two float32 next to a float64, by 16 random bits: as often as a part in 2**16 of the last place."""
    size = abs(x)
    nearest = np.float32(size)
    bits = np.uint32(bits_of(nearest) - np.uint32(np.float64(nearest) > size))  # toward 0
    below, above = np.float64(of_bits(bits)), np.float64(of_bits(np.uint32(bits + np.uint32(1))))
    up = size > below + np.float64(chance) * 2.0**-16 * (above - below)  # not where that is infinite or NaN
    return of_bits(np.uint32(np.uint32(bits + np.uint32(up)) | (bits_of(np.float32(x)) & _SIGN)))
