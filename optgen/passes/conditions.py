"""Whether conditions that the host decides can hold together: what cannot happen gets no branch.

The answer is no only where that follows: from what a condition says of an expression that others speak of too, from the
steps, of which so many are tried that all others repeat them, and from what t equals. It is in real arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from math import ceil, floor, inf, isinf, lcm
from typing import Any

import sympy
from sympy import And, Eq, Expr, Integer, Mod, Mul, Ne, Not, Or, S, cancel
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from optgen.language.domains import domain_of, is_whole
from optgen.language.graph import nodes, replaced
from optgen.language.sums import is_sum, plain
from optgen.language.symbols import Hyper, Named, t

MOST_NODES = 200
"""Larger expressions are not looked into."""
MOST_STEPS = 2000
"""So many steps are tried at most."""
MOST_ALTERNATIVES = 64
"""So many ways of being true."""


def can_hold(condition: Boolean, known: Mapping[Named, Expr]) -> bool:
    """Whether a condition in STEP values can hold at any step, given what the locals among them stand for."""
    ways = list(islice(_alternatives([_expanded(condition, known)], ()), MOST_ALTERNATIVES + 1))
    return len(ways) > MOST_ALTERNATIVES or any(map(_is_consistent, ways))


def _expanded(condition: Boolean, known: Mapping[Named, Expr]) -> Any:
    """A condition in t, hyperparameters and numbers, where it is no too large one then."""
    whole = condition
    while any(name in known for name in whole.free_symbols):
        whole = replaced(whole, known)
        if len(nodes(whole)) > MOST_NODES:
            return condition
    return plain(whole)


def _alternatives(left: Sequence[Any], done: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The ways in which all conditions hold, each as parts that are neither ``and`` nor ``or``."""
    if not left:
        yield done
        return
    first, *rest = left
    if isinstance(first, Not) and isinstance(first.args[0], And | Or):
        other = Or if isinstance(first.args[0], And) else And
        first = other(*map(Not, first.args[0].args))
    if isinstance(first, And):
        yield from _alternatives([*first.args, *rest], done)
    elif isinstance(first, Or):
        for part in first.args:
            yield from _alternatives([part, *rest], done)
    elif first is not S.false:
        yield from _alternatives(rest, done if first is S.true else (*done, first))


def _is_consistent(parts: Sequence[Any]) -> bool:
    relations = [part for part in parts if isinstance(part, Relational)]
    ranges = _ranges(relations)
    if any(Not(part) in parts for part in parts) or ranges is None or not _at_what_t_equals(relations):
        return False
    of_t = ranges.get(t)
    if of_t is not None and of_t.high - of_t.low < MOST_ALTERNATIVES:
        steps = range(ceil(of_t.low), floor(of_t.high) + 1)
        return any(_ranges([_at(part, step) for part in relations]) is not None for step in steps)
    on_t = [part for part in relations if part.free_symbols == {t} and _period(part.lhs - part.rhs)]
    tried = _steps([part.lhs - part.rhs for part in on_t])
    return tried is None or any(all(_at(part, step) is S.true for part in on_t) for step in tried)


def _at_what_t_equals(relations: Sequence[Any]) -> bool:
    """Whether the others can hold where one says that t equals an expression."""
    for part in relations:
        if isinstance(part, Eq) and t in part.args:
            other = next(side for side in part.args if side != t)
            if t not in other.free_symbols and _ranges([x.xreplace({t: other}) for x in relations]) is None:
                return False
    return True


@lru_cache(2**14)
def _at(relation: Any, step: int) -> Any:
    """A relation at a step, in numbers if it is one of numbers then."""
    there = relation.xreplace({t: Integer(step)})
    if not isinstance(there, Relational):
        return there
    difference = cancel(there.lhs - there.rhs)
    return there.func(difference, 0) if difference.is_number else there


# What relations say of the expressions that they compare ------------------------------------------------------------


