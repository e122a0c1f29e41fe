"""In the simulator, where a float is not contracted with another, kernels for GPUs do what those for CPUs do.

Those run as Python here, for compiling them takes longer than all else; other tests look at them compiled. Each step
starts from where the CPU is, so that no difference adds to another.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reducing import RULES as REDUCING
from website.interpreted import interpreted

import optgen
from optgen import Optimizer
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.launch import CHUNK
from optgen.runtime.cuda.totals import LONG

STEPS = (1, 2, 7)
"""Numbers of the steps that are compared: the first is a branch of its own in many rules."""
SHAPES = ((3, 5), (), (0, 4), (2, 1, 3), (7,), (1, 9), (CHUNK + 6,))
UNITS = 64
"""How far apart results may be, in units in the last place of the largest number of an array.

CPUs contract products and sums, the simulator does not, and elements of one array differ by few orders of magnitude."""


def model(seed: int, dtype: Any, shapes: Sequence[tuple[int, ...]] = SHAPES) -> list[Any]:
    """Arrays of which every other begins in the middle of four elements."""
    draw = np.random.default_rng(seed)
    found = []
    for k, shape in enumerate(shapes):
        size = int(np.prod(shape))
        room = np.zeros(size + 8, dtype)
        begin = (-room.ctypes.data % 16) // room.itemsize + k % 2
        array = room[begin : begin + size].reshape(shape)
        array[...] = draw.normal(size=shape)
        found.append(array)
    return found


def assert_alike(one: Any, other: Any, eps: float, what: str) -> None:
    x, y = np.asarray(one), np.asarray(other)
    assert x.shape == y.shape
    assert x.dtype == y.dtype
    largest = float(np.abs(x).max(initial=0, where=np.isfinite(x)))
    np.testing.assert_allclose(y, x, rtol=UNITS * eps, atol=UNITS * eps * largest, err_msg=what)


def assert_same_steps(cpu: Any, gpu: Any, seed: int) -> None:
    """Take steps with both, each from where the CPU is."""
    thetas, copies = cpu.params, gpu.params
    eps = max(np.finfo(theta.dtype).eps for theta in thetas)  # float64 states may be made of float32 elements
    for t in STEPS:
        saved = {**cpu.state_dict(), "t": t - 1}
        cpu.load_state_dict(saved)
        gpu.load_state_dict(saved)
        for theta, copy in zip(thetas, copies, strict=True):
            copy[...] = theta
        drawn = model(seed + t, float, [theta.shape for theta in thetas])
        grads = [np.asarray(grad, theta.dtype) for grad, theta in zip(drawn, thetas, strict=True)]
        cpu.step(grads)
        gpu.step(grads)
        for k, (theta, copy) in enumerate(zip(thetas, copies, strict=True)):
            assert_alike(theta, copy, eps, f"theta {k} at t = {t}")
        states: Mapping[str, Any] = gpu.state_dict()
        assert states["t"] == t
        for entry, values in cpu.state_dict().items():
            if entry != "t":
                assert_alike(values, states[entry], eps, f"{entry} at t = {t}")


def kinds_of(generated: Any) -> tuple[Any, Any]:
    """The classes of an optimizer, for CPUs and for GPUs."""
    name, title = generated.optimizer.name, generated.optimizer.title
    return as_python(generated.module, title), getattr(import_module(f"optgen.generated.cuda.{name}"), title)


def as_python(module: Any, title: str) -> Any:
    """The class of a module for CPUs whose kernels are not compiled."""
    return interpreted(Path(module.__file__).read_text(encoding="utf-8"))[title]


def test_every_optimizer(generated: Any) -> None:
    """In float32; in float64 tests/verify/test_simulation.py looks at them, and at many other rules."""
    cpu, gpu = kinds_of(generated)
    assert_same_steps(cpu(model(0, "float32")), gpu(model(0, "float32")), seed=1)


@pytest.mark.parametrize("name", REDUCING)
def test_any_rule_that_adds_up(name: str) -> None:
    rule = Optimizer(name, title="Rule", step=tuple(REDUCING[name]))
    kinds = [as_python(optgen.compile(rule), "Rule"), optgen.compile(rule, "cuda").Rule]
    # Whatever waits for other threads takes the simulator long.
    assert_same_steps(*(kind(model(2, "float64", SHAPES[:4])) for kind in kinds), seed=3)


@pytest.mark.parametrize("name", ["adafactor", "adafactor_paper", "adam_mini", "sm3"])
def test_rows_and_columns_of_any_length(generated_by_name: Any, name: str) -> None:
    """Shared by a thread, by a warp or by a block, in one matrix of a tensor or in many, which chunks cut or do not."""
    lengths = (1, 2, 4, 5, 8, 9, LONG, LONG + 1)
    shapes = [*((3, n) for n in lengths), *((n, 2) for n in lengths), (5, 2, 3), (2, CHUNK // 4, 5), (9 * CHUNK, 1)]
    cpu, gpu = kinds_of(generated_by_name(name))
    assert_same_steps(cpu(model(6, "float64", shapes)), gpu(model(6, "float64", shapes)), seed=7)


@pytest.mark.parametrize("name", ["adamw", "lamb", "adafactor", "ema_clip_global_norm_adamw"])
def test_two_dtypes_in_one_model(generated_by_name: Any, name: str) -> None:
    mixed = [array.astype("float64" if k % 3 else "float32") for k, array in enumerate(model(4, "float64"))]
    cpu, gpu = kinds_of(generated_by_name(name))
    assert_same_steps(cpu([array.copy() for array in mixed]), gpu([array.copy() for array in mixed]), seed=5)


def test_chunks_are_so_small_here_that_there_are_several_and_threads_have_several_turns() -> None:
    assert max(int(np.prod(shape)) for shape in SHAPES) > CHUNK > 4 * cuda.THREADS
