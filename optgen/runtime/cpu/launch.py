"""Launches: all threads for work that is worth it, the calling thread for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from numba import typeof

from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.sharing import Combine, combining
from optgen.runtime.core.small import Small
from optgen.runtime.core.table import Table
from optgen.runtime.core.turn import CHILD
from optgen.runtime.cpu.threads import start

SERIAL_BELOW = 32_768
"""Elements below which waking the other threads costs more than they save."""


class Work(NamedTuple):
    """What a program is done to.

    Parameters
    ----------
    program : Program
        Whose sweeps.
    tables : sequence of Table
        Over which chunks: a table a dtype.
    given : sequence of tuple
        For each table: how its tensors are stored, the scalars that ``program.scalars`` returned, a row a group, in the
        type in which they are computed, then what ``program.keys`` returned.
    scalars : array of float64
        The scalars as they were returned.
    small : Small or None
        What varies over less than elements, for a program of several phases.
    combine : callable, optional
        What makes totals those of a model of which there is only a part here.
    """

    program: Program
    tables: Sequence[Table]
    given: Sequence[tuple[Any, ...]]
    scalars: Array
    small: Small | None = None
    combine: Combine | None = None


def launches(work: Work) -> list[Call]:
    """What is launched, in order; the caller holds `TURN` and runs it."""
    program, pairs = work.program, list(zip(work.tables, work.given, strict=True))
    if work.small is None:
        return [_sweep(program.sweep, table, *given) for table, given in pairs]
    chosen: list[Call] = []
    for phase in program.phases:
        arrays = [work.small.arrays[name] for name in phase.takes]
        if phase.between is not None:
            chosen.append(partial(phase.between, work.small.cuts.at, work.scalars, *arrays))
        else:
            chosen += [_sweep(phase.sweep, table, table.places, *given, *arrays) for table, given in pairs]
        if work.combine:
            chosen += combining(phase.totals, program, work.small, work.combine)
    return chosen


def _sweep(kernel: Callable[..., None] | None, table: Table, *given: Any) -> Call:
    assert kernel is not None, "a phase without a sweep is between two"
    if table.elements < SERIAL_BELOW or CHILD.lacks_threads:
        return partial(kernel, table.rows, table.task, *given)
    start()
    return partial(kernel, table.rows, table.tasks, *given)


def machine_code(call: Call) -> Callable[..., None]:
    """The machine code that a call of a kernel runs, compiled if it is the first for arguments of such types.

    Called itself, it takes a fiftieth of the time that Numba needs to see again what types they are.
    """
    compiled = getattr(call.func, "compile", None)
    return compiled(tuple(map(typeof, call.args))) if compiled else call.func
