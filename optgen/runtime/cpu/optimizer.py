"""``FusedOptimizer``: the base class of every optimizer that is generated for CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.optimizer import GRADIENT, OptimizerBase
from optgen.runtime.core.program import Array, Params, Value
from optgen.runtime.core.small import Small, allocated
from optgen.runtime.core.storage import Storage, uniform
from optgen.runtime.core.table import Cuts, Table, tabulate
from optgen.runtime.core.turn import TURN
from optgen.runtime.cpu.launch import Work, launches, machine_code


@dataclass(frozen=True, eq=False)
class _Group:
    """The tensors of one dtype, as a table."""

    storage: Storage
    table: Table


class FusedOptimizer(OptimizerBase):
    """An optimizer that updates all arrays of a model, in place, in one launch a step.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    Any thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of numpy.ndarray
        The arrays to train: float32 or float64, C-contiguous, sharing no memory. They are updated in place.
    **hypers : float or callable
        Hyperparameters by name. A callable is a schedule: it is called with the number of each step, 1 at the first,
        and returns the number to use.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected.
    """

    def __init__(self, params: Params, **hypers: Value) -> None:
        super().__init__(params, arrays, hypers)
        self._kernels: list[Any] = []
        self._code: list[Callable[..., None]] = []
        self._groups = [self._group(dtype) for dtype in arrays.DTYPES if dtype in self._dtypes]

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Small:
        return allocated(self.program, cuts, states)

    def _group(self, dtype: np.dtype[Any]) -> _Group:
        sizes = np.where([its == dtype for its in self._dtypes], self._bytes // dtype.itemsize, 0)
        cuts = self._small.cuts if self._small else None
        return _Group(uniform(self.program.slots, dtype), tabulate(self._columns, sizes, dtype.itemsize, cuts))

    def step(self, grads: Params, **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        An interrupt (Ctrl-C), or whatever else a signal or a thread raises here, finds the step not begun or complete.

        Parameters
        ----------
        grads : list, tuple or dict of numpy.ndarray
            The gradients, of the shapes and dtypes of the parameters. They are only read, and only during the call;
            they may share memory with each other, but not with a parameter or a state.
        **hypers : float
            Values for this step alone, as from a schedule: ``opt.step(grads, lr=3e-4)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        """
        checked = self.program.checked(hypers)
        gradients = self._in_order(grads)
        with TURN:
            starts = self._addresses(gradients)
            now = self.program.at(self._t + 1, self._hypers | checked)
            scalars, numbers = self.program.computed(self._t + 1, now.values(), self._numbers)
            keys = self.program.keys(self._t + 1, now)
            wide = np.array(scalars, np.float64).reshape(1, -1)
            given = [(group.storage, wide.astype(group.storage.computed), *keys) for group in self._groups]
            work = Work(self.program, [group.table for group in self._groups], given, wide, self._small)
            if self._t == 0:
                self._begin(now)
            for group in self._groups:
                group.table.point(GRADIENT, starts)
            chosen = launches(work)
            kernels = [launch.func for launch in chosen]
            if kernels != self._kernels:  # a fork may choose others
                self._code = list(map(machine_code, chosen))
                self._kernels = kernels
            calls = [partial(code, *launch.args) for code, launch in zip(self._code, chosen, strict=True)]
            self._take(numbers, calls)
