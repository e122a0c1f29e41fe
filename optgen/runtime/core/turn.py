"""Whose turn it is: one step at a time in a process, and all of it whatever comes.

Numba's threading layers do not all survive what people do. ``workqueue`` aborts the process when two Python threads
launch at once, so parallel launches take turns; under ``omp`` a forked child of a process that has launched is killed
at its own first launch, so such a child runs every sweep on one thread, with the same bits as a result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from numba import threading_layer

from optgen.runtime.core.program import Call

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


CHILD = _Child()
"""This process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=TURN.acquire, after_in_parent=TURN.release, after_in_child=CHILD.born)


def run(calls: Iterable[Call]) -> list[Any]:
    """Make some calls, all of them or, where the first fails, none; what they returned.

    Python raises interrupts, and what other threads send it, between two instructions of its own. Here there is one: a
    compiled kernel, an assignment to an array or to an attribute has none, nor has `list` when it makes the calls.
    """
    return list(map(partial.__call__, calls))


def taken(under_way: dict[object, None], take: Callable[..., None], *given: Any) -> None:
    """Take a step, anew if a signal handler has taken another of the same optimizer while it was prepared.

    Under way is the step that is being prepared, until it is taken or something else has changed what it goes by. What
    takes a step is given, last, the call that must come first among its own, and fails where the step is no more.
    """
    while True:
        this = object()
        under_way.clear()
        under_way[this] = None
        try:
            return take(*given, partial(under_way.pop, this))
        except KeyError as error:
            if error.args != (this,):
                raise


def _threads_started() -> bool:
    try:
        threading_layer()
    except ValueError:  # Numba's way to say that it has launched nothing yet
        return False
    return True
