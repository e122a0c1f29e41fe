"""hoist: what is the same for every element is computed once, on the host, in float64.

Every maximal subexpression of hyperparameters and t becomes a scalar, numbers too: a bare ``2`` times a float32 would
be float64 arithmetic. Division by such a scalar becomes multiplication by its reciprocal, which is rounded once more
than the scalar but saves a division an element.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from optgen.ir import Assign, Kernel, Scalar, Sweep, symbols
from optgen.language import order
from optgen.language.symbols import Named

_NUMBERS = {S.Zero: "zero", S.One: "one", Integer(2): "two", Integer(3): "three", S.Half: "half"}
LARGEST_PRODUCT = 8
"""Integer powers up to this one are written as products."""


def hoist(kernel: Kernel) -> Kernel:
    """The kernel with no scalar work left in its sweeps."""
    hoister = _Hoister(kernel.host)

    def hoisted(sweep: Sweep) -> Sweep:
        return replace(sweep, body=tuple(replace(a, value=hoister.rewrite(a.value)) for a in sweep.body))

    swept = kernel.map_sweeps(hoisted)
    made = tuple(Assign(name, value) for value, name in hoister.names.items())
    return replace(swept, scalars=(*kernel.scalars, *made))


def is_product_power(exponent: Expr) -> bool:
    """Whether a power is written with multiplications and square roots alone."""
    return bool(exponent.is_Rational and (2 * exponent).is_Integer and abs(exponent) <= LARGEST_PRODUCT)


@dataclass(frozen=True)
class _Hoister:
    """Rewrites expressions of one kernel and collects the scalars it makes."""

    host: frozenset[Named]
    names: dict[Expr, Scalar] = field(default_factory=dict)

    def on_host(self, expression: Expr) -> bool:
        return symbols(expression) <= self.host

    def scalar(self, value: Expr) -> Expr:
        if value.is_Symbol:
            return value
        if order.is_negative(value):
            return -self.scalar(-value)
        if value not in self.names:
            count = sum(name.name.startswith("c") for name in self.names.values())
            self.names[value] = Scalar(_NUMBERS.get(value, f"c{count}"))
        return self.names[value]

    def rewrite(self, expression: Any) -> Any:
        """An expression, or a case of a Piecewise, with its scalar parts hoisted."""
        if isinstance(expression, ExprCondPair):
            return ExprCondPair(self.rewrite(expression.expr), self.condition(expression.cond))
        if self.on_host(expression):
            return self.scalar(expression)
        if expression.is_Symbol:
            return expression
        if isinstance(expression, Add):
            return self.sum(order.terms(expression))
        if isinstance(expression, Mul):
            return self.product(*order.factors(expression))
        if isinstance(expression, Pow):
            if expression.exp.is_Rational and expression.exp.is_negative:
                return self.product(*order.factors(expression))
            exponent = expression.exp
            kept = exponent if is_product_power(exponent) else self.rewrite(exponent)
            return Pow(self.rewrite(expression.base), kept)
        return expression.func(*map(self.rewrite, expression.args))

    def condition(self, condition: Boolean) -> Boolean:
        """A condition, with what the host can compute in its comparisons hoisted."""
        if isinstance(condition, Relational):
            return condition.func(self.rewrite(condition.lhs), self.rewrite(condition.rhs))
        return condition.func(*map(self.condition, condition.args)) if condition.args else condition

    def sum(self, terms: list[Expr]) -> Expr:
        swept = [self.rewrite(term) for term in terms if not self.on_host(term)]
        scalars = Add(*(term for term in terms if self.on_host(term)))
        return Add(*swept, self.scalar(scalars)) if scalars != 0 else Add(*swept)

    def product(self, coefficient: Rational, above: list[Expr], below: list[Expr]) -> Expr:
        over = [factor for factor in above if self.on_host(factor)]
        under = [factor for factor in below if self.on_host(factor)]
        scalar = abs(coefficient) * Mul(*over) / Mul(*under)
        needed = scalar != 1 or len(over) == len(above)
        numerator = [self.scalar(scalar)] if needed else []
        numerator += [self.rewrite(factor) for factor in above if factor not in over]
        denominator = [1 / self.rewrite(factor) for factor in below if factor not in under]
        sign = -1 if coefficient.is_negative else 1
        return Mul(sign, *numerator, *denominator)
