"""Random points: what two expressions are there to 50 digits, most of all where conditions change."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import cycle, islice
from typing import Any

import numpy as np
import sympy
from sympy import Expr, Integer, Piecewise, Rational, S
from sympy.core.relational import Relational

from optgen.language.reductions import Extent, Reduction, finite, n_cols, n_rows, numel
from optgen.language.rules import space_of
from optgen.language.spaces import Space
from optgen.language.sums import plain
from optgen.language.symbols import Hyper, Local, Named, Next, State, StepCount
from optgen.language.text import text
from optgen.verify import reference
from optgen.verify.arithmetic import Digits
from optgen.verify.candidate import Verdict

POINTS = 64
"""Random points for what algebra cannot settle."""
DIGITS = 50
_BY = Digits(2 * DIGITS)
"""What points are computed with: so many digits that none of those compared is lost on the way."""

Spaces = Mapping[Named, Space]


def differ(a: Expr, b: Expr) -> bool:
    """Whether two expressions are different numbers at a point, which is always the same."""
    draw = random.Random(0)
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    drawn = {x: Integer(draw.randint(1, 9)) if x.is_integer else _drawn(x, draw) for x in symbols}
    known = {x: _BY.number(abs(value) if x.is_nonnegative else value) for x, value in drawn.items()}
    point = Point(drawn, *(reference.evaluated(side, known, _BY) for side in (a, b)))
    return point.is_finite and bool(point.difference)


_SHAPES = ((2, 2, 3), (3,), (2,))
"""Of the tensors of the model on which totals are tried: a stack of matrices and two vectors."""
_GROUPS = (0, 0, 1)
"""The parameter group of each."""


_MOVED = (State, Next, Local, Hyper)
"""What is given other values than those drawn, so that both sides of a condition are equal."""
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

    spaces: Spaces
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

    def let(self, symbol: Named, value: Any, place: _Element) -> bool:
        """Give a symbol a value where an element stands, unless its domain does not have it; whether that was done."""
        given = bool(_BY.context.isfinite(value)) and (not isinstance(symbol, Hyper) or S(value) in symbol.domain)
        if given:
            self.values[symbol, place.within(space_of(symbol, self.spaces))] = value
        return given

    def space(self, node: Expr) -> Space:
        """Of which wholes a symbol or a reduction has a value each; an extent, of which it is the size."""
        return _COUNTED.get(node) or space_of(node, self.spaces)

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
            missing = bool(_BY.context.isfinite(at.spec))
            missed += missing
            # Here and there a quotient is finite that is written otherwise there: not where a condition has an edge.
            if missed > POINTS or (missing and at.on_edge):
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
class Point:
    """What two expressions are at a point."""

    symbols: Mapping[Expr, Any]
    code: Any
    spec: Any
    on_edge: bool = False  # whether both sides of a condition have been made equal

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


def _at_points(code: Expr, spec: Expr, spaces: Spaces, draw: random.Random) -> Iterator[Point]:
    """Compute two expressions at one random point after another."""
    # A sign hides what it is the sign of: nearly all points would agree whatever stands in it. So does `finite`.
    # What stands for it, x/(1 + abs(x)), is written so that it is 1 of what is infinite.
    code, spec = (side.replace(sympy.sign, _by_factors) for side in (code, spec))
    code, spec = (side.replace(sympy.sign, lambda x: 1 / (1 / x + sympy.sign(x))) for side in (code, spec))
    code, spec = (side.replace(finite, lambda x: 1 / (1 + x**2)) for side in (code, spec))
    symbols = sorted(_outside(code) | _outside(spec), key=str)
    edges, conditions = _edges(code, spec), code.atoms(Relational) | spec.atoms(Relational)
    # Every other point is on an edge, one after another.
    turns = cycle([turn for edge in edges for turn in (edge, None)] or [None])
    for exact in turns:
        model, place = _RandomModel(spaces, draw), draw.choice(_PLACES)
        for symbol, edge in edges:
            if draw.random() < 1 / 4:
                model.let(
                    symbol, model.at(edge, place) * (1 if edge.is_Integer else _BY.number(draw.choice(_NEAR))), place
                )
        on_edge = exact is not None and model.let(exact[0], model.at(exact[1], place), place)
        if on_edge and any(_is_undecided(*(model.at(its, place) for its in each.args)) for each in conditions):
            continue  # a root that is not rational, say
        point = {symbol: model.number(symbol, model.space(symbol), place) for symbol in symbols}
        yield Point(point, model.at(code, place), model.at(spec, place), on_edge)


def _by_factors(value: Expr) -> Expr:
    """The sign of a product, as the product of the signs of what is multiplied; a quotient may have none."""
    product = sympy.factor_terms(value) if isinstance(value, sympy.Add) else value
    match product:
        case sympy.Mul() if sympy.fraction(product)[1].is_number:
            return sympy.Mul(*map(_by_factors, product.args))
        case sympy.Pow(base=base, exp=exponent) if exponent.is_Integer and exponent > 0:
            return _by_factors(base) if exponent % 2 else _by_factors(base) ** 2
        case sympy.Abs():
            return _by_factors(product.args[0]) ** 2
    return sympy.sign(product)


def _is_undecided(left: Any, right: Any) -> bool:
    """Whether two numbers are the same but for the last digits."""
    return bool(left != right and abs(left - right) <= _BY.number(10) ** (8 - DIGITS) * (abs(left) + abs(right)))


def _edges(*sides: Expr) -> list[tuple[Named, Expr]]:
    """What conditions compare, each with what it is where both sides are equal, which a draw would seldom come near."""
    conditions = set().union(*(side.atoms(Relational) for side in sides))
    return sorted({edge for condition in conditions for edge in _edges_of(condition)}, key=str)


@lru_cache(maxsize=256)  # asked of every value that a condition has a part in
def _edges_of(condition: Relational) -> tuple[tuple[Named, Expr], ...]:
    """The symbols of a condition that it can be solved for, each with what it is where both sides are equal."""
    found = [pair for pair in (condition.args, condition.args[::-1]) if isinstance(pair[0], _MOVED)]
    difference = plain(condition.lhs - condition.rhs)
    if not found and not difference.has(Reduction, Piecewise):
        slopes = {symbol: difference.diff(symbol) for symbol in difference.free_symbols if isinstance(symbol, _MOVED)}
        linear = [symbol for symbol, slope in slopes.items() if slope != 0 and not slope.has(symbol)]
        found = [(symbol, -difference.xreplace({symbol: S.Zero}) / slopes[symbol]) for symbol in linear]
    return tuple(found)


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
