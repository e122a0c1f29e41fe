"""What a state dict has beside the states: read, and checked before anything changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.program import Array, Program
from optgen.runtime.core.storage import FORMATS, dtype_of

EACH = "t.each"
"""The entry with the step count of each parameter, which is there if one is not t."""
_LARGEST = {"float32": (2 - 2**-23) * 2.0**127, "bfloat16": (2 - 2**-7) * 2.0**127, "float16": 65504.0}
"""The largest number of each format that does not hold all of float64's."""
_OF_FILES = np.dtype("V2")
"""What NumPy makes of bfloat16 in a file."""


def entries(program: Program, state: Any, targets: Collection[str]) -> dict[str, Any]:
    """The entries of a state dict for states of some names, each read once: files make new ones."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state dict: expected a mapping, got {type(state).__name__}")
    expected = {"t", *(f"hyper.{name}" for name in program.hypers), *targets, *program.numbers}
    given = state.keys() - {EACH}
    if given != expected:
        missing, unexpected = sorted(expected - given), sorted(map(str, given - expected))
        raise ValueError(f"state dict of {program.name}: missing {missing}, unexpected {unexpected}")
    return {entry: _read(state, entry) for entry in (*given, *(state.keys() & {EACH}))}


def _read(state: Mapping[str, Any], entry: str) -> Any:
    try:
        return state[entry]
    except Exception as error:  # of whatever keeps it: a damaged file has many
        raise ValueError(f"state dict entry {entry!r} cannot be read: {error}") from error


def array(entry: str, value: Any, shape: tuple[int, ...], dtype: Any, *, cast: bool = False) -> Array:
    """An entry that is an array of numbers; one of another dtype is rounded, if it may be."""
    name = f"state dict entry {entry!r}"
    if isinstance(value, np.ndarray) and value.dtype == _OF_FILES and (cast or dtype.name == "bfloat16"):
        value = value.view(dtype_of("bfloat16"))
    arrays.check(value, name, shape, FORMATS if cast else dtype, written=False)
    given = arrays.plain(value)
    if np.isnan(given).any():
        raise ValueError(f"{name}: expected numbers, got NaN")
    if given.dtype != dtype and dtype.name in _LARGEST:
        wide = given.astype(np.float64)
        too_large = np.isfinite(wide) & (np.abs(wide) > _LARGEST[dtype.name])
        if too_large.any():
            raise ValueError(f"{name}: expected numbers that {dtype.name} can hold, got {wide[too_large][0]:g}")
    return given.astype(dtype, copy=False)


def counts(value: Any, t: int, tensors: int) -> list[int]:
    """How many steps each parameter has taken."""
    try:
        found = np.asarray(value)
    except ValueError as error:  # of lists of unlike lengths, say
        raise ValueError(f"state dict entry {EACH!r}: expected {tensors} integers, one a parameter: {error}") from None
    if found.shape != (tensors,) or found.dtype.kind not in "iu":
        what = f"expected {tensors} integers, one a parameter"
        raise ValueError(f"state dict entry {EACH!r}: {what}, got {found.dtype} of shape {found.shape}")
    if found.min() < 0 or found.max() > t:
        raise ValueError(f"state dict entry {EACH!r}: expected numbers of steps from 0 to t = {t}")
    return [int(each) for each in found]


def hypers(program: Program, read: Mapping[str, Any], groups: int) -> list[dict[str, float]]:
    """The hyperparameters of each group."""
    found: dict[str, list[Any]] = {}
    for name in program.hypers:
        value = read[f"hyper.{name}"]
        if np.shape(value) != (() if groups == 1 else (groups,)):
            what = f"expected {'a number' if groups == 1 else f'{groups} numbers'}, as many as there are groups"
            raise ValueError(f"state dict entry 'hyper.{name}': {what}, got shape {np.shape(value)}")
        found[name] = [value] if groups == 1 else list(value)
    try:
        return [program.checked({name: values[k] for name, values in found.items()}) for k in range(groups)]
    except (TypeError, ValueError) as error:
        raise type(error)(f"state dict entry hyper.{error}") from None


def numbers(name: str, value: Any, tensors: int) -> list[float]:
    """A number that the host keeps, for each parameter: there may be one for all."""
    shape = (tensors,) if tensors > 1 and np.shape(value) == (tensors,) else ()
    return [float(each) for each in np.broadcast_to(array(name, value, shape, np.dtype(np.float64)), tensors)]
