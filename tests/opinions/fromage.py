"""Fromage, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import STACKS, Floats, Numbers, Opinion, Path, optax


def make(optax: Any, *, lr: float = 1e-2, norm_min: float = 1e-6) -> Any:
    """optax.fromage."""
    return optax.fromage(lr, norm_min)


def authors(theta: Floats, grads: Floats, *, lr: float = 1e-2) -> Path:
    """The code of Bernstein et al. 2020, github.com/jxbz/fromage."""
    for grad in grads:
        size, length = np.linalg.norm(theta), np.linalg.norm(grad)
        ratio = size / length if size > 0 and length > 0 else 1.0
        theta = (theta - lr * ratio * grad) / np.hypot(1.0, lr)
        yield theta


FROMAGE: tuple[Numbers, ...] = ({}, {"lr": 0.1}, {"lr": 0.2})


OPINIONS: tuple[Opinion, ...] = (
    optax("fromage", make, "fromage", (*FROMAGE, {"lr": 0.1, "norm_min": 1.0}), shapes=STACKS),
    Opinion("fromage", "Bernstein et al. 2020", authors, FROMAGE, shapes=STACKS),
    optax(
        "fromage",
        make,
        "fromage(min_norm=0)",
        ({"norm_min": 100.0},),
        extra={"norm_min": 0.0},
        differs=(0.1, 10),
        why="no norm is raised",
    ),
)
