"""How long do everyday commands take, and how does the compiler's cost grow? For this checkout, or for another one.

    python benchmarks/commands.py [--root PATH] [--only WORD …] [--rounds N] [--limit SECONDS] [--suite] [--json FILE]

The parts are

- commands: ``optgen --help``, ``list``, ``show``, ``build`` and their like, in a folder with a copy of the specs;
- odd specs: rules that are small to write and were hard to compile, each built alone for CPUs;
- growth: rules of 1, 50, 200 and 1,000 equations, built alone for CPUs, and by which power of their number it grows;
- suite: the tests, in the ordinary run and in the one in the simulator; only if it is asked for.

Every time is that of a whole process, Python's start included: seconds until it ends, and seconds of processors (user
and system), which hardly notice what else the machine does. Shown are medians of runs after one that is not counted,
which leaves bytecode behind. What takes longer than ten seconds is run once, and what exceeds the limit is stopped.

Another checkout needs no environment of its own: it is put together of links, as an installation would be, and runs
with the Python that runs this file. A commit of the past is measured so too::

    git worktree add ../before <commit> && python benchmarks/commands.py --root ../before
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import inf, log
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
GROWN = (1, 50, 200, 1000)
"""Numbers of equations."""
LONG = 10
"""Seconds of a run that is not repeated."""
HEAD = """
from sympy import *
from optgen import *
from optgen.hypers import *
h = state("h")
e = g
"""
TAIL = """
odd = Optimizer("odd", title="Odd", step=(*steps, Let(theta.next, theta - lr*e)))
"""

ODD = {
    "e = sin(e)*e + e**2, ten times": "for _ in range(10): e = sin(e)*e + e**2\nsteps = ()",
    "eight nested Piecewise of elements": (
        "for k in range(8): e = Piecewise((e*g, e > k), (e + theta, True))\nsteps = ()"
    ),
    "Max of 200 sums": "e = Max(*(k*g + theta/(k + 1) for k in range(200)))\nsteps = ()",
    "a sum of 1,000 terms": "e = Add(*(g**k/(k + 1) for k in range(1, 1001)))\nsteps = ()",
    "12 independent conditions on t": (
        "primes = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)\n"
        "e = Add(*(Piecewise((g**k, Eq(Mod(t, p), 0)), (h, True)) for k, p in enumerate(primes, 2)))\n"
        "steps = (Let(h.next, h + g),)"
    ),
    "125 nested tanh": "for _ in range(125): e = tanh(e + theta)\nsteps = ()",
    "a ring of three": (
        "a, b, c = state('a b c')\n"
        "ring = [Eq(Mod(t, 3), k) for k in range(3)]\n"
        "steps = tuple(Let(x.next, Piecewise((g, when), (x, True))) for x, when in zip((a, b, c), ring))\n"
        "e = a.next + b.next + c.next"
    ),
}
"""By what a rule is: lines that give `steps`, and `e`, which theta is moved by."""

GROWING = {
    "a chain of locals": (
        "steps = []\n"
        "for k in range({n}):\n"
        "    u = local(f'u{{k}}'); steps.append(Let(u, e*(1 + theta*g/(k + 1)))); e = u"
    ),
    "many states": (
        "many = [state(f'm{{k}}') for k in range({n})]\n"
        "steps = [Let(m.next, beta1*m + (1 - beta1)*g/(k + 1)) for k, m in enumerate(many)]\n"
        "e = many[-1].next"
    ),
}
"""The same for rules of n equations."""


@dataclass(frozen=True)
class Run:
    """One run of a command: how it ended, and what it took.

    Parameters
    ----------
    wall, cpu : float
        Seconds until it ended, and seconds of processors.
    status : int
        Its exit status; that of a signal is negative.
    said : str
        The last line on standard error.
    """

    wall: float
    cpu: float
    status: int
    said: str

    @property
    def stopped(self) -> bool:
        """Whether it exceeded the limit."""
        return self.status == -signal.SIGKILL


@dataclass(frozen=True)
class Checkout:
    """Sources that are measured.

    Parameters
    ----------
    root : Path
        Their folder.
    site : Path
        A folder for links that make of them what an installation would be.
    """

    root: Path
    site: Path

    def link(self) -> None:
        """Make the links: ``specs/`` and ``generated/`` lie beside the package ``optgen/`` and belong inside it."""
        package = self.site / "optgen"
        package.mkdir(parents=True)
        for path in (*self.root.glob("optgen/*"), self.root / "specs", self.root / "generated"):
            if path.name != "__pycache__":
                (package / path.name).symlink_to(path)

    def run(self, arguments: Sequence[str], folder: Path, limit: float, **environment: str) -> Run:
        """Run ``python …`` in a folder, for at most so many seconds."""
        path = os.pathsep.join(filter(None, (str(self.site), os.environ.get("PYTHONPATH"))))
        errors = self.site / "errors"
        begin = perf_counter()
        with errors.open("w") as file:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, *arguments],
                cwd=folder, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **environment},
            )  # fmt: skip
            ended, status, used = 0, 0, None
            while not ended:
                sleep(0.002)
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
                if not ended and perf_counter() - begin > limit:
                    os.killpg(process.pid, signal.SIGKILL)
        wall = perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
        said = errors.read_text(errors="replace").strip().rpartition("\n")[-1]
        return Run(wall, used.ru_utime + used.ru_stime, process.returncode, said)


@dataclass(frozen=True)
class Row:
    """What came of running a command several times: the medians, and how the last run ended."""

    part: str
    name: str
    wall: float
    cpu: float
    runs: int
    status: int
    note: str


@dataclass(frozen=True)
class Measure:
    """How, of what and with what measurements are taken.

    Parameters
    ----------
    its : Checkout
        Whose commands are run.
    scratch : Path
        A folder for whatever is written.
    rounds : int
        How many runs are counted.
    limit : float
        Seconds after which a run is stopped.
    only : sequence of str
        Words of which a name must have one to be measured; all are if there is none.
    """

    its: Checkout
    scratch: Path
    rounds: int
    limit: float
    only: Sequence[str]

    def wants(self, part: str, name: str) -> bool:
        """Whether this is measured."""
        return not self.only or any(word in f"{part}: {name}" for word in self.only)

    def optgen(self, *arguments: str, folder: Path, before: Callable[[], object] = lambda: None) -> list[Run]:
        """Run a command, after something that is not timed: the runs that count."""
        runs: list[Run] = []
        for number in range(self.rounds + 1):
            before()
            run = self.its.run(("-m", "optgen", *arguments), folder, self.limit)
            if run.wall > LONG:
                return [run]
            if number or not self.rounds:
                runs.append(run)
        return runs

    def row(self, part: str, name: str, runs: Sequence[Run]) -> Row:
        """The medians of some runs."""
        last = runs[-1]
        note = f"stopped after {self.limit:g} s" if last.stopped else last.said if last.status else ""
        wall, cpu = median(run.wall for run in runs), median(run.cpu for run in runs)
        return Row(part, name, wall, cpu, len(runs), last.status, note)


def commands(measure: Measure) -> Iterator[Row]:
    """Everyday commands, in a folder with a copy of the specs."""
    folder = measure.scratch / "project"
    shutil.copytree(measure.its.root / "specs", folder / "specs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("--help", "--version", "list", "show adamw", "show nosuch"):
        if measure.wants("commands", name):
            yield measure.row("commands", name, measure.optgen(*name.split(), folder=folder))
    name = "build, everything from nothing"
    if measure.wants("commands", name):
        yield measure.row("commands", name, measure.optgen("build", folder=folder, before=emptied(folder)))
    for name, arguments in {"build, nothing to do": ("build",), "build --check": ("build", "--check")}.items():
        if measure.wants("commands", name):
            if not (folder / "generated").exists():
                measure.its.run(("-m", "optgen", "build"), folder, limit=inf)
            yield measure.row("commands", name, measure.optgen(*arguments, folder=folder))


def emptied(folder: Path) -> Callable[[], None]:
    """What deletes the modules that a build has left in a folder."""
    return lambda: shutil.rmtree(folder / "generated", ignore_errors=True)


def built(measure: Measure, part: str, name: str, lines: str) -> Iterator[Row]:
    """Build one rule for CPUs, if this is asked for."""
    if measure.wants(part, name):
        (measure.scratch / "odd.py").write_text(HEAD + lines + TAIL, encoding="utf-8")
        arguments = ("build", "odd.py", "--target", "cpu")
        runs = measure.optgen(*arguments, folder=measure.scratch, before=emptied(measure.scratch))
        yield measure.row(part, name, runs)


def odd_specs(measure: Measure) -> Iterator[Row]:
    """Rules that were hard to compile."""
    for name, lines in ODD.items():
        yield from built(measure, "odd specs", name, lines)


def growth(measure: Measure) -> Iterator[Row]:
    """Rules of more and more equations."""
    for name, lines in GROWING.items():
        for number in GROWN:
            yield from built(measure, "growth", f"{name}, {number}", lines.format(n=number))


def powers(rows: Sequence[Row]) -> Iterator[str]:
    """By which power of the number of equations what they cost grows, once what one costs has been taken off."""
    by_name = {row.name: row for row in rows if row.part == "growth" and not row.status}
    for name in GROWING:
        for few, many in pairwise(GROWN[1:]):
            one, low, high = (by_name.get(f"{name}, {number}") for number in (GROWN[0], few, many))
            if one and low and high and high.cpu > low.cpu > one.cpu:
                power = log((high.cpu - one.cpu) / (low.cpu - one.cpu)) / log(many / few)
                yield f"{name}: from {few} to {many} equations the cost grows with their number to the {power:.2f}"


def suite(measure: Measure) -> Iterator[Row]:
    """The tests, once each, of a copy of the sources, whose cache of kernels is empty."""
    copy = measure.scratch / "sources"
    shutil.copytree(measure.its.root, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "build"))
    its = Checkout(copy, measure.scratch / "suite")
    its.link()
    grouped = ("--dist", "loadgroup") if "loadgroup" in (copy / "Makefile").read_text(encoding="utf-8") else ()
    for name, tests, environment in (
        ("tests", "tests", {}),
        ("tests in the simulator", "tests/simulated", {"NUMBA_ENABLE_CUDASIM": "1"}),
    ):
        if measure.wants("suite", name):
            arguments = ("-m", "pytest", "-q", "-n", "auto", *grouped, str(copy / tests))
            yield measure.row("suite", name, [its.run(arguments, its.site, limit=inf, **environment)])


PARTS = {"commands": commands, "odd specs": odd_specs, "growth": growth, "suite": suite}


def table(part: str, rows: Sequence[Row]) -> Table:
    """The rows of a part, for a reader."""
    result = Table(part, "seconds", "of processors", "runs", "note", title_justify="left")
    for row in rows:
        result.add_row(row.name, f"{row.wall:.2f}", f"{row.cpu:.2f}", f"{row.runs}", row.note)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and, where that is asked for, write."""
    parser = argparse.ArgumentParser(description="Time everyday commands, and the compiler on odd and growing rules.")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="PATH", help="the checkout to measure; this one")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="what has one of these in its name")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs that are counted; 5")
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="after which a run is stopped; 120")
    parser.add_argument("--suite", action="store_true", help="time the tests too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what is measured to a file")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    if not (root / "optgen" / "cli").is_dir():
        parser.error(f"--root: {root} is no checkout of optgen")
    console, rows = Console(width=120), list[Row]()
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        its = Checkout(root, scratch / "site")
        its.link()
        measure = Measure(its, scratch, options.rounds, options.limit, options.only)
        for part, measured in PARTS.items():
            if part != "suite" or options.suite:
                found = list(measured(measure))
                rows += found
                if found:
                    console.print(table(part, found))
    for line in powers(rows):
        console.print(line, highlight=False)
    if options.json:
        machine = {"python": platform.python_version(), "system": platform.platform(), "processors": os.cpu_count()}
        report = {"root": str(root), "machine": machine, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
