"""Adafactor, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import STACKS, Floats, Numbers, Opinion, Path, optax, torch

TORCH = {"rms_limit": "d"}


def make(
    optax: Any,
    *,
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps1: float = 1e-30,
    eps2: float = 1e-3,
    rms_limit: float = 1.0,
) -> Any:
    """optax.adafactor put together from its parts: its own power of t is in float32, and its rate is free."""
    scale = optax.scale_by_factored_rms(
        min_dim_size_to_factor=1, epsilon=eps1, decay_rate_fn=lambda k, _: 1 - (k + 1.0) ** beta2_decay
    )
    rate = optax.scale_by_schedule(lambda k: -((k + 1.0).clip(min=lr**-2) ** -0.5))
    return optax.chain(scale, optax.clip_by_block_rms(rms_limit), rate, optax.scale_by_param_block_rms(eps2))


def rms(x: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(x * x)))


def paper(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps1: float = 1e-30,
    eps2: float = 1e-3,
    rms_limit: float = 1.0,
) -> Path:
    """Shazeer & Stern 2018, Algorithm 4 for matrices and Algorithm 5, which does not factor, for vectors."""
    weights = np.ones(0)
    for t, grad in enumerate(grads, 1):
        share = t**beta2_decay
        weights = np.append(weights * (1 - share), share)
        second = np.tensordot(weights, grads[:t] ** 2 + eps1, 1)
        if grad.ndim > 1:  # row and column sums of the average are the averages of row and column sums
            rows, columns = second.sum(-1, keepdims=True), second.sum(-2, keepdims=True)
            second = rows @ columns / rows.sum(-2, keepdims=True)
        update = grad / np.sqrt(second)
        step = max(eps2, rms(theta)) * min(lr, t**-0.5)
        theta = theta - step * update / max(1.0, rms(update) / rms_limit)
        yield theta


PAPER: tuple[Numbers, ...] = (
    {},
    {"lr": 1.0, "beta2_decay": -0.5, "rms_limit": 0.5, "eps2": 0.1},
    {"lr": 0.1, "beta2_decay": -1.0, "rms_limit": 2.0, "eps1": 1e-2},
)
LIBRARY: tuple[Numbers, ...] = (
    {"eps1": 2.0**-52},
    {"lr": 0.3, "beta2_decay": -0.5, "rms_limit": 1.5, "eps1": 1e-10, "eps2": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "beta2_decay": -1.0, "rms_limit": 2.0, "eps1": 10.0, "eps2": 1e-3, "weight_decay": 0.0},
)
NEITHER: tuple[Numbers, ...] = ({"eps1": 1e-30, "eps2": 1e-3}, {"eps1": 1e-30, "eps2": 0.1, "lr": 1.0})

OPINIONS: tuple[Opinion, ...] = (
    torch("adafactor", "Adafactor", LIBRARY, renamed=TORCH, shapes=STACKS),
    Opinion(
        "adafactor", "Shazeer & Stern 2018", paper, ({"eps1": 0.1},), differs=(0.1, 10), why="eps1 is in every square"
    ),
    torch("adafactor_paper", "Adafactor", NEITHER, renamed=TORCH, shapes=STACKS),
    torch(
        "adafactor_paper",
        "Adafactor",
        ({"eps1": 0.1},),
        options="(eps)",
        differs=(0.1, 10),
        why="eps1 is a bound, not a summand",
    ),
    Opinion("adafactor_paper", "Shazeer & Stern 2018", paper, PAPER, shapes=STACKS),
    optax("adafactor_paper", make, "scale_by_factored_rms", PAPER, shapes=STACKS),
)
