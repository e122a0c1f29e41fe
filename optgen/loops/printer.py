"""Expressions as Python that Numba compiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sympy
from sympy import Basic, Expr, Function, Piecewise, S, atan2, erf, exp, log
from sympy.core.function import AppliedUndef
from sympy.core.numbers import NumberSymbol
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair

from optgen.errors import Problem, SpecError
from optgen.ir import expm1, fma, head, log1p, mean_age, powm1, root_of_squares, shrunk, stretched, tail, times
from optgen.language.decimals import is_exact
from optgen.language.noise import normal
from optgen.language.order import Parts, walk
from optgen.language.powers import roots
from optgen.language.reductions import Reduction, finite
from optgen.language.rules import expressions
from optgen.language.schedules import Schedule
from optgen.language.spec import Optimizer
from optgen.language.sums import InOrder
from optgen.language.text import ATOM, PRODUCT, RELATION, UNARY, TextPrinter

FUNCTIONS = {
    sympy.Abs: "abs",
    sympy.ceiling: "ceil",
    **{
        its: its.__name__
        for its in (atan2, sympy.cos, erf, exp, sympy.floor, log, sympy.sign, sympy.sin, sympy.tan, sympy.tanh)
    },
    **{its: its.__name__ for its in (expm1, finite, fma, head, log1p, mean_age, powm1, root_of_squares)},
    **{its: its.__name__ for its in (shrunk, stretched, tail, times)},
}
"""What SymPy's functions are called in generated code."""
_STRUCTURE = (
    *(sympy.Add, sympy.And, ExprCondPair, InOrder, sympy.Max, sympy.Min, sympy.Mod, sympy.Mul, sympy.Not),
    *(sympy.Number, NumberSymbol, sympy.Or, Piecewise, sympy.Pow, Reduction, Relational, sympy.Symbol, normal),
)


class CodePrinter(TextPrinter):
    """Prints expressions as Python that Numba compiles, and remembers which functions it used.

    Inside an element every operand has the type of the tensors, so a choice is a call of ``where`` that evaluates both
    sides; on the host it is a conditional expression.
    """

    def __init__(self, *, elementwise: bool) -> None:
        self.elementwise = elementwise
        self.used: set[str] = set()

    def library(self, name: str) -> str:
        """The name of a function, which the module must import unless Python has it."""
        self.used.update({name} - {"abs"})
        return name

    def call(self, name: str, arguments: Iterable[Basic]) -> str:
        """A call of a function."""
        return self.called(name, list(map(self, arguments)))

    def called(self, name: str, texts: Sequence[str]) -> str:
        """A call of a function whose arguments are printed."""
        return f"{self.library(name)}({', '.join(texts)})"

    def symbol(self, symbol: sympy.Symbol) -> str:
        """The variable of a symbol: ``m_next`` for the new value of ``m``."""
        return str(symbol.name)

    def constant(self, constant: NumberSymbol) -> str:
        """A constant of mathematics as a float64 literal."""
        return repr(float(constant))

    def rational(self, number: sympy.Rational) -> tuple[str, int]:
        """A number, as a quotient of integers where both are exact in float64."""
        if is_exact(number):
            return super().rational(number)
        return repr(float(number)), ATOM if number > 0 else UNARY

    def with_coefficient(self, coefficient: sympy.Rational, above: Parts, below: Parts) -> tuple[Parts, Parts]:
        """The coefficient as one float where its parts are not exact in float64."""
        if is_exact(coefficient):
            return super().with_coefficient(coefficient, above, below)
        return (coefficient, *above), below

    def power(self, base: Expr, exponent: Expr) -> tuple[str, int]:
        """A power: products and square roots in an element; on the host what is more than roots of one is ``**``."""
        depths = roots(exponent) if exponent.is_positive else None
        if depths is None or not (self.elementwise or exponent.p == 1 != exponent.q):
            return super().power(base, exponent)
        factors = [self(base)] * int(exponent) + [self._root(self(base), depth) for depth in depths]
        return "*".join(factors), PRODUCT if len(factors) > 1 else ATOM

    def _root(self, text: str, depth: int) -> str:
        return self.called("sqrt", [self._root(text, depth - 1)]) if depth else text

    def piecewise(self, piecewise: Piecewise) -> tuple[str, int]:
        """A choice."""
        if not self.elementwise:
            return super().piecewise(piecewise)
        *pairs, (last, _) = piecewise.args
        text, where = self.case(last), self.library("where")
        for value, condition in reversed(pairs):
            text = f"{where}({self(condition)}, {self.case(value)}, {text})"
        return text, ATOM

    def case(self, value: Expr) -> str:
        """What one of its values is."""
        return self(value)

    def connected(self, conditions: Expr) -> tuple[str, int]:
        """Conditions joined by and, or: without a jump in an element."""
        if not self.elementwise:
            return super().connected(conditions)
        word = " & " if isinstance(conditions, sympy.And) else " | "
        return word.join(self.at_least(ATOM, part) for part in self.parts(conditions)), RELATION

    def extremum(self, expression: Expr) -> str:
        """A maximum or minimum, of two at a time."""
        name = self.library("maximum" if isinstance(expression, sympy.Max) else "minimum")
        return in_pairs(name, [self(argument) for argument in self.extremes(expression)])

    def function(self, expression: Function) -> str:
        """A function by the name it has in generated code."""
        return self.call(FUNCTIONS[expression.func], expression.args)


