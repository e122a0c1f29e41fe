"""split: as many sweeps as reductions need, each of which moves as few bytes as can be.

A total is known only when all that it is made of has been visited. So the body of a kernel falls into stages: a value's
is the highest of what it is computed from, and a reduction of elements is one higher. The elements of stage k are
computed by the k-th sweep over all elements; what varies over less, by small sweeps before it. A value that more than
one of these sweeps needs is either kept in memory or computed again from what is read, whichever moves fewer bytes,
and a state is stored where that costs least, never before its old value was read for the last time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Any

from sympy import Abs, Add, Expr, Mul, Pow, sqrt

from optgen.ir import Assign, Branch, Kernel, Reduce, Sweep, Value, symbols
from optgen.language import order
from optgen.language.noise import Draw
from optgen.language.reductions import Reduction, n_cols, n_rows, numel
from optgen.language.rules import space_of
from optgen.language.spaces import Space
from optgen.language.symbols import Local, Named, Stateful

ELEMENT = 4
"""What reading or writing one value costs: its bytes in float32."""
DRAW = 16
"""What drawing a value costs, as if in bytes: about as much time as moving so many."""
MOST_PLANS = 500
"""Places for the stores of states that are all tried; beyond, each state is stored as early as can be."""

Item = Assign | Reduce


def split(kernel: Kernel) -> Kernel:
    """The kernel with its totals made by sweeps before those that need them."""
    names: dict[Any, Value] = {}
    return replace(kernel, branches=tuple(_split(kernel, branch, names) for branch in kernel.branches))


def _split(kernel: Kernel, branch: Branch, names: dict[Any, Value]) -> Branch:
    (whole,) = branch.sweeps
    if all(assign.space is Space.ELEM and not assign.value.has(Reduction) for assign in whole.body):
        return branch
    numbers = {a.target: a.value for a in kernel.scalars if a.value.is_number}
    stages = _Stages.of(whole, _Totals(dict.fromkeys(kernel.host, Space.STEP), names, numbers))
    plan, notes = _best(stages)
    return replace(branch, sweeps=tuple(_sweeps(stages, plan)), notes=notes)


# Reductions become totals --------------------------------------------------------------------------------------------

_COUNT: Mapping[Space, Expr] = {Space.TENSOR: numel, Space.ROW: n_cols, Space.COL: n_rows}
"""How many elements there are in each."""
_WEIGHT: Mapping[tuple[Space, Space], Expr] = {
    (Space.ROW, Space.TENSOR): n_cols,
    (Space.COL, Space.TENSOR): n_rows,
    (Space.TENSOR, Space.GROUP): numel,
}
"""For how many elements of the larger whole a value stands, where that is more than one."""


@dataclass
class _Totals:
    """Rewrites values so that their reductions are totals, each made once.

    Parameters
    ----------
    spaces : dict of Named to Space
        Of what has no space of its own.
    names : dict
        The names of totals and of what they are made of: equal ones of different branches share theirs.
    numbers : mapping of Named to sympy.Expr
        Scalars that are numbers, which need no name outside of elements.
    items : list of Assign and Reduce
        What has been made, in order.
    """

    spaces: dict[Named, Space]
    names: dict[Any, Value]
    numbers: Mapping[Named, Expr]
    items: list[Item] = field(default_factory=list)

    def rewrite(self, value: Expr) -> Expr:
        """A value with every reduction in it expressed by totals."""
        inner = {node: self.reduced(node) for node in order.walk(value) if isinstance(node, Reduction)}
        return value.xreplace(inner)

    def reduced(self, node: Reduction) -> Expr:
        argument = self.rewrite(node.args[0])
        if space_of(argument, self.spaces) <= node.to:  # the same everywhere in what is reduced
            return self.of_equals(node, argument)
        match node.how:
            case "max":
                return self.total("max", argument, node.to)
            case "norm":
                return sqrt(self.total("sum", argument**2, node.to))
            case "mean":
                return self.sum(argument, node.to) / self.size(node.to)
        return self.sum(argument, node.to)

    def of_equals(self, node: Reduction, argument: Expr) -> Expr:
        size = self.size(node.to)
        return {"sum": size * argument, "norm": sqrt(size) * Abs(argument)}.get(node.how, argument)

    def size(self, whole: Space) -> Expr:
        """How many elements there are in a row, say."""
        return self.total("sum", numel, Space.GROUP, Space.TENSOR) if whole is Space.GROUP else _COUNT[whole]

    def sum(self, argument: Expr, to: Space) -> Expr:
        """A sum, of which all that is the same everywhere in it is kept out."""
        parts = Add.make_args(argument)
        same = [part for part in parts if space_of(part, self.spaces) <= to]
        others = Add(*(part for part in parts if part not in same))
        factors = Mul.make_args(others)
        outside = [factor for factor in factors if space_of(factor, self.spaces) <= to]
        inside = Mul(*(factor for factor in factors if factor not in outside))
        factor, rest = (part.xreplace(self.numbers) for part in (Mul(*outside), Add(*same)))
        return factor * self.total("sum", inside, to) + (rest * self.size(to) if same else 0)

    def total(self, how: str, argument: Expr, to: Space, of: Space | None = None) -> Expr:
        """The total of a value by the way of one for each tensor, if it is one for all."""
        space = of or space_of(argument, self.spaces)
        if to is Space.GROUP and space is not Space.TENSOR:
            return self.total(how, self.total(how, argument, Space.TENSOR), Space.GROUP, Space.TENSOR)
        weight = _WEIGHT.get((space, to), 1) if how == "sum" and of is None else 1
        if space is not Space.ELEM:
            argument = weight * argument
        total = self.value("acc", (how, argument, to), to)
        if total not in self.spaces:
            factors = _halves(argument) if how == "sum" and space is Space.ELEM else (argument,)
            names = tuple(self.name(factor, space) for factor in factors)
            self.items.append(Reduce(total, how, names))
            self.spaces[total] = to
        return total

    def name(self, value: Expr, space: Space) -> Named:
        """The name of a value. Old states and totals get one of their own: the first may be overwritten too soon."""
        if isinstance(value, Named) and (
            space is Space.ELEM or not (isinstance(value, Stateful) or self.is_total(value))
        ):
            return value
        return self.copied(value, space)

    def is_total(self, value: Named) -> bool:
        """Whether a value is a total, which has no array of its own."""
        return any(isinstance(item, Reduce) and item.target == value for item in self.items)

    def copied(self, value: Expr, space: Space) -> Named:
        """A name for a value."""
        name = self.value("y", (value, space), space)
        if name not in self.spaces:
            self.items.append(Assign(name, value, space=space))
            self.spaces[name] = space
        return name

    def value(self, letters: str, key: Any, space: Space) -> Value:
        """The name that something has in every branch."""
        count = sum(name.name.startswith(letters) for name in self.names.values())
        return self.names.setdefault((letters, key), Value(f"{letters}{count}", space))


def _halves(argument: Expr) -> tuple[Expr, ...]:
    """The factors of a product, which float64 holds where float32 would overflow or vanish."""
    if isinstance(argument, Pow) and argument.exp == 2:  # noqa: PLR2004
        return argument.base, argument.base
    if isinstance(argument, Mul):
        coefficient, above, below = order.factors(argument)
        if coefficient == 1 and not below and len(above) > 1:
            return above[0], Mul(*above[1:])
    return (argument,)


# Stages --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stages:
    """The body of a kernel as items in order, each with its stage.

    Parameters
    ----------
    items : tuple of Assign and Reduce
        In an order in which they can be computed.
    loads : tuple of Named
        Old values, the gradient and draws.
    stores : tuple of Stateful
        What gets a new value.
    stage : mapping of Named to int
        Of what is loaded or computed: of elements, the sweep over elements that computes it first; of other values, the
        one before which it is known.
    """

    items: tuple[Item, ...]
    loads: tuple[Named, ...]
    stores: tuple[Stateful, ...]
    stage: Mapping[Named, int]

    @classmethod
    def of(cls, whole: Sweep, totals: _Totals) -> _Stages:
        """Find the stages of a sweep that has reductions in it."""
        placed = {a.target: Value(a.target.name, a.space) for a in whole.body if isinstance(a.target, Local)}
        stage: dict[Named, int] = dict.fromkeys((*totals.spaces, *whole.loads, numel, n_rows, n_cols), 0)
        for assign in whole.body:
            value = totals.rewrite(assign.value.xreplace(placed))
            if assign.space is Space.ELEM:  # elements are given values, not what totals are made of
                made = sorted((x for x in symbols(value) if totals.is_total(x)), key=str)
                value = value.xreplace({x: totals.copied(x, x.space) for x in made})
            target = placed.get(assign.target, assign.target)
            totals.items.append(replace(assign, target=target, value=value))
        for item in totals.items:
            highest = max((stage[x] for x in needs(item)), default=0)
            from_elements = isinstance(item, Reduce) and item.factors[0].space is Space.ELEM
            stage[item.target] = highest + from_elements
        loads = tuple(dict.fromkeys(x for x in whole.loads if any(x in needs(item) for item in totals.items)))
        return cls(tuple(totals.items), loads, whole.stores, stage)

    @property
    def last(self) -> int:
        """The number of the last sweep over elements."""
        return max((self.stage[x] for x in self.computed if x.space is Space.ELEM), default=0)

    @property
    def computed(self) -> Mapping[Named, Assign]:
        """The assignments by their targets."""
        return {item.target: item for item in self.items if isinstance(item, Assign)}

    @property
    def reduces(self) -> tuple[Reduce, ...]:
        """The totals."""
        return tuple(item for item in self.items if isinstance(item, Reduce))

    def wanted(self, k: int) -> set[Named]:
        """The factors of the totals that the k-th sweep over elements makes."""
        return {x for r in self.reduces for x in r.factors if x.space is Space.ELEM and self.stage[r.target] == k + 1}


def needs(item: Item) -> set[Named]:
    """What an assignment or a total is computed from."""
    return symbols(item.value) if isinstance(item, Assign) else set(item.factors)


# What to keep, and where to store ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """Where elements are stored.

    Parameters
    ----------
    stored : mapping of Stateful to int
        By which sweep over elements each slot gets its new value.
    kept : frozenset of Named
        The values that the first sweep to compute them keeps in memory.
    """

    stored: Mapping[Stateful, int]
    kept: frozenset[Named] = frozenset()


@dataclass(frozen=True)
class _Visit:
    """One sweep over elements under a plan: what it reads, and what that and its writes cost."""

    loads: frozenset[Named]
    cost: float


def _best(stages: _Stages) -> tuple[_Plan, tuple[str, ...]]:
    """The plan that moves fewest bytes, and what to say of its alternatives."""
    slots = [slot for slot in stages.stores if slot.space is Space.ELEM]
    choices = [range(stages.stage[slot.next], stages.last + 1) for slot in slots]
    plans = [_Plan(dict(zip(slots, where, strict=True))) for where in product(*choices)][:MOST_PLANS]
    best = min(plans, key=lambda plan: _cost(stages, plan))  # of equals the first: stored as early as can be
    shared = [x for x in stages.computed if x.space is Space.ELEM and _is_needed_later(stages, x)]
    candidates = [x for x in shared if x not in {slot.next for slot in slots}]
    while candidates:
        more = [replace(best, kept=best.kept | {x}) for x in candidates if x not in best.kept]
        better = min(more, key=lambda plan: _cost(stages, plan), default=best)
        if _cost(stages, better) >= _cost(stages, best):
            break
        best = better
    return best, tuple(_notes(stages, best, slots, candidates))


def _is_needed_later(stages: _Stages, value: Named) -> bool:
    return any(value in needs(item) and stages.stage[item.target] > stages.stage[value] for item in stages.items)


def _notes(stages: _Stages, best: _Plan, slots: Sequence[Stateful], candidates: Sequence[Named]) -> Iterator[str]:
    if not stages.last:
        return
    cost = _cost(stages, best)
    yield f"{cost:g} bytes an element in float32 are moved, and as far as tried no other way moves fewer:"
    for slot in slots:
        for k in range(stages.stage[slot.next], stages.last + 1):
            if k != best.stored[slot]:
                other = _cost(stages, replace(best, stored={**best.stored, slot: k}))
                yield f"  {slot} stored by element sweep {best.stored[slot]}; by {k}: {other:g}"
    for x in candidates:
        said, otherwise = ("kept", "computed again") if x in best.kept else ("computed again", "kept in memory")
        other = _cost(stages, replace(best, kept=best.kept ^ {x}))
        yield f"  {x} {said}; {otherwise}: {other:g}"


def _cost(stages: _Stages, plan: _Plan) -> float:
    return sum(_visit(stages, plan, k).cost for k in range(stages.last + 1))


def _visit(stages: _Stages, plan: _Plan, k: int) -> _Visit:
    """What the k-th sweep over elements reads: the cheapest values from which all that it must hand over follows."""
    stored_before = {slot for slot, where in plan.stored.items() if where < k}
    in_memory = {x: ELEMENT for x in stages.loads if x.space is Space.ELEM and x not in stored_before}
    in_memory |= {x: DRAW for x in stages.loads if isinstance(x, Draw)}
    in_memory |= {slot.next: ELEMENT for slot in stored_before}
    in_memory |= {x: ELEMENT for x in plan.kept if stages.stage[x] < k}
    writes = {slot.next for slot, where in plan.stored.items() if where == k}
    writes |= {x for x in plan.kept if stages.stage[x] == k}
    loads, cost = _cheapest(stages, frozenset(writes | stages.wanted(k)), in_memory)
    return _Visit(loads, cost + ELEMENT * len(writes))


def _cheapest(
    stages: _Stages, wanted: frozenset[Named], in_memory: Mapping[Named, float]
) -> tuple[frozenset[Named], float]:
    """The cheapest values in memory from which others can be computed: a minimum cut of what they depend on.

    Each value is an edge, from where it is needed to what it needs, whose capacity is what reading it costs. Paths are
    saturated until no more can be found (Ford and Fulkerson); the edges over which the search then stops are the cut.
    """
    flow: dict[Named, float] = {}
    used: dict[tuple[Named, Named], float] = {}

    def below(value: Named) -> list[Named]:
        assign = stages.computed.get(value)
        return [] if assign is None else sorted((x for x in symbols(assign.value) if x.space is Space.ELEM), key=str)

    def capacity(value: Named) -> float:
        return in_memory.get(value, float("inf")) - flow.get(value, 0)

    def search() -> tuple[list[tuple[Named, str]] | None, set[tuple[Named, str]]]:
        """A path that can carry more, or all that can be reached: a value's upper side, or its lower."""
        waiting = [((x, "upper"), [(x, "upper")]) for x in sorted(wanted, key=str)]
        seen = {place for place, _ in waiting}
        while waiting:
            (value, side), path = waiting.pop()
            following: list[tuple[Named, str]] = []
            if side == "upper":
                following += [(value, "lower")] if capacity(value) > 0 else []
                following += [(x, "lower") for (x, y), amount in used.items() if y == value and amount > 0]
            else:
                if value not in stages.computed:
                    return path, seen
                following += [(x, "upper") for x in below(value)]
                following += [(value, "upper")] if flow.get(value, 0) > 0 else []
            for place in following:
                if place not in seen:
                    seen.add(place)
                    waiting.append((place, [*path, place]))
        return None, seen

    while True:
        path, seen = search()
        if path is None:
            break
        steps = list(pairwise(path))
        amount = min((capacity(a) for (a, s), (b, _) in steps if a == b and s == "upper"), default=float("inf"))
        if amount == float("inf"):
            return frozenset(), float("inf")  # what is needed is no more in memory
        for (a, side), (b, _) in steps:
            if a == b:
                flow[a] = flow.get(a, 0) + (amount if side == "upper" else -amount)
            elif side == "lower":
                used[a, b] = used.get((a, b), 0) + amount
            else:
                used[b, a] -= amount
    cut = frozenset(x for x in in_memory if (x, "upper") in seen and (x, "lower") not in seen)
    return cut, sum(in_memory[x] for x in cut)


