"""Wrapped rules, as others wrap theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
from counters import box_muller, pairs_of

from opinions.base import (
    SHAPES,
    Floats,
    Numbers,
    Opinion,
    Path,
    mean,
    optax,
    optax_path,
    past_gradients,
    torch,
    torch_optim,
)


def slow_and_fast(kind: str, manner: str = "keep") -> Callable[..., Path]:
    """Zhang et al. 2019, Algorithm 1, around an optimizer of torch.optim; the authors' code has the treatments."""

    def path(theta: Floats, grads: Floats, *, sync_period: int = 5, slow_step_size: float = 0.5, **hypers: Any) -> Path:
        slow = {"theta": theta.copy(), "momentum_buffer": np.zeros_like(theta)}

        def sync(k: int, fast: Floats, state: Any) -> None:
            if (k + 1) % sync_period:
                return
            met = {"theta": fast}
            if manner == "reset":
                state["momentum_buffer"][...] = 0
            elif manner == "pull back":
                met["momentum_buffer"] = state["momentum_buffer"].numpy()
            for name, array in met.items():
                slow[name] = slow[name] + slow_step_size * (array - slow[name])
                array[...] = slow[name]

        return torch_optim(kind, after=sync)(theta, grads, **hypers)

    return path


def noise(shape: tuple[int, ...], steps: int, seed: int) -> Floats:
    """Standard normal deviates from Philox as its authors write it, a step a row, as Box and Muller make them.

    Which of the tensors of `ask` it is for is told by its shape.
    """
    size, tensor = int(np.prod(shape)), SHAPES.index(shape)
    return np.array([box_muller(pairs_of(tensor, t, 0, seed, size)).reshape(shape) for t in range(1, steps + 1)])


def noisy(path: Callable[..., Path]) -> Callable[..., Path]:
    """Neelakantan et al. 2015, eq. 1, with steps counted from 1: another's path along gradients with noise."""

    def noised(
        theta: Floats,
        grads: Floats,
        *,
        noise_scale: float = 0.1,
        noise_decay: float = 0.275,
        seed: int = 0,
        **hypers: Any,
    ) -> Path:
        sigma = noise_scale / np.arange(1.0, len(grads) + 1) ** noise_decay
        draws = noise(theta.shape, len(grads), seed)
        return path(theta, grads + sigma.reshape(-1, *[1] * theta.ndim) * draws, **hypers)

    return noised


def shortened(path: Callable[..., Path]) -> Callable[..., Iterator[Any]]:
    """What torch.nn.utils.clip_grad_norm_ makes of all gradients of a model, then another's path for each tensor."""

    def clipped(thetas: list[Floats], grads: list[Floats], *, norm_limit: float = 1.0, **hypers: Any) -> Iterator[Any]:
        torch = import_module("torch")  # an optional extra
        tensors = [torch.zeros(theta.shape, dtype=torch.float64) for theta in thetas]
        rows: list[list[Floats]] = [[] for _ in grads]
        for now in zip(*grads, strict=True):
            for tensor, grad in zip(tensors, now, strict=True):
                tensor.grad = torch.tensor(grad, dtype=torch.float64)
            torch.nn.utils.clip_grad_norm_(tensors, norm_limit)
            for row, tensor in zip(rows, tensors, strict=True):
                row.append(tensor.grad.numpy().copy())
        paths = (path(theta, np.array(row), **hypers) for theta, row in zip(thetas, rows, strict=True))
        return zip(*paths, strict=True)

    return clipped


def transposed(path: Callable[..., Path]) -> Callable[..., Path]:
    """Another's path with matrices the other way around."""

    def turned(theta: Floats, grads: Floats, **hypers: Any) -> Path:
        axes = (0, *reversed(range(1, grads.ndim)))
        return (point.T for point in path(theta.T, grads.transpose(axes), **hypers))

    return turned


