"""How fast memory is here, and how fast a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

ELEMENTS = 2**24
TURNS = 15
_MOVED = 12
"""Bytes that gradient descent moves for an element in float32, and so does ``a += b``: both read two and write one."""


def speed(kind: Callable[..., Any], moved: int) -> dict[str, Any]:
    """Measure a step of an optimizer for CPUs that moves so many bytes an element, in float32, and how fast memory is.

    That is measured by what does nothing but move numbers, on all threads and on one, and by the optimizer itself:
    whichever moved most a second. All take turns, since what else the machine does comes and goes. Found are
    ``elements``, ``bytes_a_second``, ``how`` that was measured, and ``seconds`` that a step took.
    """
    rng = np.random.default_rng(0)
    theta, g = (rng.standard_normal(ELEMENTS, np.float32) for _ in range(2))
    sgd, own = (each([theta]) for each in (import_module("optgen.generated.cpu.sgd").SGD, kind))
    turns = [partial(sgd.step, [g]), partial(np.add, theta, g, out=theta), partial(own.step, [g])]
    seconds = _fastest(turns)
    rates = [ELEMENTS * size / measured for size, measured in zip((_MOVED, _MOVED, moved), seconds, strict=True)]
    names = ("a step of sgd", "NumPy's a += b", "this step itself")
    return {
        "elements": ELEMENTS,
        "bytes_a_second": max(rates),
        "how": f"{names[rates.index(max(rates))]}, the fastest of {TURNS}",
        "seconds": seconds[-1],
    }


def _fastest(turns: Sequence[Callable[[], Any]]) -> list[float]:
    """Seconds that each takes at best, after a first time that is not counted."""
    measured: list[list[float]] = [[] for _ in turns]
    for _ in range(TURNS + 1):
        for turn, times in zip(turns, measured, strict=True):
            begin = perf_counter()
            turn()
            times.append(perf_counter() - begin)
    return [min(times[1:]) for times in measured]
