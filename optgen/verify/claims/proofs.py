"""Proofs of claims from the equations, one function a kind of claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from sympy import Dummy, Ge, Gt, Integer, Max, Min, Piecewise, Pow, S, Symbol, diff, factor, oo, together

from optgen.language import properties
from optgen.language.spec import Optimizer
from optgen.verify.claims.algebra import (
    LARGEST_PROOF,
    degree,
    is_fraction,
    is_zero,
    never_negative,
    nonnegative_states,
    signed,
    vanishes,
)
from optgen.verify.claims.rule import THETA, G, Rule, T, new, plain, rule_of


def proved(claim: properties.Claim, optimizer: Optimizer) -> bool:
    """Whether a claim could be proved from the equations; False says nothing against it."""
    rule = rule_of(optimizer, claim.given)
    if rule.draws or (rule.reduces and not isinstance(claim, properties.Independent)):
        return False
    prove = _PROOFS.get(type(claim))
    return prove is not None and prove(claim, rule)


def _monotone_proof(claim: properties.Monotone, rule: Rule) -> bool:
    sign = 1 if claim.direction == "increasing" else -1
    if _grows_with_a_local(sign, plain(claim.expression), rule):
        return True
    value = rule.expanded(plain(claim.expression), new_too=False)
    if not value.free_symbols & {THETA, G, *rule.states, *map(new, rule.variables)}:
        change = sign * (value.xreplace({T: T + 1}) - value)
        return never_negative(change, rule) or _sign_by_induction(change, rule) == 1
    moved = [symbol for symbol in rule.variables if value.has(new(symbol))]
    if len(moved) != 1 or value.free_symbols & {G, T, *rule.variables}:
        return False
    # A function of one new value: it goes the way that value goes where its slope has one sign.
    (state,) = moved
    change = rule.expanded(new(state)) - state
    slope = diff(value, new(state))
    if state in nonnegative_states(rule):
        slope = slope.xreplace({new(state): Dummy(state.name, positive=True)})
    return any(never_negative(sign * way * slope, rule) and never_negative(way * change, rule) for way in (1, -1))


def _sign_by_induction(expression: Any, rule: Rule) -> int:
    """1 or -1 for a function of t that is never negative or never positive, 0 where that is not known.

    A factor has a sign if it has it at t = 1 and each step goes the same way.
    """
    powers: dict[Any, Any] = {}  # as symbols, for SymPy would make b**(t + 1) of b*b**t
    whole = expression.replace(
        lambda node: isinstance(node, Pow) and (node.exp - T).is_Integer,
        lambda node: node.base ** (node.exp - T) * powers.setdefault(node.base**T, Dummy()),
    )
    if whole.has(Piecewise) or whole.count_ops() > LARGEST_PROOF:
        return 0
    result = 1
    for one in sympy.Mul.make_args(
        factor(together(whole)).xreplace({symbol: power for power, symbol in powers.items()})
    ):
        steps = (one.xreplace({T: S.One}), one.xreplace({T: T + 1}) - one)
        ways = (w for w in (1, -1) if never_negative(w * one, rule) or all(never_negative(w * x, rule) for x in steps))
        result *= next(ways, 0)
    return result


def _of_one_local(expression: Any, rule: Rule) -> tuple[Any, Any]:
    """The definition of a local, and the only other local in it once those that are the same at every t are gone."""
    defined = dict(rule.equations)
    if expression not in defined or expression in map(new, rule.variables):
        return expression, None
    value = defined[expression]
    while found := value.free_symbols & defined.keys():
        fixed = {one: defined[one] for one in found if not rule.expanded(one).has(T)}
        if not fixed:
            break
        value = value.xreplace(fixed)
    moving = found if found and value.free_symbols.isdisjoint({T, G, *rule.variables}) else ()
    return value, next(iter(moving)) if len(moving) == 1 else None


def _grows_with_a_local(sign: int, expression: Any, rule: Rule) -> bool:
    """Whether a local only grows, and another with it once it is above a threshold, from a constant before."""
    value, local = _of_one_local(expression, rule)
    if not isinstance(value, Piecewise) or local is None or len(value.args) != 2:  # noqa: PLR2004 - one threshold
        return False
    (above, condition), (before, _) = value.args
    if not isinstance(condition, Gt | Ge) or condition.lhs != local or before.has(local) or condition.rhs.has(local):
        return False
    inside = above.base if isinstance(above, Pow) and above.exp == S.Half else above
    over = condition.rhs + Dummy("over", positive=True)
    slope, jump = diff(inside, local).xreplace({local: over}), above.xreplace({local: condition.rhs}) - before
    return (
        never_negative(sign * factor(together(slope)), rule)
        and never_negative(sign * jump, rule)
        and _monotone_proof(properties.Monotone(local), rule)
    )


def _bounded_proof(claim: properties.Bounded, rule: Rule) -> bool:
    value = rule.expanded(plain(claim.expression))
    low, high = (rule.expanded(plain(bound)) for bound in (claim.low, claim.high))
    return (low == -oo or never_negative(value - low, rule)) and (high == oo or never_negative(high - value, rule))


def _first_true_proof(claim: properties.FirstTrue, rule: Rule) -> bool:
    condition = rule.expanded(plain(claim.condition))
    if claim.step is None:
        return isinstance(condition, Gt | Ge) and _never_positive(condition.lhs - condition.rhs, condition, rule)
    if condition.free_symbols != {T}:
        return False
    last = int(claim.step)
    return all(condition.xreplace({T: Integer(k)}) == (k == last) for k in range(1, last + 1))


def _never_positive(difference: Any, condition: Any, rule: Rule) -> bool:
    """Whether a difference is never above 0, nor 0 if the condition would hold there."""
    if isinstance(condition, Gt):
        return never_negative(-difference, rule)
    return bool(factor(together(signed(-difference, rule))).is_positive)


def _limit_proof(claim: properties.Limit, rule: Rule) -> bool:
    variable = plain(claim.variable)
    if variable == T and claim.to == oo:
        defined, local = _of_one_local(plain(claim.expression), rule)
        if isinstance(defined, Piecewise) and local is not None:
            return _limit_of_choice(defined, local, claim, rule)
    value = rule.expanded(plain(claim.expression) - plain(claim.value))
    if value.has(Max, Min) and variable == T and claim.to == oo:
        value = _squeezed(value, rule)
    return _tends_to_zero(value, variable, claim.to, rule)


def _limit_of_choice(choice: Any, local: Any, claim: properties.Limit, rule: Rule) -> bool:
    """The limit of a continuous function of a local whose own limit is known, past a threshold below that."""
    there = _without_powers(rule.expanded(local), rule)
    (above, condition), *_ = choice.args
    past = isinstance(condition, Gt | Ge) and (condition.lhs - condition.rhs).xreplace({local: there})
    return bool(
        not there.has(T, S.NaN)
        and _tends_to_zero(rule.expanded(local) - there, T, oo, rule)
        and past is not False
        and signed(past, rule).is_positive
        and is_zero(above.xreplace({local: there}) - plain(claim.value).xreplace(rule.fixed), rule)
    )


def _without_powers(expression: Any, rule: Rule) -> Any:
    """An expression at infinite t but for what grows: beta**t vanishes faster than any power of t grows."""
    units = {h for h, domain in rule.domains.items() if domain.is_subset(sympy.Interval.Ropen(0, 1))}
    return expression.replace(
        lambda node: isinstance(node, Pow) and node.exp.has(T) and (node.base in units or is_fraction(node.base)),
        lambda node: S.Zero if (node.exp / T).is_positive else S.NaN,
    )


def _squeezed(value: Any, rule: Rule) -> Any:
    """A value in which the bounds of maxima and minima have gone where they go with t.

    What is between two bounds that meet is where they meet.
    """
    inner = {G, *rule.variables}

    def settled(bound: Any) -> Any:
        if not bound.has(T) or bound.free_symbols & inner:
            return bound
        return _limit(_without_powers(bound, rule), T, oo)

    def closed(node: Any) -> Any:
        return node.func(*map(settled, node.args))

    return value.replace(lambda node: isinstance(node, Max | Min), closed)


def _tends_to_zero(value: Any, variable: Any, to: Any, rule: Rule) -> bool:
    if value.count_ops() > LARGEST_PROOF or value.has(Piecewise):
        return False
    if variable == T and to == oo:
        value = _without_powers(sympy.cancel(together(value)), rule)
    if not value.has(variable):
        return is_zero(value, rule) if not value.has(S.NaN) else False
    moving = Symbol(f"{variable}_moving", real=True)  # which `signed` leaves alone
    return bool(_limit(signed(value.xreplace({variable: moving}), rule), moving, to) == 0)


def _limit(value: Any, variable: Any, to: Any) -> Any:
    """SymPy's limit, or NaN where it has no answer."""
    moving = Dummy("x", positive=True)
    try:
        return sympy.limit(value.xreplace({variable: moving}), moving, to)
    except NotImplementedError:
        return S.NaN