# Sweeps --------------------------------------------------------------------------------------------------------------


def _sweeps(stages: _Stages, plan: _Plan) -> list[Sweep]:
    """All sweeps in order."""
    sweeps: list[Sweep] = []
    for k in range(stages.last + 2):
        sweeps += _small_sweeps(stages, k)
        sweeps += [sweep for sweep in (_over_elements(stages, plan, k),) if sweep.results and k <= stages.last]
    return _keeping(_storing(sweeps, [slot for slot in stages.stores if slot.space is not Space.ELEM]))


def _storing(sweeps: list[Sweep], states: Sequence[Stateful]) -> list[Sweep]:
    """The sweeps with small states stored where they are computed, or at the end if their old values are read after."""
    late: list[Stateful] = []
    for state in states:
        where = next(k for k, sweep in enumerate(sweeps) if any(a.target == state.next for a in sweep.body))
        if any(state in sweep.loads for sweep in sweeps[where + 1 :]):
            late.append(state)
        else:
            sweeps[where] = replace(sweeps[where], stores=(*sweeps[where].stores, state))
    for space in dict.fromkeys(state.space for state in late):
        of_space = tuple(state for state in late if state.space is space)
        sweeps.append(Sweep(tuple(state.next for state in of_space), (), of_space, space=space))
    return sweeps


