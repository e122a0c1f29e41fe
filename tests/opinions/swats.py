"""SWATS, as its paper has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion


@dataclass(frozen=True)
class Point:
    """Where Algorithm 1 is after a step: the parameters, the step after which it switched, 0 before, and the rate."""

    thetas: list[Floats]
    switched_at: int
    rate: float


def algorithm_1(
    thetas: list[Floats],
    grads: Iterator[list[Floats]],
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-9,
    tolerance: float = 1e-9,
    switch_step: int | None = None,
) -> Iterator[Point]:
    """Keskar & Socher 2017, Algorithm 1, line by line, its dot products over the whole model.

    The paper writes one epsilon for ``eps`` and ``tolerance``. With ``switch_step`` it switches after that step and no
    other, whatever the estimate.
    """
    w = [theta.copy() for theta in thetas]
    m, a, velocity = ([np.zeros_like(theta) for theta in thetas] for _ in range(3))
    average = rate = 0.0
    switched_at = 0
    for k, g in enumerate(grads, 1):
        if switched_at:
            velocity = [beta1 * v + gi for v, gi in zip(velocity, g, strict=True)]
            w = [wi - (1 - beta1) * rate * v for wi, v in zip(w, velocity, strict=True)]
            yield Point(w, switched_at, rate)
            continue
        m = [beta1 * mi + (1 - beta1) * gi for mi, gi in zip(m, g, strict=True)]
        a = [beta2 * ai + (1 - beta2) * gi * gi for ai, gi in zip(a, g, strict=True)]
        length = lr * np.sqrt(1 - beta2**k) / (1 - beta1**k)
        p = [-length * mi / (np.sqrt(ai) + eps) for mi, ai in zip(m, a, strict=True)]
        w = [wi + pi for wi, pi in zip(w, p, strict=True)]
        along = _dot(p, g)
        near = False
        if along != 0:
            gamma = _dot(p, p) / -along
            average = beta2 * average + (1 - beta2) * gamma
            near = k > 1 and abs(average / (1 - beta2**k) - gamma) < tolerance
        if near if switch_step is None else k == switch_step:
            switched_at, rate = k, average / (1 - beta2**k)
        yield Point(w, switched_at, rate)


def _dot(left: list[Floats], right: list[Floats]) -> float:
    return sum(float(np.vdot(a, b)) for a, b in zip(left, right, strict=True))


def path(thetas: list[Floats], grads: list[Floats], **hypers: Any) -> Iterator[list[Floats]]:
    """The parameters that Algorithm 1 visits."""
    steps = (list(each) for each in zip(*grads, strict=True))
    return (point.thetas for point in algorithm_1(thetas, steps, **hypers))


def path_at(
    thetas: list[Floats], grads: list[Floats], *, switch_step: int = 1000, **hypers: Any
) -> Iterator[list[Floats]]:
    """The same where it switches when told."""
    return path(thetas, grads, switch_step=switch_step, **hypers)


# On the gradients of `ask` it switches after no step, 7, 2 and 42.
SETTINGS: tuple[Numbers, ...] = (
    {},
    {"tolerance": 0.03},
    {"lr": 0.1, "beta2": 0.99, "tolerance": 10.0},
    {"lr": 0.01, "beta1": 0.0, "beta2": 0.9, "eps": 1e-3, "tolerance": 1e-4},
)
AT: tuple[Numbers, ...] = (
    {"switch_step": 1},
    {"switch_step": 40, "lr": 0.01},
    {"switch_step": 99, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
    {},
)

OPINIONS: tuple[Opinion, ...] = (
    Opinion("swats", "Keskar & Socher 2017, Algorithm 1", path, SETTINGS, whole=True),
    Opinion("swats_at", "Keskar & Socher 2017, Algorithm 1, switching when told", path_at, AT, whole=True),
)
