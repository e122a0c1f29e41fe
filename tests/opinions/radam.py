"""RAdam, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.adam import EPS, OPTAX
from opinions.base import (
    Floats,
    Numbers,
    Opinion,
    Path,
    average,
    discounted,
    optax,
    past_gradients,
    torch,
)


def length(t: int, beta2: float) -> float:
    """How many gradients an average is worth: twice their mean age, counted from 1, less 1."""
    ages = np.arange(t, 0.0, -1.0)
    return float(2 * discounted(ages, beta2) / discounted(np.ones(t), beta2) - 1)


def factor(rho: float, beta2: float) -> float:
    """Liu et al. 2020, eq. 5 and Algorithm 2, line 11."""
    full = 2 / (1 - beta2) - 1
    return float(np.sqrt((rho - 4) / (full - 4) * (rho - 2) / (full - 2) * full / rho))


def authors_radam(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Path:
    """The code of RAdam's authors, by default: from 5 on, and nothing before."""
    for past in past_gradients(grads):
        t = len(past)
        rho = length(t, beta2)
        if rho >= 5:
            rate = lr * np.sqrt(1 - beta2**t) * factor(rho, beta2) / (1 - beta1**t)
            theta = theta - rate * average(past, beta1) / (np.sqrt(average(past**2, beta2)) + eps)
        yield theta


def optax_radam(optax: Any, *, lr: float = 1e-3, **radam: float) -> Any:
    """optax.radam."""
    return optax.radam(lr, **radam)


def optax_sgdm(optax: Any, *, lr: float = 1e-3, beta1: float = 0.9) -> Any:
    """Descent along a moving average without bias, put together from optax's parts."""
    return optax.chain(optax.ema(beta1, debias=True), optax.scale_by_learning_rate(lr))


RADAM: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
    {"lr": 3e-4, "beta1": 0.0, "beta2": 0.99, "eps": 1e-3},
    {"lr": 0.1, "beta2": 0.6},
)
NO_EPS: tuple[Numbers, ...] = tuple({**setting, "eps": 0.0} for setting in RADAM)
IN_ROOT = {**OPTAX, "eps": "eps_root"}

OPINIONS: tuple[Opinion, ...] = (
    optax("sgdm_debiased", optax_sgdm, "ema(debias)", ({}, {"lr": 0.1, "beta1": 0.0}, {"lr": 1.0, "beta1": 0.99})),
    torch("radam", "RAdam", RADAM),
    optax("radam", optax_radam, "radam(eps=0)", NO_EPS, renamed=OPTAX),
    optax(
        "radam",
        optax_radam,
        "radam",
        ({"eps": 1e-4},),
        renamed=OPTAX,
        differs=(1e-3, 0.3),
        why="eps is added after v is corrected",
    ),
    Opinion(
        "radam", "LiyuanLucasLiu/RAdam", authors_radam, ({},), differs=(0.5, 1.1), why="nothing moves before the switch"
    ),
    optax(
        "radam_lecture",
        optax_radam,
        "radam(eps=0, eps_root, threshold=4)",
        ({**EPS[0], "beta2": 0.999}, *({"eps": 1e-8, **setting} for setting in RADAM[1:3])),
        renamed=IN_ROOT,
        extra={"eps": 0.0, "threshold": 4.0},
    ),
    torch(
        "radam_lecture",
        "RAdam",
        ({},),
        differs=(0.01, 0.9),
        why="the switch comes a step later",
    ),
    Opinion("radam_authors", "LiyuanLucasLiu/RAdam", authors_radam, RADAM),
    torch("radam_authors", "RAdam", ({},), differs=(10, 1e15), why="before the switch the gradients move it"),
)
