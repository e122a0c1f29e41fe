"""How fast are steps on this GPU? Against copying memory and against PyTorch, in one run.

    python benchmarks/gpu.py [--quick] [--only PART …] [--chunks N …] [--seconds N] [--out FOLDER]

The parts are

- `torch`: AdamW, Adam and SGD with momentum against PyTorch's, fused and foreach, and through `optgen.torch`;
- `graphs`: AdamW in a CUDA graph, its scalars given anew before each replay, against PyTorch's;
- `totals`: rules that add up, which take several sweeps;
- `chunks`: AdamW and SGD with other numbers of elements in a chunk; only if it is asked for;
- `elements`: every rule whose elements go their own ways, on as large a tensor as there is room for.

The contenders of a case take turns, round after round, in an order that changes; ratios are taken within a round, and
medians are reported. The yardstick is a copy from one place in the GPU's memory to another that moves as many bytes,
read and written, as the step does. Of every contender there are three times:

- GPU: one step between two events. The GPU is asleep while the step is put into the stream, so no time of the host's
  is in it, and it has just read 256 MiB of something else, so nothing is left in its caches.
- host: the same call, until it returns. Nothing waits in it.
- wall: steps in a row until the GPU is done with them. Here what fits in the caches stays there.

The results go to ``FOLDER/<name of the GPU>.json``, from which docs/write_gpu.py makes a page. Without a GPU, or
without a PyTorch that sees it, the script says so and exits with 2.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import platform
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import numba
import numpy as np
from rich.console import Console
from rich.table import Table

import optgen
from optgen import specs
from optgen.bench.models import NETWORKS
from optgen.folders import spec_files
from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.loader import load_file
from optgen.pipeline import kernel_of
from optgen.runtime.cuda import primitives as cuda
from optgen.verify.settings import is_of_elements

try:
    import torch

    import optgen.torch
except ImportError:
    torch = None

Step = Callable[[], Any]

COPY = "copy of as many bytes"
OURS = "optgen"
FACE = "optgen.torch"
FUSED = "torch, fused"
FOREACH = "torch, foreach"
DEVICE = "cuda"
FLOAT = 4
WARM_UP = 7
"""Steps before any is timed: they compile, allocate, and leave behind the branches that only first steps take."""
FLUSHED = 2**26
"""Float32 that are read to empty the caches."""
SHORTEST, LONGEST = 2**21, 2**27
"""Cycles for which the GPU sleeps: about a millisecond to a tenth of a second."""
LARGEST = 28
"""The power of two of the elements of the largest tensor."""
ADDING = ("lamb", "ema_clip_global_norm_adamw", "adafactor", "swats")


@dataclass(frozen=True)
class Case:
    """A model: the shapes of its tensors."""

    title: str
    shapes: tuple[tuple[int, ...], ...]

    @property
    def elements(self) -> int:
        """In all of them."""
        return sum(map(math.prod, self.shapes))


def power(exponent: int) -> Case:
    """One matrix of so many elements, as square as it can be."""
    return Case(f"1 tensor of 2^{exponent}", ((2 ** (exponent // 2), 2 ** (exponent - exponent // 2)),))


MANY = Case("1,000 tensors of 4,096", ((64, 64),) * 1000)
MODELS = (Case("ResNet-50", NETWORKS["resnet50"]), Case("GPT-2 small", NETWORKS["gpt2"]))


@dataclass(frozen=True)
class Effort:
    """How long to measure: so many rounds, in each of which steps in a row take so many milliseconds at least."""

    rounds: int
    ms: float


FULL, QUICK = Effort(rounds=21, ms=15), Effort(rounds=5, ms=3)


@dataclass(frozen=True)
class Times:
    """What one contender took in one round, in milliseconds; a case without wall times has none."""

    gpu: float
    host: float
    wall: float | None = None


@dataclass(frozen=True)
class Row:
    """What came out for one contender in one case.

    Parameters
    ----------
    contender : str
        Who.
    gpu_ms, host_ms, wall_ms : float or None
        Medians over the rounds.
    gb_per_s : float or None
        Bytes read and written per second of the GPU, where they are known.
    speed_of_copy : float
        Share of the speed of the copy.
    time_of_fused : float or None
        Multiple of the wall time of PyTorch's fused step, where there is one.
    kernels, copies : int or None
        What a step launches, where it was counted.
    """

    contender: str
    gpu_ms: float
    host_ms: float
    wall_ms: float | None
    gb_per_s: float | None
    speed_of_copy: float
    time_of_fused: float | None
    kernels: int | None = None
    copies: int | None = None


# What needs no GPU ----------------------------------------------------------------------------------------------------


def file_name(gpu: str) -> str:
    """The name of a GPU as that of a file: ``NVIDIA H100 80GB HBM3`` is nvidia-h100-80gb-hbm3.json."""
    return f"{re.sub(r'[^a-z0-9]+', '-', gpu.lower()).strip('-')}.json"


def values_moved(kernel: Kernel, branch: int) -> int:
    """How many values a step reads and writes for each element, in one of the branches of its kernel."""
    return kernel.branches[branch].loads + kernel.branches[branch].stores


def branch_of(kernel: Kernel, scalars: Sequence[float]) -> int:
    """Which branch a step takes: the first of the scalars that its kernels are given says so, if there are several."""
    return int(scalars[0]) if len(kernel.branches) > 1 else 0


def exponent_that_fits(free: int, arrays: int) -> int:
    """The power of two of float32 of which so many arrays take nine tenths of the free memory at most.

    Parameters
    ----------
    free : int
        Bytes.
    arrays : int
        Of that many elements each.
    """
    return min(LARGEST, int(math.log2(max(0.9 * free / (FLOAT * arrays), 1))))


def counted(events: Iterable[Any]) -> tuple[int, int]:
    """How many kernels and how many copies or fills are among the events of a profile."""
    on_gpu = [e for e in events if "CUDA" in str(e.device_type) and not getattr(e, "is_user_annotation", False)]
    names = [event.name for event in on_gpu if not event.name.startswith(("Optimizer.", "ProfilerStep"))]
    copies = sum(name.startswith(("Memcpy", "Memset")) for name in names)
    return len(names) - copies, copies


def row(
    name: str, rounds: Mapping[str, Sequence[Times]], moved: int | None, launched: tuple[int, int] | None = None
) -> Row:
    """Sum up the rounds of one contender.

    Parameters
    ----------
    name : str
        Who.
    rounds : mapping of str to sequence of Times
        By contender, a round each.
    moved : int or None
        Bytes that its step reads and writes; None if that is not known.
    launched : tuple of int, optional
        Kernels and copies of a step.
    """
    mine = rounds[name]
    gpu = median(times.gpu for times in mine)
    walls = [times.wall for times in mine if times.wall is not None]
    pairs = zip(mine, () if name == COPY else rounds.get(FUSED, ()), strict=False)
    ratios = [own.wall / its.wall for own, its in pairs if own.wall is not None and its.wall is not None]
    return Row(
        contender=name,
        gpu_ms=gpu,
        host_ms=median(times.host for times in mine),
        wall_ms=median(walls) if walls else None,
        gb_per_s=1e-6 * moved / gpu if moved else None,
        speed_of_copy=median(copy.gpu / own.gpu for own, copy in zip(mine, rounds[COPY], strict=True)),
        time_of_fused=median(ratios) if ratios else None,
        kernels=launched[0] if launched else None,
        copies=launched[1] if launched else None,
    )


def per_element(moved: int, elements: int, gpu: float, copy: float) -> tuple[float, ...]:
    """Of a step that moves so many values an element, beside a copy, which moves two.

    Parameters
    ----------
    moved, elements : int
        Values of float32 for each element, and how many there are.
    gpu, copy : float
        Milliseconds of the step and of the copy.

    Returns
    -------
    tuple of float
        The values, the milliseconds, GB/s, and the share of the speed of the copy.
    """
    return moved, gpu, 1e-6 * FLOAT * moved * elements / gpu, (moved / gpu) / (2 / copy)


def rotated(names: Sequence[str], k: int) -> list[str]:
    """The order of a round, so that nobody goes first in every one."""
    return [*names[k % len(names) :], *names[: k % len(names)]]


def missing() -> str:
    """What there is not, and what therefore cannot be measured; nothing if all is there."""
    try:
        cuda.require_gpu()
    except RuntimeError as error:
        return str(error)
    if torch is None:
        return "PyTorch is not installed: there is nothing to compare with"
    if not torch.cuda.is_available():
        return "PyTorch sees no GPU: there is nothing to compare with"
    return ""


# How a step is timed --------------------------------------------------------------------------------------------------


class Stopwatch:
    """Times steps on the GPU that PyTorch uses."""

    def __init__(self) -> None:
        self._other = torch.zeros(FLUSHED, device=DEVICE)

    def once(self, step: Step, cycles: int) -> tuple[Times, bool]:
        """Time one step on a GPU with nothing in its caches, which first sleeps.

        Parameters
        ----------
        step : callable
            Puts a step into the stream.
        cycles : int
            For how long the GPU sleeps.

        Returns
        -------
        Times
            Without wall time.
        bool
            Whether it slept until the step was all in the stream, so that no time of the host's is in the GPU's.
        """
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        torch.cuda._sleep(cycles)  # noqa: SLF001 - there is no other way to wait on the GPU
        self._other.max()  # a read: what is written would be written back during the step
        begin.record()
        start = perf_counter()
        step()
        host = perf_counter() - start
        end.record()
        slept = not begin.query()
        end.synchronize()
        return Times(begin.elapsed_time(end), 1e3 * host), slept

    def cycles(self, step: Step) -> int | None:
        """For how long the GPU must sleep while a step is put into the stream; None if the step waits for the GPU."""
        cycles = SHORTEST
        while cycles <= LONGEST:
            if self.once(step, cycles)[1]:
                return 2 * cycles
            cycles *= 2
        return None

    def in_a_row(self, step: Step, calls: int) -> float:
        """Milliseconds a step takes until the GPU is done, from so many in a row."""
        torch.cuda.synchronize()
        start = perf_counter()
        for _ in range(calls):
            step()
        torch.cuda.synchronize()
        return 1e3 * (perf_counter() - start) / calls

    def race(self, steps: Mapping[str, Step], effort: Effort) -> tuple[dict[str, list[Times]], list[str]]:
        """Let contenders take turns; what they took, and which of them wait for the GPU in their steps."""
        calls, cycles = {}, {}
        for name, step in steps.items():
            self.in_a_row(step, WARM_UP)
            calls[name] = math.ceil(effort.ms / self.in_a_row(step, 2))
            cycles[name] = self.cycles(step)
        rounds: dict[str, list[Times]] = {name: [] for name in steps}
        for k in range(effort.rounds):
            for name in rotated(list(steps), k):
                its, _ = self.once(steps[name], cycles[name] or SHORTEST)
                rounds[name].append(Times(its.gpu, its.host, self.in_a_row(steps[name], calls[name])))
        return rounds, [name for name in steps if cycles[name] is None]


def launched_by(step: Step) -> tuple[int, int] | None:
    """How many kernels and copies a step launches, as PyTorch's profiler sees it; None if it cannot."""
    kinds = torch.profiler.ProfilerActivity
    torch.cuda.synchronize()
    try:
        with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA]) as profile:
            step()
            torch.cuda.synchronize()
        found = counted(profile.events())
    except (AssertionError, AttributeError, RuntimeError):  # what it raises where it cannot be used
        return None
    return found if sum(found) else None


