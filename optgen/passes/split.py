"""split: as many sweeps as reductions need, each of which moves as few bytes as can be.

A total is known only when all that it is made of has been visited. So the body of a kernel falls into stages: a value's
is the highest of what it is computed from, and a reduction of elements is one higher. The elements of stage k are
computed by the k-th sweep over all elements; what varies over less, by reduced sweeps before it. A value that more than
one of these sweeps needs is either kept in memory or computed again from what is read, whichever moves fewer bytes,
and a state is stored where that costs least, never before its old value was read for the last time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optgen.ir import Branch, Equation, Kernel, Reduce, Sweep, Value, fresh, symbols
from optgen.language.reductions import Reduction, n_cols, n_rows, numel
from optgen.language.spaces import Space
from optgen.language.symbols import Named, Stateful
from optgen.passes.plan import Plan, best, visit
from optgen.passes.stages import PARTS, WHOLE, Item, Stages, Totals, needs


def split(kernel: Kernel) -> Kernel:
    """The kernel with its totals made by sweeps before those that need them."""
    names: dict[Any, Value] = {}
    free = {letters: fresh(letters, kernel.names) for letters in (PARTS, "y")}
    free[PARTS] = (name for name in free[PARTS] if name.replace(PARTS, WHOLE) not in kernel.names)
    return replace(kernel, branches=tuple(_split(kernel, branch, names, free) for branch in kernel.branches))


def _split(kernel: Kernel, branch: Branch, names: dict[Any, Value], free: Mapping[str, Iterator[str]]) -> Branch:
    (whole,) = branch.sweeps
    if all(assign.space is Space.ELEM and not assign.value.has(Reduction) for assign in whole.body):
        return branch
    numbers = {a.target: a.value for a in kernel.scalars if a.value.is_number}
    stages = Stages.of(whole, Totals(dict.fromkeys(kernel.host, Space.STEP), names, free, numbers))
    plan, notes = best(stages)
    return replace(branch, sweeps=tuple(_sweeps(stages, plan)), notes=notes)


def _sweeps(stages: Stages, plan: Plan) -> list[Sweep]:
    """All sweeps in order."""
    sweeps: list[Sweep] = []
    for k in range(stages.last + 1):
        sweeps += [*_reduced_sweeps(stages, k), _over_elements(stages, plan, k)]
    sweeps = [
        sweep for sweep in (*sweeps, *_reduced_sweeps(stages, stages.last + 1)) if sweep.is_reduced or sweep.results
    ]
    return _keeping(_storing(sweeps, [slot for slot in stages.stores if slot.space is not Space.ELEM]))


def _storing(sweeps: list[Sweep], states: Sequence[Stateful]) -> list[Sweep]:
    """The sweeps with reduced states stored where they are computed, or at the end if old values are read after."""
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
    """The sweeps with reduced values kept that a later one loads, and those that totals are made of."""
    used_later: set[Named] = set()
    for k, sweep in reversed(list(enumerate(sweeps))):
        if sweep.is_reduced:
            wanted = used_later | {x for reduce in sweep.reduces for x in reduce.factors}
            stored = {slot.next for slot in sweep.stores}
            kept = tuple(a.target for a in sweep.body if a.target in wanted - stored)
            sweeps[k] = replace(sweep, keeps=kept)
        used_later |= set(sweep.loads)
    return sweeps


def _over_elements(stages: Stages, plan: Plan, k: int) -> Sweep:
    loads = visit(stages, plan, k).loads
    stores = tuple(slot for slot in stages.stores if slot.space is Space.ELEM and plan.stored[slot] == k)
    keeps = tuple(x for x in stages.computed if x in plan.kept and stages.stage[x] == k)
    wanted = {*(slot.next for slot in stores), *keeps, *stages.wanted(k)} - loads
    body: list[Equation] = []
    for assign in reversed(list(stages.computed.values())):
        if assign.target in wanted and assign.target not in loads:
            body.insert(0, assign)
            wanted |= {x for x in symbols(assign.value) if x.space is Space.ELEM}
    reduced = {x for assign in body for x in symbols(assign.value) if x.space not in (Space.ELEM, Space.STEP)}
    return Sweep((*_in_order(stages, loads), *_in_order(stages, reduced)), tuple(body), stores, keeps, stages.made(k))


def _in_order(stages: Stages, values: Iterable[Named]) -> tuple[Named, ...]:
    """Values as parameters: old values as the kernel has them, new ones in the order in which they are made."""
    places = [*stages.loads, *(item.target for item in stages.items), numel, n_rows, n_cols]
    slots = {slot.next: slot for slot in stages.stores}
    old = {x: place for place, x in enumerate(places)}
    return tuple(sorted(values, key=lambda x: old.get(slots.get(x, x), old[x])))


_REDUCED = (Space.MODEL, Space.TENSOR, Space.ROW, Space.COL)


def _reduced_sweeps(stages: Stages, k: int) -> Iterator[Sweep]:
    """The sweeps over less than elements that are done before the k-th over elements.

    Totals are combined by sweeps that do nothing else, before others compute with them.
    """
    waiting = [item for item in stages.items if stages.stage[item.target] == k and _visits(item) is not Space.ELEM]
    combining = {item.target for item in waiting if isinstance(item, Equation) and item.value in stages.parts}
    kinds = [(True, space) for space in _REDUCED] + [(False, space) for space in _REDUCED]
    while waiting:
        pending = {item.target for item in waiting}
        for combines, space in kinds:
            done: list[Item] = []
            for item in waiting:
                mine = _visits(item) is space and (item.target in combining) is combines
                if mine and not needs(item) & pending:
                    done.append(item)
                    if isinstance(item, Equation):  # what needs a total of this sweep must wait for the next
                        pending -= {item.target}
            if done:
                break
        body = tuple(item for item in done if isinstance(item, Equation))
        reduces = tuple(item for item in done if isinstance(item, Reduce))
        made = {assign.target for assign in body}
        loaded = {x for item in done for x in needs(item) if x.space is not Space.STEP} - made
        yield Sweep(_in_order(stages, loaded), body, (), reduces=reduces, space=space)
        waiting = [item for item in waiting if item not in done]


def _visits(item: Item) -> Space:
    """The space over which an item is computed."""
    return item.space if isinstance(item, Equation) else item.of
