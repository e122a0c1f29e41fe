"""Adagrad, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Opinion, Path, optax, past_gradients, torch


def adagrad(theta: Floats, grads: Floats, *, lr: float = 1e-2, eps: float = 0.0) -> Path:
    """Duchi et al. 2011, and with eps outside the root MLX and bitsandbytes: sums over all gradients."""
    for past in past_gradients(grads):
        theta = theta - lr * past[-1] / (np.sqrt(np.sum(past**2, axis=0)) + eps)
        yield theta


def keras_adagrad(
    theta: Floats, grads: Floats, *, lr: float = 1e-2, eps: float = 1e-7, initial_accumulator: float = 0.1
) -> Path:
    """Keras Adagrad.update_step: eps inside the root, a sum that starts at 0.1."""
    for past in past_gradients(grads):
        theta = theta - lr * past[-1] / np.sqrt(initial_accumulator + np.sum(past**2, axis=0) + eps)
        yield theta


def optax_adagrad(optax: Any, *, lr: float = 1e-2, eps: float = 1e-7, initial_accumulator: float = 0.1) -> Any:
    """The same, and no movement where no gradient has been."""
    return optax.adagrad(lr, initial_accumulator, eps)


START = {"initial_accumulator": "initial_accumulator_value"}
OURS = ({"eps": 1e-10, "initial_accumulator": 0},)


OPINIONS: tuple[Opinion, ...] = (
    torch("adagrad", "Adagrad", ({}, {"lr": 1.0, "lr_decay": 1.0}, {"eps": 1e-2})),
    torch(
        "adagrad",
        "Adagrad",
        ({"lr": 0.1, "lr_decay": 0.05, "initial_accumulator": 0.1},),
        options="(initial_accumulator_value)",
        renamed=START,
    ),
    Opinion("adagrad", "mlx, bitsandbytes Adagrad", adagrad, ({"eps": 1e-10}, {"lr": 1.0, "eps": 1e-2})),
    Opinion(
        "adagrad",
        "keras Adagrad, our constants",
        keras_adagrad,
        OURS,
        differs=(0.5, 1.1),
        why="eps is inside the root",
    ),
    Opinion(
        "adagrad",
        "keras Adagrad",
        keras_adagrad,
        differs=(0.7, 1.1),
        why="the sum starts at 0.1, and eps = 1e-7 is inside the root",
    ),
    optax(
        "adagrad",
        optax_adagrad,
        "adagrad, our constants",
        OURS,
        differs=(0.5, 1.1),
        why="eps is inside the root",
    ),
    optax(
        "adagrad",
        optax_adagrad,
        "adagrad",
        differs=(0.7, 1.1),
        why="the sum starts at 0.1, and eps = 1e-7 is inside the root",
    ),
    optax("adagrad", optax_adagrad, "adagrad(eps=0)", ({"eps": 0.0, "initial_accumulator": 0.1},)),
    Opinion("adagrad_lecture", "Duchi et al. 2011", adagrad, ({}, {"lr": 1.0})),
    optax(
        "adagrad_lecture",
        optax_adagrad,
        "adagrad(eps=0, initial_accumulator_value=0)",
        ({}, {"lr": 1.0}),
        extra={"eps": 0.0, "initial_accumulator": 0.0},
    ),
)
