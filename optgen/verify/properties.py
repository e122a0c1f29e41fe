"""Whether the claims of a spec are true: of its equations, by algebra, and of the compiled kernel, by trying.

A proof is attempted only where its cost is small and known beforehand: signs that SymPy can read off, and rational
functions that cancel. A claim that is not proved is no failure; one that the kernel violates is, and the finding holds
the input and both values.

A kernel shows only theta and the states. What a claim says of a local is therefore looked at where the local goes: an
equality is put in the place of the local, and the kernel must follow what comes of that; for an inequality the local
is solved for from the new theta, where it enters that linearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import (
    Abs,
    Dummy,
    Eq,
    Ge,
    Gt,
    Integer,
    Interval,
    Max,
    Min,
    Mul,
    Piecewise,
    Pow,
    Rational,
    S,
    Symbol,
    cancel,
    diff,
    expand_power_base,
    expand_power_exp,
    factor,
    limit,
    oo,
    together,
)
from sympy import sign as signum

from optgen.language import symbols
from optgen.language.noise import normal
from optgen.language.properties import (
    Bounded,
    Claim,
    ConstantGradient,
    EqualTo,
    Equivalent,
    FirstTrue,
    Independent,
    Invariant,
    Limit,
    Monotone,
    Movements,
    NotAlways,
)
from optgen.language.reductions import Reduction
from optgen.language.spec import Optimizer
from optgen.language.symbols import algebraic
from optgen.verify import reference
from optgen.verify.candidate import Candidate, Effort, Finding, Verdict
from optgen.verify.settings import at_switches

PART = "properties"
STEPS = 12
"""The length of a trajectory."""
TOLERANCE = 1e-9
"""For what holds in real arithmetic, relative to the largest that a value has been."""
LARGEST_PROOF = 300
"""Expressions of more operations are not handed to SymPy's algebra, which has no clock."""

Floats = NDArray[Any]
Values = Mapping[str, Any]
"""By name: theta, g, t, states, hyperparameters, and new values as ``m_next``."""
Violations = Iterator[str | None]
"""What a trial finds as it goes on: the input for which a claim does not hold, None where it does."""


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Look at every claim of a spec.

    Parameters
    ----------
    candidate : Candidate
        The module, with the optimizer whose claims they are.
    effort : Effort
        How many elements and settings are tried.

    Yields
    ------
    Finding
        For each claim one of the equations if it could be proved, and one of the kernel.
    """
    for claim in candidate.optimizer.properties:
        if proved(claim, candidate.optimizer):
            yield Finding(PART, str(claim), Verdict.PROVED, "from the equations")
        try:
            violation = tried(claim, candidate, effort)
        except Exception as error:  # noqa: BLE001 - whatever a broken module does is a finding
            violation = f"the module cannot be run: {type(error).__name__}: {error}"
        if violation is None:
            yield Finding(PART, str(claim), Verdict.TESTED, _where(claim, candidate.optimizer))
        else:
            detail = f"{claim} of {candidate.optimizer.name} does not hold\n{violation}"
            yield Finding(PART, str(claim), Verdict.FAILED, detail)


def proved(claim: Claim, optimizer: Optimizer) -> bool:
    """Whether a claim could be proved from the equations; False says nothing against it."""
    rule = Rule(optimizer, claim.given)
    if rule.draws or (rule.reduces and not isinstance(claim, Independent)):
        return False
    prove: Callable[[Any, Rule], bool] = _PROOFS.get(type(claim), _no_proof)
    return prove(claim, rule)


def _where(claim: Claim, optimizer: Optimizer) -> str:
    """Where a claim was tried."""
    rule = Rule(optimizer)
    unseen = (isinstance(claim, Monotone | Bounded) and not observed(plain(claim.expression), rule)[1]) or (
        isinstance(claim, FirstTrue) and not any(value.has(plain(claim.condition)) for _, value in rule.equations)
    )
    if unseen:
        return "in float64; no new value shows it"
    return "on the kernel"


def tried(claim: Claim, candidate: Candidate, effort: Effort) -> str | None:
    """The input for which a kernel violates a claim, with both values; None if none was found."""
    rng = np.random.default_rng(effort.seed)
    trial = Trial(candidate, Rule(candidate.optimizer), claim.given, effort, rng)
    attempt: Callable[[Any, Trial], Violations] = _TRIALS[type(claim)]
    with np.errstate(all="ignore"):
        return next(filter(None, attempt(claim, trial)), None)


# A rule in symbols that have nothing but a name -----------------------------------------------------------------------

T, G, THETA = (Symbol(name, real=True) for name in ("t", "g", "theta"))


def plain(expression: Any) -> Any:
    """An expression in symbols of the same names, which two optimizers share."""
    return algebraic(expression)


def new(symbol: Symbol) -> Symbol:
    """The new value of theta or a state."""
    return Symbol(f"{symbol.name}_next", real=True)


@dataclass(frozen=True)
class Rule:
    """An optimizer for the purposes of algebra.

    Parameters
    ----------
    optimizer : Optimizer
        Which.
    given : pairs
        Hyperparameters that have a value.
    """

    optimizer: Optimizer
    given: tuple[tuple[Any, Any], ...] = ()

    @cached_property
    def fixed(self) -> dict[Any, Any]:
        """What is given."""
        return {plain(symbol): plain(value) for symbol, value in self.given}

    @cached_property
    def states(self) -> tuple[Any, ...]:
        """The states."""
        return tuple(map(plain, self.optimizer.states))

    @cached_property
    def variables(self) -> tuple[Any, ...]:
        """Theta and the states."""
        return (THETA, *self.states)

    @cached_property
    def initial(self) -> dict[Any, Any]:
        """What the states start from."""
        return {plain(state): plain(state.init).xreplace(self.fixed) for state in self.optimizer.states}

    @cached_property
    def equations(self) -> tuple[tuple[Any, Any], ...]:
        """Targets and values in an order in which they can be computed."""
        return tuple((plain(let.target), plain(let.value).xreplace(self.fixed)) for let in self.optimizer.equations)

    @cached_property
    def domains(self) -> dict[Any, Any]:
        """The domains of the hyperparameters that are not given."""
        domains = {plain(hyper): hyper.domain for hyper in self.optimizer.hypers}
        return {hyper: domain for hyper, domain in domains.items() if hyper not in self.fixed}

    @cached_property
    def reduces(self) -> bool:
        """Whether a new value depends on more than one element, which most proofs know nothing of."""
        return any(value.has(Reduction) for _, value in self.equations)

    @cached_property
    def draws(self) -> bool:
        """Whether it draws, and so does something else at every step and element, which these proofs do not see."""
        drawn = any(value.has(normal) for _, value in self.equations)
        return drawn and any(self.expanded(new(symbol)).has(normal) for symbol in self.variables)

    def expanded(self, expression: Any, replaced: Mapping[Any, Any] | None = None, *, new_too: bool = True) -> Any:
        """An expression without locals.

        Parameters
        ----------
        expression : sympy.Basic
            In plain symbols.
        replaced : mapping, optional
            What to put in the place of some targets and conditions instead of what the equations say.
        new_too : bool
            Whether new values are written out as well, so that only old ones are left.
        """
        replaced = replaced or {}
        kept = () if new_too else {new(symbol) for symbol in self.variables}
        result = expression.xreplace(self.fixed).xreplace(replaced)
        for target, value in reversed(self.equations):
            if target not in kept and result.has(target):
                result = result.xreplace({target: value}).xreplace(replaced)
        return result

    def defined(self, target: Any) -> Any:
        """The right-hand side of a target's equation."""
        return dict(self.equations)[target]

    @cached_property
    def nonnegative(self) -> frozenset[Any]:
        """States that are never negative: they start so, and each step keeps them so."""
        kept = {s for s in self.states if _never_negative(self.initial[s], self, frozenset())}
        while True:
            assumed = frozenset(kept)
            kept = {state for state in kept if _never_negative(self.expanded(new(state)), self, assumed)}
            if kept == assumed:
                return assumed


