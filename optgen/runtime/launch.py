"""Launches: all threads for work that is worth it, the calling thread for the rest.

Numba's threading layers do not all survive what people do. ``workqueue`` aborts the process when two Python threads
launch at once, so parallel launches take turns; under ``omp`` a forked child of a process that has launched is killed
at its own first launch, so such a child runs every sweep on one thread, with the same bits as a result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from numba import threading_layer, typeof

from optgen.runtime.program import Array, Call, Phase, Program
from optgen.runtime.small import Small
from optgen.runtime.table import Table

SERIAL_BELOW = 32_768
"""Elements below which waking the other threads costs more than they save."""
TURN = threading.RLock()
"""Held by whoever steps an optimizer or wakes all threads, of which a process has one set.

A fork waits for it, so that a child never finds it taken by a thread that it lacks, nor an optimizer half stepped.
Reentrant, so that a signal handler may save a state dict in the middle of a step.
"""


class _Child:
    """What a process knows of its birth: whether it was forked after Numba had started its threads, which it lacks."""

    def __init__(self) -> None:
        self.lacks_threads = False

    def born(self) -> None:
        self.lacks_threads = self.lacks_threads or _threads_started()
        TURN.release()


_CHILD = _Child()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=TURN.acquire, after_in_parent=TURN.release, after_in_child=_CHILD.born)


@dataclass(frozen=True, eq=False)
class Work:
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
    """

    program: Program
    tables: Sequence[Table]
    given: Sequence[tuple[Any, ...]]
    scalars: Array
    small: Small | None = None


def run(calls: Iterable[Call]) -> None:
    """Make some calls, all of them or, where the first fails, none.

    Python raises interrupts, and what other threads send it, between two instructions of its own. Here there is one: a
    compiled kernel, an assignment to an array or to an attribute has none, nor has `list` when it makes the calls.
    """
    list(map(partial.__call__, calls))


def launches(work: Work) -> list[Call]:
    """Choose the kernels that suit, in order; the caller holds `TURN` and runs them."""
    program, pairs = work.program, list(zip(work.tables, work.given, strict=True))
    if work.small is None:
        return [_sweep(program, table, *given) for table, given in pairs]
    chosen: list[Call] = []
    for phase in program.phases:
        arrays = [work.small.arrays[name] for name in phase.takes]
        if phase.prepare is not None:
            chosen.append(partial(phase.prepare, work.small.cuts.at, work.scalars, *arrays))
            continue
        chosen += [_sweep(phase, table, table.places, *given, *arrays) for table, given in pairs]
    return chosen


def _sweep(by: Program | Phase, table: Table, *given: Any) -> Call:
    on_one_thread = table.elements < SERIAL_BELOW or _CHILD.lacks_threads
    kernel = by.sweep_serial if on_one_thread else by.sweep
    assert kernel is not None, "a phase without a sweep prepares one"
    return partial(kernel, table.rows, *([] if on_one_thread else [table.tasks]), *given)


def machine_code(call: Call) -> Callable[..., None]:
    """The machine code that a call of a kernel runs, compiled if it is the first for arguments of such types.

    Called itself, it takes a fiftieth of the time that Numba needs to see again what types they are.
    """
    compiled = getattr(call.func, "compile", None)
    return compiled(tuple(map(typeof, call.args))) if compiled else call.func


def _threads_started() -> bool:
    try:
        threading_layer()
    except ValueError:  # Numba's way to say that it has launched nothing yet
        return False
    return True
