"""``Kept``: what an optimizer keeps of a parameter, in a dict that tells when it is written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any


class Writing:
    """Whether any of some dicts has been written to."""

    def __init__(self) -> None:
        self.was_seen = False


class Kept(dict[str, Any]):
    """A dict that tells when it is written to, so that steps need not look into it."""

    def __init__(self, values: Mapping[str, Any], writing: Writing) -> None:
        super().__init__(values)
        self.writing = writing

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:  # a copy is a dict like any other
        return dict, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return deepcopy(dict(self), memo)


def _telling(name: str) -> Callable[..., Any]:
    plain = getattr(dict, name)

    @wraps(plain)
    def telling(self: Kept, *args: Any, **named: Any) -> Any:
        self.writing.was_seen = True
        return plain(self, *args, **named)

    return telling


for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(Kept, _name, _telling(_name))
