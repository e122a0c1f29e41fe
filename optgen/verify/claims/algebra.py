"""What algebra can see of an expression at a cost that is small and known beforehand: its sign, whether it is 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import sympy
from sympy import Abs, Add, Dummy, Eq, Interval, Max, Min, Mul, Piecewise, Pow, Rational, S, diff, factor, together
from sympy import sign as signum

from optgen.verify.claims.rule import Rule, T, new

LARGEST_PROOF = 300
"""Expressions of more operations are not handed to SymPy's algebra, which has no clock."""


def signed(expression: Any, rule: Rule, nonnegative: frozenset[Any] | None = None) -> Any:
    """The same function in symbols whose signs SymPy knows.

    A hyperparameter in [0, 1) becomes b/(1 + b) with b >= 0, so that 1 - beta is seen to be positive; its t-th power is
    in the same interval and becomes another such fraction; t becomes 1 + n.
    """
    units, known = _known(rule, nonnegative_states(rule) if nonnegative is None else nonnegative)

    def is_power(node: Any) -> bool:
        return isinstance(node, Pow) and node.exp == T and (node.base in units.values() or is_fraction(node.base))

    positive = expression.xreplace({Pow(S.Zero, T): S.Zero}).xreplace(units)
    return sympy.expand_power_exp(positive).replace(is_power, _unit).xreplace(known)


@lru_cache(maxsize=64)  # the same symbols each time, so that SymPy finds in its cache what it knows of them
def _known(rule: Rule, nonnegative: frozenset[Any]) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    """What stands for hyperparameters in [0, 1) while their powers are looked for, and then for what."""
    units = {h: Dummy(h.name, positive=True) for h, domain in rule.domains.items() if domain.is_subset(Interval(0, 1))}
    known: dict[Any, Any] = {T: 1 + Dummy("n", integer=True, nonnegative=True)}
    known |= {unit: _unit(unit) for unit in units.values()}
    for hyper, domain in rule.domains.items():
        if hyper not in units and domain.is_subset(Interval(0, sympy.oo)):
            known[hyper] = Dummy(hyper.name, **{"nonnegative" if 0 in domain else "positive": True})
    return units, known | {state: Dummy(state.name, nonnegative=True) for state in nonnegative}


@lru_cache(maxsize=256)
def _unit(_of: Any) -> Any:
    """A number between 0 and 1 that stands for something."""
    part = Dummy("b", positive=True)
    return part / (1 + part)


def is_fraction(number: Any) -> bool:
    """Whether a node is a number between 0 and 1."""
    return isinstance(number, Rational) and 0 < number < 1


def _cases(expression: Any, rule: Rule) -> Iterator[Any]:
    """The expression for each way in which its conditions may come out; at t == 1 states are what they start from."""
    conditions = {pair.args[1] for piecewise in expression.atoms(Piecewise) for pair in piecewise.args} - {S.true}
    ordered = sorted(conditions, key=str)
    for outcome in product((S.true, S.false), repeat=min(len(ordered), 4)):
        chosen = dict(zip(ordered, outcome, strict=False))
        case = expression.xreplace(chosen)
        for condition, truth in chosen.items():
            if truth is S.true and isinstance(condition, Eq) and isinstance(condition.lhs, sympy.Symbol):
                case = case.xreplace({condition.lhs: condition.rhs})
                if condition == Eq(T, 1):
                    case = case.xreplace(rule.initial)
        yield case


def never_negative(expression: Any, rule: Rule, nonnegative: frozenset[Any] | None = None) -> bool:
    """Whether an expression is seen never to be negative, whatever its conditions; False says nothing against it."""

    def holds(case: Any) -> bool:
        if case.count_ops() > LARGEST_PROOF:
            return False
        value = signed(case, rule, nonnegative)
        if value.is_nonnegative or factor(together(value)).is_nonnegative:
            return True
        chosen = _outermost(case)
        if chosen is None:
            return False
        enough = any if _least_at_any(case, chosen, rule, nonnegative) else all
        operands = (S.NegativeOne, S.Zero, S.One) if isinstance(chosen, signum) else chosen.args
        return enough(holds(case.xreplace({chosen: one})) for one in operands)

    return all(map(holds, _cases(expression, rule)))


