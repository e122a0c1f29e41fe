"""Pictures over the steps: schedules, RAdam's switch, AdaBound's band, and what one large gradient does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optgen.errors import UsageError
from optgen.plot.canvas import canvas, label_ends, look, save
from optgen.plot.runs import Mover
from optgen.plot.surfaces import Floats

if TYPE_CHECKING:
    from optgen.language.spec import Optimizer

BETAS = (0.9, 0.99, 0.999)
BEFORE = 10_000
"""Gradients of 1 before the large one."""
LARGE = 1e5


def draw_schedules(schedules: Sequence[tuple[str, Any]], steps: int, out: Path) -> None:
    """Draw schedules, which are functions of t = 1, 2, …, over so many steps."""
    t = np.unique(np.linspace(1, steps, min(steps, 20_000)).astype(int))
    with canvas(8, 4.6) as (figure, axes):
        ends = []
        for number, (name, schedule) in enumerate(schedules):
            values = np.array([_at(int(step), name, schedule) for step in t])
            axes.plot(t, values, **look(number))
            ends.append((name, t[-1], values[-1], look(number)["color"]))
        axes.set(xlim=(0, steps), xlabel="step")
        axes.set_ylim(0, None)
        axes.set_title(
            f"{schedules[0][0]} over {steps:,} steps" if len(schedules) == 1 else f"Schedules over {steps:,} steps"
        )
        label_ends(axes, ends)
        save(figure, out)


def _at(step: int, name: str, schedule: Callable[[int], float]) -> float:
    """The value of a schedule at a step."""
    try:
        return schedule(step)
    except (ArithmeticError, TypeError, ValueError) as error:  # TypeError: of complex numbers there is no maximum
        how = "give other hyperparameters with --set, or fewer --steps"
        raise UsageError(f"{name} has no value at step {step} ({type(error).__name__}: {error}): {how}") from None


def values_of(optimizer: Optimizer, local: str, t: Floats, given: Mapping[str, float]) -> Floats:
    """The values of a local at steps: it may depend on nothing but the step and hyperparameters."""
    from sympy import lambdify  # noqa: PLC0415

    from optgen.verify.claims.rule import Rule, T, plain  # noqa: PLC0415

    rule = Rule(optimizer)
    targets = {let.target.name: plain(let.target) for let in optimizer.step}
    value = rule.expanded(targets[local]) if local in targets else None
    hypers = {plain(hyper): given.get(hyper.name, hyper.usual) for hyper in optimizer.hypers}
    if value is None or value.free_symbols - {T} - set(hypers):
        raise UsageError(f"{optimizer.name} has no {local} that follows from the step alone")
    function = lambdify([T, *hypers], value, "numpy")
    with np.errstate(all="ignore"):
        found = function(t.astype(np.float64), *hypers.values())
    return np.broadcast_to(np.asarray(found, np.float64), t.shape)


def draw_rectification(optimizer: Optimizer, out: Path) -> None:
    """Draw the length of RAdam's average and the factor that follows from it, with the step where the rule switches."""
    t = np.unique(np.geomspace(1, 20_000, 900).astype(int))
    with canvas(8, 6, rows=2) as (figure, (upper, lower)):
        switches, lengths = [], []
        for number, beta2 in enumerate(BETAS):
            given, style = {"beta2": beta2}, look(number)
            rho, r = (values_of(optimizer, name, t, given) for name in ("rho", "r"))
            first = int(np.argmax(r > 0))
            switches.append(int(t[first]))
            upper.plot(t, rho, **style)
            lower.plot(t[first:], r[first:], **style)
            lengths.append((f"β₂ = {beta2:g}", t[-1], rho[-1], style["color"]))
            half = int(np.argmax(r >= 1 / 2))
            lower.text(t[half] * 1.1, 0.47, f"β₂ = {beta2:g}", color=style["color"])
        step = min(switches)
        for axes in (upper, lower):
            axes.set_xscale("log")
            axes.axvline(step, color="#333333", lw=1, ls=(0, (3, 2)))
        upper.set(yscale="log", ylabel="length of the average, ρ")
        lower.set(xlim=(1, t[-1]), ylim=(0, 1.05), xlabel="step", ylabel="factor of the rate, r")
        same = len(set(switches)) == 1
        upper.set_title(
            f"{optimizer.title} begins to divide by the second moment at step {step}" if same else optimizer.title
        )
        lower.text(1.1, 0.96, "no second\nmoment yet", va="top", color="#333333", fontsize=9)
        label_ends(upper, lengths)
        save(figure, out)


def draw_bounds(optimizer: Optimizer, out: Path) -> None:
    """Draw the bounds between which AdaBound clips the rate of each element."""
    t = np.unique(np.geomspace(1, 100_000, 900).astype(int))
    low, high = (values_of(optimizer, name, t, {}) for name in ("lower", "upper"))
    final = (low[-1] + high[-1]) / 2
    with canvas(8, 4.8) as (figure, axes):
        axes.fill_between(t, low, high, color="#56B4E9", alpha=0.3, lw=0)
        axes.plot(t, high, **look(1))
        axes.plot(t, low, **look(0))
        axes.set(
            xscale="log", yscale="log", xlim=(1, t[-1]), ylim=(final / 3000, final * 3000), xlabel="step", ylabel="rate"
        )
        axes.set_title(f"{optimizer.title}: rates are free at first and end at one, {final:.2g}")
        axes.text(2, final, "here rates are left alone", va="center", color="#333333")
        label_ends(
            axes,
            [("upper bound", t[-1], high[-1], look(1)["color"]), ("lower bound", t[-1], low[-1], look(0)["color"])],
        )
        save(figure, out)


def movements(who: Mover, after: int) -> Floats:
    """How far a parameter moves at each step from the last gradient of 1 before a large one, in learning rates."""
    theta, one = np.zeros(1), np.ones(1)
    optimizer = who.kind([theta], **who.given)
    rate = optimizer.groups[0]["lr"]
    found = []
    for step in range(BEFORE + after):
        theta[0] = 0  # no movement is too small to be added to nothing
        optimizer.step([one * LARGE if step == BEFORE else one])
        if step >= BEFORE - 1:
            found.append(abs(float(theta[0])) / rate)
    return np.array(found)


def draw_memory(whos: Sequence[Mover], out: Path, after: int = 10_000) -> None:
    """Draw how far rules move after one gradient that is a hundred thousand times as large as all others."""
    with canvas(8, 4.8) as (figure, axes):
        ends, lowest = [], []
        for number, who in enumerate(whos):
            moved = np.maximum(movements(who, after), 1e-12)
            axes.plot(np.arange(len(moved)), moved, **look(number))
            ends.append((who.name, len(moved) - 1, moved[-1], look(number)["color"]))
            lowest.append(1 / moved[2])
        axes.set_xscale("symlog", linthresh=1)
        axes.set(
            yscale="log", xlim=(0, after), xlabel="steps since the large gradient", ylabel="movement, in learning rates"
        )
        axes.set_xticks([0, 1, 10, 100, 1000, 10_000], ["last of 1", "large", "10", "100", "1,000", "10,000"])
        slower = f"{lowest[0]:,.0f} times smaller" if lowest[0] > 1 else "no smaller"
        axes.set_title(f"After one gradient of {LARGE:,.0f} among ones, {whos[0].name}'s steps are {slower}")
        label_ends(axes, ends)
        save(figure, out)
