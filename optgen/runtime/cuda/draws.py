"""Standard normal deviates on the GPU: the words that `optgen.runtime.cpu.draws` makes, four elements at a time.

The logarithm and the sine are the GPU's own, right to two units in the last place. As `optgen.runtime.cpu.draws` says,
they are given distances that have not been rounded: from 1 where u1 is near it, and from a quarter of a turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optgen.runtime.cuda.primitives import log, log1p, narrow, on_device, philox, sine_of_turns, sqrt, where

__all__ = ["draw", "draw4"]


@on_device
def _words(element: Any, tensor: Any, t: Any, seed: Any, stream: Any) -> Any:
    """The four words of the block that an element is in."""
    return philox(np.uint64(element >> 2), np.uint64(tensor), np.uint64(t), np.uint64(stream), np.uint64(seed))


@on_device
def _radius(word: Any, like: Any) -> Any:
    """``sqrt(-2*log(u1))`` of a word, in the type of the array ``like``."""
    bits = np.int64(word)
    unit, half, two = narrow(2.0**-32, like), narrow(0.5, like), narrow(2.0, like)
    u1 = (narrow(bits, like) + half) * unit
    below_one = (narrow(2**32 - 1 - bits, like) + half) * unit  # 1 - u1
    return sqrt(-two * where(u1 < half, log(u1), log1p(-below_one)))


@on_device
def _cosine(turned: Any, like: Any) -> Any:
    """The cosine of a part of a turn, ``(turned + 1/2)/2**32``, in the type of the array ``like``."""
    turned = where(turned < 2**31, turned, 2**32 - 1 - turned)  # cosines are even
    quarter = narrow(2**31 - 1 - 2 * turned, like) * narrow(2.0**-32, like)  # 1/2 - 2*u2: its sine is the cosine
    return sine_of_turns(quarter)


@on_device
def _before(turned: Any) -> Any:
    """A quarter of a turn before, where the cosine is the sine."""
    return (turned - 2**30) & (2**32 - 1)


@on_device
def draw4(element: Any, tensor: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:  # noqa: PLR0917
    """Standard normal deviates of an element whose number is a multiple of four, and of the three after it.

    The seed is the key of the generator, the stream the number of the draw, and the result has the dtype of ``like``.
    """
    a, b, c, d = _words(element, tensor, t, seed, stream)
    one, other, b, d = _radius(a, like), _radius(c, like), np.int64(b), np.int64(d)
    first, second = one * _cosine(b, like), one * _cosine(_before(b), like)
    return first, second, other * _cosine(d, like), other * _cosine(_before(d), like)


@on_device
def draw(element: Any, tensor: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:  # noqa: PLR0917
    """The standard normal deviate of one element; the parameters are those of `draw4`."""
    a, b, c, d = _words(element, tensor, t, seed, stream)
    is_odd, is_upper = element & 1 == 1, element >> 1 & 1 == 1
    turned = np.int64(where(is_upper, d, b))
    turned = where(is_odd, _before(turned), turned)
    return _radius(where(is_upper, c, a), like) * _cosine(turned, like)
