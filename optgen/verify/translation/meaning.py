"""What functions and operators of generated code mean, as algebra, and what is taken to be true of scalars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import sympy
from sympy import And, Expr, Integer, Mul, Not, Or, Piecewise, Rational, S, exp, log
from sympy.core.relational import Relational

from optgen.language import reductions
from optgen.language.sums import negated, plain
from optgen.language.text import text


def _exponential(x: Expr) -> Expr:
    """``exp(x)``, with ``exp(n*log(b))`` as ``b**n``; bases here are hyperparameters that cannot be negative."""
    logs = [factor for factor in Mul.make_args(x) if isinstance(factor, log)]
    return logs[0].args[0] ** (x / logs[0]) if len(logs) == 1 else exp(x)


_SCALE = Integer(2) ** 540
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": sympy.Abs,
    "atan2": sympy.atan2,
    "ceil": sympy.ceiling,
    "cos": sympy.cos,
    "erf": sympy.erf,
    "exp": _exponential,
    "expm1": lambda x: _exponential(x) - 1,
    "finite": reductions.finite,
    "floor": sympy.floor,
    "fma": lambda a, b, c: a * b + c,
    # What they are does not matter, for they are only right where one is added to the other.
    "head": lambda x: x / 3,
    "tail": lambda x: 2 * x / 3,
    "log": log,
    "log1p": lambda x: log(1 + x),
    "maximum": sympy.Max,
    "mean_age": lambda t, b, less: 1 / (1 - b) - t * b**t / (1 - b**t) - less,
    "minimum": sympy.Min,
    "powm1": lambda b, x: b**x - 1,
    "root_of_squares": lambda x, shrunk, stretched: sympy.sqrt((x + shrunk * _SCALE**2 + stretched / _SCALE**2) / 3),
    "shrunk": lambda x: x / _SCALE,
    "sign": sympy.sign,
    "sin": sympy.sin,
    "sqrt": sympy.sqrt,
    "stretched": lambda x: x * _SCALE,
    "tan": sympy.tan,
    "tanh": sympy.tanh,
    "times": lambda a, b: a * b,
    "where": lambda condition, a, b: Piecewise((a, condition), (b, True)),
}
"""What generated code may call, as algebra. The sums that a norm is made of have to agree; what they leave out would
not be seen where they are used."""
OPERATORS: Mapping[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, *b: a - b[0] if b else negated(a),
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: Whole(a, b),  # noqa: PLW0108 - it comes below
    "**": lambda a, b: a**b,
    "%": sympy.Mod,
    "&": And,
    "|": Or,
    "not": Not,
    "if": FUNCTIONS["where"],
    "==": sympy.Eq,
    "!=": sympy.Ne,
    "<": sympy.Lt,
    "<=": sympy.Le,
    ">": sympy.Gt,
    ">=": sympy.Ge,
}


@lru_cache(maxsize=4096)  # modules of a rule ask the same, and SymPy takes long to see nothing in a maximum or a root
def meant(name: str, *arguments: Any) -> Any:
    """What an operator, or a function, makes of numbers; None if it is neither."""
    meaning = OPERATORS.get(name) or FUNCTIONS.get(name)
    found = None if meaning is None else S(meaning(*arguments))
    return plain(found) if isinstance(found, Expr) else found


class Whole(sympy.Function):
    """An integer divided by one, rounded down: equal to another if both integers are."""


def number(value: float) -> Expr:
    """A number as it is written: a decimal, or pi."""
    if isinstance(value, bool | int):
        return S(value)
    if value in (float("inf"), -float("inf")):
        return S.Infinity if value > 0 else S.NegativeInfinity
    return sympy.pi if value == float(sympy.pi) else Rational(repr(value))


@dataclass(frozen=True)
class Assumed:
    """What conditions are taken to be."""

    truth: tuple[tuple[Relational, bool], ...]

    @cached_property
    def known(self) -> dict[Relational, Expr]:
        """Each condition, its opposite, and both the other way round, with their truth."""
        found = {condition: S(holds) for condition, holds in self.truth}
        found |= {Not(condition): S(not holds) for condition, holds in self.truth}
        return found | {condition.reversed: holds for condition, holds in found.items()}

    def settle(self, expression: Expr) -> Expr:
        """An expression with every such condition decided."""
        return expression.xreplace(self.known) if self.truth else expression

    def __str__(self) -> str:
        return " and ".join(text(c) if holds else f"not {text(c)}" for c, holds in self.truth)
