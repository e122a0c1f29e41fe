"""The numbers in equations: real, finite, and of a size that the arithmetic they are used in can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from sympy import Add, Basic, Expr, Float, Pow, S

from optgen.language.decimals import LARGEST, SMALLEST, is_exact
from optgen.language.domains import is_whole
from optgen.language.grammar import MEMORY, Wrong, shortened
from optgen.language.graph import nodes
from optgen.language.noise import normal
from optgen.language.reductions import Reduction
from optgen.language.spaces import Space

_LARGEST_SINGLE, _SMALLEST_SINGLE = Float(3.4028234663852886e38, 17), Float(1.1754943508222875e-38, 17)
_LARGEST_EXPONENT = 2**24
"""Up to here every whole number is a float32."""


@lru_cache(MEMORY)
def fault(number: Expr) -> Wrong | None:
    """What is wrong with a number, an expression without symbols, with what to write instead; None if nothing is."""
    if number.is_Rational and is_exact(number):
        return None
    value = _value(number)
    shown = shortened(number)
    if value is None:
        return f"the number {shown} cannot be worked out", "write its value"
    if value.has(S.NaN, S.ComplexInfinity, S.Infinity, S.NegativeInfinity):
        return f"the value is not a finite real number: it has {shown}", "look for 0/0, 1/0, log(0) or an empty Max"
    if value.has(S.ImaginaryUnit):
        fix = "look for a negative root: the real cube root of -8 is real_root(-8, 3), or -root(8, 3)"
        return f"the value is not a finite real number: it has {shown}, which is complex", fix
    size = abs(value)
    if size > LARGEST:
        fix = "scale the equation, or write the logarithm of the number where that is what counts"
        return f"the number {shown} = {value.n(3)} is larger than float64 holds (1.8e308)", fix
    if 0 < size < SMALLEST:
        fix = "write 0 if that is what it is to be, or scale the equation"
        return f"the number {shown} = {value.n(3)} is smaller than float64 holds (2.2e-308)", fix
    return None


def _value(number: Expr) -> Expr | None:
    """A number with 15 digits; None where SymPy finds none."""
    try:
        value = number.n(15)
    except (OverflowError, ZeroDivisionError, TypeError, ValueError):
        return None
    parts = Add.make_args(value)
    found = (part.is_Number or part is S.ComplexInfinity or part.as_coeff_Mul()[1] is S.ImaginaryUnit for part in parts)
    return value if all(found) else None


@lru_cache(MEMORY)
def wrong_numbers(value: Expr) -> tuple[Wrong, ...]:
    """What is wrong with the numbers in an expression: the innermost of those that contain each other."""
    found: list[Wrong] = []
    wrong: set[Basic] = set()
    numbers = numbers_in(value)
    for node in nodes(value):
        if not wrong.isdisjoint(node.args):
            wrong.add(node)
            continue
        complaint = fault(node) if node in numbers else _wrong_power(node) if isinstance(node, Pow) else None
        if complaint:
            wrong.add(node)
            found.append(complaint)
    return tuple(found)


@lru_cache(MEMORY)
def numbers_in(value: Expr) -> frozenset[Expr]:
    """The parts of an expression that have no symbols."""
    numbers: set[Basic] = set()
    for node in nodes(value):
        if isinstance(node, Reduction | normal) or not isinstance(node, Expr):
            continue
        if node.is_number if node.is_Atom else numbers.issuperset(node.args):
            numbers.add(node)
    return frozenset(numbers)


def _wrong_power(power: Pow) -> Wrong | None:
    """What is wrong with a power of symbols."""
    base, exponent = power.base, power.exp
    if base.is_number and base.is_negative and not is_whole(exponent):
        shown = shortened(power)
        return (
            f"the power {shown} of a negative number is complex",
            f"look for a negative base, or write {-base} for it",
        )
    if exponent.is_Integer and abs(exponent) > _LARGEST_EXPONENT:
        return f"the exponent {shortened(exponent)} is larger than 2**24", "write exp(… * log(…)) if that is meant"
    return None


def numbers_among_elements(value: Expr, space: Space, space_of: Callable[[Basic], Space]) -> Iterator[Wrong]:
    """What is wrong with the numbers in the arithmetic of elements, which may be float32, of a value over a space.

    A number beside tensors, rows or hyperparameters alone is a float64, whatever the elements are.
    """
    outside = [number for number in numbers_in(value) if not _is_single(number)]
    if not outside:
        return
    among = {value} if space is Space.ELEM else set()
    for node in nodes(value):
        if not isinstance(node, Reduction) and space_of(node) is Space.ELEM:
            among.update(node.args)
    for number in sorted(outside, key=shortened):
        if number in among:
            size = number.n(3)
            name = "tiny" if abs(size) < 1 else "huge"
            fix = (
                f'write a hyperparameter, hyper("{name}", {size}), which is for those who train in float64,'
                " or a number of an ordinary size"
            )
            yield f"the number {size} meets elements, which may be float32: that holds 1.2e-38 to 3.4e38", fix


@lru_cache(MEMORY)
def _is_single(number: Expr) -> bool:
    """Whether float32 holds a number with all its digits, or it is 0."""
    return number.is_zero or bool(_SMALLEST_SINGLE <= abs(number.n(15)) <= _LARGEST_SINGLE)
