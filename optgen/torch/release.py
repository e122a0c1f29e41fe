"""``release_gradients``: every parameter steps as soon as its gradient is there, and lets go of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from copy import copy
from typing import Any

from optgen.torch.base import TorchOptimizer


class _GroupOfOne(Mapping[str, Any]):
    """The options of a parameter, which are those of its group now."""

    def __init__(self, optimizer: TorchOptimizer, group: int, param: Any) -> None:
        self._optimizer, self._group, self._param = optimizer, group, param

    def __getitem__(self, key: str) -> Any:
        return [self._param] if key == "params" else self._optimizer.param_groups[self._group][key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer.param_groups[self._group])

    def __len__(self) -> int:
        return len(self._optimizer.param_groups[self._group])


class _StateOfOne(MutableMapping[Any, Any]):
    """What an optimizer keeps of a parameter, wherever it keeps it now."""

    def __init__(self, optimizer: TorchOptimizer, param: Any) -> None:
        self._optimizer, self._param = optimizer, param

    def __getitem__(self, key: Any) -> Any:
        return self._optimizer.state[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._optimizer.state[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._optimizer.state[key]

    def __iter__(self) -> Iterator[Any]:
        return iter([self._param] * len(self))

    def __len__(self) -> int:
        return int(self._param in self._optimizer.state)

    def get(self, key: Any, default: Any = None) -> Any:
        """What is kept of a parameter, if anything is."""
        return self._optimizer.state.get(key, default)


class Releasing:
    """Hooks that step parameters. `release_gradients` makes it."""

    def __init__(self, handles: list[Any]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Leave it to ``step`` again."""
        for handle in self._handles:
            handle.remove()


def release_gradients(optimizer: TorchOptimizer) -> Releasing:
    """Let every parameter step in ``backward``, as soon as its gradient is complete, and let go of the gradient.

    The gradients of a model are never all there then. What needs all of them has no place: clipping by a norm over the
    model, a `GradScaler`, sums of several backward passes. ``optimizer.step`` has nothing left to do; schedulers and
    state dicts work as ever.

    Parameters
    ----------
    optimizer : TorchOptimizer
        Of a rule that makes no value of the whole model.

    Returns
    -------
    Releasing
        ``remove()`` of it undoes this.

    Raises
    ------
    ValueError
        If the rule makes a value of the whole model or draws numbers, or if what is stored is rounded by chance.
    """
    name = type(optimizer).__name__
    for group in optimizer.param_groups:
        program = optimizer.program_of_group(group)
        if "model" in program.kinds.values():
            raise ValueError(f"release_gradients: {name} makes values of the whole model, which takes all gradients")
        if program.seeds or optimizer.rounds_by_chance:
            raise ValueError(f"release_gradients: {name} draws by the number of a parameter among all; call step()")
    handles = []
    for j, group in enumerate(optimizer.param_groups):
        for param in group["params"]:
            alone = copy(optimizer)
            alone.param_groups = [_GroupOfOne(optimizer, j, param)]
            alone.state = _StateOfOne(optimizer, param)
            handles.append(param.register_post_accumulate_grad_hook(_stepping(alone)))
    return Releasing(handles)


def _stepping(alone: TorchOptimizer) -> Any:
    def step(param: Any) -> None:
        alone.step()
        param.grad = None

    return step
