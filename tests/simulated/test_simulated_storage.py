"""Slots of 16 bits on a simulated GPU hold what they hold on a CPU."""

from importlib import import_module

import numpy as np
import pytest

from optgen.runtime.core.storage import dtype_of

SHAPES = ((70,), (3, 5), (), (0, 2), (131,))


def drawn(seed, name):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype_of(name)) for shape in SHAPES]


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize(("rule", "title", "store"), [("sgdm", "SGDM", {}), ("adamw", "AdamW", {"v": "f32"})])
def test_steps_are_those_of_the_cpu(name, rule, title, store):
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    params, copies = drawn(0, name), drawn(0, name)
    kinds = [getattr(import_module(f"optgen.generated.{target}.{rule}"), title) for target in ("cpu", "cuda")]
    cpu, gpu = (kind(given, store=store) for kind, given in zip(kinds, (params, copies), strict=True))
    for t in range(3):
        for each in (cpu, gpu):
            each.step(drawn(t + 1, name))
    for mine, its in zip((*params, *cpu.state_dict().values()), (*copies, *gpu.state_dict().values()), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_gradients_may_be_shorter():
    params, copies = drawn(0, "float32"), drawn(0, "float32")
    cpu, gpu = (import_module(f"optgen.generated.{target}.sgdm").SGDM for target in ("cpu", "cuda"))
    cpu(params).step(drawn(1, "float16"))
    gpu(copies).step(drawn(1, "float16"))
    for mine, its in zip(params, copies, strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("option", [{"rounding": "stochastic"}, {"master": True}, {"kahan": True}])
def test_what_gpus_cannot_yet_is_refused(option):
    kind = import_module("optgen.generated.cuda.sgdm").SGDM
    with pytest.raises(ValueError, match="kernels for GPUs round to nearest"):
        kind(drawn(0, "float16"), **option)