def in_pairs(name: str, texts: Sequence[str]) -> str:
    """Calls of a function of two for any number of arguments, not nested deeper than need be."""
    if len(texts) == 1:
        return texts[0]
    middle = (len(texts) + 1) // 2
    return f"{name}({in_pairs(name, texts[:middle])}, {in_pairs(name, texts[middle:])})"


def require_printable(optimizer: Optimizer | Schedule) -> None:
    """Refuse a spec that uses what no target can print, with the equation and what is known instead."""
    written = [(value, str(let)) for let, value in expressions(optimizer.step)]
    written += [(hyper.default, f"{hyper} = {hyper.default}") for hyper in optimizer.hypers]
    if isinstance(optimizer, Optimizer):
        written.append((optimizer.evaluation, f"evaluation = {optimizer.evaluation}"))
    problems = [
        Problem(f"there is no printer for `{node.func.__name__}`", _instead(node), equation)
        for value, equation in written
        for node in walk(value)
        if not _is_known(node)
    ]
    if problems:
        raise SpecError(list(dict.fromkeys(problems)), optimizer.name, optimizer.location, optimizer.kind)


def _is_known(node: Basic) -> bool:
    return isinstance(node, (*_STRUCTURE, *FUNCTIONS)) or node in (S.true, S.false)


def _instead(node: Basic) -> str:
    """What to write in place of a function that no target has: its value, or the same in functions that they have."""
    if isinstance(node, sympy.atan):  # what SymPy makes of atan2 where it knows that the second is positive
        above, below = sympy.fraction(node.args[0])
        return (
            f'give what is below a name, below = local("below"), Let(below, {below}), and write atan2({above}, below)'
        )
    if type(node) in _BY_HAND:
        return f"write {_BY_HAND[type(node)](*node.args)}"
    for kind in _REWRITTEN if isinstance(node, Function) and not isinstance(node, AppliedUndef) else ():
        same = node.rewrite(kind)
        if same != node and all(map(_is_known, same.atoms(Basic, Function))) and not same.has(S.ImaginaryUnit):
            return f"write {same}"
    if isinstance(node, AppliedUndef):
        name = node.func.__name__
        return f"define it, def {name}(x): return …, with sums, products, powers and functions; then {name}(…) is that"
    known = ", ".join(sorted(f.__name__ for f in FUNCTIONS if f.__module__ != expm1.__module__))
    return f"use sums, products, powers, sqrt, Max, Min, Piecewise, Mod, {known}"


_BY_HAND: dict[type[Basic], Callable[[Any], Expr]] = {
    sympy.acos: lambda x: atan2(sympy.sqrt(1 - x**2), x),
    sympy.asin: lambda x: atan2(x, sympy.sqrt(1 - x**2)),
    sympy.cot: lambda x: sympy.cos(x) / sympy.sin(x),
    sympy.sec: lambda x: 1 / sympy.cos(x),
}
_REWRITTEN = (exp, erf, Piecewise, sympy.floor, sympy.sin, log, atan2)
"""In terms of what a function may have another form, the simplest first."""
