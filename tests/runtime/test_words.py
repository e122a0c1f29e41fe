"""Words that GPUs make in LLVM's IR, made on a CPU: they are those that CPUs make."""

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from optgen.runtime.cpu import draws, formats
from optgen.runtime.cuda import words

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 65504.0, 65519.9, 65520.0, 65536.0, 3.4e38, 2.0**-24, 2.0**-26, 1e-45]


@intrinsic
def philox_of_gpus(_context, *_given):
    """`words.philox`, compiled for a CPU."""

    def codegen(context, builder, signature, args):
        found = words.philox(builder, *(builder.extract_value(args[0], k) for k in range(5)))
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(types.uint32, 4)(types.StarArgTuple([types.uint64] * 5)), codegen


def chances_of_gpus(lanes):
    """`words.chances`, compiled for a CPU."""

    @intrinsic
    def made(_context, _element, _tensor, _t, _stream, _seed):
        def codegen(context, builder, signature, args):
            found = words.chances(builder, args[0], lanes, *args[1:])
            return context.make_tuple(builder, signature.return_type, found)

        return types.UniTuple(types.uint32, lanes)(types.int64, *[types.uint64] * 4), codegen

    @njit
    def made_all(first, tensor, t, stream, seed):
        return [made(first + lanes * k, tensor, t, stream, seed) for k in range(40 // lanes)]

    return made_all


def rounded_of_gpus(name):
    """`words.by_chance`, compiled for a CPU."""
    word = types.float32 if name == "float32" else types.uint16

    @intrinsic
    def rounded(_context, x, _chance):
        def codegen(_context, builder, _signature, args):
            return words.by_chance(builder, args[0], name, args[1])

        return word(x, types.uint32), codegen

    @njit
    def rounded_all(x, chances):
        return [rounded(x[i], np.uint32(chances[i])) for i in range(len(x))]

    return rounded_all


def test_counters_make_the_words_of_cpus():
    @njit
    def made(a, b, c, d, e):
        return philox_of_gpus(a, b, c, d, e)

    for given in np.random.default_rng(0).integers(0, 2**64, (20, 5), np.uint64):
        assert made(*given) == draws.philox(*given)


@pytest.mark.parametrize("lanes", [1, 4])
def test_chances_are_those_of_cpus(lanes):
    tensor, t, stream, seed = map(np.uint64, (5, 7, 3, 2**64 - 11))
    for first in (0, 4, 2**40 + 12):
        found = np.array(chances_of_gpus(lanes)(first, tensor, t, stream, seed)).ravel()
        elements = [divmod(first + k, 8) for k in range(40)]
        fours = [draws.philox(np.uint64(block), tensor, t, stream, seed) for block, _ in elements]
        its = [np.array(four, np.uint32).view(np.uint16)[k] for four, (_, k) in zip(fours, elements, strict=True)]
        np.testing.assert_array_equal(found, its)


@njit
def as_it_is(x):
    return x


@pytest.mark.parametrize(
    ("name", "computed"),
    [(name, computed) for name in ("bfloat16", "float16") for computed in ("float32", "float64")]
    + [("float32", "float64")],
)
def test_rounding_by_chance_makes_the_words_of_cpus(name, computed):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=4000) * 2.0 ** rng.integers(-160, 130, 4000), rng.normal(size=4000), SPECIAL])
    with np.errstate(over="ignore"):
        x = np.repeat(x.astype(computed), 4)
    chances = rng.integers(0, 2**16, x.size).astype(np.uint16)
    chances[::8], chances[1::8] = 0, 2**16 - 1
    rounded = getattr(formats, f"to_{name}_by_chance")
    once, kind = (as_it_is, np.float32) if name == "float32" else (formats.single, np.uint16)

    @njit
    def on_cpu(x, chances):
        return [rounded(once(x[i]), chances[i]) for i in range(len(x))]

    mine, its = (np.array(f(x, chances), kind) for f in (rounded_of_gpus(name), on_cpu))
    np.testing.assert_array_equal(mine.view(f"u{mine.itemsize}"), its.view(f"u{its.itemsize}"))


def of_word(made):
    """A function of `words` that makes a float32 of one word, compiled for a CPU."""

    @intrinsic
    def number(_context, _word):
        def codegen(_context, builder, _signature, args):
            return made(builder, args[0])

        return types.float32(types.uint32), codegen

    @njit
    def numbers(words):
        return [number(word) for word in words]

    return numbers


def test_deviates_in_float32_are_made_of_what_cpus_make_them_of():
    @njit
    def of_cpus(words, like):
        return [(draws.radius(word, like), draws.sine(draws.angle(word), like)) for word in words]

    ends = [part + near for part in range(0, 2**32 + 1, 2**29) for near in range(-3, 4)]
    drawn = np.random.default_rng(1).integers(0, 2**32, 20_000)
    given = np.array([each % 2**32 for each in (*ends, *drawn)], np.uint32)
    radii, cosines = np.array(of_cpus(given, np.empty(0, np.float32))).T
    np.testing.assert_array_equal(np.sqrt(np.array(of_word(words.squared_radius)(given), np.float32)), radii)
    np.testing.assert_array_equal(of_word(words.cosine)(given), cosines)
