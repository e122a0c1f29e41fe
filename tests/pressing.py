"""Ctrl-C at every instruction of the package."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from optgen.runtime.core.turn import TURN


def pressed_everywhere(
    act: Callable[[], Any], handler: Callable[..., Any] = signal.default_int_handler
) -> Iterator[int]:
    """Do something again and again, each time with two interrupts at a later instruction, until there is none.

    Python looks for interrupts at some instructions only, but at others in other versions.

    Parameters
    ----------
    act : callable
        What to do.
    handler : callable
        Who handles the interrupts.

    Yields
    ------
    int
        How often it has been done.
    """
    for k in count(1):
        if not _pressed(act, handler, k):
            return
        while TURN._is_owned():  # type: ignore[attr-defined]  # where a `with` is left, and Python never looks
            TURN.release()
        yield k


def _pressed(act: Callable[[], Any], handler: Callable[..., Any], k: int) -> bool:
    """Press at the k-th instruction. Returns whether there is one."""
    left = k

    def look(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_globals.get("__name__", "").startswith("optgen"):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        left -= event == "opcode"
        if event == "opcode" and left == 0:
            sys.settrace(None)  # what follows need not be counted
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
        return look

    former, tracer = signal.signal(signal.SIGINT, handler), sys.gettrace()
    sys.settrace(look)
    try:
        act()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGINT, former)
    return left <= 0
