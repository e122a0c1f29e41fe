"""Standard normal deviates on the GPU: the words that `optgen.runtime.cpu.draws` makes, four elements at a time.

In float32 they become the deviates that CPUs make of them, bit for bit. In float64 the logarithm and the sine are the
GPU's own, right to two units in the last place; they are given distances that have not been rounded: from 1 where u1 is
near it, and from a quarter of a turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optgen.runtime.cuda.primitives import cosine, on_device, philox, radius, times, where

__all__ = ["draw", "draw4"]


@on_device
def _words(element: Any, tensor: Any, t: Any, seed: Any, stream: Any) -> Any:
    """The four words of the block that an element is in."""
    return philox(np.uint64(element >> 2), np.uint64(tensor), np.uint64(t), np.uint64(stream), np.uint64(seed))


@on_device
def _before(word: Any) -> Any:
    """The word of what is a quarter of a turn before, where the cosine is the sine."""
    return np.uint32((np.int64(word) - 2**30) & (2**32 - 1))


@on_device
def draw4(element: Any, tensor: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:  # noqa: PLR0917
    """Standard normal deviates of an element whose number is a multiple of four, and of the three after it.

    The seed is the key of the generator, the stream the number of the draw, and the result has the dtype of ``like``.
    """
    a, b, c, d = _words(element, tensor, t, seed, stream)
    one, other = radius(a, like), radius(c, like)
    first, second = times(one, cosine(b, like)), times(one, cosine(_before(b), like))
    return first, second, times(other, cosine(d, like)), times(other, cosine(_before(d), like))


@on_device
def draw(element: Any, tensor: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:  # noqa: PLR0917
    """The standard normal deviate of one element; the parameters are those of `draw4`."""
    a, b, c, d = _words(element, tensor, t, seed, stream)
    is_odd, is_upper = element & 1 == 1, element >> 1 & 1 == 1
    turned = np.uint32(where(is_upper, d, b))
    turned = where(is_odd, _before(turned), turned)
    return times(radius(np.uint32(where(is_upper, c, a)), like), cosine(turned, like))
