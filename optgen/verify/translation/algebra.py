"""Whether two expressions are equal: by algebra for every input, else at random points to 50 digits.

A point comes first: most of what differs does there, and algebra of what differs takes longest.

Reductions are brought into one form first. A sum is linear: what is the same everywhere in what is added up comes out
of it, terms and factors both. Means and norms are sums, a total over the model is one over its tensors, and a condition
that is the same everywhere is decided outside. What is left in a reduction is the same on both sides if it is equal for
every element; then a symbol stands for it, and the rest is algebra of numbers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import lru_cache

import sympy
from sympy import Add, Dummy, Expr, Mul, Not, Piecewise, S, cancel, expand, sqrt, together
from sympy.core.relational import Ge, Gt, Relational

from optgen.language.reductions import (
    REDUCTION,
    ColMax,
    GroupSum,
    ModelSum,
    Reduction,
    RowMax,
    n_cols,
    n_rows,
    numel,
)
from optgen.language.rules import space_of
from optgen.language.spaces import Space
from optgen.language.sums import plain
from optgen.language.symbols import Named, algebraic
from optgen.language.text import text
from optgen.verify.candidate import Verdict
from optgen.verify.translation.meaning import Assumed
from optgen.verify.translation.points import Spaces, at_random, differ, difference

LARGEST = 400
"""Operations beyond which algebra is not tried, so that a proof takes bounded time."""
CASES = 64
"""Cases of conditions beyond which they are not told apart."""


def settled(code: Expr, spec: Expr, spaces: Spaces, draw: random.Random) -> tuple[Verdict, str]:
    """Whether what was computed and what should be are equal, and how that is known.

    Targets of equations have spaces; points are drawn.
    """
    if code == spec:
        return Verdict.PROVED, ""
    if said := difference(code, spec, spaces, draw):
        return Verdict.FAILED, said
    if proved(code, spec, spaces):
        return Verdict.PROVED, ""
    return at_random(code, spec, spaces, draw)


def proved(code: Expr, spec: Expr, spaces: Spaces) -> bool:
    """Whether algebra shows two expressions equal for every input."""
    return code == spec or _proved(code, spec, frozenset(spaces.items()))


@lru_cache(maxsize=1024)  # asked again of whatever modules of a rule have in common, and of every case
def _proved(code: Expr, spec: Expr, spaces: frozenset[tuple[Named, Space]]) -> bool:
    sides = (code, spec)
    if code.has(Reduction) or spec.has(Reduction):
        if max(side.count_ops() for side in sides) > LARGEST:
            return False
        totals = _Reductions(dict(spaces))
        sides = tuple(totals.named(totals.canonical(side)) for side in sides)
    return equal(*sides)


# Algebra of totals ---------------------------------------------------------------------------------------------------

_COUNT = {
    Space.MODEL: ModelSum(1),
    Space.GROUP: GroupSum(1),
    Space.TENSOR: numel,
    Space.ROW: n_cols,
    Space.COL: n_rows,
}
"""How many elements there are in each."""
_SEVERAL = (Space.MODEL, Space.GROUP)
"""Of several tensors."""
_LINES = (Space.ROW, Space.COL)


@dataclass
class _Reductions:
    """Brings reductions into one form, and then gives equal ones the same name."""

    spaces: Spaces
    known: list[tuple[Reduction, Dummy]] = field(default_factory=list)

    def space(self, node: Expr) -> Space:
        """Over what an expression varies."""
        return space_of(node, self.spaces)

    def canonical(self, node: Expr) -> Expr:
        """An expression in which all reductions are sums and maxima of one form."""
        if not node.has(Reduction):
            return node
        arguments = [self.canonical(argument) for argument in node.args]
        if not isinstance(node, Reduction):
            return node.func(*arguments)
        (inside,) = arguments
        match node.how:
            case "norm":
                return sqrt(self.sum(inside**2, node.to))
            case "mean":
                return Mul(self.sum(inside, node.to), 1 / _COUNT[node.to])
            case "max":
                return self.max(inside, node.to)
        return self.sum(inside, node.to)

    def condition(self, inside: Expr, to: Space) -> Relational | None:
        """A condition that is the same everywhere in what is reduced."""
        found = (c for c in inside.atoms(Relational) if self.space(c) <= to and not c.has(Piecewise))
        return min(found, key=sympy.default_sort_key, default=None)

    def sum(self, inside: Expr, to: Space) -> Expr:
        """The sum of an expression over all elements of a whole."""
        condition = self.condition(inside, to)
        if condition is not None:
            sides = (self.sum(Assumed(((condition, holds),)).settle(inside), to) for holds in (True, False))
            return Piecewise(*zip(sides, (condition, True), strict=True))
        return Add(*(self.term(term, to) for term in Add.make_args(expand(plain(inside)))))

    def term(self, term: Expr, to: Space) -> Expr:
        """The sum of a product: what is the same everywhere comes out of it."""
        factors = Mul.make_args(term)
        outside = [factor for factor in factors if self.space(factor) <= to]
        inside = Mul(*(factor for factor in factors if factor not in outside))
        if inside == 1:
            return Mul(*outside, _COUNT[to])
        return Mul(*outside, self.whole(inside, to))

    def whole(self, inside: Expr, to: Space) -> Expr:
        """The sum of what varies in every factor."""
        if to in _SEVERAL and not self.space(inside) <= Space.TENSOR:  # tensor by tensor
            return self.sum(Mul(self.sum(inside, Space.TENSOR), 1 / numel), to)
        for line in _LINES:
            lines = [factor for factor in Mul.make_args(inside) if isinstance(factor, REDUCTION["sum", line])]
            if to is Space.TENSOR and len(lines) == 1 and self.space(inside) is line:  # a sum of sums is one
                others = Mul(*(factor for factor in Mul.make_args(inside) if factor not in lines))
                return Mul(_COUNT[line], self.sum(Mul(others, lines[0].args[0]), to))
        return REDUCTION["sum", to](inside)

    def max(self, inside: Expr, to: Space) -> Expr:
        """The largest value of an expression in a whole."""
        if self.space(inside) <= to:
            return inside
        condition = self.condition(inside, to)
        if condition is not None:
            sides = (self.max(Assumed(((condition, holds),)).settle(inside), to) for holds in (True, False))
            return Piecewise(*zip(sides, (condition, True), strict=True))
        if to in _SEVERAL and not self.space(inside) <= Space.TENSOR:
            return self.max(self.max(inside, Space.TENSOR), to)
        if to is Space.TENSOR and isinstance(inside, RowMax | ColMax):
            return self.max(inside.args[0], to)
        return REDUCTION["max", to](inside)

    def named(self, node: Expr) -> Expr:
        """An expression with a symbol for each total: the same for those of what is equal in every element."""
        if not node.has(Reduction):
            return node
        arguments = [self.named(argument) for argument in node.args]
        if not isinstance(node, Reduction):
            return node.func(*arguments)
        (inside,) = arguments
        for other, name in self.known:
            if other.func is node.func and (other.args[0] == inside or equal(other.args[0], inside)):
                return name
        positive = node.how == "sum" and inside.is_nonnegative
        name = _name(node.func(inside), positive=positive)
        self.known.append((node.func(inside), name))
        return name


@lru_cache(maxsize=1024)  # SymPy knows what it has seen of a symbol
def _name(total: Reduction, *, positive: bool) -> Dummy:
    return Dummy(text(total), real=True, nonnegative=True if positive else None)


# Algebra of numbers --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)  # asked of each two totals, in each module
def equal(a: Expr, b: Expr) -> bool:
    """Whether algebra shows two expressions without reductions equal, in every case of the conditions in them."""
    if max(a.count_ops(), b.count_ops()) > LARGEST:
        return False
    if differ(a, b):
        return False
    a, b = algebraic(a), algebraic(b)
    if not (a.has(Relational) or b.has(Relational)):
        return bool(cancel(together(_normal(a) - _normal(b))) == 0)
    a, b = _oriented(a), _oriented(b)
    if 2 ** len(_conditions(a) | _conditions(b)) > CASES:
        return False
    return _equal_in_cases(a, b)


def _equal_in_cases(a: Expr, b: Expr) -> bool:
    """Decide conditions one after another, those first that are within others."""
    found = _conditions(a) | _conditions(b)
    conditions = sorted((c for c in found if not any(x.has(Relational) for x in c.args)), key=sympy.default_sort_key)
    if not conditions:
        return bool(cancel(together(_normal(a) - _normal(b))) == 0)
    cases = (Assumed(((conditions[0], holds),)) for holds in (True, False))
    return all(_equal_in_cases(case.settle(a), case.settle(b)) for case in cases)


def _oriented(expression: Expr) -> Expr:
    """An expression whose relations all point the same way."""
    return expression.replace(lambda node: isinstance(node, Gt | Ge), lambda node: node.reversed)


def _normal(expression: Expr) -> Expr:
    """An expression with the insides of its functions and powers in a form of their own, so that equals look alike."""
    if not expression.args:
        return expression
    inside = expression.func(*map(_normal, expression.args))
    if isinstance(inside, Mul) and inside.has(sympy.Abs):
        inside = _with_squares_in_root(inside)
    if isinstance(inside, sympy.Pow) and not inside.exp.is_Integer:
        return cancel(together(inside.base)) ** cancel(together(inside.exp))
    if isinstance(inside, sympy.Function | sympy.Max | sympy.Min):
        return inside.func(*(cancel(together(argument)) for argument in inside.args))
    return inside


def _with_squares_in_root(product: Expr) -> Expr:
    """``Abs(x)*sqrt(y)`` as ``sqrt(x**2*y)``, with what cancels there cancelled."""
    root = next((f for f in product.args if isinstance(f, sympy.Pow) and f.exp == S.Half), S.One)
    if root is S.One:
        return product
    sizes = [f for f in product.args if isinstance(f, sympy.Abs)]
    squared = root.base * Mul(*(size.args[0] ** 2 for size in sizes))
    return Mul(*(f for f in product.args if f not in (root, *sizes)), sympy.sqrt(cancel(together(squared))))


def _conditions(expression: Expr) -> set[Relational]:
    found: set[Relational] = set()
    for condition in expression.atoms(Relational):
        opposite = Not(condition)
        found.add(condition if opposite not in found and opposite.reversed not in found else opposite)
    return found