def cautious(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Path:
    """Liang et al. 2024, Algorithm 1 around AdamW, scaled a tensor at a time as in the authors' code."""
    for past in past_gradients(grads):
        update = mean(past, beta1) / (np.sqrt(mean(past**2, beta2)) + eps)
        agrees = update * past[-1] > 0
        theta = (1 - lr * weight_decay) * theta - lr * np.where(agrees, update, 0) / max(agrees.mean(), 1e-3)
        yield theta


def averaged_path(path: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The moving averages, from the start on, of the points that another visits with a whole model."""

    def averages(thetas: list[Floats], grads: list[Floats], *, ema_decay: float = 0.999, **words: Any) -> Iterator[Any]:
        average = thetas
        for point in path(thetas, grads, **words):
            average = [ema_decay * a + (1 - ema_decay) * x for a, x in zip(average, point, strict=True)]
            yield average

    return averages


# By step, 0 the first, and tensor: what the last of its elements becomes.
BAD = {(0, 0): np.nan, (1, -1): np.inf, (5, -1): np.nan, (6, 0): -np.inf, (50, 1): np.inf, (50, -1): np.nan}


def spoiled(grads: list[Floats]) -> list[Floats]:
    """Gradients that are not finite in some steps, the first two among them."""
    copies = [grad.copy() for grad in grads]
    for (step, tensor), value in BAD.items():
        copies[tensor][step, ...].flat[-1] = value
    return copies


def averaged(kind: str) -> Callable[..., Path]:
    """The moving average, from the start on, of the parameters that an optimizer of torch.optim leaves."""

    def path(theta: Floats, grads: Floats, *, ema_decay: float = 0.999, **hypers: Any) -> Path:
        average = theta
        for point in torch_optim(kind)(theta, grads, **hypers):
            average = ema_decay * average + (1 - ema_decay) * point
            yield average

    return path


def accumulated(theta: Floats, grads: Floats, *, accumulation_steps: int = 4, **hypers: Any) -> Path:
    """torch.optim.Adam on the means of so many gradients each, as one does who calls backward so many times."""
    whole = len(grads) // accumulation_steps
    means = [sum(grads[k * accumulation_steps :][:accumulation_steps]) / accumulation_steps for k in range(whole)]
    points = [theta, *torch_optim("Adam")(theta, np.array(means), **hypers)]
    return (points[(k + 1) // accumulation_steps] for k in range(len(grads)))


def warmed(theta: Floats, grads: Floats, *, warmup: int, lr: float = 1e-3) -> Path:
    """torch.optim.AdamW with a learning rate that is set before each step."""
    rates = tuple(lr * min(1, t / warmup) for t in range(1, len(grads) + 1))
    return torch_optim("AdamW")(theta, grads, lr=rates)


def _clipped(optax: Any, lr: Any, momentum: float, clip_limit: float) -> Any:
    return optax.chain(optax.clip(clip_limit), optax.sgd(lr, momentum))


def _unit_clipped(optax: Any, lr: Any, momentum: float, unit_limit: float = 0.01, unit_floor: float = 1e-3) -> Any:
    return optax.chain(optax.adaptive_grad_clip(unit_limit, unit_floor), optax.sgd(lr, momentum))


def _centralized(optax: Any, lr: Any, momentum: float) -> Any:
    return optax.chain(optax.centralize(), optax.sgd(lr, momentum))


def _finite_adamw(optax: Any, lr: Any = 1e-3, beta1: float = 0.9, beta2: float = 0.999, **words: Any) -> Any:
    adamw = optax.adamw(lr, beta1, beta2, **{"weight_decay": 1e-2, **words})
    return optax.apply_if_finite(adamw, 1000)


def _norm_clipped(optax: Any, norm_limit: float) -> Any:
    return optax.chain(optax.clip_by_global_norm(norm_limit), optax.adamw(1e-3, weight_decay=1e-2))


def _decayed(optax: Any, lr: float = 1e-2, alpha: float = 0.99, weight_decay: float = 1e-2) -> Any:
    scale = optax.scale_by_rms(decay=alpha, eps=1e-8, eps_in_sqrt=False)
    return optax.chain(scale, optax.add_decayed_weights(weight_decay), optax.scale(-lr))


SHORTENED: tuple[Numbers, ...] = ({}, {"lr": 0.1, "norm_limit": 10.0, "beta2": 0.9}, {"norm_limit": 1e-3, "eps": 1e-6})
AVERAGED: tuple[Numbers, ...] = ({}, {"lr": 0.1, "norm_limit": 10.0, "ema_decay": 0.5})
UNITS: tuple[Numbers, ...] = (
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.01, "momentum": 0.5, "unit_limit": 3.0, "unit_floor": 0.5},
)
LOOKAHEAD: tuple[Numbers, ...] = (
    {"lr": 1e-2},
    {"lr": 0.1, "sync_period": 3, "slow_step_size": 0.8},
    {"lr": 1e-2, "sync_period": 1},
)


def _lookahead(name: str, kind: str, manner: str = "keep", **extra: Any) -> Opinion:
    whose = f"Zhang et al. 2019 around torch.optim.{kind}"
    return Opinion(name, whose, slow_and_fast(kind, manner), LOOKAHEAD, extra=extra, needs="torch")


OPINIONS: tuple[Opinion, ...] = (
    _lookahead("lookahead_adamw", "AdamW"),
    _lookahead("lookahead_sgdm", "SGD", "reset", momentum=0.9),
    _lookahead("lookahead_sgdm_pullback", "SGD", "pull back", momentum=0.9),
    Opinion(
        "lookahead_ema_gradient_noise_radam",
        "Zhang et al. 2019 around torch.optim.RAdam with noise",
        noisy(slow_and_fast("RAdam")),
        ({}, {"seed": 7, "sync_period": 3, "noise_scale": 1.0}),
        needs="torch",
    ),
    Opinion(
        "gradient_noise_sgd",
        "Neelakantan et al. 2015 around torch.optim.SGD",
        noisy(torch_optim("SGD")),
        ({"lr": 0.1}, {"lr": 0.01, "seed": 2**40 + 1, "noise_scale": 2.0, "noise_decay": 0.5}),
        needs="torch",
    ),
    optax(
        "clip_value_sgdm",
        _clipped,
        "clip, sgd(momentum)",
        ({"lr": 0.1, "momentum": 0.9, "clip_limit": 1.0}, {"lr": 0.01, "momentum": 0.5, "clip_limit": 1e-2}),
    ),
    Opinion(
        "clip_global_norm_adamw",
        "torch.nn.utils.clip_grad_norm_, torch.optim.AdamW",
        shortened(torch_optim("AdamW")),
        SHORTENED,
        needs="torch",
        whole=True,
    ),
    optax(
        "clip_global_norm_adamw",
        _norm_clipped,
        "clip_by_global_norm, adamw",
        ({"norm_limit": 1.0},),
        differs=(1e-9, 1e-6),
        why="nothing is added to the norm",
    ),
    Opinion(
        "ema_clip_global_norm_adamw",
        "torch.nn.utils.clip_grad_norm_, torch.optim.AdamW",
        shortened(torch_optim("AdamW")),
        SHORTENED,
        needs="torch",
        whole=True,
    ),
    Opinion(
        "ema_clip_global_norm_adamw",
        "Polyak & Juditsky 1992 of torch.nn.utils.clip_grad_norm_, torch.optim.AdamW",
        averaged_path(shortened(torch_optim("AdamW"))),
        AVERAGED,
        needs="torch",
        slot="theta_ema",
        whole=True,
    ),
    Opinion(
        "clip_unit_norm_sgdm",
        "optax.adaptive_grad_clip, sgd(momentum) of transposed matrices",
        transposed(optax_path(_unit_clipped)),
        UNITS,
        needs="optax",
    ),
    optax(
        "centralized_sgdm",
        _centralized,
        "centralize, sgd(momentum)",
        ({"lr": 0.1, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.5}),
    ),
    Opinion(
        "cautious_adamw",
        "Liang et al. 2024",
        cautious,
        ({}, {"lr": 0.1, "weight_decay": 0.3}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}),
    ),
    optax(
        "skip_nonfinite_adamw",
        _finite_adamw,
        "apply_if_finite(adamw)",
        ({}, {"lr": 0.1, "weight_decay": 0.3, "beta1": 0.5, "beta2": 0.9}),
        whole=True,
        spoiled=spoiled,
    ),
    Opinion(
        "accumulate_adam",
        "torch.optim.Adam on means",
        accumulated,
        ({}, {"lr": 0.1, "accumulation_steps": 3}),
        needs="torch",
    ),
    torch("l2_adagrad", "Adagrad", ({"lr": 0.1, "weight_decay": 0.1},), options="(weight_decay)"),
    torch("amsgrad_adamw", "AdamW", ({}, {"beta2": 0.9, "lr": 0.1}), options="(amsgrad)", extra={"amsgrad": True}),
    torch(
        "nesterov_sgdm",
        "SGD",
        ({"lr": 0.1, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.5}),
        options="(nesterov)",
        extra={"nesterov": True},
    ),
    optax("decoupled_decay_rmsprop", _decayed, "scale_by_rms, add_decayed_weights", ({}, {"weight_decay": 0.3})),
    torch("ema_adamw", "AdamW", ({}, {"lr": 0.1})),
    Opinion(
        "ema_adamw",
        "Polyak & Juditsky 1992 of torch.optim.AdamW",
        averaged("AdamW"),
        ({}, {"lr": 0.1, "ema_decay": 0.5}),
        needs="torch",
        slot="theta_ema",
    ),
    Opinion(
        "scheduled_adamw", "torch.optim.AdamW, lr warms up", warmed, ({"warmup": 10}, {"warmup": 70}), needs="torch"
    ),
)
