"""AdEMAMix, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import (
    Floats,
    Numbers,
    Opinion,
    Path,
    average,
    mean,
    optax,
    optax_path,
    past_gradients,
)


def make(optax: Any, *, lr: Any, beta1: float, beta2: float, beta3: Any, **words: Any) -> Any:
    """optax.contrib.ademamix."""
    return optax.contrib.ademamix(lr, beta1, beta2, beta3, **words)


def scheduled(
    theta: Floats,
    grads: Floats,
    *,
    alpha: float,
    alpha_warmup: float,
    beta_start: float,
    beta3: float,
    beta3_warmup: float,
    **words: Any,
) -> Path:
    """optax.contrib.ademamix with the schedules of apple/ml-ademamix, which count from 1, less their guard of 1e-8.

    There the half-life is one step shorter, and that step is added again where it becomes a decay.
    """
    t = np.arange(1, len(grads) + 1)
    alphas = alpha * np.minimum(t / alpha_warmup, 1)
    start, end = (np.log(0.5) / np.log(beta) - 1 for beta in (beta_start, beta3))
    part = np.minimum(t / beta3_warmup, 1)
    betas = 0.5 ** (1 / ((1 - part) * start + part * end + 1))
    return optax_path(make)(theta, grads, alpha=tuple(alphas), beta3=tuple(betas), **words)


def apple(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    beta3: float = 0.9999,
    alpha: float = 5.0,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Path:
    """The PyTorch code of apple/ml-ademamix without warm-ups; alpha is 2 there unless given."""
    for past in past_gradients(grads):
        mixed = mean(past, beta1) + alpha * average(past, beta3)
        theta = theta - lr * (mixed / (np.sqrt(mean(past**2, beta2)) + eps) + weight_decay * theta)
        yield theta


ADEMAMIX: tuple[Numbers, ...] = (
    {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "beta3": 0.9999, "alpha": 5.0, "eps": 1e-8, "weight_decay": 0.0},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "beta3": 0.99, "alpha": 2.0, "eps": 1e-6, "weight_decay": 0.3},
    {"lr": 3e-4, "beta1": 0.0, "beta2": 0.99, "beta3": 0.9, "alpha": 0.0, "eps": 1e-3, "weight_decay": 0.1},
)
WARM = tuple(
    {**setting, "beta_start": start, "alpha_warmup": one, "beta3_warmup": other}
    for setting, start, one, other in zip(ADEMAMIX, (0.9, 0.5, 0.8), (256_000, 70, 1), (1000, 30, 50.5), strict=True)
)


OPINIONS: tuple[Opinion, ...] = (
    optax("ademamix", make, "contrib.ademamix", ADEMAMIX),
    Opinion("ademamix", "apple/ml-ademamix", apple, ({}, *ADEMAMIX)),
    Opinion("ademamix_scheduled", "optax.contrib.ademamix, apple's schedules", scheduled, WARM, needs="optax"),
    Opinion(
        "ademamix_scheduled",
        "apple/ml-ademamix without warm-ups",
        apple,
        ({"beta3": 0.9},),
        differs=(0.1, 10),
        why="alpha and beta3 do not rise",
    ),
)
