"""NovoGrad, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import STACKS, Floats, Numbers, Opinion, Path, average, discounted, optax


def make(
    optax: Any,
    *,
    lr: float = 1e-2,
    beta1: float = 0.95,
    beta2: float = 0.98,
    eps: float = 1e-8,
    weight_decay: float = 1e-3,
) -> Any:
    """optax.novograd, whose defaults are others."""
    return optax.novograd(lr, beta1, beta2, eps, weight_decay=weight_decay)


def paper(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-2,
    beta1: float = 0.95,
    beta2: float = 0.98,
    eps: float = 1e-8,
    weight_decay: float = 1e-3,
    from_zero: bool = False,
) -> Path:
    """Ginsburg et al. 2019, Algorithm 1; ``from_zero`` is init_zero of apex, and what pytorch_optimizer does."""
    squares = np.array([np.sum(grad * grad) for grad in grads])
    directions = np.zeros_like(grads)
    for k, grad in enumerate(grads):
        first = 0.0 if from_zero else beta2 ** (k + 1) * squares[0]
        v = average(squares[: k + 1], beta2) + first
        directions[k] = grad / (np.sqrt(v) + eps) + weight_decay * theta
        theta = theta - lr * discounted(directions[: k + 1], beta1)
        yield theta


NOVOGRAD: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.25, "weight_decay": 0.1, "eps": 1e-6},
    {"lr": 1e-3, "beta1": 0.0, "beta2": 0.9, "weight_decay": 0.0, "eps": 1e-2},
)


OPINIONS: tuple[Opinion, ...] = (
    optax("novograd", make, "novograd", NOVOGRAD, shapes=STACKS),
    Opinion("novograd", "Ginsburg et al. 2019", paper, NOVOGRAD, shapes=STACKS),
    Opinion(
        "novograd",
        "apex FusedNovoGrad(init_zero), pytorch_optimizer NovoGrad",
        paper,
        ({},),
        extra={"from_zero": True},
        differs=(0.5, 10),
        why="the average of squared norms starts at 0",
    ),
)
