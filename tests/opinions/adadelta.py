"""Adadelta, as others compute it."""

from __future__ import annotations

from typing import Any

from opinions.base import Numbers, Opinion, optax, torch


def optax_adadelta(optax: Any, *, lr: float = 1.0, **adadelta: float) -> Any:
    """optax.adadelta."""
    return optax.adadelta(lr, **adadelta)


ADADELTA: tuple[Numbers, ...] = ({}, {"lr": 1e-3, "rho": 0.5}, {"lr": 0.3, "rho": 0.99, "eps": 1e-2})

OPINIONS: tuple[Opinion, ...] = (
    torch("adadelta", "Adadelta", ADADELTA),
    optax("adadelta", optax_adadelta, "adadelta", ADADELTA),
)
