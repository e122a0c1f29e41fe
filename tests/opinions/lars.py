"""LARS, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import STACKS, Floats, Numbers, Opinion, Path, optax


def make(optax: Any, *, lr: float = 1e-2, weight_decay: float = 5e-4, **details: float) -> Any:
    """optax.lars, which decays nothing by default."""
    return optax.lars(lr, weight_decay=weight_decay, **details)


def paper(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-2,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    trust_coefficient: float = 1e-3,
) -> Path:
    """You et al. 2017, Algorithm 1; LarsMomentum of PaddlePaddle."""
    velocity = np.zeros_like(theta)
    for grad in grads:
        size = np.linalg.norm(theta)
        local_lr = trust_coefficient * size / (np.linalg.norm(grad) + weight_decay * size)
        velocity = momentum * velocity + lr * local_lr * (grad + weight_decay * theta)
        theta = theta - velocity
        yield theta


LARS: tuple[Numbers, ...] = (
    {},
    {"lr": 10.0, "momentum": 0.5, "weight_decay": 0.3, "trust_coefficient": 1e-2},
    {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "trust_coefficient": 1.0},
)
WITHOUT_DECAY = tuple({**setting, "weight_decay": 0.0} for setting in LARS)


OPINIONS: tuple[Opinion, ...] = (
    optax("lars", make, "lars", (*LARS, {"lr": 1.0, "eps": 1e-3}), shapes=STACKS),
    Opinion("lars", "You et al. 2017 without decay", paper, WITHOUT_DECAY, shapes=STACKS),
    Opinion(
        "lars",
        "You et al. 2017",
        paper,
        ({"weight_decay": 1.0},),
        differs=(0.01, 5),
        why="norms are added, not what they are of",
    ),
    Opinion("lars_paper", "You et al. 2017, PaddlePaddle LarsMomentum", paper, LARS, shapes=STACKS),
    optax("lars_paper", make, "lars without decay", WITHOUT_DECAY, shapes=STACKS),
    optax(
        "lars_paper",
        make,
        "lars",
        ({"weight_decay": 1.0},),
        differs=(0.01, 5),
        why="the decay joins the gradient before the norm",
    ),
)
