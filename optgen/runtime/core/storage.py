"""How the slots of a tensor are stored, and in what they are computed: two things that need not be the same.

Kernels are compiled for a `Storage`. What they load is widened to the type in which they compute; what they store is
rounded to the format of its slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stored:
    """How one slot is stored.

    Parameters
    ----------
    format : str
        As what it lies in memory: ``"float32"`` or ``"float64"``.
    computed : str
        In which type its elements are computed: ``"float32"`` or ``"float64"``.
    """

    format: str
    computed: str

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of an array in this format."""
        return np.dtype(self.format)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize


@dataclass(frozen=True)
class Storage:
    """How all slots of a tensor are stored; each is an attribute: ``storage.theta``. `uniform` makes a plain one.

    Parameters
    ----------
    computed : str
        In which type elements are computed.
    formats : tuple of (str, str)
        Each slot with its format.
    """

    computed: str
    formats: tuple[tuple[str, str], ...]

    def __getattr__(self, slot: str) -> Stored:
        for name, its in self.formats:
            if name == slot:
                return Stored(its, self.computed)
        raise AttributeError(f"no slot is called {slot!r}")


@cache
def uniform(slots: tuple[str, ...], dtype: Any) -> Storage:
    """Every slot in the type in which it is computed."""
    name = np.dtype(dtype).name
    return Storage(name, tuple((slot, name) for slot in slots))
