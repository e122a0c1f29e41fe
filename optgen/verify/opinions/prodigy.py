"""Prodigy and D-Adaptation, as others compute them."""

from __future__ import annotations

from typing import Any

from optgen.verify.opinions.base import Numbers, Opinion, optax


def prodigy(
    optax: Any, *, lr: Any = 1.0, beta1: float = 0.9, beta2: float = 0.999, d0: float = 1e-6, **words: Any
) -> Any:
    """optax.contrib.prodigy."""
    words = {"estim_lr_coef" if name == "d_coef" else name: value for name, value in words.items()}
    return optax.contrib.prodigy(lr, (beta1, beta2), estim_lr0=d0, **words)


def dadapt_adamw(
    optax: Any, *, lr: Any = 1.0, beta1: float = 0.9, beta2: float = 0.999, d0: float = 1e-6, **words: Any
) -> Any:
    """optax.contrib.dadapt_adamw."""
    return optax.contrib.dadapt_adamw(lr, (beta1, beta2), estim_lr0=d0, **words)


SETTINGS: tuple[Numbers, ...] = (
    {},
    {"d0": 1e-3, "weight_decay": 0.1},
    {"lr": 0.3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3, "d0": 0.1},
)
SCALED: tuple[Numbers, ...] = ({"d0": 1e-2, "d_coef": 3.0},)

OPINIONS: tuple[Opinion, ...] = (
    optax("prodigy", prodigy, "contrib.prodigy", SETTINGS + SCALED, whole=True),
    optax("dadapt_adam", dadapt_adamw, "contrib.dadapt_adamw", SETTINGS, whole=True),
)
