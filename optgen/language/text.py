"""Expressions as text, the way a person would type them.

One printer serves the messages, the docstrings of generated modules and, through the targets that override a few of
its methods, the generated code itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy
from sympy import Add, Basic, Expr, Function, Integer, Mul, Piecewise, Pow, Rational, S, Symbol
from sympy.core.numbers import NumberSymbol
from sympy.core.relational import Relational

from optgen.language import order
from optgen.language.order import Parts
from optgen.language.spaces import Space
from optgen.language.sums import InOrder, negated
from optgen.language.symbols import Named, Next

SELECT, CONDITION, RELATION, SUM, MODULO, PRODUCT, UNARY, POWER, ATOM = range(9)
"""How tightly each kind of text binds, loosest first."""


class TextPrinter:
    """Prints an expression as text; a subclass says how its language spells the leaves and the functions."""

    def __call__(self, expression: Basic) -> str:
        """The text of an expression."""
        return self.render(expression)[0]

    def at_least(self, level: int, expression: Basic) -> str:
        """The text of an expression, in parentheses if it binds less tightly than the level asks."""
        text, binds = self.render(expression)
        return text if binds >= level else f"({text})"

    def render(self, expression: Basic) -> tuple[str, int]:
        """The text of an expression and how tightly it binds."""
        match expression:
            case Symbol():
                return self.symbol(expression), ATOM
            case Rational():
                return self.rational(expression)
            case Add() | InOrder():
                return self.sum(expression), SUM
            case Mul():
                return self.product(expression)
            case Pow():
                return self.power(expression.base, expression.exp)
            case Piecewise():
                return self.piecewise(expression)
            case Relational():
                sides = (self.at_least(SUM, side) for side in (expression.lhs, expression.rhs))
                return f" {expression.rel_op} ".join(sides), RELATION
            case sympy.And() | sympy.Or():
                return self.connected(expression)
            case sympy.Not():
                return self.opposite(expression.args[0])
            case S.true | S.false:
                return str(bool(expression)), ATOM
            case sympy.Mod():
                left, right = expression.args
                return f"{self.at_least(PRODUCT, left)} % {self.at_least(UNARY, right)}", MODULO
            case sympy.Max() | sympy.Min():
                return self.extremum(expression), ATOM
            case Function():
                return self.function(expression), ATOM
            case NumberSymbol():
                return self.constant(expression), ATOM
        return str(expression), ATOM

    def symbol(self, symbol: Symbol) -> str:
        """The text of a symbol."""
        return f"{symbol.of.name}'" if isinstance(symbol, Next) else str(symbol.name)

    def rational(self, number: Rational) -> tuple[str, int]:
        """The text of a whole number or a fraction."""
        if number.q != 1:
            return f"{number.p}/{number.q}", PRODUCT
        return str(number), ATOM if number >= 0 else UNARY

    def constant(self, constant: NumberSymbol) -> str:
        """The text of pi and its like."""
        return str(constant)

    def sum(self, sum_: Add | InOrder) -> str:
        """The text of a sum, with minus signs where terms are subtracted."""
        return " ".join(self.added(sum_))

    def added(self, sum_: Add | InOrder) -> list[str]:
        """The texts of the terms of a sum, each but the first with its sign."""
        first, *others = order.terms(sum_)
        return [
            self.at_least(SUM, first),
            *(
                f"- {self.at_least(PRODUCT, negated(term))}"
                if order.is_negative(term)
                else f"+ {self.at_least(MODULO, term)}"
                for term in others
            ),
        ]

    def product(self, product: Expr) -> tuple[str, int]:
        """The text of a product as one fraction."""
        coefficient, above, below = order.factors(product)
        if coefficient.p < 0:
            text, binds = self.render(negated(product))
            return (f"-{text}", UNARY) if binds >= PRODUCT else (f"-({text})", UNARY)
        above, below = self.with_coefficient(coefficient, above, below)
        text = "*".join(self.at_least(UNARY, factor) for factor in above)
        if below:
            under = "*".join(self.at_least(POWER if len(below) == 1 else UNARY, factor) for factor in below)
            text += f"/({under})" if len(below) > 1 else f"/{under}"
        return text, PRODUCT

    def with_coefficient(self, coefficient: Rational, above: Parts, below: Parts) -> tuple[Parts, Parts]:
        """The factors of a fraction with its positive coefficient among them."""
        over = [Integer(coefficient.p)] if coefficient.p != 1 or not above else []
        under = [Integer(coefficient.q)] if coefficient.q != 1 else []
        return (*over, *above), (*under, *below)

    def power(self, base: Expr, exponent: Expr) -> tuple[str, int]:
        """The text of a power; square roots have a name of their own."""
        if exponent == S.Half:
            return f"sqrt({self(base)})", ATOM
        if exponent.is_Rational and exponent.is_negative:
            return self.product(Pow(base, exponent))
        return f"{self.at_least(ATOM, base)}**{self.at_least(ATOM, exponent)}", POWER

    def piecewise(self, piecewise: Piecewise) -> tuple[str, int]:
        """The text of a choice, as a chain of conditional expressions."""
        *pairs, (last, condition) = piecewise.args
        if condition is not S.true:
            pairs, last = list(piecewise.args), S.NaN
        text = "".join(f"{self.at_least(CONDITION, value)} if {self(when)} else " for value, when in pairs)
        return text + self.at_least(CONDITION, last), SELECT

    def opposite(self, condition: Basic) -> tuple[str, int]:
        """The text of what holds where a condition does not."""
        return f"not {self.at_least(ATOM, condition)}", RELATION

    def connected(self, conditions: Expr) -> tuple[str, int]:
        """The text of conditions joined by and, or."""
        word = " and " if isinstance(conditions, sympy.And) else " or "
        return word.join(self.at_least(RELATION, part) for part in self.parts(conditions)), CONDITION

    def parts(self, expression: Basic) -> list[Basic]:
        """The arguments of what has no order of its own."""
        return sorted(expression.args, key=lambda argument: argument.sort_key())

    def extremum(self, expression: Expr) -> str:
        """The text of a maximum or a minimum."""
        name = "max" if isinstance(expression, sympy.Max) else "min"
        return f"{name}({', '.join(map(self, self.extremes(expression)))})"

    def extremes(self, expression: Expr) -> list[Basic]:
        """What a maximum or minimum is taken of, scalars last."""
        parts = self.parts(expression)
        return sorted(parts, key=lambda x: (all(s.space is Space.STEP for s in x.atoms(Named)), bool(x.is_number)))

    def function(self, expression: Function) -> str:
        """The text of a function's application."""
        return f"{expression.func.__name__}({', '.join(map(self, expression.args))})"


text = TextPrinter()
"""Prints an expression for a person: ``m'`` is the new value of ``m``."""


def listed(names: Sequence[str]) -> str:
    """Names as prose lists them."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
