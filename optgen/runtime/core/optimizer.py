"""``OptimizerBase``: what every generated optimizer has, wherever its arrays are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from optgen.runtime.core import arrays, beginning
from optgen.runtime.core.foreign import as_container
from optgen.runtime.core.memory import Memory
from optgen.runtime.core.program import Array, Call, Params, Program, Value, as_step_count
from optgen.runtime.core.small import Small, cuts_of, views
from optgen.runtime.core.storage import FORMATS, HALF, OPTIONS, Storage, beside, computed_for, dtype_of, wanted
from optgen.runtime.core.table import CHUNK, Cuts
from optgen.runtime.core.turn import TURN, run

GRADIENT = 1
"""The gradient's slot in a table: theta is 0, the states follow."""


class OptimizerBase:
    """Parameters, hyperparameters, states and t, what can be asked of them, and how they are checked.

    Any thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of array
        The arrays to train.
    memory : Memory
        What they are.
    hypers : mapping of str to (float or callable)
        Hyperparameters by name.
    options : mapping of str to object
        How slots are stored: `optgen.runtime.core.storage.OPTIONS`.
    """

    program: ClassVar[Program]
    chunk: ClassVar[int] = CHUNK
    takes: ClassVar[tuple[str, ...]] = ("float32", "float64")
    """The formats of parameters, and beside their own of gradients, that kernels take."""

    def __init__(
        self, params: Params, memory: Memory, hypers: Mapping[str, Value], options: Mapping[str, Any] = {}
    ) -> None:
        self._memory = memory
        self._hypers = self.program.completed(hypers)
        self._wanted = wanted(self.program, **options)
        self._options = dict(options)
        self._keyed = isinstance(params, Mapping)
        self._keys = _keys(params)
        self._params = _values(params)
        for array, name in zip(self._params, self._labels("params"), strict=True):
            memory.check(array, name, None, self.takes, written=True)
        plain = [memory.plain(array) for array in self._params]
        self._shapes = [tuple(array.shape) for array in plain]
        self._dtypes = [memory.dtype_of(array) for array in plain]
        self._bytes = np.array([array.nbytes for array in plain], np.int64)
        initial = self.program.starting(self.program.at(1, self._hypers))
        self._formats = [self._formats_of(dtype.name) for dtype in self._dtypes]
        self._rest = self._beside_params()
        self._state = self._of_params(self.program.states, initial)
        scratch = self._of_params(self.program.scratch, [0.0] * len(self.program.scratch))
        self._small = self._small_values(initial[len(self._state) :])
        self._numbers = np.array(initial[len(self.program.states) + len(self.program.small_states) :], np.float64)
        self._t = 0
        self._of_gradients = list(self._dtypes)
        self._starts = memory.addresses(self._params)
        self._slots = np.array([self._starts, *map(memory.addresses, self._state.values())], np.int64)
        self._written = self._extents()
        self._scratch = scratch
        columns = [np.zeros_like(self._slots[0]), *self._slots[1:], *map(memory.addresses, scratch.values())]
        columns += [memory.addresses(values) for values in self._rest.values()]
        self._columns = np.array([self._slots[0], *columns])
        self._begin(self.program.at(1, self._hypers))

    def _of_params(self, names: Sequence[str], values: Sequence[float]) -> dict[str, list[Array]]:
        """By name, arrays like the parameters, filled with a value; there may be more values than names."""
        pairs = zip(names, values, strict=False)
        kinds = list(zip(self._shapes, self._formats, strict=True))
        return {
            name: [self._memory.full(shape, value, dtype_of(formats[name])) for shape, formats in kinds]
            for name, value in pairs
        }

    def _formats_of(self, theta: str) -> dict[str, str]:
        """How the slots of a parameter are stored that is itself stored in some format; its gradient is as it is."""
        computed = computed_for(theta)
        states = {name: self._wanted.store.get(name, theta) for name in self.program.states}
        return {"theta": theta, "g": theta, **states, **dict.fromkeys(self.program.scratch, computed)}

    def _beside_params(self) -> dict[str, list[Array]]:
        """What there is beside parameters of 16 bits, under its name in a state dict; of others, arrays of nothing."""
        name, kinds = self._wanted.rest, list(zip(self._params, self._shapes, self._dtypes, strict=True))
        if not name:
            return {}
        if not any(dtype.name in HALF for _, _, dtype in kinds):
            raise ValueError(f"{name}: expected parameters in bfloat16 or float16, for others have all that they need")
        found = []
        for array, shape, dtype in kinds:
            is_half = dtype.name in HALF
            rest = self._memory.full(shape if is_half else (0,), 0.0, dtype if name == "kahan" else dtype_of("float32"))
            if is_half and name == "master":
                self._memory.copy(rest, array)
            found.append(rest)
        return {name: found}

    def _small_values(self, values: Sequence[float]) -> Small | None:
        """Room for what varies over less than elements, small states filled with their values, which come first."""
        if not self.program.has_small:
            return None
        cuts = cuts_of(self.program, self._shapes, self.chunk)
        states = self.program.small_states.items()
        filled = {name: np.full(cuts.sizes[kind], v) for (name, kind), v in zip(states, values, strict=False)}
        return self._allocated(cuts, filled)

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> Small:
        """Make room for small values, of which the states are given."""
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

    @property
    def t(self) -> int:
        """How many steps have been taken."""
        return self._t

    @property
    def params(self) -> Params:
        """The arrays it trains: a tuple, or a read-only dict if they were given as a dict."""
        return self._like_params(self._params)

    @property
    def hypers(self) -> Mapping[str, float]:
        """The hyperparameters as numbers: those of the next step. `set` changes them."""
        return MappingProxyType(self.program.at(self._t + 1, self._hypers))

    @property
    def state(self) -> Mapping[str, Any]:
        """The states by name, each like `params`: ``opt.state["m"][0]``. The arrays are the ones in use.

        A state of one value a row, a column or a tensor has float64 arrays that broadcast against the parameters; one
        of one value for the whole model is a float64 array of shape (). Before the first step, states that start from
        theta hold what it makes of them now; those that start from the first gradient hold 0.
        """
        with TURN:
            self._begin_anew()
        of_params = self._state_of_params().items()
        shown = {name: self._like_params([self._memory.plain(x) for x in values]) for name, values in of_params}
        return {**shown, **self._model_states(), **self._named_numbers()}

    def eval_params(self) -> Params:
        """The parameters to evaluate the model with, as new arrays like `params`.

        They are what the rule says, an average of the points it visited, say; if it says nothing, what `params` are.
        """
        with TURN:
            self._begin_anew()
            made = [self._evaluated(k, array) for k, array in enumerate(self._params)]
        return self._like_params(made)

    def _evaluated(self, k: int, like: Any) -> Any:
        """The parameters of one tensor to evaluate."""
        program, memory = self.program, self._memory
        of_params, alone = self._state_of_params(), {**self._model_states(), **self._named_numbers()}
        taken = [
            like if name == "theta" else alone[name] if name in alone else of_params[name][k]
            for name in program.evaluated
        ]
        new = memory.full(self._shapes[k], 0.0, self._dtypes[k])
        if program.evaluation is None:
            memory.copy(new, taken[0])
            return new
        numbers = [self._memory_of(array).read(array).astype(np.float64) for array in taken]
        with np.errstate(all="ignore"):
            values = np.broadcast_to(program.evaluation(*numbers), self._shapes[k]).astype(self._dtypes[k])
        memory.writing(new, values)()
        return new

    def _begin(self, hypers: Mapping[str, float]) -> None:
        """Let states that start from theta do so; what counts is what it is before the first step."""
        if self.program.copies or self.program.begun:
            alone = {name: [value] for name, value in self._model_states().items()}
            beginning.fill(self.program, self._memory, hypers, self._params, {**self._state_of_params(), **alone})

    def _begin_anew(self) -> None:
        """The same as long as no step has been taken, for what theta is may have changed."""
        if self._t == 0:
            self._begin(self.program.at(1, self._hypers))

    def set(self, **hypers: Value) -> None:
        """Change hyperparameters, to numbers or schedules, from the next step on. Nothing is recompiled.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown or a value outside its domain; nothing has changed then.
        """
        kept = self.program.kept(hypers)
        with TURN:
            self._hypers = self._hypers | kept

    def state_dict(self) -> dict[str, Any]:
        """Everything but the parameters that a later run needs to go on bit for bit.

        Returns
        -------
        dict
            Numbers and copies of arrays under flat names: ``t``, ``hyper.lr``, ``m.0``, or ``m.w1`` for a dict.
            ``numpy.savez(file, **opt.state_dict())`` stores it without pickle; of a schedule it has the last number.
        """
        with TURN:
            last = self.program.at(max(self._t, 1), self._hypers)
            hypers = {f"hyper.{name}": value for name, value in last.items()}
            return {"t": self._t, **hypers, **self._copied_states()}

    def load_state_dict(self, saved: Mapping[str, Any], *, cast: bool = False) -> None:
        """Go on from what `state_dict` returned: with its states, its t and its hyperparameters.

        The parameters are not part of it: restore them first. To go on with another hyperparameter, `set` it after. A
        hyperparameter that follows a schedule here goes on to do so, from the t that is restored.

        Parameters
        ----------
        saved : mapping
            As returned by `state_dict` or read by ``numpy.load``.
        cast : bool
            Whether states that are stored in another format are taken too, rounded where they have to be.

        Raises
        ------
        TypeError, ValueError
            If it is no mapping, an entry is missing, one too many, cannot be read, is NaN or otherwise not as expected.
            Nothing has changed then, nor is anything half loaded where an interrupt comes.
        """
        if not isinstance(saved, Mapping):
            raise TypeError(f"state dict: expected a mapping, got {type(saved).__name__}")
        targets = self._entries()
        expected = {"t", *(f"hyper.{name}" for name in self._hypers), *targets}
        if saved.keys() != expected:
            missing, unexpected = sorted(expected - saved.keys()), sorted(map(str, saved.keys() - expected))
            raise ValueError(f"state dict of {self.program.name}: missing {missing}, unexpected {unexpected}")
        read = {entry: _read(saved, entry) for entry in expected}  # once: a file makes a new array each time
        count = as_step_count("state dict entry 't'", read["t"], least=0)
        hypers = self.program.checked({name: read[f"hyper.{name}"] for name in self._hypers})
        sources = {entry: self._source(entry, read[entry], target, cast=cast) for entry, target in targets.items()}
        with TURN:
            schedules = {name: value for name, value in self._hypers.items() if callable(value)}
            self._restore(count, {**hypers, **schedules}, sources)

    def _source(self, entry: str, value: Any, target: Any, *, cast: bool) -> Array:
        """The entry of a state dict as an array that holds what the target is to have, and shares no memory with it."""
        name = f"state dict entry {entry!r}"
        shape, dtype = self._kind(target)
        if isinstance(value, np.ndarray) and value.dtype == _OF_FILES and (cast or dtype.name == "bfloat16"):
            value = value.view(dtype_of("bfloat16"))
        arrays.check(value, name, shape, FORMATS if cast else dtype, written=False)
        values = arrays.plain(value).astype(dtype, copy=False)
        if np.isnan(values).any():
            raise ValueError(f"{name}: expected numbers, got NaN")
        start, size = np.array(arrays.addresses([values]), np.int64), np.array([values.nbytes], np.int64)
        live = self._memory_of(target) is arrays and (not values.ndim or self._written.overlap(start, size))
        return values.copy() if live else values

    def __repr__(self) -> str:
        hypers = ", ".join(f"{k}={v!r}" if callable(v) else f"{k}={v:g}" for k, v in self._hypers.items())
        elements = sum(map(prod, self._shapes))
        return f"{type(self).__name__}({len(self._params)} arrays, {elements} elements, t={self._t}, {hypers})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Tables hold addresses, so a copy is made from its parameters anew; pickle and copy.deepcopy both come here.
        # Not by way of load_state_dict, since what has diverged can be copied too.
        with TURN:
            states = self._copied_states()
            params = dict(zip(self._keys, self._params, strict=True)) if self._keyed else self._params
            return _copied, (type(self), params, self._t, {**self._hypers, **self._options}, states)

    def __copy__(self) -> Any:
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        with TURN:  # no step comes between the states and the parameters
            make, parts = self.__reduce__()
            return make(*deepcopy(parts, memo))

    def _restore(self, t: int, hypers: dict[str, Value], states: Mapping[str, Array]) -> None:
        targets = self._entries().items()
        writes = [self._memory_of(target).writing(target, states[entry]) for entry, target in targets]
        self._change(writes, _t=t, _hypers=hypers)

    def _memory_of(self, array: Any) -> Memory:
        """What an array of a state is: a number of the whole model that the host makes is one of NumPy's."""
        return arrays if isinstance(array, np.ndarray) else self._memory

    def _kind(self, array: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and dtype of the array of a state."""
        return tuple(array.shape), self._memory_of(array).dtype_of(array)

    def _copied_states(self) -> dict[str, Array]:
        """Copies of the state arrays, for the host."""
        self._begin_anew()
        return {entry: self._memory_of(array).read(array) for entry, array in self._entries().items()}

    def _entries(self) -> dict[str, Array]:
        """The state arrays under their names in a state dict."""
        arrays_of_states = {
            f"{name}.{key}": array
            for name, values in {**self._state_of_params(), **self._rest}.items()
            for key, array in zip(self._keys, values, strict=True)
        }
        return {**arrays_of_states, **self._model_states(), **self._named_numbers()}

    def _state_of_params(self) -> dict[str, list[Array]]:
        """Each state that has an array a parameter; those of rows, columns and tensors as views of what all share."""
        if self._small is None:
            return self._state
        kinds = {name: kind for name, kind in self.program.small_states.items() if kind != "model"}
        flat, cuts = self._small.arrays, self._small.cuts
        return {**self._state, **{name: views(kind, flat[name], self._shapes, cuts) for name, kind in kinds.items()}}

    def _model_states(self) -> dict[str, Any]:
        """Each state that kernels keep as one value for the whole model, as a view of it."""
        names = [name for name, kind in self.program.small_states.items() if kind == "model"]
        return {name: self._small.arrays[name].reshape(()) for name in names} if self._small else {}

    def _named_numbers(self) -> dict[str, Array]:
        """Each state that the host keeps as one number, as a view of it."""
        return {name: self._numbers[k : k + 1].reshape(()) for k, name in enumerate(self.program.numbers)}

    def _in_order(self, grads: Params) -> list[Array]:
        """The gradients in the order of the parameters."""
        if not isinstance(grads, Mapping if self._keyed else list | tuple):
            kind = "dict" if self._keyed else "list or tuple"
            got = type(grads).__name__
            raise TypeError(f"grads: expected a {kind}, as params was, got {got}; {as_container(grads, 'grads')}")
        if not isinstance(grads, Mapping):
            if len(grads) != len(self._params):
                raise ValueError(f"grads: expected {len(self._params)} arrays, one a parameter, got {len(grads)}")
            return list(grads)
        if grads.keys() != set(self._keys):
            missing = [key for key in self._keys if key not in grads]
            unexpected = [key for key in grads if key not in self._keys]
            raise ValueError(f"grads: expected the keys of params; missing {missing}, unexpected {unexpected}")
        return [grads[key] for key in self._keys]

    def _addresses(self, gradients: list[Array]) -> Array:
        """Where the gradients lie, if they and the parameters are as they must be."""
        # A parameter is the caller's, who may have changed its flags or resized it since it was first checked.
        memory = self._memory
        if not memory.are_still_at(self._starts, self._params, self._shapes, self._dtypes):
            self._check("params", self._params, written=True)
            moved = np.flatnonzero(np.not_equal(memory.addresses(self._params), self._starts))
            if moved.size:
                label = self._labels("params")[moved[0]]
                raise ValueError(f"{label}: expected its memory where it was at construction, it has moved")
        found, of_gradients = memory.addresses_if_plain(gradients, self._shapes, self._of_gradients), self._of_gradients
        if found is None:
            formats = [beside(theta.name, self.takes) for theta in self._dtypes]
            for each in zip(gradients, self._labels("grads"), self._shapes, formats, strict=True):
                memory.check(*each, written=False)
            found, of_gradients = memory.addresses(gradients), [memory.dtype_of(memory.plain(g)) for g in gradients]
        starts = np.array(found, np.int64)
        overlap = self._written.overlap(starts, self._bytes)
        if overlap:
            k, other = overlap
            raise ValueError(f"{self._labels('grads')[k]} overlaps {other} in memory: expected arrays that share none")
        if of_gradients != self._of_gradients:
            self._of_gradients = of_gradients
            self._layout()
        return starts

    def _storages(self) -> list[Storage]:
        """How the slots of each parameter are stored, its gradient among them."""
        column = 1 + len(self.program.slots)
        pairs = zip(self._formats, self._of_gradients, strict=True)
        return [self._wanted.storage({**formats, "g": g.name}, column) for formats, g in pairs]

    def _layout(self) -> None:
        """Make tables for gradients of other formats than before."""
        raise NotImplementedError

    def _check(self, what: str, values: list[Array], *, written: bool) -> None:
        expected = zip(values, self._labels(what), self._shapes, self._dtypes, strict=True)
        for array, name, shape, dtype in expected:
            self._memory.check(array, name, shape, dtype, written=written)

    def _take(self, numbers: Sequence[float], launches: Sequence[Call]) -> None:
        """Run the kernels of a step and count it."""
        write = arrays.writing(self._numbers, np.array(numbers, np.float64))
        self._change([*launches, write], _t=self._t + 1)

    def _change(self, calls: Iterable[Call], **attributes: Any) -> None:
        """Make calls and set attributes, all of it whatever comes."""
        run([*calls, *(partial(object.__setattr__, self, name, value) for name, value in attributes.items())])

    def _labels(self, what: str) -> list[str]:
        """What to call each array in a message: ``grads[0]`` or ``grads['w1']``."""
        return [f"{what}[{key!r}]" for key in self._keys]

    def _like_params(self, values: list[Array]) -> Params:
        return MappingProxyType(dict(zip(self._keys, values, strict=True))) if self._keyed else tuple(values)


def _keys(params: Params) -> Sequence[Any]:
    if not isinstance(params, Mapping | list | tuple):
        kind = type(params).__name__
        raise TypeError(
            f"params: expected a list, tuple or dict of arrays, got {kind}; {as_container(params, 'params')}"
        )
    if not params:
        raise ValueError("params is empty: expected at least one array")
    if not isinstance(params, Mapping):
        return range(len(params))
    for key in params:
        if not isinstance(key, str):
            what = f"got the key {key!r}: write str(…) of each"
            raise TypeError(f"params: expected a dict with strings for keys, {what}")
    return list(params)


def _values(params: Params) -> list[Array]:
    return list(params.values()) if isinstance(params, Mapping) else list(params)


def _read(saved: Mapping[str, Any], entry: str) -> Any:
    try:
        return saved[entry]
    except Exception as error:  # of whatever keeps it: a damaged file has many
        raise ValueError(f"state dict entry {entry!r} cannot be read: {error}") from error


_OF_FILES = np.dtype("V2")
"""What NumPy makes of bfloat16 in a file."""


def _copied(kind: Any, params: Params, t: int, given: dict[str, Any], states: Mapping[str, Array]) -> Any:
    optimizer = kind(params, **given)
    optimizer._restore(t, {k: v for k, v in given.items() if k not in OPTIONS}, states)  # noqa: SLF001 this is part of the class
    return optimizer
