"""Launches: all threads for work that is worth it, the calling thread for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from optgen.runtime.core.program import Array, Phase, Program
from optgen.runtime.core.reduced import Reduced
from optgen.runtime.core.sharing import Combine, combining
from optgen.runtime.core.stretches import Stretch
from optgen.runtime.core.table import At, Table
from optgen.runtime.core.turn import CHILD
from optgen.runtime.cpu.notes import Due
from optgen.runtime.cpu.threads import start
from optgen.runtime.cpu.tiles import Tiles, in_tiles

SERIAL_BELOW = 32_768
"""Elements below which waking the other threads costs more than they save."""


class Work(NamedTuple):
    """What a program is done to."""

    program: Program  # whose sweeps
    tables: Sequence[Table]  # over which chunks: a table a dtype
    # For each table: how its tensors are stored, the scalars that ``program.scalars`` returned, a row a group, in the
    # type in which they are computed, then what ``program.keys`` returned
    given: Sequence[tuple[Any, ...]]
    scalars: Array  # float64: the scalars as they were returned
    reduced: Reduced | None = None  # what varies over less than elements, for a program of several phases
    combine: Combine | None = None  # what makes totals those of a model of which there is only a part here
    stretches: Sequence[Stretch] = ()  # the phases, where some tables have tiles
    tiles: Sequence[Tiles | None] = ()  # those of each table, if it has any
    apart: At | None = None  # where the values stand of the tensors that are in none


def launches(work: Work) -> list[Due]:
    """What is launched, in order; the caller holds `TURN` and runs it."""
    program, pairs = work.program, list(zip(work.tables, work.given, strict=True))
    if work.reduced is None:
        return [_sweep(program.sweep, table, *given) for table, given in pairs]
    at = work.reduced.cuts.at
    if work.combine or not any(work.tiles):  # what is shared is shared by all tensors at once
        return _everywhere(program.phases, pairs, at, work)
    chosen: list[Due] = []
    for phases, unit in work.stretches:
        if not unit:
            chosen += _everywhere(phases, pairs, at, work)
            continue
        for (table, given), tiles in zip(pairs, work.tiles, strict=True):
            if tiles is not None:
                chosen += in_tiles(phases, table, tiles, given, work.scalars, alone=_is_alone(table))
        rest = [pair for pair, tiles in zip(pairs, work.tiles, strict=True) if tiles is None]
        if rest:
            chosen += _everywhere(phases, rest, work.apart or at, work)
    return chosen


def _everywhere(
    phases: Iterable[Phase], pairs: Sequence[tuple[Table, tuple[Any, ...]]], at: At, work: Work
) -> list[Due]:
    """The calls by which all of some tables go through each phase before any goes through the next."""
    assert work.reduced is not None, "there are phases"
    chosen: list[Due] = []
    for phase in phases:
        arrays = [work.reduced.arrays[name] for name in phase.takes]
        if phase.between is not None:
            chosen.append(Due(partial(phase.between, at, work.scalars, *arrays)))
        else:
            chosen += [_sweep(phase.sweep, table, table.spans, *given, *arrays) for table, given in pairs]
        if work.combine:
            chosen += map(Due, combining(phase.totals, work.program, work.reduced, work.combine))
    return chosen


def _sweep(kernel: Callable[..., None] | None, table: Table, *given: Any) -> Due:
    assert kernel is not None, "a phase without a sweep is between two"
    return Due(partial(kernel, table.rows, table.task if _is_alone(table) else table.tasks, *given))


def _is_alone(table: Table) -> bool:
    """Whether the thread that is here does all of a table; the others are started if it does not."""
    if table.elements < SERIAL_BELOW or CHILD.lacks_threads:
        return True
    start()
    return False
