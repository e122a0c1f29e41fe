"""Second opinions: what others compute for the same rule, and where they are known to compute something else.

An `Opinion` is a row of `TABLE`: an optimizer, whose implementation, that implementation as a function, and settings in
the words of both sides. PyTorch's are PyTorch itself, where it is installed. The others are written out here in NumPy
from their sources, so that nothing else needs to be. Where moving averages can be summed up from all gradients they
are, since the kernels update them from one step to the next.

A row that ``differs`` says by how much at least and at most, over 15 steps of 64 elements with gradients from 1e-9 to
10: the largest distance between the parameters, divided by the farthest that ours have come from the start. A
difference that does not show is a failure too. All others must agree to 1e-12 over 50 steps in float64.

Sources: torch 2.15 ``torch/optim``, optax 0.2.8 ``_src/transform.py``, keras ``src/optimizers``, MLX 0.32
``optimizers.py``, timm ``optim/rmsprop_tf.py``, bitsandbytes ``csrc/kernels.cu``, apex ``csrc/multi_tensor_adam.cu``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.verify.candidate import Candidate, Effort, Finding, Verdict

PART = "opinions"
STEPS = 50
SHAPES = ((), (7,), (3, 5), (1001,))
AGREEMENT = 1e-12
DIFFERENT_STEPS = 15

Floats = NDArray[Any]
Path = Iterator[Floats]
"""Parameters after each step."""
Numbers = Mapping[str, Any]
"""Hyperparameters by name: a number, or a tuple with one for each step."""


@dataclass(frozen=True)
class Opinion:
    """What somebody else computes for a rule.

    Parameters
    ----------
    name : str
        Which of our optimizers.
    whose : str
        Whose implementation, and under which options.
    function : callable
        From parameters, gradients (a step a row) and hyperparameters to the parameters after each step.
    settings : tuple of mappings
        Hyperparameters, for both sides.
    extra : mapping
        What only theirs is told.
    renamed : mapping of str to str
        Their words for our hyperparameters, where they differ.
    differs : pair of floats, optional
        How different it is, at least and at most, if it is known to be.
    why : str
        What is different.
    needs : str
        The package that it takes, if any.
    """

    name: str
    whose: str
    function: Callable[..., Path]
    settings: tuple[Numbers, ...] = ({},)
    extra: Numbers = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[float, float] | None = None
    why: str = ""
    needs: str = ""

    def theirs(self, setting: Numbers) -> dict[str, Any]:
        """A setting in their words."""
        return {**{self.renamed.get(name, name): value for name, value in setting.items()}, **self.extra}


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Ask everybody in the table who has the rule.

    Parameters
    ----------
    candidate : Candidate
        The module.
    effort : Effort
        From whose seed starts and gradients are drawn.

    Yields
    ------
    Finding
        For each row: tested, skipped where its package is not installed, or failed with the input and both values.
    """
    for opinion in TABLE:
        if opinion.name == candidate.optimizer.name:
            yield asked(opinion, candidate, effort)


def asked(opinion: Opinion, candidate: Candidate, effort: Effort) -> Finding:
    """What comes of one row of the table."""
    if opinion.needs and find_spec(opinion.needs) is None:
        return Finding(PART, opinion.whose, Verdict.SKIPPED, f"{opinion.needs} is not installed")
    compare = _agreement if opinion.differs is None else _difference
    try:
        with np.errstate(all="ignore"):
            return compare(opinion, candidate, effort)
    except Exception as error:  # noqa: BLE001 - whatever a broken module does is a finding
        detail = f"{candidate.optimizer.name} could not be compared: {type(error).__name__}: {error}"
        return Finding(PART, opinion.whose, Verdict.FAILED, detail)


