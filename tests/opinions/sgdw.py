"""SGDW, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Opinion, Path, at, optax, torch
from opinions.sgd import COSINE, DAMPED, SGDM_L2, STRONG, optax_outside


def timm_sgdw(
    theta: Floats,
    grads: Floats,
    *,
    lr: Any = 1e-2,
    momentum: float = 0.9,
    dampening: float = 0.0,
    weight_decay: float = 1e-2,
) -> Path:
    """The SGDW of timm: shrink by lr * weight_decay, then PyTorch's momentum."""
    buffer = grads[0]
    for k, grad in enumerate(grads):
        theta = theta * (1 - at(lr, k) * weight_decay)
        buffer = momentum * buffer + (1 - dampening) * grad if k else grad
        theta = theta - at(lr, k) * buffer
        yield theta


def optax_fixed(optax: Any, *, lr: Any = 1e-2, momentum: float = 0.9, weight_decay: float = 1e-4) -> Any:
    """Decay put behind everything, where no learning rate multiplies it."""
    return optax.chain(
        optax.scale_by_learning_rate(lr), optax.trace(momentum), optax.add_decayed_weights(-weight_decay)
    )


def paper_sgdw(
    theta: Floats,
    grads: Floats,
    *,
    schedule: Any = 1.0,
    step_size: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> Path:
    """Loshchilov & Hutter 2019, Algorithm 1, lines 8 and 9."""
    m = np.zeros_like(theta)
    for k, grad in enumerate(grads):
        m = momentum * m + at(schedule, k) * step_size * grad
        theta = theta - m - at(schedule, k) * weight_decay * theta
        yield theta


OPINIONS: tuple[Opinion, ...] = (
    Opinion(
        "sgdw",
        "timm SGDW",
        timm_sgdw,
        (
            {},
            *({**setting, "weight_decay": 0.1} for setting in DAMPED),
            {"lr": COSINE, "momentum": 0.9, "weight_decay": 0.1},
        ),
    ),
    optax(
        "sgdw",
        optax_outside,
        "trace, add_decayed_weights, scale_by_learning_rate",
        (*SGDM_L2, {"lr": COSINE, "momentum": 0.9, "weight_decay": 0.1}),
    ),
    torch(
        "sgdw",
        "SGD",
        STRONG,
        options="(momentum, weight_decay)",
        differs=(1e-3, 0.5),
        why="the decay passes through the momentum",
    ),
    optax(
        "sgdw_lecture",
        optax_fixed,
        "scale_by_learning_rate, trace, add_decayed_weights",
        ({}, *SGDM_L2, {"lr": COSINE, "momentum": 0.9, "weight_decay": 0.1}),
    ),
    Opinion(
        "sgdw_lecture",
        "timm SGDW",
        timm_sgdw,
        STRONG,
        differs=(0.01, 1.1),
        why="the learning rate multiplies the decay",
    ),
    Opinion(
        "sgdw_schedule",
        "Loshchilov & Hutter 2019",
        paper_sgdw,
        ({}, {"step_size": 0.1, "schedule": COSINE, "momentum": 0.5, "weight_decay": 0.3}),
    ),
    Opinion(
        "sgdw_schedule",
        "timm SGDW",
        timm_sgdw,
        ({"step_size": 0.1, "momentum": 0.9, "weight_decay": 0.1},),
        renamed={"step_size": "lr"},
        differs=(0.01, 1.1),
        why="the learning rate multiplies the decay",
    ),
)
