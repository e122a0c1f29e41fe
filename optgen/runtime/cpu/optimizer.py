"""``FusedOptimizer``: the base class of every optimizer that is generated for CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.cohorts import Cohort, Coming
from optgen.runtime.core.gradients import absent, in_order
from optgen.runtime.core.optimizer import GRADIENT, OptimizerBase
from optgen.runtime.core.program import Array, Arrays, Call, Params, Value
from optgen.runtime.core.small import Small, allocated
from optgen.runtime.core.storage import Storage, uniform
from optgen.runtime.core.table import Cuts, Table, tabulate
from optgen.runtime.core.turn import TURN
from optgen.runtime.cpu.launch import Work, launches, machine_code


@dataclass(frozen=True, eq=False)
class _Visited:
    """What steps visit in which the same parameters take part, by the same rows of scalars.

    Parameters
    ----------
    members : sequence of tuple of int
        The parameters of each row.
    tables, storages : sequence of Table, of Storage
        One for each dtype.
    small : Small or None
        What varies over less than elements, and where it stands.
    """

    members: Sequence[tuple[int, ...]]
    tables: Sequence[Table]
    storages: Sequence[Storage]
    small: Small | None


class FusedOptimizer(OptimizerBase):
    """An optimizer that updates all arrays of a model, in place, in one launch a step.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    Any thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of numpy.ndarray, or list of dict
        The arrays to train: float32 or float64, C-contiguous, sharing no memory. They are updated in place. Groups of
        them may have hyperparameters of their own: ``[{"params": decayed, "weight_decay": 0.1}, {"params": rest}]``.
    **hypers : float or callable
        Hyperparameters by name, for all groups that say nothing else. A callable is a schedule: it is called with the
        number of each step, 1 at the first, and returns the number to use.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected.
    """

    def __init__(self, params: Params, **hypers: Value) -> None:
        super().__init__(params, arrays, hypers)
        self._kernels: list[Any] = []
        self._code: list[Callable[..., None]] = []
        self._visit = self._visiting(self._cohorts)

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Small:
        return allocated(self.program, cuts, states)

    def _visiting(self, taking: Sequence[Cohort]) -> _Visited:
        """What a step visits of some cohorts, a row for each."""
        groups = np.full(len(self._params), -1)
        for row, cohort in enumerate(taking):
            groups[list(cohort.members)] = row
        small = self._small and replace(self._small, cuts=self._small.cuts.visiting(groups))
        tables = []
        dtypes = [dtype for dtype in arrays.DTYPES if dtype in self._dtypes]
        for dtype in dtypes:
            mine = (groups >= 0) & [its == dtype for its in self._dtypes]
            sizes = np.where(mine, self._bytes // dtype.itemsize, 0)
            tables.append(tabulate(self._columns, sizes, dtype.itemsize, small.cuts if small else None, groups))
        storages = [uniform(self.program.slots, dtype) for dtype in dtypes]
        return _Visited([cohort.members for cohort in taking], tables, storages, small)

    def step(self, grads: Arrays, *, missing: str = "error", **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        An interrupt (Ctrl-C), or whatever else a signal or a thread raises here, finds the step not begun or complete.

        Parameters
        ----------
        grads : list, tuple or dict of numpy.ndarray
            The gradients, of the shapes and dtypes of the parameters, those of all groups in one. They are only read,
            and only during the call; they may share memory with each other, but not with a parameter or a state.
        missing : {"error", "skip"}
            What a gradient of None is: an error, or a parameter that is left out of the step and of what is added up
            over the model, as if it were not there. Each counts its own steps; schedules go by those of the optimizer.
        **hypers : float
            Values for this step alone and all groups, as from a schedule: ``opt.step(grads, lr=3e-4)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        """
        checked = self.program.checked(hypers)
        gradients = in_order(self._given, grads)
        left_out = absent(gradients, missing)
        with TURN:
            starts = self._addresses(gradients, left_out)
            step = self._coming(checked, left_out)
            self._begin(step.hypers, step.taking)
            self._take(step, self._calls(step, starts) if step.taking else [])

    def _calls(self, step: Coming, starts: Array) -> list[Call]:
        """The kernels of a step."""
        if [cohort.members for cohort in step.taking] != self._visit.members:
            self._visit = self._visiting(step.taking)
        visit, wide = self._visit, step.scalars
        given = [(storage, wide.astype(storage.computed), *step.keys) for storage in visit.storages]
        for table in visit.tables:
            table.point(GRADIENT, starts)
        chosen = launches(Work(self.program, visit.tables, given, wide, visit.small))
        kernels = [launch.func for launch in chosen]
        if kernels != self._kernels:  # a fork may choose others
            self._code = list(map(machine_code, chosen))
            self._kernels = kernels
        return [partial(code, *launch.args) for code, launch in zip(self._code, chosen, strict=True)]
