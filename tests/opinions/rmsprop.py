"""RMSProp, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion, Path, average, optax, past_gradients, torch


def optax_rmsprop(optax: Any, *, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, **details: Any) -> Any:
    """The RMSProp of optax: eps is inside the root unless eps_in_sqrt is false."""
    return optax.rmsprop(lr, alpha, eps, **details)


def rmsprop(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    start: float = 0.0,
) -> Path:
    """Keras and, with a v that starts at 1, timm's RMSpropTF: eps inside the root."""
    trace = np.zeros_like(theta)
    for past in past_gradients(grads):
        v = average(past**2, alpha) + alpha ** len(past) * start
        v = np.maximum(v - average(past, alpha) ** 2, 0) if centered else v
        trace = momentum * trace + past[-1] / np.sqrt(v + eps)
        theta = theta - lr * trace
        yield theta


def hinton(theta: Floats, grads: Floats, *, lr: float = 1e-2, alpha: float = 0.99) -> Path:
    """Hinton 2012 as lectures write it: v starts as the first squared gradient."""
    v = grads[0] ** 2
    for k, grad in enumerate(grads):
        v = alpha * v + (1 - alpha) * grad**2 if k else v
        theta = theta - lr * grad / np.sqrt(v)
        yield theta


RMSPROP: tuple[Numbers, ...] = ({}, {"lr": 1e-3, "alpha": 0.9, "eps": 1e-4}, {"lr": 0.1, "alpha": 0.5})
MOMENTUM = tuple({**setting, "momentum": value} for setting, value in zip(RMSPROP, (0.9, 0.5, 0.0), strict=True))


OUTSIDE: Numbers = {"eps_in_sqrt": False}
CENTERED: Numbers = {"centered": True}
INSIDE: dict[str, Any] = {"differs": (0.5, 1.1), "why": "eps is inside the root"}


OPINIONS: tuple[Opinion, ...] = (
    torch("rmsprop", "RMSprop", RMSPROP),
    optax("rmsprop", optax_rmsprop, "rmsprop(eps_in_sqrt=False)", RMSPROP, extra=OUTSIDE),
    optax("rmsprop", optax_rmsprop, "rmsprop", **INSIDE),
    Opinion("rmsprop", "keras RMSprop", rmsprop, **INSIDE),
    Opinion(
        "rmsprop",
        "timm RMSpropTF",
        rmsprop,
        extra={"start": 1.0},
        differs=(0.7, 1.1),
        why="v starts at 1, and eps is inside the root",
    ),
    torch("rmsprop_momentum", "RMSprop", MOMENTUM[1:], options="(momentum)"),
    optax("rmsprop_momentum", optax_rmsprop, "rmsprop(momentum, eps_in_sqrt=False)", MOMENTUM, extra=OUTSIDE),
    optax("rmsprop_momentum", optax_rmsprop, "rmsprop(momentum)", MOMENTUM[:1], **INSIDE),
    Opinion("rmsprop_momentum", "keras RMSprop(momentum)", rmsprop, MOMENTUM[:1], **INSIDE),
    torch("rmsprop_centered", "RMSprop", RMSPROP, options="(centered)", extra=CENTERED),
    optax(
        "rmsprop_centered",
        optax_rmsprop,
        "rmsprop(centered, eps_in_sqrt=False)",
        RMSPROP,
        extra={**OUTSIDE, **CENTERED},
    ),
    optax("rmsprop_centered", optax_rmsprop, "rmsprop(centered)", extra=CENTERED, **INSIDE),
    Opinion("rmsprop_centered", "keras RMSprop(centered)", rmsprop, extra=CENTERED, **INSIDE),
    torch("rmsprop_centered_momentum", "RMSprop", MOMENTUM[1:], options="(centered, momentum)", extra=CENTERED),
    optax(
        "rmsprop_centered_momentum",
        optax_rmsprop,
        "rmsprop(centered, momentum, eps_in_sqrt=False)",
        MOMENTUM[1:],
        extra={**OUTSIDE, **CENTERED},
    ),
    Opinion("rmsprop_lecture", "Hinton 2012", hinton, ({}, {"lr": 1.0, "alpha": 0.5})),
    torch(
        "rmsprop_lecture",
        "RMSprop",
        ({"lr": 1e-2},),
        differs=(0.5, 20),
        why="v starts at 0, so that the first steps are ten times as long",
    ),
)
