"""Where optimizers go on a surface, as SVG: the surface is one file, and each path a small one that lies on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from website.interpreted import interpreted

from optgen.catalog import Choice
from optgen.folders import installed_generated
from optgen.plot.canvas import canvas, save
from optgen.plot.maps import ground
from optgen.plot.runs import RATES, Mover, path
from optgen.plot.surfaces import surface_named

SURFACE = surface_named("rosenbrock")
STEPS = 200
TRIED = RATES[::3]
WIDTH = 340
"""Of the picture, in units that CSS scales."""
_LEFT, _RIGHT, _LOW, _HIGH = SURFACE.window
_SCALE = WIDTH / (_RIGHT - _LEFT)
HEIGHT = round((_HIGH - _LOW) * _SCALE)


@dataclass(frozen=True)
class Drawn:
    """The path of an optimizer.

    Parameters
    ----------
    svg : str
        The picture; empty where there is none.
    said : str
        What stands below it, or why there is none.
    """

    svg: str
    said: str


def drawn(choice: Choice) -> Drawn:
    """The path of an optimizer, taken by its module in float64; in plain Python, for compiling takes longer."""
    _, declared = choice
    text = (installed_generated() / "cpu" / f"{declared.name}.py").read_text(encoding="utf-8")
    names = interpreted(text)
    who = Mover(declared.name, names[declared.title], names["PROGRAM"], {})
    with np.errstate(all="ignore"):
        gone = path(who, SURFACE, STEPS, rates=TRIED)
    if not np.isfinite(gone.points).all():
        return Drawn("", f"No picture: on {SURFACE.title} it leaves for where there are no numbers.")
    at = "" if gone.lr is None else f" with a learning rate of {gone.lr:.2g}, the best of {len(TRIED)}"
    said = f"{STEPS} steps on {SURFACE.title}{at}: from {SURFACE.value(*SURFACE.start):.3g} to {gone.loss:.2g}."
    return Drawn(_svg(gone.points), said)


def _svg(points: np.ndarray) -> str:
    near = np.clip(points, (2 * _LEFT - _RIGHT, 2 * _LOW - _HIGH), (2 * _RIGHT - _LEFT, 2 * _HIGH - _LOW))
    places = (near - (_LEFT, _HIGH)) * (_SCALE, -_SCALE)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<polyline points="{line}" fill="none" stroke="#d55e00" stroke-width="2" stroke-linejoin="round"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#d55e00"/></svg>\n'
    )


def surface_svg() -> bytes:
    """The surface, with where paths start and where it is lowest."""
    with TemporaryDirectory() as folder, canvas(WIDTH / 72, HEIGHT / 72) as (figure, axes):
        figure.set_layout_engine("none")
        axes.set_position((0, 0, 1, 1))
        ground(axes, SURFACE)
        axes.set_axis_off()
        save(figure, Path(folder) / "surface.svg")
        return (Path(folder) / "surface.svg").read_bytes()
