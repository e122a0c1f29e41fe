"""DoG and DoWG, as others compute them."""

from __future__ import annotations

from typing import Any

from opinions.base import Numbers, Opinion, optax


def dog(optax: Any, *, lr: Any = 1.0, eps: float = 1e-8, reps_rel: float = 1e-6) -> Any:
    """optax.contrib.dog with the first step that the authors advise."""
    return optax.contrib.dog(lr, ("heuristic", reps_rel), eps)


def dowg(optax: Any, *, lr: Any = 1.0, eps: float = 1e-4) -> Any:
    """optax.contrib.dowg."""
    return optax.contrib.dowg(lr, eps=eps)


DOG: tuple[Numbers, ...] = ({}, {"reps_rel": 1e-2, "lr": 0.5}, {"reps_rel": 0.1, "eps": 1.0})
DOWG: tuple[Numbers, ...] = ({}, {"lr": 0.5, "eps": 1e-2})

OPINIONS: tuple[Opinion, ...] = (
    optax("dog", dog, "contrib.dog", DOG, whole=True),
    optax("dowg", dowg, "contrib.dowg", DOWG, whole=True),
)
