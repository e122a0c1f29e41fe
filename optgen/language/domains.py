"""From a SymPy set to the bounds that generated code checks."""

from __future__ import annotations

from math import inf
from typing import Any

from sympy import Expr, Interval, Range, S, oo

from optgen.language.symbols import Hyper
from optgen.runtime.core.domain import Domain


def domain_of(hyper: Hyper) -> Domain | None:
    """The bounds of a hyperparameter's domain; None for a set that is neither an interval nor a run of integers."""
    try:
        return _bounds(hyper.domain)
    except (TypeError, ValueError):  # bounds that are no numbers
        return None


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
