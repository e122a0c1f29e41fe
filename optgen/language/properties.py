"""Claims: what a spec says of its rule beyond the equations, as data that can be checked.

A claim speaks in the symbols of the optimizer that carries it and must hold for every gradient, every start and every
value of the hyperparameters, but for those that it gives:

>>> claims = (Independent((m.next, v.next), of=theta), EqualTo(adam, given={weight_decay: 0}))
>>> Optimizer("adamw", ..., properties=claims)

Hyperparameters keep their values from step to step in all of them. `optgen.verify.claims` checks claims, on the
equations and on the kernel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from sympy import Basic, Expr, oo

from optgen.errors import Problem
from optgen.language import symbols
from optgen.language.reductions import EXTENTS
from optgen.language.symbols import Named, exact
from optgen.language.text import listed, text

if TYPE_CHECKING:
    from optgen.language.spec import Optimizer


@dataclass(frozen=True)
class Claim(ABC):
    """What all claims have. Mappings and sequences may be given; they are kept as tuples, numbers as SymPy's.

    Parameters
    ----------
    given : mapping of Hyper to number or sympy.Expr
        What some hyperparameters must be for the claim to hold: a number, or an expression in the others.
    """

    about: ClassVar[tuple[str, ...]] = ()
    """Its fields that are made of symbols of the rule."""
    _: KW_ONLY
    given: Any = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _frozen(getattr(self, field.name)))

    @abstractmethod
    def _words(self) -> str:
        """The claim, without what is given."""

    def _spoken(self) -> Iterator[Any]:
        """The expressions in which it speaks of the optimizer that carries it."""
        yield from _flat(getattr(self, name) for name in self.about)
        yield from (value for _, value in self.given)

    def misfits(self, optimizer: Optimizer) -> Iterator[Problem]:
        """What is wrong with it as a claim about an optimizer."""
        known = _names(optimizer)
        hypers = {hyper.name: hyper for hyper in optimizer.hypers}
        for symbol, value in self.given:
            if symbol.name not in hypers:
                yield Problem(f"{symbol} is given, but no hyperparameter of it", f"give one of {', '.join(hypers)}")
            elif value.is_number and value not in hypers[symbol.name].domain:
                domain = hypers[symbol.name].domain
                yield Problem(f"{symbol} = {text(value)} is outside its domain", f"give it a value in {domain}")
        for symbol in sorted({s for expression in self._spoken() for s in expression.free_symbols}, key=str):
            if symbol.name not in known:
                what = f"the claim speaks of {text(symbol)}, which the rule does not have"
                yield Problem(what, "use the symbols of the rule")

    def __str__(self) -> str:
        return self._words() + (f", given {_listed(self.given)}" if self.given else "")


@dataclass(frozen=True)
class Monotone(Claim):
    """A value never decreases, or never increases: from step to step, or with t if it is a function of t alone.

    Parameters
    ----------
    expression : sympy.Expr
        The value.
    direction : {"increasing", "decreasing"}
        Which way it may go.
    """

    about = ("expression",)
    expression: Any
    direction: str = "increasing"

    def _words(self) -> str:
        verb = {"increasing": "decreases", "decreasing": "increases"}[self.direction]
        return f"{text(self.expression)} never {verb}"


@dataclass(frozen=True)
class Bounded(Claim):
    """A value stays between two others.

    Parameters
    ----------
    expression : sympy.Expr
        The value.
    low, high : sympy.Expr or number
        Its bounds, infinite unless given.
    """

    about = ("expression", "low", "high")
    expression: Any
    low: Any = -oo
    high: Any = oo

    def _words(self) -> str:
        low = f"{text(self.low)} <= " if self.low != -oo else ""
        high = f" <= {text(self.high)}" if self.high != oo else ""
        return f"{low}{text(self.expression)}{high}"


@dataclass(frozen=True)
class FirstTrue(Claim):
    """A condition on t and hyperparameters becomes true at a step, not before, and stays so.

    Parameters
    ----------
    condition : sympy relation
        The condition, as it stands in the equations.
    step : int or None
        The first t for which it is true; None if it never is.
    """

    about = ("condition",)
    condition: Any
    step: int | None

    def _words(self) -> str:
        if self.step is None:
            return f"{text(self.condition)} never"
        return f"{text(self.condition)} first at t = {self.step}"


@dataclass(frozen=True)
class Limit(Claim):
    """A value tends to another.

    Parameters
    ----------
    expression : sympy.Expr
        A local, or an expression in t and hyperparameters.
    value : sympy.Expr or number
        What it tends to.
    variable : sympy.Symbol
        What moves: t, unless it is a hyperparameter.
    to : number
        Where it goes.
    """

    about = ("expression", "value", "variable")
    expression: Any
    value: Any
    variable: Any = symbols.t
    to: Any = oo

    def _words(self) -> str:
        return f"{text(self.expression)} -> {text(self.value)} as {text(self.variable)} -> {self.to}"


@dataclass(frozen=True)
class Invariant(Claim):
    """The rule looks the same in other units: scale some symbols, and theta and the states scale as they did before.

    What is not named is not scaled. So theta moves as far as it did, unless theta itself is named.

    Parameters
    ----------
    powers : mapping of sympy.Symbol to int
        By which power of c > 0 each is multiplied: ``{g: 1, v: 2}``.
    """

    about = ("powers",)
    powers: Any

    def _words(self) -> str:
        scaled = (f"{symbol} -> {_power(power)}{symbol}" for symbol, power in self.powers)
        return f"the same for every c > 0 under {', '.join(scaled)}"


@dataclass(frozen=True)
class Independent(Claim):
    """New values do not depend on some of what goes into a step.

    Parameters
    ----------
    values : Next or sequence of Next
        New values of theta or of states.
    of : sympy.Symbol or sequence of sympy.Symbol
        What they do not depend on: theta, g, states or hyperparameters.
    steps : int, optional
        During the first steps only, this many.
    """

    about = ("values", "of")
    values: Any
    of: Any
    steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("values", "of"):
            object.__setattr__(self, name, _tuple(getattr(self, name)))
        super().__post_init__()

    def _words(self) -> str:
        values, of = listed(list(map(text, self.values))), listed(list(map(text, self.of)))
        return f"{values} {'do' if len(self.values) > 1 else 'does'} not depend on {of}{_during(self.steps)}"


@dataclass(frozen=True)
class EqualTo(Claim):
    """The parameters, and the states of the same names, are those of another optimizer, bit for bit.

    Parameters
    ----------
    other : Optimizer
        The other; it takes the hyperparameters of the same names.
    steps : int, optional
        During the first steps only, this many.
    """

    other: Optimizer
    steps: int | None = None

    def _words(self) -> str:
        return f"{self.other.name}, bit for bit{_during(self.steps)}"

    def misfits(self, optimizer: Optimizer) -> Iterator[Problem]:
        """Also the hyperparameters of the other that have no counterpart."""
        yield from super().misfits(optimizer)
        yield from _missing(self.other.hypers, self.other, _names(optimizer))


@dataclass(frozen=True)
class Equivalent(Claim):
    """In real arithmetic, it visits the points of another optimizer, after a change of variables.

    Rules that also round alike are `EqualTo` each other. These need not: where one fuses a product with the sum that
    takes it, the other may round it first, since it is kept in a state or multiplied by one more factor.

    Parameters
    ----------
    other : Optimizer
        The other.
    where : mapping of sympy.Symbol to sympy.Expr
        What the other's theta, states and hyperparameters are in the symbols of this one; those that are not named
        are those of the same names. Hyperparameters may depend on t.
    steps : int, optional
        During the first steps only, this many.
    """

    other: Optimizer
    where: Any = ()
    steps: int | None = None

    def _words(self) -> str:
        change = f" with {_listed(self.where)}" if self.where else ""
        return f"{self.other.name}{change}, in real arithmetic{_during(self.steps)}"

    def _spoken(self) -> Iterator[Any]:
        yield from super()._spoken()
        yield from (value for _, value in self.where)

    def misfits(self, optimizer: Optimizer) -> Iterator[Problem]:
        """Also what the other has and this one cannot express."""
        yield from super().misfits(optimizer)
        theirs = {symbol.name for symbol in (symbols.theta, *self.other.states, *self.other.hypers)}
        for symbol, _ in self.where:
            if symbol.name not in theirs:
                fix = f"use one of {', '.join(sorted(theirs))}"
                yield Problem(f"{symbol} is no variable of {self.other.name}", fix)
        known = _names(optimizer) | {symbol.name for symbol, _ in self.where}
        yield from _missing((*self.other.states, *self.other.hypers), self.other, known)


@dataclass(frozen=True)
class ConstantGradient(Claim):
    """What values are at every step if the gradient is always the same and the first step is t = 1.

    Parameters
    ----------
    values : mapping of Local or Next to sympy.Expr
        What they are, in g, t and hyperparameters.
    """

    about = ("values",)
    values: Any

    def _words(self) -> str:
        return f"for a constant gradient {_listed(self.values)} at every t"


@dataclass(frozen=True)
class Movements(Claim):
    """How far theta moves in the last of many steps.

    Parameters
    ----------
    gradients : sequence of pairs
        The gradients in order, each with how many times it comes: ``((1, 100_000), (1e5, 1))``.
    last : sequence of sympy.Expr
        By how much theta falls in the last steps, as many as are listed.
    within : number
        Relative tolerance.
    """

    about = ("last",)
    gradients: Any
    last: Any
    within: Any = 0.01

    def _words(self) -> str:
        runs = ", ".join(f"{text(value)} {times} times" for value, times in self.gradients)
        return f"after gradients {runs} the last movements are {listed(list(map(text, self.last)))}"


@dataclass(frozen=True)
class NotAlways(Claim):
    """A claim is wrong: there are inputs for which it does not hold.

    Parameters
    ----------
    claim : Claim
        Which.
    """

    claim: Claim

    def _words(self) -> str:
        return f"not always: {self.claim}"

    def misfits(self, optimizer: Optimizer) -> Iterator[Problem]:
        """Those of the claim."""
        return self.claim.misfits(optimizer)


def misclaimed(optimizer: Optimizer) -> list[Problem]:
    """What is wrong with the claims of an optimizer as claims; whether they are true is for the verifier to say."""
    problems = []
    for claim in optimizer.properties:
        if not isinstance(claim, Claim):
            fix = "write Monotone(…), Bounded(…) or another of optgen.language.properties"
            problems.append(Problem(f"the properties hold {claim!r}, which is no claim", fix))
            continue
        try:
            words = str(claim)
            problems += [Problem(problem.what, problem.fix, words) for problem in claim.misfits(optimizer)]
        except (AttributeError, KeyError, TypeError, ValueError):  # of no symbol, no expression, no optimizer
            name = type(claim).__name__
            fix = f"give {name} symbols and expressions of the rule, as help(optgen.properties.{name}) says"
            problems.append(Problem(f"the claim {claim!r} cannot be read", fix))
    return problems


def _names(optimizer: Optimizer) -> set[str]:
    stateful = (symbols.theta, *optimizer.states)
    after = (symbol.next for symbol in stateful)
    found: list[Named] = [symbols.g, symbols.t, *EXTENTS, *stateful, *after, *optimizer.hypers]
    return {symbol.name for symbol in (*found, *(let.target for let in optimizer.step))}


def _missing(theirs: Sequence[Named], other: Optimizer, known: set[str]) -> Iterator[Problem]:
    for symbol in theirs:
        if symbol.name not in known:
            what = f"{other.name} has {symbol}, for which there is nothing here"
            yield Problem(what, f"use Equivalent({other.name}, {{{symbol}: …}})")


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((_frozen(key), exact(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return exact(value) if isinstance(value, float | Expr) or type(value) is int else value


def _tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, Basic) else tuple(value)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from _flat(value) if isinstance(value, tuple) else (value,)


def _listed(pairs: Iterable[tuple[Any, Any]]) -> str:
    return ", ".join(f"{text(symbol)} = {text(value)}" for symbol, value in pairs)


def _during(steps: int | None) -> str:
    return "" if steps is None else f", for {steps} steps"


def _power(power: Any) -> str:
    return {1: "c*", -1: "1/c*"}.get(int(power), f"c**{power}*")
