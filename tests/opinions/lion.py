"""Lion, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion, Path, average, optax, past_gradients
from opinions.sgd import COSINE


def optax_lion(
    optax: Any, *, lr: Any = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 1e-2
) -> Any:
    """The decay joins the sign."""
    return optax.lion(lr, beta1, beta2, weight_decay=weight_decay)


def timm_lion(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 1e-2,
) -> Path:
    """Lion of timm, Keras, MLX and bitsandbytes: decay, then move."""
    for past in past_gradients(grads):
        theta = theta * (1 - lr * weight_decay)
        theta = theta - lr * np.sign(beta1 * average(past[:-1], beta2) + (1 - beta1) * past[-1])
        yield theta


LION: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.3},
    {"lr": 1e-3, "beta1": 0.0, "weight_decay": 0.0},
)


OPINIONS: tuple[Opinion, ...] = (
    optax("lion", optax_lion, "lion", (*LION, {"lr": COSINE})),
    Opinion("lion", "timm, keras, mlx, bitsandbytes Lion", timm_lion, LION),
)
