"""What kernels are tried on: numbers for theta, the gradient and the states at settings, and what should come of them.

A rule whose elements go their own ways is given vectors. Where something is added up, or states are shared, it is given
models: a few tensors of different shapes, each with numbers of a size of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.verify import reference, settings
from optgen.verify.arithmetic import FLOAT64, Arithmetic, Value
from optgen.verify.candidate import Effort
from optgen.verify.error import Magnitudes, Measured
from optgen.verify.range import InRange, Ranged

Array = NDArray[Any]
MODEL = ((2, 3), (4,), (), (2, 2, 2), (0, 3), (1, 2))
"""Shapes of the tensors of a model: what a row is, and what a column, differs in each."""
TOGETHER = 10
"""Random elements at each setting, for a rule that has no need of models."""
BESIDE = 16
"""Models that are computed beside each other: in so many, what each operation takes to begin with is little."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Tensors of the same shapes that are taken one step each, at settings that all are of the first step or none."""

    optimizer: Optimizer  # by which rule
    at: Sequence[settings.Setting]  # when, with which hyperparameters
    # For each, by name, an array a tensor: theta, the gradient and every slot before the step, in the dtype of the
    # kernel, and reduced states
    old: Sequence[settings.Model]

    @property
    def dtype(self) -> Any:
        """The dtype of the kernel."""
        return self.old[0]["theta"][0].dtype

    @cached_property
    def measure(self) -> Magnitudes:
        """The arithmetic of the expected values."""
        return Magnitudes(self.dtype)

    @cached_property
    def expected(self) -> dict[str, Measured]:
        """Theta and every state after the step, to 50 digits and with its magnitude, `joined`."""
        made = settings.model_steps(self.optimizer, self.at, self._stacked, self.measure)
        return joined(self.optimizer, made, self.measure, many=len(self.at))

    @cached_property
    def ranged(self) -> dict[str, Ranged]:
        """Theta and every state after the step in float64, and where the dtype cannot follow, `joined`."""
        by = in_range(self.optimizer, self.dtype)
        spaces = {state.name: state.space for state in self.optimizer.reduced_states}
        old = {
            name: [by.reduced(values, spaces[name]) for values in its] if name in spaces else its
            for name, its in self._stacked.items()
        }
        made = settings.model_steps(self.optimizer, self.at, old, by)
        return unsure(joined(self.optimizer, made, by, many=len(self.at)), by, many=len(self.at))

    @cached_property
    def in_float64(self) -> dict[str, Array]:
        """Theta, the gradient and every state after the step in float64, `joined`."""
        old = self._stacked
        made = settings.model_steps(self.optimizer, self.at, old)
        return joined(self.optimizer, {"g": old["g"], **made}, many=len(self.at))

    @property
    def _stacked(self) -> settings.Model:
        return {
            name: [np.stack(arrays, axis=-1) for arrays in zip(*(old[name] for old in self.old), strict=True)]
            for name in self.old[0]
        }


@dataclass(frozen=True, eq=False)
class Case:
    """One of them."""

    batch: Batch
    place: int  # among them
    random: bool  # whether the elements were drawn, rather than taken from the grid

    @property
    def setting(self) -> settings.Setting:
        """When the step is taken, with which hyperparameters."""
        return self.batch.at[self.place]

    @property
    def old(self) -> settings.Model:
        """The tensors before the step."""
        return self.batch.old[self.place]

    @cached_property
    def expected(self) -> dict[str, Measured]:
        """Theta and every state after the step, to 50 digits and with its magnitude, `joined`."""
        return {name: its.of_model(self.place) for name, its in self.batch.expected.items()}

    @cached_property
    def ranged(self) -> dict[str, Ranged]:
        """Theta and every state after the step in float64, and where the dtype cannot follow, `joined`."""
        return {name: its.of_model(self.place) for name, its in self.batch.ranged.items()}

    def judged(self, name: str, found: Array) -> Array:
        """The indices of what a kernel found of theta or a state about which the equations say something."""
        return judged(self.ranged[name], self.expected[name], found)


def in_range(optimizer: Optimizer, dtype: Any) -> InRange:
    """The arithmetic that notes where kernels of a dtype cannot follow a rule."""
    return InRange(dtype, totals=not settings.is_of_elements(optimizer))


def unsure(after: Mapping[str, Ranged], by: InRange, many: int | None = None) -> dict[str, Ranged]:
    """What comes of steps, spoilt where a comparison on the way may come out either way.

    Where something is added up, a wrong branch is seen in every element; among several tensors it is not told in which.
    """
    masks = [mask for mask in by.doubtful if mask.any()]
    if by.totals or any(mask.shape not in ((), (many,), after["theta"].shape) for mask in masks):
        masks = [mask.any() if many is None else _any_of(mask, many) for mask in masks]
    of_all: Any = reduce(np.logical_or, (mask for mask in masks if mask.shape in ((), (many,))), np.False_)
    doubtful: Any = reduce(np.logical_or, masks, np.False_)
    return {  # elements do not decide what becomes of a number of the host
        name: replace(its, spoilt=its.spoilt | (doubtful if its.shape == after["theta"].shape else of_all))
        for name, its in after.items()
    }


