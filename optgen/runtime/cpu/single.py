"""One array at a time: what the ``step`` function of a generated module does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

from optgen.runtime.core import arrays, table
from optgen.runtime.core.beginning import fill
from optgen.runtime.core.memory import Memory
from optgen.runtime.core.program import Array, Program, as_step_count
from optgen.runtime.core.small import Small, allocated, cuts_for, shape_in
from optgen.runtime.core.storage import FORMATS, beside, stored_as
from optgen.runtime.core.turn import TURN, run
from optgen.runtime.cpu.launch import Work, launches
from optgen.runtime.cpu.notes import Due, prepared


def update_array(program: Program, slots: Mapping[str, Array], t: int, hypers: Mapping[str, Any]) -> None:
    """Update one array and its states in place.

    Parameters
    ----------
    program : Program
        By which rule.
    slots : mapping of str to array
        ``theta``, ``g`` and each state of elements, all of one shape, each stored as it is; then each other state,
        float64: one of rows or columns in the shape that broadcasts against theta, any other in shape ().
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
    values = program.checked(program.completed(hypers))
    starts = addresses_of(program, slots, arrays)[: 2 + len(program.states)]
    slots = {name: arrays.plain(array) for name, array in slots.items()}
    theta = slots["theta"]
    numbers = [slots[name] for name in program.numbers]
    scalars, new = program.computed(count, values.values(), map(float, numbers))
    storage = stored_as(program.slots, formats_of(program, slots, arrays))
    wide = np.array([scalars], np.float64)
    given = (storage.as_argument, wide.astype(storage.computed), *program.keys(count, values))
    if count == 1:
        fill(program, arrays, values, [theta], {name: [slots[name]] for name in (*program.copies, *program.begun)})
    writes = [arrays.writing(number, np.array(value)) for number, value in zip(numbers, new, strict=True)]
    if theta.size <= table.CHUNK and not program.phases:  # a table of one row, without the arithmetic of many
        assert program.sweep is not None, "there is a sweep where there are no phases"
        row = np.array([[theta.size, *starts, 0, 0, 0]], np.int64)
        run([*prepared([Due(partial(program.sweep, row, _TASK, *given))]), *writes])
    else:
        small = _small(program, slots)
        scratch = [np.empty(theta.shape, storage.computed) for _ in program.scratch]
        columns = np.array([*starts, *arrays.addresses(scratch)], np.int64)[:, None]
        itemsizes = [its.itemsize for _, its in storage.slots]
        whole = table.tabulate(columns, np.array([theta.size]), itemsizes, small.cuts if small else None)
        work = Work(program, [whole], [given], wide, small)
        with TURN:
            calls = prepared(launches(work))  # all of it is compiled by then: nothing fails when some of it has run
            run([*calls, *writes])


_TASK = np.arange(2)


def _small(program: Program, slots: Mapping[str, Array]) -> Small | None:
    """What varies over less than elements, the caller's small states among it."""
    if not program.phases:
        return None
    cuts = _cuts(frozenset(program.kinds.values()), slots["theta"].shape)
    return allocated(program, cuts, {name: slots[name].reshape(-1) for name in program.small_states})


@lru_cache(maxsize=64)
def _cuts(kinds: frozenset[str], shape: tuple[int, ...]) -> table.Cuts:
    return cuts_for(kinds, [shape])


def formats_of(program: Program, slots: Mapping[str, Any], memory: Memory) -> tuple[str, ...]:
    """As what theta, the gradient and the states of elements of checked arrays are stored."""
    return tuple(memory.dtype_of(memory.plain(slots[name])).name for name in ("theta", "g", *program.states))


def addresses_of(program: Program, slots: Mapping[str, Any], memory: Memory) -> list[int]:
    """Check every array, and that no two share memory: all but the gradient are written.

    Parameters
    ----------
    program : Program
        Whose states they are.
    slots : mapping of str to array
        As for `update_array`.
    memory : Memory
        What they are, all but states that are one number for the host, which are arrays of NumPy.

    Returns
    -------
    list of int
        Where their first elements lie, in the order of the slots.
    """
    memory.check(slots["theta"], "theta", None, FORMATS, written=True)
    theta = memory.plain(slots["theta"])
    whole, dtype, double = tuple(theta.shape), memory.dtype_of(theta), np.dtype(np.float64)
    small = {name: shape_in(kind, whole) for name, kind in program.small_states.items()}
    numbers = {name: slots[name] for name in program.numbers}
    found: dict[str, int] = {}
    for its, group in ((memory, {name: slots[name] for name in slots if name not in numbers}), (arrays, numbers)):
        shapes = [() if name in numbers else small.get(name, whole) for name in group]
        dtypes = [double if name in small or name in numbers else dtype for name in group]
        given = list(group.values())
        starts = its.addresses_if_plain(given, shapes, dtypes) if given else []
        if starts is None:
            for (name, array), shape, expected in zip(group.items(), shapes, dtypes, strict=True):
                formats = expected if expected is double else beside(expected.name)
                its.check(array, name, shape, formats, written=name != "g")
            starts = its.addresses(given)
        found |= dict(zip(group, starts, strict=True))
    ordered = sorted((start, name) for name, start in found.items())
    for (start, one), (next_start, other) in pairwise(ordered):
        if next_start - start < (arrays if one in numbers else memory).plain(slots[one]).nbytes:
            raise ValueError(f"{other} overlaps {one} in memory: expected arrays that share none")
    return [found[name] for name in slots]
