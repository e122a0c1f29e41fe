"""``optgen plot``: pictures of what rules do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optgen.catalog import Choice
from optgen.cli.screen import console, one_named
from optgen.errors import UsageError
from optgen.plot import curves, maps
from optgen.plot.canvas import require_format, require_matplotlib
from optgen.plot.runs import Mover, contender, final_losses, path
from optgen.plot.surfaces import surface_named
from optgen.runtime.core.program import Hyper

CELLS = 28
"""Values of each hyperparameter in a heat map."""


def paths(names: Sequence[str], surface: str, steps: int, given: Sequence[str], out: Path) -> None:
    """Draw where optimizers go."""
    _ready(out, ".gif")
    place, settings = surface_named(surface), _settings(given)
    if len(names) > maps.MOST:
        raise UsageError(f"{len(names)} paths cannot be told apart in one picture: name at most {maps.MOST}")
    whos = [_contender(name, settings) for name in names]
    maps.draw_paths([path(who, place, steps) for who in whos], place, out)
    _wrote(out)


def heat(name: str, axes: tuple[str, str], run: tuple[str, int], given: Sequence[str], out: Path) -> None:
    """Draw where an optimizer ends on a surface after so many steps, over two hyperparameters."""
    _ready(out)
    surface, steps = run
    place, who = surface_named(surface), _contender(name, _settings(given))
    for axis in axes:
        if axis not in who.program.hypers:
            known = ", ".join(who.program.hypers)
            raise UsageError(f"{name} has no hyperparameter '{axis}': choose two of {known}")
    if axes[0] == axes[1]:
        raise UsageError(f"both axes are {axes[0]}: give --x and --y two hyperparameters")
    columns, rows = ((axis, _values(who, axis)) for axis in axes)
    losses = final_losses(who, place, (columns, rows), steps)
    maps.draw_heat(losses, (columns, rows), (who.name, place, steps), out)
    _wrote(out)


def schedules(names: Sequence[str], steps: int, given: Sequence[str], out: Path) -> None:
    """Draw schedules."""
    _ready(out)
    settings = {"steps": float(steps), **_settings(given)}
    curves.draw_schedules([(name, _schedule(name, settings)) for name in names], steps, out)
    _wrote(out)


def rectification(name: str, out: Path) -> None:
    """Draw when a kind of RAdam begins to divide."""
    _ready(out)
    curves.draw_rectification(_optimizer(name), out)
    _wrote(out)


def bounds(name: str, out: Path) -> None:
    """Draw between which bounds a kind of AdaBound clips."""
    _ready(out)
    curves.draw_bounds(_optimizer(name), out)
    _wrote(out)


def memory(names: Sequence[str], given: Sequence[str], out: Path) -> None:
    """Draw how long optimizers remember one large gradient."""
    _ready(out)
    whos = [_contender(name, {"beta1": 0.0, **_settings(given)}) for name in names]
    without = [who.name for who in whos if "lr" not in who.program.hypers]
    if without:
        raise UsageError(f"{without[0]} has no learning rate to measure movements in: leave it out")
    curves.draw_memory(whos, out)
    _wrote(out)


def _ready(out: Path, *others: str) -> None:
    require_format(out, others)
    require_matplotlib()


def _wrote(out: Path) -> None:
    console.print(f"[green]wrote[/] {out}", soft_wrap=True)


def _settings(given: Sequence[str]) -> dict[str, float]:
    """Hyperparameters as they are given: ``lr=0.1``."""
    found = {}
    for item in given:
        name, sign, value = item.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            sign = ""
        if not sign:
            raise UsageError(f"--set {item}: write a hyperparameter and a number, as in --set beta1=0.95")
    return found


def _chosen(name: str, kind: str) -> Choice:
    choice = one_named(name)
    if choice[1].kind != kind:
        raise UsageError(f"{choice[1].name} is no {kind}: `optgen list` says which are")
    return choice


def _contender(name: str, settings: dict[str, float]) -> Mover:
    who = contender(_chosen(name, "optimizer"), settings)
    _require_held(who.name, who.program.hypers, who.given)
    return who


def _require_held(rule: str, hypers: Mapping[str, Hyper], given: Mapping[str, float]) -> None:
    """Refuse hyperparameters that are outside their domains."""
    for name, value in given.items():
        if not hypers[name].domain.holds(value):
            raise UsageError(f"{name} = {value:g} of {rule}: expected a number in {hypers[name].domain}")


def _optimizer(name: str) -> Any:
    source, declared = _chosen(name, "optimizer")
    return source.rule(declared.name)


def _schedule(name: str, settings: dict[str, float]) -> Any:
    """A schedule as a function of the step."""
    from optgen.build import source as written
    from optgen.files import module_of

    source, declared = _chosen(name, "schedule")
    rule = source.rule(declared.name)
    kind = getattr(module_of(rule.name, written(source.file, rule, "cpu")), rule.title)
    own = {hyper.name: settings[hyper.name] for hyper in rule.hypers if hyper.name in settings}
    _require_held(rule.name, kind.hypers, own)
    return kind(**own)


def _values(who: Mover, name: str) -> Any:
    """The values of a hyperparameter that are looked at: rates by powers of ten, decays by how far they are from 1."""
    hyper = who.program.hypers[name]
    usual = float(hyper.default)
    if hyper.domain.low == 0 and hyper.domain.high == 1:
        return 1 - np.geomspace(1, 1e-3, CELLS)
    if name == "lr":
        return np.geomspace(1e-4, 3, CELLS)
    if hyper.domain.low == 0 and not hyper.domain.integer:
        return np.geomspace(max(usual, 1e-12) / 1e3, max(usual, 1e-12) * 1e3, CELLS)
    raise UsageError(f"{name} is no rate and no decay, so there is no telling over which values to draw it")