# Algebra --------------------------------------------------------------------------------------------------------------


def signed(expression: Any, rule: Rule, nonnegative: frozenset[Any] | None = None) -> Any:
    """The same function in symbols whose signs SymPy knows.

    A hyperparameter in [0, 1) becomes b/(1 + b) with b >= 0, so that 1 - beta is seen to be positive; its t-th power is
    in the same interval and becomes another such fraction; t becomes 1 + n.
    """
    units = {h: Dummy(h.name, positive=True) for h, domain in rule.domains.items() if domain.is_subset(Interval(0, 1))}
    powers: dict[Any, Any] = {}

    def is_power(node: Any) -> bool:
        return isinstance(node, Pow) and node.exp == T and (node.base in units.values() or _is_fraction(node.base))

    def fraction(node: Any) -> Any:
        return powers.setdefault(node, _unit())

    positive = expression.xreplace({Pow(S.Zero, T): S.Zero}).xreplace(units)
    result = expand_power_exp(positive).replace(is_power, fraction)
    known: dict[Any, Any] = {T: 1 + Dummy("n", integer=True, nonnegative=True)}
    known |= {unit: _unit() for unit in units.values()}
    for hyper, domain in rule.domains.items():
        if hyper not in units and domain.is_subset(Interval(0, oo)):
            known[hyper] = Dummy(hyper.name, **{"nonnegative" if 0 in domain else "positive": True})
    for state in rule.nonnegative if nonnegative is None else nonnegative:
        known[state] = Dummy(state.name, nonnegative=True)
    return result.xreplace(known)


def _unit() -> Any:
    part = Dummy("b", positive=True)
    return part / (1 + part)


def _is_fraction(number: Any) -> bool:
    return isinstance(number, Rational) and 0 < number < 1


def _cases(expression: Any, rule: Rule) -> Iterator[Any]:
    """The expression for each way in which its conditions may come out; at t == 1 states are what they start from."""
    conditions = {pair.args[1] for piecewise in expression.atoms(Piecewise) for pair in piecewise.args} - {S.true}
    ordered = sorted(conditions, key=str)
    for outcome in product((S.true, S.false), repeat=min(len(ordered), 4)):
        chosen = dict(zip(ordered, outcome, strict=False))
        case = expression.xreplace(chosen)
        for condition, truth in chosen.items():
            if truth is S.true and isinstance(condition, Eq) and isinstance(condition.lhs, Symbol):
                case = case.xreplace({condition.lhs: condition.rhs})
                if condition == Eq(T, 1):
                    case = case.xreplace(rule.initial)
        yield case


