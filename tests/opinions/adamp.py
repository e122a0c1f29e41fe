"""AdamP, as others compute it."""

from __future__ import annotations

import numpy as np

from opinions.adam import DECAY, direction
from opinions.base import STACKS, Floats, Numbers, Opinion, Path, past_gradients, torch


def authors(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    weight_decay: float = 1e-2,
    delta: float = 0.1,
    wd_ratio: float = 0.1,
    eps: float = 1e-8,
    **betas: float,
) -> Path:
    """The code of Heo et al. 2021, github.com/clovaai/AdamP, with the rows of all matrices as channels."""
    for past in past_gradients(grads):
        update, ratio = direction(past, eps=eps, **betas), 1.0
        if theta.ndim > 1:
            for view in (-1, theta.shape[-1]), (1, theta.size):
                grad, weights = past[-1].reshape(view), theta.reshape(view)
                sizes = np.linalg.norm(weights, axis=1)
                cosines = (
                    np.einsum("ij,ij->i", grad, weights)
                    / np.maximum(np.linalg.norm(grad, axis=1), eps)
                    / np.maximum(sizes, eps)
                )
                if np.abs(cosines).max() < delta / np.sqrt(view[1]):
                    normal = weights / (sizes + eps)[:, None]
                    radial = np.einsum("ij,ij->i", normal, update.reshape(view))
                    update = update - (radial[:, None] * normal).reshape(theta.shape)
                    ratio = wd_ratio
                    break
        theta = theta * (1 - lr * weight_decay * ratio) - lr * update
        yield theta


# Random gradients point in all directions: delta is set so that some steps project rows, some tensors, some nothing.
ADAMP: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.3, "delta": 1.0},
    {"lr": 1e-2, "eps": 1e-3, "delta": 2.0, "wd_ratio": 0.5},
    {"lr": 1e-2, "delta": 10.0, "wd_ratio": 0.0},
)
UNTOUCHED = tuple({**setting, "delta": 0.0} for setting in DECAY)


OPINIONS: tuple[Opinion, ...] = (
    Opinion("adamp", "Heo et al. 2021", authors, ADAMP, shapes=STACKS),
    torch("adamp", "AdamW", DECAY, options=" of vectors", shapes=((), (7,), (1001,))),
)
