"""The text of a module, run as plain Python on arrays that count what is done to them.

That sees what a result cannot show, such as a load of what the same sweep has stored already, and nothing in it can
write through a stray address. Every index outside an array is an error at once. A module of several sweeps is run one
sweep after another, on chunks of a few elements or rows, each of which is a task of its own. What of it is seen:

- every element of a slot, and every value of a reduced state, is stored once in the step, or never if the step leaves
  all of them as they were;
- a sweep never loads an element that it has stored: old values come before new ones. That a later sweep wants the new
  value, where it finds one, shows in the values only (`optgen.verify.numerics`);
- what sweeps leave for each other is read only where it has been written in this step;
- no task touches a value that another task of the same sweep writes.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.language.spec import Optimizer
from optgen.runtime.core.program import Program
from optgen.runtime.core.reduced import cuts_of
from optgen.runtime.core.storage import uniform
from optgen.runtime.core.table import Cuts, spanning, tabulate
from optgen.runtime.cpu import draws as philox
from optgen.runtime.cpu import primitives as cpu
from optgen.runtime.cpu import storage, totals
from optgen.verify.candidate import BrokenError, Candidate, phases_of, running
from optgen.verify.settings import Setting, begun, flat, model_step, numbers_of, ordinary

Array = NDArray[Any]
SHAPES = ((3,), (1,), (0, 3), (3, 2, 3), (), (3, 5), (7,))
"""Of the tensors: what holds for a chunk of 7 holds for one of any size, which no loop knows."""
ELEMENTS = sum(map(prod, SHAPES))
LANES = 2
"""How many elements of a row are added up at a time, so that rows are one run, several, and one that is cut short."""
_FEW = 4
"""Elements in a chunk, where rows of matrices may be cut."""
_NEVER, _SEVERAL = -1, -2


@dataclass
class Clock:
    """What is running, and what was noticed."""

    # Number of the launch, and of the task in it
    phase: int = 0
    task: int = 0
    noticed: Counter[str] = field(default_factory=Counter)  # what is wrong, and how often

    def tasks(self, *bounds: int) -> Iterator[int]:
        """``prange``: the tasks one after another."""
        for self.task in range(*bounds):
            yield self.task


@dataclass(frozen=True)
class _Notes:
    """What was done to each value of an array, by its place: lists, for it is noted one by one."""

    # How often it was stored, and how often loaded in the phase that had stored it
    stores: list[int]
    late: list[int]
    # The last phase and task to do so
    stored_in: list[int]
    stored_by: list[int]
    loaded_in: list[int]
    loaded_by: list[int]


@dataclass(frozen=True, eq=False)
class Column:
    """One slot of one tensor, or the reduced values of a name, as a list that notes what is done to it."""

    name: str  # what it is called in a message
    whole: Array  # the numbers of which these are a part
    notes: _Notes  # what was done to each of the whole
    clock: Clock  # what is running
    given: bool  # whether it holds something before the step
    # Which part
    begin: int
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def values(self) -> Array:
        """The numbers."""
        return self.whole[self.begin : self.begin + self.count]

    def noted(self, what: str) -> Array:
        """Of each value what was done, by the name of the notes."""
        return np.array(getattr(self.notes, what)[self.begin : self.begin + self.count], np.int64)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.part(index.start, index.stop)
        if isinstance(index, np.ndarray):
            for i in index.ravel().tolist():
                self._load(self._inside(i))
            return self.values[index]
        i = self._inside(index)
        self._load(i)
        return self.whole[i]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            part = self.part(index.start, index.stop)
            for i in range(len(part)):
                part[i] = value
            return
        i = self._inside(index)
        notes, phase, task = self.notes, self.clock.phase, self.clock.task
        if (notes.loaded_in[i] == phase and notes.loaded_by[i] != task) or (
            notes.stored_in[i] == phase and notes.stored_by[i] != task
        ):
            self._notice("is written by one task and used by another of the same sweep")
        notes.stores[i] += 1
        notes.stored_in[i], notes.stored_by[i] = phase, task
        self.whole[i] = value

    def part(self, begin: int, end: int) -> Column:
        """Consecutive values, as a column."""
        if not 0 <= begin <= end <= self.count:
            raise IndexError(f"elements {begin} to {end} of {self.name}, which has {self.count}")
        first, count = self.begin + operator.index(begin), operator.index(end - begin)
        return Column(self.name, self.whole, self.notes, self.clock, self.given, first, count)

    def _load(self, i: int) -> None:
        notes, phase, task = self.notes, self.clock.phase, self.clock.task
        if notes.stored_in[i] == phase:
            notes.late[i] += 1
            if notes.stored_by[i] != task:
                self._notice("is written by one task and used by another of the same sweep")
        if not (self.given or notes.stores[i]):
            self._notice("is read before it is written")
        again = notes.loaded_in[i] == phase and notes.loaded_by[i] != task
        notes.loaded_in[i], notes.loaded_by[i] = phase, _SEVERAL if again else task

    def _notice(self, what: str) -> None:
        self.clock.noticed[f"{self.name} {what}"] += 1

    def _inside(self, i: int) -> int:
        """Where a value is in the whole."""
        if not 0 <= i < self.count:
            raise IndexError(f"element {i} of {self.name}, which has {self.count}")
        return self.begin + operator.index(i)


def column(name: str, values: Array, clock: Clock, *, given: bool = True) -> Column:
    """A copy of some values with which nothing has been done yet."""
    count = values.size
    notes = _Notes(*([0] * count for _ in range(2)), *([_NEVER] * count for _ in range(4)))
    return Column(name, values.ravel().astype(np.float64), notes, clock, given, 0, count)


@dataclass(frozen=True)
class CountingMemory:
    """Columns at addresses that no array has: far apart, 8 bytes an element."""

    columns: dict[int, tuple[int, Column]] = field(default_factory=dict)

    def add(self, column: Column, shift: int = 0) -> int:
        """Find a place for a column, so many bytes after a multiple of 64."""
        place = 1_000_000 * (len(self.columns) + 1)
        self.columns[place] = place + shift, column
        return place + shift

    def view(self, row: Array, slot: int, begin: int, count: int, _stored: Any) -> Column:
        """The elements of a slot of a chunk."""
        return self.at(row[slot] + 8 * begin, count)

    def at(self, address: int, count: int) -> Column:
        """What is at an address."""
        column, first = self.place(address)
        return column.part(first, first + int(count))

    def place(self, address: int) -> tuple[Column, int]:
        """The column that an address is in, and of which element."""
        begin, column = self.columns.get(int(address) // 1_000_000 * 1_000_000, (address + 1, None))
        if column is None or (address - begin) % 8:
            raise IndexError(f"a view at {address}, where no array is")
        return column, (int(address) - begin) // 8


def rehearse(candidate: Candidate, setting: Setting) -> list[str]:
    """Run the text of a module as plain Python, and count: what is wrong, if anything is."""
    optimizer, clock, memory = candidate.optimizer, Clock(), CountingMemory()
    drawn = begun(optimizer, setting, ordinary(optimizer, SHAPES, np.random.default_rng(0)))
    columns: dict[str, list[Column]] = {}
    try:
        with running(), np.errstate(all="ignore"):
            module = _as_python(candidate, memory, clock)
            program: Program = module["PROGRAM"]
            cuts = _cuts(program)
            columns |= slots(program, drawn, clock)
            starts = np.array([[memory.add(one) for one in tensors] for tensors in columns.values()], np.int64)
            reduced = reduced_values(program, cuts, drawn, clock)
            columns |= {name: with_elements(kind, reduced[name], cuts) for name, kind in program.reduced_states.items()}
            scalars = np.array([scalars_of(program, optimizer, setting)], np.float64)
            given = (uniform(program.slots, np.float64).as_argument, scalars, *program.keys(setting.t, setting.hypers))
            sizes = np.array([prod(shape) for shape in SHAPES])
            table = tabulate(starts, sizes, 8, cuts if program.phases else None)
            tasks = np.arange(len(table.rows) + 1)
            for phase in phases_of(program):
                clock.phase, clock.task = clock.phase + 1, 0
                spans = (table.spans,) if program.phases else ()
                arrays = [reduced[name] for name in phase.takes]
                if phase.between is not None:
                    phase.between(cuts.at, scalars, *arrays)
                else:
                    phase.sweep(table.rows, tasks, *spans, *given, *arrays)
                    for name in ("theta", "g", *program.states, *program.scratch):
                        loaded = np.concatenate([one.noted("loaded_in") == clock.phase for one in columns[name]])
                        some = bool(loaded.any() and not loaded.all())
                        clock.noticed[f"{name} is read of some elements in a sweep, not of all"] += some
    except BrokenError as error:
        return [str(error)]
    return problems_of(columns, clock, changed_by(optimizer, setting, drawn), program.reduced_states)


def slots(program: Program, drawn: dict[str, list[Array]], clock: Clock) -> dict[str, list[Column]]:
    """The columns of theta, the gradient, states and scratch, in the order of their addresses."""
    found = {name: [column(name, x, clock) for x in drawn[name]] for name in ("theta", "g", *program.states)}
    empty = [np.zeros(x.shape) for x in drawn["theta"]]
    return found | {name: [column(name, x, clock, given=False) for x in empty] for name in program.scratch}


def scalars_of(program: Program, optimizer: Optimizer, setting: Setting) -> tuple[float, ...]:
    """The scalars that sweeps take, of floats of NumPy, which divide by zero as compiled code does."""
    hypers = [np.float64(setting.hypers[name]) for name in program.hypers]
    numbers = list(map(np.float64, numbers_of(optimizer, setting).values()))
    computed = program.scalars(np.float64(setting.t), *hypers, *numbers)
    return computed[: len(computed) - len(numbers)]


def problems_of(
    columns: Mapping[str, list[Column]], clock: Clock, changed: Container[str], reduced: Container[str]
) -> list[str]:
    """What was noticed in a step, and what was done wrong to the slots and reduced states, some of which it changes."""
    problems = [problem for problem, times in clock.noticed.items() if times]
    for name, mine in columns.items():
        problems += misused(name, mine, of_elements=name not in reduced, may_stay=name not in changed)
    return problems


def _cuts(program: Program) -> Cuts:
    """Chunks of a few elements, or of a few rows or matrices where the program wants rows whole."""
    usual = cuts_of(program, SHAPES)
    by_rows = {"row", "column", "part"}.intersection(program.kinds.values())
    found: list[tuple[int, int, int]] = []
    for tensor, shape in enumerate(SHAPES):
        height, width = (1, 1, *shape)[-2:]
        # Two rows of a higher matrix, two matrices of two rows: a chunk ends where a matrix does, or within one.
        step = (2 if height > 2 else 2 * height) * width if by_rows else _FEW  # noqa: PLR2004
        whole = height * width if by_rows and height > 2 else prod(shape)  # noqa: PLR2004
        for matrix in range(0, prod(shape), whole or 1):
            ends = range(matrix, matrix + whole, step)
            found += [(tensor, begin, min(step, matrix + whole - begin)) for begin in ends]
    return spanning(SHAPES, *np.array(found, np.int64).T) if program.phases else usual


def reduced_values(program: Program, cuts: Cuts, drawn: dict[str, list[Array]], clock: Clock) -> dict[str, Column]:
    """What varies over less than elements, by name."""
    states = {name: flat(kind, drawn[name]) for name, kind in program.reduced_states.items()}
    room = {name: np.zeros(cuts.sizes[kind]) for name, kind in program.values.items() if name not in states}
    columns = {name: column(name, values, clock, given=False) for name, values in room.items()}
    return columns | {name: column(name, values, clock) for name, values in {**cuts.extents, **states}.items()}


def with_elements(kind: str, column: Column, cuts: Cuts) -> list[Column]:
    """The values of each tensor that has elements, or that of the model: no others are written."""
    if kind == "model":
        return [column]
    there = np.flatnonzero(cuts.extents["numel"]).tolist()  # whether they take part or not
    return [column.part(*cuts.bounds[kind][j : j + 2].tolist()) for j in there]


def changed_by(optimizer: Optimizer, setting: Setting, old: dict[str, list[Array]]) -> set[str]:
    """The slots that a step changes, says the reference."""
    after = model_step(optimizer, setting, old)
    return {
        name
        for name in old.keys() & after.keys()
        for was, became in zip(old[name], after[name], strict=True)
        if not np.array_equal(np.ravel(was), np.ravel(became), equal_nan=True)
    }


def misused(name: str, columns: list[Column], *, of_elements: bool, may_stay: bool) -> Iterator[str]:
    """What was done too often, too late or not at all to the values of a slot, or of a reduced state."""
    stores, late = (np.concatenate([one.noted(what) for one in columns]) for what in ("stores", "late"))
    if name == "g":
        if stores.any():
            yield "g is written, which belongs to the caller"
        return
    if of_elements and late.any():
        yield f"{name} is loaded after it was stored, {np.count_nonzero(late)} of {late.size} elements"
    if may_stay and not stores.any():
        return
    for times in sorted(set(stores.tolist()) - {1}):
        yield f"{name} is stored {times} times, {np.count_nonzero(stores == times)} of {stores.size} elements"


def _as_python(candidate: Candidate, memory: CountingMemory, clock: Clock) -> dict[str, Any]:
    """The names of a module whose kernels are left as the Python functions they are written as."""
    stand_in = SimpleNamespace(**_primitives(memory, clock))
    stand_ins = dict.fromkeys((cpu.__name__, storage.__name__, philox.__name__), stand_in)
    return executed(code_of(candidate.path, candidate.text), stand_ins, totals)


@lru_cache(maxsize=8)  # asked at every setting
def code_of(path: Path, text: str, change: Callable[[ast.Module], ast.Module] = lambda tree: tree) -> CodeType:
    """The code of a module, changed as it may be."""
    return compile(ast.fix_missing_locations(change(ast.parse(text))), str(path), "exec")


def executed(code: CodeType, stand_ins: Mapping[str, object], alike: ModuleType) -> dict[str, Any]:
    """The names of a module that is run as the Python it is written as.

    It finds stand-ins in the place of modules of the runtime, by their names; one of these is run in the same way.
    """

    def imported(name: str, *arguments: Any) -> Any:
        if name in stand_ins:
            return stand_ins[name]
        if name == alike.__name__:
            source = Path(str(alike.__file__))
            return SimpleNamespace(**run(code_of(source, source.read_text(encoding="utf-8"))))
        return builtins.__import__(name, *arguments)

    def run(what: CodeType) -> dict[str, Any]:
        where = Path(what.co_filename).stem
        names = {"__name__": where, "__builtins__": {**vars(builtins), "__import__": imported}}
        exec(what, names)  # noqa: S102 - what is verified is run anyway
        return names

    return run(code)


def _primitives(memory: CountingMemory, clock: Clock) -> dict[str, Callable[..., Any]]:
    """What kernels are made of, as functions of Python and NumPy."""

    def draws(row: Array, *_: Any) -> Column:
        return column("what is drawn", np.full(int(row[0]), 0.5), clock)

    kinds = ("on_host", "between_sweeps", "helper", "outlined", "per_element", "per_chunk", "parallel_sweep")
    return arithmetic(cpu.__all__) | {
        **dict.fromkeys(kinds, lambda function: function),
        "LANES": LANES,
        "narrow": lambda x, like: like.dtype.type(x),
        "numbers": lambda count: np.full(count, np.nan),
        "lanes": lambda x: np.full(LANES, x),
        "sum_of_lanes": np.sum,
        "max_of_lanes": np.max,
        "shrunk": lambda x: x * 2.0**-540,
        "stretched": lambda x: x * 2.0**540,
        "prange": clock.tasks,
        "view": memory.view,
        "draws": draws,
    }


def _in_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result is NumPy's: a power of Python's own floats is an error where it overflows."""
    return lambda *numbers: np.float64(function(*numbers))


def arithmetic(names: Iterable[str]) -> dict[str, Any]:
    """What kernels compute with by some names, as functions of Python and NumPy."""
    return {
        **{name: getattr(np, name, None) or getattr(math, name, None) for name in names},
        **{name: _in_numpy(getattr(cpu, name)) for name in ("head", "tail", "mean_age", "powm1", "root_of_squares")},
        "atan2": np.arctan2,
        "finite": lambda x: np.float64(np.isfinite(x)),
        "fma": lambda a, b, c: a * b + c,
        "times": lambda a, b: a * b,
        "float64": np.float64,
    }
