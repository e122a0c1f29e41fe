"""What there is beside parameters of 16 bits: a copy in float32, or what they lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optgen.runtime.core.memory import Memory
from optgen.runtime.core.program import Array
from optgen.runtime.core.storage import HALF, dtype_of


def beside_params(
    memory: Memory, name: str, params: Sequence[Any], shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]
) -> dict[str, list[Array]]:
    """What there is beside each parameter, under its name in a state dict; beside others, arrays of nothing."""
    if not name:
        return {}
    if not any(dtype.name in HALF for dtype in dtypes):
        raise ValueError(f"{name}: expected parameters in bfloat16 or float16, for others have all that they need")
    found = []
    for array, shape, dtype in zip(params, shapes, dtypes, strict=True):
        is_half = dtype.name in HALF
        rest = memory.full(shape if is_half else (0,), 0.0, dtype if name == "kahan" else dtype_of("float32"))
        if is_half and name == "master":
            memory.copy(rest, array)
        found.append(rest)
    return {name: found}
