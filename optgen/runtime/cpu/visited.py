"""What steps on a CPU visit, and the machine code that they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from optgen.runtime.core.cohorts import Cohort, Coming, rows_of
from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.sharing import Combine
from optgen.runtime.core.small import Small
from optgen.runtime.core.storage import Storage
from optgen.runtime.core.stretches import Stretch, stretches, unit_of
from optgen.runtime.core.table import At, Table, tabulate
from optgen.runtime.cpu.launch import Work, launches, machine_code
from optgen.runtime.cpu.tiles import Tiles, fitting, tiles_of


@dataclass(frozen=True, eq=False)
class Visited:
    """What steps visit in which the same parameters take part, by the same rows of scalars. `visited` makes one.

    Parameters
    ----------
    members : sequence of tuple of int
        The parameters of each row.
    tables, storages : sequence of Table, of Storage
        One for each way to store slots, or two: one of what is in tiles, one of the rest.
    stretches : sequence of Stretch
        The phases of the program.
    tiles : sequence of (Tiles or None)
        Those of each table.
    apart : At or None
        Where the values stand of the tensors that are in none, if there are values.
    small : Small or None
        What varies over less than elements, and where it stands.
    """

    members: Sequence[tuple[int, ...]]
    tables: Sequence[Table]
    storages: Sequence[Storage]
    stretches: Sequence[Stretch]
    tiles: Sequence[Tiles | None]
    apart: At | None
    small: Small | None

    def point(self, slot: int, starts: Array) -> None:
        """Let all tables point at other arrays in a slot."""
        for table in self.tables:
            table.point(slot, starts)


def visited(
    program: Program,
    taking: Sequence[Cohort],
    sizes: Sequence[int],
    columns: Array,
    storages: Sequence[Storage],
    *,
    small: Small | None,
    rests: int,
) -> Visited:
    """What a step visits of some cohorts, a row for each.

    Parameters
    ----------
    program : Program
        By which rule.
    taking : sequence of Cohort
        Whose parameters take part.
    sizes : sequence of int
        Elements of each parameter.
    columns : array of int64, shape (slots, parameters)
        Where each slot of each begins: theta, the gradient, states, scratch, then what is beside theta.
    storages : sequence of Storage
        How the slots of each are stored.
    small : Small or None
        What varies over less than elements.
    rests : int
        How many columns there are of what is beside theta.
    """
    groups = rows_of(taking, len(sizes))
    small = small and replace(small, cuts=small.cuts.visiting(groups))
    cuts = small.cuts if small else None
    present = np.where(groups >= 0, sizes, 0)
    phases = stretches(program.phases, {**program.values, **program.small_states})
    unit, tiled = unit_of(phases), np.zeros(len(sizes), bool)
    found: list[tuple[Table, Storage, Tiles | None]] = []
    for storage in dict.fromkeys(storages):
        mine = np.where([its == storage for its in storages], present, 0)
        itemsizes = [its.itemsize for _, its in storage.slots] + [storage["theta"].rest_itemsize] * rests
        fit = fitting(unit, mine, itemsizes)
        inside, outside = np.where(fit, mine, 0), np.where(fit, 0, mine)
        for chosen in (inside, outside):
            if chosen.any():
                table = tabulate(columns, chosen, itemsizes, cuts, groups)
                its = tiles_of(unit, table, small) if small and chosen is inside else None
                found.append((table, storage, its))
                tiled[table.tensor] = its is not None
    apart = cuts.at._replace(tensors=cuts.at.tensors[~tiled[cuts.at.tensors]]) if cuts else None
    tables, ways, tiles = zip(*found, strict=True) if found else ((), (), ())
    return Visited([cohort.members for cohort in taking], tables, ways, phases, tiles, apart, small)


class Kernels:
    """The kernels of an optimizer, whose machine code is looked for again only where others are visited."""

    def __init__(self, combine: Combine | None = None) -> None:
        self._combine = combine
        self._visit: Visited | None = None
        self._code: list[Callable[..., None]] = []

    def calls(self, program: Program, visit: Visited, step: Coming, t: int, seed: int) -> list[Call]:
        """What a step launches.

        Parameters
        ----------
        program : Program
            By which rule.
        visit : Visited
            On what.
        step : Coming
            With which scalars.
        t, seed : int
            What chances follow from: the number of the step, and the seed of rounding.
        """
        wide = step.scalars
        given = [(its.for_step(t, seed), wide.astype(its.computed), *step.keys) for its in visit.storages]
        tiles = visit.stretches, visit.tiles, visit.apart
        chosen = launches(Work(program, visit.tables, given, wide, visit.small, self._combine, *tiles))
        if visit is not self._visit:
            self._code = list(map(machine_code, chosen))
            self._visit = visit
        return [partial(code, *launch.args) for code, launch in zip(self._code, chosen, strict=True)]
