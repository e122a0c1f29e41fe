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
    """Do something again and again, each time with two interrupts at another instruction, until there is none.

    Instructions are taken call by call, so that Python has to stop in one call only, not at all that comes before it.
    It looks for interrupts at some instructions only, but at others in other versions.

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
    place: _Place | None = (1, 1)
    for k in count(1):
        place = _pressed(act, handler, *place)
        if place is None:
            return
        while TURN._is_owned():  # type: ignore[attr-defined]  # where a `with` is left, and Python never looks
            TURN.release()
        yield k


_Place = tuple[int, int]
"""The number of a call, in the order in which they begin, and that of an instruction in it."""


def _pressed(act: Callable[[], Any], handler: Callable[..., Any], call: int, instruction: int) -> _Place | None:
    """Press at an instruction or, where a call has fewer, as it returns; gives the next place, if it came that far."""
    calls, seen, following = 0, 0, None

    def look(frame: Any, *_: Any) -> Any:
        nonlocal calls
        ours = frame.f_globals.get("__name__", "").startswith("optgen")
        calls += ours
        if not ours or calls != call:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return look_on

    def look_on(_frame: Any, event: str, _: Any) -> Any:
        nonlocal seen, following
        seen += event == "opcode"
        if event == "return" or seen == instruction:
            following = (call + 1, 1) if event == "return" else (call, instruction + 1)
            sys.settrace(None)  # what follows need not be counted
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
        return look_on

    former, tracer = signal.signal(signal.SIGINT, handler), sys.gettrace()
    sys.settrace(look)
    try:
        act()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGINT, former)
    return following
