"""Every kernel of elements is right to 4 units in the last place, at every size of array, on every path.

Those that add up are measured in tests/verify/test_numerics.py; that all paths agree is in tests/runtime.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from optgen.language.domains import domain_of
from optgen.language.spec import Optimizer
from optgen.runtime.core.storage import uniform
from optgen.runtime.core.table import CHUNK, tabulate
from optgen.runtime.cpu.threads import start
from optgen.verify import reference
from optgen.verify.error import Magnitudes, Measured

BOUND = 4
STEPS = 5
COLUMNS = 60
SIZES = (0, 7, 8, 15, 16, 17, 31, 33, 1000, CHUNK + 1)


@dataclass(frozen=True)
class Trajectory:
    """What theta and the states of a few elements, the columns, should be after each step.

    A column is one theta with a sequence of gradients. Arrays of any size are tiled from the columns, so that the
    reference is computed once.
    """

    measure: Magnitudes
    hypers: Mapping[str, float]
    thetas: Any
    grads: Any
    expected: list[dict[str, Measured]]

    def worst(self, after: int, name: str, results: Any, columns: Any) -> float:
        """The largest error of results that belong to columns, in units in the last place."""
        bits = results.view(f"u{results.itemsize}")
        place = np.full(COLUMNS, -1)
        place[columns] = np.arange(columns.size)  # of one element of each column; others are asked if they differ
        first = np.concatenate([place[place >= 0], np.flatnonzero(bits != bits[place[columns]])])
        picked = columns[first]
        expected = self.expected[after][name]
        errors = self.measure.ulps(results[first], Measured(expected.value[picked], expected.magnitude[picked]))
        return float(errors.max(initial=0))


def columns_of(dtype: Any) -> tuple[Any, Any]:
    """The columns: thetas and, a step a row, gradients."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (STEPS, COLUMNS))
    scales = np.logspace(-12, 12, COLUMNS)
    grads = signs * scales * rng.uniform(0.5, 2, (STEPS, COLUMNS))
    grads[:, ::3] = rng.permuted(grads[:, ::3])  # a large gradient before a small one, and after it
    grads[:, 1::6] = np.abs(grads[:, 1::6])  # no cancellation
    thetas = rng.choice([-1.0, 1.0], COLUMNS) * rng.permutation(np.logspace(-6, 6, COLUMNS))
    denormal = float(np.finfo(dtype).smallest_subnormal)
    grads[:, 5] = 0
    grads[0, 11] = grads[3, 17] = 0
    grads[:, 23] = denormal * np.array([1, -3, 1000, 7, -1e5])
    grads[2:4, 29] = -5 * denormal
    thetas[[0, 5, 35]] = 0
    thetas[[23, 41]] = 9 * denormal
    return thetas.astype(dtype), grads.astype(dtype)


def others(optimizer: Optimizer) -> dict[str, float]:
    """For every hyperparameter a value that is not its default, and that float32 has to round."""
    defaults = {hyper: hyper.usual for hyper in optimizer.hypers}
    moved = {hyper: 0.93 * default if default else 0.07 for hyper, default in defaults.items()}
    domains = {hyper: domain_of(hyper) for hyper in moved}
    return {hyper.name: value for hyper, value in moved.items() if (its := domains[hyper]) and its.holds(value)}


@cache
def trajectory(optimizer: Optimizer, dtype: Any, setting: str) -> Trajectory:
    hypers = others(optimizer) if setting == "others" else {}
    measure = Magnitudes(dtype)
    thetas, grads = columns_of(dtype)
    expected = []
    theta, states = [thetas], reference.start(optimizer, [thetas], hypers=hypers, arithmetic=measure)
    for k, grad in enumerate(grads):
        theta, states = reference.step(optimizer, theta, [grad], states, k + 1, hypers=hypers, arithmetic=measure)
        after = {"theta": theta[0], **{name: values[0] for name, values in states.items()}}
        expected.append(
            {name: measure.rearrange(lambda x: np.broadcast_to(x, COLUMNS), value) for name, value in after.items()}
        )
    return Trajectory(measure, hypers, thetas, grads, expected)


@pytest.fixture
def generated(elementwise: Any) -> Any:
    """Columns that are alike stay so only if no total tells them of others."""
    return elementwise


@pytest.fixture(params=["defaults", "others"])
def path(request: pytest.FixtureRequest, generated: Any, dtype: Any) -> Trajectory:
    return trajectory(generated.optimizer, dtype, request.param)


