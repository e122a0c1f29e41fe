"""The optimizers of torch.optim: which rule computes what the options of a group ask for, and what torch calls things.

Everything else is asked of torch itself: which options there are, their defaults, and what is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

Group = Mapping[str, Any]
"""A parameter group, as torch has them."""
Spelled = Mapping[str, tuple[str, int | None]]
"""Of hyperparameters: their key in a group, and which number of a tuple they are there."""
BETAS: Spelled = MappingProxyType({"beta1": ("betas", 0), "beta2": ("betas", 1), "beta3": ("betas", 2)})
"""Decays of averages, which torch has in one tuple."""


@dataclass(frozen=True)
class Numbers:
    """How torch keeps what the host knows as numbers, where that is not how a rule has it."""

    keys: tuple[str, ...]  # what torch calls its own
    # From t, the numbers of the rule and its hyperparameters to those of torch
    theirs: Callable[[int, tuple[float, ...], Mapping[str, float]], tuple[float, ...]]
    ours: Callable[[int, tuple[float, ...]], tuple[float, ...]]  # from t and those of torch to those of the rule


@dataclass(frozen=True)
class Family:
    """An optimizer of torch.optim, which is several rules here."""

    # From a group to the name of its rule, and those of the wrappers around it
    rule: Callable[[Group], tuple[str, tuple[str, ...]]]
    states: Mapping[str, str]  # what torch calls the states of the rules
    # The same for tensors of less than two dimensions, where that differs; empty for what torch does not keep there
    of_vectors: Mapping[str, str] = field(default_factory=dict)
    hypers: Spelled = field(default_factory=lambda: BETAS)  # what torch calls their hyperparameters, where that differs
    # From the dtype of a parameter to a hyperparameter that is None
    follows: Mapping[str, Callable[[Any], float]] = field(default_factory=dict)
    counts: bool = True  # whether torch keeps the number of steps with each parameter
    numbers: Numbers | None = None  # how it keeps numbers


def _decayed(group: Group) -> tuple[str, ...]:
    """The wrapper by which weights decay, if they do."""
    if not group["weight_decay"]:
        return ()
    return ("decoupled_decay",) if group.get("decoupled_weight_decay") else ("l2",)


def _with_decay(rule: str) -> Callable[[Group], tuple[str, tuple[str, ...]]]:
    return lambda group: (rule, _decayed(group))


def _adam(group: Group) -> tuple[str, tuple[str, ...]]:
    if group.get("decoupled_weight_decay"):
        return ("amsgrad_adamw" if group["amsgrad"] else "adamw"), ()
    if group["amsgrad"]:
        return "amsgrad", _decayed(group)
    return ("adam_l2" if group["weight_decay"] else "adam"), ()


def _sgd(group: Group) -> tuple[str, tuple[str, ...]]:
    if not group["momentum"]:
        return ("sgd_l2" if group["weight_decay"] else "sgd"), ()
    return ("nag", _decayed(group)) if group["nesterov"] else ("sgdm_l2_library", ())


def _rmsprop(group: Group) -> tuple[str, tuple[str, ...]]:
    parts = ["rmsprop", *["centered"] * bool(group["centered"]), *["momentum"] * bool(group["momentum"])]
    return "_".join(parts), _decayed(group)


def _asgd_of_torch(t: int, numbers: tuple[float, ...], hypers: Mapping[str, float]) -> tuple[float, ...]:
    """The rates that torch keeps for the step to come."""
    eta = hypers["lr"] / (1 + hypers["lambd"] * hypers["lr"] * t) ** hypers["alpha"]
    return 1 / max(min(numbers[0] + 1, t - hypers["t0"]), 1), eta


def _asgd_of_ours(_t: int, numbers: tuple[float, ...]) -> tuple[float, ...]:
    """How many points are averaged: a whole number, but for a t0 that is none."""
    count = 1 / numbers[0] - 1
    return (float(round(count)) if abs(count - round(count)) < 1e-6 * max(count, 1) else count,)


_MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}
FAMILIES: Mapping[str, Family] = {
    "Adadelta": Family(_with_decay("adadelta"), {"v": "square_avg", "u": "acc_delta"}),
    "Adafactor": Family(
        lambda _: ("adafactor", ()),
        {"r": "row_var", "c": "col_var"},
        of_vectors={"r": "", "c": "variance"},
        hypers={"eps1": ("eps", 0), "eps2": ("eps", 1), "rms_limit": ("d", None)},
        follows={"eps1": lambda dtype: float(torch.finfo(dtype).eps)},
    ),
    "Adagrad": Family(
        lambda group: ("l2_adagrad" if group["weight_decay"] else "adagrad", ()),
        {"v": "sum"},
        hypers={"initial_accumulator": ("initial_accumulator_value", None)},
    ),
    "Adam": Family(_adam, {**_MOMENTS, "v_max": "max_exp_avg_sq"}),
    "AdamW": Family(
        lambda group: _adam({**group, "decoupled_weight_decay": True}), {**_MOMENTS, "v_max": "max_exp_avg_sq"}
    ),
    "Adamax": Family(_with_decay("adamax"), {"m": "exp_avg", "u": "exp_inf"}),
    "ASGD": Family(_with_decay("asgd"), {"ax": "ax"}, numbers=Numbers(("mu", "eta"), _asgd_of_torch, _asgd_of_ours)),
    "NAdam": Family(_with_decay("nadam"), _MOMENTS),
    "RAdam": Family(_with_decay("radam"), _MOMENTS),
    "RMSprop": Family(_rmsprop, {"v": "square_avg", "g_bar": "grad_avg", "b": "momentum_buffer"}),
    "Rprop": Family(
        lambda _: ("rprop", ()),
        {"prev": "prev", "step_size": "step_size"},
        hypers={
            "eta_minus": ("etas", 0),
            "eta_plus": ("etas", 1),
            "min_step_size": ("step_sizes", 0),
            "max_step_size": ("step_sizes", 1),
        },
    ),
    "SGD": Family(_sgd, {"b": "momentum_buffer"}, counts=False),
}
"""Those of torch.optim, by name."""


def theirs(name: str) -> Any:
    """The class of torch.optim of a name, where this version of torch has it."""
    return getattr(torch.optim, name, None)