def _invariant_proof(claim: properties.Invariant, rule: Rule) -> bool:
    c = Dummy("c", positive=True)
    powers = {plain(symbol): power for symbol, power in claim.powers}
    scaled = {symbol: c**power * symbol for symbol, power in powers.items()}

    def scales(value: Any, power: Any) -> bool:
        seen = value == 0 or degree(value, powers) == power
        return seen or vanishes(value.xreplace(scaled) - c**power * value, rule)

    return all(
        scales(value, powers.get(symbol, 0))
        for symbol in rule.variables
        for value in (rule.expanded(new(symbol)), rule.initial.get(symbol, S.Zero))
    )


def _independent_proof(claim: properties.Independent, rule: Rule) -> bool:
    of = set(map(plain, claim.of))
    values = [rule.expanded(plain(value)) for value in claim.values]
    if claim.steps is not None:
        values = [value.xreplace({T: Integer(k)}) for value in values for k in range(1, int(claim.steps) + 1)]
    return not any(value.free_symbols & of for value in values)


def _equal_proof(claim: properties.EqualTo, rule: Rule) -> bool:
    """In real arithmetic only: rounding is for the kernel to show."""
    theirs = {state.name for state in claim.other.states}
    if not theirs <= {state.name for state in rule.states}:
        return False
    return _equivalent_proof(properties.Equivalent(claim.other, steps=claim.steps), rule)