def test_the_bound_says_something_of_nearly_every_column(path: Trajectory) -> None:
    for expected in path.expected:
        for measured in expected.values():
            vague = [not magnitude < np.inf for magnitude in measured.magnitude]  # lost, or NaN
            assert sum(vague) <= COLUMNS / 20


def model_columns() -> list[Any]:
    """The columns that each array of the model holds: every one alone, then all in arrays of each size."""
    alone = list(np.arange(COLUMNS)[:, None])
    return alone + [np.arange(size) % COLUMNS for size in SIZES]


@pytest.fixture
def alike(generated: Any) -> None:
    """Elements of a column are alike, unless each draws for itself: tests/targets/test_draws.py looks at those."""
    if generated.optimizer.draws:
        pytest.skip("equal elements draw differently")


@pytest.mark.usefixtures("alike")
def test_a_model_of_arrays_of_every_size(generated: Any, path: Trajectory) -> None:
    columns = model_columns()
    flat = np.concatenate(columns)
    params = [path.thetas[some] for some in columns]
    optimizer = generated.kind(params, **path.hypers)
    slots = {"theta", *optimizer.program.states}
    for k, grads in enumerate(path.grads):
        optimizer.step([grads[some] for some in columns])
        errors = {
            name: path.worst(k, name, np.concatenate(arrays) if name in slots else repeated(arrays, flat.size), flat)
            for name, arrays in {"theta": params, **optimizer.state}.items()
        }
        assert max(errors.values()) <= BOUND, (k + 1, errors)


@pytest.mark.usefixtures("alike")
def test_one_array_through_step(generated: Any, path: Trajectory) -> None:
    columns = np.arange(1000) % COLUMNS
    program = generated.module.PROGRAM
    values = program.completed(path.hypers)
    theta = path.thetas[columns]
    starts = program.initial(**values)
    arrays = {name: np.full_like(theta, value) for name, value in zip(program.states, starts, strict=False)}
    numbers = dict(zip(program.numbers, map(np.array, starts[len(arrays) :]), strict=True))
    arrays = {"theta": theta, **arrays, **numbers}
    for k, grads in enumerate(path.grads):
        generated.module.step(g=grads[columns], **arrays, t=k + 1, **path.hypers)
        errors = {name: path.worst(k, name, repeated(array, 1000), columns) for name, array in arrays.items()}
        assert max(errors.values()) <= BOUND, (k + 1, errors)


def repeated(array: Any, size: int) -> Any:
    """A state that is one number, as it would be in an array."""
    return np.full(size, array) if np.ndim(array) == 0 else array


@pytest.mark.usefixtures("alike")
def test_a_column_has_the_same_bits_wherever_it_lies(generated: Any, path: Trajectory) -> None:
    columns = model_columns()
    params = [path.thetas[some] for some in columns]
    optimizer = generated.kind(params, **path.hypers)
    for grads in path.grads:
        optimizer.step([grads[some] for some in columns])
    for arrays in (params, *(optimizer.state[name] for name in optimizer.program.states)):
        alone = np.concatenate(arrays[:COLUMNS])
        for array, some in zip(arrays, columns, strict=True):
            assert array.tobytes() == alone[some].tobytes(), f"{array.size} elements"


def test_all_threads_and_one_thread_make_the_same_bits(generated: Any, path: Trajectory) -> None:
    program = generated.module.PROGRAM
    hypers = program.completed(path.hypers)
    columns = np.arange(3 * CHUNK + 5) % COLUMNS
    starts = program.initial(**hypers)
    states = [np.full(columns.shape, value, path.thetas.dtype) for value in starts[: len(program.states)]]
    numbers = starts[len(states) :]
    shared = [path.thetas[columns], path.grads[0][columns], *states]
    alone = [array.copy() for array in shared]
    tables = [
        tabulate(np.array([[array.ctypes.data] for array in arrays]), np.array([len(columns)]), arrays[0].itemsize)
        for arrays in (shared, alone)
    ]
    start()
    for k, grads in enumerate(path.grads):
        shared[1][:] = alone[1][:] = grads[columns]
        given, numbers = program.computed(k + 1, hypers.values(), numbers)
        scalars, keys = np.array([given], path.thetas.dtype), program.keys(k + 1, hypers)
        storage = uniform(program.slots, path.thetas.dtype).as_argument
        program.sweep(tables[0].rows, tables[0].tasks, storage, scalars, *keys)
        program.sweep(tables[1].rows, tables[1].task, storage, scalars, *keys)
        for one, other in zip(shared, alone, strict=True):
            assert one.tobytes() == other.tobytes()
