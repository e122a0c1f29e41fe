"""Numbers in 16 bits are what IEEE 754 says they are: every word, and what lies between two of them."""

import numpy as np
import pytest
from numba import njit

from optgen.runtime.cpu import formats

WORDS = np.arange(2**16, dtype=np.uint16)


def over(function, returns):
    """A function of one element as one of arrays."""

    @njit(error_model="numpy")
    def fill_one(out, x):
        for i in range(len(out)):
            out[i] = function(x[i])

    @njit(error_model="numpy")
    def fill_two(out, x, chance):
        for i in range(len(out)):
            out[i] = function(x[i], chance[i])

    def call(*arrays):
        out = np.empty(len(arrays[0]), returns)
        (fill_one if len(arrays) == 1 else fill_two)(out, *arrays)
        return out

    return call


def values(name):
    """What every word stands for, in float64, made of its three parts."""
    bits, bias = {"float16": (10, 15), "bfloat16": (7, 127)}[name]
    exponents, fraction = (WORDS & 0x7FFF) >> bits, (WORDS & (2**bits - 1)) / 2.0**bits
    most = 2 ** (15 - bits) - 1
    sizes = np.where(exponents > 0, 1 + fraction, fraction) * 2.0 ** (np.maximum(exponents, 1).astype(float) - bias)
    sizes = np.where(exponents == most, np.where(fraction == 0, np.inf, np.nan), sizes)
    return np.where(WORDS & 0x8000, -sizes, sizes)


FORMATS = {
    "bfloat16": (formats.from_bfloat16, formats.to_bfloat16, formats.to_bfloat16_by_chance),
    "float16": (formats.from_float16, formats.to_float16, formats.to_float16_by_chance),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_word_is_widened_to_its_value(name):
    widened = over(FORMATS[name][0], np.float32)(WORDS)
    with np.errstate(invalid="ignore"):  # some words of NaN are signals
        np.testing.assert_array_equal(widened.astype(np.float64), values(name))
    zeros = widened == 0
    np.testing.assert_array_equal(np.signbit(widened[zeros]), (WORDS[zeros] & 0x8000) > 0)


@pytest.mark.parametrize("name", FORMATS)
def test_every_value_keeps_its_word(name):
    known = ~np.isnan(values(name))
    with np.errstate(invalid="ignore"):
        narrowed = over(FORMATS[name][1], np.uint16)(values(name).astype(np.float32))
    np.testing.assert_array_equal(narrowed[known], WORDS[known])
    assert np.isnan(values(name)[narrowed[~known]]).all()


@pytest.mark.parametrize("through", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMATS)
def test_what_lies_between_two_words_becomes_the_nearer_and_in_the_middle_the_even_one(name, through):
    numbers = values(name)
    low = WORDS[np.isfinite(numbers) & np.isfinite(np.roll(numbers, -1)) & (WORDS & 0x7FFF < 0x7FFF)]
    below, above = numbers[low], numbers[low + 1]
    middle = (below + above) / 2  # exact in float32, and in float64 so are its neighbours
    narrow = over(FORMATS[name][1], np.uint16)
    single = over(formats.single, np.float32)
    even = np.where(low & 1, low + 1, low)
    for x, expected in (
        (middle.astype(through), even),
        (np.nextafter(middle.astype(through), below.astype(through)), low),
        (np.nextafter(middle.astype(through), above.astype(through)), low + 1),
    ):
        np.testing.assert_array_equal(narrow(single(x) if through is np.float64 else x), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_beyond_the_largest_is_infinite_from_the_middle_on(name):
    largest = np.nanmax(np.where(np.isinf(values(name)), np.nan, values(name)))
    step = largest - values(name)[np.flatnonzero(values(name) == largest)[0] - 1]
    x = np.array([largest + step / 2, -largest - step / 2, np.nextafter(largest + step / 2, 0), np.inf])
    single = over(formats.single, np.float32)(x)
    narrowed = values(name)[over(FORMATS[name][1], np.uint16)(single)]
    np.testing.assert_array_equal(narrowed, [np.inf, -np.inf, largest, np.inf])


CHANCES = WORDS


@pytest.mark.parametrize("x", [1.2345678, -3.1e-6, 0.1, 1.0, -0.0, 65504.0, -2.5, 0.0009765625])
@pytest.mark.parametrize("name", FORMATS)
def test_over_all_chances_the_mean_is_the_number(name, x):
    """It becomes one of the two words next to it, in as many of the 2**16 cases as it is close to them."""
    given = np.full(2**16, x, np.float32)
    found = values(name)[over(FORMATS[name][2], np.uint16)(given, CHANCES)]
    exact = float(given[0])
    places = np.unique(found)
    assert len(places) == 1 + (exact not in places)
    gap = places[-1] - places[0]
    assert abs(found.mean() - exact) <= gap * 2.0**-16
    assert np.signbit(found).all() == np.signbit(exact)


@pytest.mark.parametrize("name", FORMATS)
def test_chance_leaves_infinities_and_nan_alone(name):
    x = np.array([np.inf, -np.inf, np.nan] * 4, np.float32)
    chances = np.repeat(np.array([0, 1, 2**15, 2**16 - 1], np.uint16), 3)
    np.testing.assert_array_equal(values(name)[over(FORMATS[name][2], np.uint16)(x, chances)], x)


def test_a_float64_in_float32_by_chance():
    for x in (0.1, -1e-40, 1 / 3, 1.0, 1e300, -0.0, np.inf, np.nan):
        found = over(formats.to_float32_by_chance, np.float32)(np.full(2**16, x), CHANCES).astype(np.float64)
        if abs(x) < 1e30:
            gap = found.max() - found.min()
            assert abs(found.mean() - x) <= gap * 2.0**-15
            assert gap <= abs(float(np.spacing(np.float32(x))))
        assert np.isfinite(x) or np.array_equal(found, np.full(2**16, x), equal_nan=True)