def _equivalent_proof(claim: properties.Equivalent, rule: Rule) -> bool:
    other = rule_of(claim.other)
    variables = {*other.variables, *map(plain, claim.other.hypers)}
    change = {symbol: symbol.xreplace(rule.fixed) for symbol in variables}
    change |= {plain(symbol): plain(value).xreplace(rule.fixed) for symbol, value in claim.where}
    if any(change[symbol].has(T) for symbol in other.variables):
        return False
    times = [None] if claim.steps is None else [Integer(k) for k in range(1, int(claim.steps) + 1)]
    for symbol in other.variables:
        after = change[symbol].xreplace({mine: new(mine) for mine in rule.variables})
        difference = rule.expanded(after) - other.expanded(new(symbol)).xreplace(change)
        if not all(vanishes(difference if k is None else difference.xreplace({T: k}), rule) for k in times):
            return False
    starts = ((change[s].xreplace(rule.initial), other.initial[s].xreplace(change)) for s in other.states)
    return all(vanishes(mine - theirs, rule) for mine, theirs in starts)


def _constant_proof(claim: properties.ConstantGradient, rule: Rule) -> bool:
    """By induction over t, once the values that are claimed have told what the states are."""
    wanted = {plain(target): plain(value).xreplace(rule.fixed) for target, value in claim.values}
    forms: dict[Any, Any] = {}
    for target, value in wanted.items():
        equation = rule.expanded(target, new_too=False) - value
        unknown = [state for state in rule.states if equation.has(new(state)) and new(state) not in forms]
        if len(unknown) == 1 and not diff(equation, new(unknown[0]), 2):
            name = new(unknown[0])
            forms[name] = -equation.xreplace({name: S.Zero}) / diff(equation, name)
    for name, form in forms.items():
        if form.free_symbols & {THETA, *rule.variables, *map(new, rule.variables)}:
            return False
        state = next(state for state in rule.states if new(state) == name)
        value = rule.expanded(name)
        others = {other: forms[new(other)].xreplace({T: T - 1}) for other in rule.states if new(other) in forms}
        first = value.xreplace(rule.initial).xreplace({T: S.One}) - form.xreplace({T: S.One})
        later = value.xreplace({sympy.Eq(T, 1): S.false}).xreplace(others) - form
        if state not in others or not vanishes(first, rule) or not vanishes(later, rule):
            return False
    return all(vanishes(rule.expanded(target, forms) - value, rule) for target, value in wanted.items())


_PROOFS: dict[type, Callable[[Any, Rule], bool]] = {
    properties.Monotone: _monotone_proof,
    properties.Bounded: _bounded_proof,
    properties.FirstTrue: _first_true_proof,
    properties.Limit: _limit_proof,
    properties.Invariant: _invariant_proof,
    properties.Independent: _independent_proof,
    properties.EqualTo: _equal_proof,
    properties.Equivalent: _equivalent_proof,
    properties.ConstantGradient: _constant_proof,
}
