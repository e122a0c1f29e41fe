"""hoist: what is the same for many elements is computed once, in float64: on the host, or once a tensor, row or column.

Every maximal subexpression of hyperparameters and t becomes a scalar of the host, numbers too: a bare ``2`` times a
float32 would be float64 arithmetic. Where a total or a reduced state is in it, it becomes a value of its space; so does
a condition on such values, since rounded to float32 they could decide it otherwise. Division by such a scalar becomes
multiplication by its reciprocal, which is rounded once more than the scalar but saves a division an element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, takewhile
from typing import Any

from sympy import Add, Expr, Gt, Integer, Mul, Piecewise, Pow, Rational, S
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from optgen.ir import Equation, Kernel, Scalar, Sweep, Value, fresh, head, tail
from optgen.language import order
from optgen.language.graph import rebuilt
from optgen.language.powers import roots
from optgen.language.reductions import Extent, Reduction
from optgen.language.rules import space_of
from optgen.language.spaces import Space, join
from optgen.language.sums import InOrder, is_sum, negated
from optgen.language.symbols import Named

_NUMBERS = {S.Zero: "zero", S.One: "one", Integer(2): "two", Integer(3): "three", S.Half: "half"}
LARGEST_PRODUCT = 8
"""Integer powers up to this one are written as products."""


def hoist(kernel: Kernel) -> Kernel:
    """The kernel with no scalar work left in its sweeps."""
    names: dict[Expr, Named] = {}
    free = _Names(kernel.names, fresh("c", kernel.names))
    swept = kernel.map_sweeps(lambda sweep: replace(sweep, body=tuple(_hoisted(kernel, sweep, names, free))))
    made = tuple(Equation(name, value) for value, name in names.items() if name.space is Space.STEP)
    return replace(swept, scalars=(*kernel.scalars, *made))


def _hoisted(kernel: Kernel, sweep: Sweep, names: dict[Expr, Named], free: _Names) -> Iterator[Equation]:
    """The body of a sweep, with what is the same for all elements of a tensor computed before its first use."""
    spaces: dict[Named, Space] = dict.fromkeys(kernel.host, Space.STEP)
    spaces |= {assign.target: assign.space for assign in sweep.body}
    defined: set[Named] = set()

    def with_uniform(assign: Equation) -> Iterator[Equation]:
        """An assignment after those of what was found in it, in which more may be found: a total may be in a total."""
        hoister = _Hoister(spaces, names, free, assign.space is Space.ELEM)
        value = hoister.rewrite(assign.value)
        for uniform, its_value in hoister.uniform.items():
            if uniform not in defined:
                defined.add(uniform)
                spaces[uniform] = uniform.space
                yield from with_uniform(Equation(uniform, its_value, space=uniform.space))
        yield replace(assign, value=value)

    for assign in sweep.body:
        yield from with_uniform(assign)


def is_product_power(exponent: Expr) -> bool:
    """Whether a power is written with multiplications and square roots alone."""
    return roots(exponent) is not None and bool(abs(exponent) <= LARGEST_PRODUCT)


@dataclass(frozen=True)
class _Names:
    """The names that a kernel has, and those that are left for scalars."""

    used: frozenset[str]
    left: Iterator[str]

    def of(self, value: Expr) -> str:
        """The name of a scalar: one that says what it is, if it has one that is free."""
        is_part = isinstance(value, head | tail) and value.args[0].is_Symbol
        own = f"{value.args[0]}_{value.func}" if is_part else _NUMBERS.get(value)
        return own if own is not None and own not in self.used else next(self.left)


@dataclass(frozen=True)
class _Hoister:
    """Rewrites the expressions of one assignment and names the scalars it finds."""

    spaces: Mapping[Named, Space]  # of what has no space of its own
    names: dict[Expr, Named]  # the scalars of the kernel, by their values; those that are found join them
    free: _Names  # what they may be called
    # Whether it is code for elements. Other code is float64: numbers stay, and only host work leaves it.
    elementwise: bool
    # Those of the scalars that were found which are no work of the host
    uniform: dict[Value, Expr] = field(default_factory=dict)

    def space(self, expression: Any) -> Space:
        return space_of(expression, self.spaces)

    def is_fixed(self, expression: Expr) -> bool:
        """Whether an expression varies over less than elements, or in other code is known on the host."""
        return self.is_less(self.space(expression))

    def is_less(self, space: Space) -> bool:
        """Whether what varies over a space is no work of this code."""
        return space is not Space.ELEM if self.elementwise else space is Space.STEP

    def scalar(self, value: Expr) -> Expr:
        # Elements are given what was made for them: not numbers, and not what the shape of a tensor says by itself.
        is_of_others = value.is_number or isinstance(value, Extent)
        if not self.elementwise if is_of_others else value.is_Symbol:
            return value
        if order.is_negative(value):
            return negated(self.scalar(negated(value)))
        space = self.space(value)
        if space is Space.MODEL and any(self.space(x) is Space.STEP for x in value.free_symbols):
            space = Space.TENSOR  # parameter groups may differ in what the host knows
        if value not in self.names:
            name = self.free.of(value)
            self.names[value] = Scalar(name) if space is Space.STEP else Value(name, space)
        found = self.names[value]
        if isinstance(found, Value):
            self.uniform[found] = value
        return found

    def rewrite(self, expression: Any) -> Any:
        """An expression, or a case of a Piecewise, with its scalar parts hoisted."""
        if isinstance(expression, ExprCondPair):
            return ExprCondPair(self.rewrite(expression.expr), self.condition(expression.cond))
        if self.is_fixed(expression):
            return self.scalar(expression)
        if expression.is_Symbol:
            return expression
        if isinstance(expression, Reduction):
            inside = replace(self, elementwise=self.space(expression.args[0]) is Space.ELEM)
            return expression.func(inside.rewrite(expression.args[0]))
        if is_sum(expression):
            return self.sum(order.terms(expression))
        if isinstance(expression, Mul):
            return self.product(*order.factors(expression))
        if isinstance(expression, Pow):
            if expression.exp.is_Rational and expression.exp.is_negative:
                return self.product(*order.factors(expression))
            exponent = expression.exp
            kept = exponent if is_product_power(exponent) else self.rewrite(exponent)
            return Pow(self.rewrite(expression.base), kept)
        return rebuilt(expression, list(map(self.rewrite, expression.args)))

    def condition(self, condition: Boolean) -> Boolean:
        """A condition, with what can be computed or decided before in it hoisted."""
        if self.elementwise and self.space(condition) not in (Space.STEP, Space.ELEM):
            return Gt(self.scalar(Piecewise((1, condition), (0, True))), self.scalar(S.Zero))
        if isinstance(condition, Relational):
            return condition.func(self.rewrite(condition.lhs), self.rewrite(condition.rhs))
        return condition.func(*map(self.condition, condition.args)) if condition.args else condition

    def sum(self, terms: order.Parts) -> Expr:
        """A sum, in its order: the terms that it begins with are one scalar as far as they are the same together."""
        spaces = list(takewhile(self.is_less, accumulate(map(self.space, terms), join)))
        first = terms[: len(spaces)]
        together = (Add if Space.STEP in spaces[-1:] else InOrder)(*first)
        return InOrder(*([self.scalar(together)] if first else []), *map(self.rewrite, terms[len(first) :]))

    def product(self, coefficient: Rational, above: order.Parts, below: order.Parts) -> Expr:
        over = [factor for factor in above if self.is_fixed(factor)]
        under = [factor for factor in below if self.is_fixed(factor)]
        rows, columns, rest = self.groups([*over, *(Pow(factor, -1) for factor in under)])
        numerator = [self.scalar(Mul(*group)) for group in (rows, columns) if group]
        scalar = Mul(abs(coefficient), *rest)
        if scalar != 1 or (len(over) == len(above) and not numerator):
            numerator.insert(0, self.scalar(scalar))
        numerator += [self.rewrite(factor) for factor in above if factor not in over]
        denominator = [Pow(self.rewrite(factor), -1) for factor in below if factor not in under]
        sign = -1 if coefficient.p < 0 else 1
        return Mul(sign, *numerator, *denominator)

    def groups(self, parts: list[Expr]) -> tuple[list[Expr], list[Expr], list[Expr]]:
        """Factors that vary over rows, those that vary over columns, and the others, which join either."""
        rows, columns = ([part for part in parts if self.space(part) is space] for space in (Space.ROW, Space.COL))
        rest = [part for part in parts if part not in rows and part not in columns]
        if columns:
            return rows, [*columns, *rest], []
        return ([*rows, *rest], [], []) if rows else ([], [], rest)
