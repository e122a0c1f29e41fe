"""A rule in symbols that have nothing but a name, which two optimizers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sympy import Symbol

from optgen.language.noise import normal
from optgen.language.reductions import Reduction
from optgen.language.spec import Optimizer
from optgen.language.symbols import algebraic

T, G, THETA = (Symbol(name, real=True) for name in ("t", "g", "theta"))


def plain(expression: Any) -> Any:
    """An expression in symbols of the same names, which two optimizers share."""
    return algebraic(expression)


def new(symbol: Symbol) -> Symbol:
    """The new value of theta or a state."""
    return Symbol(f"{symbol.name}_next", real=True)


@dataclass(frozen=True)
class Rule:
    """An optimizer for the purposes of algebra."""

    optimizer: Optimizer  # which
    given: tuple[tuple[Any, Any], ...] = ()  # hyperparameters that have a value

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
        """An expression without locals; of some targets and conditions there is something else than equations say.

        New values are written out as well, so that only old ones are left, unless they are not to be.
        """
        return _expanded(self, expression, tuple((replaced or {}).items()), new_too)

    def defined(self, target: Any) -> Any:
        """The right-hand side of a target's equation."""
        return dict(self.equations)[target]


@lru_cache(maxsize=64)
def rule_of(optimizer: Optimizer, given: tuple[tuple[Any, Any], ...] = ()) -> Rule:
    """The rule, which is the same for every claim that has the same given."""
    return Rule(optimizer, given)


@lru_cache(maxsize=256)  # claims are about the same few values
def _expanded(rule: Rule, expression: Any, replaced: tuple[tuple[Any, Any], ...], new_too: bool) -> Any:  # noqa: FBT001
    put = dict(replaced)
    kept = () if new_too else {new(symbol) for symbol in rule.variables}
    result = expression.xreplace(rule.fixed).xreplace(put)
    for target, value in reversed(rule.equations):
        if target not in kept and result.has(target):
            result = result.xreplace({target: value}).xreplace(put)
    return result
