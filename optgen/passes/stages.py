"""The stages of a body: its reductions as totals, and how many sweeps over elements each value needs before it.

A value's stage is the highest of what it is computed from, and a reduction of elements is one higher. What varies over
less than elements is in the way of no sweep: a total of a total of rows, say, is in the stage of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sympy import Abs, Expr, Mul, Pow, S, sqrt

from optgen.ir import Equation, Reduce, Sweep, Value, root_of_squares, shrunk, stretched, symbols
from optgen.language import order
from optgen.language.graph import replaced
from optgen.language.reductions import Reduction, n_cols, n_rows, numel
from optgen.language.rules import space_of
from optgen.language.spaces import Space
from optgen.language.sums import InOrder, is_sum, negated
from optgen.language.symbols import Local, Named, Stateful

Item = Equation | Reduce
PARTS, WHOLE = "acc", "total"
"""A sweep leaves ``acc0``, in parts; ``total0`` is what they are together."""


def held_by(space: Space) -> Space:
    """What has a value of a space: that of a group every tensor of it has."""
    return Space.TENSOR if space is Space.GROUP else space


# Reductions become totals --------------------------------------------------------------------------------------------

_COUNT: Mapping[Space, Expr] = {Space.TENSOR: numel, Space.ROW: n_cols, Space.COL: n_rows}
"""How many elements there are in each."""
_WEIGHT: Mapping[tuple[Space, Space], Expr] = {
    (Space.ROW, Space.TENSOR): n_cols,
    (Space.COL, Space.TENSOR): n_rows,
    (Space.TENSOR, Space.GROUP): numel,
    (Space.TENSOR, Space.MODEL): numel,
}
"""For how many elements of the larger whole a value stands, where that is more than one."""


@dataclass
class Totals:
    """Rewrites values so that their reductions are totals, each made once."""

    spaces: dict[Named, Space]  # of what has no space of its own
    # The names of totals and of what they are made of: equal ones of different branches share theirs
    names: dict[Any, Value]
    free: Mapping[str, Iterator[str]]  # those that are left, by their letters
    numbers: Mapping[Named, Expr]  # scalars that are numbers, which need no name outside of elements
    items: list[Item] = field(default_factory=list)  # what has been made, in order
    reduces: dict[Named, Reduce] = field(default_factory=dict)  # the totals among it

    def rewrite(self, value: Expr) -> Expr:
        """A value with every reduction in it expressed by totals."""
        wholes = [node for node in order.walk(value) if isinstance(node, Reduction) or _is_root_of_squares(node)]
        return replaced(value, {node: self.reduced(node) for node in wholes})

    def reduced(self, node: Expr) -> Expr:
        """A reduction, or the root of one of squares, expressed by totals."""
        if isinstance(node, Pow):
            return Pow(self.root(node.base.args[0].base, node.base), 2 * node.exp)
        argument = self.rewrite(node.args[0])
        if node.how == "norm":
            return self.root(argument, node)
        if space_of(argument, self.spaces) <= node.to:  # the same everywhere in what is reduced
            return Mul(self.size(node.to), argument) if node.how == "sum" else argument
        match node.how:
            case "max":
                return self.total("max", argument, node.to)
            case "mean":
                return Mul(self.sum(argument, node.to), Pow(self.size(node.to), -1))
        return self.sum(argument, node.to)

    def size(self, whole: Space) -> Expr:
        """How many elements there are in a row, say."""
        return _COUNT[whole] if whole in _COUNT else self.total("sum", numel, whole, Space.TENSOR)

    def sum(self, argument: Expr, to: Space) -> Expr:
        """A sum, of which all that is the same everywhere in it is kept out."""
        parts = argument.args if is_sum(argument) else (argument,)
        same = [part for part in parts if space_of(part, self.spaces) <= to]
        others = InOrder(*(part for part in parts if part not in same))
        factors = Mul.make_args(others)
        outside = [factor for factor in factors if space_of(factor, self.spaces) <= to]
        inside = Mul(*(factor for factor in factors if factor not in outside))
        factor, rest = (replaced(part, self.numbers) for part in (Mul(*outside), InOrder(*same)))
        total = Mul(factor, self.total("sum", inside, to))
        return InOrder(total, Mul(rest, self.size(to))) if same else total

    def root(self, argument: Expr, node: Reduction) -> Expr:
        """The root of a sum, or a mean, of squares, some of which float64 may not hold."""
        argument = self.rewrite(argument)
        if space_of(argument, self.spaces) <= node.to:
            return Abs(argument) if node.how == "mean" else Mul(sqrt(self.size(node.to)), Abs(argument))
        sums = [self.total("sum", self.squared(argument, scaled), node.to) for scaled in (None, shrunk, stretched)]
        if node.how == "mean":
            sums = [Mul(total, Pow(self.size(node.to), -1)) for total in sums]
        return root_of_squares(*sums)

    def squared(self, argument: Expr, scaled: Callable[[Expr], Expr] | None) -> Expr:
        """The square of a value, of elements that of a name, so that it is not multiplied out before it is float64."""
        if space_of(argument, self.spaces) is not Space.ELEM:
            return Pow(scaled(argument) if scaled else argument, 2)
        positive = negated(argument) if order.is_negative(argument) else argument
        name = self.name(positive, Space.ELEM)
        return Pow(self.name(scaled(name), Space.ELEM) if scaled else name, 2)

    def total(self, how: str, argument: Expr, to: Space, of: Space | None = None) -> Expr:
        """The total of a value by the way of one for each tensor, if it is one for all.

        It has a name of its own, by which it is known to whatever is made of it: between what sweeps leave of it and
        that, others may add theirs. The total of a row is whole when the row has been visited.
        """
        space = of or space_of(argument, self.spaces)
        if how == "sum" and space is Space.ELEM and _is_square(argument):
            argument = self.squared(argument.base, None)
        if to in (Space.MODEL, Space.GROUP) and space is not Space.TENSOR:
            return self.total(how, self.total(how, argument, Space.TENSOR), to, Space.TENSOR)
        weight = _WEIGHT.get((space, to), 1) if how == "sum" and of is None else 1
        if space is not Space.ELEM:
            argument = Mul(weight, argument)
        total, kept = self.value(PARTS, (how, argument, to), held_by(to)), held_by(to)
        if total not in self.spaces:
            factors = _halves(argument) if how == "sum" and space is Space.ELEM else (argument,)
            names = tuple(self.name(factor, space) for factor in factors)
            self.reduces[total] = Reduce(total, how, names)
            self.items.append(self.reduces[total])
            self.spaces[total] = kept
        if not self.reduces[total].is_in_parts:
            return total
        return self.assigned(Value(total.name.replace(PARTS, WHOLE), kept), total)

    def name(self, value: Expr, space: Space) -> Named:
        """The name of a value in a space. Old reduced states and totals get one of their own.

        The first may be overwritten too soon, the others have no array.
        """
        if not isinstance(value, Named) or space_of(value, self.spaces) is not space:
            return self.copied(value, space)
        has_room = space is Space.ELEM or not (isinstance(value, Stateful) or value in self.reduces)
        return value if has_room else self.copied(value, space)

    def copied(self, value: Expr, space: Space) -> Named:
        """A name for a value."""
        return self.assigned(self.value("y", (value, space), space), value)

    def assigned(self, name: Value, value: Expr) -> Value:
        """A name that becomes a value, once."""
        if name not in self.spaces:
            self.items.append(Equation(name, value, space=name.space))
            self.spaces[name] = name.space
        return name

    def value(self, letters: str, key: Any, space: Space) -> Value:
        """The name that something has in every branch."""
        if (letters, key) not in self.names:
            self.names[letters, key] = Value(next(self.free[letters]), space)
        return self.names[letters, key]


def _is_root_of_squares(node: Expr) -> bool:
    if not isinstance(node, Pow) or abs(node.exp) != S.Half or not isinstance(node.base, Reduction):
        return False
    return node.base.how in {"sum", "mean"} and _is_square(node.base.args[0])


def _is_square(value: Expr) -> bool:
    return isinstance(value, Pow) and value.exp == 2  # noqa: PLR2004


def _halves(argument: Expr) -> tuple[Expr, ...]:
    """The factors of a product, which float64 holds where float32 would overflow or vanish."""
    if _is_square(argument):
        return argument.base, argument.base
    if isinstance(argument, Mul):
        coefficient, above, below = order.factors(argument)
        if coefficient == 1 and not below and len(above) > 1:
            return above[0], Mul(*above[1:])
    return (argument,)


def _by_rows(items: Sequence[Item]) -> list[Item]:
    """The same with a total of a tensor made of those of its rows, where there are such of the same."""
    rows = {(x.how, x.factors): x for x in items if isinstance(x, Reduce) and x.target.space is Space.ROW}
    found: dict[Item, None] = {}
    for item in items:
        row = rows.get((item.how, item.factors)) if isinstance(item, Reduce) else None
        if isinstance(item, Reduce) and row and item.of is Space.ELEM and item.target.space is Space.TENSOR:
            found |= {row: None, replace(item, factors=(row.target,)): None}
        else:
            found[item] = None
    return list(found)


# Stages --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stages:
    """The body of a kernel as items in order, each with its stage."""

    items: tuple[Item, ...]  # in an order in which they can be computed
    loads: tuple[Named, ...]  # old values, the gradient and draws
    stores: tuple[Stateful, ...]  # what gets a new value
    # Of what is loaded or computed: of elements, the sweep over elements that computes it first; of other values, the
    # one before which it is known
    stage: Mapping[Named, int]
    # From which values in memory those that are wanted are cheapest made, by both: most plans ask what others did
    cuts: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, whole: Sweep, totals: Totals) -> Stages:
        """Find the stages of a sweep that has reductions in it."""
        placed = {
            a.target: Value(a.target.name, held_by(a.space)) for a in whole.body if isinstance(a.target, Local | Value)
        }
        stage: dict[Named, int] = dict.fromkeys((*totals.spaces, *whole.loads, numel, n_rows, n_cols), 0)
        for assign in whole.body:
            value = totals.rewrite(replaced(assign.value, placed))
            if assign.space is Space.ELEM:  # elements are given values, not what totals are made of
                made = sorted((x for x in symbols(value) if x in totals.reduces), key=str)
                value = replaced(value, {x: totals.copied(x, x.space) for x in made})
            target = placed.get(assign.target, assign.target)
            totals.items.append(replace(assign, target=target, value=value, space=held_by(assign.space)))
        items = _by_rows(totals.items)
        for item in items:
            highest = max((stage[x] for x in needs(item)), default=0)
            from_elements = isinstance(item, Reduce) and item.of is Space.ELEM
            stage[item.target] = highest + from_elements
        loads = tuple(dict.fromkeys(x for x in whole.loads if any(x in needs(item) for item in items)))
        return cls(tuple(items), loads, whole.stores, stage)

    @cached_property
    def last(self) -> int:
        """The number of the last sweep over elements."""
        return max((self.stage[x] for x in self.computed if x.space is Space.ELEM), default=0)

    @cached_property
    def computed(self) -> Mapping[Named, Equation]:
        """The assignments by their targets."""
        return {item.target: item for item in self.items if isinstance(item, Equation)}

    @cached_property
    def below(self) -> Mapping[Named, tuple[Named, ...]]:
        """The values of elements from which others are computed, by name."""
        return {
            target: tuple(sorted((x for x in symbols(item.value) if x.space is Space.ELEM), key=str))
            for target, item in self.computed.items()
        }

    @cached_property
    def all_below(self) -> Mapping[Named, frozenset[Named]]:
        """The values of elements from which others are computed, by way of further ones too, and those themselves."""
        found: dict[Named, frozenset[Named]] = {}
        for target in self.computed:  # in an order in which they can be
            found[target] = frozenset({target}).union(*(found.get(x, {x}) for x in self.below[target]))
        return found

    @cached_property
    def reduces(self) -> tuple[Reduce, ...]:
        """The totals."""
        return tuple(item for item in self.items if isinstance(item, Reduce))

    @cached_property
    def parts(self) -> frozenset[Named]:
        """The totals of which sweeps leave parts, to be combined."""
        return frozenset(reduce.target for reduce in self.reduces if reduce.is_in_parts)

    def wanted(self, k: int) -> set[Named]:
        """The factors of the totals that the k-th sweep over elements makes."""
        return {x for reduce in self.made(k) for x in reduce.factors}

    def made(self, k: int) -> tuple[Reduce, ...]:
        """The totals that the k-th sweep over elements makes."""
        return self._made_by.get(k, ())

    @cached_property
    def _made_by(self) -> Mapping[int, tuple[Reduce, ...]]:
        """The totals of elements by the number of the sweep that makes them."""
        found: dict[int, tuple[Reduce, ...]] = {}
        for reduce in self.reduces:
            if reduce.of is Space.ELEM:
                k = self.stage[reduce.target] - 1
                found[k] = (*found.get(k, ()), reduce)
        return found


def needs(item: Item) -> set[Named]:
    """What an assignment or a total is computed from."""
    return symbols(item.value) if isinstance(item, Equation) else set(item.factors)
