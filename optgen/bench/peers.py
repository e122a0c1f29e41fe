"""Optimizers of others that follow the same rule: PyTorch's, optax's and DeepSpeed's, each where it is installed.

What they are called and how they spell hyperparameters is written down here; the numbers are those of our optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from optgen.runtime.core.program import Array

Hypers = Mapping[str, float]


@dataclass(frozen=True)
class Contender:
    """Somebody who takes steps."""

    name: str  # who
    step: Callable[[], None]  # takes one, to its end
    params: Callable[[], list[Array]] | None = None  # what the parameters are now; None if there are none


@dataclass(frozen=True)
class Theirs:
    """What a library has for a rule."""

    name: str  # the class or function
    options: Mapping[str, Any] = field(default_factory=dict)  # what it is told beside hyperparameters
    # Its words for our hyperparameters, where they differ; empty for those that it is not told
    renamed: Mapping[str, str] = field(default_factory=dict)

    def words(self, hypers: Hypers, usual: Mapping[str, str]) -> dict[str, Any]:
        """Hyperparameters in its words."""
        names = {**usual, **self.renamed}
        told = {names.get(name, name): value for name, value in hypers.items()}
        return {**{name: value for name, value in told.items() if name}, **self.options}


_START = {"initial_accumulator": "initial_accumulator_value"}
TORCH: dict[str, Theirs] = {
    **dict.fromkeys(("sgd", "sgd_l2", "sgdm", "sgdm_l2_library"), Theirs("SGD")),
    **dict.fromkeys(("nag", "nesterov_sgdm"), Theirs("SGD", {"nesterov": True})),
    **dict.fromkeys(("adam", "adam_l2"), Theirs("Adam")),
    **dict.fromkeys(("adamw", "adamw_inside"), Theirs("AdamW")),
    **dict.fromkeys(("clip_global_norm_adamw", "ema_adamw", "ema_clip_global_norm_adamw"), Theirs("AdamW")),
    "amsgrad": Theirs("Adam", {"amsgrad": True}),
    "amsgrad_adamw": Theirs("AdamW", {"amsgrad": True}),
    "adamax": Theirs("Adamax"),
    "nadam": Theirs("NAdam"),
    "radam": Theirs("RAdam"),
    **dict.fromkeys(("adagrad", "l2_adagrad"), Theirs("Adagrad", renamed=_START)),
    "adadelta": Theirs("Adadelta"),
    **dict.fromkeys(("rmsprop", "rmsprop_momentum"), Theirs("RMSprop")),
    **dict.fromkeys(("rmsprop_centered", "rmsprop_centered_momentum"), Theirs("RMSprop", {"centered": True})),
    "rprop": Theirs("Rprop"),
    "asgd": Theirs("ASGD"),
    "adafactor": Theirs("Adafactor", renamed={"rms_limit": "d"}),
}
"""Classes of torch.optim, by the name of the rule."""
_PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("min_step_size", "max_step_size"),
    "eps": ("eps1", "eps2"),
}
_FUSED = ("Adam", "AdamW", "SGD", "Adagrad")
_OUTSIDE = {"norm_limit": "", "ema_decay": ""}
"""Hyperparameters of what is done before and after a step of PyTorch's."""

_ROOT = {"eps_in_sqrt": False}
OPTAX: dict[str, Theirs] = {
    "sgd": Theirs("sgd"),
    "sgdm": Theirs("sgd", renamed={"dampening": ""}),
    "nag": Theirs("sgd", {"nesterov": True}),
    "nesterov_sgdm": Theirs("sgd", {"nesterov": True}, {"dampening": ""}),
    "adam": Theirs("adam"),
    **dict.fromkeys(("adamw", "adamw_inside"), Theirs("adamw")),
    "adamax": Theirs("adamax"),
    "nadam_dozat": Theirs("nadam"),
    "amsgrad_optax": Theirs("amsgrad"),
    "adabelief": Theirs("adabelief", {"eps_root": 1e-16}),
    "yogi": Theirs("yogi", renamed={"initial_accumulator": ""}),
    "adopt": Theirs("contrib.adopt"),
    "ademamix": Theirs("contrib.ademamix", renamed={"beta3": "b3"}),
    "lion": Theirs("lion"),
    "lamb": Theirs("lamb"),
    "lars": Theirs("lars"),
    "novograd": Theirs("novograd"),
    "fromage": Theirs("fromage", renamed={"norm_min": "min_norm"}),
    "adadelta": Theirs("adadelta"),
    "rmsprop": Theirs("rmsprop", _ROOT, {"alpha": "decay"}),
    "rmsprop_momentum": Theirs("rmsprop", _ROOT, {"alpha": "decay"}),
    "rmsprop_centered": Theirs("rmsprop", {**_ROOT, "centered": True}, {"alpha": "decay"}),
    "rmsprop_centered_momentum": Theirs("rmsprop", {**_ROOT, "centered": True}, {"alpha": "decay"}),
}
"""Functions of optax, by the name of the rule."""

DEEPSPEED = {
    **dict.fromkeys(("adamw", "adamw_inside"), Theirs("DeepSpeedCPUAdam", {"adamw_mode": True})),
    **dict.fromkeys(("adam", "adam_l2"), Theirs("DeepSpeedCPUAdam", {"adamw_mode": False})),
}
"""DeepSpeed's one class, by the name of the rule."""

