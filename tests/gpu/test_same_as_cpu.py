"""A step on the GPU is that of the module for CPUs, from the same numbers, whatever branch it takes.

The two are compared step by step, each from where the CPU is, so that no difference adds to another. Differences are
measured in units in the last place of the magnitude of the terms that went into a value (see `optgen.verify.error`):
what is left of a cancellation says little, and the compilers may contract different products and sums.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.pipeline import kernel_of
from optgen.same_bits import may_differ
from optgen.verify.arithmetic import FLOAT64
from optgen.verify.error import Magnitudes
from optgen.verify.settings import Setting, branches, is_of_elements, model_step, shape_of

BOUND = 4
"""How far a step may be from the equations, as in tests/generated/test_accuracy.py, and from the CPU's."""
DRAWN = 8
"""The same for a rule that draws: the GPU's own logarithm and sine are each wrong by up to two."""
TOTALS = 64
"""The same for float64 where something is added up. A CPU adds up to 16,384 terms one after another, a GPU 16 and then
by halves. Of positive terms the former is wrong by 0.29*sqrt(16384/3) = 21 units as a standard deviation, and a value
is a quotient of two totals at most; 64 is three of those. For float32 totals, which are float64, are exact."""
FIRST = 3
"""Steps from the start, before the steps that reach every branch."""


@dataclass(frozen=True)
class Sizes(Magnitudes):
    """Magnitudes of values in float64: enough for a yardstick, and fast enough for large arrays."""

    @cached_property
    def exact(self) -> Any:
        """The arithmetic of the values."""
        return FLOAT64


