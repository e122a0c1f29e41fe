"""The same on the host, of parameters elsewhere: their states are there, and a twin of each, on which steps run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from optgen.runtime.core.program import Array, Call
from optgen.torch.body import Body
from optgen.torch.share import Share
from optgen.torch.tensors import as_numbers, empty_as


class HostShare(Share):
    """The states of some parameters on the host, and what steps visit there: see `Share`.

    Gradients are fetched at each step, parameters once, and again where somebody else has written to them.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        self._room: dict[int, Any] = {}
        """Where gradients arrive."""
        super().__init__(*args, **given)
        self.remember()

    def _placed(self, k: int, body: Body) -> Body:
        param = self._model.parts[k]
        twin = _on_host(body.like, body.like.dtype, param)
        twin.copy_(param)
        return Body(twin, is_copy=True)

    def _theta(self, k: int) -> Any:
        return self._bodies[k].numbers

    def _brought(self, k: int, grad: Any, dtype: Any) -> Any:
        if k not in self._room or self._room[k].dtype != dtype:
            self._room[k] = _on_host(self._bodies[k].like, dtype, grad)
        return self._room[k].copy_(grad, non_blocking=_is_pinned_for(grad))

    def _pointed(self, given: Array, absent: frozenset[int]) -> tuple[Array, dict[int, Any]]:
        found = super()._pointed(given, absent)
        self._wait()
        return found

    def _copied(self, pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Call], list[Call]]:
        return [], [
            *(partial(its.copy_, twin, non_blocking=_is_pinned_for(its)) for twin, its in pairs),
            partial(self._wait),
        ]

    def _wait(self) -> None:
        """Until all that has been sent is there."""
        for device in {self._model.parts[k].device for k in self.mine}:
            if device.type == "cuda":
                torch.cuda.synchronize(device)

    def remember(self) -> None:
        """Remember how often parameters have been written to."""
        self._versions = {k: self._version(k) for k in self.mine}

    def _take_over(self, k: int) -> None:
        self._bodies[k].numbers.copy_(as_numbers(self._model.parts[k]))
        if k in self._rest:
            super()._take_over(k)

    def evaluated(self) -> dict[int, Any]:
        """The parameters to evaluate, where the parameters are."""
        self._follow()
        return super().evaluated()


def _on_host(like: Any, dtype: Any, param: Any) -> Any:
    """A new tensor of the host, in memory that stays in place where the device of a parameter is to reach it."""
    return empty_as(like, dtype, device="cpu", pin_memory=_is_pinned_for(param))


def _is_pinned_for(tensor: Any) -> bool:
    """Whether what a tensor is copied to and from is pinned, so that copies need not wait for each other."""
    return bool(tensor.device.type == "cuda")
