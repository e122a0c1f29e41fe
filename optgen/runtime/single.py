"""One array at a time: what the ``step`` function of a generated module does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from optgen.runtime import arrays
from optgen.runtime.launch import launch
from optgen.runtime.program import Array, Program, as_step_count
from optgen.runtime.table import Table


def update_array(program: Program, slots: Mapping[str, Array], t: int, hypers: Mapping[str, Any]) -> None:
    """Update one array and its states in place.

    Parameters
    ----------
    program : Program
        By which rule.
    slots : mapping of str to array
        ``theta``, ``g`` and each state, all of one shape and dtype.
    t : int
        The number of the step, 1 at the first.
    hypers : mapping of str to float
        Every hyperparameter.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected; nothing has changed then.
    """
    count = as_step_count(t)
    values = program.checked(hypers)
    theta = slots["theta"]
    arrays.check(theta, "theta", None, None, written=True)
    for name, array in slots.items():
        arrays.check(array, name, theta.shape, theta.dtype, written=name != "g")
    starts = arrays.addresses(list(slots.values()))
    bytes_ = np.full(len(starts), theta.nbytes)
    names = list(slots)
    written = np.array([name != "g" for name in names])
    extents = arrays.Extents(starts[written], bytes_[written], [name for name in names if name != "g"])
    extents.refuse_overlap(starts[~written], bytes_[~written], ["g"])
    table = Table(starts[:, None], np.array([theta.size]), theta.itemsize)
    scalars = program.scalars(float(count), *values.values())
    launch(program, table, np.array(scalars, theta.dtype))
