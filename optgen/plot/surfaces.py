"""Functions of two variables on which a path can be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.errors import UsageError

Floats = NDArray[np.float64]
_TINY = 1e-30


@dataclass(frozen=True)
class Surface:
    """A function with a place to start, a window to look through, and where it is lowest."""

    # What commands and pictures call it
    name: str
    title: str
    value: Callable[[Any, Any], Any]  # the function of x and y, of real or complex arrays
    start: tuple[float, float]  # where paths begin
    window: tuple[float, float, float, float]  # the least and the largest x, then y, that are drawn
    minima: tuple[tuple[float, float], ...]  # where it is lowest
    noise: float = 0.0  # standard deviation of what is added to each part of a gradient

    def gradient(self, points: Floats) -> Floats:
        """The gradient at points, x and y along the last axis: by a step into the complex plane, exact to rounding."""
        x, y = points[..., 0], points[..., 1]
        with np.errstate(all="ignore"):
            parts = self.value(x + _TINY * 1j, y), self.value(x, y + _TINY * 1j)
            return np.stack([np.imag(part) / _TINY for part in parts], axis=-1)


def _beale(x: Any, y: Any) -> Any:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _rosenbrock(x: Any, y: Any) -> Any:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _himmelblau(x: Any, y: Any) -> Any:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _ravine(x: Any, y: Any) -> Any:
    return x**2 / 2 + 50 * y**2


def _bowl(x: Any, y: Any) -> Any:
    return x**2 / 2 + 2 * y**2


_HOLES = ((3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126))
SURFACES = {
    surface.name: surface
    for surface in (
        Surface("beale", "Beale's function", _beale, (1.0, 1.5), (-0.5, 4.0, -1.5, 2.0), ((3.0, 0.5),)),
        Surface("rosenbrock", "Rosenbrock's valley", _rosenbrock, (-1.2, 1.0), (-1.8, 1.6, -0.7, 1.9), ((1.0, 1.0),)),
        Surface("himmelblau", "Himmelblau's function", _himmelblau, (-0.5, -0.8), (-5.0, 5.0, -5.0, 5.0), _HOLES),
        Surface(
            "ravine", "A ravine, 100 times steeper across", _ravine, (-4.0, 0.45), (-4.6, 1.2, -0.75, 0.75), ((0, 0),)
        ),
        Surface("noisy", "A quadratic with noise", _bowl, (-4.0, 2.0), (-4.6, 1.6, -1.6, 2.6), ((0, 0),), noise=2.0),
    )
}


def surface_named(name: str) -> Surface:
    """The surface of a name, if there is one."""
    if name not in SURFACES:
        raise UsageError(f"there is no surface '{name}': choose one of {', '.join(SURFACES)}")
    return SURFACES[name]
