"""`optgen.torch` on a GPU: what it does there is what it does on a CPU, and what torch.optim does."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

SHAPES = ((64, 33), (129,), (), (0, 3), (4097,))
RULES = ("AdamW", "RAdam", "Adafactor", "EmaClipGlobalNormAdamW", "SWATS", "GradientNoiseSGD", "ScheduleFreeAdamW")
"""Elements alone, several branches, totals of every kind, draws, numbers on the host."""


@pytest.fixture
def ours(torch_library: Any) -> Any:
    """`optgen.torch`, where there is a GPU."""
    assert torch_library
    return import_module("optgen.torch")


@pytest.fixture
def torch(torch_library: Any) -> Any:
    """PyTorch."""
    return torch_library.module


@pytest.fixture
def model(torch: Any) -> Callable[..., list[Any]]:
    """The same random parameters wherever they are: ``model("cuda", torch.float64)``."""

    def made(device: str, dtype: Any) -> list[Any]:
        rng = np.random.default_rng(0)
        starts = [torch.from_numpy(np.asarray(rng.standard_normal(shape))) for shape in SHAPES]
        return [torch.nn.Parameter(start.to(device, dtype)) for start in starts]

    return made


@pytest.fixture
def taught(torch: Any) -> Callable[..., None]:
    """Give models the gradients of step k, each where it is."""

    def teach(k: int, *models: list[Any], absent: int | None = None) -> None:
        rng = np.random.default_rng(100 + k)
        for j, same in enumerate(zip(*models, strict=True)):
            grad = torch.from_numpy(np.asarray(rng.standard_normal(same[0].shape)))
            for param in same:
                param.grad = None if j == absent else grad.to(param.device, param.dtype)

    return teach


def assert_close(torch: Any, one: list[Any], other: list[Any], tolerance: float) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.detach().double().cpu(), b.detach().double().cpu(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES)
def test_a_model_on_the_gpu_is_one_on_the_cpu(ours: Any, torch: Any, model: Any, taught: Any, rule: str) -> None:
    models = [model(device, torch.float64) for device in ("cpu", "cuda")]
    both = [getattr(ours, rule)([{"params": its[:2], "lr": 0.01}, {"params": its[2:]}], lr=1e-3) for its in models]
    for k in range(1, 6):
        taught(k, *models, absent=1 if k == 3 and rule != "SWATS" else None)
        for optimizer in both:
            optimizer.step()
    assert_close(torch, *models, 1e-9)
    on_cpu, on_gpu = (optimizer.state_dict() for optimizer in both)
    assert on_gpu["param_groups"] == on_cpu["param_groups"]
    for k, kept in on_cpu["state"].items():
        assert on_gpu["state"][k].keys() == kept.keys()
        devices = {value.device.type for name, value in on_gpu["state"][k].items() if torch.is_tensor(value)}
        assert devices <= {"cpu", "cuda"}


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("AdamW", {"lr": 1e-2, "weight_decay": 0.1}),
        ("Adam", {"amsgrad": True}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"centered": True}),
        ("RAdam", {}),
        ("Adagrad", {}),
    ],
)
def test_steps_are_those_of_pytorch(
    ours: Any, torch: Any, model: Any, taught: Any, rule: str, options: dict[str, Any]
) -> None:
    models = [model("cuda", torch.float64) for _ in range(2)]
    both = [getattr(its, rule)(params, **options) for its, params in zip((ours, torch.optim), models, strict=True)]
    for k in range(1, 6):
        taught(k, *models)
        for optimizer in both:
            optimizer.step()
    assert_close(torch, *models, 1e-12)
    both[1].load_state_dict(both[0].state_dict())
    both[0].load_state_dict(both[1].state_dict())
    taught(6, *models)
    for optimizer in both:
        optimizer.step()
    assert_close(torch, *models, 1e-12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", [{}, {"master": True}, {"kahan": True}, {"rounding": "stochastic"}], ids=str)
def test_parameters_of_16_bits(
    ours: Any, torch: Any, model: Any, taught: Any, dtype: str, options: dict[str, Any]
) -> None:
    """What is stored may round otherwise once in a while: a GPU's kernel may contract what a CPU's does not."""
    models = [model(device, getattr(torch, dtype)) for device in ("cpu", "cuda")]
    both = [ours.AdamW(params, lr=1e-2, **options) for params in models]
    for k in range(1, 4):
        taught(k, *models)
        for optimizer in both:
            optimizer.step()
    for one, other in zip(*models, strict=True):
        a, b = one.detach().float(), other.detach().float().cpu()
        unit = torch.finfo(one.dtype).eps * torch.maximum(a.abs(), torch.tensor(1e-2))
        assert bool(((a - b).abs() <= 2 * unit).all())
        assert float((a != b).double().sum()) <= 0.01 * max(a.numel(), 100)


def test_what_grad_scaler_finds_infinite_moves_nothing(ours: Any, torch: Any, model: Any, taught: Any) -> None:
    params = model("cuda", torch.float32)
    optimizer, scaler = ours.AdamW(params, lr=0.1), torch.amp.GradScaler("cuda", init_scale=4.0)
    taught(1, params)
    scaler.scale(torch.ones((), device="cuda"))
    for param in params:
        param.grad *= 4
    scaler.step(optimizer)
    scaler.update()
    moved = [param.detach().clone() for param in params]
    params[0].grad[0, 0] = float("inf")
    scaler.step(optimizer)
    scaler.update()
    assert all(torch.equal(*pair) for pair in zip(params, moved, strict=True))
    assert scaler.get_scale() == 2.0


def test_a_model_on_both(ours: Any, torch: Any, model: Any, taught: Any) -> None:
    here, there = model("cpu", torch.float32), model("cuda", torch.float32)
    optimizer = ours.AdamW([*here, *there], lr=1e-2)
    for k in range(1, 4):
        taught(k, here, there)
        optimizer.step()
    assert_close(torch, here, there, 1e-6)


def test_a_step_waits_for_nothing(ours: Any, torch: Any, model: Any, taught: Any) -> None:
    params, side = model("cuda", torch.float32), torch.cuda.Stream()
    optimizer = ours.AdamW(params)
    taught(1, params)
    optimizer.step()  # compiles
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        optimizer.step()
        torch.cuda._sleep(200_000_000)
        optimizer.step()
        assert not side.query()
    torch.cuda.synchronize()
    assert all(bool(torch.isfinite(param).all()) for param in params)


@pytest.mark.parametrize("rule", ["AdamW", "LAMB", "ScheduleFreeAdamW"])
def test_what_is_offloaded_is_computed_on_the_cpu(ours: Any, torch: Any, model: Any, taught: Any, rule: str) -> None:
    models = [model(device, torch.float32) for device in ("cpu", "cuda")]
    expected, found = (getattr(ours, rule)(its, lr=0.01) for its in models)
    ours.offload(found)
    for k in range(1, 6):
        taught(k, *models, absent=1 if k == 3 else None)
        for optimizer in (expected, found):
            optimizer.step()
        if k == 2:  # which a step would not see if it fetched parameters once only
            with torch.no_grad():
                for its in models:
                    its[0][0] = 0.125
        if k == 3:
            found.load_state_dict(found.state_dict())
    for one, other in zip(*models, strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), other.detach().cpu().numpy())
    states = [value for its in found.state.values() for value in its.values() if isinstance(value, torch.Tensor)]
    assert {value.device.type for value in states} == {"cpu"}
    assert all(new.device == param.device for new, param in zip(found.eval_params(), models[1], strict=True))
