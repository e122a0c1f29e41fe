"""Launches: all threads for work that is worth it, the calling thread for the rest.

Numba's threading layers do not all survive what people do. ``workqueue`` aborts the process when two Python threads
launch at once, so parallel launches take a lock; under ``omp`` a forked child of a process that has launched is killed
at its own first launch, so such a child runs every sweep on one thread, with the same bits as a result.
"""

from __future__ import annotations

import os
import threading

from optgen.runtime.program import Array, Program
from optgen.runtime.table import Table

SERIAL_BELOW = 32_768
"""Elements below which waking the other threads costs more than they save."""


class _Threads:
    """What this process knows of Numba's thread pool, which there is one of in a process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.started = False
        self.inherited = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        # Another thread of the parent may have held the lock; in the child nobody would ever release it.
        self.lock = threading.Lock()
        self.inherited = self.started


_THREADS = _Threads()


def launch(program: Program, table: Table, scalars: Array) -> None:
    """Run a sweep over every chunk of a table.

    Parameters
    ----------
    program : Program
        Whose sweep.
    table : Table
        Over what.
    scalars : array
        As ``program.scalars`` returned them, in the dtype of the tensors.
    """
    if table.elements < SERIAL_BELOW or _THREADS.inherited:
        program.sweep_serial(table.rows, scalars)
        return
    with _THREADS.lock:
        _THREADS.started = True
        program.sweep(table.rows, table.tasks, scalars)
