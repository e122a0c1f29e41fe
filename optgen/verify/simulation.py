"""Modules for GPUs, run as Python by threads that take turns, on arrays that count what is done to them.

The text of a module is executed with kernels that are generators: a thread gives way at every barrier, and where the
threads of a block exchange values. So there is no GPU in it and no simulator, every index outside an array is an error
at once, and a block whose threads do not come to the same barrier is one. What is looked at, for every branch:

- every element of a slot and every value of a reduced state is stored once, no sweep loads an element that it has
  stored, no block touches what another block of the same launch writes, and what launches leave for each other is read
  only where it has been written: as `optgen.verify.rehearsal` has it;
- whichever thread of a block goes first, the same bits come out;
- the new values are those of the equations, to many digits.
"""

from __future__ import annotations

import ast
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.language.spec import Optimizer
from optgen.runtime.core.program import Program
from optgen.runtime.core.reduced import cuts_of
from optgen.runtime.core.storage import Stored, uniform
from optgen.runtime.core.table import Cuts
from optgen.runtime.cuda import draws as cuda_draws
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda import simulated, storage
from optgen.runtime.cuda import totals as cuda_totals
from optgen.runtime.cuda.lookup import FAMILIES, column_blocks, lookup_table, names_of_reduced, row_blocks
from optgen.verify import rehearsal
from optgen.verify.candidate import BrokenError, Candidate, Effort, Finding, Verdict, running
from optgen.verify.error import Magnitudes, Measured
from optgen.verify.settings import Setting, begun, branches, is_of_tensors, model_step, ordinary

Array = NDArray[Any]
_Items = tuple[tuple[str, float], ...]
PART = "memory"
SHAPES = ((19,), (1,), (0, 3), (3, 2, 3), (), (3, 5), (2, 21), (17,))
"""Of the tensors: runs of several fours and of none, cut or whole, at addresses that allow fours and that do not."""
_WITH_ELEMENTS = [j for j, shape in enumerate(SHAPES) if prod(shape)]
CHUNK = 16
THREADS = 2
"""In a block: two are in each other's way as any number are."""
EACH = 10**9
"""Values that a thread adds up alone: so many that no threads share a row or a column."""
GAP = 5
"""Between the reduced values of one name and those of the next, where nothing is."""
BOUND = 1000
"""Units in the last place of float64, relative to the magnitude of the terms: products and sums are rounded apart."""
_LOOPS = frozenset({"kernel", "per_chunk", "parallel_sweep"})
"""What decorates functions that each kind of machine has its own of, as what is between sweeps is on CPUs."""
_BETWEEN = re.compile(r"(combine|prepare)_\d+")
_KERNELS = frozenset({"per_element", "on_device", "on_host", "kernel"})


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:  # noqa: ARG001 - the numbers are few and fixed
    """Say of every branch of a module for GPUs whether it does what it should, and only that."""
    for setting in branches(candidate.optimizer):
        subject = f"blocks of threads, t = {setting.t}"
        try:
            problems, worst = simulate(candidate, setting)
        except BrokenError as error:
            problems, worst = [str(error)], math.nan
        if problems:
            yield Finding(PART, subject, Verdict.FAILED, f"{'; '.join(problems)}\nat {setting}")
        else:
            figures = {"elements": sum(map(prod, SHAPES)), "dtype": "float64", "ulps": worst}
            yield Finding(PART, subject, Verdict.TESTED, "every element is stored once, with its new value", figures)


def beside(candidate: Candidate) -> Path:
    """Where the module for CPUs is of the same rule."""
    return candidate.path.parent.parent / "cpu" / candidate.path.name


def rounding(candidate: Candidate, effort: Effort) -> Iterator[Finding]:  # noqa: ARG001
    """Say whether all but the loops is as in the module for CPUs that lies beside it, whose rounding is measured."""
    other = beside(candidate)
    part, subject = "numerics", "all but the loops"
    if not other.is_file():
        yield Finding(part, subject, Verdict.SKIPPED, f"there is no {other} to compare them with: build it too")
        return
    mine, others = (_functions(text) for text in (candidate.text, other.read_text(encoding="utf-8")))
    if differing := sorted(name for name in mine if others.get(name) != mine[name]):
        yield Finding(part, subject, Verdict.FAILED, f"{', '.join(differing)}: not as the module for CPUs has it")
    else:
        detail = "rounded as by the module for CPUs, word for word"
        yield Finding(part, subject, Verdict.PROVED, detail, {"same": len(mine)})


def _functions(text: str) -> dict[str, str]:
    """What a module says of all functions but its loops, without what decorates them."""
    found = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    own = (node for node in found if not _decorators(node) & _LOOPS and not _BETWEEN.match(node.name))
    return {node.name: "\n".join(map(ast.unparse, (node.args, *node.body))) for node in own}


