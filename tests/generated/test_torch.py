"""The library forms are what torch.optim computes: 50 steps in float64, to 1e-12."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

STEPS = 50
SHAPES = ((), (7,), (3, 5), (1001,))


@dataclass(frozen=True)
class Case:
    """An optimizer, its counterpart, and one setting in the words of both."""

    name: str
    counterpart: Any
    ours: dict[str, float]
    theirs: dict[str, Any]

    def __str__(self) -> str:
        setting = ",".join(f"{name}={value:g}" for name, value in self.ours.items())
        return f"{self.name}({setting})"


def same(name: str, counterpart: Any, *settings: dict[str, float], **fixed: Any) -> list[Case]:
    """Cases in which both use the same words, but for what is fixed in torch's."""
    return [Case(name, counterpart, setting, {**setting, **fixed}) for setting in settings]


def adams(name: str, counterpart: Any, *settings: dict[str, float], **fixed: Any) -> list[Case]:
    """Cases of Adam and its kin, where torch wants a pair of betas."""
    cases = []
    for setting in settings:
        theirs = {key: value for key, value in setting.items() if key not in {"beta1", "beta2"}}
        betas = (setting.get("beta1", 0.9), setting.get("beta2", 0.999))
        cases.append(Case(name, counterpart, setting, {"betas": betas, **theirs, **fixed}))
    return cases


ADAM = ({}, {"lr": 0.1, "beta1": 0.5, "beta2": 0.9}, {"lr": 3e-4, "beta1": 0.0, "beta2": 0.99, "eps": 1e-3})
DECAY = tuple({**setting, "weight_decay": decay} for setting, decay in zip(ADAM, (0.01, 0.3, 0.0), strict=True))
RMSPROP = ({}, {"lr": 1e-3, "alpha": 0.9, "eps": 1e-4}, {"lr": 0.1, "alpha": 0.5})
MOMENTUM = tuple({**setting, "momentum": value} for setting, value in zip(RMSPROP, (0.9, 0.5, 0.0), strict=True))

CASES = [
    *same("sgd", torch.optim.SGD, {"lr": 0.01}, {"lr": 1.0}),
    *same("sgd_l2", torch.optim.SGD, {"lr": 0.01, "weight_decay": 0.01}, {"lr": 0.5, "weight_decay": 0.3}),
    *same(
        "sgdm",
        torch.optim.SGD,
        {"lr": 0.01, "momentum": 0.9},
        {"lr": 0.3, "momentum": 0.5, "dampening": 0.25},
        {"lr": 0.1, "momentum": 0.99, "dampening": 0.99},
    ),
    Case(
        "adagrad",
        torch.optim.Adagrad,
        {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator": 0.1},
        {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1},
    ),
    *same("adagrad", torch.optim.Adagrad, {}, {"lr": 1.0, "lr_decay": 1.0}, {"eps": 1e-2}),
    *same("rmsprop", torch.optim.RMSprop, *RMSPROP),
    *same("rmsprop_momentum", torch.optim.RMSprop, *MOMENTUM[1:]),
    *same("rmsprop_centered", torch.optim.RMSprop, *RMSPROP, centered=True),
    *same("rmsprop_centered_momentum", torch.optim.RMSprop, *MOMENTUM[1:], centered=True),
    *adams("adam", torch.optim.Adam, *ADAM),
    *adams("adam_l2", torch.optim.Adam, *DECAY),
    *adams("adamw", torch.optim.AdamW, *DECAY),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_steps_as_torch(case: Case, generated_by_name: Any) -> None:
    rng = np.random.default_rng(1)
    start = [rng.normal(size=shape) for shape in SHAPES]
    params = [np.array(values) for values in start]
    tensors = [torch.tensor(values, dtype=torch.float64) for values in start]
    optimizer = generated_by_name(case.name).kind(params, **case.ours)
    counterpart = case.counterpart(tensors, **case.theirs)
    for k in range(STEPS):
        grads = [rng.normal(scale=10 ** rng.uniform(-3, 3), size=shape) for shape in SHAPES]
        grads = [np.asarray(grad) for grad in grads]
        optimizer.step(grads)
        for tensor, grad in zip(tensors, grads, strict=True):
            tensor.grad = torch.from_numpy(grad)
        counterpart.step()
        for values, tensor, origin in zip(params, tensors, start, strict=True):
            size = np.maximum(np.abs(values), np.abs(values - origin))
            assert (np.abs(values - tensor.numpy()) <= 1e-12 * size).all(), f"step {k + 1}, shape {values.shape}"
