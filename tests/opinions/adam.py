"""Adam and AdamW, as others compute them."""

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
    average,
    mean,
    optax,
    past_gradients,
    torch,
)

OPTAX = {"beta1": "b1", "beta2": "b2"}


def optax_adam(optax: Any, *, lr: float = 1e-3, **adam: float) -> Any:
    """optax.adam."""
    return optax.adam(lr, **adam)


def optax_adamw(optax: Any, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float) -> Any:
    """optax.adamw, where the decay joins the direction."""
    return optax.adamw(lr, weight_decay=weight_decay, **adam)


def optax_adam_l2(optax: Any, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float) -> Any:
    """Decay before optax.adam, put together from optax's parts."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(lr, **adam))


def optax_schedule(
    optax: Any, *, step_size: float = 1e-3, weight_decay: float = 0.01, schedule: Any = 1.0, **adam: float
) -> Any:
    """Loshchilov & Hutter 2019, Algorithm 2, line 12, put together from optax's parts."""
    return optax.chain(
        optax.scale_by_adam(**adam),
        optax.scale(step_size),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def direction(past: Floats, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Floats:
    """Adam's direction (Kingma & Ba 2015, Algorithm 1)."""
    result: Floats = mean(past, beta1) / (np.sqrt(mean(past**2, beta2)) + eps)
    return result


def keras_adam(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-7,
    weight_decay: float = 0.0,
) -> Path:
    """Keras Adam.update_step and, with weight_decay, AdamW: both corrections are in the learning rate."""
    for past in past_gradients(grads):
        t = len(past)
        alpha = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        theta = theta - lr * weight_decay * theta
        theta = theta - alpha * average(past, beta1) / (np.sqrt(average(past**2, beta2)) + eps)
        yield theta


def mlx_adam(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Path:
    """MLX Adam by default: no bias correction."""
    for past in past_gradients(grads):
        theta = theta - lr * average(past, beta1) / (np.sqrt(average(past**2, beta2)) + eps)
        yield theta


def bitsandbytes_adamw(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float
) -> Path:
    """The CUDA kernels of bitsandbytes: move, then decay."""
    for past in past_gradients(grads):
        theta = theta - lr * direction(past, **adam)
        theta = theta - lr * weight_decay * theta
        yield theta


def paper_adamw(
    theta: Floats,
    grads: Floats,
    *,
    step_size: float = 1e-3,
    weight_decay: float = 0.01,
    schedule: Any = 1.0,
    **adam: float,
) -> Path:
    """Loshchilov & Hutter 2019, Algorithm 2, line 12."""
    for k, past in enumerate(past_gradients(grads)):
        theta = theta - at(schedule, k) * (step_size * direction(past, **adam) + weight_decay * theta)
        yield theta


COSINE = tuple((1 + np.cos(np.linspace(0, np.pi, STEPS))) / 2)
ADAM: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
    {"lr": 3e-4, "beta1": 0.0, "beta2": 0.99, "eps": 1e-3},
)
EPS = tuple({"eps": 1e-8, **setting} for setting in ADAM)
DECAY = tuple({**setting, "weight_decay": decay} for setting, decay in zip(ADAM, (0.01, 0.3, 0.0), strict=True))
SCHEDULED: tuple[Numbers, ...] = (
    {},
    {"step_size": 0.1, "schedule": COSINE, "weight_decay": 0.3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
)


OPINIONS: tuple[Opinion, ...] = (
    torch("adam", "Adam", ADAM),
    optax("adam", optax_adam, "adam", ADAM, renamed=OPTAX),
    Opinion(
        "adam", "keras Adam", keras_adam, ({"eps": 1e-8},), differs=(0.2, 0.7), why="eps is added before correction"
    ),
    Opinion("adam", "mlx Adam", mlx_adam, differs=(2, 8), why="there is no bias correction"),
    optax(
        "adam_lecture",
        optax_adam,
        "adam(eps=0, eps_root)",
        EPS,
        extra={"eps": 0.0},
        renamed={**OPTAX, "eps": "eps_root"},
    ),
    torch("adam_lecture", "Adam", ({},), differs=(0.5, 1.1), why="eps is outside the root"),
    Opinion("adam_eps_hat", "keras Adam", keras_adam, ADAM),
    torch("adam_eps_hat", "Adam", ({"eps": 1e-8},), differs=(0.2, 1.2), why="eps is added after the bias correction"),
    torch("adam_l2", "Adam", DECAY, options="(weight_decay)"),
    optax("adam_l2", optax_adam_l2, "add_decayed_weights, adam", DECAY, renamed=OPTAX),
    torch(
        "adam_l2",
        "AdamW",
        ({"weight_decay": 0.1},),
        differs=(0.5, 4),
        why="the decay does not pass through the moments",
    ),
    torch("adamw", "AdamW", DECAY),
    optax("adamw", optax_adamw, "adamw", DECAY, renamed=OPTAX),
    Opinion(
        "adamw",
        "keras AdamW",
        keras_adam,
        ({"weight_decay": 0.1, "eps": 1e-8},),
        differs=(0.2, 0.7),
        why="eps is added before correction",
    ),
    torch(
        "adamw",
        "Adam",
        ({"weight_decay": 0.1},),
        options="(weight_decay)",
        differs=(0.5, 4),
        why="the decay passes through the moments",
    ),
    Opinion(
        "adamw",
        "bitsandbytes AdamW on CUDA",
        bitsandbytes_adamw,
        ({"lr": 0.1, "weight_decay": 0.1},),
        differs=(1e-3, 0.1),
        why="what has moved decays too",
    ),
    optax("adamw_inside", optax_adamw, "adamw", DECAY, renamed=OPTAX),
    torch("adamw_inside", "AdamW", DECAY),
    Opinion("adamw_after", "bitsandbytes AdamW on CUDA", bitsandbytes_adamw, DECAY),
    torch(
        "adamw_after",
        "AdamW",
        ({"lr": 0.1, "weight_decay": 0.1},),
        differs=(1e-3, 0.1),
        why="only what was there before the step decays",
    ),
    Opinion(
        "adamw_schedule",
        "Loshchilov & Hutter 2019",
        paper_adamw,
        SCHEDULED,
    ),
    optax("adamw_schedule", optax_schedule, "scale_by_adam, add_decayed_weights", SCHEDULED, renamed=OPTAX),
    torch(
        "adamw_schedule",
        "AdamW",
        ({"step_size": 1e-3, "weight_decay": 1e-2},),
        renamed={"step_size": "lr"},
        differs=(0.3, 30),
        why="the decay is multiplied by the learning rate",
    ),
)