def _keeping(sweeps: list[Sweep]) -> list[Sweep]:
    """The sweeps with small values kept that a later one loads, and those that totals are made of."""
    used_later: set[Named] = set()
    for k, sweep in reversed(list(enumerate(sweeps))):
        if sweep.is_small:
            wanted = used_later | {x for reduce in sweep.reduces for x in reduce.factors}
            stored = {slot.next for slot in sweep.stores}
            kept = tuple(a.target for a in sweep.body if a.target in wanted - stored)
            sweeps[k] = replace(sweep, keeps=kept)
        used_later |= set(sweep.loads)
    return sweeps


def _over_elements(stages: _Stages, plan: _Plan, k: int) -> Sweep:
    loads = _visit(stages, plan, k).loads
    stores = tuple(slot for slot in stages.stores if slot.space is Space.ELEM and plan.stored[slot] == k)
    keeps = tuple(x for x in stages.computed if x in plan.kept and stages.stage[x] == k)
    wanted = {*(slot.next for slot in stores), *keeps, *stages.wanted(k)} - loads
    body: list[Assign] = []
    for assign in reversed(list(stages.computed.values())):
        if assign.target in wanted and assign.target not in loads:
            body.insert(0, assign)
            wanted |= {x for x in symbols(assign.value) if x.space is Space.ELEM}
    small = {x for assign in body for x in symbols(assign.value) if x.space not in (Space.ELEM, Space.STEP)}
    reduces = tuple(r for r in stages.reduces if stages.wanted(k).issuperset(r.factors))
    return Sweep((*_in_order(stages, loads), *_in_order(stages, small)), tuple(body), stores, keeps, reduces)