def _any_of(mask: Any, many: int) -> Any:
    """Whether there is any, for each of many models."""
    return np.broadcast_to(mask, (*mask.shape[:-1], many)).reshape(-1, many).any(axis=0)


def judged(ranged: Ranged, expected: Measured, found: Array) -> Array:
    """The indices of the values about which the equations say something that a kernel can hold.

    Nothing is known of a root, say, of what has cancelled: it may be a number or NaN, here and there.
    """
    undefined = np.isnan(expected.in_float64) | np.isnan(found)
    return np.flatnonzero(~ranged.out_of_range & ~(ranged.cancelled & undefined))


def joined(
    optimizer: Optimizer, model: settings.Model, by: Arithmetic = FLOAT64, many: int | None = None
) -> dict[str, Value]:
    """The values of all tensors one after another; one value of what there is only one for; those of many models."""
    spaces = {state.name: state.space for state in optimizer.states}
    full = [k for k, values in enumerate(model["theta"]) if 0 not in np.shape(values)]
    line = (-1,) if many is None else (-1, many)
    return {
        name: by.rearrange(
            lambda *parts: np.concatenate([np.reshape(part, line) for part in parts]),
            *([values[0]] if spaces.get(name) in (Space.STEP, Space.MODEL) else [values[k] for k in full]),
        )
        for name, values in model.items()
    }


