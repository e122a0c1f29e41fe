"""``FusedOptimizer``: the base class of every generated optimizer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np

from optgen.runtime import arrays
from optgen.runtime.launch import launch
from optgen.runtime.program import Array, Params, Program, as_float, as_step_count
from optgen.runtime.table import Table

Self = TypeVar("Self", bound="FusedOptimizer")
_GRADIENT = 1
"""The gradient's slot in a table: theta is 0, the states follow."""


@dataclass
class _Group:
    """The tensors of one dtype, with their table."""

    dtype: np.dtype[Any]
    members: list[int]
    table: Table


class FusedOptimizer:
    """An optimizer that updates all arrays of a model, in place, in one launch a step.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    Parameters
    ----------
    params : list, tuple or dict of numpy.ndarray
        The arrays to train: float32 or float64, C-contiguous, sharing no memory. They are updated in place.
    **hypers : float
        Hyperparameters by name.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected.
    """

    program: ClassVar[Program]

    def __init__(self, params: Params, **hypers: float) -> None:
        self._hypers = self.program.checked(hypers)
        self._keys = _keys(params)
        self._params = _values(params)
        self._lock = threading.Lock()
        self._t = 0
        for array, name in zip(self._params, arrays.labels("params", params), strict=True):
            arrays.check(array, name, None, None, written=True)
        self._bytes = np.array([array.nbytes for array in self._params], np.int64)
        self._starts = arrays.addresses(self._params)
        self._written = arrays.Extents(self._starts, self._bytes, arrays.labels("params", params))
        values = self.program.initial(*self._hypers.values())
        self._state = {
            name: [_filled(array, value) for array in self._params]
            for name, value in zip(self.program.states, values, strict=True)
        }
        self._grads = np.zeros_like(self._starts)
        self._groups = [self._group(dtype) for dtype in arrays.DTYPES if any(a.dtype == dtype for a in self._params)]

    def _group(self, dtype: np.dtype[Any]) -> _Group:
        members = [k for k, array in enumerate(self._params) if array.dtype == dtype]
        states = [arrays.addresses([values[k] for k in members]) for values in self._state.values()]
        starts = np.array([self._starts[members], self._grads[members], *states])
        sizes = np.array([self._params[k].size for k in members], np.int64)
        return _Group(dtype, members, Table(starts, sizes, dtype.itemsize))

    @property
    def t(self) -> int:
        """How many steps have been taken."""
        return self._t

    @property
    def params(self) -> Params:
        """The arrays it trains, in the container's kind it was given."""
        return self._like_params(self._params)

    @property
    def hypers(self) -> Mapping[str, float]:
        """The hyperparameters in force; `set` changes them."""
        return MappingProxyType(self._hypers)

    @property
    def state(self) -> dict[str, Params]:
        """The states by name, each a list, or a dict if the parameters are one: ``opt.state["m"][0]``."""
        return {name: self._like_params(values) for name, values in self._state.items()}

    def set(self, **hypers: float) -> None:
        """Change hyperparameters from the next step on. Nothing is recompiled.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown or a value outside its domain; nothing has changed then.
        """
        checked = self.program.checked(hypers)
        with self._lock:
            self._hypers = {**self._hypers, **checked}

    def step(self, grads: Params, **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        Parameters
        ----------
        grads : list, tuple or dict of numpy.ndarray
            The gradients, of the shapes and dtypes of the parameters. They are only read.
        **hypers : float
            Values for this step alone, as from a schedule: ``opt.step(grads, lr=3e-4)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        """
        checked = self.program.checked(hypers)
        with self._lock:
            self._point_at(grads)
            values = {**self._hypers, **checked}.values()
            scalars = self.program.scalars(float(self._t + 1), *values)
            for group in self._groups:
                launch(self.program, group.table, np.array(scalars, group.dtype))
            self._t += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs to go on bit for bit: numbers and copies of arrays under flat names.

        ``numpy.savez(file, **opt.state_dict())`` stores it without pickle.
        """
        with self._lock:
            saved: dict[str, Any] = {"t": self._t}
            saved.update({f"hyper.{name}": value for name, value in self._hypers.items()})
            for name, values in self._state.items():
                saved.update({f"{name}.{key}": value.copy() for key, value in zip(self._names(), values, strict=True)})
            return saved

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Parameters
        ----------
        saved : mapping
            As returned by `state_dict` or read by ``numpy.load``.

        Raises
        ------
        KeyError
            If an entry is missing, or there is one too many.
        TypeError, ValueError
            If an entry is not as expected. In every case nothing has changed.
        """
        expected = self.state_dict().keys()
        missing, excess = sorted(expected - set(saved)), sorted(set(saved) - expected)
        if missing or excess:
            raise KeyError(f"state dict of {self.program.name}: missing {missing}, unexpected {excess}")
        loaded_t = as_step_count(saved["t"]) if as_float("t", saved["t"]) != 0 else 0
        hypers = self.program.checked({name: saved[f"hyper.{name}"] for name in self._hypers})
        targets = {
            f"{name}.{key}": array
            for name, values in self._state.items()
            for key, array in zip(self._names(), values, strict=True)
        }
        sources = {entry: saved[entry] for entry in targets}
        for entry, target in targets.items():
            arrays.check(sources[entry], f"state dict entry {entry!r}", target.shape, target.dtype, written=False)
        with self._lock:
            for entry, target in targets.items():
                target[...] = sources[entry]
            self._t, self._hypers = loaded_t, hypers

    def __repr__(self) -> str:
        hypers = ", ".join(f"{name}={value:g}" for name, value in self._hypers.items())
        elements = sum(array.size for array in self._params)
        return f"{type(self).__name__}({len(self._params)} arrays, {elements} elements, t={self._t}, {hypers})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Tables hold addresses, so a copy is made from its parameters anew; pickle and deepcopy both come here.
        return _restored, (type(self), self.params, self.state_dict())

    def _point_at(self, grads: Params) -> None:
        """Check the gradients, then let the tables point at them."""
        values = self._in_order(grads)
        for k, (grad, param) in enumerate(zip(values, self._params, strict=True)):
            if type(grad) is not np.ndarray or not (
                grad.dtype == param.dtype and grad.shape == param.shape and grad.flags.carray
            ):
                arrays.check(grad, self._label("grads", k), param.shape, param.dtype, written=False)
            if not param.flags.writeable:
                raise ValueError(f"{self._label('params', k)}: expected a writeable array, it is read-only")
        starts = arrays.addresses(values)
        if np.array_equal(starts, self._grads):
            return
        names = [self._label("grads", k) for k in range(len(values))]
        self._written.refuse_overlap(starts, self._bytes, names)
        self._grads = starts
        for group in self._groups:
            group.table.point(_GRADIENT, starts[group.members])

    def _in_order(self, grads: Params) -> list[Array]:
        kind = "list or tuple" if self._keys is None else "dict"
        if isinstance(grads, Mapping) is (self._keys is None) or not isinstance(grads, Mapping | list | tuple):
            raise TypeError(f"grads: expected a {kind}, as params was, got {type(grads).__name__}")
        if len(grads) != len(self._params) or (self._keys is not None and set(grads) != set(self._keys)):
            given = f"{len(grads)} arrays" if self._keys is None else f"the keys {sorted(map(str, grads))}"
            wanted = f"{len(self._params)}" if self._keys is None else f"the keys {sorted(self._keys)}"
            raise ValueError(f"grads: expected a gradient for every parameter, {wanted}, got {given}")
        return [grads[key] for key in self._keys] if self._keys is not None else list(grads)  # type: ignore[index]

    def _names(self) -> Iterable[str]:
        return self._keys if self._keys is not None else map(str, range(len(self._params)))

    def _label(self, what: str, k: int) -> str:
        return f"{what}[{k if self._keys is None else self._keys[k]!r}]"

    def _like_params(self, values: Sequence[Array]) -> Params:
        return list(values) if self._keys is None else dict(zip(self._keys, values, strict=True))


def _keys(params: Params) -> list[str] | None:
    if not isinstance(params, Mapping | list | tuple):
        raise TypeError(f"params: expected a list, tuple or dict of arrays, got {type(params).__name__}")
    if not params:
        raise ValueError("params is empty: expected at least one array")
    if not isinstance(params, Mapping):
        return None
    if not all(isinstance(key, str) for key in params):
        raise TypeError("params: expected a dict with strings for keys")
    return list(params)


def _values(params: Params) -> list[Array]:
    return list(params.values()) if isinstance(params, Mapping) else list(params)


def _filled(array: Array, value: float) -> Array:
    return np.full(array.shape, value, array.dtype) if value else np.zeros(array.shape, array.dtype)


def _restored(kind: type[Self], params: Params, saved: Mapping[str, Any]) -> Self:
    optimizer = kind(params)
    optimizer.load_state_dict(saved)
    return optimizer
