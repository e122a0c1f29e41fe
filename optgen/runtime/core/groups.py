"""Parameter groups: what is given as ``params``, as one list of arrays and a row of hyperparameters for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from optgen.runtime.core.foreign import as_container, instead
from optgen.runtime.core.program import Arrays, Params, Value

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of a model. `as_given` makes one."""

    arrays: tuple[Any, ...]  # those of all groups, one group after another
    keys: Sequence[Any]  # what each is called: its number among all, or its key
    is_keyed: bool  # whether they were given as a dict, or in dicts
    labels: tuple[str, ...]  # where each is in what the user passed
    group: tuple[int, ...]  # to which group each belongs
    hypers: tuple[Mapping[str, Any], ...] = (_NOTHING,)  # the hyperparameters that were given with each group
    is_grouped: bool = False  # whether there were groups, if only one

    def like_params(self, values: Sequence[Any]) -> Arrays:
        """Values of all parameters as these were given: a tuple, or a read-only dict."""
        return MappingProxyType(dict(zip(self.keys, values, strict=True))) if self.is_keyed else tuple(values)

    def of_group(self, group: int) -> Arrays:
        """The parameters of a group: a tuple, or a read-only dict."""
        mine = {self.keys[k]: self.arrays[k] for k, its in enumerate(self.group) if its == group}
        return MappingProxyType(mine) if self.is_keyed else tuple(mine.values())


def as_plain(arrays: Any) -> Any:
    """What a group has, as what can be pickled and copied."""
    return dict(arrays) if isinstance(arrays, Mapping) else arrays


def as_given(params: Params) -> Parameters:
    """Look at what was passed as ``params``; its arrays, and its hyperparameters, are for others to check."""
    if isinstance(params, list | tuple) and params and isinstance(params[0], Mapping):
        return _of_groups(params)
    if isinstance(params, Mapping) and isinstance(params.get("params"), Mapping | list | tuple):
        raise TypeError("params: expected arrays or a list of groups, got one group; put it in a list: [params]")
    keys = _keys(params, "params")
    labels = tuple(f"params[{key!r}]" for key in keys)
    return Parameters(_values(params), keys, isinstance(params, Mapping), labels, (0,) * len(keys))


def _of_groups(groups: Sequence[Any]) -> Parameters:
    arrays: list[Any] = []
    keys: list[Any] = []
    labels: list[str] = []
    members: list[int] = []
    for k, group in enumerate(groups):
        name = f"params[{k}]"
        if not isinstance(group, Mapping):
            kind = type(group).__name__
            raise TypeError(f"{name}: expected a group, as params[0] is, got {kind}; write {{'params': [{name}]}}")
        if "params" not in group:
            what = f"expected 'params' among the keys of a group, got {list(group)}"
            raise ValueError(f"{name}: {what}; no group? {instead(group, name)}")
        name = f"{name}['params']"
        its = _keys(group["params"], name)
        if isinstance(group["params"], Mapping) != isinstance(groups[0]["params"], Mapping):
            first = "list or tuple" if isinstance(group["params"], Mapping) else "dict"
            raise TypeError(
                f"{name}: expected a {first}, as params[0]['params'] is, got {type(group['params']).__name__}"
            )
        arrays += _values(group["params"])
        keys += its
        labels += [f"{name}[{key!r}]" for key in its]
        members += [k] * len(its)
    is_keyed = isinstance(groups[0]["params"], Mapping)
    if is_keyed and len(set(keys)) < len(keys):
        twice = next(key for n, key in enumerate(keys) if key in keys[:n])
        raise ValueError(f"params: the key {twice!r} is in two groups: expected another for each parameter")
    hypers = tuple({name: value for name, value in group.items() if name != "params"} for group in groups)
    return Parameters(
        tuple(arrays),
        keys if is_keyed else range(len(keys)),
        is_keyed,
        tuple(labels),
        tuple(members),
        hypers,
        is_grouped=True,
    )


def _keys(params: Any, name: str) -> Sequence[Any]:
    if not isinstance(params, Mapping | list | tuple):
        kind = type(params).__name__
        raise TypeError(f"{name}: expected a list, tuple or dict of arrays, got {kind}; {as_container(params, name)}")
    if not params:
        raise ValueError(f"{name} is empty: expected at least one array")
    if not isinstance(params, Mapping):
        return range(len(params))
    for key in params:
        if not isinstance(key, str):
            what = f"got the key {key!r}: write str(…) of each"
            raise TypeError(f"{name}: expected a dict with strings for keys, {what}")
    return list(params)


def _values(params: Any) -> tuple[Any, ...]:
    return tuple(params.values() if isinstance(params, Mapping) else params)


def shown(values: Sequence[Value]) -> str:
    """A hyperparameter of all groups, as text."""
    found = [repr(value) if callable(value) else f"{value:g}" for value in values]
    return found[0] if {found[0]}.issuperset(found) else f"[{', '.join(found)}]"
