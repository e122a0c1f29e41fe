"""Bounds of a hyperparameter."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf, isfinite


@dataclass(frozen=True)
class Domain:
    """An interval of numbers, or of integers."""

    # The ends
    low: float = -inf
    high: float = inf
    # Whether the end itself is left out. An infinite end always is.
    low_open: bool = False
    high_open: bool = True
    integer: bool = False  # whether only integers belong

    def holds(self, value: float) -> bool:
        """Whether a number belongs. NaN and the infinities never do."""
        if not isfinite(value) or (self.integer and value != int(value)):
            return False
        above = self.low < value if self.low_open else self.low <= value
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __repr__(self) -> str:
        given = [field for field in fields(self) if getattr(self, field.name) != field.default]
        return f"Domain({', '.join(f'{field.name}={getattr(self, field.name)}' for field in given)})"

    def __str__(self) -> str:
        left = "(" if self.low_open or self.low == -inf else "["
        right = ")" if self.high_open or self.high == inf else "]"
        interval = f"{left}{self.low:g}, {self.high:g}{right}"
        return f"the integers in {interval}" if self.integer else interval
