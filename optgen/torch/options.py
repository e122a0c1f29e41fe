"""The options of a group: read, told by other names, and completed where a file does not have them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from optgen.torch.families import BETAS, Group, theirs

FLAGS: Mapping[str, Any] = {
    "maximize": False,
    "foreach": None,
    "fused": None,
    "capturable": False,
    "differentiable": False,
}
"""What torch's optimizers are told beside hyperparameters."""
_UNCHANGING = (type(None), bool, int, float, str)


def is_settled(option: Any) -> bool:
    """Whether an option of a group says the same as long as it is this object."""
    if isinstance(option, tuple):
        return all(map(is_settled, option))
    return isinstance(option, _UNCHANGING)


def with_betas(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Options in which ``beta1`` and its like are in ``betas``, where there are such."""
    named = {BETAS[name][1]: value for name, value in given.items() if name in BETAS}
    if "betas" not in defaults or not named:
        return dict(given)
    betas = [named.get(k, beta) for k, beta in enumerate(given.get("betas", defaults["betas"]))]
    return {**{name: value for name, value in given.items() if name not in BETAS}, "betas": tuple(betas)}


def hyper_of(group: Group, key: str, index: int | None, *, number: int) -> Any:
    """A hyperparameter of a group, which may be one of a number of them under a key."""
    value, what = group[key], key
    if index is not None:
        if isinstance(value, str | Mapping) or not hasattr(value, "__len__") or len(value) != number:
            raise ValueError(
                f"{key}: expected {number} numbers, as in {key}=({', '.join(['…'] * number)}), got {value!r}"
            )
        value, what = value[index], f"{key}[{index}]"
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ValueError(f"{what}: expected a number, or a tensor of one, got one of shape {tuple(value.shape)}")
        value = value.item()
    if callable(value):
        how = "torch.optim.lr_scheduler.LambdaLR is a schedule of lr" if key == "lr" else "write it to param_groups"
        raise TypeError(f"{what}: expected a number, got a function, which optimizers of PyTorch do not call; {how}")
    return value


def completed(group: Group, what: str, kind: Any, defaults: Mapping[str, Any]) -> Group:
    """A group of a state dict, called so, with what an older version of torch or of optgen did not have."""
    since: dict[str, Any] = {name: its for name, its in FLAGS.items() if name in defaults}
    if kind.family is not None:
        probe, filled = theirs(kind.__name__)([torch.zeros(())]), dict[str, Any](params=[])
        probe.__setstate__({"state": {}, "param_groups": [filled]})
        since |= {name: its for name, its in filled.items() if name != "params"}
    missing = sorted(defaults.keys() - since.keys() - group.keys())
    if missing:
        found = f"{what} has no {', '.join(missing)}"
        raise ValueError(f"state dict: {found}; expected those of {kind.__name__}: {', '.join(defaults)}")
    return {**since, **group}
