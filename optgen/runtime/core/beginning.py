"""What states that start from the parameters hold before the first step.

It is made with NumPy in float64 on the host, once; sums over tensors are rounded correctly, so that their order does
not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from optgen.runtime.core.memory import Contents
from optgen.runtime.core.program import Array, Program

_AXES = {"row": -1, "column": -2}


def fill(
    program: Program,
    memory: Contents,
    hypers: Mapping[str, float],
    thetas: Sequence[Array],
    states: Mapping[str, Sequence[Array]],
    *,
    only: Sequence[int] | None = None,
    seen: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple,
) -> None:
    """Let states hold what they start from, where that is made of theta; all tensors, or only some.

    Of each state there is an array a tensor, or a single one; one that is not there has begun already. Hyperparameters
    are those of the first step; an array of a shape has rows and columns as one of the shape has as which it is seen.
    """
    these = range(len(thetas)) if only is None else only
    for name in program.copies:
        for k in these:
            memory.copy(states[name][k], thetas[k])
    if program.started is None:
        return
    whole = [memory.read(theta).astype(np.float64).reshape(seen(tuple(theta.shape))) for theta in thetas]
    with np.errstate(all="ignore"):
        found = program.started(whole, *hypers.values())
    for which, name in enumerate(program.begun):
        targets = states.get(name, ())
        for k in these if len(targets) == len(thetas) else range(len(targets)):
            shape, dtype = tuple(targets[k].shape), memory.dtype_of(targets[k])
            if math.prod(shape):
                made = np.broadcast_to(found[k][which], seen(shape)).reshape(shape)
                memory.writing(targets[k], made.astype(dtype))()


def total(how: str, over: str, values: Any, theta: Array) -> Any:
    """The sum, mean, maximum or norm of values over each row or column of a tensor, or over all of it."""
    x = np.broadcast_to(values, theta.shape)
    axis = _AXES.get(over)
    if axis is not None and x.ndim < -axis:  # a vector is one row, a number one element
        return np.abs(x) if how == "norm" else x
    if not x.size:
        return 0.0
    if how == "norm":
        largest = np.max(np.abs(x), axis=axis, keepdims=axis is not None)
        scale = np.where(largest > 0, largest, 1.0)
        return scale * np.sqrt(np.sum(np.square(x / scale), axis=axis, keepdims=axis is not None))
    reduce: Any = {"sum": np.sum, "mean": np.mean, "max": np.max}[how]
    return reduce(x, axis=axis, keepdims=axis is not None)


def over_all(how: str, values: Sequence[Any], thetas: Sequence[Array]) -> float:
    """The same over all tensors of a model; those without elements take no part."""
    pairs = [(x, theta) for x, theta in zip(values, thetas, strict=True) if theta.size]
    found = [float(total("sum" if how == "mean" else how, "tensor", x, theta)) for x, theta in pairs]
    if not found:
        return 0.0
    if how == "max":
        return float(np.max(found))
    if how == "norm":
        return math.hypot(*found)
    if not np.isfinite(found).all():
        return float(np.sum(found))
    return math.fsum(found) / (sum(theta.size for _, theta in pairs) if how == "mean" else 1)


erf = np.vectorize(math.erf, otypes=[np.float64])
"""The error function, which NumPy does not have."""
