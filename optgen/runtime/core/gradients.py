"""What a step is given: gradients in the order of the parameters, and which of them are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optgen.runtime.core.foreign import as_container
from optgen.runtime.core.groups import Parameters
from optgen.runtime.core.memory import Memory
from optgen.runtime.core.program import Arrays

_NONE: frozenset[int] = frozenset()
_LISTS = list, tuple


def in_order(given: Parameters, grads: Arrays) -> list[Any]:
    """The gradients in the order of the parameters, given as these were: in one list, or with the same keys."""
    if not given.is_keyed and isinstance(grads, _LISTS):
        if len(grads) != len(given.keys):
            raise ValueError(f"grads: expected {len(given.keys)} arrays, one a parameter, got {len(grads)}")
        return list(grads)
    if not given.is_keyed or not isinstance(grads, Mapping):
        kind = "dict" if given.is_keyed else "list or tuple"
        got = type(grads).__name__
        instead = as_container(grads, "grads")
        if isinstance(grads, _LISTS):
            instead = "give each the key of its parameter: dict(zip(params, grads))"
        elif isinstance(grads, Mapping):
            instead = "pass list(grads.values()), in the order of params"
        raise TypeError(f"grads: expected a {kind}, as params was, got {got}; {instead}")
    if grads.keys() != set(given.keys):
        missing = [key for key in given.keys if key not in grads]
        unexpected = [key for key in grads if key not in given.keys]
        raise ValueError(f"grads: expected the keys of params; missing {missing}, unexpected {unexpected}")
    return [grads[key] for key in given.keys]


def absent(gradients: list[Any], missing: str) -> frozenset[int]:
    """The parameters that a step leaves out: those without a gradient, if it may."""
    if not isinstance(missing, str) or missing not in ("error", "skip"):
        raise ValueError(f"missing = {missing!r}: expected 'error', or 'skip' to leave out what has no gradient")
    if missing == "error":
        return _NONE
    return frozenset(k for k, gradient in enumerate(gradients) if gradient is None)


def located(
    memory: Memory,
    gradients: Sequence[Any],
    names: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    formats: Sequence[Any],
) -> tuple[list[int], list[Any]]:
    """Where gradients lie, and their dtypes, after a closer look at each."""
    for gradient, name, shape, its in zip(gradients, names, shapes, formats, strict=True):
        if gradient is None:
            raise ValueError(f"{name} is missing (None): step(grads, missing='skip') leaves its parameter out")
        memory.check(gradient, name, shape, its, written=False)
    return memory.addresses(gradients), [memory.dtype_of(memory.plain(gradient)) for gradient in gradients]
