"""What a generated module says about itself: the data that the rest of the runtime works from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.runtime.domain import Domain

Array = NDArray[Any]
"""A float32 or float64 array, C-contiguous."""
Params = Sequence[Array] | Mapping[str, Array]
"""The parameters of a model, or their gradients: a list, a tuple or a dict of arrays."""


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter of a generated module.

    Parameters
    ----------
    default : float
        What it is unless given.
    domain : Domain
        What it may be.
    """

    default: float
    domain: Domain


@dataclass(frozen=True)
class Program:
    """A generated module as the runtime sees it.

    Parameters
    ----------
    name : str
        Name of the optimizer.
    hypers : mapping of str to Hyper
        In the order in which `scalars` takes them.
    states : tuple of str
        In the order of their columns, after theta and g.
    initial : callable
        From the hyperparameters to what each state holds before the first step.
    scalars : callable
        From t and the hyperparameters, float64 all, to the scalars that the sweeps take.
    sweep, sweep_serial : callable
        The kernels: ``sweep(rows, tasks, scalars)`` on all threads, ``sweep_serial(rows, scalars)`` on the calling one.
    """

    name: str
    hypers: Mapping[str, Hyper]
    states: tuple[str, ...]
    initial: Callable[..., tuple[float, ...]]
    scalars: Callable[..., tuple[float, ...]]
    sweep: Callable[[Array, Array, Array], None]
    sweep_serial: Callable[[Array, Array], None]

    def checked(self, given: Mapping[str, Any]) -> dict[str, float]:
        """Hyperparameters as floats, each inside its domain.

        Raises
        ------
        TypeError
            If a name is not a hyperparameter of this optimizer, or a value is no real number.
        ValueError
            If a value is NaN or outside its domain.
        """
        return {name: self._checked(name, value) for name, value in given.items()}

    def _checked(self, name: str, value: Any) -> float:
        if name not in self.hypers:
            known = ", ".join(self.hypers)
            raise TypeError(f"{self.name} has no hyperparameter {name!r}; it has {known}")
        domain = self.hypers[name].domain
        number = as_float(name, value)
        if math.isnan(number) or not domain.holds(number):
            raise ValueError(f"{name} = {number:g} is outside its domain: expected a number in {domain}")
        return number


def as_float(name: str, value: Any) -> float:
    """A Python or NumPy number, or a 0-d array of one, as a float.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected a real number, got {type(value).__name__} ({value!r})")
    return float(value)


def as_step_count(value: Any) -> int:
    """The number of a step as an int.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is less than 1.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"t: expected an integer, 1 at the first step, got {type(value).__name__} ({value!r})")
    if value < 1:
        raise ValueError(f"t = {value}: expected at least 1, the number of the first step")
    return int(value)