def before(optimizer: Optimizer, thetas: Any, grads: Any, saved: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Theta, g and the states before a step as the reference takes them, from a state dict."""
    old = {"theta": thetas, "g": grads}
    for state in (*optimizer.slots, *optimizer.reduced_states):
        if state.space is Space.MODEL:
            old[state.name] = [saved[state.name]] * len(thetas)
            continue
        values = [saved[f"{state.name}.{k}"] for k in range(len(thetas))]
        shapes = [shape_of(state, np.shape(theta)) for theta in thetas]  # there are no rows or columns of nothing
        old[state.name] = [x if x.size else np.ones(its) for x, its in zip(values, shapes, strict=True)]
    return old


def spread(values: Any, shape: Any) -> Any:
    """The values for every position: the reference may have one for all, or one fewer dimension."""
    return np.reshape(values, shape) if np.size(values) == np.prod(shape) else np.broadcast_to(values, shape)


def apart(one: Any, other: Any, magnitude: Any, eps: float) -> float:
    """The largest difference of two arrays, in units in the last place of magnitudes; where one is infinite, none."""
    x, y, magnitude = (np.asarray(each, np.float64) for each in (one, other, magnitude))
    with np.errstate(all="ignore"):
        size = np.where(np.isnan(magnitude), np.maximum(abs(x), abs(y)), magnitude)
        units = np.where((x == y) | (np.isnan(x) & np.isnan(y)) | (size == np.inf), 0.0, abs(x - y) / (eps * size))
    return float(np.nan_to_num(units, nan=np.inf).max(initial=0))


@dataclass(frozen=True)
class Pair:
    """An optimizer on the CPU and its like on the GPU."""

    optimizer: Optimizer
    host: Any
    library: Any
    cpu: Any
    gpu: Any

    def stepped(self, thetas: Any, grads: Any, saved: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What a step from the same numbers makes of theta and the states, on the CPU and on the GPU."""
        return [
            _stepped(self.host, self.cpu, thetas, self.host.model(grads), saved),
            _stepped(self.library, self.gpu, thetas, self.library.model(grads), saved),
        ]

    def settings(self) -> Iterator[tuple[bool, Setting]]:
        """The first steps, and one for each branch; whether it is one of the first."""
        usual = self.optimizer.values()
        yield from ((True, Setting(t, usual)) for t in range(1, FIRST + 1))
        yield from ((False, setting) for setting in branches(self.optimizer))


def _stepped(library: Any, taken: Any, thetas: Any, grads: Any, saved: Mapping[str, Any]) -> dict[str, Any]:
    for param, theta in zip(taken.params, thetas, strict=True):
        if theta.size:
            library.fill(param, theta)
    taken.load_state_dict(saved)
    taken.step(grads)
    assert taken.t == saved["t"] + 1
    params = {f"theta.{k}": library.take(param) for k, param in enumerate(taken.params)}
    states = taken.state_dict()
    return {**params, **{name: value for name, value in states.items() if name != "t" and name[:6] != "hyper."}}


@pytest.fixture
def pair(generated: Any, host: Any, library: Any, on_gpu: Any) -> Any:
    def made(values: Any) -> Pair:
        optimizer = generated.optimizer
        cpu, gpu = generated.kind(host.model(values)), on_gpu(optimizer.name)(library.model(values))
        return Pair(optimizer, host, library, cpu, gpu)

    return made


def compared(pair: Pair, thetas: Any, arrays: Any, *dtypes: Any) -> Iterator[tuple[Setting, str, Any, Any, Any]]:
    """Of every step and everything that it writes: its name, what the CPU has, what the GPU has, and what is expected.

    What is expected is None for a number that is computed on the host.
    """
    optimizer, saved = pair.optimizer, pair.cpu.state_dict()
    for k, (first, setting) in enumerate(pair.settings()):
        grads = arrays(k + 1, *dtypes)
        hypers = {f"hyper.{name}": value for name, value in setting.hypers.items()}
        now = {**saved, **hypers, "t": setting.t - 1}
        on_cpu, on_gpu = pair.stepped(thetas, grads, now)
        numbers = {state.name: float(saved[state.name]) for state in optimizer.numbers}
        old = before(optimizer, thetas, grads, saved)
        measure = Sizes(dtypes[0])
        expected = model_step(optimizer, Setting(setting.t, setting.hypers, numbers), old, measure)
        assert on_cpu.keys() == on_gpu.keys()
        for entry, value in on_cpu.items():
            name, _, tensor = entry.partition(".")
            wanted = None if name in numbers else expected[name][int(tensor or 0)]
            yield setting, entry, value, on_gpu[entry], wanted
        if first:
            thetas = [on_cpu[f"theta.{k}"] for k in range(len(thetas))]
            saved = {**now, **{name: value for name, value in on_cpu.items() if name in saved}}


def test_bits_are_those_of_the_cpu_where_no_library_and_no_total_is(pair: Any, dtype: Any, arrays: Any) -> None:
    thetas = arrays(0, dtype)
    both = pair(thetas)
    found = may_differ(kernel_of(both.optimizer))
    if found["elements"] or found["totals"] or (found["draws"] and dtype == np.float64):
        pytest.skip("its last digits are a library's, or those of another order")
    for setting, entry, on_cpu, on_gpu, _ in compared(both, thetas, arrays, dtype):
        np.testing.assert_array_equal(on_gpu, on_cpu, f"{entry} at {setting}")


def test_every_step(pair: Any, dtype: Any, arrays: Any) -> None:
    thetas = arrays(0, dtype)
    both = pair(thetas)
    eps, usual = float(np.finfo(dtype).eps), both.optimizer.values()
    right = DRAWN if both.optimizer.draws else BOUND
    close = right if dtype == np.float32 or is_of_elements(both.optimizer) else TOTALS
    vague = told = 0
    for setting, entry, on_cpu, on_gpu, wanted in compared(both, thetas, arrays, dtype):
        where = f"{entry} at {setting}"
        assert on_gpu.dtype == on_cpu.dtype, where
        assert on_gpu.shape == on_cpu.shape, where
        if wanted is None:
            assert on_gpu.tobytes() == on_cpu.tobytes(), where
            continue
        if not on_cpu.size:
            continue
        exact, magnitude = (spread(values, on_cpu.shape) for values in (wanted.value, wanted.magnitude))
        assert apart(on_gpu, on_cpu, magnitude, eps) <= close, where
        if setting.hypers == usual and dtype == np.float32:  # float64 is exact, beside float32
            assert apart(on_gpu, exact, magnitude, eps) <= right, where
            vague, told = vague + int((~(magnitude < np.inf)).sum()), told + on_cpu.size
    assert vague <= told / 20
