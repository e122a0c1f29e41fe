"""AdaBelief, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion, Path, average, mean, optax, past_gradients


def make(optax: Any, *, lr: float, beta1: float, beta2: float, eps: float, eps_root: float | None = None) -> Any:
    """optax.adabelief, which has two eps."""
    return optax.adabelief(lr, beta1, beta2, eps, eps if eps_root is None else eps_root)


def paper(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-16
) -> Path:
    """Zhuang et al. 2020, Algorithm 2: the average of squared surprises, and eps in every term of the sum."""
    means = np.stack([average(past, beta1) for past in past_gradients(grads)])
    for past, surprises in zip(past_gradients(grads), past_gradients(grads - means), strict=True):
        belief = mean(surprises**2 + eps / (1 - beta2), beta2)
        theta = theta - lr * mean(past, beta1) / (np.sqrt(belief) + eps)
        yield theta


SETTINGS: tuple[Numbers, ...] = (
    {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-16},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
    {"lr": 3e-4, "beta1": 0.95, "beta2": 0.99, "eps": 1e-3},
)


OPINIONS: tuple[Opinion, ...] = (
    optax("adabelief", make, "adabelief", SETTINGS),
    optax(
        "adabelief",
        make,
        "adabelief(eps_root=0)",
        SETTINGS[-1:],
        extra={"eps_root": 0.0},
        differs=(0.3, 50),
        why="eps is not added to what is kept",
    ),
    Opinion("adabelief", "Zhuang et al. 2020", paper, ({}, *SETTINGS)),
)
