"""The same on the host, of parameters elsewhere: their states are there, and a twin of each, on which steps run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any

import torch

from optgen.runtime.core.program import Array, Call
from optgen.runtime.cpu.tensors import ODD
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

    def _fetched(self, starts: Array) -> dict[int, Any]:
        plain = [k for k in self.mine if starts[k] not in (0, ODD)]
        rooms = {k: self._room_for(k, self._model.params[k].dtype) for k in plain}
        if plain:
            grads = [self._model.params[k].grad for k in plain]
            torch._foreach_copy_(list(rooms.values()), grads, non_blocking=self._are_pinned)
            starts[plain] = [room.data_ptr() for room in rooms.values()]
        return rooms

    def _brought(self, k: int, grad: Any, dtype: Any) -> Any:
        return self._room_for(k, dtype).copy_(grad, non_blocking=self._are_pinned)

    def _room_for(self, k: int, dtype: Any) -> Any:
        """Where a gradient arrives."""
        if k not in self._room or self._room[k].dtype != dtype:
            self._room[k] = _on_host(self._bodies[k].like, dtype, self._model.parts[k])
        return self._room[k]

    def _pointed(self, given: Array) -> tuple[Array, dict[int, Any]]:
        found = super()._pointed(given)
        self._wait()
        return found

    def _copied(self) -> tuple[list[Call], list[Call]]:
        _, leaving = super()._copied()
        return [], [*(partial(each, non_blocking=self._are_pinned) for each in leaving), partial(self._wait)]

    @cached_property
    def _are_pinned(self) -> bool:
        """Whether all that is copied here and there is pinned."""
        return all(map(_is_pinned_for, (self._model.parts[k] for k in self.mine)))

    def _wait(self) -> None:
        """Until all that has been sent is there."""
        for device in self._devices:
            torch.cuda.synchronize(device)

    @cached_property
    def _devices(self) -> set[Any]:
        """Those that copy while others go on."""
        return {device for device in {self._model.parts[k].device for k in self.mine} if device.type == "cuda"}

    def _following(self) -> Iterable[int]:
        return self.mine

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
