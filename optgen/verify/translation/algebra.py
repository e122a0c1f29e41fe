"""Whether two expressions are equal: by algebra for every input, else at random points to 50 digits.

A point comes first: most of what differs does there, and algebra of what differs takes longest.

Reductions are brought into one form first. A sum is linear: what is the same everywhere in what is added up comes out
of it, terms and factors both. Means and norms are sums, a total over the model is one over its tensors, and a condition
that is the same everywhere is decided outside. What is left in a reduction is the same on both sides if it is equal for
every element; then a symbol stands for it, and the rest is algebra of numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import numpy as np
import sympy
from sympy import Add, Dummy, Expr, Integer, Mul, Not, Piecewise, Rational, S, cancel, expand, sqrt, together
from sympy.core.relational import Ge, Gt, Relational

from optgen.language.reductions import (
    REDUCTION,
    ColMax,
    Extent,
    GroupSum,
    ModelSum,
    Reduction,
    RowMax,
    finite,
    n_cols,
    n_rows,
    numel,
)
from optgen.language.spaces import Space, join_all
from optgen.language.sums import plain
from optgen.language.symbols import Hyper, Local, Named, Next, State, StepCount, algebraic
from optgen.language.text import text
from optgen.verify import reference
from optgen.verify.arithmetic import Digits
from optgen.verify.candidate import Verdict
from optgen.verify.translation.meaning import Assumed

POINTS = 64
"""Random points for what algebra cannot settle."""
DIGITS = 50
_BY = Digits(2 * DIGITS)
"""What points are computed with: so many digits that none of those compared is lost on the way."""
LARGEST = 400
"""Operations beyond which algebra is not tried, so that a proof takes bounded time."""
CASES = 64
"""Cases of conditions beyond which they are not told apart."""

Spaces = Mapping[Named, Space]


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
        if isinstance(node, Reduction):
            return node.to
        if isinstance(node, Named):
            return self.spaces.get(node) or node.space
        return join_all(self.space(argument) for argument in node.args)

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
    if _differ(a, b):
        return False
    a, b = algebraic(a), algebraic(b)
    if not (a.has(Relational) or b.has(Relational)):
        return bool(cancel(together(_normal(a) - _normal(b))) == 0)
    a, b = _oriented(a), _oriented(b)
    if 2 ** len(_conditions(a) | _conditions(b)) > CASES:
        return False
    return _equal_in_cases(a, b)


def _differ(a: Expr, b: Expr) -> bool:
    """Whether two expressions are different numbers at a point, which is always the same."""
    draw = random.Random(0)
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    drawn = {x: Integer(draw.randint(1, 9)) if x.is_integer else _drawn(x, draw) for x in symbols}
    known = {x: _BY.number(abs(value) if x.is_nonnegative else value) for x, value in drawn.items()}
    point = _Point(drawn, *(reference.evaluated(side, known, _BY) for side in (a, b)))
    return point.is_finite and bool(point.difference)


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


# Random points -------------------------------------------------------------------------------------------------------

_SHAPES = ((2, 2, 3), (3,), (2,))
"""Of the tensors of the model on which totals are tried: a stack of matrices and two vectors."""
_GROUPS = (0, 0, 1)
"""The parameter group of each."""


_NEAR = (Integer(1), Rational(1005, 1000), Rational(995, 1000))
"""Where values are tried around what they are compared with."""


@dataclass(frozen=True)
class _Element:
    """Where an element stands: in which tensor, and its matrix, row and column there."""

    tensor: int
    matrix: int
    row: int
    column: int

    def within(self, space: Space) -> tuple[int, ...]:
        """What tells its whole of a space from others."""
        match space:
            case Space.STEP | Space.MODEL:
                return ()
            case Space.GROUP:
                return (_GROUPS[self.tensor],)
            case Space.TENSOR:
                return (self.tensor,)
            case Space.ROW:
                return self.tensor, self.matrix, self.row
            case Space.COL:
                return self.tensor, self.matrix, self.column
        return self.tensor, self.matrix, self.row, self.column


_PLACES = [
    _Element(tensor, matrix, row, column)
    for tensor, shape in enumerate(_SHAPES)
    for matrix in range((1, 1, *shape)[-3])
    for row in range((1, 1, *shape)[-2])
    for column in range(shape[-1])
]


@cache  # asked at every point for every total
def _whole(space: Space, key: tuple[int, ...]) -> tuple[_Element, ...]:
    """The elements of a whole of a space."""
    return tuple(place for place in _PLACES if place.within(space) == key)


_COUNTED: Mapping[Extent, Space] = {numel: Space.TENSOR, n_rows: Space.COL, n_cols: Space.ROW}
"""Of what each extent is the size."""


@dataclass
class _RandomModel:
    """A small model with a random number for each value of each symbol, drawn when it is first wanted."""

    totals: _Reductions
    draw: random.Random
    values: dict[tuple[Expr, tuple[int, ...]], Any] = field(default_factory=dict)

    def at(self, node: Expr, place: _Element) -> Any:
        """The value of an expression for one element."""
        return self.over(node, (place,))[0]

    def over(self, node: Expr, places: Sequence[_Element]) -> Sequence[Any]:
        """The values of an expression for some elements."""
        symbols = [(symbol, self.space(symbol)) for symbol in _in_order(node)]
        drawn = [[self.number(*each, place) for each in symbols] for place in places]  # an element after another
        its = [np.array(values, object) for values in zip(*drawn, strict=True)]
        known = {symbol: values for (symbol, _), values in zip(symbols, its, strict=True)}
        return list(np.broadcast_to(reference.evaluated(node, known, _BY), len(places)))

    def space(self, node: Expr) -> Space:
        """Of which wholes a symbol or a reduction has a value each; an extent, of which it is the size."""
        return _COUNTED.get(node) or self.totals.space(node)

    def number(self, node: Expr, space: Space, place: _Element) -> Any:
        """The value of a symbol, or of a reduction."""
        whole = place.within(space)
        found = self.values.get((node, whole))
        if found is None:
            if isinstance(node, Extent):
                found = _BY.number(len(_whole(space, whole)))
            elif isinstance(node, Reduction):
                found = _reduced(node.how, self.over(node.args[0], _whole(space, whole)))
            else:
                found = _BY.number(_drawn(node, self.draw))
            self.values[node, whole] = found
        return found


@lru_cache(maxsize=256)  # asked for every element at every point; printing takes long
def _in_order(node: Expr) -> tuple[Expr, ...]:
    """The symbols and reductions of an expression that stand in no reduction, in an order that does not vary."""
    return tuple(sorted(_outside(node), key=str))


def _outside(node: Expr) -> set[Expr]:
    """The symbols and reductions of an expression that stand in no reduction."""
    if isinstance(node, Reduction | Named):
        return {node}
    return {x for argument in node.args for x in _outside(argument)}


def _reduced(how: str, values: Sequence[Any]) -> Any:
    if not all(map(_BY.context.isfinite, values)):
        return _BY.context.nan
    match how:
        case "sum":
            return sum(values)
        case "mean":
            return sum(values) / len(values)
        case "norm":
            return _BY.context.sqrt(sum(value**2 for value in values))
    return max(values)


def difference(code: Expr, spec: Expr, spaces: Spaces, draw: random.Random) -> str:
    """What two expressions are at a random point where both are numbers; empty if that is the same."""
    points = islice(_at_points(code, spec, spaces, draw), 4)
    return next((at.difference for at in points if at.is_finite), "")


def at_random(code: Expr, spec: Expr, spaces: Spaces, draw: random.Random) -> tuple[Verdict, str]:
    """Compare two expressions at random points, to many digits; all is as for `settled`."""
    compared = missed = 0
    for at in islice(_at_points(code, spec, spaces, draw), 4 * POINTS):
        if not at.is_finite:  # infinite, or the root of something negative
            missed += bool(_BY.context.isfinite(at.spec))
            if missed > POINTS:  # at some edges a quotient is finite that is written otherwise there; not at so many
                said = f"the equation gives {float(at.spec):.17g}, the code no finite number, {at}"
                return Verdict.FAILED, said
        elif at.difference:
            return Verdict.FAILED, at.difference
        else:
            compared += 1
            if compared == POINTS:
                return Verdict.TESTED, f"equal to {DIGITS - 8} digits at {POINTS} random points"
    return Verdict.FAILED, f"only {compared} of {4 * POINTS} random points gave finite values to compare"


@dataclass(frozen=True)
class _Point:
    """What two expressions are at a point."""

    symbols: Mapping[Expr, Any]
    code: Any
    spec: Any

    def __str__(self) -> str:
        return "at " + ", ".join(f"{text(symbol)} = {float(value):g}" for symbol, value in self.symbols.items())

    @property
    def is_finite(self) -> bool:
        """Whether both are numbers."""
        return bool(_BY.context.isfinite(self.code) and _BY.context.isfinite(self.spec))

    @property
    def difference(self) -> str:
        """What both are, if that is not the same but for the last digits."""
        code, spec = abs(self.code), abs(self.spec)
        if abs(self.code - self.spec) <= _BY.number(10) ** (8 - DIGITS) * (1 + code + spec):
            return ""
        told = f", the equation {float(spec):.17g}" if code != spec else " with the other sign"
        return f"the code gives {float(code):.17g} in magnitude{told}, {self}"


def _at_points(code: Expr, spec: Expr, spaces: Spaces, draw: random.Random) -> Iterator[_Point]:
    """Compute two expressions at one random point after another."""
    # A sign hides what it is the sign of: nearly all points would agree whatever stands in it. So does `finite`.
    # What stands for it, x/(1 + abs(x)), is written so that it is 1 of what is infinite.
    code, spec = (side.replace(sympy.sign, lambda x: 1 / (1 / x + sympy.sign(x))) for side in (code, spec))
    code, spec = (side.replace(finite, lambda x: 1 / (1 + x**2)) for side in (code, spec))
    totals = _Reductions(spaces)
    symbols = sorted(_outside(code) | _outside(spec), key=str)
    edges = _edges(code, spec)
    while True:
        model, place = _RandomModel(totals, draw), draw.choice(_PLACES)
        for symbol, edge in edges:
            if draw.random() < 1 / 4:
                near = model.at(edge, place) * (1 if edge.is_Integer else _BY.number(draw.choice(_NEAR)))
                if not isinstance(symbol, Hyper) or S(near) in symbol.domain:
                    model.values[symbol, place.within(totals.space(symbol))] = near
        point = {symbol: model.number(symbol, model.space(symbol), place) for symbol in symbols}
        yield _Point(point, model.at(code, place), model.at(spec, place))


def _edges(*sides: Expr) -> list[tuple[Named, Expr]]:
    """What is compared, with what it is compared with, which a draw would seldom come near."""
    pairs = {pair for side in sides for c in side.atoms(Relational) for pair in (c.args, c.args[::-1])}
    return sorted((pair for pair in pairs if isinstance(pair[0], State | Next | Local | Hyper)), key=str)


@cache
def _is_whole(domain: sympy.Set) -> bool:
    return bool(domain.is_subset(S.Integers))


def _drawn(symbol: Named, draw: random.Random) -> Expr:
    """A random rational for a symbol, inside the domain of a hyperparameter."""
    if isinstance(symbol, StepCount):
        return Integer(draw.randint(1, 50))
    if isinstance(symbol, Hyper):
        low, high = symbol.domain.inf, symbol.domain.sup
        if _is_whole(symbol.domain):
            return Integer(max(low, draw.randint(1, 9)) if low.is_finite else draw.randint(1, 9))
        low = low if low.is_finite else Integer(-3)
        high = high if high.is_finite else low + draw.choice((3, 60))  # of the size of most numbers, and of that of t
        return low + (high - low) * Rational(draw.randint(1, 999), 1000)
    if draw.random() < 1 / 8:  # where a condition is about to change, more often than not
        return S.Zero
    if isinstance(symbol, State | Next | Local):  # often positive, as what stands under a root
        return Rational(draw.randint(1, 3000) * draw.choice((1, 1, 1, -1)), 1000)
    return Rational(draw.randint(-3000, 3000) or 1, 1000)