def _agreement(opinion: Opinion, candidate: Candidate, effort: Effort) -> Finding:
    worst = 0.0
    for setting in opinion.settings:
        rng = np.random.default_rng(effort.seed + 1)
        starts = [np.asarray(rng.normal(size=shape)) for shape in SHAPES]
        scales = 10 ** rng.uniform(-3, 3, STEPS)
        grads = [np.stack([scale * rng.normal(size=shape) for scale in scales]) for shape in SHAPES]
        ours = _ours(candidate, starts, grads, setting)
        paths = [
            opinion.function(start, grad, **opinion.theirs(setting)) for start, grad in zip(starts, grads, strict=True)
        ]
        largest = [np.asarray(np.maximum(np.abs(start), np.finfo(float).tiny)) for start in starts]
        for k, (mine, theirs) in enumerate(zip(ours, zip(*paths, strict=True), strict=True)):
            for a, b, size, start, grad in zip(mine, theirs, largest, starts, grads, strict=True):
                np.fmax(size, np.abs(a), out=size)
                error = np.nan_to_num(np.abs(a - b) / size, nan=np.inf)
                worst = max(worst, float(error.max()))
                if worst > AGREEMENT:
                    i = np.unravel_index(int(np.argmax(error)), error.shape)
                    given = {"theta": float(start[i]), "g": float(grad[k][i]), **_now(setting, k)}
                    detail = (
                        f"{candidate.optimizer.name}: theta after step {k + 1} is {float(a[i])!r}, of {opinion.whose}"
                        f" {float(b[i])!r}, from {given}"
                    )
                    return Finding(PART, opinion.whose, Verdict.FAILED, detail, {"difference": worst})
    return Finding(PART, opinion.whose, Verdict.TESTED, "agrees", {"difference": worst})


def _difference(opinion: Opinion, candidate: Candidate, effort: Effort) -> Finding:
    assert opinion.differs is not None
    low, high = opinion.differs
    for setting in opinion.settings:
        rng = np.random.default_rng(effort.seed + 2)
        start = rng.normal(size=64)
        grads = 10 ** rng.uniform(-9, 1, 64) * rng.normal(size=(DIFFERENT_STEPS, 64))
        (ours,) = zip(*_ours(candidate, [start], [grads], setting), strict=True)
        theirs = list(opinion.function(start, grads, **opinion.theirs(setting)))
        apart = max(float(np.abs(mine - other).max()) for mine, other in zip(ours, theirs, strict=True))
        found = apart / max(float(np.abs(mine - start).max()) for mine in ours)
        if not low <= found <= high:
            detail = (
                f"{candidate.optimizer.name}: expected to differ from {opinion.whose} by {low:g} to {high:g}, for"
                f" {opinion.why}; differs by {found:.3g} with {_now(setting, 0)}: theta is {float(ours[-1][0])!r},"
                f" there {float(theirs[-1][0])!r}"
            )
            return Finding(PART, opinion.whose, Verdict.FAILED, detail, {"difference": found})
    return Finding(PART, opinion.whose, Verdict.TESTED, f"differs: {opinion.why}", {"difference": found})


def _ours(candidate: Candidate, starts: list[Floats], grads: list[Floats], setting: Numbers) -> Iterator[list[Floats]]:
    params = [start.copy() for start in starts]
    optimizer = candidate.kind(params, **_now(setting, 0))
    for k in range(len(grads[0])):
        optimizer.set(**_now(setting, k))
        optimizer.step([np.asarray(grad[k]) for grad in grads])
        yield [param.copy() for param in params]


def _now(setting: Numbers, k: int) -> dict[str, float]:
    """Hyperparameters at a step, 0 the first."""
    return {name: _at(value, k) for name, value in setting.items()}


def _at(value: Any, k: int) -> float:
    return float(value[k] if isinstance(value, tuple) else value)


# PyTorch --------------------------------------------------------------------------------------------------------------


