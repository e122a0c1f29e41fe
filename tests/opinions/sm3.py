"""SM3, as others compute it."""

from __future__ import annotations

from typing import Any

import numpy as np

from opinions.base import STACKS, Floats, Numbers, Opinion, Path, optax, torch_optim


def make(optax: Any, *, lr: float = 0.1, beta1: float = 0.9, eps: float = 1e-8) -> Any:
    """optax.sm3, whose eps cannot be told but to a part of it."""
    return optax.chain(optax.scale_by_sm3(beta1, eps=eps), optax.scale(-lr))


def whole(optax: Any, *, lr: float = 0.1, beta1: float = 0.9) -> Any:
    """optax.sm3."""
    return optax.sm3(lr, beta1)


def cover(shape: tuple[int, ...]) -> list[Floats]:
    """The sets that elements are in, as places in the raveled tensor: rows and columns of its matrices."""
    matrices = np.arange(int(np.prod(shape))).reshape(-1, *(1, 1, *shape)[-2:])
    return [line for matrix in matrices for line in (*matrix, *matrix.T)]


def paper(theta: Floats, grads: Floats, *, lr: float = 0.1, beta1: float = 0.9, eps: float = 1e-8) -> Path:
    """Anil et al. 2019, SM3-II with any cover of the elements, and momentum."""
    sets = cover(theta.shape)
    sums = np.zeros(len(sets))
    momentum = np.zeros_like(theta)
    for grad in grads:
        total = np.full(theta.size, np.inf)
        for places, largest in zip(sets, sums, strict=True):
            total[places] = np.minimum(total[places], largest)
        total += grad.ravel() ** 2
        sums = np.array([total[places].max() for places in sets])
        momentum = beta1 * momentum + (1 - beta1) * grad / np.sqrt(total + eps).reshape(theta.shape)
        theta = theta - lr * momentum
        yield theta


def adagrad(theta: Floats, grads: Floats, *, lr: float, beta1: float, eps: float) -> Path:
    """torch.optim.Adagrad: where every element is a column of its own, and without momentum."""
    assert beta1 == 0
    return torch_optim("Adagrad")(theta, grads, lr=lr, eps=eps)


SM3: tuple[Numbers, ...] = (
    {},
    {"lr": 1.0, "beta1": 0.5},
    {"lr": 1e-2, "beta1": 0.0},
)
EPS: tuple[Numbers, ...] = ({"eps": 0.0, "beta1": 0.0}, {"eps": 1e-2, "lr": 0.5})
FLAT = ((7,), (3, 5), (1001,))
"""Where optax has no other rows and columns: it takes no scalars, and sees a stack of matrices as one cuboid."""


OPINIONS: tuple[Opinion, ...] = (
    optax("sm3", whole, "sm3", SM3, shapes=FLAT),
    optax("sm3", make, "scale_by_sm3", EPS, shapes=FLAT),
    Opinion("sm3", "Anil et al. 2019, a stack of matrices", paper, (*SM3, *EPS), shapes=STACKS),
    Opinion(
        "sm3",
        "torch.optim.Adagrad of vectors",
        adagrad,
        ({"lr": 0.1, "beta1": 0.0, "eps": 0.0},),
        needs="torch",
        shapes=((), (7,), (1001,)),
    ),
)
