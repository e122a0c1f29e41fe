"""AdaBound, as others compute it."""

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
    past_gradients,
)


def luolc(
    theta: Floats,
    grads: Floats,
    *,
    lr: Any = 1e-3,
    base_lr: float | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    final_lr: float = 0.1,
    gamma: float = 1e-3,
    eps: float = 1e-8,
    amsbound: bool = False,
) -> Path:
    """The code of AdaBound's authors, which takes for base_lr what lr is at construction."""
    largest, start = np.zeros_like(theta), at(lr, 0) if base_lr is None else base_lr
    for k, past in enumerate(past_gradients(grads)):
        t = k + 1
        v = average(past**2, beta2)
        largest = np.maximum(largest, v) if amsbound else v
        rate = at(lr, k) * np.sqrt(1 - beta2**t) / (1 - beta1**t) / (np.sqrt(largest) + eps)
        final = final_lr * at(lr, k) / start
        rate = np.clip(rate, final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t)))
        theta = theta - rate * average(past, beta1)
        yield theta


def fixed_bounds(t: int, beta2: float) -> tuple[float, float]:
    """Luo et al. 2019, section 4: around 0.1."""
    return 0.1 - 0.1 / ((1 - beta2) * t + 1), 0.1 + 0.1 / ((1 - beta2) * t)


def paper_adabound(theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999) -> Path:
    """Luo et al. 2019, Algorithm 2, without the projection."""
    for past in past_gradients(grads):
        t = len(past)
        rate = np.clip(lr / np.sqrt(average(past**2, beta2)), *fixed_bounds(t, beta2)) / np.sqrt(t)
        theta = theta - rate * average(past, beta1)
        yield theta


def lecture_adabound(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Path:
    """The paper's clipping of rates with what Adam adds: bias correction and eps, in the root; no root of t."""
    for past in past_gradients(grads):
        rate = np.clip(lr / np.sqrt(mean(past**2, beta2) + eps), *fixed_bounds(len(past), beta2))
        theta = theta - rate * mean(past, beta1)
        yield theta


FALLING = tuple(np.linspace(1e-2, 1e-3, STEPS))
FIXED: tuple[Numbers, ...] = ({}, {"lr": 0.1, "beta1": 0.5, "beta2": 0.9}, {"lr": 3e-2, "beta1": 0.0, "beta2": 0.99})
SETTINGS: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "gamma": 0.3, "eps": 1e-3},
    {"lr": FALLING, "base_lr": 5e-3, "final_lr": 0.5, "gamma": 0.05},
)
AUTHORS = "Luolc/AdaBound"

OPINIONS: tuple[Opinion, ...] = (
    Opinion("adabound", AUTHORS, luolc, SETTINGS),
    Opinion(
        "adabound",
        "Luo et al. 2019",
        paper_adabound,
        ({"lr": 1e-3, "beta2": 0.999},),
        differs=(0.3, 30),
        why="there is no bias correction, and rates fall with the root of t",
    ),
    Opinion("amsbound", f"{AUTHORS} (amsbound)", luolc, SETTINGS, extra={"amsbound": True}),
    Opinion(
        "amsbound",
        AUTHORS,
        luolc,
        ({"beta2": 0.5, "lr": 0.1},),
        differs=(0.01, 10),
        why="a large second moment is forgotten",
    ),
    Opinion("adabound_lecture", "Luo et al. 2019 with Adam's corrections", lecture_adabound, FIXED),
    Opinion(
        "adabound_lecture",
        f"{AUTHORS}, gamma = 1 - beta2",
        luolc,
        ({"lr": 1e-3},),
        extra={"gamma": 1 - 0.999},
        differs=(0.05, 10),
        why="what is clipped there is the rate with both corrections in it, and eps is outside the root",
    ),
    Opinion("adabound_paper", "Luo et al. 2019", paper_adabound, FIXED),
    Opinion(
        "adabound_paper",
        "Luo et al. 2019 with Adam's corrections",
        lecture_adabound,
        differs=(0.3, 30),
        why="there is bias correction, and rates do not fall with the root of t",
    ),
)
