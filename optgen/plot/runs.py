"""What compiled rules do on a surface: paths, and many runs at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from optgen.plot.surfaces import Floats, Surface

if TYPE_CHECKING:
    from optgen.catalog import Choice

RATES = np.geomspace(1e-4, 3, 46)
"""The learning rates that are tried where none is given: ten for a power of ten."""


@dataclass(frozen=True)
class Mover:
    """A rule that takes part."""

    name: str  # what it is called
    kind: Any  # the optimizer, from a generated module for CPUs
    program: Any  # what the module says of itself
    given: Mapping[str, float]  # hyperparameters that are not at their defaults


@dataclass(frozen=True)
class Path:
    """Where a rule went."""

    name: str  # which rule
    # (steps + 1, 2): the parameters at the start and after each step; NaN once they are no numbers
    points: Floats
    lr: float | None  # at which learning rate; None where it has none
    loss: float  # the value where it ended: infinite where that is no number


def contender(choice: Choice, given: Mapping[str, float]) -> Mover:
    """A rule of the catalogue, compiled; hyperparameters that it does not have are left out."""
    from optgen.folders import installed_specs  # noqa: PLC0415

    source, declared = choice
    if source.path.resolve().parent == installed_specs().resolve():
        module = import_module(f"optgen.generated.cpu.{declared.name}")
    else:
        from optgen.build import compile as compiled  # noqa: PLC0415 - takes SymPy

        module = compiled(source.rule(declared.name))  # type: ignore[arg-type]
    own = {name: value for name, value in given.items() if name in module.PROGRAM.hypers}
    return Mover(declared.name, getattr(module, declared.title), module.PROGRAM, own)


def path(who: Mover, surface: Surface, steps: int, rates: Floats = RATES) -> Path:
    """Where a rule goes, at the learning rate that is given or else at the one of `rates` that is lowest on average.

    The noise of the gradients is the same for all rules.
    """
    if "lr" in who.given or "lr" not in who.program.hypers:
        return _path(who, surface, walked(who, surface, [who.given], steps), who.given.get("lr"))
    tried = walked(who, surface, [{**who.given, "lr": rate} for rate in rates.tolist()], steps)
    best = int(np.argmin(_quality(surface, tried)))
    return _path(who, surface, tried[:, best : best + 1], float(rates[best]))


def walked(who: Mover, surface: Surface, settings: Sequence[Mapping[str, float]], steps: int) -> Floats:
    """The points of a run for each setting: of shape (steps + 1, settings, 2), in float64.

    All are groups of one optimizer, so that a step of all is one launch; but where a rule makes something of the whole
    model, each has an optimizer of its own.
    """
    thetas = [np.array(surface.start, np.float64) for _ in settings]
    groups = [{"params": [theta], **setting} for theta, setting in zip(thetas, settings, strict=True)]
    shared = not _is_of_model(who.program)
    if shared:
        optimizers = [who.kind(groups)]
    else:
        optimizers = [who.kind([theta], **setting) for theta, setting in zip(thetas, settings, strict=True)]
    noise = np.random.default_rng(0).normal(0, 1, (steps, 2)) * surface.noise
    points = np.empty((steps + 1, len(settings), 2))
    points[0] = thetas
    for step in range(steps):
        grads = surface.gradient(points[step]) + noise[step]
        if shared:
            optimizers[0].step(list(grads))
        else:
            for optimizer, grad in zip(optimizers, grads, strict=True):
                optimizer.step([grad])
        points[step + 1] = thetas
    return points


def _is_of_model(program: Any) -> bool:
    """Whether a step makes something of all tensors."""
    spaces = set(program.kinds.values())
    return bool(program.shared or program.numbers or "model" in spaces)


def _quality(surface: Surface, points: Floats) -> Floats:
    """How high runs were on average, in powers of ten and from a thousandth of the start on: low for fast and steady.

    One that leaves the window is worse than any that does not.
    """
    left, right, low, high = surface.window
    x, y = points[..., 0], points[..., 1]
    stays = ((left <= x) & (x <= right) & (low <= y) & (y <= high)).all(axis=0)
    with np.errstate(all="ignore"):
        values = np.asarray(surface.value(x, y), np.float64)
    floor = 1e-3 * surface.value(*surface.start)
    height = np.log10(np.where(np.isfinite(values), np.maximum(values, floor), np.inf)).mean(axis=0)
    return np.asarray(np.where(stays, height, height + 100), np.float64)


def _losses(surface: Surface, points: Floats) -> Floats:
    """Values at the end; infinite where a run has left for where there are no numbers."""
    with np.errstate(all="ignore"):
        found = np.asarray(surface.value(points[-1, :, 0], points[-1, :, 1]), np.float64)
    return np.where(np.isfinite(found), found, np.inf)


def _path(who: Mover, surface: Surface, points: Floats, lr: float | None) -> Path:
    return Path(who.name, points[:, 0], lr, float(_losses(surface, points)[0]))


def final_losses(
    who: Mover, surface: Surface, axes: tuple[tuple[str, Floats], tuple[str, Floats]], steps: int
) -> Floats:
    """The value at the end for each pair of two hyperparameters: shape (second, first), infinite if it diverged."""
    (first, columns), (second, rows) = axes
    settings = [{**who.given, first: x, second: y} for y in rows.tolist() for x in columns.tolist()]
    return _losses(surface, walked(who, surface, settings, steps)).reshape(len(rows), len(columns))
