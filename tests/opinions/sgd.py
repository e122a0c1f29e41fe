"""Gradient descent, momentum, and decay in and around it, as others compute them."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import (
    STEPS,
    Floats,
    Numbers,
    Opinion,
    Path,
    at,
    discounted,
    optax,
    past_gradients,
    torch,
)


def optax_sgd(optax: Any, *, lr: Any = 1e-2, momentum: float | None = None, weight_decay: float = 0.0) -> Any:
    """The trace starts at 0; decay before it joins the gradient."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(lr, momentum))


def optax_polyak(optax: Any, *, lr: Any = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0) -> Any:
    """The heavy ball put together from optax's parts: a trace of movements."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr), optax.trace(momentum))


def optax_outside(optax: Any, *, lr: Any = 1e-2, momentum: float = 0.9, weight_decay: float = 1e-2) -> Any:
    """The decay joins what the trace has made."""
    return optax.chain(optax.trace(momentum), optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr))


def optax_ema(optax: Any, *, lr: Any = 1e-2, beta1: float = 0.9) -> Any:
    """Descent along a moving average."""
    return optax.chain(optax.ema(beta1, debias=False), optax.scale_by_learning_rate(lr))


def keras_sgd(
    theta: Floats,
    grads: Floats,
    *,
    lr: Any = 1e-2,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Path:
    """Keras SGD.update_step: velocity = momentum * velocity - lr * g; as Sutskever et al. 2013 write it.

    Its weight_decay takes lr * weight_decay of the weights before they move.
    """
    velocity = np.zeros_like(theta)
    for k, grad in enumerate(grads):
        rate = at(lr, k)
        theta = theta - rate * weight_decay * theta
        velocity = momentum * velocity - rate * grad
        theta = theta + (momentum * velocity - rate * grad if nesterov else velocity)
        yield theta


def mlx_sgd(theta: Floats, grads: Floats, *, lr: float = 1e-2, momentum: float = 0.9, dampening: float = 0.0) -> Path:
    """MLX SGD dampens the first gradient too."""
    v = np.zeros_like(theta)
    for grad in grads:
        v = momentum * v + (1 - dampening) * grad
        theta = theta - lr * v
        yield theta


def polyak(theta: Floats, grads: Floats, *, lr: Any = 1e-2, momentum: float = 0.9) -> Path:
    """The heavy ball (Polyak 1964), movements summed over all gradients."""
    rates = np.array([at(lr, k) for k in range(len(grads))])
    for movements in past_gradients(rates.reshape(-1, *[1] * theta.ndim) * grads):
        theta = theta - discounted(movements, momentum)
        yield theta


COSINE = tuple((1 + np.cos(np.linspace(0, np.pi, STEPS))) / 2)
DROP = (0.1,) * 7 + (0.01,) * (STEPS - 7)
FALLS: tuple[Numbers, ...] = ({"lr": DROP, "momentum": 0.9},)
SGDM: tuple[Numbers, ...] = ({"lr": 0.01, "momentum": 0.9}, {"lr": 0.3, "momentum": 0.5})
DAMPED: tuple[Numbers, ...] = (
    *SGDM,
    {"lr": 0.3, "momentum": 0.5, "dampening": 0.25},
    {"lr": 0.1, "momentum": 0.99, "dampening": 0.99},
)
L2: tuple[Numbers, ...] = ({"lr": 0.01, "weight_decay": 0.01}, {"lr": 0.5, "weight_decay": 0.3})
SGDM_L2 = tuple({**setting, "weight_decay": value} for setting, value in zip(SGDM, (0.01, 0.3), strict=True))
STRONG: tuple[Numbers, ...] = ({"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},)


OPINIONS: tuple[Opinion, ...] = (
    torch("sgd", "SGD", ({"lr": 0.01}, {"lr": 1.0}, {"lr": COSINE})),
    optax("sgd", optax_sgd, "sgd", ({}, {"lr": COSINE})),
    Opinion("sgd", "keras SGD", keras_sgd, ({}, {"lr": COSINE})),
    torch("sgd_l2", "SGD", L2, options="(weight_decay)"),
    optax("sgd_l2", optax_sgd, "add_decayed_weights, sgd", L2),
    torch("sgdm", "SGD", (*DAMPED, {"lr": COSINE, "momentum": 0.9}), options="(momentum, dampening)"),
    optax("sgdm", optax_sgd, "sgd(momentum)", (*SGDM, {"lr": COSINE, "momentum": 0.9})),
    Opinion("sgdm", "keras SGD(momentum)", keras_sgd, SGDM),
    Opinion(
        "sgdm",
        "keras SGD(momentum), lr falls",
        keras_sgd,
        FALLS,
        differs=(0.15, 3),
        why="the learning rate is inside the momentum, and a new one acts on new gradients only",
    ),
    Opinion(
        "sgdm",
        "mlx SGD(momentum, dampening)",
        mlx_sgd,
        ({"momentum": 0.9, "dampening": 0.1},),
        differs=(0.01, 0.2),
        why="the first gradient is dampened too",
    ),
    Opinion("sgdm_lecture", "Polyak 1964", polyak, ({}, {"lr": COSINE, "momentum": 0.5})),
    Opinion("sgdm_lecture", "keras SGD(momentum)", keras_sgd, (*SGDM, {"lr": COSINE, "momentum": 0.9})),
    optax("sgdm_lecture", optax_polyak, "scale_by_learning_rate, trace", (*SGDM, {"lr": COSINE, "momentum": 0.9})),
    torch("sgdm_lecture", "SGD", SGDM, options="(momentum)"),
    torch(
        "sgdm_lecture",
        "SGD",
        FALLS,
        options="(momentum), lr falls",
        differs=(0.15, 3),
        why="the learning rate multiplies the momentum, and a new one acts on old gradients too",
    ),
    optax("sgdm_ema", optax_ema, "ema(debias=False)", ({}, {"lr": 0.1, "beta1": 0.0})),
    torch(
        "sgdm_ema",
        "SGD",
        ({"beta1": 0.9},),
        options="(momentum=.9, dampening=.9)",
        renamed={"beta1": "momentum"},
        extra={"dampening": 0.9, "lr": 1e-2},
        differs=(1, 8),
        why="the first gradient is not dampened",
    ),
    torch(
        "sgdm_l2_library",
        "SGD",
        tuple({**setting, "weight_decay": 0.1} for setting in DAMPED),
        options="(momentum, dampening, weight_decay)",
    ),
    optax("sgdm_l2_library", optax_sgd, "add_decayed_weights, sgd(momentum)", SGDM_L2),
    optax(
        "sgdm_l2_library",
        optax_outside,
        "trace, add_decayed_weights",
        STRONG,
        differs=(1e-3, 0.5),
        why="the decay does not pass through the momentum",
    ),
    torch("sgdm_l2", "SGD", SGDM_L2, options="(momentum, weight_decay)"),
    optax(
        "sgdm_l2",
        optax_polyak,
        "add_decayed_weights, scale_by_learning_rate, trace",
        (*SGDM_L2, {"lr": COSINE, "momentum": 0.9, "weight_decay": 0.1}),
    ),
    Opinion(
        "sgdm_l2",
        "keras SGD(momentum, weight_decay)",
        keras_sgd,
        STRONG,
        differs=(1e-3, 0.5),
        why="the decay does not pass through the momentum",
    ),
    Opinion(
        "sgdm_l2_outside",
        "keras SGD(momentum, weight_decay)",
        keras_sgd,
        (*SGDM_L2, {"lr": COSINE, "momentum": 0.9, "weight_decay": 0.1}),
    ),
    optax("sgdm_l2_outside", optax_outside, "trace, add_decayed_weights", SGDM_L2),
    torch(
        "sgdm_l2_outside",
        "SGD",
        STRONG,
        options="(momentum, weight_decay)",
        differs=(1e-3, 0.5),
        why="the decay passes through the momentum",
    ),
)
