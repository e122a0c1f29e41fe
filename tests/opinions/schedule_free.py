"""Schedule-free methods, as others compute them."""

from __future__ import annotations

from collections.abc import Callable
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
    optax_path,
    past_gradients,
)


def own_sgd(optax: Any, *, lr: float, beta1: float, warmup_steps: Any = None, **words: Any) -> Any:
    """optax.contrib.schedule_free_sgd."""
    return optax.contrib.schedule_free_sgd(lr, warmup_steps, beta1, **words)


def own_adamw(optax: Any, *, lr: float, beta1: float, beta2: float, warmup_steps: Any = None, **words: Any) -> Any:
    """optax.contrib.schedule_free_adamw."""
    return optax.contrib.schedule_free_adamw(lr, warmup_steps, beta1, beta2, **words)


def wrapped_sgd(optax: Any, *, lr: Any, beta1: float, weight_decay: float, weight_lr_power: float) -> Any:
    """optax.contrib.schedule_free around optax.sgd: the average counts steps from 1, what it is around from 0."""
    rule = optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(lr))
    return optax.contrib.schedule_free(rule, lambda count: lr(count - 1), beta1, weight_lr_power)


def wrapped_adamw(optax: Any, *, lr: Any, beta1: float, weight_lr_power: float, beta2: float, **words: Any) -> Any:
    """optax.contrib.schedule_free around optax.adamw without momentum."""
    rule = optax.adamw(lr, 0.0, beta2, **words)
    return optax.contrib.schedule_free(rule, lambda count: lr(count - 1), beta1, weight_lr_power)


def warmed(make: Callable[..., Any]) -> Callable[..., Path]:
    """A rule of optax under a rate that rises linearly and then follows lr."""

    def path(theta: Floats, grads: Floats, *, lr: Any, warmup_steps: float, **words: Any) -> Path:
        rates = tuple(at(lr, k) * min((k + 1) / warmup_steps, 1) for k in range(len(grads)))
        return optax_path(make)(theta, grads, lr=rates, **words)

    return path


def straight(past: Floats) -> Floats:
    """The direction of gradient descent."""
    last: Floats = past[-1]
    return last


def corrected(past: Floats, *, beta2: float = 0.999, eps: float = 1e-8) -> Floats:
    """The direction of AdamW without momentum."""
    quotient: Floats = past[-1] / (np.sqrt(mean(past**2, beta2)) + eps)
    return quotient


def uncorrected(past: Floats, *, beta2: float = 0.999, eps: float = 1e-8) -> Floats:
    """The same where the correction is in the rate."""
    quotient: Floats = past[-1] / (np.sqrt(average(past**2, beta2)) + eps)
    return quotient


def paper(direction: Callable[..., Floats], slot: str = "theta") -> Callable[..., Path]:
    """Defazio et al. 2024, equations 2 to 4, with the average x of all z as the weighted mean that it is.

    For the slot z it returns what x and y say of z, so that a z that agrees gives x from y.
    """

    def path(
        theta: Floats,
        grads: Floats,
        *,
        lr: Any = 1.0,
        beta1: float = 0.9,
        weight_decay: float = 0.0,
        warmup_steps: float = 1.0,
        weight_lr_power: float = 2.0,
        r: float = 0.0,
        **words: float,
    ) -> Path:
        y = z = theta
        points, weights, largest = [], [], 0.0
        for t, past in enumerate(past_gradients(grads), 1):
            rate = at(lr, t - 1) * min(t / warmup_steps, 1)
            rate *= np.sqrt(1 - words.get("beta2", 0.999) ** t) if direction is uncorrected else 1
            z = z - rate * (direction(past, **words) + weight_decay * y)
            largest = max(largest, rate)
            weights.append(largest**weight_lr_power * t**r)
            points.append(z)
            x = np.average(points, axis=0, weights=weights)
            y = (1 - beta1) * z + beta1 * x
            yield y if slot == "theta" else (y - beta1 * x) / (1 - beta1)

    return path


RISING = tuple(np.linspace(0.1, 2, STEPS))
FALLING = tuple((1 + np.cos(np.linspace(0, 3, STEPS))) / 2)
SGD: tuple[Numbers, ...] = (
    {"lr": 1.0, "beta1": 0.9, "weight_decay": 0.0, "weight_lr_power": 2.0},
    {"lr": 0.1, "beta1": 0.5, "weight_decay": 0.3, "weight_lr_power": 0.0},
)
WARM: tuple[Numbers, ...] = (
    {"lr": 1.0, "beta1": 0.9, "weight_decay": 0.0, "weight_lr_power": 2.0, "warmup_steps": 30},
    {"lr": RISING, "beta1": 0.5, "weight_decay": 0.1, "weight_lr_power": 2.0, "warmup_steps": 1},
    {"lr": FALLING, "beta1": 0.98, "weight_decay": 0.01, "weight_lr_power": 1.0, "warmup_steps": 10},
)
POWERS: tuple[Numbers, ...] = ({"lr": 1.0, "r": 1.0}, {"lr": 0.1, "r": 0.5, "beta1": 0.25, "warmup_steps": 20})
RULES: tuple[Numbers, ...] = ({"beta2": 0.999, "eps": 1e-8}, {"beta2": 0.9, "eps": 1e-3}, {"beta2": 0.99, "eps": 1e-6})
ADAMW, ADAMW_WARM, ADAMW_POWERS = (
    tuple({**setting, **rule} for setting, rule in zip(settings, RULES, strict=False))
    for settings in (SGD, WARM, POWERS)
)
LATE = "what is averaged is one step behind in its warm-up, and does not move in the first step"


OPINIONS: tuple[Opinion, ...] = (
    optax("schedule_free_sgd", own_sgd, "contrib.schedule_free_sgd", SGD),
    Opinion("schedule_free_sgd", "optax.contrib.schedule_free(sgd)", warmed(wrapped_sgd), WARM, needs="optax"),
    Opinion("schedule_free_sgd", "Defazio et al. 2024", paper(straight), ({}, *SGD, *WARM, *POWERS)),
    Opinion("schedule_free_sgd", "Defazio et al. 2024, z by x and y", paper(straight, "z"), (*SGD, *WARM), slot="z"),
    optax(
        "schedule_free_sgd",
        own_sgd,
        "contrib.schedule_free_sgd(warmup_steps)",
        WARM[:1],
        differs=(0.01, 1),
        why=LATE,
    ),
    optax("schedule_free_adamw", own_adamw, "contrib.schedule_free_adamw", ADAMW),
    Opinion(
        "schedule_free_adamw",
        "optax.contrib.schedule_free(adamw)",
        warmed(wrapped_adamw),
        ADAMW_WARM,
        needs="optax",
    ),
    Opinion("schedule_free_adamw", "Defazio et al. 2024", paper(corrected), (*ADAMW, *ADAMW_WARM, *ADAMW_POWERS)),
    Opinion(
        "schedule_free_adamw",
        "Defazio et al. 2024, z by x and y",
        paper(corrected, "z"),
        (*ADAMW, *ADAMW_WARM),
        slot="z",
    ),
    optax(
        "schedule_free_adamw",
        own_adamw,
        "contrib.schedule_free_adamw(warmup_steps)",
        ADAMW_WARM[:1],
        differs=(0.01, 1),
        why=LATE,
    ),
    Opinion(
        "schedule_free_adamw",
        "Defazio et al. 2024, Algorithm 1",
        paper(uncorrected),
        ADAMW[:1],
        differs=(0.01, 2),
        why="the correction of v is in the rate, and so in the weights",
    ),
)
