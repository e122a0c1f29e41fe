"""From a SymPy set to the bounds that generated code checks."""

from __future__ import annotations

from sympy import Interval, Range, S

from optgen.language.symbols import Hyper
from optgen.runtime.domain import Domain


def domain_of(hyper: Hyper) -> Domain | None:
    """The bounds of a hyperparameter's domain; None for a set that is neither an interval nor a run of integers."""
    match hyper.domain:
        case Interval(start=low, end=high, left_open=low_open, right_open=high_open):
            return Domain(float(low), float(high), bool(low_open), bool(high_open))
        case S.Integers:
            return Domain(integer=True, low_open=True)
        case Range(inf=low, sup=high) as run if run.size != 0 and abs(run.step) == 1:
            return Domain(float(low), float(high), not low.is_finite, not high.is_finite, integer=True)
        case S.Naturals | S.Naturals0 as naturals:
            return Domain(float(naturals.inf), integer=True)
    return None