@lru_cache(maxsize=4)  # what is expected serves every module that claims to be the same optimizer
def cases(optimizer: Optimizer, dtype: Any, effort: Effort) -> tuple[Case, ...]:
    """The grid, then the random cases, for a rule and the dtype of its kernel."""
    # What is drawn does not depend on how many fixed ones there are.
    rng, drawing = (np.random.default_rng([effort.seed, np.dtype(dtype).itemsize, *more]) for more in ((), (1,)))
    squares, usual = nonnegative(optimizer), optimizer.values()
    if not settings.is_of_elements(optimizer):
        chosen = [(setting, False) for setting in settings.pushed(optimizer) if not _beyond(setting)]
        chosen += [(settings.drawn(optimizer, drawing), True) for _ in range(effort.draws // sum(map(prod, MODEL)))]
        models = [
            (setting, _drawn_model(optimizer, squares, dtype, by, far=not random, how=_STATES[k % 3]), random)
            for k, (setting, random) in enumerate(chosen)
            for by in (drawing if random else rng,)
        ]
        return _beside(optimizer, models)
    grid = [
        # Half of it, another half each time, is enough beside hyperparameters at their ends.
        (setting, _from_grid(optimizer, squares, dtype, rng, whole=setting.hypers == usual), False)
        for setting in settings.pushed(optimizer)
    ]
    sizes = [min(TOGETHER, effort.draws - k) for k in range(0, effort.draws, TOGETHER)]
    random = [
        (settings.drawn(optimizer, drawing), _drawn_slots(optimizer, squares, dtype, size, drawing), True)
        for size in sizes
    ]
    return _beside(optimizer, [*grid, *random])


def _beside(optimizer: Optimizer, given: Sequence[tuple[settings.Setting, settings.Model, bool]]) -> tuple[Case, ...]:
    """The cases, of which those that can be are computed beside others; few, for a wrong module fails at the first."""
    places: dict[Any, list[int]] = {}
    for k, (setting, old, _) in enumerate(given):
        places.setdefault((setting.t == 1, old["theta"][0].shape), []).append(k)
    found: dict[int, Case] = {}
    for alike in places.values():
        for some in (alike[k : k + BESIDE] for k in range(0, len(alike), BESIDE)):
            batch = Batch(optimizer, [given[k][0] for k in some], [given[k][1] for k in some])
            found |= {k: Case(batch, place, given[k][2]) for place, k in enumerate(some)}
    return tuple(found[k] for k in range(len(given)))


def _beyond(setting: settings.Setting) -> bool:
    """Whether what a tensor's elements share may vanish for a hyperparameter's sake: ``t**-1e6``."""
    return min(setting.hypers.values(), default=0) < -1e3  # noqa: PLR2004


@lru_cache
def nonnegative(optimizer: Optimizer) -> frozenset[str]:
    """The states that are never negative in a few steps of the reference from the start: sums of squares."""
    rng = np.random.default_rng(0)
    thetas = [rng.normal(size=(10, 20))]
    states = reference.start(optimizer, thetas)
    found = {state.name for state in optimizer.states}
    for t in range(1, 6):
        thetas, states = reference.step(optimizer, thetas, [rng.normal(size=(10, 20))], states, t)
        found -= {name for name, values in states.items() if (values[0] < 0).any()}
    return frozenset(found)


def _from_grid(optimizer: Optimizer, squares: frozenset[str], dtype: Any, rng: Any, *, whole: bool) -> settings.Model:
    """Elements of the grid, the gradients in a random order; the states are 0 in every third."""
    least, normal, large = _limits(dtype)
    sizes = [0, least, 5 * least, normal, 1e-12, 1e-6, 1e-3, 1, 1e3, 1e6, 1e12, large]
    grid = np.array(sizes + [-size for size in sizes[1:]])
    picked = slice(None) if whole else slice(len(grid) // 2)
    old = {"theta": rng.permutation(grid), "g": rng.permutation(grid)}
    for state in optimizer.slots:
        values = rng.permutation(grid)
        values = np.minimum(values**2, large) if state.name in squares else values
        old[state.name] = np.where(np.arange(len(grid)) % 3, values, 0)
    return _rounded({name: values[picked] for name, values in old.items()}, dtype)


def _limits(dtype: Any) -> tuple[float, float, float]:
    """The smallest denormal, the smallest normal number, and one whose square is in reach."""
    info = np.finfo(dtype)
    return float(info.smallest_subnormal), float(info.smallest_normal), float(2.0 ** (info.maxexp // 2 - 8))


def _drawn_slots(optimizer: Optimizer, squares: frozenset[str], dtype: Any, size: int, rng: Any) -> settings.Model:
    def signed() -> Array:
        return np.asarray(rng.choice([-1.0, 1.0], size) * rng.uniform(1, 10, size))

    g = signed() * 10.0 ** rng.integers(-13, 12, size)
    g[rng.random(size) < 1 / 20] = 0
    near = rng.random(size) < 1 / 2
    old = {"theta": signed() * np.where(near, np.abs(g) + 1e-12, 10.0 ** rng.integers(-7, 6, size)), "g": g}
    for state in optimizer.slots:
        around = signed() * np.where(
            near, np.abs(g) * 10.0 ** rng.integers(-2, 2, size), 10.0 ** rng.integers(-9, 9, size)
        )
        around[rng.random(size) < 1 / 20] = 0
        old[state.name] = around**2 if state.name in squares else around
    return _rounded(old, dtype)


def _rounded(slots: dict[str, Array], dtype: Any) -> settings.Model:
    return {name: [values.astype(dtype)] for name, values in slots.items()}


_STATES = ("near", "apart", "none")
"""Of the states of a tensor: of the size of its gradient, of another, or 0."""


def _drawn_model(
    optimizer: Optimizer, squares: frozenset[str], dtype: Any, rng: Any, *, far: bool, how: str
) -> settings.Model:
    """Numbers of one size in each tensor, down to a hundredth of it; some are 0, and so are some tensors.

    Their squares are in reach of float64, in which a norm adds them up: below, it is 0 where no element is.
    """
    least, normal, large = (min(max(size, 1e-140), 1e140) for size in _limits(dtype))
    sizes = [0, 1e-12, 1e-6, 1e-3, 1, 1, 1e3, 1e6, 1e12, *([least, normal, 1e-30, large, 1e30] if far else [])]
    scales = rng.choice(sizes, len(MODEL))
    near = rng.random() < 1 / 2 if how == "none" else how == "near"

    def around(shape: settings.Shape, scale: float) -> Array:
        values = rng.choice([-1.0, 1.0], shape) * rng.uniform(1, 10, shape) * 10.0 ** rng.integers(-2, 1, shape)
        return np.where(rng.random(shape) < 1 / 20, 0, values * scale)

    old = {
        "theta": [around(*pair) for pair in zip(MODEL, scales if near else rng.choice(sizes, len(MODEL)), strict=True)]
    }
    old["g"] = [around(*pair) for pair in zip(MODEL, scales, strict=True)]
    # One size for all states, for sums over rows and over columns are of the same numbers.
    scales = (scales if near else rng.choice(sizes, len(MODEL))) * (how != "none")
    for state in (*optimizer.slots, *optimizer.reduced_states):
        values = [around(settings.shape_of(state, shape), scale) for shape, scale in zip(MODEL, scales, strict=True)]
        if state.space is Space.MODEL:  # estimates of a step's size, and totals
            values = [around((), 10.0 ** rng.integers(-6, 4))] * len(MODEL)
            values = [np.abs(array) if state.name in squares else array for array in values]
        elif state.name in squares:
            values = [np.minimum(np.square(array), np.finfo(dtype).max / 2**10) for array in values]
        old[state.name] = settings.spread(
            state, [settings.at_switches(optimizer, state.name, array, rng) for array in values]
        )
    elements = settings.slots_of(optimizer)
    return {name: [x.astype(dtype) if name in elements else x for x in arrays] for name, arrays in old.items()}
