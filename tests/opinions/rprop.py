"""Rprop, as others compute it."""

from __future__ import annotations

from opinions.base import Numbers, Opinion, optax, torch

RPROP: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "eta_minus": 0.3, "eta_plus": 1.5},
    {"lr": 1.0, "min_step_size": 0.01, "max_step_size": 0.5},
)


OPINIONS: tuple[Opinion, ...] = (
    torch("rprop", "Rprop", RPROP),
    torch("rprop", "Rprop", RPROP, options=", its step sizes", slot="step_size"),
    torch("rprop", "Rprop", RPROP, options=", its last gradients", slot="prev"),
    optax(
        "rprop",
        lambda optax, *, lr: optax.rprop(lr),
        "rprop",
        ({"lr": 1e-2},),
        differs=(0.1, 1),
        why="each update is applied a step late, and the first is 0 (optax#1725)",
    ),
)
