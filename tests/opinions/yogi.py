"""Yogi, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion, Path, average, optax, past_gradients


def make(optax: Any, *, lr: float, beta1: float, beta2: float, eps: float, initial_accumulator: float = 1e-6) -> Any:
    """optax.yogi, by the parts that it is made of since it does not hand on where the averages start."""
    yogi = optax.scale_by_yogi(beta1, beta2, eps, initial_accumulator_value=initial_accumulator)
    return optax.chain(yogi, optax.scale_by_learning_rate(lr))


def paper(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-3
) -> Path:
    """Zaheer et al. 2018, Algorithm 2: m starts at 0, v as the first squared gradient, no bias correction."""
    v = grads[0] ** 2
    for past in past_gradients(grads):
        square = past[-1] ** 2
        v = np.where(v < square, v + (1 - beta2) * square, np.where(v > square, v - (1 - beta2) * square, v))
        theta = theta - lr * average(past, beta1) / (np.sqrt(v) + eps)
        yield theta


SETTINGS: tuple[Numbers, ...] = (
    {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-3},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
    {"lr": 0.01, "beta1": 0.0, "beta2": 0.99, "eps": 1e-6},
)
STARTS = tuple({**setting, "initial_accumulator": start} for setting, start in zip(SETTINGS, (0, 1, 0.1), strict=True))


OPINIONS: tuple[Opinion, ...] = (
    optax("yogi", lambda optax, **h: optax.yogi(*h.values()), "yogi", SETTINGS),
    optax("yogi", make, "scale_by_yogi(initial_accumulator_value)", STARTS),
    Opinion("yogi", "Zaheer et al. 2018", paper, differs=(0.5, 5), why="nothing is bias-corrected, and v starts as g²"),
)
