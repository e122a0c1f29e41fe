"""What steps on a CPU visit, and the machine code that they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from struct import Struct
from typing import NamedTuple

import numpy as np

from optgen.runtime.core.cohorts import Cohort, Coming, rows_of
from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.reduced import Reduced
from optgen.runtime.core.sharing import Combine
from optgen.runtime.core.storage import Storage, keys_of
from optgen.runtime.core.stretches import Stretch, stretches, unit_of
from optgen.runtime.core.table import GRADIENT, At, Table, tabulate
from optgen.runtime.core.turn import CHILD
from optgen.runtime.cpu.compiled import CompilerOfSmallKernels
from optgen.runtime.cpu.launch import Work, launches
from optgen.runtime.cpu.notes import Due, kernel, prepared
from optgen.runtime.cpu.tiles import Tiles, fitting, tiles_of


@dataclass(frozen=True, eq=False)
class Visited:
    """What steps visit in which the same parameters take part, by the same rows of scalars. `visited` makes one."""

    members: Sequence[tuple[int, ...]]  # the parameters of each row
    # One for each way to store slots, or two: one of what is in tiles, one of the rest
    tables: Sequence[Table]
    storages: Sequence[Storage]
    stretches: Sequence[Stretch]  # the phases of the program
    tiles: Sequence[Tiles | None]  # those of each table
    apart: At | None  # where the values stand of the tensors that are in none, if there are values
    reduced: Reduced | None  # what varies over less than elements, and where it stands


def visited(
    program: Program,
    taking: Sequence[Cohort],
    sizes: Sequence[int],
    columns: Array,
    storages: Sequence[Storage],
    *,
    reduced: Reduced | None,
    rests: int,
    firsts: Array | None = None,
) -> Visited:
    """What a step visits of some cohorts, a row for each.

    Of each parameter there is how many elements it has, how its slots are stored and, where it is a part, with which
    element of a whole it begins. The columns, int64 (slots, parameters), say where each slot begins: theta, the
    gradient, states, scratch, then as many rests as there are beside theta.
    """
    groups = rows_of(taking, len(sizes))
    reduced = reduced and replace(reduced, cuts=reduced.cuts.visiting(groups))
    cuts = reduced.cuts if reduced else None
    present = np.where(groups >= 0, sizes, 0)
    phases = stretches(program.phases, program.kinds)
    unit, tiled = unit_of(phases), np.zeros(len(sizes), bool)
    found: list[tuple[Table, Storage, Tiles | None]] = []
    for storage in dict.fromkeys(storages):
        mine = np.where([its == storage for its in storages], present, 0)
        itemsizes = [its.itemsize for _, its in storage.slots] + [storage["theta"].rest_itemsize] * rests
        fit = fitting(unit, mine, itemsizes)
        inside, outside = np.where(fit, mine, 0), np.where(fit, 0, mine)
        for chosen in (inside, outside):
            if chosen.any():
                table = tabulate(columns, chosen, itemsizes, cuts, groups, firsts=firsts)
                its = tiles_of(unit, table, reduced) if reduced and chosen is inside else None
                found.append((table, storage, its))
                tiled[table.tensor] = its is not None
    apart = cuts.at._replace(tensors=cuts.at.tensors[~tiled[cuts.at.tensors]]) if cuts else None
    tables, ways, tiles = zip(*found, strict=True) if found else ((), (), ())
    return Visited([cohort.members for cohort in taking], tables, ways, phases, tiles, apart, reduced)


class Kernels:
    """The kernels of an optimizer, which are got ready once for what steps visit, and given other numbers at each."""

    def __init__(self, combine: Combine | None = None) -> None:
        self._combine = combine
        self._ready: Ready | None = None

    def calls(self, program: Program, visit: Visited, step: Coming, starts: Array, t: int, seed: int) -> list[Call]:  # noqa: PLR0917
        """What a step launches whose gradients lie at ``starts``; chances follow from t and the seed of rounding."""
        ready = self.ready(visit) or self._got_ready(program, visit, step, starts)
        ready.give(step, starts, t, seed)
        return ready.calls

    def ready(self, visit: Visited) -> Ready | None:
        """What has been got ready for what a step visits, if it was the last one too."""
        ready = self._ready
        return ready if ready and ready.visit is visit and ready.lacks_threads == CHILD.lacks_threads else None

    def _got_ready(self, program: Program, visit: Visited, step: Coming, starts: Array) -> Ready:
        """Kernels with their arguments."""
        in_float64, starts = step.scalars, starts.copy()
        keys, chances = tuple(map(np.empty_like, step.keys)), keys_of(0, 0)
        as_computed = [np.empty_like(in_float64, its.computed) for its in visit.storages]
        stored = [its.keyed_by(chances) for its in visit.storages]
        given = [(its, scalars, *keys) for its, scalars in zip(stored, as_computed, strict=True)]
        tiles = visit.stretches, visit.tiles, visit.apart
        work = Work(program, visit.tables, given, in_float64, visit.reduced, self._combine, *tiles)
        chosen = [*(_pointing(table, starts) for table in visit.tables), *launches(work)]
        calls = prepared(chosen)
        by_chance = chances if any(its.is_by_chance for its in visit.storages) else None
        fill = partial(Struct(f"{in_float64.size}d").pack_into, in_float64.data, 0)
        self._ready = Ready(visit, CHILD.lacks_threads, calls, fill, in_float64, as_computed, starts, keys, by_chance)
        return self._ready


class Ready(NamedTuple):
    """Calls of kernels, and the arrays that they read the numbers of a step from."""

    visit: Visited  # what they visit
    lacks_threads: bool  # whether they are for a process that lacks threads
    calls: list[Call]  # the calls
    fill: Call  # writes all scalars to `in_float64`, in a third of the time that NumPy takes
    in_float64: Array  # float64 (cohorts, scalars): the scalars
    as_computed: list[Array]  # the same in the type in which each storage is computed
    starts: Array  # int64 (parameters,): where the gradients lie
    keys: tuple[Array, ...]  # what draws are made from
    chances: Array | None  # what rounding by chance follows from, if there is any

    def give(self, step: Coming, starts: Array, t: int, seed: int) -> None:
        """Let the calls be those of a step."""
        self.fill(*(step.rows[0] if len(step.rows) == 1 else chain.from_iterable(step.rows)))
        for target in self.as_computed:
            target[...] = self.in_float64  # which warns of what float32 cannot hold
        self.starts[...] = starts
        for target, its in zip(self.keys, step.keys, strict=True):
            target[...] = its
        if self.chances is not None:
            self.chances[...] = keys_of(t, seed)


def _pointing(table: Table, starts: Array) -> Due:
    """The call that lets a table point at the gradients of a step."""
    return Due(partial(_point, table.task, table.rows, table.offsets[GRADIENT], table.tensor, starts))


@partial(kernel, by=CompilerOfSmallKernels, _nrt=False)
def _point(tasks: Array, rows: Array, offsets: Array, tensor: Array, starts: Array) -> None:
    """Let rows of a table point at other arrays."""
    for k in range(tasks[0], tasks[-1]):
        rows[k, 1 + GRADIENT] = starts[tensor[k]] + offsets[k]
