"""AMSGrad, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.adam import ADAM, EPS, OPTAX
from opinions.base import Floats, Opinion, Path, average, optax, past_gradients, torch

PAPER = {"bias_correction_mu": False, "bias_correction_nu": False}


def optax_amsgrad(optax: Any, *, lr: float = 1e-3, **amsgrad: Any) -> Any:
    """optax.amsgrad."""
    return optax.amsgrad(lr, **amsgrad)


def paper_amsgrad(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Path:
    """Reddi, Kale & Kumar 2018, Algorithm 2 at a constant rate, with eps in the root."""
    largest = np.zeros_like(theta)
    for past in past_gradients(grads):
        largest = np.maximum(largest, average(past**2, beta2))
        theta = theta - lr * average(past, beta1) / np.sqrt(largest + eps)
        yield theta


OPINIONS: tuple[Opinion, ...] = (
    torch("amsgrad", "Adam", ADAM, options="(amsgrad)", extra={"amsgrad": True}),
    optax(
        "amsgrad",
        optax_amsgrad,
        "amsgrad",
        ({"beta2": 0.9},),
        renamed=OPTAX,
        differs=(0.01, 1),
        why="the maximum is of what is bias-corrected already",
    ),
    Opinion("amsgrad_lecture", "Reddi, Kale & Kumar 2018", paper_amsgrad, ADAM),
    optax(
        "amsgrad_lecture",
        optax_amsgrad,
        "amsgrad(eps=0, eps_root, no bias correction)",
        EPS,
        renamed={**OPTAX, "eps": "eps_root"},
        extra={"eps": 0.0, **PAPER},
    ),
    torch(
        "amsgrad_lecture",
        "Adam",
        options="(amsgrad)",
        settings=({},),
        extra={"amsgrad": True},
        differs=(0.3, 3),
        why="there is bias correction, and eps is outside the root",
    ),
    optax("amsgrad_optax", optax_amsgrad, "amsgrad", ADAM, renamed=OPTAX),
    torch(
        "amsgrad_optax",
        "Adam",
        ({"beta2": 0.9},),
        options="(amsgrad)",
        extra={"amsgrad": True},
        differs=(0.01, 1),
        why="the maximum is of what is not bias-corrected yet",
    ),
)
