"""Steps like the one before, each of which is one call from Python.

Where the same parameters take part, stored as they were, only two things are others: hyperparameters, and where the
gradients lie. So Python writes down the former; then compiled code looks at the latter, computes the scalars and runs
the kernels. If anything is not as it was, nothing is done, and the step is taken in the way in which the first was.
"""

from __future__ import annotations

from functools import partial
from struct import Struct
from typing import NamedTuple

import numpy as np

from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.cpu.compiled import CompilerOfSmallKernels
from optgen.runtime.cpu.launch import SERIAL_BELOW
from optgen.runtime.cpu.notes import Due, Unlike, if_nothing_fails, kernel
from optgen.runtime.cpu.objects import LastSeen
from optgen.runtime.cpu.scalars import computed, in_memory
from optgen.runtime.cpu.visited import Ready


class Usual(NamedTuple):
    """What such a step consists of. `usual` makes one."""

    ready: Ready  # what has been got ready for such steps
    give: Call  # takes the identity of the list of gradients, then t and the hyperparameters of each row of scalars
    calls: list[Call]  # what is called right after it, while the list is held; `Unlike` if anything is not as it was


def can_be_usual(program: Program, *, by_chance: bool) -> bool:
    """Whether scalars are all that the host computes of a step, by compiled code: simulated it is Python's."""
    return hasattr(program.scalars, "compile") and not (program.numbers or program.seeds or by_chance)


def usual(program: Program, ready: Ready, seen: LastSeen) -> Usual:
    """What a step consists of that is like one that has been got ready."""
    rows, arguments = len(ready.in_float64), 1 + len(program.hypers)
    told = np.zeros(1 + rows * arguments, np.int64)
    given = told[1:].view(np.float64)
    code = in_memory(program.scalars, arguments)
    lies, made = given.ctypes.data, ready.in_float64
    words = np.array([code, lies, 8 * arguments, made.ctypes.data, 8 * made.shape[1]])
    scalars = partial(_compute, np.array([0, rows]), words, given, made)
    each = np.array([0, made.size])
    rounding = [partial(_round, each, made.reshape(-1), its.reshape(-1)) for its in ready.as_computed]
    checks = [seen.looking(told[:1], ready.starts), *map(Due, [scalars, *rounding])]
    is_small = sum(table.elements for table in ready.visit.tables) < SERIAL_BELOW
    calls = if_nothing_fails(checks, ready.calls, at_once=is_small)
    return Usual(ready, partial(Struct(f"q{len(given)}d").pack_into, told.data, 0), calls)


@partial(kernel, by=CompilerOfSmallKernels, _nrt=False)
def _compute(tasks: Array, words: Array, given: Array, found: Array) -> None:  # noqa: ARG001 - the arrays are held
    """Compute rows of scalars: the words are where code and rows begin, and how long these are."""
    for k in range(tasks[0], tasks[-1]):
        computed(words[0], words[1] + k * words[2], words[3] + k * words[4])


@partial(kernel, by=CompilerOfSmallKernels, _nrt=False)
def _round(tasks: Array, given: Array, made: Array) -> None:
    """Have scalars in the type that is computed in; fail if that makes one infinite, of which NumPy is to warn."""
    for k in range(tasks[0], tasks[-1]):
        made[k] = given[k]
        if made[k] - made[k] != 0 and given[k] - given[k] == 0:
            raise Unlike
