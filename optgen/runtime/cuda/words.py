"""Words as LLVM's IR makes them: numbers rounded by chance, and the generator that chances and draws come from.

There is nothing of a GPU in it, so it can be run, and compared with what CPUs do, wherever LLVM is.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from optgen.runtime.cpu.draws import FACTORS, KEY_STEPS, LOG, LOG_OF_2, ROOT, ROUNDS, SINE

_SHORT, _INT, _LONG = (ir.IntType(bits) for bits in (16, 32, 64))
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()


def number(kind: Any, value: Any) -> Any:
    """A constant."""
    return ir.Constant(kind, value)


def philox(builder: Any, block: Any, tensor: Any, t: Any, stream: Any, seed: Any) -> list[Any]:  # noqa: PLR0917
    """The four words of a counter under a key, which are of 64 bits: see `optgen.runtime.cpu.draws.philox`."""

    def upper(x: Any) -> Any:
        return builder.trunc(builder.lshr(x, number(_LONG, 32)), _INT)

    a, b, c = (builder.trunc(x, _INT) for x in (block, tensor, t))
    d = builder.add(upper(block), builder.trunc(builder.shl(stream, number(_LONG, 16)), _INT))
    keys = [builder.trunc(seed, _INT), upper(seed)]
    for _ in range(ROUNDS):
        products = [
            builder.mul(builder.zext(x, _LONG), number(_LONG, int(factor)))
            for x, factor in zip((a, c), FACTORS, strict=True)
        ]
        high, other_high = map(upper, products)
        low, other_low = (builder.trunc(x, _INT) for x in products)
        a, c = (builder.xor(builder.xor(x, y), key) for x, y, key in zip((other_high, high), (b, d), keys, strict=True))
        b, d = other_low, low
        keys = [builder.add(key, number(_INT, int(step))) for key, step in zip(keys, KEY_STEPS, strict=True)]
    return [a, b, c, d]


def _polynomial(builder: Any, x: Any, coefficients: Any) -> Any:
    first, *others = (number(_FLOAT, float(each)) for each in coefficients)
    for coefficient in others:
        first = builder.fma(first, x, coefficient)
    return first


def _unsigned_and_half(builder: Any, word: Any) -> Any:
    return builder.fadd(builder.uitofp(word, _FLOAT), number(_FLOAT, 0.5))


def squared_radius(builder: Any, word: Any) -> Any:
    """``-2*log(u1)`` of a word in float32: what `optgen.runtime.cpu.draws.radius` takes the root of, bit for bit."""
    pattern = builder.bitcast(_unsigned_and_half(builder, word), _INT)
    exponent = builder.ashr(builder.sub(pattern, number(_INT, int(ROOT))), number(_INT, 23))
    fraction = builder.bitcast(builder.sub(pattern, builder.shl(exponent, number(_INT, 23))), _FLOAT)
    below_one = builder.fmul(_unsigned_and_half(builder, builder.not_(word)), number(_FLOAT, -(2.0**-32)))
    exponent = builder.sub(exponent, number(_INT, 32))
    is_next = builder.icmp_signed("==", exponent, number(_INT, 0))
    r = builder.select(is_next, below_one, builder.fsub(fraction, number(_FLOAT, 1.0)))
    tail = builder.fma(builder.fmul(r, r), _polynomial(builder, r, LOG), r)
    logarithm = builder.fma(builder.sitofp(exponent, _FLOAT), number(_FLOAT, float(LOG_OF_2)), tail)
    return builder.fmul(number(_FLOAT, -2.0), logarithm)


def angle(builder: Any, word: Any) -> Any:
    """A quarter of a turn less a part of one, in units of 2**-33 turns: its sine is the cosine of that part."""
    folded = builder.xor(word, builder.ashr(word, number(_INT, 31)))
    return builder.sub(number(_INT, 2**31 - 1), builder.shl(folded, number(_INT, 1)))


def cosine(builder: Any, word: Any) -> Any:
    """The cosine of a part of a turn, ``(word + 1/2)/2**32``, in float32: as CPUs have it, bit for bit."""
    w = builder.fmul(builder.sitofp(angle(builder, word), _FLOAT), number(_FLOAT, 2.0**-31))
    return builder.fmul(w, _polynomial(builder, builder.fmul(w, w), SINE))


def chances(builder: Any, element: Any, lanes: int, *key: Any) -> list[Any]:
    """16 random bits for an element, or for four from a multiple of four on: those of a counter are of eight elements.

    The key is the tensor, the step, the stream and the seed.
    """

    def part(shift: int, bits: int) -> Any:
        return builder.and_(builder.lshr(element, number(_LONG, shift)), number(_LONG, 2**bits - 1))

    found = philox(builder, builder.lshr(element, number(_LONG, 3)), *key)
    is_second, is_upper = (builder.trunc(part(shift, 1), ir.IntType(1)) for shift in (1, 2))
    pair = [builder.select(is_upper, found[k + 2], found[k]) for k in (0, 1)]
    if lanes == 1:
        word = builder.select(is_second, pair[1], pair[0])
        shift = builder.mul(builder.trunc(part(0, 1), _INT), number(_INT, 16))
        return [builder.and_(builder.lshr(word, shift), number(_INT, 0xFFFF))]
    return [
        half
        for word in pair
        for half in (builder.and_(word, number(_INT, 0xFFFF)), builder.lshr(word, number(_INT, 16)))
    ]


def toward_odd(builder: Any, x: Any) -> Any:
    """A float64 as a float32 that rounds as it does: see `optgen.runtime.cpu.formats.single`."""
    nearest = builder.fptrunc(x, _FLOAT)
    back = builder.fpext(nearest, _DOUBLE)
    above, below = (builder.fcmp_ordered(sign, back, x) for sign in "><")
    positive = builder.fcmp_ordered(">", x, number(_DOUBLE, 0.0))
    beyond = builder.select(positive, above, below)
    toward = builder.sub(builder.bitcast(nearest, _INT), builder.zext(beyond, _INT))
    inexact = builder.fcmp_ordered("!=", back, x)
    return builder.bitcast(builder.or_(toward, builder.zext(inexact, _INT)), _FLOAT)


def by_chance(builder: Any, x: Any, name: str, chance: Any) -> Any:
    """One of the two words of a format next to a number, by 16 random bits: see `optgen.runtime.cpu.formats`."""
    if name == "float32":
        return _single_by_chance(builder, x, chance)
    bits = builder.bitcast(x if x.type == _FLOAT else toward_odd(builder, x), _INT)
    word = (_bfloat16_by_chance if name == "bfloat16" else _float16_by_chance)(builder, bits, chance)
    return builder.trunc(word, _SHORT)


def _bfloat16_by_chance(builder: Any, bits: Any, chance: Any) -> Any:
    size = builder.and_(bits, number(_INT, 0x7FFFFFFF))
    finite = builder.icmp_unsigned("<", size, number(_INT, 0x7F800000))
    added = builder.lshr(builder.add(bits, builder.select(finite, chance, number(_INT, 0))), number(_INT, 16))
    quiet = builder.or_(builder.lshr(bits, number(_INT, 16)), number(_INT, 0x40))
    is_nan = builder.icmp_unsigned(">", size, number(_INT, 0x7F800000))
    return builder.select(is_nan, quiet, added)


def _float16_by_chance(builder: Any, bits: Any, chance: Any) -> Any:
    """In integers: the 24 bits of a float32 count multiples of 2**-13 of the last place, of less below 2**-14."""
    size = builder.and_(bits, number(_INT, 0x7FFFFFFF))
    exponent, least = builder.lshr(size, number(_INT, 23)), number(_INT, 113)
    is_small = builder.icmp_unsigned("<", exponent, least)
    shift = builder.select(is_small, builder.sub(least, exponent), number(_INT, 0))
    shift = builder.select(builder.icmp_unsigned("<", shift, number(_INT, 31)), shift, number(_INT, 31))
    whole = builder.or_(builder.and_(size, number(_INT, 0x7FFFFF)), number(_INT, 0x800000))
    parts = builder.lshr(builder.shl(whole, number(_INT, 3)), shift)  # of 2**-16 of the last place
    places = builder.lshr(builder.add(parts, chance), number(_INT, 16))
    binade = builder.select(is_small, number(_INT, 0), builder.sub(exponent, least))
    word = builder.add(builder.shl(binade, number(_INT, 10)), places)
    infinite = number(_INT, 0x7C00)
    word = builder.select(builder.icmp_unsigned("<", word, infinite), word, infinite)
    is_nan = builder.icmp_unsigned(">", size, number(_INT, 0x7F800000))
    sign = builder.and_(builder.lshr(bits, number(_INT, 16)), number(_INT, 0x8000))
    return builder.or_(builder.select(is_nan, number(_INT, 0x7E00), word), sign)


def _single_by_chance(builder: Any, x: Any, chance: Any) -> Any:
    bits = builder.bitcast(x, _LONG)
    size = builder.bitcast(builder.and_(bits, number(_LONG, 2**63 - 1)), _DOUBLE)
    nearest = builder.fptrunc(size, _FLOAT)
    beyond = builder.fcmp_ordered(">", builder.fpext(nearest, _DOUBLE), size)
    least = builder.sub(builder.bitcast(nearest, _INT), builder.zext(beyond, _INT))  # toward 0
    next_ = builder.add(least, number(_INT, 1))
    below, above = (builder.fpext(builder.bitcast(each, _FLOAT), _DOUBLE) for each in (least, next_))
    part = builder.fmul(builder.uitofp(chance, _DOUBLE), number(_DOUBLE, 2.0**-16))
    # Product and sum are exact, so it is the same where they are fused.
    enough = builder.fadd(below, builder.fmul(part, builder.fsub(above, below)))
    up = builder.fcmp_ordered(">", size, enough)
    sign = builder.and_(builder.trunc(builder.lshr(bits, number(_LONG, 32)), _INT), number(_INT, 0x80000000))
    return builder.bitcast(builder.or_(builder.add(least, builder.zext(up, _INT)), sign), _FLOAT)
