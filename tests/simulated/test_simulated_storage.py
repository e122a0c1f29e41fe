"""Slots in fewer bits on a simulated GPU hold what they hold on a CPU."""

import copy
from importlib import import_module

import numpy as np
import pytest

from optgen.runtime.core.storage import dtype_of

SHAPES = ((70,), (3, 5), (), (0, 2), (131,))


def drawn(seed, name):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype_of(name)) for shape in SHAPES]


def both(rule, title, name, **options):
    """An optimizer on a CPU and one on a simulated GPU, of the same parameters."""
    if "bf" in f"{name}{options}":
        pytest.importorskip("ml_dtypes")
    kinds = [getattr(import_module(f"optgen.generated.{target}.{rule}"), title) for target in ("cpu", "cuda")]
    return [kind(drawn(0, name), **options) for kind in kinds]


def assert_same(cpu, gpu):
    """The same parameters and states, bit for bit, of the same dtypes."""
    assert list(cpu.state_dict()) == list(gpu.state_dict())
    pairs = zip((*cpu.params, *cpu.state_dict().values()), (*gpu.params, *gpu.state_dict().values()), strict=True)
    for mine, its in pairs:
        np.testing.assert_array_equal(mine, its, strict=isinstance(mine, np.ndarray))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize(("rule", "title", "store"), [("sgdm", "SGDM", {}), ("adamw", "AdamW", {"v": "f32"})])
def test_steps_are_those_of_the_cpu(name, rule, title, store):
    cpu, gpu = both(rule, title, name, store=store)
    for t in range(3):
        for each in (cpu, gpu):
            each.step(drawn(t + 1, name))
    assert_same(cpu, gpu)


def test_gradients_may_be_shorter():
    cpu, gpu = both("sgdm", "SGDM", "float32")
    for each in (cpu, gpu):
        each.step(drawn(1, "float16"))
    assert_same(cpu, gpu)


BY_CHANCE = {"rounding": "stochastic", "rounding_seed": -3}


@pytest.mark.parametrize(
    ("rule", "title", "name", "options"),
    [
        ("adamw", "AdamW", "float32", {"store": {"m": "bf16", "v": "f16"}, **BY_CHANCE}),
        ("adamw", "AdamW", "float64", {"store": {"m": "f32", "v": "bf16"}, **BY_CHANCE}),
        ("adamw", "AdamW", "bfloat16", {"master": True, **BY_CHANCE}),
        ("adamw", "AdamW", "float16", {"kahan": True, "store": {"v": "f32"}}),
        ("sgd", "SGD", "bfloat16", {"kahan": True}),
        ("sgdm", "SGDM", "float16", BY_CHANCE),
    ],
)
def test_chance_and_what_is_beside_parameters_are_those_of_the_cpu(rule, title, name, options):
    cpu, gpu = both(rule, title, name, **options)
    for t in range(2):
        for each in (cpu, gpu):
            each.step(drawn(t + 1, name))
    assert_same(cpu, gpu)
    again = copy.deepcopy(gpu)
    for each in (cpu, gpu, again):
        each.step(drawn(3, name))
    for each in (gpu, again):
        assert_same(cpu, each)


def test_chances_are_those_of_the_step_that_advance_has_counted():
    stepping, launching = (both("adamw", "AdamW", "float16", **BY_CHANCE)[1] for _ in range(2))
    launching.compile()
    for t in range(2):
        stepping.step(drawn(t + 1, "float16"))
        launching.advance()
        launching.launch(drawn(t + 1, "float16"))
    assert_same(stepping, launching)


@pytest.mark.parametrize(
    "options", [BY_CHANCE, {"master": True}, {"kahan": True}], ids=["by chance", "master", "kahan"]
)
@pytest.mark.parametrize(("rule", "title"), [("lamb", "LAMB"), ("adafactor", "Adafactor")])
def test_several_sweeps_are_those_of_the_cpu(rule, title, options):
    """Rows of 5 elements begin where chances do not come in fours."""
    cpu, gpu = both(rule, title, "float16", **options)
    for each in (cpu, gpu):
        each.step(drawn(1, "float16"))
    assert_same(cpu, gpu)
