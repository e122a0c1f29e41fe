"""Standard normal deviates on the GPU: the words that `optgen.runtime.cpu.draws` makes, four elements at a time.

The logarithm and the sine are the GPU's own, right to two units in the last place. As `optgen.runtime.cpu.draws` says,
they are given distances that have not been rounded: from 1 where u1 is near it, and from a quarter of a turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optgen.runtime.cuda.primitives import log, log1p, narrow, on_device, philox, sine_of_turns, sqrt, where

__all__ = ["draw", "draw4"]

_HALF, _LOWER = np.uint64(32), np.uint64(2**32 - 1)


@on_device
def _words(element: Any, tensor: Any, t: Any, seed: Any, stream: Any) -> Any:
    """The four words of the block that an element is in."""
    return philox(np.uint64(element >> 2), np.uint64(tensor), np.uint64(t), np.uint64(stream), np.uint64(seed))


@on_device
def _deviate(word: Any, like: Any) -> Any:
    """The standard normal deviate of a word, in the type of the array ``like``."""
    bits = np.int64(word >> _HALF)
    unit, half, two = narrow(2.0**-32, like), narrow(0.5, like), narrow(2.0, like)
    u1 = (narrow(bits, like) + half) * unit
    below_one = (narrow(2**32 - 1 - bits, like) + half) * unit  # 1 - u1
    logarithm = where(u1 < half, log(u1), log1p(-below_one))
    turned = np.int64(word & _LOWER)
    turned = where(turned < 2**31, turned, 2**32 - 1 - turned)  # cosines are even
    quarter = narrow(2**31 - 1 - 2 * turned, like) * unit  # 1/2 - 2*u2, so that cos(2*pi*u2) is sin(pi*quarter)
    return sqrt(-two * logarithm) * sine_of_turns(quarter)


@on_device
def draw4(element: Any, tensor: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:  # noqa: PLR0917
    """Standard normal deviates of an element whose number is a multiple of four, and of the three after it.

    Parameters
    ----------
    element : int
        Its number in its tensor.
    tensor : int
        The number of the tensor.
    t, seed, stream : int
        The number of the step, the key of the generator, the number of the draw.
    like : array
        Its dtype is that of the result.
    """
    a, b, c, d = _words(element, tensor, t, seed, stream)
    return _deviate(a, like), _deviate(b, like), _deviate(c, like), _deviate(d, like)


@on_device
def draw(element: Any, tensor: Any, t: Any, seed: Any, stream: Any, like: Any) -> Any:  # noqa: PLR0917
    """The standard normal deviate of one element; the parameters are those of `draw4`."""
    a, b, c, d = _words(element, tensor, t, seed, stream)
    is_odd, is_upper = element & 1 == 1, element >> 1 & 1 == 1
    return _deviate(where(is_upper, where(is_odd, d, c), where(is_odd, b, a)), like)
