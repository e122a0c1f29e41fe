"""One array at a time: what the ``step`` function of a generated module does.

Nobody says beforehand which arrays are to come. So the kernels are got ready for a shape and a storage; then they are
told at each step where the arrays lie, and kept for the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.beginning import fill
from optgen.runtime.core.memory import Memory
from optgen.runtime.core.program import Array, Call, Program, as_step_count
from optgen.runtime.core.reduced import allocated, cuts_of, shape_in
from optgen.runtime.core.storage import FORMATS, Storage, beside, stored_as
from optgen.runtime.core.table import tabulate
from optgen.runtime.core.turn import CHILD, TURN, run
from optgen.runtime.cpu.launch import Work, launches
from optgen.runtime.cpu.notes import prepared


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
    keys = program.keys(count, values)
    in_float64 = np.array([scalars], np.float64)
    as_computed = in_float64.astype(storage.computed)
    writes = [arrays.writing(number, np.array(value)) for number, value in zip(numbers, new, strict=True)]
    if count == 1:
        fill(program, arrays, values, [theta], {name: [slots[name]] for name in (*program.copies, *program.begun)})
    with TURN:
        made = _kept if theta.size <= _SMALL else _prepared
        its = made(program, storage, theta.shape, in_float64.shape, CHILD.lacks_threads)
        reduced = [slots[name] for name in program.reduced_states]
        given = [its.offsets + starts, in_float64, as_computed, *keys, *reduced]
        read_back = map(arrays.writing, reduced, its.reduced)
        run([*map(arrays.writing, [*its.given, *its.reduced], given), *its.calls, *read_back, *writes])


_SMALL = 65_536
"""Elements up to which what a step needs besides the array is kept for the next; it is little beside larger ones."""


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Calls of kernels, and the arrays from which they read what is another at each step.

    These are written by calls that are made together with those of the kernels: a signal handler may step other arrays
    by the same.
    """

    calls: list[Call]
    given: list[Array]  # where chunks begin, the scalars, these as elements are computed, what draws are made from
    reduced: list[Array]  # the reduced states, in the shapes that the caller has
    offsets: Array  # int64 (chunks, slots): how many bytes into an array each chunk begins
    scratch: list[Array]


def _prepared(
    program: Program,
    storage: Storage,
    shape: tuple[int, ...],
    scalars: tuple[int, int],
    _lacks_threads: bool,  # noqa: FBT001
) -> _Prepared:
    """What a step needs besides its arrays; all code is compiled by then, so that nothing fails when some has run."""
    cuts = cuts_of(program, [shape]) if program.phases else None
    reduced = {name: np.zeros(shape_in(kind, shape)) for name, kind in program.reduced_states.items()}
    room = allocated(program, cuts, {name: values.reshape(-1) for name, values in reduced.items()}) if cuts else None
    scratch = [np.empty(shape, storage.computed) for _ in program.scratch]
    count = 2 + len(program.states)
    columns = np.array([*[0] * count, *arrays.addresses(scratch)], np.int64)[:, None]
    table = tabulate(columns, np.array([prod(shape)]), [its.itemsize for _, its in storage.slots], cuts)
    in_float64, as_computed = np.zeros(scalars), np.zeros(scalars, storage.computed)
    keys = program.keys(0, dict.fromkeys(program.seeds, 0))
    calls = prepared(launches(Work(program, [table], [(storage.as_argument, as_computed, *keys)], in_float64, room)))
    given = [table.rows[:, 1 : 1 + count], in_float64, as_computed, *keys]
    return _Prepared(calls, given, list(reduced.values()), table.offsets[:count].T, scratch)


_kept = lru_cache(maxsize=64)(_prepared)


def formats_of(program: Program, slots: Mapping[str, Any], memory: Memory) -> tuple[str, ...]:
    """As what theta, the gradient and the states of elements of checked arrays are stored."""
    return tuple(_name_of(memory.dtype_of(memory.plain(slots[name]))) for name in ("theta", "g", *program.states))


@cache
def _name_of(dtype: np.dtype[Any]) -> str:
    return dtype.name  # which NumPy puts together anew whenever it is asked


def addresses_of(program: Program, slots: Mapping[str, Any], memory: Memory) -> list[int]:
    """Where the first elements lie of arrays in slots, as for `update_array`; complains of any that will not do.

    No two may share memory: all but the gradient are written. States that are one number for the host are arrays of
    NumPy, whatever the others are.
    """
    memory.check(slots["theta"], "theta", None, FORMATS, written=True)
    theta = memory.plain(slots["theta"])
    whole, dtype, double = tuple(theta.shape), memory.dtype_of(theta), np.dtype(np.float64)
    reduced = {name: shape_in(kind, whole) for name, kind in program.reduced_states.items()}
    numbers = {name: slots[name] for name in program.numbers}
    found: dict[str, int] = {}
    for its, group in ((memory, {name: slots[name] for name in slots if name not in numbers}), (arrays, numbers)):
        shapes = [() if name in numbers else reduced.get(name, whole) for name in group]
        dtypes = [double if name in reduced or name in numbers else dtype for name in group]
        given = list(group.values())
        starts = its.addresses_if_plain(given, shapes, dtypes) if given else []
        if starts is None:
            for (name, array), shape, expected in zip(group.items(), shapes, dtypes, strict=True):
                formats = expected if name in reduced or name in numbers else beside(expected.name)
                its.check(array, name, shape, formats, written=name != "g")
            starts = its.addresses(given)
        found |= dict(zip(group, starts, strict=True))
    ordered = sorted((start, name) for name, start in found.items())
    for (start, one), (next_start, other) in pairwise(ordered):
        if next_start - start < (arrays if one in numbers else memory).plain(slots[one]).nbytes:
            raise ValueError(f"{other} overlaps {one} in memory: expected arrays that share none")
    return [found[name] for name in slots]
