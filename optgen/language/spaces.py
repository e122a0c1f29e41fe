"""Spaces: over what a value varies, and the inference that finds it.

Nobody annotates a space. A hyperparameter, ``t`` and numbers are STEP values; ``theta``, ``g`` and ordinary states
are ELEM values; an operation varies over whatever its operands vary over; a reduction brings a value down.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import reduce


class Space(Enum):
    """What a value varies over."""

    STEP = "step"
    """One value a step, known from hyperparameters and t before any memory is touched."""
    MODEL = "model"
    """One value for all tensors of a model."""
    GROUP = "group"
    """One value a parameter group; each of its tensors has it, so no state varies over groups."""
    TENSOR = "tensor"
    """One value a tensor."""
    ROW = "row"
    """One value a row (a position in the last dimension but one)."""
    COL = "column"
    """One value a column (a position in the last dimension)."""
    ELEM = "element"
    """One value an element."""

    def __le__(self, other: Space) -> bool:
        """Whether a value of this space can stand where one of the other is wanted."""
        return join(self, other) is other

    @property
    def each(self) -> str:
        """What there is one value for, with its article: "an element"."""
        return f"{'an' if self.value[0] in 'aeiou' else 'a'} {self.value}"

    def __repr__(self) -> str:
        return self.name


_RANK = {Space.STEP: 0, Space.MODEL: 1, Space.GROUP: 2, Space.TENSOR: 3, Space.ROW: 4, Space.COL: 4, Space.ELEM: 5}


def join(a: Space, b: Space) -> Space:
    """The smallest space that holds both: a row's value with a column's varies over elements."""
    if _RANK[a] == _RANK[b] and a is not b:
        return Space.ELEM
    return a if _RANK[a] >= _RANK[b] else b


def join_all(spaces: Iterable[Space]) -> Space:
    """The join of any number of spaces; STEP for none."""
    return reduce(join, spaces, Space.STEP)


STEP, MODEL, GROUP, TENSOR, ROW, COL, ELEM = Space