def _decorators(node: ast.FunctionDef) -> set[str]:
    return {ast.unparse(each) for each in node.decorator_list}


# Threads that take turns ---------------------------------------------------------------------------------------------

Thread = Generator[Any, Any, None]


@dataclass
class _Turn:
    """Which thread runs."""

    block: int = 0
    thread: int = 0


def _over(at: Array, these: int, j: int) -> Iterable[int]:
    """Where the values of a tensor are."""
    return range(at[at[these] + j], at[at[these] + j + 1])


def _over_tensors(at: Array) -> Iterable[int]:
    """The tensors that take part."""
    return list(at[at[0] : at[0] + at[1]])


def _over_group(at: Array, j: int) -> Iterable[int]:
    """The tensors of the family of one."""
    families = at[at[FAMILIES] :]
    return [k for k in _over_tensors(at) if families[k] == families[j]]


def _total(of: Callable[..., Any], which: Callable[..., Iterable[int]]) -> Callable[..., Any]:
    return lambda reduced, x_of, *where: of([reduced[x_of + k] for k in which(*where)])


_HOW = {"sum": lambda values: sum(values, start=np.float64(0)), "max": lambda values: np.max([-np.inf, *values])}
_TOTALS: Mapping[str, Callable[..., Any]] = {
    **{f"{how}_of_{whose}": of for how, of in _HOW.items() for whose in ("block", "team")},
    **{f"{how}{x.__name__}": _total(of, x) for how, of in _HOW.items() for x in (_over, _over_group, _over_tensors)},
}
"""What the threads of a block compute together, as one computes it alone."""


def _take_turns(threads: Sequence[Thread], turn: _Turn, *, backwards: bool) -> None:
    """Run the threads of a block, each up to the next barrier, until all are done."""
    answers: dict[int, Any] = dict.fromkeys(range(len(threads)))
    waiting: dict[int, tuple[Any, ...]] = {}
    while answers:
        for turn.thread in sorted(answers, reverse=backwards):
            try:
                waiting[turn.thread] = threads[turn.thread].send(answers[turn.thread])
            except StopIteration:  # noqa: PERF203 - Python's way to say that a generator is done
                continue
        answers = _answers(waiting, len(threads))
        waiting = {k: its for k, its in waiting.items() if k not in answers}


def _answers(waiting: Mapping[int, tuple[Any, ...]], count: int) -> dict[int, Any]:
    """What those are told that have all come: the threads of some teams, or else all threads of the block."""
    found: dict[int, Any] = {}
    for k, (kind, *given) in waiting.items():
        if kind.endswith("_of_team"):
            team = given[1]
            members = range(k - k % team, k - k % team + team)
            if all(waiting.get(each, ("",))[0] == kind and waiting[each][2] == team for each in members):
                found[k] = _TOTALS[kind]([waiting[each][1] for each in members])
    if found or not waiting:
        return found
    ordered = [waiting[k] for k in sorted(waiting)]
    kinds = {its[0] for its in ordered}
    if len(waiting) < count or len(kinds) > 1 or kinds.pop().endswith("_of_team"):
        raise IndexError("threads of a block do not all come to the same barrier")
    kind, *first = ordered[0]
    if kind.endswith("_of_block"):
        return dict.fromkeys(waiting, _TOTALS[kind]([its[1] for its in ordered]))
    if kind and any([*its[2:]] != first[1:] for its in ordered):
        raise IndexError(f"threads of a block ask for different totals: {kind}")
    return dict.fromkeys(waiting, _TOTALS[kind](*first) if kind else None)


