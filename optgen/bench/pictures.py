"""Pictures of a report, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from optgen.bench.models import COUNTS
from optgen.bench.race import LOOP, ONCE, OURS
from optgen.bench.tables import size
from optgen.runtime.cpu.launch import SERIAL_BELOW

Results = Sequence[dict[str, Any]]
ROOM = 0.5
"""How much of what curves take is left under them, for what is said of where they bend."""


def pages(report: dict[str, Any]) -> dict[str, Callable[[Any], None]]:
    """What there is enough of in a report to be drawn: names of files, and what draws each on an empty figure."""
    return {
        **{f"size-{rule}.png": partial(_by_size, rule, its, report["machine"]) for rule, its in _sizes(report)},
        **{f"tensors-{rule}.png": partial(_by_tensors, rule, its) for rule, its in _counts(report)},
        **{f"limits-{name.replace('^', '-')}.png": partial(_limits, name, its) for name, its in _models(report)},
    }


def draw(report: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Draw all `pages` of a report of ``optgen bench --json``: each file, in a folder that is made if need be."""
    # Without pyplot, which would choose a window system and keep figures.
    figure = import_module("matplotlib.figure").Figure
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in pages(report).items():
        canvas = figure(figsize=(8, 5), layout="constrained")
        drawing(canvas)
        canvas.savefig(folder / name, dpi=120)
        yield folder / name


def _usual(report: dict[str, Any]) -> Results:
    """What ran in float32 on all threads."""
    most = max((its["threads"] for its in report["results"]), default=0)
    return [its for its in report["results"] if its["threads"] == most and its["stored"] == "float32"]


def _of_rules(results: Results) -> Iterator[tuple[str, Results]]:
    """Results by rule, where there are several."""
    for rule in dict.fromkeys(its["rule"] for its in results):
        mine = [its for its in results if its["rule"] == rule]
        if len(mine) > 1:
            yield rule, mine


def _sizes(report: dict[str, Any]) -> Iterator[tuple[str, Results]]:
    return _of_rules([its for its in _usual(report) if its["tensors"] == 1 and its["model"].startswith("2^")])


def _counts(report: dict[str, Any]) -> Iterator[tuple[str, Results]]:
    return _of_rules([its for its in _usual(report) if its["model"] in COUNTS])


def _models(report: dict[str, Any]) -> Iterator[tuple[str, Results]]:
    """Results by model, where several rules ran on it."""
    results = _usual(report)
    for model in dict.fromkeys(its["model"] for its in results):
        mine = [its for its in results if its["model"] == model and _multiple(its, LOOP)]
        if len({its["rule"] for its in mine}) > 2:  # noqa: PLR2004 - two can be compared in the table
            yield model, mine


def _multiple(its: dict[str, Any], other: str) -> float | None:
    """Our time as a multiple of that of another."""
    found: float | None = next(row for row in its["rows"] if row["contender"] == OURS).get(f"time_of_{other}")
    return found


def _curves(axes: Any, results: Results, by: str) -> None:
    """Nanoseconds an element of each contender."""
    names = dict.fromkeys(row["contender"] for its in results for row in its["rows"])
    for name in names:
        points = sorted(
            (its[by], 1e6 * row["median_ms"] / its["elements"])
            for its in results
            for row in its["rows"]
            if row["contender"] == name
        )
        style = {"linewidth": 3} if name == OURS else {"linestyle": "--"} if name in {LOOP, ONCE} else {}
        axes.plot(*zip(*points, strict=True), label=name, marker=".", **style)
    axes.set(xscale="log", yscale="log", ylabel="nanoseconds an element")
    axes.legend()


def _by_size(rule: str, results: Results, machine: dict[str, Any], canvas: Any) -> None:
    """Time an element by the size of one tensor, with the sizes at which caches are full."""
    axes = canvas.subplots()
    _curves(axes, results, "elements")
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** ROOM, high)
    footprint, threads = results[0]["footprint"], results[0]["threads"]
    for cache in machine["caches"]:
        held = cache["bytes"] / footprint
        if cache["own"] and held >= SERIAL_BELOW:
            held *= threads
        _mark(axes, held, f"L{cache['level']} full: {size(cache['bytes'])}{' a core' * cache['own']}")
    _mark(axes, SERIAL_BELOW * (threads > 1), f"from here on {threads} threads")
    axes.set(xlabel="elements of one tensor", title=f"{rule}, which touches {footprint} bytes an element")


def _mark(axes: Any, at: float, label: str) -> None:
    """Say where a curve may bend, and why, if that is within the picture."""
    low, high = axes.get_xlim()
    if low < at < high:
        axes.axvline(at, color="grey", linewidth=0.8)
        place = {"xycoords": axes.get_xaxis_transform(), "xytext": (3, 0), "textcoords": "offset points"}
        axes.annotate(label, (at, 0.02), rotation=90, color="grey", fontsize="small", zorder=0, **place)


def _by_tensors(rule: str, results: Results, canvas: Any) -> None:
    """Time an element by the number of tensors."""
    axes = canvas.subplots()
    _curves(axes, results, "tensors")
    axes.set(xlabel="tensors of 100 elements", title=f"{rule}: what many tensors cost")


def _limits(model: str, results: Results, canvas: Any) -> None:
    """The speed of every rule as a share of that of the loop with its own reads and writes, and of each value once."""
    results = sorted(results, key=lambda its: _multiple(its, LOOP) or 0.0)
    canvas.set_figheight(2 + 0.16 * len(results))
    axes = canvas.subplots()
    axes.barh([its["rule"] for its in results], [1 / (_multiple(its, LOOP) or 1.0) for its in results], color="C0")
    several = [(its["rule"], 1 / multiple) for its in results if (multiple := _multiple(its, ONCE))]
    if several:
        names, shares = zip(*several, strict=True)
        axes.plot(shares, names, "k|", label="of a loop that moves each value once")
        axes.legend()
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.tick_params(axis="y", labelsize=6)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set(xlabel="speed, as a share of that of a loop with the same reads and writes", title=f"{model} elements")
