"""How the slots of a tensor are stored, and in what they are computed: two things that need not be the same.

Kernels are compiled for a `Storage`. What they load is widened to the type in which they compute; what they store is
rounded to the format of its slot, to nearest even or by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

FORMATS = ("float64", "float32", "bfloat16", "float16")
"""What elements can be stored as, the more exact first."""
_SHORT = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def format_of(given: Any, what: str) -> str:
    """The name of a format, of which a user has said it in one way or another: ``"bf16"``, ``np.float32``, a dtype.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    name = _SHORT.get(given, given) if isinstance(given, str) else None
    if name is None:
        try:
            name = np.dtype(given).name
        except TypeError:
            name = str(given).removeprefix("torch.")
    if name in FORMATS:
        return str(name)
    raise ValueError(f"{what}: expected one of {', '.join(map(repr, _SHORT))}, or such a dtype, got {given!r}")


def dtype_of(name: str) -> np.dtype[Any]:
    """The dtype of arrays of NumPy in a format.

    Raises
    ------
    ImportError
        If it is bfloat16, and ml_dtypes, which has it, is not installed.
    """
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes  # noqa: PLC0415 an extra
    except ImportError:
        raise ImportError(
            "bfloat16 needs ml_dtypes, for NumPy has none of its own: pip install 'optgen[bf16]'"
        ) from None
    return np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Stored:
    """How one slot is stored.

    Parameters
    ----------
    format : str
        As what it lies in memory: one of `FORMATS`.
    computed : str
        In which type its elements are computed: ``"float32"`` or ``"float64"``.
    rounding : str
        How what is stored is rounded: to the ``"nearest"``, ties to even, or ``"stochastic"``.
    stream : int
        What tells the chances of this slot from those of others.
    rest : str
        The format of what there is beside the words, if there is anything: a copy in more bits, or what they lack.
    column : int
        Where the row of a chunk has the address of that.
    adds : bool
        Whether it is what the words lack: the number is the sum of both.
    """

    format: str
    computed: str
    rounding: str = "nearest"
    stream: int = 0
    rest: str = ""
    column: int = 0
    adds: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether what is stored is what is computed."""
        return self.format == self.computed and not self.rest

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of an array in this format."""
        return dtype_of(self.format)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return {"float64": 8, "float32": 4}.get(self.format, 2)


@dataclass(frozen=True)
class Storage:
    """How all slots of a tensor are stored; each is an attribute: ``storage.theta``. `uniform` makes a plain one.

    Parameters
    ----------
    computed : str
        In which type elements are computed.
    slots : tuple of (str, Stored)
        By name, how each is stored.
    keys : array of uint64, optional
        The step and the seed, if anything is rounded by chance.
    """

    computed: str
    slots: tuple[tuple[str, Stored], ...]
    keys: Any = field(default=None, compare=False, repr=False)

    def __getattr__(self, slot: str) -> Stored:
        for name, its in vars(self).get("slots", ()):
            if name == slot:
                return its
        raise AttributeError(f"no slot is called {slot!r}")

    @property
    def word(self) -> int:
        """Where the keys are."""
        return 0 if self.keys is None else int(self.keys.ctypes.data)

    @property
    def is_by_chance(self) -> bool:
        """Whether anything is rounded by chance."""
        return any(its.rounding == "stochastic" for _, its in self.slots)

    def at(self, t: int, seed: int) -> Storage:
        """The same for one step."""
        return replace(self, keys=np.array([t, seed % 2**64], np.uint64)) if self.is_by_chance else self


@cache
def uniform(slots: tuple[str, ...], dtype: Any) -> Storage:
    """Every slot in the type in which it is computed."""
    name = np.dtype(dtype).name
    return Storage(name, tuple((slot, Stored(name, name)) for slot in slots))
