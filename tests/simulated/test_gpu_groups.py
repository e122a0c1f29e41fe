"""Groups and parameters without a gradient on a GPU are what they are on CPUs."""

import pickle
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from optgen.generated.cuda import adamw
from optgen.runtime.cuda.launch import CHUNK

SHAPES = ((5, 3), (), (0, 4), (2, 3, 3), (CHUNK + 1,))
RULES = {
    "adamw": "AdamW",
    "nadam": "NAdam",
    "lamb": "LAMB",
    "novograd": "NovoGrad",
    "adafactor": "Adafactor",
    "clip_global_norm_adamw": "ClipGlobalNormAdamW",
    "gradient_noise_sgd": "GradientNoiseSGD",
}


def arrays(seed: int) -> list[Any]:
    draw = np.random.default_rng(seed)
    return [np.asarray(draw.standard_normal(shape), np.float32) for shape in SHAPES]


def grouped(params: list[Any]) -> list[dict[str, Any]]:
    return [{"params": params[:2], "lr": 0.5}, {"params": params[2:]}]


def some(grads: list[Any], *left_out: int) -> list[Any]:
    return [None if k in left_out else x for k, x in enumerate(grads)]


@pytest.mark.parametrize("name", RULES)
def test_steps_of_groups_and_of_some_parameters_are_those_of_cpus(name: str) -> None:
    kinds = [getattr(import_module(f"optgen.generated.{target}.{name}"), RULES[name]) for target in ("cpu", "cuda")]
    cpu, gpu = (kind(grouped(arrays(0)), lr=0.01) for kind in kinds)
    for seed, left_out in enumerate([(), (0,), (0, 3), (), (0, 1, 2, 3, 4), (4,)], 1):
        for opt in (cpu, gpu):
            opt.step(some(arrays(seed), *left_out), missing="skip")
    for opt in (cpu, gpu):
        opt.add_group([np.ones((2, 2), np.float32)], lr=0.25)
        opt.step([*arrays(9), np.ones((2, 2), np.float32)])
    expected, found = cpu.state_dict(), gpu.state_dict()
    assert list(found) == list(expected)
    for entry, value in expected.items():
        np.testing.assert_allclose(np.asarray(found[entry]), value, rtol=1e-5, atol=1e-6, err_msg=entry)
    for one, other in zip(gpu.params, cpu.params, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-5, atol=1e-6)


def test_advance_and_launch_take_groups() -> None:
    one, other = (adamw.AdamW(grouped(arrays(0))) for _ in range(2))
    for opt in (one, other):
        opt.step(some(arrays(1), 0), missing="skip")
    other.compile()
    for t in (2, 3):
        one.step(arrays(t))
        other.advance()
        other.launch(arrays(t))
    for opt in (other, pickle.loads(pickle.dumps(one))):  # noqa: S301 - our own
        assert [np.asarray(x).tobytes() for x in opt.params] == [np.asarray(x).tobytes() for x in one.params]


def test_what_a_graph_holds_is_not_changed(monkeypatch: Any) -> None:
    opt = adamw.AdamW(arrays(0))
    opt.compile()
    monkeypatch.setattr(type(opt._work), "is_captured", True)
    with pytest.raises(RuntimeError, match="a step of other parameters than a CUDA graph has"):
        opt.step(some(arrays(1), 0), missing="skip")
    with pytest.raises(RuntimeError, match="add_group"):
        opt.add_group([np.ones(3)])
    assert opt.t == 0
    opt.step(arrays(1))
