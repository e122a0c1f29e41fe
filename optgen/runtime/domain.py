"""Bounds of a hyperparameter."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Domain:
    """An interval of numbers, or of integers.

    Parameters
    ----------
    low, high : float
        The ends.
    low_open, high_open : bool
        Whether the end itself is left out. An infinite end always is.
    integer : bool
        Whether only integers belong.
    """

    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = True
    integer: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number belongs. NaN never does."""
        above = self.low < value if self.low_open else self.low <= value
        below = value < self.high if self.high_open else value <= self.high
        return above and below and (not self.integer or value == int(value))

    def __str__(self) -> str:
        interval = f"{'(' if self.low_open else '['}{self.low:g}, {self.high:g}{')' if self.high_open else ']'}"
        return f"the integers in {interval}" if self.integer else interval