def torch_optim(kind: str) -> Callable[..., Path]:
    """An optimizer of torch.optim as a function; hyperparameters that vary are set before each step."""

    def path(theta: Floats, grads: Floats, **hypers: Any) -> Path:
        torch = import_module("torch")  # an optional extra
        tensor = torch.tensor(theta, dtype=torch.float64)
        optimizer = getattr(torch.optim, kind)([tensor], **_torch_words({n: _first(v) for n, v in hypers.items()}))
        for k, grad in enumerate(grads):
            now = {name: _at(value, k) for name, value in hypers.items() if isinstance(value, tuple)}
            optimizer.param_groups[0].update(now)
            tensor.grad = torch.tensor(grad, dtype=torch.float64)
            optimizer.step()
            yield tensor.numpy().copy()

    return path


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _torch_words(hypers: dict[str, Any]) -> dict[str, Any]:
    """Torch wants a pair of betas."""
    betas = {"beta1", "beta2"} & hypers.keys()
    words = {name: value for name, value in hypers.items() if name not in betas}
    return {**words, "betas": (hypers.get("beta1", 0.9), hypers.get("beta2", 0.999))} if betas else words


# Sums over all gradients ----------------------------------------------------------------------------------------------


def discounted(grads: Floats, decay: float) -> Floats:
    """The sum of decay**(t - i) * g_i over i = 1, …, t."""
    weights = decay ** np.arange(len(grads) - 1.0, -1.0, -1.0)
    total: Floats = np.tensordot(weights, grads, 1)
    return total


def average(grads: Floats, decay: float) -> Floats:
    """A moving average that started at 0."""
    return (1 - decay) * discounted(grads, decay)


def mean(grads: Floats, decay: float) -> Floats:
    """The weighted mean of all gradients: what bias correction makes of a moving average."""
    total: Floats = discounted(grads, decay) / discounted(np.ones(len(grads)), decay)
    return total


def _past(grads: Floats) -> Iterator[Floats]:
    """The gradients up to each step."""
    return (grads[:t] for t in range(1, len(grads) + 1))


# SGD and momentum -----------------------------------------------------------------------------------------------------


def optax_sgd(
    theta: Floats, grads: Floats, *, lr: Any = 1e-2, momentum: float = 0.0, weight_decay: float = 0.0
) -> Path:
    """optax.trace from 0, then times -lr; decay, by add_decayed_weights before it, joins the gradient."""
    trace = np.zeros_like(theta)
    for k, grad in enumerate(grads):
        trace = momentum * trace + grad + weight_decay * theta
        theta = theta - _at(lr, k) * trace
        yield theta


def keras_sgd(theta: Floats, grads: Floats, *, lr: Any = 1e-2, momentum: float = 0.0) -> Path:
    """Keras SGD.update_step: velocity = momentum * velocity - lr * g; as Sutskever et al. 2013 write it."""
    velocity = np.zeros_like(theta)
    for k, grad in enumerate(grads):
        velocity = momentum * velocity - _at(lr, k) * grad
        theta = theta + velocity
        yield theta


def mlx_sgd(theta: Floats, grads: Floats, *, lr: float = 1e-2, momentum: float = 0.9, dampening: float = 0.0) -> Path:
    """MLX SGD dampens the first gradient too."""
    v = np.zeros_like(theta)
    for grad in grads:
        v = momentum * v + (1 - dampening) * grad
        theta = theta - lr * v
        yield theta


def polyak(theta: Floats, grads: Floats, *, lr: Any = 1e-2, momentum: float = 0.9) -> Path:
    """The heavy ball (Polyak 1964), movements summed over all gradients."""
    rates = np.array([_at(lr, k) for k in range(len(grads))])
    for movements in _past(rates.reshape(-1, *[1] * theta.ndim) * grads):
        theta = theta - discounted(movements, momentum)
        yield theta


def ema_sgd(theta: Floats, grads: Floats, *, lr: float = 1e-2, beta1: float = 0.9) -> Path:
    """Descent along a moving average (optax.ema without debias, then times -lr)."""
    for past in _past(grads):
        theta = theta - lr * average(past, beta1)
        yield theta


# Adagrad and RMSProp --------------------------------------------------------------------------------------------------


