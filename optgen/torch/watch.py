"""Whether parameters and what is kept of them are where they were, and where gradients are: of DTensors too."""

from __future__ import annotations

from typing import Any

import torch

from optgen.runtime.core.program import Array
from optgen.runtime.cpu.tensors import ODD, TensorsSeen, tensors_seen
from optgen.torch.kept import Kept
from optgen.torch.sharded import division, here, is_distributed


class Watch:
    """What there was to see of some parameters, and of what is kept of them. `watching` makes one."""

    def __init__(self, seen: TensorsSeen, params: list[Any], states: list[Any]) -> None:
        self._seen, self._held = seen, (params, states)
        self._divided = [(k, param, division(param)) for k, param in enumerate(params) if is_distributed(param)]
        self._divided_states = [state for state in states if is_distributed(state)]
        self._ids_of_states = [*map(id, map(_part, self._divided_states))]

    def look(self, params: list[Any], kept: list[Kept]) -> tuple[Array, Array] | None:
        """Where the gradients of the same parameters are, `ODD` if it needs a closer look, and which there are.

        None if anything has changed. The arrays are the same at each call.
        """
        if not self._divided:
            return self._seen.look([*params, *kept])
        if len(params) != len(self._held[0]):
            return None
        parts, grads, odd = params.copy(), [param.grad for param in params], []
        for k, param, its in self._divided:
            parts[k] = _part(param)
            if grads[k] is not None and division(grads[k]) == its:
                grads[k] = _part(grads[k])
            elif grads[k] is not None:
                odd.append(k)
        if [*map(id, map(_part, self._divided_states))] != self._ids_of_states:
            return None
        found = self._seen.look([*parts, *(params[k] for k, _, _ in self._divided), *kept], grads)
        if found is not None:
            found[0][odd] = ODD
        return found


def watching(params: list[Any], kept: list[Kept]) -> Watch | None:
    """Something that notices changes; None where there is no telling."""
    states = _states(kept)
    others = [*filter(is_distributed, params), *kept]
    seen = tensors_seen(torch, list(map(_part, params)), others, list(map(_part, states)))
    return None if seen is None else Watch(seen, params, states)


def _part(tensor: Any) -> Any:
    """Of a DTensor the tensor itself that it keeps, where `here` may give a view of it, or wait."""
    return getattr(tensor, "_local_tensor", tensor)


def facts(params: list[Any], kept: list[Kept]) -> list[Any]:
    """The same of any tensors, as torch tells it: two such lists are equal if nothing has changed."""
    seen = list(map(here, [*params, *_states(kept)]))
    places = [(its.data_ptr(), its.shape, its.stride(), its.dtype, its.device) for its in seen]
    return [*map(id, params), *map(id, kept), *places]


def _states(kept: list[Kept]) -> list[Any]:
    return [each for its in kept if isinstance(its, Kept) for each in its.values() if isinstance(each, torch.Tensor)]
