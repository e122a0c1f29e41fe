"""Every element is written exactly once, and nothing else is written: what of a kernel is no arithmetic.

It is looked at twice. First the text of the module is *rehearsed* (`optgen.verify.rehearsal`), where nothing can write
through a stray address. Only a module that passes is then run as *compiled*, on arrays that lie between guard zones of
poisoned bits, with more poison after the scalars, and a trap: the last tensor, which follows those in the table but is
not listed there, with reduced values of its own. On one thread, on all and in tiles every element must come out as
alone: in an array of one, or in a tensor of its own where something is added up over tensors. Where it is added up over
the model, nothing comes out alone, and one thread and all must agree.

Not looked at: what a wrong address computed in `optgen.runtime` would do, which is no part of a generated module, and
loops that never end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.runtime.core.program import Program
from optgen.runtime.core.reduced import Reduced, cuts_of, views
from optgen.runtime.core.storage import uniform
from optgen.runtime.core.stretches import Stretch, stretches
from optgen.runtime.core.table import CHUNK, Cuts, tabulate
from optgen.runtime.core.turn import TURN, run
from optgen.runtime.cpu.notes import prepared
from optgen.runtime.cpu.threads import start
from optgen.runtime.cpu.tiles import in_tiles, tiles_of
from optgen.verify.candidate import BrokenError, Candidate, Effort, Finding, Verdict, phases_of, program_of, running
from optgen.verify.rehearsal import ELEMENTS, rehearse
from optgen.verify.settings import (
    Setting,
    Shape,
    begun,
    branches,
    flat,
    is_of_elements,
    is_of_tensors,
    numbers_of,
    ordinary,
)

Array = NDArray[Any]
PART = "memory"
GUARD = 32
"""Poisoned elements before and after every array."""
POISON = {np.dtype(np.float32): 0x7F80BE00, np.dtype(np.float64): 0x7FF0DEADBEEF0000}
"""Bits of a signaling NaN: arithmetic would keep those of a quiet one, and a write would go unnoticed."""
SIZES = (1, 0, 7, 8, 15, 16, 17, 31, 33, 1001, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3, *[5] * 100)
"""Sizes of the tensors that compiled kernels get: odd, of whole and broken packs, at the edges of chunks, and many."""
SHAPES = (
    (3, 5),
    (7,),
    (),
    (2, 3, 4),
    (0, 3),
    (1, 33),
    (40, 700),
    (30, 40, 20),
    (CHUNK + 1,),
    (1, 1),
    (600, 30),
    (33, 1),
)
"""Shapes of those that kernels get which add up: matrices, stacks of them, larger than a chunk both, and vectors."""
WAYS = ALONE, _, TILED = "one thread", "all threads", "all threads, in tiles"
"""How compiled kernels are run; in tiles where some of their phases may be."""
TRAP = (2, 3)
"""The shape of the tensor that is in no table."""


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Say of every branch whether it writes what it should, and only that; the module may be wrong in any way.

    There is a finding for the rehearsal of each branch, and one for each branch and dtype as compiled, on one thread
    and on all. Of the effort only the seed matters.
    """
    try:
        rehearsals = [(setting, rehearse(candidate, setting)) for setting in branches(candidate.optimizer)]
        for setting, problems in rehearsals:
            yield _finding(f"rehearsal, t = {setting.t}", problems, setting, "every element is stored once", ELEMENTS)
        if not any(problems for _, problems in rehearsals):  # else, compiled, it would write where it should not
            rng = np.random.default_rng(effort.seed)
            for (setting, _), dtype in product(rehearsals, POISON):
                yield from _compiled(candidate, setting, dtype, rng)
    except BrokenError as error:
        yield Finding(PART, "the module", Verdict.FAILED, str(error))


def _finding(
    subject: str, problems: Sequence[str], setting: Setting, right: str, elements: int, **others: int
) -> Finding:
    """What became of a branch: what is wrong, else how it is right."""
    if problems:
        return Finding(PART, subject, Verdict.FAILED, f"{'; '.join(problems)}\nat {setting}")
    return Finding(PART, subject, Verdict.TESTED, right, {"elements": elements, **others})