TABLES = {"torch": TORCH, "optax": OPTAX, "deepspeed": DEEPSPEED}
"""By the library that has them."""
COMPILED = "torch compiled"
LIBRARY = {
    "torch fused": "torch",
    "torch foreach": "torch",
    "torch single": "torch",
    COMPILED: "torch",
    "optax jit": "optax",
    "DeepSpeed": "deepspeed",
}
PEERS = tuple(LIBRARY)
"""Who can take part."""
COMPILE_AT_MOST = {COMPILED: 200, "optax jit": 1000}
"""Tensors beyond which a compiler that writes code for each takes minutes."""


def missing() -> dict[str, str]:
    """Libraries that are not installed, each with what to do about it."""
    needs = {"torch": ("torch",), "optax": ("optax", "jax"), "deepspeed": ("deepspeed", "torch")}
    return {
        library: f"{absent[0]} is not installed: pip install {absent[0]} adds it to the race"
        for library, modules in needs.items()
        if (absent := [module for module in modules if find_spec(module) is None])
    }


def has(peer: str, rule: str) -> bool:
    """Whether a peer follows a rule at all."""
    its = TABLES[LIBRARY[peer]].get(rule)
    return its is not None and (peer != "torch fused" or its.name in _FUSED)


def contender(peer: str, rule: str, hypers: Hypers, params: Sequence[Array], grads: Sequence[Array]) -> Contender:
    """Let a peer take part whose library is installed and has the rule; it copies the parameters."""
    its = TABLES[LIBRARY[peer]][rule]
    if peer == "optax jit":
        return _optax(peer, its, hypers, params, grads)
    tensors = [_tensor(array).clone().requires_grad_() for array in params]
    writes = "norm_limit" in hypers or its.options.get("nesterov")  # clipping does, and so does a step of PyTorch's SGD
    for tensor, gradient in zip(tensors, grads, strict=True):
        tensor.grad = _tensor(gradient.copy() if writes else gradient)
    step = _deepspeed(its, hypers, tensors) if peer == "DeepSpeed" else _torch(peer, its, hypers, tensors)
    return Contender(peer, step, lambda: [_array(tensor, like) for tensor, like in zip(tensors, params, strict=True)])


def _tensor(array: Array) -> Any:
    """A tensor of PyTorch in the memory of an array; of NumPy's dtypes it does not know that of bfloat16."""
    torch = import_module("torch")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _array(tensor: Any, like: Array) -> Array:
    torch = import_module("torch")
    plain = tensor.detach()
    is_known = like.dtype.name != "bfloat16"
    found: Array = plain.numpy() if is_known else plain.view(torch.int16).numpy().view(like.dtype)
    return found


def _torch(peer: str, its: Theirs, hypers: Hypers, tensors: list[Any]) -> Callable[[], None]:
    torch = import_module("torch")
    kind = getattr(torch.optim, its.name)
    words = _paired(its.words(hypers, _OUTSIDE))
    how = {"foreach": peer == "torch foreach"}
    if peer == "torch fused":
        how = {"fused": True}
    step = kind(tensors, **words, **how).step
    if peer == COMPILED:
        torch.compiler.reset()  # else the steps of a ninth optimizer run as they are: all have the same code
        step = torch.compile(step)
    return _surrounded(step, hypers, tensors)


def _paired(words: dict[str, Any]) -> dict[str, Any]:
    """The same in the words of PyTorch, which wants pairs of some."""
    for name, parts in _PAIRS.items():
        if words.keys() >= set(parts):
            words[name] = tuple(words.pop(part) for part in parts)
    return words


def _surrounded(step: Callable[[], None], hypers: Hypers, tensors: list[Any]) -> Callable[[], None]:
    """A step with what PyTorch has functions for: clipping before it, an average of the weights after it."""
    torch = import_module("torch")
    before: list[Callable[[], Any]] = []
    after: list[Callable[[], Any]] = []
    if "norm_limit" in hypers:
        before = [partial(torch.nn.utils.clip_grad_norm_, tensors, hypers["norm_limit"])]
    if "ema_decay" in hypers:
        weights = [tensor.detach() for tensor in tensors]
        averages = [weight.clone() for weight in weights]
        after = [partial(torch._foreach_lerp_, averages, weights, 1 - hypers["ema_decay"])]
    calls = [*before, step, *after]

    def run() -> None:
        for call in calls:
            call()

    return run if len(calls) > 1 else step


def _deepspeed(its: Theirs, hypers: Hypers, tensors: list[Any]) -> Callable[[], None]:
    kind = getattr(import_module("deepspeed.ops.adam"), its.name)
    step: Callable[[], None] = kind(tensors, **_paired(its.words(hypers, {}))).step
    return step


def _optax(peer: str, its: Theirs, hypers: Hypers, params: Sequence[Array], grads: Sequence[Array]) -> Contender:
    """A step under jit, whose buffers are donated, so that it may write where it reads."""
    jax, optax = import_module("jax"), import_module("optax")
    usual = {"lr": "learning_rate", "beta1": "b1", "beta2": "b2"}
    make: Any = optax
    for name in its.name.split("."):
        make = getattr(make, name)
    # JAX has float64 only where it is asked for.
    wide = partial(jax.enable_x64, True) if params[0].dtype == np.float64 else nullcontext  # noqa: FBT003 - its only way
    with wide():
        transform = make(**its.words(hypers, usual))
        weights = [jax.numpy.array(array) for array in params]
        state, gradients = transform.init(weights), [jax.numpy.array(array) for array in grads]

        def update(now: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
            updates, state = transform.update(gradients, state, now)
            return optax.apply_updates(now, updates), state

        compiled = jax.jit(update, donate_argnums=(0, 1))
    held = [weights, state]

    def step() -> None:
        with wide():
            held[:] = compiled(*held, gradients)
            jax.block_until_ready(held[0])

    return Contender(peer, step, lambda: [np.asarray(array) for array in held[0]])