@dataclass(frozen=True)
class _Range:
    """Where an expression may lie."""

    low: Any = -inf
    high: Any = inf
    low_open: bool = False
    high_open: bool = False
    without: frozenset[Any] = frozenset()

    def under(self, relation: type, bound: Any) -> _Range:
        """What is left where a relation with a number holds."""
        found = self
        if relation is Ne:
            return replace(found, without=found.without | {bound})
        is_open = relation in (sympy.Gt, sympy.Lt)
        if relation in (sympy.Gt, sympy.Ge, Eq) and (bound, is_open) > (found.low, found.low_open):
            found = replace(found, low=bound, low_open=is_open)
        if relation in (sympy.Lt, sympy.Le, Eq) and (-bound, is_open) > (-found.high, found.high_open):
            found = replace(found, high=bound, high_open=is_open)
        return found

    def of_integers(self) -> _Range:
        """The range from its first integer to its last."""
        low, high = self.low, self.high
        if low != -inf:
            low = floor(low) + 1 if self.low_open else ceil(low)
            low = next(k for k in range(low, low + len(self.without) + 1) if k not in self.without)
        if high != inf:
            high = ceil(high) - 1 if self.high_open else floor(high)
            high = next(k for k in range(high, high - len(self.without) - 1, -1) if k not in self.without)
        return _Range(low, high)

    @property
    def is_empty(self) -> bool:
        point = self.low == self.high and (self.low_open or self.high_open or self.low in self.without)
        return bool(self.low > self.high or point)


def _ranges(relations: Sequence[Any]) -> dict[Expr, _Range] | None:
    """Where each expression may lie that relations compare with numbers; None if one is nowhere."""
    found: dict[Expr, _Range] = {}
    for relation in relations:
        if relation is S.true or relation is S.false:
            if relation is S.false:
                return None
            continue
        constant, rest = plain(relation.lhs - relation.rhs).as_coeff_Add()
        content, compared = rest.as_content_primitive()
        if compared.could_extract_minus_sign():
            content, compared = -content, -compared
        how = relation.func if content > 0 else relation.reversed.func
        bound = -constant / content
        held = found.get(compared, _by_nature(compared)).under(how, Fraction(bound.p, bound.q))
        held = held.of_integers() if is_whole(compared) else held
        if held.is_empty:
            return None
        found[compared] = held
    return found


def _by_nature(expression: Expr) -> _Range:
    """Where an expression lies whatever conditions say."""
    if expression == t:
        return _Range(1)
    if isinstance(expression, Hyper) and (domain := domain_of(expression)) is not None:
        low, high = (end if isinf(end) else Fraction(end) for end in (domain.low, domain.high))
        return _Range(low, high, domain.low_open, domain.high_open)
    if isinstance(expression, Mod) and expression.args[1].is_Rational and expression.args[1].is_positive:
        return _Range(0, Fraction(expression.args[1].p, expression.args[1].q), high_open=True)
    return _Range()


# Steps after which all repeats --------------------------------------------------------------------------------------


def _period(value: Expr) -> tuple[int, Any] | None:
    """After how many steps a value of t alone is what it was but for a constant, and that constant."""
    if value == t:
        return 1, Integer(1)
    if value.is_Rational:
        return 1, Integer(0)
    found = [_period(argument) for argument in value.args]
    if not found or None in found:
        return None
    parts = [part for part in found if part is not None]
    steps = lcm(*(period for period, _ in parts))
    drifts = [drift * (steps // period) for period, drift in parts]
    if is_sum(value):
        return steps, sum(drifts, Integer(0))
    if isinstance(value, Mul) and len(drifts) == 2 and value.args[0].is_Rational:  # noqa: PLR2004
        return steps, value.args[0] * drifts[1]
    if isinstance(value, sympy.floor | sympy.ceiling):
        return steps * drifts[0].q, drifts[0] * drifts[0].q
    if isinstance(value, Mod) and value.args[1].is_Rational and value.args[1] != 0:
        return steps * (drifts[0] / value.args[1]).q, Integer(0)
    return None if any(drifts) else (steps, Integer(0))


def _steps(values: Sequence[Expr]) -> list[int] | None:
    """Steps that show every way in which values are above, at or below zero together; None if they are too many."""
    periods = [(value, *found) for value in values if (found := _period(value)) is not None]
    together = lcm(*(steps for _, steps, _ in periods))
    if together > MOST_STEPS:
        return None
    runs = [range(1, together + 1)]
    for value, steps, drift in periods:
        if drift:  # its sign is settled but for where it crosses zero
            rest = [value.xreplace({t: Integer(k)}) - drift * k / steps for k in range(1, steps + 1)]
            first, last = sorted(-each * steps / drift for each in (min(rest), max(rest)))
            runs.append(range(max(1, floor(first) - 1), max(1, ceil(last) + 1 + together + 1)))
    return sorted(set().union(*runs)) if sum(map(len, runs)) <= MOST_STEPS else None
