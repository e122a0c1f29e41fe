"""What many steps do that one does not show: whether a kernel in float32 stays where it should over 1e5 steps.

A module is run in float32 and in float64 beside it, whose steps `optgen.verify.numerics` has found to be right.

- *Fixed points*: what no gradient, or a constant one, brings to rest in float64 must stay there in float32 when it is
  put there, to a few units in the last place, of it or of the terms that a step makes it of. Where such a point is a
  matter of the last digits of float32, as where a step is over the root of a variance that vanishes, it is none:
  float64 rests elsewhere if gradients are a unit apart.
- *A noisy average*: under gradients that scatter around a mean, how far float32 ends from float64 in what does not
  depend on theta, relative to its size. What adds up without end is far off by its nature; the figure says how far.
- *Compensation*: a state that is 0 in real arithmetic is there to keep what sums round away. A step then moves theta by
  less than half a unit in its last place, and theta must arrive all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from sympy import Expr, cancel

from optgen.language.spec import Optimizer
from optgen.language.symbols import Named, State, algebraic, theta
from optgen.runtime.core import arrays
from optgen.runtime.core.beginning import fill
from optgen.runtime.core.storage import uniform
from optgen.runtime.cpu.compiled import compiled
from optgen.runtime.cpu.notes import Due, make, prepared
from optgen.verify.arithmetic import FLOAT64, Digits
from optgen.verify.candidate import BrokenError, Candidate, Effort, Finding, Verdict, program_of, resumed_at, running
from optgen.verify.error import Magnitudes
from optgen.verify.memory import escapes
from optgen.verify.settings import TIMES, Setting, model_step, ordinary

PART = "drift"
STEPS = 100_000
OTHER_STEPS = 2_000
"""Of rules with totals, which take one call of the module each."""
_AFTER, _OTHERS_AFTER = 7, 3
"""So many steps after half of them what rests is there already. What is reset every so often is not, soon after a round
number of steps, and the steps that are left are a prime number."""
AGAIN = 50_400
"""What goes on does so for so many steps, about half of all. Then a cycle of up to ten steps, of 16, of 32 or of a
round number of them is where it was."""
BOUND = 4.0
"""Units in the last place that something at rest may be off by."""
_ELEMENTS = 24
_POOL = 64
"""Different gradients, taken in turn."""
_AT_REST = 1e-9
"""Relative movement in float64, in the second half of a run, below which something rests."""

Array = Any


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Let a module take many steps, with each kind of gradient."""
    try:
        if not escapes(candidate):  # else `numerics` says so
            rng, runner = np.random.default_rng(effort.seed), _Runner(candidate)
            theta, constant = rng.normal(size=_ELEMENTS).astype(np.float32), rng.normal(size=(1, _ELEMENTS))
            yield _resting(runner, "no gradient", 0 * constant, theta)
            yield _resting(runner, "a constant gradient", constant.astype(np.float32), theta)
            yield _noisy(runner, 1 + rng.normal(size=(_POOL, _ELEMENTS)).astype(np.float32), theta)
            for state in _compensations(candidate.optimizer):
                yield _compensated(candidate, state, np.ones((1, _ELEMENTS)))
    except BrokenError as error:
        yield Finding(PART, "the module", Verdict.FAILED, str(error))


# Runs ----------------------------------------------------------------------------------------------------------------

Slots = Mapping[str, Array]


@compiled
def _drive(notes: Array, row: Array, g: Array, pool: Array, scalars: Array) -> None:
    """Take steps by noted calls, which read the scalars from a row and the gradient from an array."""
    for k in range(len(scalars)):
        for i in range(len(g)):  # Numba takes seconds to compile the assignment of a slice
            g[i] = pool[k % len(pool), i]
        for i in range(row.size):
            row[0, i] = scalars[k, i]
        make(notes)


