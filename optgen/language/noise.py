"""Draws: random numbers that a rule makes itself, as an atom of the language.

A draw is counted, not remembered: it is a function of a seed, of the step and of where an element stands. So there is
no generator whose state has to be kept, and a step draws the same however its work is cut and shared out.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, Integer

from optgen.language.spaces import Space
from optgen.language.symbols import Named, Opaque

STREAMS = 2**16
"""How many streams there are: those that a word of 32 bits tells apart above what else is in it."""


class normal(Opaque):  # noqa: N801 - SymPy's functions are lower-case
    """A standard normal deviate for every element: ``normal(seed)``, or ``normal(seed, stream)`` where there are more.

    Every step t, tensor, element and stream has a deviate of its own:

    - the bits are those of Philox4x32 with 10 rounds, under the key ``(seed % 2**32, seed // 2**32)``, for the counter
      ``(block % 2**32, tensor, t, block // 2**32 + 2**16*stream)``, where block is ``element // 4``: four words of 32
      bits;
    - the first two are for elements 0 and 1 of the block, the others for elements 2 and 3: one makes
      ``u1 = (word + 1/2)/2**32``, the next ``u2 = (word + 1/2)/2**32``;
    - the deviate of an even element is ``sqrt(-2*log(u1))*cos(2*pi*u2)``, that of an odd one has the sine in place of
      the cosine; both are at most 6.8 in size.

    ``element`` is the index in C order, from 0, ``tensor`` the position of the parameter among those that the optimizer
    was given, 0 for the one array of ``step``. Words of a counter and of the key are taken modulo 2**32.

    Parameters
    ----------
    seed : Hyper
        A hyperparameter of whole numbers: `optgen.hypers.seed`.
    stream : int, default 0
        Tells apart the draws of one rule: a number below 2**16, which no two draws that should differ may share.

    References
    ----------
    Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011). Box and Muller, A note on the
    generation of random normal deviates (1958).
    """

    nargs = (1, 2)
    is_real = True
    is_number = False

    @classmethod
    def eval(cls, seed: Expr, stream: Expr | None = None) -> Any:
        """``normal(seed, 0)`` is ``normal(seed)``."""
        return cls(seed) if stream == 0 else None

    @property
    def seed(self) -> Any:
        """The hyperparameter that keys it."""
        return self.args[0]

    @property
    def stream(self) -> Any:
        """Its number among the draws of a rule."""
        return self.args[1] if len(self.args) > 1 else Integer(0)


class Draw(Named):
    """A symbol in the place of a draw, for code and algebra that deal in names.

    Attributes
    ----------
    node : normal
        What it stands for.
    """

    __slots__ = ("node",)
    space = Space.ELEM
    node: Any