def adagrad(theta: Floats, grads: Floats, *, lr: float = 1e-2, eps: float = 0.0) -> Path:
    """Duchi et al. 2011, and with eps outside the root MLX and bitsandbytes: sums over all gradients."""
    for past in _past(grads):
        theta = theta - lr * past[-1] / (np.sqrt(np.sum(past**2, axis=0)) + eps)
        yield theta


def keras_adagrad(
    theta: Floats, grads: Floats, *, lr: float = 1e-2, eps: float = 1e-7, initial_accumulator: float = 0.1
) -> Path:
    """Keras Adagrad.update_step and optax.scale_by_rss: eps inside the root, a sum that starts at 0.1."""
    for past in _past(grads):
        theta = theta - lr * past[-1] / np.sqrt(initial_accumulator + np.sum(past**2, axis=0) + eps)
        yield theta


def rmsprop(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    eps_in_root: bool = False,
    start: float = 0.0,
) -> Path:
    """optax.rmsprop (scale_by_rms, scale_by_stddev, then trace) with either place of eps, Keras and timm's RMSpropTF.

    optax has eps_in_sqrt=True by default; Keras has it inside always; timm's v starts at 1.
    """
    trace = np.zeros_like(theta)
    for past in _past(grads):
        v = average(past**2, alpha) + alpha ** len(past) * start
        if centered:
            v = np.maximum(v - average(past, alpha) ** 2, 0)
        trace = momentum * trace + past[-1] / (np.sqrt(v + eps) if eps_in_root else np.sqrt(v) + eps)
        theta = theta - lr * trace
        yield theta


def hinton(theta: Floats, grads: Floats, *, lr: float = 1e-2, alpha: float = 0.99) -> Path:
    """Hinton 2012 as lectures write it: v starts as the first squared gradient."""
    v = grads[0] ** 2
    for k, grad in enumerate(grads):
        v = alpha * v + (1 - alpha) * grad**2 if k else v
        theta = theta - lr * grad / np.sqrt(v)
        yield theta


# Adam -----------------------------------------------------------------------------------------------------------------


def direction(
    past: Floats, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0
) -> Floats:
    """Adam's direction (Kingma & Ba 2015, Algorithm 1; optax.scale_by_adam, which has eps_root)."""
    result: Floats = mean(past, beta1) / (np.sqrt(mean(past**2, beta2) + eps_root) + eps)
    return result


def optax_adam(theta: Floats, grads: Floats, *, lr: float = 1e-3, **adam: float) -> Path:
    """optax.adam."""
    for past in _past(grads):
        theta = theta - lr * direction(past, **adam)
        yield theta


def keras_adam(
    theta: Floats,
    grads: Floats,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-7,
    weight_decay: float = 0.0,
) -> Path:
    """Keras Adam.update_step and, with weight_decay, AdamW: both corrections are in the learning rate."""
    for past in _past(grads):
        t = len(past)
        alpha = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        theta = theta - lr * weight_decay * theta
        theta = theta - alpha * average(past, beta1) / (np.sqrt(average(past**2, beta2)) + eps)
        yield theta


