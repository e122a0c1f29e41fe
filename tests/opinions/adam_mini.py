"""Adam-mini, as others compute it."""

from __future__ import annotations

import numpy as np

from opinions.adam import DECAY
from opinions.base import STACKS, Floats, Opinion, Path, mean, past_gradients, torch


def paper(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Path:
    """Zhang et al. 2024 with a block a row; the decay comes first, as in the authors' code."""
    blocks = grads.reshape(*grads.shape[:1], -1, *(1, *theta.shape)[-1:])
    squares = np.array([[np.dot(block, block) / len(block) for block in grad] for grad in blocks])
    for t, past in enumerate(past_gradients(blocks), 1):
        steps = lr / (np.sqrt(mean(squares[:t], beta2)) + eps)
        moved = np.stack([step * row for step, row in zip(steps, mean(past, beta1), strict=True)])
        theta = theta * (1 - lr * weight_decay) - moved.reshape(theta.shape)
        yield theta


OPINIONS: tuple[Opinion, ...] = (
    Opinion("adam_mini", "Zhang et al. 2024", paper, DECAY, shapes=STACKS),
    torch("adam_mini", "AdamW", DECAY, options=", a weight a neuron", shapes=((), (7, 1), (2, 3, 1))),
    torch("adam_mini", "AdamW", ({},), differs=(0.3, 10), why="every weight has a second moment"),
)
