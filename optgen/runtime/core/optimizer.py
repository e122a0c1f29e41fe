"""``OptimizerBase``: what every generated optimizer has, wherever its arrays are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from optgen.runtime.core import arrays, saved, sharing
from optgen.runtime.core.cohorts import Cohort, Coming, cohorts_of, coming
from optgen.runtime.core.gradients import located
from optgen.runtime.core.groups import as_plain, shown
from optgen.runtime.core.holdings import Holdings
from optgen.runtime.core.memory import Kinds, present
from optgen.runtime.core.program import Array, Arrays, Call, Params, Value, as_flag, as_step_count
from optgen.runtime.core.sharing import Combine
from optgen.runtime.core.storage import beside
from optgen.runtime.core.turn import TURN, run


class OptimizerBase(Holdings):
    """What can be asked of an optimizer, and how its arguments are checked.

    Any thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.
    """

    _combine: Combine | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.program.hypers and not hasattr(type(self), name):
            raise AttributeError(f"{name}: write set({name}=…), or step(grads, {name}=…) for one step alone")
        super().__setattr__(name, value)

    @property
    def t(self) -> int:
        """How many steps have been taken."""
        return self._t

    @property
    def params(self) -> Arrays:
        """The arrays it trains: a tuple, or a read-only dict if they were given as a dict; one group after another."""
        return self._given.like_params(self._params)

    @property
    def hypers(self) -> Mapping[str, Any]:
        """The hyperparameters as numbers: those of the next step. `set` changes them.

        If there are several groups, each is an array with a number a group.
        """
        return MappingProxyType(self._by_name(self._hypers_at(self._t + 1)))

    @property
    def groups(self) -> tuple[Mapping[str, Any], ...]:
        """The groups, each as it could have been given: ``params``, and its hyperparameters as `hypers` has them."""
        now = enumerate(self._hypers_at(self._t + 1))
        return tuple(MappingProxyType({"params": self._given.of_group(k), **hypers}) for k, hypers in now)

    @property
    def state(self) -> Mapping[str, Any]:
        """The states by name, each like `params`: ``opt.state["m"][0]``. The arrays are the ones in use.

        A state of one value a row, a column or a tensor has float64 arrays that broadcast against the parameters; one
        of one value for the whole model is a float64 array of shape (). Before the first step, states that start from
        theta hold what it makes of them now; those that start from the first gradient hold 0.

        A number that the host keeps is a float64 array of shape (), and a copy; where groups, or parameters that steps
        have left out, have numbers of their own, it has one for each parameter.
        """
        with TURN:
            self._begin_anew()
        of_params, like = self._state_of_params().items(), self._given.like_params
        shown = {name: like([self._memory.plain(x) for x in values]) for name, values in of_params}
        return MappingProxyType({**shown, **self._model_states(), **self._named_numbers()})

    def eval_params(self) -> Arrays:
        """The parameters to evaluate the model with, as new arrays like `params`.

        They are what the rule says, an average of the points it visited, say; if it says nothing, what `params` are.
        """
        with TURN:
            self._begin_anew()
            numbers = self._of_each([cohort.numbers for cohort in self._cohorts])
            return self._given.like_params([self._evaluated(k, its) for k, its in enumerate(numbers)])

    def set(self, *, group: int | None = None, **hypers: Value) -> None:
        """Change hyperparameters, to numbers or schedules, from the next step on. Nothing is recompiled.

        Parameters
        ----------
        group : int, optional
            Of which group; of all unless given.
        **hypers : float or callable
            What to change.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown, a value, or what a schedule says of the next step, outside its domain, or there is no
            such group; nothing has changed then.
        """
        kept = self.program.kept(hypers)
        if group is not None and as_step_count("group", group, least=0) >= len(self._groups):
            raise ValueError(f"group = {group}: expected one of {len(self._groups)}, counted from 0, or None for all")
        with TURN:
            self.program.at(self._t + 1, kept)
            self._groups = tuple(own | kept if group in (None, k) else own for k, own in enumerate(self._groups))

    def add_group(self, params: Arrays, **hypers: Value) -> None:
        """Train further parameters too, as a group of their own that has taken no step.

        The states are in new arrays from then on.

        Parameters
        ----------
        params : list, tuple or dict of array
            The arrays; a dict if the others were given in dicts.
        **hypers : float or callable
            Their hyperparameters. The others are as they were given for all groups when this was made.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        """
        first = params[0] if isinstance(params, list | tuple) and params else params
        if isinstance(first, Mapping) and isinstance(first.get("params"), Mapping | list | tuple):
            raise TypeError("params: expected arrays, got a group of them; write add_group(**group) for each")
        with TURN:
            new = {"params": params, **self.program.completed({**self._defaults, **hypers})}
            kind: Any = type(self)
            whole = kind([*self._as_groups(), new], **self._options)
            self._begin_anew()
            held = {**self._state_of_params(), **self._rest}
            whole._go_on_from(held, self._model_states(), self._cohorts)  # noqa: SLF001 - of this class
            self._change([], **{**vars(whole), "_t": self._t, "_defaults": self._defaults})

    def share(self, combine: Combine, shapes: Sequence[tuple[int, ...]] | None = None) -> None:
        """Let totals be those of a model of which there is only a part here: some of its tensors, or parts of them.

        Copies, pickles, and what `add_group` makes of this are not shared; share those too.

        Parameters
        ----------
        combine : callable
            Called in a step with each `optgen.runtime.core.sharing.SharedTotal` as far as it is known here, in the same
            order in all processes: it changes the values to what they are in all of them. If it raises, a step is half
            done.
        shapes : sequence of tuple of int, optional
            Those of the whole tensors, if parameters are parts of them.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected, or the rule cannot be followed with a part; nothing has changed then.
        """
        sharing.refuse(self.program, by_chance=self._wanted.rounding == "stochastic")
        if not callable(combine):
            raise TypeError(f"combine: expected a function, got {type(combine).__name__}")
        wholes = None if shapes is None else sharing.wholes_of(shapes, self._shapes, self._labels("params"))
        with TURN:
            self._share(combine, wholes)
            self._layout()

    def _share(self, combine: Combine, wholes: Sequence[tuple[int, ...]] | None) -> None:
        """Keep what combines totals, and what is known of the whole tensors."""
        reduced = self._reduced
        if reduced is None or wholes is None:
            self._combine = combine
            return
        cuts = reduced.cuts.as_parts(list(map(self._wanted.seen, wholes)))
        writes = [self._memory.writing(reduced.arrays[name], its) for name, its in cuts.extents.items()]
        self._change(writes, _combine=combine, _reduced=replace(reduced, cuts=cuts))

    def _go_on_from(
        self, of_params: Mapping[str, list[Array]], of_model: Mapping[str, Array], cohorts: tuple[Cohort, ...]
    ) -> None:
        """Take over the states of parameters that are the first of these."""
        mine, alone = {**self._state_of_params(), **self._rest}, self._model_states()
        for name, values in of_params.items():
            for target, source in zip(mine[name], values, strict=False):
                self._memory.copy(target, source)
        for name, value in of_model.items():
            self._memory.copy(alone[name], value)
        known = {cohort.group for cohort in cohorts}
        self._cohorts = (*cohorts, *(cohort for cohort in self._cohorts if cohort.group not in known))

    def _as_groups(self) -> list[dict[str, Any]]:
        """The groups as they could be given, schedules and all."""
        return [{"params": as_plain(self._given.of_group(k)), **its} for k, its in enumerate(self._groups)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the parameters that a later run needs to go on bit for bit.

        Returns
        -------
        dict
            Numbers and copies of arrays under flat names: ``t``, ``hyper.lr``, ``m.0``, or ``m.w1`` for a dict.
            ``numpy.savez(file, **opt.state_dict())`` stores it without pickle; of a schedule it has the last number.
            With several groups a hyperparameter is an array with a value a group. Where steps have left parameters
            out, ``t.each`` has the step count of each, and so has what else differs between parameters.
        """
        with TURN:
            last = self._by_name(self._hypers_at(max(self._t, 1)))
            hypers = {f"hyper.{name}": value for name, value in last.items()}
            counts = [cohort.t for cohort in self._cohorts]
            each = {} if {self._t}.issuperset(counts) else {saved.EACH: np.array(self._of_each(counts), np.int64)}
            return {"t": self._t, **each, **hypers, **self._copied_states(), **self._named_numbers()}

    def load_state_dict(self, state: Mapping[str, Any], *, cast: bool = False) -> None:
        """Go on from what `state_dict` returned: with its states, its t and its hyperparameters.

        The parameters are not part of it: restore them first. To go on with another hyperparameter, `set` it after. A
        hyperparameter that follows a schedule here goes on to do so, from the t that is restored.

        Parameters
        ----------
        state : mapping
            As returned by `state_dict` or read by ``numpy.load``.
        cast : bool
            Whether states that are stored in another format are taken too, rounded where they have to be.

        Raises
        ------
        TypeError, ValueError
            If it is no mapping, an entry is missing, one too many, cannot be read, is NaN or otherwise not as expected.
            Nothing has changed then, nor is anything half loaded where an interrupt comes.
        """
        as_flag("cast", cast)
        program, targets, tensors = self.program, self._entries(), len(self._params)
        read = saved.entries(program, state, targets)
        count = as_step_count("state dict entry 't'", read["t"], least=0)
        counts = saved.counts(read[saved.EACH], count, tensors) if saved.EACH in read else [count] * tensors
        hypers = saved.hypers(program, read, len(self._groups))
        self._refuse_seen_otherwise(read)
        sources = {entry: self._source(entry, read[entry], target, cast=cast) for entry, target in targets.items()}
        numbers = [saved.numbers(name, read[name], tensors) for name in program.numbers]
        cohorts = cohorts_of(self._given.group, counts, list(zip(*numbers, strict=True)) or [()] * tensors)
        with TURN:
            followed = [{name: value for name, value in own.items() if callable(value)} for own in self._groups]
            groups = tuple({**its, **schedules} for its, schedules in zip(hypers, followed, strict=True))
            self._restore(sources, _t=count, _groups=groups, _cohorts=cohorts)

    def _source(self, entry: str, value: Any, target: Any, *, cast: bool) -> Array:
        """The entry of a state dict as an array that holds what the target is to have, and shares no memory with it."""
        values = saved.array(entry, value, tuple(target.shape), self._memory_of(target).dtype_of(target), cast=cast)
        start, size = np.array(arrays.addresses([values]), np.int64), np.array([values.nbytes], np.int64)
        live = self._memory_of(target) is arrays and (not values.ndim or self._written.overlap(start, size))
        return values.copy() if live else values

    def __repr__(self) -> str:
        hypers = ", ".join(f"{name}={shown([own[name] for own in self._groups])}" for name in self.program.hypers)
        elements = sum(map(prod, self._shapes))
        size = f"{len(self._params)} arrays, {elements} elements"
        size += f", {len(self._groups)} groups" * (len(self._groups) > 1)
        return f"{type(self).__name__}({size}, t={self._t}, {hypers})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Tables hold addresses, so a copy is made from its parameters anew; pickle and copy.deepcopy both come here.
        # Not by way of load_state_dict, since what has diverged can be copied too.
        with TURN:
            params, hypers = (self._as_groups(), {}) if self._given.is_grouped else (self.params, self._groups[0])
            history = {"_t": self._t, "_groups": self._groups, "_cohorts": self._cohorts, "_defaults": self._defaults}
            return _copied, (type(self), as_plain(params), {**hypers, **self._options}, history, self._copied_states())

    def __copy__(self) -> Any:
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        with TURN:  # no step comes between the states and the parameters
            make, parts = self.__reduce__()
            return make(*deepcopy(parts, memo))

    def _restore(self, states: Mapping[str, Array], **history: Any) -> None:
        targets = self._entries().items()
        writes = [self._memory_of(target).writing(target, states[entry]) for entry, target in targets]
        self._change(writes, **history)

    def _copied_states(self) -> dict[str, Array]:
        """Copies of the state arrays, for the host."""
        self._begin_anew()
        return {entry: self._memory_of(array).read(array) for entry, array in self._entries().items()}

    def _coming(self, checked: Mapping[str, float], absent: Collection[int] = ()) -> Coming:
        """What the host computes of the next step."""
        return coming(self.program, self._cohorts, self._hypers_at(self._t + 1, checked), absent)

    def _addresses(self, gradients: list[Array], absent: frozenset[int]) -> Array:
        """Where the gradients lie, if they and the parameters are as they must be; 0 for those that are left out."""
        # A parameter is the caller's, who may have changed its flags or resized it since it was first checked.
        memory = self._memory
        if not memory.are_still_at(self._starts, self._params, self._shapes, self._dtypes):
            for each in zip(self._params, self._labels("params"), self._shapes, self._dtypes, strict=True):
                memory.check(*each, written=True)
            moved = np.flatnonzero(np.not_equal(memory.addresses(self._params), self._starts))
            if moved.size:
                label = self._labels("params")[moved[0]]
                raise ValueError(f"{label}: expected its memory where it was at construction, it has moved")
        given, kinds = present(gradients, absent), self._as_gradients.without(absent)
        found, dtypes = memory.addresses_if_plain(given, kinds.shapes, kinds.dtypes), kinds.dtypes
        if found is None:
            formats = [beside(theta.name, self.takes) for theta in self._dtypes]
            names, formats = (present(list(each), absent) for each in (self._labels("grads"), formats))
            found, dtypes = located(memory, given, names, kinds.shapes, formats)
        starts = np.asarray(found, np.int64)
        if absent:
            starts, of_present = np.zeros(len(gradients), np.int64), iter(dtypes)
            starts[present(list(range(len(gradients))), absent)] = found
            dtypes = [its if k in absent else next(of_present) for k, its in enumerate(self._as_gradients.dtypes)]
        is_new = dtypes != self._as_gradients.dtypes
        kinds = Kinds(self._shapes, dtypes) if is_new else self._as_gradients
        overlap = self._written.overlap(starts, kinds.bytes)
        if overlap:
            k, other = overlap
            raise ValueError(f"{self._labels('grads')[k]} overlaps {other} in memory: expected arrays that share none")
        if is_new:
            self._as_gradients = kinds
            self._layout()
        return starts

    def _layout(self) -> None:
        """Make tables for gradients of other formats than before."""
        raise NotImplementedError

    def _take(self, step: Coming, launches: Sequence[Call]) -> None:
        """Run the kernels of a step and count it."""
        run([*launches, self._counting(step)])

    def _counting(self, step: Coming) -> Call:
        """The call that counts a step."""
        return partial(vars(self).update, _t=self._t + 1, _cohorts=step.cohorts)

    def _change(self, calls: Iterable[Call], **attributes: Any) -> None:
        """Make calls and set attributes, all of it whatever comes."""
        run([partial(self._under_way.clear), *calls, partial(vars(self).update, attributes)])


def _copied(
    kind: Any, params: Params, given: Mapping[str, Any], history: Mapping[str, Any], states: Mapping[str, Array]
) -> Any:
    optimizer = kind(params, **given)
    optimizer._restore(states, **history)  # noqa: SLF001 this is part of the class
    return optimizer