@dataclass(frozen=True)
class _Runner:
    """Takes many steps of a module."""

    candidate: Candidate  # the module
    hypers: Mapping[str, float] = field(default_factory=dict)  # hyperparameters that differ from their defaults

    @cached_property
    def program(self) -> Any:
        """What the module says of itself."""
        return program_of(self.candidate)

    @cached_property
    def values(self) -> Mapping[str, float]:
        """All hyperparameters."""
        values: Mapping[str, float] = self.program.completed(self.hypers)
        return values

    @cached_property
    def scalars(self) -> Array:
        """What `scalars` gives at each step, in float64; what the host keeps goes through all of them."""
        numbers, rows = self.program.initial(*self.values.values())[-len(self.program.numbers) or STEPS :], []
        for t in range(1, STEPS + 1):
            row, numbers = self.program.computed(t, self.values.values(), numbers)
            rows.append(row)
        return np.array(rows, np.float64)

    def run(self, theta: Array, pool: Array, after: Slots | None = None) -> tuple[Slots, Slots]:
        """The slots after half of the steps and after all, in the dtype of theta, with gradients in turn, a row each.

        It can go on from slots in the middle of a run, in place of a start.
        """
        with running():
            if self.program.phases or self.program.seeds:
                return self._by_calls(theta, pool, after)
            pool, half = pool.astype(theta.dtype), STEPS // 2
            initial = self.program.initial(*self.values.values())[: len(self.program.states)]
            slots = {"theta": theta.copy(), "g": np.zeros_like(theta)}
            slots |= {name: np.full_like(theta, x) for name, x in zip(self.program.states, initial, strict=True)}
            begun = {name: [slots[name]] for name in (*self.program.copies, *self.program.begun)}
            fill(self.program, arrays, self.values, [theta], begun)
            slots |= {name: x.astype(theta.dtype) for name, x in (after or {}).items() if name in slots}
            at = [int(x.ctypes.data) for x in slots.values()]
            rows, task = np.array([[theta.size, *at, 0, 0, 0]], np.int64), np.arange(2)
            storage = uniform(self.program.slots, theta.dtype).as_argument
            with np.errstate(over="ignore"):
                scalars = self.scalars.astype(theta.dtype)
            ends = []
            row = scalars[:1].copy()
            (step,) = prepared([Due(partial(self.program.sweep, rows, task, storage, row))])
            (notes,) = step.args
            first, then = scalars[: half + _AFTER], scalars[half + _AFTER :]
            if after:  # what goes on does so where a cycle is at
                first = then = scalars[-AGAIN:]
            for part in (first, then):
                _drive(notes, row, slots["g"], pool, part)
                ends.append({name: x.copy() for name, x in slots.items() if name != "g"})
            return ends[0], ends[1]

    def _by_calls(self, theta: Array, pool: Array, after: Slots | None) -> tuple[Slots, Slots]:
        """The same by way of the class, for modules of several sweeps: a tensor of rows and columns."""
        shape, ends = (4, theta.size // 4), []
        trained = self.candidate.kind([theta.reshape(shape).copy()], **self.hypers)

        def held() -> Slots:
            states = {name: its[0] if isinstance(its, tuple) else its for name, its in trained.state.items()}
            return {"theta": trained.params[0], **states}

        if after:
            resumed_at(
                trained, OTHER_STEPS, {name: np.asarray(after[name], np.float64) for name in self.program.numbers}
            )
            for name, values in held().items():
                values[...] = after[name]
        grads = [g.astype(theta.dtype).reshape(shape) for g in pool]
        for k in range(OTHER_STEPS):
            trained.step([grads[k % len(grads)]])
            if k + 1 in (OTHER_STEPS // 2 + _OTHERS_AFTER, OTHER_STEPS):
                ends.append({name: values.copy() for name, values in held().items()})
        return ends[0], ends[1]


# What must hold ------------------------------------------------------------------------------------------------------


def _resting(runner: _Runner, what: str, pool: Array, theta: Array) -> Finding:
    """What rests in float64 must rest in float32 when it is put there."""
    half, end = runner.run(theta.astype(np.float64), pool)
    # Every second gradient is a unit in the last place of float32 farther from 0.
    apart = np.concatenate([pool, np.nextafter(pool, 2 * pool)]).astype(np.float64)
    _, nearby = runner.run(theta.astype(np.float64), apart) if pool.any() else (half, end)
    with np.errstate(over="ignore"):
        start = {name: values.astype(np.float32) for name, values in end.items()}
    _, found = runner.run(start["theta"].reshape(theta.shape), pool, start)
    worst, where = 0.0, "what rests stays where it is"
    for name, values in end.items():
        with np.errstate(all="ignore"):
            unit = np.spacing(np.abs(start[name]))
            rests = np.abs(values - half[name]) <= _AT_REST * np.abs(values)
            rests &= np.abs(values - nearby[name]) <= BOUND * unit
            off = np.abs(found[name] - start[name].astype(np.float64))
            ulps = np.where(rests & np.isfinite(values), off / unit, 0.0)
        if ulps.size and ulps.max() > BOUND:  # a small difference of large terms rests no better than these
            ulps *= unit / np.maximum(unit, _units(runner, end, pool)[name])
        if ulps.size and ulps.max() > worst:
            worst, i = float(ulps.max()), int(np.argmax(ulps))
            where = (
                f"{name} is {found[name].flat[i]:.9g} where float64 rests at {values.flat[i]:.9g}, {worst:.3g} units in"
                " the last place from it: are the factors of an average rounded so that they no longer make 1?"
            )
    verdict = Verdict.FAILED if worst > BOUND else Verdict.TESTED
    return Finding(PART, f"fixed points under {what}", verdict, where, {"rest_ulps": worst})


def _units(runner: _Runner, end: Slots, pool: Array) -> Slots:
    """Units in the last place of float32, of the terms that the next step would add up."""
    optimizer, by = runner.candidate.optimizer, Magnitudes(np.dtype(np.float32))
    numbers = {name: float(end[name]) for name in runner.program.numbers if name in end}
    old = {name: [values] for name, values in end.items() if name not in numbers}
    old["g"] = [pool[-1].reshape(end["theta"].shape)]
    made = model_step(optimizer, Setting(STEPS, runner.values, numbers), old, by)
    return {name: by.eps * np.asarray(its[0].magnitude) for name, its in made.items()}


def _noisy(runner: _Runner, pool: Array, theta: Array) -> Finding:
    """How far off float32 is after gradients that scatter, in what does not depend on theta."""
    (_, found), (_, exact) = (runner.run(theta.astype(dtype), pool) for dtype in (np.float32, np.float64))
    free = _free_of_theta(runner.candidate.optimizer)
    worst, where = 0.0, "every state depends on theta"
    for name in (name for name in exact if name in free):
        size = np.sqrt(np.mean(exact[name] ** 2)) or 1.0
        off = float(np.max(np.abs(found[name] - exact[name])) / size)
        worst, where = max((worst, where), (off, f"{name} is off by {off:.1e} of its size"), key=lambda pair: pair[0])
    return Finding(PART, "a noisy average", Verdict.TESTED, where, {"noisy": worst})


def _free_of_theta(optimizer: Optimizer) -> set[str]:
    """The states that do not depend on theta, however many steps there are."""
    reads = {let.target: set(let.value.atoms(Named)) for let in optimizer.equations}
    tainted: set[Any] = {theta}
    while True:
        more = {x for x, its in reads.items() if its & tainted} | {
            getattr(x, "of", x) for x in tainted if getattr(x, "of", x) is not x
        }
        more |= {s for s in optimizer.states if s.init.has(theta)}
        if more <= tainted:
            return {s.name for s in optimizer.slots if s not in tainted}
        tainted |= more


# Compensation --------------------------------------------------------------------------------------------------------


def _compensations(optimizer: Optimizer) -> Iterator[State]:
    """The states that are 0 in real arithmetic if they were before: they hold rounding errors."""
    for state in optimizer.slots:
        if state.init == 0 and _stays_at_zero(optimizer, state) and not _in_real_numbers(optimizer, state):
            yield state


def _stays_at_zero(optimizer: Optimizer, state: State) -> bool:
    """Whether a state that was 0 is, to 40 digits, after a step from ordinary numbers; algebra may take minutes.

    What is 0 in float64 too, as a product with what was 0 is, holds nothing.
    """
    old = ordinary(optimizer, [(16,)], np.random.default_rng(0)) | {state.name: [np.zeros(16)]}
    by, setting = Digits(), Setting(TIMES[-1], optimizer.values())
    [new], [rounded] = (model_step(optimizer, setting, old, x)[state.name] for x in (by, FLOAT64))
    return bool(np.all(np.less(by.apply("Abs", new), 1e-40)) and np.any(rounded))


def _in_real_numbers(optimizer: Optimizer, state: State) -> Expr:
    """The new value of a state that was 0, in what the step starts from."""
    known: dict[Any, Expr] = {algebraic(state): algebraic(0 * state)}
    for let in optimizer.equations:
        value = algebraic(let.value).xreplace(known)
        if let.target == state.next:
            return cancel(value) if value.is_rational_function() and value.count_ops() < 200 else value  # noqa: PLR2004
        known[algebraic(let.target)] = value
    return state


def _compensated(candidate: Candidate, state: State, pool: Array) -> Finding:
    """Whether steps that are too small for float32 arrive nonetheless, in theta or in theta with what it lacks."""
    runner = _Runner(candidate, {"lr": 1e-9} if "lr" in program_of(candidate).hypers else {})
    start = np.linspace(1, 1.9, _ELEMENTS).astype(np.float32)
    (_, found), (_, exact) = (runner.run(start.astype(dtype), pool) for dtype in (np.float32, np.float64))
    right, unit = exact["theta"], np.spacing(start).astype(np.float64)
    moved = float(np.max(np.abs(right - start) / unit))
    arrived = (found["theta"] + sign * found[state.name].astype(np.float64) for sign in (-1, 0, 1))
    off = min(float(np.max(np.abs(values - right) / unit)) for values in arrived)
    verdict = Verdict.FAILED if off > max(BOUND, moved / 100) else Verdict.TESTED
    detail = f"theta should move by {moved:.3g} units in the last place and arrives {off:.3g} of them off"
    return Finding(PART, f"compensation by {state}", verdict, detail, {"moved": moved, "off": off})