def _outermost(expression: Any) -> Any:
    """A maximum, minimum or sign that is in no other; None if there is none."""
    found = sorted(expression.atoms(Max, Min, signum), key=str)
    return next((node for node in found if not any(other != node and other.has(node) for other in found)), None)


def _least_at_any(expression: Any, node: Any, rule: Rule, nonnegative: frozenset[Any] | None) -> bool:
    """Whether an expression is never less than with any one operand in the place of a maximum or minimum.

    So it is if it grows with a maximum, or falls with a minimum, in a straight line.
    """
    place = Dummy("place", real=True)
    slope = diff(expression.xreplace({node: place}), place)
    way = {Max: 1, Min: -1}.get(node.func, 0)
    return bool(way) and not slope.has(place) and bool(signed(way * slope, rule, nonnegative).is_nonnegative)


@lru_cache(maxsize=64)
def nonnegative_states(rule: Rule) -> frozenset[Any]:
    """States that are never negative: they start so, and each step keeps them so."""
    kept = {s for s in rule.states if never_negative(rule.initial[s], rule, frozenset())}
    while True:
        assumed = frozenset(kept)
        kept = {state for state in kept if never_negative(rule.expanded(new(state)), rule, assumed)}
        if kept == assumed:
            return assumed


def degree(expression: Any, powers: Mapping[Any, Any]) -> Any:
    """The power of c with which an expression grows if each symbol does with its own, for every c > 0.

    None if that is not seen from how it is written.
    """
    match expression:
        case sympy.Symbol():
            return powers.get(expression, S.Zero)
        case Mul():
            found = [degree(factor, powers) for factor in expression.args]
            return None if None in found else sum(found)
        case Pow(base=base, exp=exponent) if exponent.is_number:
            of_base = degree(base, powers)
            return None if of_base is None else of_base * exponent
        case Add() | Max() | Min() | Abs():
            return _degree_of_all(expression.args, powers)
        case Piecewise():
            relations = expression.atoms(sympy.core.relational.Relational)
            same = all(_degree_of_all(relation.args, powers) is not None for relation in relations)
            return _degree_of_all([value for value, _ in expression.args], powers) if same else None
        case signum():
            return None if degree(expression.args[0], powers) is None else S.Zero
    return S.Zero if all(degree(part, powers) == 0 for part in expression.args) else None


def _degree_of_all(parts: Sequence[Any], powers: Mapping[Any, Any]) -> Any:
    """The degree that all of them have, of which 0 has any; None if they differ."""
    first, *others = {degree(part, powers) for part in parts if part != 0} or {S.Zero}
    return None if others else first


def vanishes(expression: Any, rule: Rule) -> bool:
    """Whether an expression is zero wherever it is defined."""
    return all(is_zero(case, rule) for case in _cases(expression, rule))


def is_zero(expression: Any, rule: Rule) -> bool:
    """Whether an expression without conditions is zero wherever it is defined; False says nothing against it."""
    if expression == 0:
        return True
    if expression.count_ops() > LARGEST_PROOF:
        return False
    if expression.has(Max, Min):
        expression = expression.rewrite(Abs)
    value = signed(expression, rule)
    value = value.replace(lambda node: isinstance(node, Abs), lambda node: Abs(factor(node.args[0])))
    value = value.replace(
        lambda node: isinstance(node, Abs) and isinstance(node.args[0], Abs), lambda node: node.args[0]
    )
    value = value.replace(
        lambda node: isinstance(node, Pow) and node.exp.is_Rational and not node.exp.is_integer,
        lambda node: sympy.expand_power_base(Pow(factor(together(node.base)), node.exp)),
    )
    return bool(sympy.cancel(together(value)) == 0)
