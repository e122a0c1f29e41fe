"""Tiles: what fits into a core's cache goes through several phases before anything else does.

A value that two sweeps read would come from memory twice. Where a tensor is small, or what is between the sweeps
belongs to a row, all phases are done for a few chunks, then for the next few: the second sweep finds them in the cache,
and all threads meet once in place of once a phase. Each phase makes the same of the same, so a step has the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from optgen.runtime.core.program import Array, Phase
from optgen.runtime.core.reduced import Reduced
from optgen.runtime.core.table import EXTENTS, At, Table, shared_out
from optgen.runtime.cpu.notes import Due, kernel
from optgen.runtime.cpu.threads import done_in_part

CACHED = 1 << 20
"""Bytes that stay in a core's cache from one sweep to the next."""
PARTS = 16
"""A tensor that is more than such a part of all is left to all threads."""
LEAST = 65_536
"""Elements of all tensors below which everything stays in caches."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of a table. `tiles_of` makes them."""

    at: At  # where values stand: of whole tensors, or of the rows of each chunk as if that were a tensor
    reduced: Mapping[str, Array]  # float64: reduced values
    extents: Mapping[str, Array]  # float64: of each of these; sweeps go by those of tensors
    # int64 (tiles + 1,): where those of each tile begin: among the rows of the table, and in ``at.tensors``
    chunks: Array
    units: Array

    @cached_property
    def parts(self) -> Array:
        """Where the part of each tile lies, and how long it is, of what sweeps go through, and of what others do."""
        count, width = len(self.chunks) - 1, self.chunks.itemsize
        of_sweeps = self.chunks.ctypes.data + width * np.arange(count), np.full(count, 2)
        of_others = self.at.tensors.ctypes.data + width * self.units[:-1], np.diff(self.units)
        return np.array([np.transpose(of_sweeps), np.transpose(of_others)])


def fitting(unit: str, sizes: Array, itemsizes: Sequence[int]) -> Array:
    """Which tensors go into tiles, each of so many elements, of which each slot takes so many bytes.

    The unit is what can go through phases alone: a ``"row"`` or a ``"tensor"``, or nothing.
    """
    every = np.full(len(sizes), bool(unit) and sizes.sum() >= LEAST)
    return every if unit == "row" else every & (sizes * sum(itemsizes) <= CACHED) & (sizes * PARTS <= sizes.sum())


def tiles_of(unit: str, table: Table, reduced: Reduced) -> Tiles:
    """The tiles of a table of tensors that go into some: each of a chunk's work or, where it is more, of one unit."""
    at, tensor = reduced.cuts.at, table.tensor
    if unit == "tensor":
        tensors, first = np.unique(tensor, return_index=True)
        units = shared_out(np.add.reduceat(table.rows[:, 0], first))
        chunks = np.append(first, len(tensor))[units]
        return Tiles(at._replace(tensors=tensors), reduced.arrays, {}, chunks, units)
    begin, twice = table.spans[:, 3], np.repeat(tensor, 2)
    rows = np.stack([begin, begin + table.spans[:, 1]], axis=1).reshape(-1)
    chunks = np.arange(0, len(rows), 2)  # between two there may be rows that are elsewhere
    its = at._replace(tensors=chunks, rows=rows, groups=at.groups[twice])
    extents = {name: reduced.arrays[name][twice] for name in EXTENTS}
    return Tiles(its, reduced.arrays, extents, table.tasks, table.tasks)


def in_tiles(
    phases: Sequence[Phase], table: Table, tiles: Tiles, given: Sequence[Any], scalars: Array, *, alone: bool
) -> list[Due]:
    """The calls by which tiles go through phases: each phase is noted, then all are made for every tile.

    Given is what sweeps take before what is reduced, the scalars, float64, are what the others take; where it is to be
    done alone, no other threads help.
    """
    notes, chosen = np.empty(len(phases), np.int64), []
    of_units = {**tiles.reduced, **tiles.extents}
    for room, phase in zip(notes[:, None], phases, strict=True):
        known = tiles.reduced if phase.sweep is not None else of_units
        arrays = [known[name] for name in phase.takes]
        if phase.sweep is not None:
            chosen.append(Due(partial(phase.sweep, table.rows, _NO_TASKS, table.spans, *given, *arrays), room))
        elif phase.between is not None:
            chosen.append(Due(partial(phase.between, tiles.at, scalars, *arrays), room))
    kinds, parts = np.array([int(phase.sweep is None) for phase in phases]), tiles.parts
    tasks = np.array([0, len(parts[0])]) if alone else np.arange(len(parts[0]) + 1)
    return [*chosen, Due(partial(_go, tasks, notes, kinds, parts))]


_NO_TASKS = np.zeros(1, np.int64)


@partial(kernel, _nrt=False)
def _go(tasks: Array, notes: Array, kinds: Array, parts: Array) -> None:
    """Make the calls that have been noted, all of them for one tile before any for the next."""
    for tile in range(tasks[0], tasks[-1]):
        for k in range(len(kinds)):
            if done_in_part(notes[k], parts[kinds[k], tile, 0], parts[kinds[k], tile, 1]):
                raise MemoryError
