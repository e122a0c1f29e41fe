"""The parameters to evaluate a model with, made of what an optimizer has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.memory import Contents
from optgen.runtime.core.program import Program


def evaluated(program: Program, memory: Contents, given: Sequence[Any], new: Any) -> None:
    """Fill an array with the parameters of one tensor to evaluate, made of what ``program.evaluated`` names."""
    if program.evaluation is None:
        memory.copy(new, given[0])
        return
    numbers = [(arrays if isinstance(array, np.ndarray) else memory).read(array).astype(np.float64) for array in given]
    with np.errstate(all="ignore"):
        values = np.broadcast_to(program.evaluation(*numbers), tuple(new.shape)).astype(memory.dtype_of(new))
    memory.writing(new, values)()
