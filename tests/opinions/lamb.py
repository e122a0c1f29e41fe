"""LAMB, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.adam import direction
from opinions.base import STACKS, Floats, Numbers, Opinion, Path, optax, past_gradients

OPTAX = {"beta1": "b1", "beta2": "b2"}


def make(optax: Any, *, lr: float = 1e-3, weight_decay: float = 1e-2, **adam: float) -> Any:
    """optax.lamb, which decays nothing by default."""
    return optax.lamb(lr, weight_decay=weight_decay, **adam)


def clipped(optax: Any, **hypers: float) -> Any:
    """LAMB of timm and apex by default: the norm of all gradients is clipped at 1 first."""
    return optax.chain(optax.clip_by_global_norm(1.0), make(optax, **hypers))


def unbounded(optax: Any, *, norm_min: float, norm_max: float, **hypers: float) -> Any:
    """optax.lamb in the place of the paper's, whose bounds must be out of reach."""
    assert norm_min == 0
    assert norm_max > 1e6
    return make(optax, **hypers)


def paper(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    eps: float = 1e-6,
    weight_decay: float = 1e-2,
    norm_min: float = 0.0,
    norm_max: float = 10.0,
    **betas: float,
) -> Path:
    """You et al. 2020, Algorithm 2, with phi(z) = min(max(z, norm_min), norm_max)."""
    for past in past_gradients(grads):
        update = direction(past, eps=eps, **betas) + weight_decay * theta
        phi = np.clip(np.linalg.norm(theta), norm_min, norm_max)
        theta = theta - lr * phi * (update / np.linalg.norm(update))
        yield theta


LAMB: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.3},
    {"lr": 1e-2, "beta1": 0.0, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.0},
)
BOUNDED = tuple(
    {**setting, "norm_min": low, "norm_max": high}
    for setting, low, high in zip(LAMB, (0.0, 2.0, 1.0), (10.0, 3.0, 1.0), strict=True)
)
UNBOUNDED = tuple({**setting, "norm_min": 0.0, "norm_max": 1e12} for setting in LAMB)


OPINIONS: tuple[Opinion, ...] = (
    optax("lamb", make, "lamb", LAMB, renamed=OPTAX, shapes=STACKS),
    Opinion("lamb", "You et al. 2020, unbounded", paper, LAMB, extra={"norm_max": np.inf}, shapes=STACKS),
    optax(
        "lamb",
        clipped,
        "clip_by_global_norm, lamb",
        ({"lr": 1e-2},),
        differs=(0.05, 5),
        why="the gradient is clipped first",
    ),
    Opinion("lamb_paper", "You et al. 2020", paper, ({}, *BOUNDED), shapes=STACKS),
    optax("lamb_paper", unbounded, "lamb", UNBOUNDED, renamed=OPTAX, shapes=STACKS),
)
