"""What a generated module says about itself: the data that the rest of the runtime works from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from math import isfinite, nan
from numbers import Real
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.runtime.core.domain import Domain

Array = NDArray[Any]
"""A float32 or float64 array, C-contiguous."""
Arrays = Sequence[Array] | Mapping[str, Array]
"""An array for each parameter of a model, a gradient say: a list, a tuple or a dict."""
Params = Arrays | Sequence[Mapping[str, Any]]
"""The parameters of a model, or a list of groups of them: ``[{"params": arrays, "lr": 0.1}, {"params": others}]``."""
Value = float | Callable[[int], float]
"""A hyperparameter: a number, or a schedule, called with the number of each step (1, 2, …) for the number to use."""
Call = partial[Any]
"""A call that is still to be made: a kernel with its arguments, say."""
OPTIONS = ("store", "rounding", "rounding_seed", "master", "kahan", "as_matrices")
"""The arguments of optimizers that say how slots are stored and tensors seen: see `optgen.runtime.core.storage`."""
_EXACT = 2**53
"""Up to here every integer is a float64."""


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter of a generated module.

    Parameters
    ----------
    default : float, optional
        What it is unless given; None if that follows from others: `Program.derived`.
    domain : Domain
        What it may be.
    """

    default: float | None
    domain: Domain


