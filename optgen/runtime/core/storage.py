"""How the slots of a tensor are stored, and in what they are computed: two things that need not be the same.

Kernels are compiled for a `Storage`. What they load is widened to the type in which they compute; what they store is
rounded to the format of its slot, to nearest even or by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from optgen.runtime.core.program import Program, as_flag
from optgen.runtime.core.reduced import as_matrix

FORMATS = ("float32", "float64", "bfloat16", "float16")
"""What elements can be stored as."""
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_SHORT = {"f32": "float32", "f64": "float64", "bf16": "bfloat16", "f16": "float16"}


def format_of(given: Any, what: str) -> str:
    """The name of a format, of which a user has said it in one way or another: ``"bf16"``, ``np.float32``, a dtype."""
    name = _SHORT.get(given, given) if isinstance(given, str) else "None" if given is None else None
    if name is None:  # None itself is float64 to NumPy
        try:
            name = np.dtype(given).name
        except TypeError:
            name = str(given).removeprefix("torch.")
    if name in FORMATS:
        return str(name)
    raise ValueError(f"{what}: expected one of {', '.join(map(repr, _SHORT))}, or such a dtype, got {given!r}")


def itemsize_of(name: str) -> int:
    """Bytes of an element in a format."""
    return _BYTES[name]


def dtype_of(name: str) -> np.dtype[Any]:
    """The dtype of arrays of NumPy in a format; for bfloat16 there must be ml_dtypes."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes  # noqa: PLC0415 an extra
    except ImportError:
        what = "bfloat16 needs ml_dtypes, since NumPy has none of its own: pip install 'optgen[bf16]'"
        raise ImportError(what) from None
    made: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return made


@dataclass(frozen=True)
class Stored:
    """How one slot is stored."""

    format: str  # as what it lies in memory: one of `FORMATS`
    computed: str  # in which type its elements are computed: ``"float32"`` or ``"float64"``
    rounding: str = "nearest"  # how what is stored is rounded: to the ``"nearest"``, ties to even, or ``"stochastic"``
    stream: int = 0  # what tells the chances of this slot from those of others
    # The format of what there is beside the words, if there is anything: a copy in more bits, or what they lack
    rest: str = ""
    column: int = 0  # of the columns of addresses, the one of that
    adds: bool = False  # whether it is what the words lack: the number is the sum of both
    # uint64: the step and the seed, as a kernel that runs as Python is given them
    keys: Any = field(default=None, repr=False, compare=False)

    @property
    def is_by_chance(self) -> bool:
        """Whether what is stored is rounded by chance."""
        return self.rounding == "stochastic"

    @property
    def takes_more(self) -> bool:
        """Whether it takes more than words, and what is computed, to load and to store."""
        return bool(self.rest) or self.is_by_chance

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
        return _BYTES[self.format]

    @property
    def beside(self) -> str:
        """The format of what there is beside words, of words themselves where there is nothing."""
        return self.rest or self.format

    @property
    def rest_itemsize(self) -> int:
        """Bytes of what there is beside an element."""
        return _BYTES[self.beside]


@dataclass(frozen=True)
class Storage:
    """How all slots of a tensor are stored. `uniform` makes a plain one."""

    computed: str  # in which type elements are computed
    slots: tuple[tuple[str, Stored], ...]  # by name, how each is stored

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.computed, self.slots)  # kernels on disk are found by it, whatever is cached here

    @cached_property
    def _by_name(self) -> dict[str, Stored]:
        return dict(self.slots)

    def __getitem__(self, slot: str) -> Stored:
        """How a slot is stored."""
        return self._by_name[slot]

    @cached_property
    def is_by_chance(self) -> bool:
        """Whether anything is rounded by chance."""
        return any(its.is_by_chance for _, its in self.slots)

    @cached_property
    def as_argument(self) -> Handed:
        """What kernels are given where nothing is rounded by chance."""
        return Handed(self)

    def keyed_by(self, keys: Any) -> Handed:
        """What kernels are given that round by chance, if these do, as the keys say when they are called."""
        return Handed(self, keys, keys.ctypes.data) if self.is_by_chance else self.as_argument


class Handed:
    """A storage as kernels are given it: each slot is an attribute, whatever it is called.

    If anything is rounded by chance, with it come the step and the seed, uint64, and the address of these.
    """

    def __init__(self, storage: Storage, keys: Any = None, address: int = 0) -> None:
        self.__storage, self.__keys, self.__word = storage, keys, address

    def __getattr__(self, slot: str) -> Stored:
        try:
            its = self.__storage[slot]
        except KeyError:
            raise AttributeError(f"no slot is called {slot!r}") from None
        return its if self.__keys is None else replace(its, keys=self.__keys)


def keys_of(t: int, seed: int) -> Any:
    """What chances are keyed by."""
    return np.array([t, seed % 2**64], np.uint64)


def storage_of(handed: Handed) -> Storage:
    """The storage that a kernel is given."""
    storage: Storage = vars(handed)["_Handed__storage"]
    return storage


WORD = "_Handed__word"
"""The attribute that says where the keys are: no Python may run where a kernel is given them."""


