"""What sweeps find in a core's cache, where a tensor or a row goes through all of them before the next one does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optgen.ir import Kernel, Sweep
from optgen.language.spaces import Space
from optgen.loops import rounds
from optgen.loops.vectors import lowered
from optgen.runtime.core.program import Phase
from optgen.runtime.core.stretches import Stretch, stretches

BYTES = 4
"""Of an element in float32."""
WHERE = {
    "tensor": "small tensors go through all sweeps one by one",
    "row": "rows go through all sweeps a few at a time",
}
"""What is done with what; docs/cost.md says when."""


def plan(kernel: Kernel) -> list[Stretch]:
    """The phases of a step on a CPU, those together through which a part of the model can go alone."""
    kinds = rounds.arrays(kernel) | {x.name: x.space.value for x in kernel.states if x.space is not Space.ELEM}
    phases = [
        Phase(each.takes, totals=each.totals, **{"between" if each.over == "reduced" else "sweep": _nothing})
        for each in lowered(kernel).phases
    ]
    return stretches(phases, kinds)


def _nothing() -> None:
    """Stands for what a phase does."""


def tiling(kernel: Kernel) -> Iterator[str]:
    """Say of each branch, in a line, how many bytes come from the cache, and when; nothing where none do."""
    if rounds.is_simple(kernel):
        return
    for number, branch in enumerate(kernel.branches):
        steps = iter([its.whole[number] for its in rounds.rounds(kernel) if any(its.whole)])
        for phases, unit in plan(kernel):
            its = [next(steps) for phase in phases if phase.sweep is not None]
            found = _found([step.sweep for step in its if step is not None])
            if unit and found:
                which = f" of branch {number}" * (len(kernel.branches) > 1)
                moved = BYTES * (branch.loads + branch.stores)
                yield f"  {BYTES * found} of the {moved} bytes{which} come from a CPU's caches: {WHERE[unit]}"


def _found(sweeps: Sequence[Sweep]) -> int:
    """How many values that sweeps read an earlier one of them has read or written."""
    met: set[object] = set()
    count = 0
    for sweep in sweeps:
        read = {rounds.slot_of(x) for x in sweep.reads}
        count += len(read & met)
        met |= read | {*sweep.stores, *sweep.keeps}
    return count
