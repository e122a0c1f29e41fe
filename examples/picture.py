"""The picture of the comparison: curves by epoch, and every optimizer's accuracy at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import numpy as np
from claims import Array, losses_by_epoch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from report import Warmups
from tuning import Trained

from optgen.plot.canvas import save
from optgen.plot.style import COLOURS, STYLE

FAMILIES = {
    "Momentum": ("sgd", "sgdm", "nag", "sgdm_l2_library", "sgdw"),
    "Adaptive": ("adagrad", "rmsprop", "adam", "adamw", "amsgrad", "adabound", "radam", "nadam", "swats"),
}
"""Whose curves are drawn: one of each family. All others are in the column of accuracies."""
WRAPPED = ("sgdm", "lookahead_sgdm", "adamw", "lookahead_adamw")
FLOOR = 0.9
"""Accuracies below are not drawn."""
CROWDED = 4
"""Curves in a panel beyond which the spread of seeds is left out and the legend has two columns."""

Curves = Sequence[tuple[str, Trained]]


def panels(optimizers: Mapping[str, Trained], warmed: Warmups) -> Iterator[tuple[str, Curves]]:
    """What is drawn in each row, under which heading: of the optimizers there are."""
    for heading, names in FAMILIES.items():
        yield heading, [(name, optimizers[name]) for name in names if name in optimizers]
    labels = ("adam with warm-up", "adam without", "radam without")
    yield f"Warm-up at rate {warmed.cold.setting.rate:g}", list(zip(labels, warmed, strict=True))
    yield "Lookahead", [(name, optimizers[name]) for name in WRAPPED if name in optimizers]


def draw(optimizers: Mapping[str, Trained], warmed: Warmups, out: Path) -> None:
    """Draw training loss and test accuracy by epoch, a row of panels a question, and accuracies at the end."""
    rows = [(heading, curves) for heading, curves in panels(optimizers, warmed) if curves]
    with mpl.rc_context({**STYLE, "font.size": 9.5, "lines.linewidth": 1.5, "legend.fontsize": 8.5}):
        figure = Figure(figsize=(14, 3.4 * len(rows)), dpi=100, layout="constrained")
        grid = figure.add_gridspec(len(rows), 3)
        for row, (heading, curves) in enumerate(rows):
            loss, accuracy = (figure.add_subplot(grid[row, column]) for column in (0, 1))
            loss.set(title=f"{heading}: training loss", yscale="log")
            loss.yaxis.set_major_formatter("{x:g}")
            lines(loss, curves, [[losses_by_epoch(run) for run in each.runs] for _, each in curves])
            lowest = min(fmean(each.test) for _, each in curves)
            accuracy.set(title=f"{heading}: test accuracy", ylim=(FLOOR if lowest > FLOOR else max(0, lowest - 0.3), 1))
            accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            lines(accuracy, curves, [[run.test for run in each.runs] for _, each in curves])
            accuracy.legend(loc="best", ncols=2 if len(curves) > CROWDED else 1)
            if row == len(rows) - 1:
                loss.set_xlabel("epoch")
                accuracy.set_xlabel("epoch")
        dots(figure.add_subplot(grid[:, 2]), optimizers.values())
        save(figure, out)


def lines(axes: Axes, curves: Curves, values: Sequence[Sequence[Array]]) -> None:
    """A line for each setting, the mean over its seeds, and their range as a band where there is room."""
    for (label, _), seeds, (dashes, colour) in zip(curves, values, cycle(product(("-", "--"), COLOURS)), strict=False):
        epochs = np.arange(1, len(seeds[0]) + 1)
        axes.plot(epochs, np.mean(seeds, axis=0), dashes, color=colour, label=label)
        if len(curves) <= CROWDED:
            axes.fill_between(epochs, np.min(seeds, axis=0), np.max(seeds, axis=0), color=colour, alpha=0.15, lw=0)
    axes.set_xlim(0, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def dots(axes: Axes, optimizers: Iterable[Trained]) -> None:
    """Every optimizer's test accuracy at the end: a dot for the mean, a line for the range over the seeds."""
    ranked = sorted(optimizers, key=lambda each: fmean(each.test))
    for place, each in enumerate(ranked):
        axes.plot((min(each.test), max(each.test)), (place, place), color=COLOURS[4])
        axes.plot(fmean(each.test), place, "o", color=COLOURS[0], markersize=3.5)
        if fmean(each.test) < FLOOR:
            axes.annotate(f"{fmean(each.test):.0%}", (FLOOR, place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(ranked)), [each.setting.name for each in ranked])
    axes.tick_params("y", labelsize=min(8.5, 600 / len(ranked)))
    axes.set(title="Test accuracy at the end", ylim=(-0.7, len(ranked) - 0.3))
    axes.set_xlim(FLOOR, max(max(each.test) for each in ranked) + 0.005)
    axes.set_xlabel("mean and range of the seeds")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", visible=False)
