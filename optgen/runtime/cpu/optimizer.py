"""``FusedOptimizer``: the base class of every optimizer that is generated for CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.optimizer import GRADIENT, OptimizerBase
from optgen.runtime.core.program import Array, Params
from optgen.runtime.core.small import Small, allocated
from optgen.runtime.core.storage import FORMATS, OPTIONS, Storage
from optgen.runtime.core.table import Cuts, Table, tabulate
from optgen.runtime.core.turn import TURN
from optgen.runtime.cpu.launch import Work, launches, machine_code


@dataclass(frozen=True, eq=False)
class _Group:
    """The tensors that are stored alike, as a table."""

    storage: Storage
    table: Table


class FusedOptimizer(OptimizerBase):
    """An optimizer that updates all arrays of a model, in place, in one launch a step.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    Any thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of numpy.ndarray
        The arrays to train: float32, float64, bfloat16 (of ml_dtypes) or float16, C-contiguous, sharing no memory.
        They are updated in place. All is computed in float32, for parameters in float64 in that.
    **hypers : float or callable
        Hyperparameters by name. A callable is a schedule: it is called with the number of each step, 1 at the first,
        and returns the number to use.
    store : dict of str to dtype, optional
        In what to store states of elements, ``{"m": "bf16", "v": "bf16"}`` say: ``"f64"``, ``"f32"``, ``"bf16"`` or
        ``"f16"``. The others are stored as their parameter is.
    rounding : str, default "nearest"
        How what is stored in fewer bits than it is computed in is rounded: to the ``"nearest"``, ties to even, or
        ``"stochastic"``, up as often as what is dropped is a part of the last place.
    rounding_seed : int, default 0
        What the chances follow from, beside the step and the place of the element.
    master : bool, default False
        Whether to keep a copy in float32 of parameters of 16 bits, and to compute with that.
    kahan : bool, default False
        Whether to keep beside parameters of 16 bits what they lack, in 16 bits too, and to compute with the sum.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected.
    """

    takes = FORMATS

    def __init__(self, params: Params, **hypers: Any) -> None:
        options = {name: hypers.pop(name) for name in OPTIONS if name in hypers}
        super().__init__(params, arrays, hypers, options)
        self._layout()

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Small:
        return allocated(self.program, cuts, states)

    def _layout(self) -> None:
        storages = self._storages()
        sizes = np.array([prod(shape) for shape in self._shapes], np.int64)
        cuts = self._small.cuts if self._small else None
        self._groups = []
        for storage in dict.fromkeys(storages):
            mine = np.where([its == storage for its in storages], sizes, 0)
            itemsizes = [its.itemsize for _, its in storage.slots] + [storage.theta.rest_itemsize] * len(self._rest)
            self._groups.append(_Group(storage, tabulate(self._columns, mine, itemsizes, cuts)))
        self._kernels: list[Any] = []
        self._code: list[Callable[..., None]] = []

    def step(self, grads: Params, **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        An interrupt (Ctrl-C), or whatever else a signal or a thread raises here, finds the step not begun or complete.

        Parameters
        ----------
        grads : list, tuple or dict of numpy.ndarray
            The gradients, of the shapes and dtypes of the parameters, or in bfloat16 or float16; of parameters of 16
            bits also in float32. They are only read, and only during the call; they may share memory with each other,
            but not with a parameter or a state.
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
            seed = self._wanted.rounding_seed
            storages = [group.storage.at(self._t + 1, seed) for group in self._groups]
            given = [(storage, wide.astype(storage.computed), *keys) for storage in storages]
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
