"""One array at a time: what the ``step`` function of a generated module does."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from optgen.runtime import arrays, table
from optgen.runtime.launch import TURN, Work, launches
from optgen.runtime.program import Array, Program, as_step_count
from optgen.runtime.small import Small, allocated, cuts_of, shape_in


def update_array(program: Program, slots: Mapping[str, Array], t: int, hypers: Mapping[str, Any]) -> None:
    """Update one array and its states in place.

    Parameters
    ----------
    program : Program
        By which rule.
    slots : mapping of str to array
        ``theta``, ``g`` and each state of elements, all of one shape and dtype; then each other state, float64: one of
        rows or columns in the shape that broadcasts against theta, any other in shape ().
    t : int
        The number of the step, 1 at the first.
    hypers : mapping of str to float
        Every hyperparameter.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected; nothing has changed then.
    """
    count = as_step_count("t", t, least=1)
    values = program.checked(hypers)
    theta = slots["theta"]
    numbers = [slots[name] for name in program.numbers]
    starts = _addresses(program, slots)[: 2 + len(program.states)]
    scalars, new = program.computed(count, values.values(), map(float, numbers))
    given = (np.array(scalars, theta.dtype), *program.keys(count, values))
    if theta.size <= table.CHUNK and not program.phases:  # a table of one row, without the arithmetic of many
        assert program.sweep_serial is not None, "there is a sweep where there are no phases"
        program.sweep_serial(np.array([[theta.size, *starts, 0, 0]], np.int64), *given)
    else:
        small = _small(program, slots)
        scratch = [np.empty_like(theta) for _ in program.scratch]
        columns = np.array([*starts, *arrays.addresses(scratch)], np.int64)[:, None]
        whole = table.tabulate(columns, np.array([theta.size]), theta.itemsize, small.cuts if small else None)
        work = Work(program, [whole], [given], np.array(scalars, np.float64), small)
        with TURN:
            for kernel, arguments in launches(work):
                kernel(*arguments)
    for number, value in zip(numbers, new, strict=True):
        number[...] = value


def _small(program: Program, slots: Mapping[str, Array]) -> Small | None:
    """What varies over less than elements, the caller's small states among it."""
    if not program.phases:
        return None
    cuts = cuts_of(program, [slots["theta"].shape])
    return allocated(program, cuts, {name: slots[name].reshape(-1) for name in program.small_states})


def _addresses(program: Program, slots: Mapping[str, Array]) -> list[int]:
    """Check every array, and that no two share memory: all but the gradient are written."""
    theta, given = slots["theta"], list(slots.values())
    arrays.check(theta, "theta", None, None, written=True)
    small = {**program.small_states, **dict.fromkeys(program.numbers, "group")}
    shapes = [shape_in(small[name], theta.shape) if name in small else theta.shape for name in slots]
    dtypes = [np.dtype(np.float64) if name in small else theta.dtype for name in slots]
    starts = arrays.addresses_if_plain(given, shapes, dtypes)
    if starts is None:
        for (name, array), shape, dtype in zip(slots.items(), shapes, dtypes, strict=True):
            arrays.check(array, name, shape, dtype, written=name != "g")
        starts = arrays.addresses(given)
    ordered = sorted(zip(starts, slots, strict=True))
    for (start, one), (next_start, other) in pairwise(ordered):
        if next_start - start < slots[one].nbytes:
            raise ValueError(f"{other} overlaps {one} in memory: expected arrays that share none")
    return starts