@dataclass(frozen=True)
class Phase:
    """What one launch does, in a module of several sweeps.

    Parameters
    ----------
    takes : tuple of str
        The arrays of reduced states and of `Program.values` that it is given, after the scalars.
    sweep : callable, optional
        A sweep over elements: ``sweep(rows, tasks, places, storage, scalars, …)``. If there are seeds, `keys` come
        after the scalars.
    between : callable, optional
        What is done between two sweeps, in float64: ``between(at, scalars, …)``.
    totals : mapping of str to (str, str)
        The totals that are whole after it, each with how it is made, a ``"sum"`` or a ``"max"``, and of what: the
        ``"element"`` say. What is made of them is made by later phases.
    """

    takes: tuple[str, ...]
    sweep: Callable[..., None] | None = None
    between: Callable[..., None] | None = None
    totals: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Launch:
    """A sweep of a module for GPUs.

    Parameters
    ----------
    over : str
        What it visits: every ``"element"``, ``"row"``, ``"column"`` or ``"tensor"``, or the ``"model"``.
    kernel : callable
        ``kernel(chunks, addresses, storage, scalars)`` over elements, in a program of several sweeps ``kernel(chunks,
        addresses, storage, scalars, at, reduced)``, with `keys` after the scalars if there are seeds;
        ``kernel(at, scalars, reduced)`` over less.
    totals : mapping of str to (str, str)
        As of a `Phase`.
    """

    over: str
    kernel: Callable[..., None]
    totals: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Program:
    """A generated module as the runtime sees it.

    Parameters
    ----------
    name : str
        Name of the optimizer.
    hypers : mapping of str to Hyper
        In the order in which `scalars` takes them.
    states : tuple of str
        Those of one value an element, in the order of their columns, after theta and g.
    initial : callable
        From the hyperparameters to what each state holds before the first step, then each reduced state, each number.
    scalars : callable
        From t, the hyperparameters and the numbers, float64 all, to the scalars that the sweeps take and, after them,
        the new numbers.
    sweep : callable, optional
        The kernel: ``sweep(rows, tasks, storage, scalars)``.
    numbers : tuple of str
        States that are one number for the whole model, known on the host.
    shared : tuple of str
        Hyperparameters, numbers and ``"t"``, where values of the whole model are made of them: they are the same for
        all parameters then.
    seeds : tuple of str
        The hyperparameters that key what is drawn. If there are any, the kernels take `keys` after the scalars.
    reduced_states : mapping of str to str
        States of one value a ``"row"``, ``"column"``, ``"tensor"`` or ``"model"``.
    scratch : tuple of str
        Values of elements that one sweep leaves for another; their columns come after those of the states.
    values : mapping of str to str
        What else phases leave for each other, and what there is one value for: also a ``"chunk"``, and a ``"part"``, a
        column of a chunk.
    phases : tuple of Phase
        In place of `sweep`: what a step launches, in order.
    launches : tuple of Launch
        What a step launches on a GPU, in order.
    derived : callable, optional
        From the hyperparameters that have defaults to what those without are unless given.
    copies : tuple of str
        States that start as copies of theta.
    begun : tuple of str
        States that start from something else that is made of theta.
    started : callable, optional
        From the parameters, in float64, and the hyperparameters to what those hold at first, a tuple a tensor.
    evaluated : tuple of str
        What the parameters to evaluate are made of: theta and states.
    evaluation : callable, optional
        From these to the parameters to evaluate, for one tensor; a copy of the only one if there is none.
    """

    name: str
    hypers: Mapping[str, Hyper]
    states: tuple[str, ...]
    initial: Callable[..., tuple[float, ...]]
    scalars: Callable[..., tuple[float, ...]]
    sweep: Callable[..., None] | None = None
    numbers: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    reduced_states: Mapping[str, str] = field(default_factory=dict)
    scratch: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    launches: tuple[Launch, ...] = ()
    derived: Callable[..., tuple[float, ...]] | None = None
    copies: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()
    started: Callable[..., list[tuple[Any, ...]]] | None = None
    evaluated: tuple[str, ...] = ("theta",)
    evaluation: Callable[..., Any] | None = None

    @property
    def slots(self) -> tuple[str, ...]:
        """What has a value for each element, in the order of the columns."""
        return ("theta", "g", *self.states, *self.scratch)

    @property
    def has_reduced(self) -> bool:
        """Whether its sweeps have values that vary over less than elements."""
        return bool(self.phases or self.reduced_states or self.values or len(self.launches) > 1)

    @property
    def kinds(self) -> dict[str, str]:
        """What there is a value for of each of its values and reduced states."""
        return {**self.values, **self.reduced_states}

    def starting(self, hypers: Mapping[str, float]) -> tuple[float, ...]:
        """What the states hold before the first step.

        Raises
        ------
        ValueError
            If that is no finite number.
        """
        try:
            values = self.initial(*hypers.values())
        except (ArithmeticError, ValueError):  # of functions of Python, which NumPy's would answer with NaN or infinity
            values = (nan,)
        if any(isinstance(value, complex) or not isfinite(value) for value in values):
            given = ", ".join(f"{name} = {value:g}" for name, value in hypers.items())
            raise ValueError(f"{self.name}: a state would start from no finite number, with {given}")
        return values

    def computed(self, t: int, hypers: Iterable[float], numbers: Iterable[float]) -> tuple[tuple[float, ...], ...]:
        """What is computed on the host once a step: the scalars that the sweeps take, and the new numbers."""
        values = self.scalars(float(t), *hypers, *numbers)
        if not self.numbers:
            return values, ()
        scalars = len(values) - len(self.numbers)
        return values[:scalars], values[scalars:]

    def keys(self, t: int, hypers: Mapping[str, float]) -> tuple[Array, ...]:
        """What draws are made from, t and the seeds, in an array that holds them exactly; nothing if there are none."""
        seeds = [int(hypers[name]) % 2**64 for name in self.seeds]
        return (np.array([[t, *seeds]], np.uint64),) if seeds else ()

    def checked(self, given: Mapping[str, Any]) -> dict[str, float]:
        """Hyperparameters as floats, each inside its domain.

        Raises
        ------
        TypeError
            If a name is not a hyperparameter of this optimizer, or a value is no real number.
        ValueError
            If a value is NaN, infinite or outside its domain.
        """
        return {name: self._checked(name, value) for name, value in given.items()} if given else {}

    def kept(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Hyperparameters as an optimizer keeps them: floats, each inside its domain, and schedules as they are.

        Raises
        ------
        TypeError, ValueError
            As by `checked`.
        """
        return {
            name: _as_schedule(name, value) if self._is_schedule(name, value) else self._checked(name, value)
            for name, value in given.items()
        }

    def completed(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Every hyperparameter as `kept` has it: as given, else its default.

        One whose default follows from others, and that is left out or None, is what they make of it at the first step.

        Raises
        ------
        TypeError, ValueError
            As by `checked`; also if what follows is outside its domain.
        """
        follow = {name for name, hyper in self.hypers.items() if hyper.default is None}
        defaults = {name: hyper.default for name, hyper in self.hypers.items() if hyper.default is not None}
        known = defaults | self.kept({k: v for k, v in given.items() if v is not None or k not in follow})
        missing = follow - known.keys()
        if missing and self.derived is not None:
            first = self.at(1, {name: known[name] for name in defaults})
            try:
                values = self.derived(*first.values())
            except (ArithmeticError, ValueError):  # of functions of Python, which NumPy's would answer with NaN
                values = (nan,) * len(follow)
            made = zip((name for name in self.hypers if name in follow), values, strict=True)
            known |= {name: self._followed(name, value) for name, value in made if name in missing}
        return {name: known[name] for name in self.hypers}

    def _followed(self, name: str, value: float) -> float:
        try:
            return self._checked(name, nan if isinstance(value, complex) else value)
        except ValueError as error:
            raise ValueError(f"{error}; that follows from the others, so give {name} itself") from None

    def at(self, t: int, kept: Mapping[str, Value]) -> Mapping[str, float]:
        """Hyperparameters at a step: what schedules say is checked like any other value.

        Raises
        ------
        TypeError, ValueError
            If a schedule returns what `checked` refuses.
        """
        if not any(map(callable, kept.values())):
            return kept  # type: ignore[return-value]  # floats, and a step takes as long as what is asked of it here
        return {name: self._scheduled(name, value, t) if callable(value) else value for name, value in kept.items()}

    def _is_schedule(self, name: str, value: Any) -> bool:
        return name in self.hypers and callable(value)

    def _scheduled(self, name: str, schedule: Callable[[int], float], t: int) -> float:
        value = schedule(t)
        try:
            return self._checked(name, value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"the schedule of {name} at t = {t}: {error}") from None

    def _checked(self, name: str, value: Any) -> float:
        if name in OPTIONS:
            raise TypeError(f"{name}: expected it where the optimizer is made, for all its groups, and nowhere else")
        if name not in self.hypers:
            raise TypeError(f"{self.name} has no hyperparameter {name!r}: expected one of {', '.join(self.hypers)}")
        domain = self.hypers[name].domain
        number = value if type(value) is float else as_float(name, value)
        if not domain.holds(number):
            raise ValueError(f"{name} = {number!r} is outside its domain: expected a number in {domain}")
        return number


def _as_schedule(name: str, value: Callable[[int], float]) -> Callable[[int], float]:
    """A schedule that can be called with the number of a step."""
    try:
        taken = signature(value)
    except (TypeError, ValueError):  # of what is compiled nothing may be known
        return value
    try:
        taken.bind(1)
    except TypeError as error:
        what = "expected a number, or a schedule that is called with the number of the step alone"
        raise TypeError(f"{name}: {what}, got {value!r}: {error}") from None
    return value


def _can_be_one(value: Any) -> bool:
    """Whether what is no number says that it can become one, as those of other libraries do."""
    is_other = isinstance(value, bool | complex | np.generic | np.ndarray) or getattr(value, "shape", ()) != ()
    return hasattr(value, "__float__") and not is_other


def as_float(name: str, value: Any) -> float:
    """A Python or NumPy number, or a 0-d array of one, as a float."""
    number = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if not isinstance(number, Real) or isinstance(number, bool | np.bool_ | np.timedelta64):
        how = "; float(…) makes one of it" if _can_be_one(number) else ""
        raise TypeError(f"{name}: expected a real number, got {type(value).__name__} ({value!r}){how}")
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that a float can hold, got one of a greater size") from None


def as_flag(name: str, value: Any) -> bool:
    """What is True or False as a bool; a TypeError if it is neither."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {type(value).__name__}")
    return bool(value)


def as_step_count(name: str, value: Any, *, least: int) -> int:
    """A number of steps, which the user calls so, as an int: of a Python or NumPy integer, or a 0-d array of one.

    A `TypeError` if it is no integer, a `ValueError` if it is less than makes sense, or too large to be exact in
    float64.
    """
    try:
        count = None if isinstance(value, bool | np.bool_) else index(value)
    except TypeError:
        count = None
    if count is None:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__} ({value!r})")
    if not least <= count <= _EXACT:
        raise ValueError(f"{name} = {count}: expected at least {least} and at most 2**53")
    return count
