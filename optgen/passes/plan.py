"""What sweeps over elements read and write: of all ways that compute the same, the one that moves the fewest bytes.

A value that more than one sweep needs is kept in memory or computed again; a state is stored by the sweep that computes
it first or by a later one, but never before its old value was read for the last time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, product

from optgen.language.noise import Draw
from optgen.language.spaces import Space
from optgen.language.symbols import Named, Stateful
from optgen.passes.stages import Stages, needs

ELEMENT = 4
"""What reading or writing one value costs: its bytes in float32."""
DRAW = 16
"""What drawing a value costs, as if in bytes: about as much time as moving so many."""
MOST_PLANS = 500
"""Of the ways to store states early or late, as many as are tried, the earliest first."""


@dataclass(frozen=True)
class Plan:
    """Where elements are stored."""

    stored: Mapping[Stateful, int]  # by which sweep over elements each slot gets its new value
    kept: frozenset[Named] = frozenset()  # the values that the first sweep to compute them keeps in memory


@dataclass(frozen=True)
class Visit:
    """One sweep over elements under a plan: what it reads, and what that and its writes cost."""

    loads: frozenset[Named]
    cost: float


def best(stages: Stages) -> tuple[Plan, tuple[str, ...]]:
    """The plan that moves fewest bytes, and what to say of its alternatives."""
    slots = [slot for slot in stages.stores if slot.space is Space.ELEM]
    choices = [range(stages.stage[slot.next], stages.last + 1) for slot in slots]
    plans = (Plan(dict(zip(slots, where, strict=True))) for where in islice(product(*choices), MOST_PLANS))
    found = min(plans, key=lambda plan: _cost(stages, plan))  # of equals the first: stored as early as can be
    later = {x for item in stages.items for x in needs(item) if stages.stage[item.target] > stages.stage[x]}
    shared = [x for x in stages.computed if x.space is Space.ELEM and x in later]
    candidates = [x for x in shared if x not in {slot.next for slot in slots}]
    while candidates:
        more = [replace(found, kept=found.kept | {x}) for x in candidates if x not in found.kept]
        better = min(more, key=lambda plan: _cost(stages, plan), default=found)
        if _cost(stages, better) >= _cost(stages, found):
            break
        found = better
    return found, tuple(_notes(stages, found, slots, candidates))


def _notes(stages: Stages, best: Plan, slots: Sequence[Stateful], candidates: Sequence[Named]) -> Iterator[str]:
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


def _cost(stages: Stages, plan: Plan) -> float:
    return sum(visit(stages, plan, k).cost for k in range(stages.last + 1))


def visit(stages: Stages, plan: Plan, k: int) -> Visit:
    """What the k-th sweep over elements reads: the cheapest values from which all that it must hand over follows."""
    stored_before = {slot for slot, where in plan.stored.items() if where < k}
    in_memory = {x: ELEMENT for x in stages.loads if x.space is Space.ELEM and x not in stored_before}
    in_memory |= {x: DRAW for x in stages.loads if isinstance(x, Draw)}
    in_memory |= {slot.next: ELEMENT for slot in stored_before}
    in_memory |= {x: ELEMENT for x in plan.kept if stages.stage[x] < k}
    writes = {slot.next for slot, where in plan.stored.items() if where == k}
    writes |= {x for x in plan.kept if stages.stage[x] == k}
    wanted = frozenset(writes | stages.wanted(k))
    below = wanted.union(*(stages.all_below.get(x, ()) for x in wanted))
    there = {x: cost for x, cost in in_memory.items() if x in below}
    asked = wanted, frozenset(there.items())
    if asked not in stages.cuts:
        stages.cuts[asked] = _cheapest(stages, wanted, there)
    loads, cost = stages.cuts[asked]
    return Visit(loads, cost + ELEMENT * len(writes))


def _cheapest(
    stages: Stages, wanted: frozenset[Named], in_memory: Mapping[Named, float]
) -> tuple[frozenset[Named], float]:
    """The cheapest values in memory from which others can be computed: a minimum cut of what they depend on.

    Each value is an edge, from where it is needed to what it needs, whose capacity is what reading it costs. Paths are
    saturated until no more can be found (Ford and Fulkerson); the edges over which the search then stops are the cut.
    """
    flow: dict[Named, float] = {}
    used: dict[tuple[Named, Named], float] = {}

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
                following += [(x, "upper") for x in stages.below[value]]
                following += [(value, "upper")] if flow.get(value, 0) > 0 else []
            for place in following:
                if place not in seen:
                    seen.add(place)
                    waiting.append((place, [*path, place]))
        return None, seen

    def room(step: tuple[tuple[Named, str], tuple[Named, str]]) -> float:
        """How much more can go along a step of a path, or be taken back."""
        (a, side), (b, _) = step
        if a == b:
            return capacity(a) if side == "upper" else flow[a]
        return float("inf") if side == "lower" else used[b, a]

    while True:
        path, seen = search()
        if path is None:
            break
        steps = list(pairwise(path))
        amount = min(map(room, steps))
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