def mlx_adam(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Path:
    """MLX Adam by default: no bias correction."""
    for past in _past(grads):
        theta = theta - lr * average(past, beta1) / (np.sqrt(average(past**2, beta2)) + eps)
        yield theta


def optax_adamw(theta: Floats, grads: Floats, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float) -> Path:
    """optax.adamw and apex FusedAdam in AdamW mode: the decay joins the direction."""
    for past in _past(grads):
        theta = theta - lr * (direction(past, **adam) + weight_decay * theta)
        yield theta


def bitsandbytes_adamw(
    theta: Floats, grads: Floats, *, lr: float = 1e-3, weight_decay: float = 0.01, **adam: float
) -> Path:
    """The CUDA kernels of bitsandbytes: move, then decay."""
    for past in _past(grads):
        theta = theta - lr * direction(past, **adam)
        theta = theta - lr * weight_decay * theta
        yield theta


def paper_adamw(
    theta: Floats,
    grads: Floats,
    *,
    step_size: float = 1e-3,
    weight_decay: float = 0.01,
    schedule: Any = 1.0,
    **adam: float,
) -> Path:
    """Loshchilov & Hutter 2019, Algorithm 2, line 12."""
    for k, past in enumerate(_past(grads)):
        theta = theta - _at(schedule, k) * (step_size * direction(past, **adam) + weight_decay * theta)
        yield theta


# The table ------------------------------------------------------------------------------------------------------------

COSINE = tuple((1 + np.cos(np.linspace(0, np.pi, STEPS))) / 2)
DROP = (0.1,) * 7 + (0.01,) * (STEPS - 7)
ADAM: tuple[Numbers, ...] = (
    {},
    {"lr": 0.1, "beta1": 0.5, "beta2": 0.9},
    {"lr": 3e-4, "beta1": 0.0, "beta2": 0.99, "eps": 1e-3},
)
EPS = tuple({"eps": 1e-8, **setting} for setting in ADAM)
DECAY = tuple({**setting, "weight_decay": decay} for setting, decay in zip(ADAM, (0.01, 0.3, 0.0), strict=True))
RMSPROP: tuple[Numbers, ...] = ({}, {"lr": 1e-3, "alpha": 0.9, "eps": 1e-4}, {"lr": 0.1, "alpha": 0.5})
MOMENTUM = tuple({**setting, "momentum": value} for setting, value in zip(RMSPROP, (0.9, 0.5, 0.0), strict=True))
SGDM: tuple[Numbers, ...] = ({"lr": 0.01, "momentum": 0.9}, {"lr": 0.3, "momentum": 0.5})
DAMPED: tuple[Numbers, ...] = (
    *SGDM,
    {"lr": 0.3, "momentum": 0.5, "dampening": 0.25},
    {"lr": 0.1, "momentum": 0.99, "dampening": 0.99},
)
L2: tuple[Numbers, ...] = ({"lr": 0.01, "weight_decay": 0.01}, {"lr": 0.5, "weight_decay": 0.3})
START = {"initial_accumulator": "initial_accumulator_value"}


def _torch(name: str, kind: str, settings: tuple[Numbers, ...], *, options: str = "", **details: Any) -> Opinion:
    whose = f"torch.optim.{kind}{options}"
    return Opinion(name, whose, torch_optim(kind), settings, needs="torch", **details)


TABLE: tuple[Opinion, ...] = (
    _torch("sgd", "SGD", ({"lr": 0.01}, {"lr": 1.0}, {"lr": COSINE})),
    Opinion("sgd", "optax.sgd", optax_sgd, ({}, {"lr": COSINE})),
    Opinion("sgd", "keras SGD", keras_sgd, ({}, {"lr": COSINE})),
    _torch("sgd_l2", "SGD", L2, options="(weight_decay)"),
    Opinion("sgd_l2", "optax.add_decayed_weights, sgd", optax_sgd, L2),
    _torch("sgdm", "SGD", DAMPED, options="(momentum, dampening)"),
    Opinion("sgdm", "optax.sgd(momentum)", optax_sgd, SGDM),
    Opinion("sgdm", "keras SGD(momentum)", keras_sgd, SGDM),
    Opinion(
        "sgdm",
        "keras SGD(momentum), lr falls",
        keras_sgd,
        ({"lr": DROP, "momentum": 0.9},),
        differs=(0.15, 3),
        why="the learning rate is inside the momentum, and a new one acts on new gradients only",
    ),
    Opinion(
        "sgdm",
        "mlx SGD(momentum, dampening)",
        mlx_sgd,
        ({"momentum": 0.9, "dampening": 0.1},),
        differs=(0.01, 0.2),
        why="the first gradient is dampened too",
    ),
    Opinion("sgdm_lecture", "Polyak 1964", polyak, ({}, {"lr": COSINE, "momentum": 0.5})),
    Opinion("sgdm_lecture", "keras SGD(momentum)", keras_sgd, (*SGDM, {"lr": COSINE, "momentum": 0.9})),
    _torch("sgdm_lecture", "SGD", SGDM, options="(momentum)"),
    _torch(
        "sgdm_lecture",
        "SGD",
        ({"lr": DROP, "momentum": 0.9},),
        options="(momentum), lr falls",
        differs=(0.15, 3),
        why="the learning rate multiplies the momentum, and a new one acts on old gradients too",
    ),
    Opinion("sgdm_ema", "optax.ema", ema_sgd, ({}, {"lr": 0.1, "beta1": 0.0})),
    _torch(
        "sgdm_ema",
        "SGD",
        ({"beta1": 0.9},),
        options="(momentum=.9, dampening=.9)",
        renamed={"beta1": "momentum"},
        extra={"dampening": 0.9, "lr": 1e-2},
        differs=(1, 8),
        why="the first gradient is not dampened",
    ),
    _torch("adagrad", "Adagrad", ({}, {"lr": 1.0, "lr_decay": 1.0}, {"eps": 1e-2})),
    _torch(
        "adagrad",
        "Adagrad",
        ({"lr": 0.1, "lr_decay": 0.05, "initial_accumulator": 0.1},),
        options="(initial_accumulator_value)",
        renamed=START,
    ),
    Opinion("adagrad", "mlx, bitsandbytes Adagrad", adagrad, ({"eps": 1e-10}, {"lr": 1.0, "eps": 1e-2})),
    Opinion(
        "adagrad",
        "keras Adagrad, optax.adagrad, our constants",
        keras_adagrad,
        ({"eps": 1e-10, "initial_accumulator": 0},),
        differs=(0.5, 1.1),
        why="eps is inside the root",
    ),
    Opinion(
        "adagrad",
        "keras Adagrad, optax.adagrad, their defaults",
        keras_adagrad,
        differs=(0.7, 1.1),
        why="the sum starts at 0.1, and eps = 1e-7 is inside the root",
    ),
    Opinion("adagrad_lecture", "Duchi et al. 2011", adagrad, ({}, {"lr": 1.0})),
    _torch("rmsprop", "RMSprop", RMSPROP),
    Opinion("rmsprop", "optax.rmsprop(eps_in_sqrt=False)", rmsprop, RMSPROP),
    Opinion(
        "rmsprop",
        "optax.rmsprop, keras RMSprop",
        rmsprop,
        extra={"eps_in_root": True},
        differs=(0.5, 1.1),
        why="eps is inside the root",
    ),
    Opinion(
        "rmsprop",
        "timm RMSpropTF",
        rmsprop,
        extra={"eps_in_root": True, "start": 1.0},
        differs=(0.7, 1.1),
        why="v starts at 1, and eps is inside the root",
    ),
    _torch("rmsprop_momentum", "RMSprop", MOMENTUM[1:], options="(momentum)"),
    Opinion("rmsprop_momentum", "optax.rmsprop(momentum, eps_in_sqrt=False)", rmsprop, MOMENTUM),
    Opinion(
        "rmsprop_momentum",
        "optax.rmsprop(momentum), keras RMSprop(momentum)",
        rmsprop,
        ({"momentum": 0.9},),
        extra={"eps_in_root": True},
        differs=(0.5, 1.1),
        why="eps is inside the root",
    ),
    _torch("rmsprop_centered", "RMSprop", RMSPROP, options="(centered)", extra={"centered": True}),
    Opinion(
        "rmsprop_centered",
        "optax.rmsprop(centered, eps_in_sqrt=False)",
        rmsprop,
        RMSPROP,
        extra={"centered": True},
    ),
    Opinion(
        "rmsprop_centered",
        "optax.rmsprop(centered), keras RMSprop(centered)",
        rmsprop,
        extra={"centered": True, "eps_in_root": True},
        differs=(0.5, 1.1),
        why="eps is inside the root",
    ),
    _torch(
        "rmsprop_centered_momentum",
        "RMSprop",
        MOMENTUM[1:],
        options="(centered, momentum)",
        extra={"centered": True},
    ),
    Opinion(
        "rmsprop_centered_momentum",
        "optax.rmsprop(centered, momentum, eps_in_sqrt=False)",
        rmsprop,
        MOMENTUM[1:],
        extra={"centered": True},
    ),
    Opinion("rmsprop_lecture", "Hinton 2012", hinton, ({}, {"lr": 1.0, "alpha": 0.5})),
    _torch(
        "rmsprop_lecture",
        "RMSprop",
        ({"lr": 1e-2},),
        differs=(0.5, 20),
        why="v starts at 0, so that the first steps are ten times as long",
    ),
    _torch("adam", "Adam", ADAM),
    Opinion("adam", "optax.adam", optax_adam, ADAM),
    Opinion(
        "adam", "keras Adam", keras_adam, ({"eps": 1e-8},), differs=(0.2, 0.7), why="eps is added before correction"
    ),
    Opinion("adam", "mlx Adam", mlx_adam, differs=(2, 8), why="there is no bias correction"),
    Opinion("adam_lecture", "optax.adam(eps=0, eps_root)", optax_adam, EPS, {"eps": 0.0}, {"eps": "eps_root"}),
    _torch("adam_lecture", "Adam", ({},), differs=(0.5, 1.1), why="eps is outside the root"),
    Opinion("adam_eps_hat", "keras Adam", keras_adam, ADAM),
    _torch("adam_eps_hat", "Adam", ({"eps": 1e-8},), differs=(0.2, 1.2), why="eps is added after the bias correction"),
    _torch("adam_l2", "Adam", DECAY, options="(weight_decay)"),
    _torch(
        "adam_l2",
        "AdamW",
        ({"weight_decay": 0.1},),
        differs=(0.5, 4),
        why="the decay does not pass through the moments",
    ),
    _torch("adamw", "AdamW", DECAY),
    Opinion("adamw", "optax.adamw", optax_adamw, DECAY),
    Opinion(
        "adamw",
        "keras AdamW",
        keras_adam,
        ({"weight_decay": 0.1, "eps": 1e-8},),
        differs=(0.2, 0.7),
        why="eps is added before correction",
    ),
    _torch(
        "adamw",
        "Adam",
        ({"weight_decay": 0.1},),
        options="(weight_decay)",
        differs=(0.5, 4),
        why="the decay passes through the moments",
    ),
    Opinion(
        "adamw",
        "bitsandbytes AdamW on CUDA",
        bitsandbytes_adamw,
        ({"lr": 0.1, "weight_decay": 0.1},),
        differs=(1e-3, 0.1),
        why="what has moved decays too",
    ),
    Opinion("adamw_inside", "optax.adamw, apex FusedAdam", optax_adamw, DECAY),
    _torch("adamw_inside", "AdamW", DECAY),
    Opinion("adamw_after", "bitsandbytes AdamW on CUDA", bitsandbytes_adamw, DECAY),
    _torch(
        "adamw_after",
        "AdamW",
        ({"lr": 0.1, "weight_decay": 0.1},),
        differs=(1e-3, 0.1),
        why="only what was there before the step decays",
    ),
    Opinion(
        "adamw_schedule",
        "Loshchilov & Hutter 2019",
        paper_adamw,
        ({}, {"step_size": 0.1, "schedule": COSINE, "weight_decay": 0.3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3}),
    ),
    _torch(
        "adamw_schedule",
        "AdamW",
        ({"step_size": 1e-3, "weight_decay": 1e-2},),
        renamed={"step_size": "lr"},
        differs=(0.3, 30),
        why="the decay is multiplied by the learning rate",
    ),
)
"""Every opinion."""
