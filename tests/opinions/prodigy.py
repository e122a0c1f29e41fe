"""Prodigy and D-Adaptation, as others compute them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion, optax


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


def paper(
    thetas: list[Floats],
    grads: list[Floats],
    *,
    lr: float = 1.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    d0: float = 1e-6,
) -> Iterator[list[Floats]]:
    """Mishchenko & Defazio 2023, the version of Adam, on the whole model as one vector."""
    x = start = np.concatenate([theta.ravel() for theta in thetas])
    m, v, s, r, d = *np.zeros((3, x.size)), 0.0, d0
    ends = np.cumsum([theta.size for theta in thetas])[:-1]
    for now in zip(*grads, strict=True):
        g = np.concatenate([grad.ravel() for grad in now])
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * d**2 * g**2
        r = np.sqrt(beta2) * r + (1 - np.sqrt(beta2)) * lr * d**2 * np.dot(g, start - x)
        s = np.sqrt(beta2) * s + (1 - np.sqrt(beta2)) * lr * d**2 * g
        x = x - lr * d * m / (np.sqrt(v) + d * eps)
        d = max(d, r / np.abs(s).sum())
        yield [part.reshape(theta.shape) for part, theta in zip(np.split(x, ends), thetas, strict=True)]


SETTINGS: tuple[Numbers, ...] = (
    {},
    {"d0": 1e-3, "weight_decay": 0.1},
    {"lr": 0.3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3, "d0": 0.1},
)
SCALED: tuple[Numbers, ...] = ({"d0": 1e-2, "d_coef": 3.0},)

OPINIONS: tuple[Opinion, ...] = (
    optax("prodigy", prodigy, "contrib.prodigy", SETTINGS + SCALED, whole=True),
    Opinion(
        "prodigy",
        "Mishchenko & Defazio 2023",
        paper,
        ({"d0": 1e-2},),
        differs=(1.0, 100.0),
        why="the moments are not corrected",
        whole=True,
    ),
    optax("dadapt_adam", dadapt_adamw, "contrib.dadapt_adamw", SETTINGS, whole=True),
)
