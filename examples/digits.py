"""Handwritten digits, learned twice: with the generated Adam, and with a rule that this file makes up and compiles.

The network and the 1,797 digits, which come with scikit-learn, are in mlp.py.

    python examples/digits.py --epochs 60 --seed 0 --out digits.png
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from mlp import BATCH, Data, Params, accuracy, batches, initial, load, loss_and_gradients
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sympy import sign, sqrt

import optgen
from optgen import Let, Optimizer, g, state, t, theta
from optgen.generated.cpu.adam import Adam
from optgen.hypers import beta1, beta2, eps, lr, weight_decay
from optgen.plot.style import COLOURS, STYLE
from optgen.runtime import FusedOptimizer

# A rule of our own. In its first steps Adam's average of squared gradients is hardly an average: of all the weights in
# it, gradients hold only the share `known`. SignStart trusts the average that far and no further, and goes the rest of
# the way by the sign of the momentum. So it starts as sign descent with momentum and turns into AdamW as t grows.
m, v = state("m v")
known = 1 - beta2**t
adaptive = m.next / (1 - beta1**t) / (sqrt(v.next / known) + eps)
equations = (
    Let(m.next, beta1 * m + (1 - beta1) * g),
    Let(v.next, beta2 * v + (1 - beta2) * g**2),
    Let(theta.next, (1 - lr * weight_decay) * theta - lr * (known * adaptive + (1 - known) * sign(m.next))),
)
sign_start = Optimizer("sign_start", title="SignStart", step=equations)

PEAK_LR = {"Adam": 2e-3, "SignStart": 1e-3}
"""Learning rates at the start. By the sign alone every weight moves by all of it, which is farther than Adam goes."""


@dataclass(frozen=True)
class Epoch:
    """How far training has come: mean loss over the epoch's batches, and accuracy on the test images after it."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Run:
    """One training from start to end."""

    name: str
    epochs: tuple[Epoch, ...]
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of the test images that are recognized at the end."""
        return self.epochs[-1].accuracy


def train(
    optimizer: FusedOptimizer, params: Params, data: Data, epochs: int, rng: np.random.Generator
) -> Iterator[Epoch]:
    """Train `params` in place, the learning rate falling to 0 as a cosine does; tell after every epoch how it went."""
    count = len(data.train_y)
    peak, steps = optimizer.hypers["lr"], epochs * math.ceil(count / BATCH)
    for _ in range(epochs):
        losses = []
        for batch in batches(count, rng):
            loss, gradients = loss_and_gradients(params, data.train_x[batch], data.train_y[batch])
            optimizer.step(gradients, lr=peak * (1 + math.cos(math.pi * optimizer.t / steps)) / 2)
            losses.append(loss)
        yield Epoch(float(np.mean(losses)), accuracy(params, data.test_x, data.test_y))


def run(kind: type[FusedOptimizer], data: Data, epochs: int, seed: int, progress: Progress) -> Run:
    """Train from a seed, with a live bar on a terminal and a line now and then elsewhere."""
    rng = np.random.default_rng(seed)
    params = initial(rng)
    optimizer = kind(params, lr=PEAK_LR[kind.__name__])
    done: list[Epoch] = []
    bar = progress.add_task(kind.__name__, total=epochs, status="")
    start = perf_counter()
    for epoch in train(optimizer, params, data, epochs, rng):
        done.append(epoch)
        status = f"loss {epoch.loss:.4f}   test accuracy {epoch.accuracy:.2%}"
        progress.update(bar, advance=1, status=status)
        if progress.disable and (len(done) % 10 == 0 or len(done) == epochs):
            print(f"{kind.__name__:<10} epoch {len(done):>3}/{epochs}   {status}", flush=True)
    return Run(kind.__name__, tuple(done), perf_counter() - start)


def summary(runs: Sequence[Run]) -> Table:
    """The end of every run as a table."""
    table = Table("optimizer", title="Handwritten digits")
    for heading in ("training loss", "test accuracy", "seconds"):
        table.add_column(heading, justify="right")
    for each in runs:
        table.add_row(each.name, f"{each.epochs[-1].loss:.4f}", f"{each.accuracy:.2%}", f"{each.seconds:.1f}")
    return table


def draw(runs: Sequence[Run], out: Path) -> None:
    """Draw training loss and test accuracy by epoch, a curve a run."""
    with mpl.rc_context({**STYLE, "lines.marker": ".", "lines.markersize": 4.5}):
        figure = Figure(figsize=(10, 4.2), dpi=160, layout="constrained")
        left, right = figure.subplots(1, 2)
        for each, colour in zip(runs, COLOURS, strict=False):
            numbers = range(1, len(each.epochs) + 1)
            left.plot(numbers, [epoch.loss for epoch in each.epochs], color=colour, label=each.name)
            label = f"{each.name}: {each.accuracy:.1%} at the end"
            right.plot(numbers, [epoch.accuracy for epoch in each.epochs], color=colour, label=label)
        left.set(title="Training loss", ylabel="cross-entropy, mean of the epoch", yscale="log")
        left.yaxis.set_major_formatter("{x:g}")
        lowest = min(each.accuracy for each in runs)
        right.set(title="Test accuracy", ylabel="digits recognized", ylim=(min(0.9, lowest - 0.1), 1))
        right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        for axes, corner in ((left, "upper right"), (right, "lower right")):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
            axes.set_xlim(0, len(runs[0].epochs) + 0.5)
            axes.legend(loc=corner)
        figure.savefig(out)


def main(arguments: Sequence[str] | None = None) -> Mapping[str, float]:
    """Train with both optimizers, print a table and draw a picture.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process unless given.

    Returns
    -------
    mapping of str to float
        Test accuracy by the name of the optimizer.
    """
    parser = argparse.ArgumentParser(description="Learn handwritten digits with two generated optimizers.")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training images (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and the batches (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("digits.png"), help="the picture (default: digits.png)")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error("--epochs: expected at least 1")

    console = Console()
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    )
    data = load()
    kinds = (Adam, optgen.compile(sign_start).SignStart)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        runs = [run(kind, data, options.epochs, options.seed, progress) for kind in kinds]
    console.print(summary(runs))
    draw(runs, options.out)
    console.print(f"Curves: {options.out}", highlight=False)
    return {each.name: each.accuracy for each in runs}


if __name__ == "__main__":
    main()