def escapes(candidate: Candidate) -> list[str]:
    """What a rehearsal of every branch finds wrong; a module may be compiled where that is nothing."""
    return [problem for setting in branches(candidate.optimizer) for problem in rehearse(candidate, setting)]


@dataclass(frozen=True, eq=False)
class Fenced:
    """Arrays of one dtype between guard zones."""

    whole: Array  # all of the memory
    arrays: list[Array]  # views of it
    inside: Array  # bool: which elements of the whole belong to an array
    poison: int  # the bits of all others

    @property
    def bits(self) -> Array:
        """The memory as unsigned integers."""
        return self.whole.view(f"u{self.whole.itemsize}")

    @property
    def breached(self) -> bool:
        """Whether anything was written between the arrays."""
        return bool((self.bits[~self.inside] != self.poison).any())


def fenced(values: Sequence[Array], slot: int = 0) -> Fenced:
    """Copy arrays of one dtype, one at least, to where guard zones surround them, of other bits for each slot."""
    sizes = [array.size for array in values]
    begins = np.cumsum([GUARD, *(size + GUARD for size in sizes)])
    whole = np.empty(begins[-1], values[0].dtype)
    poison = POISON[whole.dtype] + slot
    whole.view(f"u{whole.itemsize}")[:] = poison
    inside = np.zeros(whole.size, bool)
    arrays = []
    for begin, array in zip(begins[:-1], values, strict=True):
        here = slice(begin, begin + array.size)
        whole[here], inside[here] = array.ravel(), True
        arrays.append(whole[here])
    return Fenced(whole, arrays, inside, poison)


def scalars_of(candidate: Candidate, setting: Setting) -> tuple[float, ...]:
    """The scalars that the sweeps of a module take."""
    program = program_of(candidate)
    hypers = (setting.hypers[name] for name in program.hypers)
    with running():
        return program.computed(setting.t, hypers, numbers_of(candidate.optimizer, setting).values())[0]


@dataclass(frozen=True, eq=False)
class Model:
    """Tensors of one dtype as a program takes them, each array between guard zones; the last is the trap."""

    program: Program  # which
    shapes: Sequence[Shape]  # of the tensors
    slots: Mapping[str, Fenced]  # theta, the gradient, states and scratch, in the order of their columns
    reduced: Mapping[str, Fenced]  # what the phases take, flat

    @cached_property
    def cuts(self) -> Cuts:
        """How the tensors are cut."""
        return cuts_of(self.program, self.shapes)

    @property
    def breached(self) -> list[str]:
        """The names of the arrays around which memory is written."""
        return [name for name, array in {**self.slots, **self.reduced}.items() if array.breached]

    def launch(self, scalars: Sequence[float], keys: Sequence[Array], way: str) -> None:
        """Take a step in one of the `WAYS`, table and scalars followed by traps.

        No row of the table lists the last tensor, but what lies behind the rows does, so that a sweep which runs on
        past the end changes it instead of memory that is not ours.
        """
        dtype, cuts = self.slots["theta"].whole.dtype, self.cuts if self.program.phases else None
        sizes = np.array([prod(shape) for shape in self.shapes])
        starts = np.array([[array.ctypes.data for array in slot.arrays] for slot in self.slots.values()], np.int64)
        trapped = tabulate(starts, sizes, dtype.itemsize, cuts)
        table = tabulate(starts, np.append(sizes[:-1], 0), dtype.itemsize, cuts)
        rows, spans = (array[: len(table.rows)] for array in (trapped.rows, trapped.spans))
        tasks = np.append(table.task if way == ALONE else table.tasks, len(rows) + 1)[:-1]
        at = self.cuts.at._replace(tensors=self.cuts.at.tensors[:-1])
        guarded = (np.array([*scalars, *[np.nan] * GUARD], its) for its in (dtype, np.float64))
        given, in_float64 = (array[: len(scalars)].reshape(1, -1) for array in guarded)
        storage = uniform(self.program.slots, dtype).as_argument
        arrays = {name: fenced.arrays[0] for name, fenced in self.reduced.items()}
        start()
        for phases, unit in _stretches(self.program):
            if way == TILED and unit:
                reduced = Reduced(replace(self.cuts, at=at), arrays)
                listed = replace(table, rows=rows, spans=spans, tasks=table.tasks)
                parts = tiles_of(unit, listed, reduced)
                run(prepared(in_tiles(phases, listed, parts, (storage, given, *keys), in_float64, alone=False)))
                continue
            for phase in phases:
                given_arrays = [arrays[name] for name in phase.takes]
                where = (spans,) if self.program.phases else ()
                if phase.between is not None:
                    phase.between(at, in_float64, *given_arrays)
                elif phase.sweep is not None:
                    phase.sweep(rows, tasks, *where, storage, given, *keys, *given_arrays)

    @property
    def after(self) -> dict[str, list[Array]]:
        """What every slot and state of each tensor but the trap is."""
        states = self.program.reduced_states.items()
        arrays = {name: self.reduced[name].arrays[0] for name, _ in states}
        reduced = {
            name: [arrays[name]] if kind == "model" else views(kind, arrays[name], self.shapes, self.cuts)[:-1]
            for name, kind in states
        }
        return {
            name: slot.arrays[:-1] for name, slot in self.slots.items() if name not in self.program.scratch
        } | reduced

    @property
    def trap(self) -> dict[str, Array]:
        """What belongs to the trap, and the extents of tensors: none of that is written."""
        listed = cuts_of(self.program, self.shapes[:-1])
        kinds = self.program.kinds.items()
        own = {name: self.reduced[name].arrays[0][listed.sizes[kind] :] for name, kind in kinds}
        slots = {name: slot.arrays[-1] for name, slot in self.slots.items()}
        return slots | own | {name: self.reduced[name].arrays[0] for name in listed.extents}


