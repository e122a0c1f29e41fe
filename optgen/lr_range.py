"""The learning-rate range test (Smith 2017, arXiv:1506.01186, section 3.3).

A model is trained for a short while at rates that grow from far too small to too large. Where the loss falls fastest is
a good rate to train with; where it is lowest is about the largest that is stable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.runtime.core.program import as_float, as_step_count

_SPACINGS: dict[str, Callable[..., NDArray[np.float64]]] = {"exponential": np.geomspace, "linear": np.linspace}


@dataclass(frozen=True, eq=False)
class LrRange:
    """What a range test has found.

    Attributes
    ----------
    steepest : float or None
        The rate at which the smoothed loss fell fastest, a suggestion for training; None if it never fell.
    largest_stable : float or None
        The last rate before the smoothed loss was lowest; None if it never fell.
    stopped : str
        Why the test ended before its last step; empty if it did not.
    lr, loss : array of float64, of shape (n,)
        The rate and the loss of each step that was taken.
    smoothed : array of float64, of shape (n,)
        The loss averaged over neighbouring steps; NaN at a step that ended the test.
    spacing : str
        How the rates grew.
    """

    steepest: float | None
    largest_stable: float | None
    stopped: str
    lr: NDArray[np.float64]
    loss: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    spacing: str

    def __repr__(self) -> str:
        found = f"steepest={self.steepest}, largest_stable={self.largest_stable}, stopped={self.stopped!r}"
        return f"LrRange({found}, {len(self.lr)} steps)"

    def plot(self, path: str | Path) -> None:
        """Draw the losses over the rates into a file, in the format of its ending.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ImportError("a plot needs matplotlib: pip install 'optgen[plot]'") from error
        axes = Figure(figsize=(7, 4.5), layout="constrained").subplots()
        shown = np.isfinite(self.smoothed)
        axes.plot(self.lr[shown], self.loss[shown], ".", color="0.7", label="loss")
        axes.plot(self.lr[shown], self.smoothed[shown], color="C0", label="smoothed")
        for rate, name, style in ((self.steepest, "steepest", "--"), (self.largest_stable, "largest stable", ":")):
            if rate is not None:
                axes.axvline(rate, color="C3", linestyle=style, label=f"{name}: {rate:.2g}")
        axes.set(xlabel="learning rate", ylabel="loss", title=self.stopped)
        axes.set_xscale("log" if self.spacing == "exponential" else "linear")
        axes.legend(framealpha=1)
        axes.figure.savefig(path, dpi=150)  # type: ignore[union-attr]  # a figure of its own, not a part of one


def lr_range_test(
    step: Callable[[float], Any],
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    spacing: str = "exponential",
    blow_up: float = 4.0,
    smoothing: int = 5,
) -> LrRange:
    """Train at rates that grow from step to step, and see what becomes of the loss.

    It ends early at a loss that is not finite, or has risen too far. The model is not put back: test a copy, or
    initialize it anew.

    Parameters
    ----------
    step : callable
        Takes one step of training at a learning rate, on a batch of its own, and returns the loss of that batch
        before the step.
    low, high : float
        The first rate and the last.
    steps : int
        How many to take.
    spacing : str
        ``"exponential"``: each rate is the one before times a constant. ``"linear"``: plus a constant.
    blow_up : float
        The test ends when the loss is above the lowest so far by more than `blow_up` times the size of the first that
        is not 0.
    smoothing : int
        Over how many neighbouring steps the losses are averaged.

    Returns
    -------
    LrRange
        The losses, and the rates that they suggest.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense, before `step` is called; or if `step` returns no number.

    Examples
    --------
    >>> found = lr_range_test(lambda lr: train_one_batch(lr), high=10.0)
    >>> found.plot("range.png")
    """
    if not callable(step):
        raise TypeError(f"step: expected a function of the learning rate, got {type(step).__name__}")
    if spacing not in _SPACINGS:
        raise ValueError(f"spacing = {spacing!r}: expected one of {', '.join(map(repr, _SPACINGS))}")
    low, high, blow_up = as_float("low", low), as_float("high", high), as_float("blow_up", blow_up)
    if not 0 < low < high or not isfinite(high):
        raise ValueError(f"low = {low!r}, high = {high!r}: expected 0 < low < high, both finite")
    if not blow_up > 0:
        raise ValueError(f"blow_up = {blow_up!r}: expected a number above 0")
    count, window = as_step_count("steps", steps, least=2), as_step_count("smoothing", smoothing, least=1)

    rates = _SPACINGS[spacing](low, high, count)
    losses: list[float] = []
    stopped = ""
    for rate in rates.tolist():
        losses.append(_number(step(rate)))
        stopped = _ended(losses, blow_up, rate)
        if stopped:
            break
    lr, loss = rates[: len(losses)], np.array(losses)
    smoothed = _smoothed(loss[: len(losses) - bool(stopped)], window)
    steepest, largest_stable = _suggested(lr, smoothed)
    smoothed = np.append(smoothed, [np.nan] * bool(stopped))
    return LrRange(steepest, largest_stable, stopped, lr, loss, smoothed, spacing)


def _number(loss: Any) -> float:
    """A loss as a float: a number, or an array or tensor of one."""
    try:
        if not isinstance(loss, str | bytes):
            return float(loss)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"step: expected it to return the loss, a number, got {type(loss).__name__} ({loss!r})")


def _ended(losses: list[float], blow_up: float, rate: float) -> str:
    """Why a test ends after these losses; empty if it goes on."""
    loss, lowest = losses[-1], min(losses)
    if not isfinite(loss):
        return f"the loss was {'NaN' if isnan(loss) else 'infinite'} at lr = {rate:.3g}"
    if loss > lowest + blow_up * next((abs(first) for first in losses if first), 0.0):
        return f"the loss had risen from {lowest:.3g} to {loss:.3g} at lr = {rate:.3g}"
    return ""


def _smoothed(loss: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Means over a window around each step, which does not shift a minimum as a running average would."""
    before, after = (window - 1) // 2, window // 2
    return np.array([loss[max(k - before, 0) : k + after + 1].mean() for k in range(len(loss))])


def _suggested(lr: NDArray[np.float64], smoothed: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Where the loss fell fastest, a step being a step of the spacing, and the last rate before it was lowest."""
    lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
    if lowest == 0:
        return None, None
    return float(lr[np.argmin(np.diff(smoothed[: lowest + 1]))]), float(lr[lowest - 1])
