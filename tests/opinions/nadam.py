"""Nadam, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.adam import ADAM, EPS, OPTAX
from opinions.base import Floats, Numbers, Opinion, Path, average, mean, optax, past_gradients, torch


def keras_nadam(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-7,
    momentum_decay: float = 1.0,
) -> Path:
    """Keras Nadam.update_step, whose momentum_decay is 1; with 0.004 timm's NAdam."""
    momenta = beta1 * (1 - 0.5 * 0.96 ** (momentum_decay * np.arange(1, len(grads) + 2)))
    for past in past_gradients(grads):
        t = len(past)
        now, later = momenta[t - 1], momenta[t]
        ahead = later * average(past, beta1) / (1 - np.prod(momenta[: t + 1]))
        direction = ahead + (1 - now) * past[-1] / (1 - np.prod(momenta[:t]))
        theta = theta - lr * direction / (np.sqrt(mean(past**2, beta2)) + eps)
        yield theta


def optax_nadam(optax: Any, *, lr: float = 1e-3, **nadam: float) -> Any:
    """optax.nadam, which is optax.adam(nesterov=True)."""
    return optax.nadam(lr, **nadam)


NADAM: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "momentum_decay": 0.1},
    {"lr": 3e-4, "beta1": 0.0, "beta2": 0.99, "eps": 1e-3},
)

OPINIONS: tuple[Opinion, ...] = (
    torch("nadam", "NAdam", NADAM, options=", its scalars in double precision"),
    Opinion(
        "nadam",
        "timm NAdam",
        keras_nadam,
        tuple({"momentum_decay": 4e-3, "eps": 1e-8, **setting} for setting in NADAM),
    ),
    Opinion(
        "nadam",
        "keras Nadam",
        keras_nadam,
        ({"eps": 1e-7},),
        differs=(0.03, 0.6),
        why="the momentum grows 250 times as fast",
    ),
    optax(
        "nadam", optax_nadam, "nadam", ({"lr": 2e-3},), renamed=OPTAX, differs=(0.2, 2), why="the momentum is constant"
    ),
    optax("nadam_dozat", optax_nadam, "nadam", ADAM, renamed=OPTAX),
    torch("nadam_dozat", "NAdam", ({"lr": 1e-3},), differs=(0.2, 2), why="the momentum grows slowly"),
    optax(
        "nadam_lecture",
        optax_nadam,
        "nadam(eps=0, eps_root)",
        EPS,
        extra={"eps": 0.0},
        renamed={**OPTAX, "eps": "eps_root"},
    ),
    optax(
        "nadam_lecture", optax_nadam, "nadam", ({},), renamed=OPTAX, differs=(0.3, 1.5), why="eps is outside the root"
    ),
)