def _never_negative(expression: Any, rule: Rule, nonnegative: frozenset[Any] | None = None) -> bool:
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
        return enough(holds(case.xreplace({chosen: one})) for one in _operands(chosen))

    return all(map(holds, _cases(expression, rule)))


def _outermost(expression: Any) -> Any:
    """A maximum, minimum or sign that is in no other; None if there is none."""
    found = sorted(expression.atoms(Max, Min, signum), key=str)
    return next((node for node in found if not any(other != node and other.has(node) for other in found)), None)


def _operands(node: Any) -> tuple[Any, ...]:
    """What a maximum, minimum or sign can be."""
    return (S.NegativeOne, S.Zero, S.One) if isinstance(node, signum) else node.args


def _least_at_any(expression: Any, node: Any, rule: Rule, nonnegative: frozenset[Any] | None) -> bool:
    """Whether an expression is never less than with any one operand in the place of a maximum or minimum.

    So it is if it grows with a maximum, or falls with a minimum, in a straight line.
    """
    place = Dummy("place", real=True)
    slope = diff(expression.xreplace({node: place}), place)
    way = {Max: 1, Min: -1}.get(node.func, 0)
    return bool(way) and not slope.has(place) and bool(signed(way * slope, rule, nonnegative).is_nonnegative)


def _vanishes(expression: Any, rule: Rule) -> bool:
    """Whether an expression is zero wherever it is defined."""
    return all(_is_zero(case, rule) for case in _cases(expression, rule))


def _is_zero(expression: Any, rule: Rule) -> bool:
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
        lambda node: expand_power_base(Pow(factor(together(node.base)), node.exp)),
    )
    return bool(cancel(together(value)) == 0)


# Proofs, one function a kind of claim ---------------------------------------------------------------------------------


def _no_proof(_: Claim, __: Rule) -> bool:
    return False


def _monotone_proof(claim: Monotone, rule: Rule) -> bool:
    sign = 1 if claim.direction == "increasing" else -1
    if _grows_with_a_local(sign, plain(claim.expression), rule):
        return True
    value = rule.expanded(plain(claim.expression), new_too=False)
    if not value.free_symbols & {THETA, G, *rule.states, *map(new, rule.variables)}:
        change = sign * (value.xreplace({T: T + 1}) - value)
        return _never_negative(change, rule) or _sign_by_induction(change, rule) == 1
    moved = [symbol for symbol in rule.variables if value.has(new(symbol))]
    if len(moved) != 1 or value.free_symbols & {G, T, *rule.variables}:
        return False
    # A function of one new value: it goes the way that value goes where its slope has one sign.
    (state,) = moved
    change = rule.expanded(new(state)) - state
    slope = diff(value, new(state))
    if state in rule.nonnegative:
        slope = slope.xreplace({new(state): Dummy(state.name, positive=True)})
    return any(_never_negative(sign * way * slope, rule) and _never_negative(way * change, rule) for way in (1, -1))


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
    for one in Mul.make_args(factor(together(whole)).xreplace({symbol: power for power, symbol in powers.items()})):
        steps = (one.xreplace({T: S.One}), one.xreplace({T: T + 1}) - one)
        ways = (
            w for w in (1, -1) if _never_negative(w * one, rule) or all(_never_negative(w * x, rule) for x in steps)
        )
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
        _never_negative(sign * factor(together(slope)), rule)
        and _never_negative(sign * jump, rule)
        and _monotone_proof(Monotone(local), rule)
    )


def _bounded_proof(claim: Bounded, rule: Rule) -> bool:
    value = rule.expanded(plain(claim.expression))
    low, high = (rule.expanded(plain(bound)) for bound in (claim.low, claim.high))
    return (low == -oo or _never_negative(value - low, rule)) and (high == oo or _never_negative(high - value, rule))


def _first_true_proof(claim: FirstTrue, rule: Rule) -> bool:
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
        return _never_negative(-difference, rule)
    return bool(factor(together(signed(-difference, rule))).is_positive)


def _limit_proof(claim: Limit, rule: Rule) -> bool:
    variable = plain(claim.variable)
    if variable == T and claim.to == oo:
        defined, local = _of_one_local(plain(claim.expression), rule)
        if isinstance(defined, Piecewise) and local is not None:
            return _limit_of_choice(defined, local, claim, rule)
    value = rule.expanded(plain(claim.expression) - plain(claim.value))
    if value.has(Max, Min) and variable == T and claim.to == oo:
        value = _squeezed(value, rule)
    return _tends_to_zero(value, variable, claim.to, rule)


def _limit_of_choice(choice: Any, local: Any, claim: Limit, rule: Rule) -> bool:
    """The limit of a continuous function of a local whose own limit is known, past a threshold below that."""
    there = _without_powers(rule.expanded(local), rule)
    (above, condition), *_ = choice.args
    past = isinstance(condition, Gt | Ge) and (condition.lhs - condition.rhs).xreplace({local: there})
    return bool(
        not there.has(T, S.NaN)
        and _tends_to_zero(rule.expanded(local) - there, T, oo, rule)
        and past is not False
        and signed(past, rule).is_positive
        and _is_zero(above.xreplace({local: there}) - plain(claim.value).xreplace(rule.fixed), rule)
    )


