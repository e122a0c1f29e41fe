"""Contenders that take turns: how long a step of each takes, against memory and against PyTorch, in one run.

The yardstick is a Numba loop with the reads and writes of the optimizer and next to no arithmetic. All that a step
costs is in its time, Python included. The contenders take turns, round after round, so that whatever else the machine
does hits them alike; ratios are taken within a round, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import optgen

try:
    import torch
except ImportError:
    torch = None

Array = NDArray[np.float32]
Step = Callable[[], None]

LOOP = "same traffic"
OURS = "optgen"
FUSED = "torch, fused"
FOREACH = "torch, foreach"


@dataclass(frozen=True)
class Case:
    """A model: so many tensors of so many elements each."""

    title: str
    tensors: int
    size: int


@dataclass(frozen=True)
class Race:
    """Who competes in what.

    Parameters
    ----------
    title : str
        What a step is.
    values : int
        How many float32 it reads and writes for each element.
    contenders : callable
        From a case to the steps of `LOOP`, `OURS` and, where there is PyTorch, `FUSED` and others, by name.
    """

    title: str
    values: int
    contenders: Callable[[Case], Mapping[str, Step]]


@dataclass(frozen=True)
class Effort:
    """How long to measure: so many rounds, in each of which a contender steps for at least so many seconds."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """What came out for one contender in one case.

    Parameters
    ----------
    contender : str
        Who.
    median_ms, min_ms : float
        Milliseconds a step takes, over the rounds.
    gb_per_s : float
        Its traffic at the median.
    speed_of_loop : float
        Share of the speed of the loop with the same traffic.
    time_of_fused : float or None
        Multiple of the time of PyTorch's fused step; None without PyTorch.
    """

    contender: str
    median_ms: float
    min_ms: float
    gb_per_s: float
    speed_of_loop: float
    time_of_fused: float | None


CASES = (
    Case("1 tensor of 2^24 elements", 1, 2**24),
    Case("1,000 tensors of 4,096 elements", 1000, 4096),
    Case("1 tensor of 2^17 elements (in cache)", 1, 2**17),
)
FULL = Effort(rounds=25, seconds=0.06)
QUICK = Effort(rounds=7, seconds=0.02)


def normal(case: Case, rng: np.random.Generator) -> list[Array]:
    """A random array for every tensor of a case."""
    return [rng.standard_normal(case.size, np.float32) for _ in range(case.tensors)]


def seconds_of(step: Step, calls: int) -> float:
    """Seconds a step takes, from so many in a row."""
    start = perf_counter()
    for _ in range(calls):
        step()
    return (perf_counter() - start) / calls


def measure(race: Race, case: Case, effort: Effort, advance: Callable[[], None]) -> list[Row]:
    """Let the contenders of a case take turns."""
    steps = race.contenders(case)
    calls = {}
    for name, step in steps.items():
        seconds_of(step, 3)  # compiles, allocates the states and fills the cache
        calls[name] = math.ceil(effort.seconds / seconds_of(step, 2))
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(effort.rounds):
        for name in order:
            times[name].append(seconds_of(steps[name], calls[name]))
        order.append(order.pop(0))  # so that nobody goes first in every round
        advance()
    return [row(race, case, name, times) for name in steps]


def row(race: Race, case: Case, name: str, times: Mapping[str, Sequence[float]]) -> Row:
    """Sum up the rounds of one contender."""
    mine = times[name]
    return Row(
        contender=name,
        median_ms=1e3 * median(mine),
        min_ms=1e3 * min(mine),
        gb_per_s=4e-9 * race.values * case.tensors * case.size / median(mine),
        speed_of_loop=median(theirs / own for own, theirs in zip(mine, times[LOOP], strict=True)),
        time_of_fused=median(own / theirs for own, theirs in zip(mine, times[FUSED], strict=True))
        if FUSED in times
        else None,
    )


def machine() -> dict[str, str | int]:
    """What the numbers were taken on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count() or 1,
        "threads": numba.get_num_threads(),
        "threading_layer": numba.threading_layer(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "torch": torch.__version__ if torch is not None else "missing",
        "optgen": optgen.__version__,
    }


def table(race: Race, case: Case, rows: Sequence[Row]) -> Table:
    """The rows of a case, for a reader."""
    result = Table(f"{race.title} in float32", title=f"[bold]{case.title}[/]", title_justify="left")
    for heading in ("median ms", "min ms", "GB/s", "speed / loop", "time / fused"):
        result.add_column(heading, justify="right")
    for each in rows:
        result.add_row(
            each.contender,
            f"{each.median_ms:.3f}",
            f"{each.min_ms:.3f}",
            f"{each.gb_per_s:.1f}",
            f"{each.speed_of_loop:.2f}",
            "–" if each.time_of_fused is None else f"{each.time_of_fused:.2f}",
            style="bold" if each.contender == OURS else "",
        )
    return result


def run(race: Race, arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table a case, and return all of it as what JSON can hold."""
    parser = argparse.ArgumentParser(description=f"Time {race.title} against memory and PyTorch.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file, too")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL

    _start_threads(8)
    if torch is not None:
        # After the first launch, for starting Numba's threads can reset PyTorch's number of them (numba#9387).
        torch.set_num_threads(numba.get_num_threads())
    found = machine()
    console = Console()
    console.print(", ".join(f"{key} {value}" for key, value in found.items()), highlight=False)
    if torch is None:
        console.print("PyTorch cannot be imported: no comparison with it.")
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("measuring", total=effort.rounds * len(CASES))
        results = {case: measure(race, case, effort, lambda: progress.advance(bar)) for case in CASES}
    for case, rows in results.items():
        console.print(table(race, case, rows))
    console.print("speed / loop: 1 is what memory allows. time / fused: of PyTorch's time, less is better.")

    report = {
        "step": race.title,
        "machine": found,
        "cases": [{**asdict(case), "rows": [asdict(each) for each in rows]} for case, rows in results.items()],
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


@numba.njit(parallel=True)
def _start_threads(count: int) -> int:
    total = 0
    for i in numba.prange(count):
        total += i
    return total