class _Yielding(ast.NodeTransformer):
    """Turns kernels into generators that yield where threads wait for each other."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if "kernel" in _decorators(node):
            never = ast.If(ast.Constant(value=False), [ast.Expr(ast.Yield())], [])
            node.body = [*map(self.visit, node.body), never]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func)
        if name in _TOTALS:
            return ast.Yield(ast.Tuple([ast.Constant(value=name), *node.args], ast.Load()))
        if name == "sync":
            return ast.Yield(ast.Tuple([ast.Constant(value="")], ast.Load()))
        return self.generic_visit(node)


# Memory --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ReducedColumns:
    """What varies over less than elements: the columns of all names, one after another, with gaps between."""

    begins: Sequence[int]
    columns: Sequence[rehearsal.Column]

    def _at(self, k: int) -> tuple[rehearsal.Column, int]:
        which = bisect_right(self.begins, k) - 1
        return self.columns[max(which, 0)], int(k) - self.begins[max(which, 0)]

    def __getitem__(self, k: int) -> Any:
        its, i = self._at(k)
        return its[i]

    def __setitem__(self, k: int, value: Any) -> None:
        its, i = self._at(k)
        its[i] = value


@dataclass
class _Machine:
    """All that a module is given to run on."""

    clock: rehearsal.Clock = field(default_factory=rehearsal.Clock)
    turn: _Turn = field(default_factory=_Turn)
    memory: rehearsal.CountingMemory = field(default_factory=rehearsal.CountingMemory)

    def load(self, pointer: int, i: int, stored: Stored) -> Any:
        column, k = self.memory.place(pointer + i * stored.itemsize)
        return column[k]

    def load4(self, pointer: int, i: int, stored: Stored) -> Any:
        its = self.memory.at(self._fours(pointer, i, stored), 4)
        return tuple(its[k] for k in range(4))

    def store(self, pointer: int, i: int, stored: Stored, *values: Any) -> None:
        column, first = self.memory.place(pointer + i * stored.itemsize)
        for k, value in enumerate(values, start=first):
            column[k] = value

    def store4(self, pointer: int, i: int, stored: Stored, *values: Any) -> None:
        self._fours(pointer, i, stored)
        self.store(pointer, i, stored, *values)

    @staticmethod
    def _fours(pointer: int, i: int, stored: Stored) -> int:
        begin = int(pointer + i * stored.itemsize)
        if begin % 16:
            raise IndexError(f"four elements at {begin}, which is no multiple of 16")
        return begin

    def names(self) -> dict[str, Any]:
        """What a module imports from `optgen.runtime.cuda.primitives`, as functions of Python and NumPy."""
        return rehearsal.arithmetic(cuda.__all__) | {
            **dict.fromkeys(("WARPS", "leave", "left", "from_above", "sync")),  # of what threads do together
            **dict.fromkeys(("THREADS", "WARP"), THREADS),
            "thread": lambda: self.turn.thread,
            "block": lambda: self.turn.block,
            "where": simulated.where,
            "pointer": simulated.pointer,
            "shrunk": lambda x: x * 2.0**-540 if abs(x) > 2.0**400 else np.float64(0),
            "stretched": lambda x: x * 2.0**540 if abs(x) < 2.0**-400 else np.float64(0),
            "as_index": int,
            "narrow": lambda x, _: np.float64(x),
            "in_fours": lambda count, addresses: 0 if addresses & 15 else count - count % 4,
            **{name: getattr(self, name) for name in ("load", "load4", "store", "store4")},
            **dict.fromkeys(_KERNELS, lambda function: function),
        }


def _executed(path: Path, text: str, machine: _Machine) -> dict[str, Any]:
    """The names of a module whose kernels are left as Python, and yield; what it imports for one thread does not."""
    drawn = SimpleNamespace(draw=lambda *_: np.float64(0.5), draw4=lambda *_: (np.float64(0.5),) * 4)
    stand_in = SimpleNamespace(**machine.names())
    stand_ins = {cuda.__name__: stand_in, storage.__name__: stand_in, cuda_draws.__name__: drawn}
    return rehearsal.executed(rehearsal.code_of(path, text, _yielding), stand_ins, cuda_totals)


def _yielding(module: ast.Module) -> ast.Module:
    """A module whose kernels yield where threads wait."""
    changed: ast.Module = _Yielding().visit(module)
    return changed


# A step --------------------------------------------------------------------------------------------------------------


def simulate(candidate: Candidate, setting: Setting) -> tuple[list[str], float]:
    """Take a step of a model, twice: with the threads in order, and the other way round.

    Found are what is wrong, if anything is, and the worst error of a new value, in units in the last place relative to
    the magnitude of the terms. A module that cannot be run is broken.
    """
    optimizer = candidate.optimizer
    drawn = _drawn(optimizer, setting)
    step, again = (_step(candidate, setting, drawn, backwards=backwards) for backwards in (False, True))
    columns, changed = step.columns, rehearsal.changed_by(optimizer, setting, drawn)
    problems = rehearsal.problems_of(columns, step.clock, changed, step.program.reduced_states)
    for name, mine in columns.items():
        others = again.columns[name]
        if any(one.values.tobytes() != other.values.tobytes() for one, other in zip(mine, others, strict=True)):
            problems.append(f"{name} depends on which thread goes first")
    if problems or optimizer.draws:  # what is drawn is not what the reference draws
        return problems, 0.0
    worst = 0.0
    measure = Magnitudes(np.float64)
    held = (tuple(its.items()) for its in (setting.hypers, setting.numbers))
    for name, expected in _expected(optimizer, setting.t, *held).items():
        if name not in columns:
            continue
        values = [expected[j] for j in _WITH_ELEMENTS] if len(columns[name]) != len(SHAPES) else expected
        for one, value in zip(columns[name], values, strict=False):
            worst = max(worst, float(np.max(measure.ulps(one.values.reshape(np.shape(value.value)), value), initial=0)))
    return [f"new values are {worst:.0f} ulps off"] if not worst <= BOUND else [], worst


def left(candidate: Candidate, setting: Setting, old: Mapping[str, Sequence[Array]]) -> dict[str, Array]:
    """What is in memory after a step from some numbers, by name."""
    given = begun(candidate.optimizer, setting, {name: list(its) for name, its in old.items()})
    step = _step(candidate, setting, given, backwards=False)
    return {name: np.concatenate([one.values for one in its]) for name, its in step.columns.items()}


def _drawn(optimizer: Optimizer, setting: Setting) -> dict[str, list[Array]]:
    """What the step is taken of."""
    return begun(optimizer, setting, ordinary(optimizer, SHAPES, np.random.default_rng(0)))


@lru_cache(maxsize=8)  # the same for all modules that claim to be one rule
def _expected(optimizer: Optimizer, t: int, hypers: _Items, numbers: _Items) -> dict[str, list[Measured]]:
    """What every slot and state should be after the step."""
    setting = Setting(t, dict(hypers), dict(numbers))
    return model_step(optimizer, setting, _drawn(optimizer, setting), Magnitudes(np.float64))


@dataclass(frozen=True)
class _Taken:
    """A step that has been taken."""

    program: Program  # by what
    clock: rehearsal.Clock  # what was noticed
    columns: dict[str, list[rehearsal.Column]]  # all memory after it


def _step(
    candidate: Candidate,
    setting: Setting,
    drawn: dict[str, list[Array]],
    *,
    backwards: bool,
    absent: Sequence[int] = (),
) -> _Taken:
    """Take a step, in which some tensors may take no part.

    Where tensors go their own ways they have the second row of scalars, and the first holds no numbers.
    """
    optimizer, machine = candidate.optimizer, _Machine()
    clock, columns = machine.clock, dict[str, list[rehearsal.Column]]()
    with running(), np.errstate(all="ignore"):
        program: Program = _executed(candidate.path, candidate.text, machine)["PROGRAM"]
        row = int(is_of_tensors(optimizer))
        groups = np.full(len(SHAPES), row)
        groups[list(absent)] = -1
        cuts = cuts_of(program, SHAPES, CHUNK).visiting(groups)
        columns |= rehearsal.slots(program, drawn, clock)
        # Every third tensor begins where four elements cannot be moved at once.
        rows = [[machine.memory.add(one, 8 * (k % 3 == 1)) for k, one in enumerate(row)] for row in columns.values()]
        addresses = np.array(rows, np.int64)
        named = rehearsal.reduced_values(program, cuts, drawn, clock)
        reduced, at = _joined([named[name] for name in names_of_reduced(program.reduced_states, program.values)], cuts)
        of_setting = rehearsal.scalars_of(program, optimizer, setting)
        scalars = np.array([*[[math.nan] * len(of_setting)] * row, of_setting], np.float64)
        storage = uniform(program.slots, np.float64).as_argument
        keys = [
            np.concatenate([np.zeros_like(keyed)] * row + [keyed]) for keyed in program.keys(setting.t, setting.hypers)
        ]
        chunks = np.stack([cuts.count, cuts.tensor, cuts.begin, groups[cuts.tensor]]).astype(np.int64)
        chunks = np.concatenate([chunks, cuts.spans.T]) if program.has_reduced else chunks
        chunks = chunks[:, groups[cuts.tensor] >= 0]
        blocks = {"model": 1, "tensor": len(cuts.at.tensors), "element": chunks.shape[1]}
        blocks |= {"row": len(row_blocks(cuts.at, THREADS, EACH)), "column": len(column_blocks(cuts.at, THREADS, EACH))}
        for launch in program.launches:
            clock.phase += 1
            given = [at, scalars, reduced]
            if launch.over == "element":
                given = [chunks, addresses, storage, scalars, *keys, *([at, reduced] if program.has_reduced else [])]
            for clock.task in range(blocks[launch.over]):
                machine.turn.block = clock.task
                start: Callable[..., Any] = launch.kernel
                threads = [start(*given) for _ in range(THREADS)]
                _take_turns(threads, machine.turn, backwards=backwards)
    for name, kind in program.reduced_states.items():
        columns[name] = rehearsal.with_elements(kind, named[name], cuts)
    return _Taken(program, clock, columns)


def _joined(columns: Sequence[rehearsal.Column], cuts: Cuts) -> tuple[_ReducedColumns, Array]:
    """Reduced values with gaps between, and where they stand."""
    sizes = [len(each) + GAP for each in columns]
    begins = np.cumsum([0, *sizes])[:-1].tolist()
    return _ReducedColumns(begins, columns), lookup_table(cuts, sizes, THREADS, EACH)
