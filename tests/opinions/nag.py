"""Nesterov's rule, as others compute it."""

from __future__ import annotations

from typing import Any

from opinions.base import Floats, Numbers, Opinion, Path, at, optax, torch
from opinions.sgd import COSINE, FALLS, SGDM, keras_sgd, polyak


def nesterov(theta: Floats, grads: Floats, *, lr: Any = 1e-2, momentum: float = 0.9, ahead: bool = False) -> Path:
    """Nesterov 1983: descend from the point ahead, then look ahead along the last movement.

    The gradients are those at the points ahead; what is returned are these, or else the points that are reached.
    """
    point = there = theta
    for k, grad in enumerate(grads):
        last, point = point, there - at(lr, k) * grad
        there = point + momentum * (point - last)
        yield there if ahead else point


VARYING: tuple[Numbers, ...] = (*SGDM, {"lr": COSINE, "momentum": 0.9})
NESTEROV: Numbers = {"nesterov": True}


OPINIONS: tuple[Opinion, ...] = (
    torch("nag", "SGD", VARYING, options="(momentum, nesterov)", extra=NESTEROV),
    optax(
        "nag",
        lambda optax, *, lr, momentum: optax.sgd(lr, momentum, nesterov=True),
        "sgd(momentum, nesterov)",
        VARYING,
    ),
    Opinion("nag", "keras SGD(momentum, nesterov)", keras_sgd, SGDM, NESTEROV),
    Opinion(
        "nag",
        "keras SGD(momentum, nesterov), lr falls",
        keras_sgd,
        FALLS,
        NESTEROV,
        differs=(0.15, 3),
        why="the learning rate is inside the momentum, and a new one acts on new gradients only",
    ),
    Opinion(
        "nag",
        "bitsandbytes SGD(momentum, nesterov)",
        polyak,
        ({"momentum": 0.9},),
        differs=(0.01, 0.5),
        why="the flag nesterov is ignored",
    ),
    Opinion("nag_lookahead", "Nesterov 1983, points reached", nesterov, ({}, *VARYING)),
    torch(
        "nag_lookahead",
        "SGD",
        ({"lr": 1e-2, "momentum": 0.9},),
        options="(momentum, nesterov)",
        extra=NESTEROV,
        differs=(0.01, 0.5),
        why="theta is the point ahead",
    ),
    Opinion("nag_lecture", "Nesterov 1983, points ahead", nesterov, ({}, *VARYING), {"ahead": True}),
    Opinion("nag_lecture", "keras SGD(momentum, nesterov)", keras_sgd, VARYING, NESTEROV),
    torch("nag_lecture", "SGD", SGDM, options="(momentum, nesterov)", extra=NESTEROV),
    torch(
        "nag_lecture",
        "SGD",
        FALLS,
        options="(momentum, nesterov), lr falls",
        extra=NESTEROV,
        differs=(0.15, 3),
        why="the learning rate multiplies the momentum, and a new one acts on old gradients too",
    ),
)