def _without_powers(expression: Any, rule: Rule) -> Any:
    """An expression at infinite t but for what grows: beta**t vanishes faster than any power of t grows."""
    units = {h for h, domain in rule.domains.items() if domain.is_subset(Interval.Ropen(0, 1))}
    return expression.replace(
        lambda node: isinstance(node, Pow) and node.exp.has(T) and (node.base in units or _is_fraction(node.base)),
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
        value = _without_powers(cancel(together(value)), rule)
    if not value.has(variable):
        return _is_zero(value, rule) if not value.has(S.NaN) else False
    moving = Symbol(f"{variable}_moving", real=True)  # which `signed` leaves alone
    return bool(_limit(signed(value.xreplace({variable: moving}), rule), moving, to) == 0)


def _limit(value: Any, variable: Any, to: Any) -> Any:
    """SymPy's limit, or NaN where it has no answer."""
    moving = Dummy("x", positive=True)
    try:
        return limit(value.xreplace({variable: moving}), moving, to)
    except NotImplementedError:
        return S.NaN


def _invariant_proof(claim: Invariant, rule: Rule) -> bool:
    c = Dummy("c", positive=True)
    powers = {plain(symbol): power for symbol, power in claim.powers}
    scaled = {symbol: c**power * symbol for symbol, power in powers.items()}
    for symbol in rule.variables:
        factor_ = c ** powers.get(symbol, 0)
        value = rule.expanded(new(symbol))
        if not _vanishes(value.xreplace(scaled) - factor_ * value, rule):
            return False
        start = rule.initial.get(symbol, S.Zero)
        if not _vanishes(start.xreplace(scaled) - factor_ * start, rule):
            return False
    return True


def _independent_proof(claim: Independent, rule: Rule) -> bool:
    of = set(map(plain, claim.of))
    values = [rule.expanded(plain(value)) for value in claim.values]
    if claim.steps is not None:
        values = [value.xreplace({T: Integer(k)}) for value in values for k in range(1, int(claim.steps) + 1)]
    return not any(value.free_symbols & of for value in values)


def _equal_proof(claim: EqualTo, rule: Rule) -> bool:
    """In real arithmetic only: rounding is for the kernel to show."""
    theirs = {state.name for state in claim.other.states}
    if not theirs <= {state.name for state in rule.states}:
        return False
    return _equivalent_proof(Equivalent(claim.other, steps=claim.steps), rule)


def _equivalent_proof(claim: Equivalent, rule: Rule) -> bool:
    other = Rule(claim.other)
    variables = {*other.variables, *map(plain, claim.other.hypers)}
    change = {symbol: symbol.xreplace(rule.fixed) for symbol in variables}
    change |= {plain(symbol): plain(value).xreplace(rule.fixed) for symbol, value in claim.where}
    if any(change[symbol].has(T) for symbol in other.variables):
        return False
    times = [None] if claim.steps is None else [Integer(k) for k in range(1, int(claim.steps) + 1)]
    for symbol in other.variables:
        after = change[symbol].xreplace({mine: new(mine) for mine in rule.variables})
        difference = rule.expanded(after) - other.expanded(new(symbol)).xreplace(change)
        if not all(_vanishes(difference if k is None else difference.xreplace({T: k}), rule) for k in times):
            return False
    starts = ((change[s].xreplace(rule.initial), other.initial[s].xreplace(change)) for s in other.states)
    return all(_vanishes(mine - theirs, rule) for mine, theirs in starts)


def _constant_proof(claim: ConstantGradient, rule: Rule) -> bool:
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
        later = value.xreplace({Eq(T, 1): S.false}).xreplace(others) - form
        if state not in others or not _vanishes(first, rule) or not _vanishes(later, rule):
            return False
    return all(_vanishes(rule.expanded(target, forms) - value, rule) for target, value in wanted.items())


_PROOFS: dict[type, Callable[[Any, Rule], bool]] = {
    Monotone: _monotone_proof,
    Bounded: _bounded_proof,
    FirstTrue: _first_true_proof,
    Limit: _limit_proof,
    Invariant: _invariant_proof,
    Independent: _independent_proof,
    EqualTo: _equal_proof,
    Equivalent: _equivalent_proof,
    ConstantGradient: _constant_proof,
}


# A kernel on trial ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """A kernel, with what is needed to draw inputs for it.

    Parameters
    ----------
    candidate : Candidate
        The module.
    rule : Rule
        Its equations.
    given : pairs
        Hyperparameters that have a value.
    effort : Effort
        How much to draw.
    rng : numpy.random.Generator
        From what.
    """

    candidate: Candidate
    rule: Rule
    given: tuple[tuple[Any, Any], ...]
    effort: Effort
    rng: np.random.Generator

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel, for a model of a matrix, a vector and a stack of matrices."""
        n = max(1, self.effort.draws // 20)
        return Kernel(self.candidate.optimizer, self.candidate.kind, ((n, 8), (4 * n,), (2, n, 4)))

    def settings(self) -> Iterator[dict[str, float]]:
        """Hyperparameters: the defaults, then others, with what is given."""
        hypers = self.candidate.optimizer.hypers
        for k in range(3 + self.effort.draws // 1000):
            values = {hyper.name: hyper.usual if k == 0 else self.hyper(hyper) for hyper in hypers}
            given = {symbol.name: float(self.kernel.evaluated(plain(value), values)[0]) for symbol, value in self.given}
            yield values | given

    def hyper(self, hyper: Any) -> float:
        """A value inside a domain, away from its ends."""
        domain = hyper.domain
        if not isinstance(domain, Interval) or domain.start == -oo:
            return float(hyper.usual)
        low, high = float(domain.start), float(domain.end)
        if math.isinf(high):
            return low + 10 ** self.rng.uniform(-3, -0.5)
        return low + (high - low) * self.rng.uniform(0.05, 0.95)

    def thetas(self) -> Floats:
        """Parameters of every sign."""
        return self.rng.normal(size=self.kernel.size)

    def grads(self, steps: int = STEPS) -> Floats:
        """Gradients of every size, a step a row; an element's own vary by a few powers of ten."""
        shape = (steps, self.kernel.size)
        scales = 10 ** (self.rng.uniform(-4, 4, shape[1:]) + self.rng.uniform(-1, 1, shape))
        grads: Floats = scales * self.rng.normal(size=shape)
        return grads

    def states(self) -> dict[str, Floats]:
        """States out of the blue: nonnegative, which all may be, on both sides of the rule's switches."""

        def draw(name: str, array: Floats) -> Floats:
            values = self.rng.uniform(0.1, 2 if array.shape else 0.9, array.shape)
            return at_switches(self.candidate.optimizer, name, values, self.rng)

        return self.kernel.states(next(self.settings()), self.thetas(), draw)

    def path(self, hypers: Values) -> Iterator[Values]:
        """Steps for a look at what a step does.

        Each is from theta = 0, to which nothing is lost when it is added, unless the rule asks where the others are.
        """
        return self.kernel.walked(hypers, self.start(), self.grads(), back=not self.rule.reduces)

    def start(self) -> Floats:
        """Parameters for such steps."""
        return self.thetas() if self.rule.reduces else np.zeros(self.kernel.size)


@dataclass(frozen=True)
class Kernel:
    """A generated class and a model for it, all of whose elements stand in one flat array.

    Whatever has one value a row, say, or one for the whole model, is shown with it at every element.

    Parameters
    ----------
    optimizer : Optimizer
        What the class claims to compute.
    kind : type
        The class.
    shapes : tuple
        The tensors of the model.
    """

    optimizer: Optimizer
    kind: Any
    shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def size(self) -> int:
        """How many elements the model has."""
        return sum(map(math.prod, self.shapes))

    def tensors(self, flat: Floats) -> list[Floats]:
        """Views of a flat array, one a tensor."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), self.shapes, strict=True)]

    def flat(self, tensors: Sequence[Floats]) -> Floats:
        """What has a value a tensor, or a row of it, say, in one array of all elements."""
        pairs = zip(tensors, self.shapes, strict=True)
        return np.concatenate([np.broadcast_to(values, shape).ravel() for values, shape in pairs])

    def narrowed(self, flat: Floats, like: Sequence[Floats]) -> list[Floats]:
        """The reverse: for each tensor an array as large as another, which broadcasts against it."""
        places = [tuple(map(slice, array.shape)) if array.shape else 0 for array in like]
        wholes = [
            tensor if array.shape else tensor.ravel() for tensor, array in zip(self.tensors(flat), like, strict=True)
        ]
        return [np.array(whole[place]) for whole, place in zip(wholes, places, strict=True)]

    def states(
        self, hypers: Values, theta: Floats, change: Callable[[str, Floats], Floats] = lambda _, array: array
    ) -> dict[str, Floats]:
        """The states before the first step, or what is made of them; some start from theta or g, at the step itself."""
        optimizer = self.kind(self.tensors(theta.copy()), **hypers)
        for name, arrays in self._arrays(optimizer).items():
            for array in arrays:
                array[...] = change(name, array)
        return {name: self.flat(arrays) for name, arrays in self._arrays(optimizer).items()}

    def _arrays(self, optimizer: Any) -> dict[str, Sequence[Floats]]:
        """The states of an optimizer, each with an array a tensor."""
        states = optimizer.state.items()
        return {name: [it] * len(self.shapes) if isinstance(it, np.ndarray) else it for name, it in states}

    def moved(self, theta: Floats, grad: Floats, states: Mapping[str, Floats], *, t: int, hypers: Values) -> Values:
        """One step: what went in and what came out, by name."""
        after = theta.copy()
        optimizer = self.kind(self.tensors(after), **hypers)
        optimizer.load_state_dict({**optimizer.state_dict(), "t": t - 1})
        held = self._arrays(optimizer)
        for name, arrays in held.items():
            for array, given in zip(arrays, self.narrowed(states[name], arrays), strict=True):
                array[...] = given
        optimizer.step(self.tensors(grad))
        new = {"theta_next": after, **{f"{name}_next": self.flat(arrays) for name, arrays in held.items()}}
        values = {"theta": theta, "g": grad, **states, **new, "t": float(t), **hypers}
        inits = {state.name: state.init for state in self.optimizer.states if t == 1}
        read = {name: plain(init) for name, init in inits.items() if init.has(symbols.theta, symbols.g)}
        return {**values, **{name: self.evaluated(init, values) for name, init in read.items()}}

    def walked(self, hypers: Values, theta: Floats, grads: Floats, *, back: bool = False) -> Iterator[Values]:
        """Steps one after another; ``back`` puts theta back to where it was after each."""
        states = self.states(hypers, theta)
        for k, grad in enumerate(grads):
            values = self.moved(theta, grad, states, t=k + 1, hypers=hypers)
            yield values
            theta = theta if back else values["theta_next"]
            states = {name: values[f"{name}_next"] for name in states}

    def evaluated(self, expression: Any, values: Values) -> Floats:
        """The value of an expression in plain symbols for every element, in float64."""
        known = {
            name: self.tensors(np.broadcast_to(values[name], self.size))
            for name in {symbol.name for symbol in expression.free_symbols} & values.keys()
        }
        return self.flat(reference.value(expression, known, self.shapes, int(values.get("t", 0))))


def observed(expression: Any, rule: Rule) -> tuple[Any, bool]:
    """An expression in what a kernel shows, and whether it shows it: else it comes from the equations alone."""
    result = expression
    for target, _ in reversed(rule.equations):
        if result.has(target) and target not in map(new, rule.variables):
            result = result.xreplace({target: _solved(target, rule)})
    return result, bool(result.free_symbols & set(map(new, rule.variables)))


def _solved(local: Any, rule: Rule) -> Any:
    """A local from the first new value that it enters linearly; as the equations have it if there is none."""
    for target in map(new, rule.variables):
        value = rule.expanded(rule.defined(target), {local: Dummy("kept")}, new_too=False)
        dummies = [symbol for symbol in value.free_symbols if isinstance(symbol, Dummy)]
        hidden = any(node.has(*dummies) for node in value.atoms(Piecewise, Reduction))
        if dummies and not hidden and not diff(value, dummies[0], 2):
            slope = diff(value, dummies[0])
            return (target - value.xreplace({dummies[0]: S.Zero})) / slope
    return rule.expanded(rule.defined(local), new_too=False)


def different(
    values: Values, what: str, found: Any, wanted: Any, *, scale: Any = 0.0, tolerance: float = TOLERANCE
) -> str | None:
    """The input with the largest difference, if that is too large.

    Parameters
    ----------
    values : mapping
        What went in.
    what : str
        What is compared.
    found, wanted : arrays
        The two values.
    scale : array
        How large the value has been, beside its present size.
    tolerance : float
        Relative to the scale.
    """
    found, wanted = np.broadcast_arrays(*np.atleast_1d(found, wanted))
    allowed = tolerance * np.maximum(np.abs(wanted), scale)
    fine = (np.abs(found - wanted) <= allowed) | (np.isnan(found) & np.isnan(wanted)) | (found == wanted)
    if fine.all():
        return None
    error = np.where(fine, 0, np.nan_to_num(np.abs(found - wanted) / allowed, nan=np.inf, posinf=np.inf))
    k = int(np.argmax(error))
    return f"{what} is {float(found[k])!r}, should be {float(wanted[k])!r}, for {_input(values, k)}"


def _input(values: Values, k: int) -> str:
    picked = {name: np.atleast_1d(value) for name, value in values.items() if not name.endswith("_next")}
    return ", ".join(f"{name} = {float(value[k if value.size > 1 else 0])!r}" for name, value in picked.items())


# Trials, one function a kind of claim ---------------------------------------------------------------------------------


def _monotone_trial(claim: Monotone, trial: Trial) -> Violations:
    value, _ = observed(plain(claim.expression), trial.rule)
    sign = 1 if claim.direction == "increasing" else -1
    varies = trial.rule.expanded(plain(claim.expression)).free_symbols & {THETA, G, *trial.rule.states}
    for hypers in trial.settings():
        last = None
        for values in trial.path(hypers) if varies else _at_times(trial, hypers):
            now = trial.kernel.evaluated(value, values)
            if last is None and varies and not value.has(T):
                before = {f"{symbol.name}_next": values[symbol.name] for symbol in trial.rule.variables}
                last = trial.kernel.evaluated(value, {**values, **before})
            if last is not None and not (sign * (now - last) >= -TOLERANCE * np.abs(last)).all():
                k = int(np.argmin(sign * (now - last)))
                yield f"it goes from {float(last[k])!r} to {float(now[k])!r} for {_input(values, k)}"
            last = now


def _at_times(trial: Trial, hypers: Values) -> Iterator[Values]:
    """Steps from the same values at later and later times."""
    theta, grad, states = np.zeros(trial.kernel.size), trial.grads(1)[0], trial.states()
    for t in (*range(1, STEPS), *(10**k for k in range(2, 8))):
        yield trial.kernel.moved(theta, grad, states, t=t, hypers=hypers)


def _bounded_trial(claim: Bounded, trial: Trial) -> Violations:
    value, low, high = (observed(plain(side), trial.rule)[0] for side in (claim.expression, claim.low, claim.high))
    for hypers in trial.settings():
        for values in trial.path(hypers):
            now, lowest, highest = (trial.kernel.evaluated(side, values) for side in (value, low, high))
            slack = TOLERANCE * np.abs(now)
            outside = ~((now >= lowest - slack) & (now <= highest + slack))
            if outside.any():
                k = int(np.argmax(outside))
                at, *ends = (float(side[k]) for side in (now, lowest, highest))
                yield f"{at!r} is not between {ends[0]!r} and {ends[1]!r} for {_input(values, k)}"


def _first_true_trial(claim: FirstTrue, trial: Trial) -> Violations:
    """At each step the kernel does what the equations say with the condition true or false as claimed."""
    condition = plain(claim.condition)
    step = math.inf if claim.step is None else int(claim.step)
    times = [*range(1, STEPS + (0 if claim.step is None else int(claim.step))), 100, 1000, 10**6]
    stated = trial.rule.expanded(condition)
    for hypers in trial.settings():
        theta, grad, states = trial.thetas(), trial.grads(1)[0], trial.states()
        for t in times:
            if (trial.kernel.evaluated(stated, {**hypers, "t": float(t)}) != (t >= step)).any():
                yield f"it is {t < step} at t = {t} for {hypers}"
            values = trial.kernel.moved(theta, grad, states, t=t, hypers=hypers)
            yield from _follows(trial, values, {condition: S.true if t >= step else S.false}, f"at t = {t}: ")


def _follows(
    trial: Trial, values: Values, replaced: Mapping[Any, Any], when: str = "", tolerance: float = TOLERANCE
) -> Violations:
    """Whether new values are what the equations say with something put in the place of targets or conditions."""
    for symbol in trial.rule.variables:
        target = new(symbol)
        wanted = trial.rule.expanded(trial.rule.defined(target), replaced, new_too=False)
        scale = np.abs(values[symbol.name])
        yield different(
            values,
            f"{when}the new {symbol}",
            values[target.name],
            trial.kernel.evaluated(wanted, values),
            scale=scale,
            tolerance=tolerance,
        )


def _limit_trial(claim: Limit, trial: Trial) -> Violations:
    """Close to the limit the kernel does what the equations say with the limit in the place of the value."""
    variable, target, value = (plain(part) for part in (claim.variable, claim.expression, claim.value))
    far = 2**52 if claim.to == oo else float(claim.to)
    for hypers in trial.settings():
        at = hypers if variable == T else {**hypers, variable.name: float(far)}
        t = far if variable == T else 1
        values = trial.kernel.moved(trial.start(), trial.grads(1)[0], trial.states(), t=int(t), hypers=at)
        found = observed(target, trial.rule)[0]
        yield different(
            values,
            str(claim.expression),
            trial.kernel.evaluated(found, values),
            trial.kernel.evaluated(value, values),
            tolerance=1e-6,
        )
        if target.is_Symbol:
            yield from _follows(trial, values, {target: value}, tolerance=1e-6)


def _invariant_trial(claim: Invariant, trial: Trial) -> Violations:
    powers = {symbol.name: int(power) for symbol, power in claim.powers}
    for hypers in trial.settings():
        theta, grads = trial.thetas(), trial.grads()
        for c in (2.0**-10, 3.0, 1e6):
            by = {name: c ** powers.get(name, 0) for name in ("theta", "g", *hypers, *map(str, trial.rule.states))}
            scaled = {name: value * by[name] for name, value in hypers.items()}
            one = trial.kernel.walked(hypers, theta, grads)
            other = trial.kernel.walked(scaled, theta * by["theta"], grads * by["g"])
            largest = {str(symbol): np.zeros(trial.kernel.size) for symbol in trial.rule.variables}
            for values, others in zip(one, other, strict=True):
                for name, scale in largest.items():
                    wanted = values[f"{name}_next"] * by[name]
                    np.fmax(scale, np.abs(wanted), out=scale)
                    yield different(
                        others, f"with c = {c:g} the new {name}", others[f"{name}_next"], wanted, scale=scale
                    )


def _independent_trial(claim: Independent, trial: Trial) -> Violations:
    of = {symbol.name for symbol in claim.of}
    for hypers, others in zip(trial.settings(), list(trial.settings())[::-1], strict=True):
        for t in range(1, 1 + (int(claim.steps) if claim.steps is not None else STEPS)):
            one, two = (
                {"theta": trial.thetas(), "g": trial.grads(1)[0], **trial.states(), **values}
                for values in (hypers, others)
            )
            other = {name: two[name] if name in of else value for name, value in one.items()}
            states, names = [str(state) for state in trial.rule.states], list(hypers)
            first, second = (
                trial.kernel.moved(x["theta"], x["g"], {s: x[s] for s in states}, t=t, hypers={h: x[h] for h in names})
                for x in (one, other)
            )
            for value in claim.values:
                changed = ", ".join(sorted(of))
                what = f"with other {changed} the new {value.of}"
                yield different(first, what, second[value.name], first[value.name], tolerance=0)


def _equal_trial(claim: EqualTo, trial: Trial) -> Violations:
    other = replace(trial.kernel, optimizer=claim.other, kind=_kind(trial.candidate, claim.other))
    theirs = {hyper.name for hyper in claim.other.hypers}
    shared = ["theta", *({state.name for state in claim.other.states} & set(map(str, trial.rule.states)))]
    for hypers in trial.settings():
        for dtype in (np.float32, np.float64):
            theta, grads = trial.thetas().astype(dtype), trial.grads(_steps(claim)).astype(dtype)
            taken = {name: value for name, value in hypers.items() if name in theirs}
            walks = (kernel.walked(h, theta, grads) for kernel, h in ((trial.kernel, hypers), (other, taken)))
            for mine, others in zip(*walks, strict=True):
                for name in sorted(shared):
                    found, wanted = mine[f"{name}_next"], others[f"{name}_next"]
                    what = f"in {np.dtype(dtype)} the new {name}"
                    if found.tobytes() != wanted.tobytes():
                        yield different(mine, what, found, wanted, tolerance=0)


def _steps(claim: EqualTo | Equivalent) -> int:
    return STEPS if claim.steps is None else int(claim.steps)


def _kind(candidate: Candidate, other: Optimizer) -> Any:
    """The class of another optimizer: from the same folder, else the one that comes with optgen."""
    shipped = Path(import_module("optgen.generated.cpu").__path__[0])
    path = candidate.path.with_name(f"{other.name}.py")
    if path.exists() and not path.parent.samefile(shipped):
        return _imported(other, path, path.stat().st_mtime_ns)
    return getattr(import_module(f"optgen.generated.cpu.{other.name}"), other.title)


@lru_cache(maxsize=64)
def _imported(optimizer: Optimizer, path: Path, _: int) -> Any:
    return Candidate(optimizer, path).kind


def _equivalent_trial(claim: Equivalent, trial: Trial) -> Violations:
    """The kernel's steps after the change of variables, beside those of the other's equations in float64."""
    kernel, other, where = trial.kernel, claim.other, {symbol.name: plain(value) for symbol, value in claim.where}

    def seen(name: str, values: Values, suffix: str = "") -> Floats:
        renamed = {str(s): values[f"{s}{suffix}"] for s in trial.rule.variables}
        return kernel.evaluated(where.get(name, Symbol(name, real=True)), {**values, **renamed})

    for hypers in trial.settings():
        largest: dict[str, Floats] = {}
        thetas: list[Floats] = []
        states: dict[str, list[Floats]] = {}
        for values in kernel.walked(hypers, trial.thetas(), trial.grads(_steps(claim))):
            taken = {hyper.name: float(seen(hyper.name, values)[0]) for hyper in other.hypers}
            if not thetas:
                thetas = kernel.tensors(seen("theta", values))
                starts = reference.start(other, thetas, hypers=taken)
                states = {name: kernel.narrowed(seen(name, values), start) for name, start in starts.items()}
                known = [state.name for state in other.states if not state.init.has(symbols.g)]
                for name in known:
                    found, wanted = kernel.flat(states[name]), kernel.flat(starts[name])
                    yield different(values, f"at the start {name}", found, wanted)
            t, grads = int(values["t"]), kernel.tensors(values["g"])
            thetas, states = reference.step(other, thetas, grads, states, t, hypers=taken)
            for name, theirs in {"theta": thetas, **states}.items():
                found, wanted = seen(name, values, "_next"), kernel.flat(theirs)
                scale = largest[name] = np.fmax(largest.get(name, 0), np.abs(wanted))
                yield different(values, f"the new {name} of {other.name}", found, wanted, scale=scale)


def _constant_trial(claim: ConstantGradient, trial: Trial) -> Violations:
    """Every new value is what the equations say with the claimed values in their places."""
    wanted = {plain(target): plain(value) for target, value in claim.values}
    for hypers in trial.settings():
        grads = np.broadcast_to(trial.grads(1), (STEPS, trial.kernel.size))
        for values in trial.kernel.walked(hypers, trial.thetas(), grads):
            for target, value in wanted.items():
                if target.name in values:
                    what = f"the new {target.name.removesuffix('_next')}"
                    yield different(values, what, values[target.name], trial.kernel.evaluated(value, values))
            yield from _follows(trial, values, wanted)


def _movements_trial(claim: Movements, trial: Trial) -> Violations:
    """From theta = 0 each time, to which no movement is too small to be added."""
    kernel = trial.kernel
    hypers = next(trial.settings())
    theta = np.zeros(kernel.size)
    optimizer = kernel.kind(kernel.tensors(theta), **hypers)
    t, total = 0, sum(int(times) for _, times in claim.gradients)
    for gradient, times in claim.gradients:
        grads = kernel.tensors(np.full(kernel.size, float(gradient)))
        for _ in range(int(times)):
            t += 1
            theta[:] = 0
            optimizer.step(grads)
            which = t - 1 - total + len(claim.last)
            if which >= 0:
                wanted = kernel.evaluated(plain(claim.last[which]), hypers)
                values = {"g": float(gradient), "t": t, **hypers}
                yield different(values, "the movement", -theta, wanted, tolerance=float(claim.within))


def _not_always_trial(claim: NotAlways, trial: Trial) -> Violations:
    inner = Trial(trial.candidate, trial.rule, claim.claim.given, trial.effort, trial.rng)
    attempt: Callable[[Any, Trial], Violations] = _TRIALS[type(claim.claim)]
    if not any(attempt(claim.claim, inner)):
        yield "no input was found for which it does not hold"


_TRIALS: dict[type, Callable[[Any, Trial], Violations]] = {
    Monotone: _monotone_trial,
    Bounded: _bounded_trial,
    FirstTrue: _first_true_trial,
    Limit: _limit_trial,
    Invariant: _invariant_trial,
    Independent: _independent_trial,
    EqualTo: _equal_trial,
    Equivalent: _equivalent_trial,
    ConstantGradient: _constant_trial,
    Movements: _movements_trial,
    NotAlways: _not_always_trial,
}
