"""From a SymPy set to the bounds that generated code checks."""

from __future__ import annotations

from math import inf
from typing import Any

from sympy import Add, Expr, FiniteSet, Integer, Interval, Mod, Mul, Range, S, ceiling, floor, oo

from optgen.language.symbols import Hyper, t
from optgen.runtime.core.domain import Domain


def domain_of(hyper: Hyper) -> Domain | None:
    """The bounds of a hyperparameter's domain; None for a set that is neither an interval nor a run of integers."""
    try:
        return _bounds(hyper.domain)
    except (TypeError, ValueError, NotImplementedError):  # bounds that are no numbers, or that nothing has
        return None


def instead_of_domain(hyper: Hyper) -> str:
    """What to write for a domain that is none."""
    fix = "use an Interval, S.Reals, S.Naturals, S.Naturals0, S.Integers or a Range"
    match hyper.domain:
        case Range(args=(start, end, step)) if abs(step) != 1 and start.is_Integer and end.is_number:
            end = hyper.domain.size if end.is_Integer else "oo"
            return f"{fix} without gaps; count its steps, {start} + {step}*{hyper} with {hyper} in Range(0, {end})"
        case FiniteSet():
            return f"{fix}: the least of them and the greatest are its ends"
    return fix


def is_whole(expression: Expr) -> bool:
    """Whether an expression is a whole number at every step."""
    if isinstance(expression, Hyper):
        domain = domain_of(expression)
        return domain is not None and domain.integer
    if expression == t or isinstance(expression, Integer | floor | ceiling):
        return True
    return isinstance(expression, Add | Mul | Mod) and all(map(is_whole, expression.args))


def _bounds(domain: Any) -> Domain | None:
    match domain:
        case Interval(start=low, end=high, left_open=low_open, right_open=high_open):
            return Domain(_bound(low), _bound(high), bool(low_open), bool(high_open))
        case S.Integers:
            return Domain(integer=True, low_open=True)
        case Range(inf=low, sup=high) as run if run.size != 0 and abs(run.step) == 1:
            return Domain(_bound(low), _bound(high), not low.is_finite, not high.is_finite, integer=True)
        case S.Naturals | S.Naturals0 as naturals:
            return Domain(float(naturals.inf), integer=True)
    return None


def _bound(number: Expr) -> float:
    """A bound as a float, which must not turn it into 0 or an infinity."""
    bound = float(number)
    if bound in (0, inf, -inf) and number not in (0, oo, -oo):
        raise ValueError(f"{number} is no float64")
    return bound