def modelled(program: Program, shapes: Sequence[Shape], old: Mapping[str, Sequence[Array]], dtype: Any) -> Model:
    """Lay a model out, the trap last: theta, the gradient and the states as given, an array a tensor.

    In all that a step has to write first there is poison.
    """
    cuts = cuts_of(program, shapes)
    slots = {name: [array.astype(dtype) for array in old[name]] for name in ("theta", "g", *program.states)}
    slots |= {name: [_poisoned(prod(shape), dtype) for shape in shapes] for name in program.scratch}
    reduced = dict(cuts.extents)
    reduced |= {name: _poisoned(cuts.sizes[kind], np.dtype(np.float64)) for name, kind in program.values.items()}
    reduced |= {name: flat(kind, old[name]) for name, kind in program.reduced_states.items()}
    return Model(
        program, shapes,
        {name: fenced(arrays, k) for k, (name, arrays) in enumerate(slots.items())},
        {name: fenced([array], k) for k, (name, array) in enumerate(reduced.items())},
    )  # fmt: skip


def _stretches(program: Program) -> list[Stretch]:
    """The phases of a program, those together that tiles may go through."""
    return stretches(phases_of(program), program.kinds)


def _poisoned(size: int, dtype: np.dtype[Any]) -> Array:
    return np.full(size, POISON[dtype], f"u{dtype.itemsize}").view(dtype)


