"""``FusedOptimizer``: the base class of every optimizer that is generated for CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from optgen.runtime.core import arrays
from optgen.runtime.core.cohorts import Cohort, Coming, agree
from optgen.runtime.core.gradients import absent, in_order
from optgen.runtime.core.optimizer import OptimizerBase
from optgen.runtime.core.program import Array, Arrays, Call, Params
from optgen.runtime.core.reduced import Reduced, allocated
from optgen.runtime.core.storage import FORMATS
from optgen.runtime.core.table import Cuts
from optgen.runtime.core.turn import TURN, run, taken
from optgen.runtime.cpu import objects
from optgen.runtime.cpu.notes import Unlike
from optgen.runtime.cpu.usual import Usual, can_be_usual, usual
from optgen.runtime.cpu.visited import Kernels, Visited, visited


class FusedOptimizer(OptimizerBase):
    """An optimizer that updates all arrays of a model, in place, in one launch a step.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    Any thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of numpy.ndarray, or list of dict
        The arrays to train: float32, float64, bfloat16 (of ml_dtypes) or float16, C-contiguous, sharing no memory.
        They are updated in place. All is computed in float32, for parameters in float64 in that. Groups of them may
        have hyperparameters of their own: ``[{"params": decayed, "weight_decay": 0.1}, {"params": rest}]``.
    **hypers : float or callable
        Hyperparameters by name, for all groups that say nothing else. A callable is a schedule: it is called with the
        number of each step, 1 at the first, and returns the number to use.
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
    as_matrices : bool, default False
        Whether a tensor of more than two dimensions is seen as a matrix of a row for each place in the first, as most
        rules that look at rows mean a convolution; else as a stack of matrices, those of its last two.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected.
    """

    takes = FORMATS

    def __init__(self, params: Params, **hypers: Any) -> None:
        super().__init__(params, arrays, hypers)
        self._layout()

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Reduced:
        return allocated(self.program, cuts, states)

    def _addresses(self, gradients: list[Any], absent: frozenset[int]) -> Array:
        starts = self._seen.look(gradients, may_miss=bool(absent))
        return super()._addresses(gradients, absent) if starts is None else starts

    def _layout(self) -> None:
        self._visit = self._visiting(self._cohorts)
        self._kernels = Kernels(self._combine)
        self._usual: Usual | None = None
        self._after_usual: tuple[Cohort, ...] = ()
        """The cohorts that the last step left, if it was a usual one: if they are still those, so is the next."""
        self._can_be_usual = can_be_usual(self.program, by_chance=self._wanted.rounding == "stochastic")
        kinds = self._as_params, self._as_gradients
        self._seen = objects.LastSeen(self._params, self._starts, *kinds, self._written)

    def _visiting(self, taking: Sequence[Cohort]) -> Visited:
        """What a step visits of some cohorts, a row for each."""
        sizes = [prod(shape) for shape in self._shapes]
        return visited(
            self.program, taking, sizes, self._columns, self._storages(), reduced=self._reduced, rests=len(self._rest)
        )

    def step(self, grads: Arrays, *, missing: str = "error", **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        An interrupt (Ctrl-C), or whatever else a signal or a thread raises here, finds the step not begun or complete.

        Parameters
        ----------
        grads : list, tuple or dict of numpy.ndarray
            The gradients, of the shapes and dtypes of the parameters, or in bfloat16 or float16; of parameters of 16
            bits also in float32. Those of all groups are in one list or dict. They are only read, and only during the
            call; they may share memory with each other, but not with a parameter or a state.
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
            taken(self._under_way, self._step, checked, gradients, left_out)

    def _step(
        self, checked: Mapping[str, float], gradients: list[Any], left_out: frozenset[int], taking_it: Call
    ) -> None:
        """Take a step; what says that it is taken comes first among its calls."""
        if not left_out and self._took_usual(checked, gradients, taking_it):
            return
        starts = self._addresses(gradients, left_out)
        step = self._coming(checked, left_out)
        self._begin(step.hypers, step.taking)
        self._take(step, [taking_it, *(self._calls(step, starts) if step.taking else [])])

    def _took_usual(self, checked: Mapping[str, float], gradients: list[Any], taking_it: Call) -> bool:
        """Take a step like the last one, if this is to be one."""
        known, cohorts, t = self._usual, self._cohorts, self._t + 1
        if cohorts is not self._after_usual or known is None or self._kernels.ready(self._visit) is not known.ready:
            known = self._usual_for(gradients)
        if known is None:
            return False
        hypers = self._hypers_at(t, checked)
        if len(cohorts) > 1:
            agree(self.program, cohorts, hypers)
        given: list[float] = []
        new = []
        for group, count, _, members in cohorts:
            given += count + 1, *hypers[group].values()
            new.append(Cohort(group, count + 1, (), members))
        after = tuple(new)
        counting = partial(vars(self).update, _t=t, _cohorts=after, _after_usual=after)
        try:
            run([taking_it, partial(known.give, id(gradients), *given), *known.calls, counting])
        except Unlike:
            self._under_way[taking_it.args[0]] = None
            return False
        return True

    def _usual_for(self, gradients: list[Any]) -> Usual | None:
        """What a step consists of that is like the last one, if the next can be."""
        ready = self._kernels.ready(self._visit)
        if ready is None or not self._can_be_usual or not self._seen.is_worth_it(gradients):
            return None
        begun = [cohort.members for cohort in self._cohorts if cohort.t]  # a first step begins states
        if begun != self._visit.members:
            return None
        if self._usual is None or self._usual.ready is not ready:
            self._usual = usual(self.program, ready, self._seen)
        return self._usual

    def _calls(self, step: Coming, starts: Array) -> list[Call]:
        """The kernels of a step."""
        if [cohort.members for cohort in step.taking] != self._visit.members:
            self._visit = self._visiting(step.taking)
        return self._kernels.calls(self.program, self._visit, step, starts, self._t + 1, self._wanted.rounding_seed)