def beside(theta: str, takes: tuple[str, ...] = FORMATS) -> tuple[str, ...]:
    """The formats of what a parameter in some format can be given with: none is more exact than what is computed."""
    return tuple(dict.fromkeys((theta, *(its for its in takes if its in HALF or its == computed_for(theta)))))


@cache
def stored_as(slots: tuple[str, ...], formats: tuple[str, ...]) -> Storage:
    """Slots in some formats, theta first; those for which there are none are stored as they are computed."""
    computed = computed_for(formats[0])
    known = dict(zip(slots, formats, strict=False))
    return Storage(computed, tuple((slot, Stored(known.get(slot, computed), computed)) for slot in slots))


def uniform(slots: tuple[str, ...], dtype: Any) -> Storage:
    """Every slot in the type in which it is computed."""
    return stored_as(slots, (np.dtype(dtype).name,))


# What users want ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """How a user wants the slots of a model stored, and its tensors seen. `wanted` checks it."""

    # The formats of some states; the others are stored as the parameter is that they belong to
    store: Mapping[str, str]
    rounding: str  # ``"nearest"`` or ``"stochastic"``
    rounding_seed: int  # what the chances follow from, beside the step and the place of an element
    master: bool  # whether parameters of 16 bits have a copy in float32, which is what is computed with
    kahan: bool  # whether they have beside them, in 16 bits too, what their words lack
    as_matrices: bool = False  # whether tensors of more than two dimensions are matrices, of a row a place in the first

    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a tensor, or of a state of its rows or columns, as rules have it that look at these."""
        return as_matrix(shape) if self.as_matrices else shape

    @property
    def rest(self) -> str:
        """What there is beside parameters of 16 bits, by name; nothing if there is nothing."""
        return "master" if self.master else "kahan" if self.kahan else ""

    def storage(self, formats: Mapping[str, str], column: int) -> Storage:
        """How the slots of a tensor are stored, given the formats of theta, the gradient and the states.

        What there is beside theta has its addresses in a column.
        """
        computed = computed_for(formats["theta"])
        slots = []
        for stream, (name, its) in enumerate(formats.items()):
            by_chance = self.rounding == "stochastic" and name != "g" and its != computed
            stored = Stored(its, computed, self.rounding if by_chance else "nearest", stream if by_chance else 0)
            if name == "theta" and self.rest and its in HALF:
                rest = its if self.kahan else "float32"
                stored = Stored(its, computed, rest=rest, column=column, adds=self.kahan)
            slots.append((name, stored))
        return Storage(computed, tuple(slots))

    def refuse_wider(self, theta: str, what: str) -> None:
        """Refuse states in more bits than they are computed in, with a parameter in some format, called so."""
        computed = computed_for(theta)
        for name, its in self.store.items():
            if _BYTES[its] > _BYTES[computed]:
                why = f"{what} is in {theta}, so its states are computed in {computed}"
                raise ValueError(f"store[{name!r}]: {why}; expected {_shorter(computed)}, got {its}")


HALF = ("bfloat16", "float16")
"""The formats of 16 bits."""


def _shorter(computed: str) -> str:
    """The formats of no more bits, as words."""
    names = [repr(short) for short, its in _SHORT.items() if _BYTES[its] <= _BYTES[computed]]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def computed_for(theta: str) -> str:
    """In which type the elements of a parameter are computed."""
    return "float64" if theta == "float64" else "float32"


def wanted(
    program: Program,
    *,
    store: Any = None,
    rounding: Any = "nearest",
    rounding_seed: Any = 0,
    master: Any = False,
    kahan: Any = False,
    as_matrices: Any = False,
) -> Wanted:
    """How a user wants slots stored and tensors seen, checked."""
    if store is not None and not isinstance(store, Mapping):
        kind = type(store).__name__
        raise TypeError(f"store: expected a dict from states to formats, such as {{'m': 'bf16'}}, got {kind}")
    for name in store or {}:
        if name not in program.states:
            others = {*program.reduced_states, *program.numbers}
            why = "has one value for many elements and is always float64" if name in others else "is no state"
            known = ", ".join(program.states) or "none, for it has no state of elements"
            raise ValueError(f"store: in {program.name} {name!r} {why}; expected {known}")
    if not isinstance(rounding, str) or rounding not in ("nearest", "stochastic"):
        raise ValueError(f"rounding: expected 'nearest' or 'stochastic', got {rounding!r}")
    if isinstance(rounding_seed, bool) or not isinstance(rounding_seed, int | np.integer):
        raise TypeError(f"rounding_seed: expected an integer, got {type(rounding_seed).__name__}")
    master, kahan, as_matrices = map(as_flag, ("master", "kahan", "as_matrices"), (master, kahan, as_matrices))
    if master and kahan:
        raise ValueError("master and kahan: expected one of them at most, both keep what parameters of 16 bits lack")
    formats = {name: format_of(its, f"store[{name!r}]") for name, its in (store or {}).items()}
    return Wanted(formats, rounding, int(rounding_seed), master, kahan, as_matrices)