def _in_order(stages: _Stages, values: Iterable[Named]) -> tuple[Named, ...]:
    """Values as parameters: old values as the kernel has them, new ones in the order in which they are made."""
    places = [*stages.loads, *(item.target for item in stages.items), numel, n_rows, n_cols]
    slots = {slot.next: slot for slot in stages.stores}
    old = {x: place for place, x in enumerate(places)}
    return tuple(sorted(values, key=lambda x: old.get(slots.get(x, x), old[x])))


def _small_sweeps(stages: _Stages, k: int) -> Iterator[Sweep]:
    """The sweeps over less than elements that are done before the k-th over elements."""
    waiting = [item for item in stages.items if stages.stage[item.target] == k and _visits(item) is not Space.ELEM]
    while waiting:
        pending = {item.target for item in waiting}
        for space in (Space.GROUP, Space.TENSOR, Space.ROW, Space.COL):
            done: list[Item] = []
            for item in waiting:
                if _visits(item) is space and not needs(item) & pending:
                    done.append(item)
                    if isinstance(item, Assign):  # what needs a total of this sweep must wait for the next
                        pending -= {item.target}
            if done:
                break
        body = tuple(item for item in done if isinstance(item, Assign))
        reduces = tuple(item for item in done if isinstance(item, Reduce))
        made = {assign.target for assign in body}
        loaded = {x for item in done for x in needs(item) if x.space is not Space.STEP} - made
        yield Sweep(_in_order(stages, loaded), body, (), reduces=reduces, space=space)
        waiting = [item for item in waiting if item not in done]


def _visits(item: Item) -> Space:
    """The space over which an item is computed."""
    return item.space if isinstance(item, Assign) else item.factors[0].space
