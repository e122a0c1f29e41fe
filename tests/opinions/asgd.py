"""Averaged gradient descent, as others compute it."""

from __future__ import annotations

import numpy as np

from opinions.base import Floats, Numbers, Opinion, Path, torch
from opinions.sgd import DROP


def mean_of_points(
    theta: Floats, grads: Floats, *, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6
) -> Path:
    """Polyak & Juditsky 1992: the mean of the points from step t0 + 2 on, and until then the last one."""
    points: list[Floats] = []
    for k, grad in enumerate(grads):
        eta = lr / (1 + lambd * lr * k) ** alpha
        theta = theta * (1 - lambd * eta) - eta * grad
        points = [*points, theta] if k > t0 + 1 else [theta]
        yield np.mean(points, axis=0)


ASGD: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "lambd": 0.3, "t0": 10.0},
    {"lr": 0.3, "lambd": 1.0, "alpha": 1.0, "t0": 0.0},
    {"lr": 0.1, "lambd": 0.0, "alpha": 0.5, "t0": 20.5},
)


OPINIONS: tuple[Opinion, ...] = (
    torch("asgd", "ASGD", ASGD),
    torch("asgd", "ASGD", ASGD, options=", its average", slot="ax"),
    Opinion("asgd", "Polyak & Juditsky 1992, their mean", mean_of_points, ASGD[:-1], slot="ax"),
    torch(
        "asgd",
        "ASGD",
        ({"lr": DROP},),
        options=", lr falls",
        differs=(0.01, 1),
        why="the rate of a step is computed at the end of the one before, from the lr of then",
    ),
)
