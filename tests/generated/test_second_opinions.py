"""The forms that torch does not have, against formulas written out by hand: 50 steps in float64, to 1e-12.

The moving averages are computed from their closed forms, weighted sums over all gradients so far, where the kernels
update them from one step to the next.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

STEPS = 50
Floats = Any


def discounted(grads: Floats, decay: float) -> Floats:
    """The sum of decay**(t - i) * g_i over i = 1, …, t."""
    weights = decay ** np.arange(len(grads) - 1.0, -1.0, -1.0)
    return np.tensordot(weights, grads, 1)


def mean(grads: Floats, decay: float) -> Floats:
    """The weighted mean of all gradients: what bias correction makes of a moving average that started at 0."""
    return discounted(grads, decay) / discounted(np.ones(len(grads)), decay)


def sgdm_lecture(theta: Floats, grads: Floats, *, lr: Floats = 0.01, momentum: float = 0.9) -> Iterator[Floats]:
    movements = np.broadcast_to(lr, STEPS)[:, None] * grads
    for t in range(1, STEPS + 1):
        theta = theta - discounted(movements[:t], momentum)
        yield theta


def sgdm_ema(theta: Floats, grads: Floats, *, lr: float = 0.01, beta1: float = 0.9) -> Iterator[Floats]:
    for t in range(1, STEPS + 1):
        theta = theta - lr * (1 - beta1) * discounted(grads[:t], beta1)
        yield theta


def adagrad_lecture(theta: Floats, grads: Floats, *, lr: float = 0.01) -> Iterator[Floats]:
    for t in range(1, STEPS + 1):
        theta = theta - lr * grads[t - 1] / np.sqrt(np.sum(grads[:t] ** 2, axis=0))
        yield theta


def rmsprop_lecture(theta: Floats, grads: Floats, *, lr: float = 0.01, alpha: float = 0.99) -> Iterator[Floats]:
    v = grads[0] ** 2
    for t in range(1, STEPS + 1):
        if t > 1:
            v = alpha * v + (1 - alpha) * grads[t - 1] ** 2
        theta = theta - lr * grads[t - 1] / np.sqrt(v)
        yield theta


def adam_lecture(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Iterator[Floats]:
    for t in range(1, STEPS + 1):
        theta = theta - lr * mean(grads[:t], beta1) / np.sqrt(mean(grads[:t] ** 2, beta2) + eps)
        yield theta


def adam_eps_hat(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-7
) -> Iterator[Floats]:
    """Keras: alpha = lr * sqrt(1 - beta2**t) / (1 - beta1**t), and theta -= alpha * m / (sqrt(v) + eps)."""
    for t in range(1, STEPS + 1):
        alpha = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        m = (1 - beta1) * discounted(grads[:t], beta1)
        v = (1 - beta2) * discounted(grads[:t] ** 2, beta2)
        theta = theta - alpha * m / (np.sqrt(v) + eps)
        yield theta


def direction(grads: Floats, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Floats:
    """Adam's direction after some gradients."""
    return mean(grads, beta1) / (np.sqrt(mean(grads**2, beta2)) + eps)


def adamw_inside(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float
) -> Iterator[Floats]:
    for t in range(1, STEPS + 1):
        theta = theta - lr * (direction(grads[:t], **adam) + weight_decay * theta)
        yield theta


def adamw_after(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float
) -> Iterator[Floats]:
    for t in range(1, STEPS + 1):
        theta = theta - lr * direction(grads[:t], **adam)
        theta = theta - lr * weight_decay * theta
        yield theta


def adamw_schedule(
    theta: Floats,
    grads: Floats,
    *,
    step_size: float = 1e-3,
    weight_decay: float = 0.01,
    schedule: Floats = 1.0,
    **adam: float,
) -> Iterator[Floats]:
    multipliers = np.broadcast_to(schedule, STEPS)
    for t in range(1, STEPS + 1):
        theta = theta - multipliers[t - 1] * (step_size * direction(grads[:t], **adam) + weight_decay * theta)
        yield theta


COSINE = (1 + np.cos(np.linspace(0, np.pi, STEPS))) / 2
OTHER_ADAM = {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}
OPINIONS = [
    (sgdm_lecture, {}),
    (sgdm_lecture, {"lr": 0.1 * COSINE, "momentum": 0.5}),
    (sgdm_ema, {}),
    (sgdm_ema, {"lr": 0.1, "beta1": 0.0}),
    (adagrad_lecture, {}),
    (adagrad_lecture, {"lr": 1.0}),
    (rmsprop_lecture, {}),
    (rmsprop_lecture, {"lr": 1.0, "alpha": 0.5}),
    (adam_lecture, {}),
    (adam_lecture, {"lr": 0.1, **OTHER_ADAM}),
    (adam_eps_hat, {}),
    (adam_eps_hat, {"lr": 0.1, **OTHER_ADAM}),
    (adamw_inside, {}),
    (adamw_inside, {"lr": 0.1, "weight_decay": 0.3, **OTHER_ADAM}),
    (adamw_after, {}),
    (adamw_after, {"lr": 0.1, "weight_decay": 0.3, **OTHER_ADAM}),
    (adamw_schedule, {}),
    (adamw_schedule, {"step_size": 0.1, "schedule": COSINE, "weight_decay": 0.3, **OTHER_ADAM}),
]


@pytest.mark.parametrize(("formula", "hypers"), OPINIONS, ids=lambda value: getattr(value, "__name__", None))
def test_the_same_steps_as_the_formula(
    formula: Callable[..., Iterator[Floats]], hypers: dict[str, Any], generated_by_name: Any
) -> None:
    rng = np.random.default_rng(2)
    start = rng.normal(size=100)
    grads = rng.normal(size=(STEPS, 100)) * 10 ** rng.uniform(-3, 3, (STEPS, 1))
    theta = start.copy()
    optimizer = generated_by_name(formula.__name__).kind([theta])
    for k, wanted in enumerate(formula(start, grads, **hypers)):
        optimizer.step([grads[k]], **{name: np.broadcast_to(value, STEPS)[k] for name, value in hypers.items()})
        size = np.maximum(np.abs(theta), np.abs(theta - start))
        assert (np.abs(theta - wanted) <= 1e-12 * size).all(), f"step {k + 1}"
