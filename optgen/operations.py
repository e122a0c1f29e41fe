"""What is computed for an element, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sympy import Add, And, Basic, Function, Max, Min, Mul, Not, Or, Piecewise, Pow, Rational, S, Symbol
from sympy.core.relational import Relational

from optgen.ir import Branch, fma, times
from optgen.language import order
from optgen.language.powers import roots
from optgen.language.sums import InOrder

ORDER = ("fma", "times", "plus", "divide", "root", "compare", "choose", "power")
"""What is counted under a name of its own; functions come after these, under theirs."""


def operations(branch: Branch) -> dict[str, int]:
    """How often each is done for an element in the sweeps of a branch; a total takes a sum or comparison a value."""
    counted: Counter[str] = Counter()
    for sweep in branch.over_elements:
        counted.update(kind for assign in sweep.body for kind in _done(assign.value))
        for reduce in sweep.reduces:
            counted.update(["plus" if reduce.how == "sum" else "compare", *["times"] * (len(reduce.factors) - 1)])
        counted.update(["draw"] * len(sweep.draws))
    return {kind: counted[kind] for kind in (*ORDER, *sorted(counted.keys() - set(ORDER))) if counted[kind]}


def _done(expression: Basic) -> Iterator[str]:
    """The operations of an expression, as it is printed; signs cost nothing."""
    match expression:
        case Symbol() | Rational() | S.true | S.false:
            return
        case Add() | InOrder():
            yield from ["plus"] * (len(expression.args) - 1)
        case Mul() | Pow():
            yield from _of_product(expression)
            return
        case Max() | Min():
            yield from ["compare"] * (len(expression.args) - 1)
        case Piecewise():
            yield from ["choose"] * (len(expression.args) - 1)
        case Relational():
            yield "compare"
        case fma() | times():
            yield type(expression).__name__
        case And() | Or() | Not():
            pass
        case Function():
            yield expression.func.__name__.lower()
    for part in expression.args:
        yield from _done(part)


def _of_product(product: Basic) -> Iterator[str]:
    coefficient, above, below = order.factors(product)
    over, under = (len(side) + (abs(number) != 1) for side, number in ((above, coefficient.p), (below, coefficient.q)))
    yield from ["times"] * (max(over - 1, 0) + max(under - 1, 0)) + ["divide"] * bool(under)
    for factor in (*above, *below):
        if isinstance(factor, Pow):
            yield from _of_power(factor)
        else:
            yield from _done(factor)


def _of_power(power: Pow) -> Iterator[str]:
    exponent = power.exp
    depths = roots(exponent)
    if depths is None or exponent.is_negative:
        yield "power"
        yield from _done(exponent)
    else:
        yield from ["root"] * max(depths, default=0) + ["times"] * (int(exponent) + len(depths) - 1)
    yield from _done(power.base)
