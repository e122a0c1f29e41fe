"""``Holdings``: what an optimizer holds: parameters, hyperparameters, states and numbers, and what each is called."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from optgen.runtime.core import arrays, beginning
from optgen.runtime.core.cohorts import Cohort, agree, cohorts_of
from optgen.runtime.core.evaluation import evaluated
from optgen.runtime.core.groups import as_given
from optgen.runtime.core.memory import Kinds, Memory
from optgen.runtime.core.program import OPTIONS, Array, Params, Program, Value
from optgen.runtime.core.reduced import Reduced, cuts_of, filled, had_otherwise, shape_in, views
from optgen.runtime.core.storage import HALF, Storage, computed_for, dtype_of, wanted
from optgen.runtime.core.table import CHUNK, Cuts


class Holdings:
    """Parameters, in groups, with their hyperparameters, states and numbers, and where all of it lies.

    ``params`` are arrays, or groups of them with hyperparameters of their own; ``given`` has, by name, those of groups
    that say nothing else, and how slots are stored and tensors seen: `optgen.runtime.core.program.OPTIONS`.
    """

    program: ClassVar[Program]
    chunk: ClassVar[int] = CHUNK
    takes: ClassVar[tuple[str, ...]] = ("float32", "float64")
    """The formats of parameters, and beside their own of gradients, that kernels take."""

    def __init__(self, params: Params, memory: Memory, given: Mapping[str, Any]) -> None:
        self._memory = memory
        self._given = as_given(params)
        self._options = {name: value for name, value in given.items() if name in OPTIONS}
        self._defaults = {name: value for name, value in given.items() if name not in OPTIONS}
        self._refuse_unknown(self._defaults)
        self._groups = tuple(self._completed(k, its) for k, its in enumerate(self._given.hypers))
        self._constant: tuple[Mapping[str, Value], ...] = ()
        """The groups once it is known that none has a schedule."""
        self._wanted = wanted(self.program, **self._options)
        self._params = list(self._given.arrays)
        for array, name in zip(self._params, self._labels("params"), strict=True):
            memory.check(array, name, None, self.takes, written=True)
        plain = [memory.plain(array) for array in self._params]
        self._shapes = [tuple(array.shape) for array in plain]
        self._dtypes = [memory.dtype_of(array) for array in plain]
        for dtype, name in zip(self._dtypes, self._labels("params"), strict=True):
            self._wanted.refuse_wider(dtype.name, name)
        self._t = 0
        self._under_way: dict[object, None] = {}
        """The step that is being prepared, until it is taken or something else has changed what it goes by."""
        first = self._hypers_at(1)
        initial = [self.program.starting(hypers) for hypers in first]
        self._formats = [self._formats_of(dtype.name) for dtype in self._dtypes]
        self._rest = self._beside_params()
        self._state = self._of_params(self.program.states, initial)
        scratch = self._of_params(self.program.scratch, [[0.0] * len(self.program.scratch)] * len(initial))
        arrays_of_states = len(self._state) + len(self.program.reduced_states)
        self._reduced = self._reduced_values([values[len(self._state) : arrays_of_states] for values in initial])
        numbers = [initial[group][arrays_of_states:] for group in self._given.group]
        self._cohorts = cohorts_of(self._given.group, [0] * len(numbers), numbers)
        agree(self.program, self._cohorts, first)
        self._as_params = self._as_gradients = Kinds(self._shapes, self._dtypes)
        self._starts = memory.addresses(self._params)
        self._slots = np.array([self._starts, *map(memory.addresses, self._state.values())], np.int64)
        self._written = self._extents()
        self._scratch = scratch
        columns = [np.zeros_like(self._slots[0]), *self._slots[1:], *map(memory.addresses, scratch.values())]
        columns += [memory.addresses(values) for values in self._rest.values()]
        self._columns = np.array([self._slots[0], *columns])
        self._begin(first, self._cohorts)

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        """Complain of a name that is given for all groups and that neither a hyperparameter nor an option has."""
        hypers = self.program.hypers
        for name in names:
            if name not in hypers:
                expected = f"one of {', '.join(hypers)}, or of the options {', '.join(OPTIONS)}"
                raise TypeError(f"{self.program.name} has no hyperparameter {name!r}: expected {expected}")

    def _completed(self, group: int, its: Mapping[str, Any]) -> dict[str, Value]:
        """Every hyperparameter of a group: its own, else as it was given for all, else the default."""
        try:
            return self.program.completed({**self._defaults, **its})
        except (TypeError, ValueError) as error:
            if not self._given.is_grouped:
                raise
            raise type(error)(f"params[{group}]: {error}") from None

    def _formats_of(self, theta: str) -> dict[str, str]:
        """How the slots of a parameter are stored that is itself stored in some format; its gradient is as it is."""
        computed = computed_for(theta)
        states = {name: self._wanted.store.get(name, theta) for name in self.program.states}
        return {"theta": theta, "g": theta, **states, **dict.fromkeys(self.program.scratch, computed)}

    def _hypers_at(self, t: int, checked: Mapping[str, float] | None = None) -> Sequence[Mapping[str, float]]:
        """The hyperparameters of each group at a step, some of which are given."""
        groups = self._groups
        if groups is self._constant and not checked:
            return groups  # type: ignore[return-value]  # numbers all
        found = [self.program.at(t, {**own, **checked} if checked else own) for own in groups]
        if all(map(operator.is_, found, groups)):
            self._constant = groups
        return found

    def _of_params(self, names: Sequence[str], values: Sequence[Sequence[float]]) -> dict[str, list[Array]]:
        """By name, arrays like the parameters, filled with a value of their group; there may be more than names."""
        kinds = list(zip(self._shapes, self._formats, self._given.group, strict=True))
        full = self._memory.full
        return {
            name: [full(shape, values[j][k], dtype_of(formats[name])) for shape, formats, j in kinds]
            for k, name in enumerate(names)
        }

    def _beside_params(self) -> dict[str, list[Array]]:
        """What there is beside parameters of 16 bits, by its name in a state dict; beside others, arrays of nothing."""
        name, memory = self._wanted.rest, self._memory
        if not name:
            return {}
        if not any(dtype.name in HALF for dtype in self._dtypes):
            raise ValueError(f"{name}: expected parameters in bfloat16 or float16, for others have all that they need")
        found = []
        for array, shape, dtype in zip(self._params, self._shapes, self._dtypes, strict=True):
            is_half = dtype.name in HALF
            rest = memory.full(shape if is_half else (0,), 0.0, dtype if name == "kahan" else dtype_of("float32"))
            if is_half and name == "master":
                memory.copy(rest, array)
            found.append(rest)
        return {name: found}

    def _reduced_values(self, values: Sequence[Sequence[float]]) -> Reduced | None:
        """Room for what varies over less than elements, reduced states filled with the values of their group."""
        if not self.program.has_reduced:
            return None
        seen = list(map(self._wanted.seen, self._shapes))
        cuts = cuts_of(self.program, seen, self.chunk).of_families(self._given.group)
        of_tensors = np.array(values, np.float64).take(self._given.group, axis=0)
        states = zip(self.program.reduced_states.items(), of_tensors.T, strict=True)
        return self._allocated(cuts, {name: filled(kind, values, cuts) for (name, kind), values in states})

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Reduced:
        """Make room for reduced values, of which the states are given."""
        raise NotImplementedError

    def _extents(self) -> arrays.Extents:
        """The memory of all that a step writes and that a user can reach."""
        states = {f"state[{name!r}]": values for name, values in self._state_of_params().items()} | self._rest
        written = [
            pair
            for what, values in {"params": self._params, **states}.items()
            for pair in zip(self._labels(what), values, strict=True)
        ]
        written += [(f"state[{name!r}]", value) for name, value in self._model_states().items()]
        names, values = zip(*written, strict=True)
        sizes = np.array([self._memory.plain(array).nbytes for array in values], np.int64)
        return arrays.Extents(np.array(self._memory.addresses(values), np.int64), sizes, names)

    def _state_of_params(self) -> dict[str, list[Array]]:
        """Each state that has an array a parameter; those of rows, columns and tensors as views of what all share."""
        if self._reduced is None:
            return self._state
        kinds = {name: kind for name, kind in self.program.reduced_states.items() if kind != "model"}
        flat, of_kind = self._reduced.arrays, partial(views, as_matrices=self._wanted.as_matrices)
        its = {name: of_kind(kind, flat[name], self._shapes, self._reduced.cuts) for name, kind in kinds.items()}
        return {**self._state, **its}

    def _model_states(self) -> dict[str, Any]:
        """Each state that kernels keep as one value for the whole model, as a view of it."""
        names = [name for name, kind in self.program.reduced_states.items() if kind == "model"]
        return {name: self._reduced.arrays[name].reshape(()) for name in names} if self._reduced else {}

    def _named_numbers(self) -> dict[str, Array]:
        """Each state that the host keeps as one number: a copy, with one for each parameter where they differ."""
        found = {}
        for k, name in enumerate(self.program.numbers):
            values = [cohort.numbers[k] for cohort in self._cohorts]
            found[name] = np.array(values[0] if {values[0]}.issuperset(values) else self._of_each(values), np.float64)
        return found

    def _of_each(self, values: Sequence[Any]) -> list[Any]:
        """What holds for each parameter, given what holds for each cohort."""
        found = {k: value for cohort, value in zip(self._cohorts, values, strict=True) for k in cohort.members}
        return [found[k] for k in range(len(self._params))]

    def _by_name(self, hypers: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """Hyperparameters of all groups, each as a number if there is one group, else as an array."""
        if len(hypers) == 1:
            return dict(hypers[0])
        return {name: np.array([its[name] for its in hypers]) for name in self.program.hypers}

    def _entries(self) -> dict[str, Array]:
        """The state arrays under their names in a state dict."""
        arrays_of_states = {
            f"{name}.{key}": array
            for name, values in {**self._state_of_params(), **self._rest}.items()
            for key, array in zip(self._given.keys, values, strict=True)
        }
        return {**arrays_of_states, **self._model_states()}

    def _refuse_seen_otherwise(self, read: Mapping[str, Any]) -> None:
        """Complain of entries of a state dict in the shape that they have where tensors are seen the other way."""
        how = self._wanted.as_matrices
        for name, kind in self.program.reduced_states.items():
            for key, shape in zip(self._given.keys, self._shapes, strict=True):
                entry, expected = f"{name}.{key}", shape_in(kind, shape, as_matrices=how)
                got = getattr(read.get(entry), "shape", expected)
                more = had_otherwise(kind, shape, got, as_matrices=how) if got != expected else ""
                if more:
                    raise ValueError(f"state dict entry {entry!r}: expected shape {expected}, got {got}{more}")

    def _memory_of(self, array: Any) -> Memory:
        """What an array of a state is: a number of the whole model that the host makes is one of NumPy's."""
        return arrays if isinstance(array, np.ndarray) else self._memory

    def _labels(self, what: str) -> Sequence[str]:
        """What to call each array in a message: ``grads[0]`` or ``grads['w1']``; parameters as they were given."""
        return self._given.labels if what == "params" else [f"{what}[{key!r}]" for key in self._given.keys]

    def _storages(self) -> list[Storage]:
        """How the slots of each parameter are stored, its gradient among them."""
        column = len(self.program.slots)
        pairs = zip(self._formats, self._as_gradients.dtypes, strict=True)
        return [self._wanted.storage({**formats, "g": g.name}, column) for formats, g in pairs]

    def _begin(self, hypers: Sequence[Mapping[str, float]], cohorts: Iterable[Cohort]) -> None:
        """Let states that start from theta do so; what counts is what it is before the first step of a parameter."""
        if not (self.program.copies or self.program.begun):
            return
        states = dict(self._state_of_params())
        if not any(cohort.t for cohort in self._cohorts):
            states |= {name: [value] for name, value in self._model_states().items()}
        for cohort in cohorts:
            if cohort.t == 0:
                now = hypers[cohort.group]
                seen, only = self._wanted.seen, cohort.members
                beginning.fill(self.program, self._memory, now, self._params, states, only=only, seen=seen)

    def _begin_anew(self) -> None:
        """The same where no step has been taken, for what theta is may have changed."""
        if not all(cohort.t for cohort in self._cohorts):
            self._begin(self._hypers_at(self._t + 1), self._cohorts)

    def _evaluated(self, k: int, numbers: Sequence[float]) -> Any:
        """The parameters of one tensor to evaluate."""
        program, memory = self.program, self._memory
        named = dict(zip(program.numbers, map(np.array, numbers), strict=True))
        known = {name: values[k] for name, values in self._state_of_params().items()}
        known |= {"theta": self._params[k], **self._model_states(), **named}
        new = memory.full(self._shapes[k], 0.0, self._dtypes[k])
        evaluated(program, memory, [known[name] for name in program.evaluated], new)
        return new
