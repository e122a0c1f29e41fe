"""What an optimizer must be able to do with arrays, wherever they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Protocol

import numpy as np

from optgen.runtime.core.program import Array, Call


def present(values: list[Any], absent: Collection[int]) -> list[Any]:
    """Those of some values that do not stand where something is absent; the same list if nothing is."""
    return [value for k, value in enumerate(values) if k not in absent] if absent else values


@dataclass(frozen=True, eq=False)
class Kinds:
    """What arrays must be."""

    shapes: list[tuple[int, ...]]  # of each
    dtypes: list[np.dtype[Any]]  # of each

    def without(self, absent: Collection[int]) -> Kinds:
        """The same of fewer arrays."""
        return Kinds(present(self.shapes, absent), present(self.dtypes, absent)) if absent else self

    @cached_property
    def bytes(self) -> Array:
        """How many bytes each has."""
        each = [prod(shape) * dtype.itemsize for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]
        return np.array(each, np.int64)


class Contents(Protocol):
    """What is done with what arrays hold, wherever they are."""

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        """The dtype of an array, as NumPy has it."""
        ...

    def read(self, array: Any) -> Array:
        """A copy that NumPy can hold; it waits for a GPU."""
        ...

    def writing(self, array: Any, values: Array) -> Call:
        """The call that fills an array with the values of one of NumPy."""
        ...

    def copy(self, target: Any, source: Any) -> None:
        """Fill an array with the values of another of its kind; a GPU does it in the stream that its library uses."""
        ...


class Memory(Contents, Protocol):
    """A kind of array: `optgen.runtime.core.arrays` for NumPy's, those of `optgen.runtime.cuda.arrays` for GPUs."""

    def check(self, array: Any, name: str, shape: tuple[int, ...] | None, dtype: Any, *, written: bool) -> None:
        """Refuse an array that a kernel must not touch; a shape or dtype of None stands for any that kernels take."""
        ...

    def plain(self, array: Any) -> Any:
        """An array in the same memory that is as it says."""
        ...

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        """Where each array's first element lies."""
        ...

    def addresses_if_plain(
        self, arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]], dtypes: Sequence[np.dtype[Any]]
    ) -> list[int] | None:
        """The same for arrays that `check` would pass; None if any needs a closer look."""
        ...

    def are_still_at(
        self,
        starts: Sequence[int],
        arrays: Sequence[Any],
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[np.dtype[Any]],
    ) -> bool:
        """Whether arrays that `check` has passed are where they were, as far as can be told in little time."""
        ...

    def full(self, shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Any:
        """A new array, filled with a value."""
        ...