def _compiled(candidate: Candidate, setting: Setting, dtype: Any, rng: Any) -> Iterator[Finding]:
    optimizer, program, scalars = candidate.optimizer, program_of(candidate), scalars_of(candidate, setting)
    shapes = [*((size,) for size in SIZES), TRAP] if is_of_elements(optimizer) else [*SHAPES, TRAP]
    keys = program.keys(setting.t, setting.hypers)
    old = begun(optimizer, setting, ordinary(optimizer, shapes, rng))

    def stepped(its: Sequence[Shape], values: Mapping[str, Sequence[Array]], way: str) -> tuple[Model, list[str]]:
        model = modelled(program, its, values, dtype)
        before = {name: array.tobytes() for name, array in model.trap.items()}
        with running(), TURN:
            model.launch(scalars, keys, way)
        escaped = [f"memory around {name} is written" for name in model.breached]
        spoilt = [name for name, array in model.trap.items() if array.tobytes() != before[name]]
        return model, escaped + [f"{name} of an array is written that is not in the table" for name in spoilt]

    how = "alone"
    if is_of_elements(optimizer):
        joined = {name: np.concatenate([x.ravel() for x in arrays[:-1]]) for name, arrays in old.items()}
        expected = _alone(candidate, setting, joined, dtype)
    elif is_of_tensors(optimizer):
        expected = {name: [] for name in old}
        for k in range(len(shapes) - 1):
            model, _ = stepped(*_only(optimizer, k, shapes, old), ALONE)
            for name, arrays in model.after.items():
                expected[name].append(arrays[k].copy())
    else:
        expected, how = stepped(shapes, old, ALONE)[0].after, "on one thread"
    expected["g"] = [array.astype(dtype).ravel() for array in old["g"][:-1]]
    for way in WAYS if any(unit for _, unit in _stretches(program)) else WAYS[:2]:
        model, problems = stepped(shapes, old, way)
        for name, arrays in model.after.items():
            problems += _wrong(name, arrays, expected[name], how)
        detail, elements = f"every element as it comes out {how}, all else as it was", sum(map(prod, shapes[:-1]))
        subject = f"{way}, {dtype}, t = {setting.t}"
        yield _finding(subject, problems, setting, detail, elements, arrays=len(shapes) - 1)


def _only(
    optimizer: Optimizer, which: int, shapes: Sequence[Shape], old: Mapping[str, Sequence[Array]]
) -> tuple[list[Shape], dict[str, list[Array]]]:
    """A model in which all tensors but one, and the trap, have neither elements nor rows nor columns."""
    kept = [k in (which, len(shapes) - 1) for k in range(len(shapes))]
    shapes = [shape if it else (0, 0) for it, shape in zip(kept, shapes, strict=True)]
    whole = {state.name for state in optimizer.reduced_states if state.space is Space.TENSOR}
    return shapes, {
        name: [x if it or name in whole else np.empty(0) for it, x in zip(kept, arrays, strict=True)]
        for name, arrays in old.items()
    }


def _alone(candidate: Candidate, setting: Setting, slots: Mapping[str, Array], dtype: Any) -> dict[str, list[Array]]:
    """What becomes of every element in an array of its own; the rows of all those arrays make one table."""
    guarded = [fenced([values.astype(dtype)], k) for k, values in enumerate(slots.values())]
    starts = np.array([slot.arrays[0].ctypes.data for slot in guarded], np.int64)
    # What lies behind the rows is a row of nothing, for a sweep that runs on past the end.
    task = np.array([0, sum(SIZES), sum(SIZES) + 1])[:-1]
    rows = np.zeros((sum(SIZES) + 1, 1 + len(guarded) + 3), np.int64)[:-1]
    rows[:, 0] = 1
    rows[:, 1:-3] = starts + dtype.itemsize * np.arange(len(rows))[:, None]
    # What is drawn for an element depends on where it stands, so there it stands alone.
    rows[:, -2] = np.repeat(np.arange(len(SIZES)), SIZES)
    rows[:, -1] = np.concatenate([np.arange(size) for size in SIZES])
    values, program = scalars_of(candidate, setting), program_of(candidate)
    with running():
        keys, storage = program.keys(setting.t, setting.hypers), uniform(program.slots, dtype).as_argument
        phases_of(program)[0].sweep(rows, task, storage, np.array([values], dtype), *keys)
    cuts = np.cumsum(SIZES[:-1])
    return {name: np.split(slot.arrays[0], cuts) for name, slot in zip(slots, guarded, strict=True)}


def _wrong(name: str, found: Sequence[Array], expected: Sequence[Array], how: str) -> Iterator[str]:
    bits = f"u{found[0].itemsize}"
    pairs = zip(found, expected, strict=True)
    differing = [np.flatnonzero(one.ravel().view(bits) != other.ravel().view(bits)) for one, other in pairs]
    count = sum(map(len, differing))
    if count:
        k = next(k for k, here in enumerate(differing) if len(here))
        i = int(differing[k][0])
        one, other = (float(values[k].ravel()[i]) for values in (found, expected))
        yield (
            f"{count} of {sum(array.size for array in found)} elements of {name} differ from what they are {how}; the"
            f" first is {name}[{i}] of {found[k].size}: {one!r}, {how} {other!r}"
        )
