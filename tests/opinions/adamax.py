"""Adamax, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.adam import OPTAX
from opinions.base import Floats, Numbers, Opinion, Path, average, mean, optax, past_gradients, torch


def largest(past: Floats, beta2: float) -> Floats:
    """The largest gradient so far, each discounted by its age."""
    discounts = beta2 ** np.arange(len(past) - 1.0, -1.0, -1.0)
    result: Floats = np.max(discounts.reshape(-1, *[1] * (past.ndim - 1)) * np.abs(past), axis=0)
    return result


def keras_adamax(
    theta: Floats, grads: Floats, *, lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 0.0
) -> Path:
    """Kingma & Ba 2015, Algorithm 2, and with eps outside the maximum Keras Adamax.update_step."""
    for past in past_gradients(grads):
        theta = theta - lr * mean(past, beta1) / (largest(past, beta2) + eps)
        yield theta


def mlx_adamax(
    theta: Floats, grads: Floats, *, lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Path:
    """MLX Adamax: no bias correction."""
    for past in past_gradients(grads):
        theta = theta - lr * average(past, beta1) / (largest(past, beta2) + eps)
        yield theta


def optax_adamax(optax: Any, *, lr: float = 2e-3, **adamax: float) -> Any:
    """optax.adamax."""
    return optax.adamax(lr, **adamax)


ADAMAX: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
    {"lr": 3e-4, "beta1": 0.0, "beta2": 0.5, "eps": 1e-3},
)
NO_EPS: tuple[Numbers, ...] = ({}, {"lr": 0.1, "beta1": 0.5, "beta2": 0.9}, {"lr": 3e-4, "beta1": 0.0, "beta2": 0.5})

OPINIONS: tuple[Opinion, ...] = (
    torch("adamax", "Adamax", ADAMAX),
    optax("adamax", optax_adamax, "adamax", ADAMAX, renamed=OPTAX),
    Opinion(
        "adamax",
        "keras Adamax",
        keras_adamax,
        ({"eps": 1e-3, "beta2": 0.5},),
        differs=(1e-3, 1),
        why="eps is outside the maximum, and so never forgotten",
    ),
    Opinion("adamax", "mlx Adamax", mlx_adamax, ({},), differs=(0.2, 0.9), why="there is no bias correction"),
    Opinion("adamax_paper", "Kingma & Ba 2015", keras_adamax, NO_EPS),
    torch("adamax_paper", "Adamax", NO_EPS, options="(eps=0)", extra={"eps": 0.0}),
    torch("adamax_paper", "Adamax", ({},), differs=(1e-3, 1), why="eps joins each gradient's size"),
)