# Who competes ---------------------------------------------------------------------------------------------------------


@cache
def optimizers() -> dict[str, Optimizer]:
    """All of specs/, by name."""
    files = map(load_file, spec_files(Path(specs.__path__[0])))
    return {optimizer.name: optimizer for file in files for optimizer in file.optimizers}


@cache
def kernel(name: str) -> Kernel:
    """The kernel of an optimizer, which says what a step moves."""
    return kernel_of(optimizers()[name])


def kind(name: str) -> Any:
    """The class that was generated for GPUs."""
    return getattr(import_module(f"optgen.generated.cuda.{name}"), optimizers()[name].title)


def drawn(case: Case) -> list[Any]:
    """A random tensor for every one of a case."""
    return [torch.randn(shape, device=DEVICE) for shape in case.shapes]


def copied(moved: int) -> Step:
    """A copy that reads and writes so many bytes, half each."""
    source, target = (torch.randn(max(moved // (2 * FLOAT), 1), device=DEVICE) for _ in range(2))
    return lambda: target.copy_(source)


def ours(name: str, case: Case, chunk: int | None = None) -> Any:
    """A generated optimizer for a case, and gradients."""
    its = kind(name)
    its = its if chunk is None else type(its.__name__, (its,), {"chunk": chunk})
    return its(drawn(case)), drawn(case)


def stepping(name: str, case: Case, chunk: int | None = None) -> Step:
    """A step of a generated optimizer."""
    optimizer, grads = ours(name, case, chunk)
    return lambda: optimizer.step(grads)


def with_gradients(case: Case) -> list[Any]:
    """Parameters of PyTorch, each with a gradient."""
    params = [torch.nn.Parameter(tensor) for tensor in drawn(case)]
    for param in params:
        param.grad = torch.randn_like(param)
    return params


MADE = {
    "adamw": lambda whose, params, **how: whose.AdamW(params, lr=1e-3, weight_decay=0.01, **how),
    "adam": lambda whose, params, **how: whose.Adam(params, lr=1e-3, **how),
    "sgdm": lambda whose, params, **how: whose.SGD(params, lr=1e-3, momentum=0.9, **how),
}
"""PyTorch's, and those of `optgen.torch` in their place."""


def clip_adamw_average(case: Case) -> Step:
    """What `ema_clip_global_norm_adamw` does, in three calls of PyTorch."""
    params = with_gradients(case)
    optimizer = MADE["adamw"](torch.optim, params, fused=True)
    weights = [param.detach() for param in params]
    averages = [weight.clone() for weight in weights]

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        torch._foreach_lerp_(averages, weights, 1e-3)

    return step


def rivals_that_add_up(name: str, case: Case) -> dict[str, Step]:
    """What PyTorch has for a rule that adds up."""
    if name == "ema_clip_global_norm_adamw":
        return {"torch, clip_grad_norm_, fused AdamW, _foreach_lerp_": clip_adamw_average(case)}
    if name == "adafactor":
        return {FOREACH: torch.optim.Adafactor(with_gradients(case), foreach=True).step}
    return {}


def replaying(case: Case) -> Step:
    """A captured step of the generated AdamW, whose learning rate changes with every replay."""
    optimizer, grads = ours("adamw", case)
    optimizer.compile()
    graph, count = torch.cuda.CUDAGraph(), iter(range(1, 10**9))
    with torch.cuda.graph(graph):
        optimizer.launch(grads)

    def step() -> Any:
        optimizer.advance(lr=1e-3 / next(count))
        graph.replay()
        return grads  # which must stay where the graph reads them

    return step


def replaying_torch(case: Case) -> Step:
    """A captured step of PyTorch's fused AdamW, with one learning rate for ever."""
    optimizer = MADE["adamw"](torch.optim, with_gradients(case), fused=True, capturable=True)
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            optimizer.step()
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        optimizer.step()

    def step() -> Any:
        graph.replay()
        return optimizer  # whose tensors must stay where they are

    return step


# The parts ------------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What a part works with."""

    watch: Stopwatch
    effort: Effort
    deadline: float
    chunks: Sequence[int]
    notes: list[str]

    def rows(self, title: str, case: Case, steps: Mapping[str, Step], moved: Mapping[str, int]) -> dict[str, Any]:
        """Let contenders race, and say what came out.

        Parameters
        ----------
        title : str
            What a step is.
        case : Case
            Of what model.
        steps : mapping of str to callable
            The contenders.
        moved : mapping of str to int
            What a step of each moves, in bytes, where that is known.
        """
        rounds, waiting = self.watch.race(steps, self.effort)
        where = f"{title}, {case.title}"
        self.notes += [f"{where}: {name} waits for the GPU, whose time has the host's in it" for name in waiting]
        launched = {name: launched_by(step) for name, step in steps.items()} if case.elements < 2**23 else {}
        rows = [asdict(row(name, rounds, moved.get(name), launched.get(name))) for name in steps]
        return {
            "step": title, "title": case.title, "tensors": len(case.shapes), "elements": case.elements, "rows": rows,
        }  # fmt: skip

    def fits(self, case: Case, arrays: int) -> bool:
        """Whether there is room for so many arrays of a case's size; notes if not."""
        release()
        free = torch.cuda.mem_get_info()[0]
        if FLOAT * case.elements * arrays <= 0.9 * free:
            return True
        self.notes.append(f"{case.title}: left out, {free / 2**30:.1f} GiB of memory are too few")
        return False


def release() -> None:
    """Give back the memory of contenders that are gone."""
    gc.collect()
    torch.cuda.empty_cache()


def part_torch(run: Run) -> list[dict[str, Any]]:
    """AdamW, Adam and SGD with momentum against PyTorch's."""
    found = []
    for name in MADE:
        for case in (power(20), power(24), power(28), MANY, *(MODELS if name == "adamw" else ())):
            moved = values_moved(kernel(name), -1)
            if run.fits(case, 4 * 4 + moved + 4):  # what each keeps, the copy, and temporaries of foreach
                found.append(_against_torch(run, name, case, FLOAT * moved * case.elements))
    return found


def _against_torch(run: Run, name: str, case: Case, moved: int) -> dict[str, Any]:
    steps = {
        COPY: copied(moved),
        OURS: stepping(name, case),
        FACE: MADE[name](optgen.torch, with_gradients(case)).step,
        FUSED: MADE[name](torch.optim, with_gradients(case), fused=True).step,
        FOREACH: MADE[name](torch.optim, with_gradients(case), foreach=True).step,
    }
    return run.rows(optimizers()[name].title, case, steps, dict.fromkeys((COPY, OURS, FACE, FUSED), moved))


def part_graphs(run: Run) -> list[dict[str, Any]]:
    """AdamW in CUDA graphs."""
    found = []
    for case in (power(24), MANY):
        moved = FLOAT * values_moved(kernel("adamw"), -1) * case.elements
        steps = {
            COPY: copied(moved),
            f"{OURS}, advance and replay": replaying(case),
            "torch, fused, capturable, replay": replaying_torch(case),
        }
        found.append(run.rows("AdamW in a CUDA graph", case, steps, dict.fromkeys(steps, moved)))
    return found


def part_totals(run: Run) -> list[dict[str, Any]]:
    """Rules that add up."""
    found = []
    for name in ADDING:
        for case in (power(24), MANY):
            moved = FLOAT * values_moved(kernel(name), -1) * case.elements
            steps = {COPY: copied(moved), OURS: stepping(name, case), **rivals_that_add_up(name, case)}
            found.append(run.rows(optimizers()[name].title, case, steps, dict.fromkeys((COPY, OURS), moved)))
    return found


def part_chunks(run: Run) -> list[dict[str, Any]]:
    """AdamW and SGD in chunks of other sizes."""
    found = []
    for name in ("adamw", "sgd"):
        for case in (power(28), MANY):
            values = values_moved(kernel(name), -1)
            if run.fits(case, len(run.chunks) * 4 + values):
                found.append(_in_chunks(run, name, case, FLOAT * values * case.elements))
    return found


def _in_chunks(run: Run, name: str, case: Case, moved: int) -> dict[str, Any]:
    steps = {COPY: copied(moved)}
    steps |= {f"{OURS}, chunks of {chunk}": stepping(name, case, chunk) for chunk in run.chunks}
    return run.rows(optimizers()[name].title, case, steps, dict.fromkeys(steps, moved))


def part_elements(run: Run) -> list[dict[str, Any]]:
    """Every rule of elements, on one large tensor; the parameters and the gradient are the same memory for all."""
    names = [name for name, optimizer in sorted(optimizers().items()) if is_of_elements(optimizer)]
    arrays = 3 + max(len(optimizers()[name].slots) for name in names)
    release()
    case = power(exponent_that_fits(torch.cuda.mem_get_info()[0], arrays))
    if case != power(LARGEST):
        run.notes.append(f"elements: {power(LARGEST).title} does not fit into memory, {case.title} does")
    buffers = [torch.randn(case.shapes[0], device=DEVICE) for _ in range(3)]
    found = []
    for k, name in enumerate(names):
        if monotonic() > run.deadline:
            run.notes.append(f"elements: out of time, {len(names) - k} left out: {', '.join(names[k:])}")
            break
        found.append(_elements(run, name, case, buffers))
        gc.collect()
    return found


def _elements(run: Run, name: str, case: Case, buffers: Sequence[Any]) -> dict[str, Any]:
    theta, grad, target = buffers
    optimizer = kind(name)([theta.normal_()])
    program = optimizer.program
    steps = {COPY: lambda: target.copy_(grad), OURS: lambda: optimizer.step([grad])}
    cycles = {}
    for turn, step in steps.items():
        run.watch.in_a_row(step, WARM_UP)
        cycles[turn] = run.watch.cycles(step) or SHORTEST
    rows = []
    for k in range(max(run.effort.rounds // 2, 3)):
        numbers = [float(optimizer.state[number]) for number in program.numbers]
        scalars, _ = program.computed(optimizer.t + 1, optimizer.hypers.values(), numbers)
        moved = values_moved(kernel(name), branch_of(kernel(name), scalars))
        times = {turn: run.watch.once(steps[turn], cycles[turn])[0].gpu for turn in rotated([COPY, OURS], k)}
        rows.append(per_element(moved, case.elements, times[OURS], times[COPY]))
    moved, gpu, speed, share = (median(column) for column in zip(*rows, strict=True))
    return {
        "optimizer": name,
        "title": optimizers()[name].title,
        "elements": case.elements,
        "values": moved,
        "gpu_ms": gpu,
        "gb_per_s": speed,
        "speed_of_copy": share,
        "draws": bool(program.seeds),
    }


PARTS = {
    "torch": part_torch,
    "graphs": part_graphs,
    "totals": part_totals,
    "chunks": part_chunks,
    "elements": part_elements,
}


# The script -----------------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    its = torch.cuda.get_device_properties(0)
    return {
        "gpu": torch.cuda.get_device_name(0),
        "memory_gib": round(its.total_memory / 2**30, 1),
        "multiprocessors": its.multi_processor_count,
        "l2_mib": round(getattr(its, "L2_cache_size", 0) / 2**20, 1),
        "driver": _driver(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "numba-cuda": _version("numba-cuda"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "optgen": optgen.__version__,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.split("\n")[0].strip() if done.returncode == 0 else "unknown"


def table(entry: Mapping[str, Any]) -> Table:
    """The rows of a case, for a reader."""
    result = Table(entry["step"], title=f"[bold]{entry['title']}[/]", title_justify="left")
    columns = {
        "GPU ms": "gpu_ms", "host ms": "host_ms", "wall ms": "wall_ms", "GB/s": "gb_per_s",
        "speed / copy": "speed_of_copy", "wall / fused": "time_of_fused", "kernels": "kernels", "copies": "copies",
    }  # fmt: skip
    for heading in columns:
        result.add_column(heading, justify="right")
    for each in entry["rows"]:
        cells = ["–" if each[key] is None else f"{each[key]:.4g}" for key in columns.values()]
        result.add_row(each["contender"], *cells, style="bold" if each["contender"].startswith(OURS) else "")
    return result


def table_of_elements(entries: Sequence[Mapping[str, Any]]) -> Table:
    """The rules of elements, for a reader."""
    result = Table("rule of elements", "values", "GPU ms", "GB/s", "speed / copy")
    for each in entries:
        cells = (f"{each['gpu_ms']:.3f}", f"{each['gb_per_s']:.0f}", f"{each['speed_of_copy']:.3f}")
        result.add_row(each["optimizer"], f"{each['values']:g}", *cells)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write, and return what the process exits with."""
    parser = argparse.ArgumentParser(description="Time steps on a GPU against copying memory and against PyTorch.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--chunks", nargs="+", type=int, default=[], metavar="N", help="elements in a chunk to try")
    parser.add_argument("--seconds", type=float, default=240, help="after which no further rule of elements is begun")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    options = parser.parse_args(arguments)
    reason = missing()
    if reason:
        sys.stderr.write(f"nothing is measured: {reason}\n")
        return 2

    console, found, failed = Console(width=150), machine(), []
    console.print(", ".join(f"{key} {value}" for key, value in found.items()), highlight=False)
    run = Run(Stopwatch(), QUICK if options.quick else FULL, monotonic() + options.seconds, options.chunks, [])
    report = {"date": datetime.now(timezone.utc).date().isoformat(), "machine": found, "notes": run.notes, "parts": {}}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / file_name(found["gpu"])
    for name in options.only or [name for name in PARTS if name != "chunks" or options.chunks]:
        try:
            entries = PARTS[name](run)
        except Exception:  # noqa: BLE001 - a part that fails must not hide the others
            traceback.print_exc()
            run.notes.append(f"{name}: failed")
            failed.append(name)
            release()
            continue
        for shown in [table_of_elements(entries)] if name == "elements" else map(table, entries):
            console.print(shown)
        report["parts"][name] = entries
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for note in run.notes:
        console.print(note, highlight=False)
    console.print(f"speed / copy: 1 is what memory allows. {path} has all of it.", highlight=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
