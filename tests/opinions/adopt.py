"""ADOPT, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import Floats, Numbers, Opinion, Path, average, optax, past_gradients


def make(optax: Any, *, lr: float, beta1: float, beta2: float, eps: float, use_clipping: bool = True) -> Any:
    """optax.contrib.adopt."""
    return optax.contrib.adopt(lr, beta1, beta2, eps, use_clipping=use_clipping)


def paper(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.9999,
    eps: float = 1e-6,
    clipped: bool = True,
) -> Path:
    """Taniguchi et al. 2024: g_0 only starts v; then v_{t-1} divides g_t, clipped at t**(1/4), before the momentum."""
    yield theta
    divided = []
    for t, past in enumerate(past_gradients(grads[:-1]), 1):
        v = beta2 ** (t - 1) * grads[0] ** 2 + average(past[1:] ** 2, beta2)
        limit = t**0.25 if clipped else np.inf
        divided.append(np.clip(grads[t] / np.maximum(np.sqrt(v), eps), -limit, limit))
        theta = theta - lr * average(np.stack(divided), beta1)
        yield theta


ADOPT: tuple[Numbers, ...] = (
    {"lr": 1e-3, "beta1": 0.9, "beta2": 0.9999, "eps": 1e-6},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8},
    {"lr": 0.01, "beta1": 0.0, "beta2": 0.99, "eps": 0.1},
)
UNCLIPPED = {"use_clipping": False}


OPINIONS: tuple[Opinion, ...] = (
    optax("adopt", make, "contrib.adopt", ADOPT),
    Opinion("adopt", "Taniguchi et al. 2024", paper, ({}, *ADOPT)),
    optax(
        "adopt",
        make,
        "contrib.adopt(use_clipping=False)",
        ADOPT[:1],
        extra=UNCLIPPED,
        differs=(0.5, 50),
        why="nothing is clipped",
    ),
    optax("adopt_unclipped", make, "contrib.adopt(use_clipping=False)", ADOPT, extra=UNCLIPPED),
    Opinion("adopt_unclipped", "Taniguchi et al. 2024, version 1", paper, ({}, *ADOPT), extra={"clipped": False}),
)
