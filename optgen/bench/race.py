"""Contenders that take turns: how long a step of each takes, in one run.

All that a step costs is in its time, Python included. The contenders take turns, round after round, so that whatever
else the machine does hits them alike; ratios are taken within a round, and the median of the rounds is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import cycle
from math import ceil, inf
from statistics import mean, median
from time import perf_counter
from typing import Any

import numba
import numpy as np

from optgen.bench import peers
from optgen.bench.heats import Heat, StoredAs
from optgen.bench.machine import memory_left
from optgen.bench.models import Tensors
from optgen.bench.peers import Contender
from optgen.bench.traffic import SCRATCH, Moving, loop, once, sweeps_of
from optgen.ir import Branch
from optgen.runtime.core.program import Array
from optgen.runtime.core.storage import computed_for, dtype_of, itemsize_of

LOOP = "loop"
ONCE = "once"
OURS = "optgen"
MOVED = "optgen, other g"
SETTLED = 6
"""Steps before those that count."""
TIMED = range(SETTLED + 1, 1_000)
"""Those that count, or about: what is done much later, as what SWATS does once it has switched, is not timed."""
ROOM = 1.1
"""What a contender may need for each of its values, and a little: room is looked for before."""


@dataclass(frozen=True)
class Pace:
    """How long to measure."""

    rounds: int  # how many at most, in each of which every contender takes its turn
    seconds: float  # for which it steps at least
    longest: float  # seconds that all rounds of a heat may take together, beyond the first three
    tensors: float = inf  # in a model for which those take part that compile code for each


FULL = Pace(15, 0.02, 12)
QUICK = Pace(5, 0.01, 3, tensors=1)
FEWEST = 3
"""Rounds, of which there is a median."""


@dataclass(frozen=True)
class Subject:
    """A rule to time."""

    name: str  # what it is called
    kind: Any  # the generated class
    branches: tuple[Branch, ...]  # what runs at its steps, one after another and again


def given(model: Tensors, kept: StoredAs, seed: int) -> list[Array]:
    """A random array for every tensor, in memory of its own: a million numbers again and again."""
    dtype = dtype_of(kept.dtype)
    drawn = np.random.default_rng(seed).standard_normal(min(model.elements, 2**20), np.float32).astype(dtype)
    return [_filled(np.empty(shape, dtype), drawn) for shape in model.shapes]


def _filled(array: Array, drawn: Array) -> Array:
    flat, size = array.reshape(-1), len(drawn)
    whole = flat.size // size * size
    flat[:whole].reshape(-1, size)[:] = drawn
    flat[whole:] = drawn[: flat.size - whole]
    return array


@dataclass(frozen=True)
class Starters:
    """Who takes part in a heat, and who does not and why."""

    contenders: list[Contender]
    left_out: dict[str, str]


def entered(subject: Subject, heat: Heat, pace: Pace = FULL) -> Starters:
    """Everybody who takes part: the loops, ours and, of the others that the heat names, those who can at this pace."""
    params, grads = given(heat.model, heat.kept, 0), given(heat.model, heat.kept, 1)
    optimizer = subject.kind(params, **heat.kept.options)
    hypers = dict(optimizer.hypers)
    ours = [Contender(OURS, lambda: optimizer.step(grads), lambda: params)]
    if len(params) > 1:
        ours.append(_with_others(subject, heat, grads))
    loops = _loops(subject, heat, optimizer, params, grads)
    theirs, left_out = [], {}
    need = ROOM * (2 + len(optimizer.state)) * sum(array.nbytes for array in params)
    having = [peer for peer in heat.against if peers.has(peer, subject.name)]
    starts = given(heat.model, heat.kept, 0) if having else []
    for peer in having:
        reason = _reason(peer, heat, pace, need)
        if reason:
            left_out[peer] = reason
        else:
            theirs.append(peers.contender(peer, subject.name, hypers, starts, grads))
    return Starters([*loops, *ours, *theirs], left_out)


def _with_others(subject: Subject, heat: Heat, grads: list[Array]) -> Contender:
    """Ours again, with gradients that are other objects in other memory at every other step."""
    params = given(heat.model, heat.kept, 0)
    optimizer = subject.kind(params, **heat.kept.options)
    turns = cycle((grads, [array.copy() for array in grads]))
    return Contender(MOVED, lambda: optimizer.step(next(turns)), lambda: params)


def _reason(peer: str, heat: Heat, pace: Pace, need: float) -> str:
    """Why a peer who has the rule does not take part; empty if it does."""
    library = peers.LIBRARY[peer]
    if library in peers.missing():
        return peers.missing()[library]
    if heat.kept.options.get("as_matrices"):
        return "it does not see convolutions as matrices"
    if heat.kept.options:
        return "it stores states as parameters are"
    if peer in peers.COMPILE_AT_MOST:
        most = min(peers.COMPILE_AT_MOST[peer], pace.tensors)
        if len(heat.model.shapes) > most:
            return f"it compiles code for each tensor, which takes too long for more than {most}"
    if library == "optax" and heat.threads != numba.config.NUMBA_NUM_THREADS:
        return "JAX cannot be told how many threads to use"
    if library == "deepspeed" and heat.kept.dtype == "float64":
        return "it keeps states in float32 and has no kernel for float64"
    if need > memory_left():
        return f"it would need {need / 2**30:.1f} GiB, and {memory_left() / 2**30:.1f} are left"
    return ""


def _loops(subject: Subject, heat: Heat, optimizer: Any, params: list[Array], grads: list[Array]) -> list[Contender]:
    """The rule's own reads and writes and, where that is less, each value once.

    A model of one tensor has them done on the optimizer's own arrays, others on one long array for each slot.
    """
    moved = [beside(sweeps_of(branch), heat.kept) for branch in subject.branches]
    slots = dict.fromkeys(name for sweeps in moved for each in sweeps for name in each.slots)
    if not slots:
        return []
    own: dict[str, Array] = {}
    if len(params) == 1:
        own = {"theta": params[0], "g": grads[0]}
        own |= {name: optimizer.state[name][0] for name in optimizer.program.states}
    formats = formats_of(slots, heat.kept)
    size = heat.model.elements
    arrays = {name: own[name].reshape(-1) if name in own else np.ones(size, dtype_of(formats[name])) for name in slots}
    contenders = [Contender(LOOP, _in_turn([loop(sweeps, arrays) for sweeps in moved]))]
    least = [beside([once(branch)], heat.kept) for branch in subject.branches]
    if any(len(sweeps) > 1 for sweeps in moved) and all(each.slots for sweeps in least for each in sweeps):
        contenders.append(Contender(ONCE, _in_turn([loop(sweeps, arrays) for sweeps in least])))
    return contenders


def _in_turn(steps: Sequence[Callable[[], None]]) -> Callable[[], None]:
    """A step that is one of some after another."""
    turns = cycle(steps)

    def step() -> None:
        next(turns)()

    return step if len(steps) > 1 else steps[0]


def beside(moved: Sequence[Moving], kept: StoredAs) -> list[Moving]:
    """The same where there is more beside parameters of 16 bits: a master copy instead of them, or what they lack."""
    extra = next((name for name in ("master", "kahan") if kept.options.get(name)), "")
    if not extra:
        return list(moved)
    read = (extra,) if extra == "master" else ("theta", extra)
    return [
        Moving(
            tuple(one for name in each.reads for one in (read if name == "theta" else (name,))),
            tuple(one for name in each.writes for one in (("theta", extra) if name == "theta" else (name,))),
        )
        for each in moved
    ]


def formats_of(slots: Mapping[str, None] | Sequence[str], kept: StoredAs) -> dict[str, str]:
    """As what each slot is stored."""
    store, computed = kept.options.get("store", {}), computed_for(kept.dtype)
    return {
        name: computed if name.startswith(SCRATCH) or name == "master" else store.get(name, kept.dtype)
        for name in slots
    }


def bytes_moved(moved: Sequence[Moving], kept: StoredAs) -> int:
    """How many bytes some sweeps read and write for each element."""
    return sum(
        itemsize_of(its)
        for each in beside(moved, kept)
        for names in (each.reads, each.writes)
        for its in formats_of(names, kept).values()
    )


def footprint(moved: Sequence[Moving], kept: StoredAs) -> int:
    """How many bytes of memory they touch for each element."""
    slots = dict.fromkeys(name for each in beside(moved, kept) for name in each.slots)
    return sum(itemsize_of(its) for its in formats_of(slots, kept).values())


def seconds_of(step: Callable[[], None], calls: int) -> float:
    """Seconds a step takes, from so many in a row."""
    start = perf_counter()
    for _ in range(calls):
        step()
    return (perf_counter() - start) / calls


def _calls_of(step: Callable[[], None], seconds: float) -> tuple[int, float]:
    """How many steps take so many seconds, and how many one takes; what one compiles or allocates does not count."""
    calls = 1
    while (one := min(seconds_of(step, calls) for _ in range(2))) * calls < seconds:
        calls *= 2
    return max(1, ceil(seconds / max(one, 1e-9))), one


def times_of(contenders: Sequence[Contender], pace: Pace, every: int = 1) -> dict[str, list[float]]:
    """Let contenders take turns, each of a multiple of so many steps: the seconds of a step of each, in every round."""
    steps = {each.name: each.step for each in contenders}
    calls, expected = {}, 0.0
    for name, step in steps.items():
        seconds_of(step, SETTLED if name in (OURS, MOVED) else 2)  # compiles, allocates, fills the cache
        calls[name], one = _calls_of(step, pace.seconds)
        calls[name] = ceil(calls[name] / every) * every
        expected += calls[name] * one
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(max(FEWEST, min(pace.rounds, int(pace.longest / expected)))):
        for name in order:
            times[name].append(seconds_of(steps[name], calls[name]))
        order.append(order.pop(0))  # so that nobody goes first in every round
    return times


def outcome(subject: Subject, heat: Heat, pace: Pace) -> dict[str, Any]:
    """Run a heat: what came out, as what JSON can hold.

    ``bytes`` and ``bytes_once`` are read and written for each element, by the rule's sweeps and if each value is moved
    once; ``footprint`` is how many of memory they touch. They are means where steps do different things in turn. Of
    each contender there are the median and the least of all rounds, and the medians of its time as a multiple of that
    of the loops and of ours in the same round.
    """
    with on_threads(heat.threads):
        starters = entered(subject, heat, pace)
        times = times_of(starters.contenders, pace, len(subject.branches))
    moved = [sweeps_of(branch) for branch in subject.branches]
    return {
        "rule": heat.rule,
        "model": heat.model.name,
        "tensors": len(heat.model.shapes),
        "elements": heat.model.elements,
        "stored": str(heat.kept),
        "threads": heat.threads,
        "sweeps": mean(map(len, moved)),
        "bytes": mean(bytes_moved(sweeps, heat.kept) for sweeps in moved),
        "bytes_once": mean(bytes_moved([once(branch)], heat.kept) for branch in subject.branches),
        "footprint": mean(footprint(sweeps, heat.kept) for sweeps in moved),
        "left_out": starters.left_out,
        "rounds": len(times[OURS]),
        "rows": [_row(name, times) for name in times],
    }


def _row(name: str, times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Sum up the rounds of one contender: milliseconds, and its time as a multiple of that of some others."""
    mine = times[name]
    ratios = {
        f"time_of_{other}": median(own / theirs for own, theirs in zip(mine, times[other], strict=True))
        for other in (LOOP, ONCE, OURS)
        if other in times
    }
    return {"contender": name, "median_ms": 1e3 * median(mine), "min_ms": 1e3 * min(mine), **ratios}


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Where Numba's kernels, and PyTorch where it is installed, run on so many threads."""
    # First PyTorch: where it finds the OpenMP that Numba's threads have loaded it takes that for its own, and then each
    # root of 4,096 numbers waits for a thread that MKL starts, for 4 ms.
    torch = None if "torch" in peers.missing() else import_module("torch")
    theirs = torch.get_num_threads() if torch else 0
    before = numba.get_num_threads()
    numba.set_num_threads(number)
    _start_threads()
    if torch:
        torch.set_num_threads(number)  # after Numba's have started, which can reset their number (numba#9387)
    try:
        yield
    finally:
        numba.set_num_threads(before)
        if torch:
            torch.set_num_threads(theirs)


def _start_threads() -> None:
    """Have Numba's threads start, by a loop that is worth them."""
    ones = np.ones(2**16, np.float32)
    loop([Moving(("x",), ("x",))], {"x": ones})()
