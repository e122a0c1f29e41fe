"""What an opinion is, and what implementations of others are made of.

An `Opinion` says of one optimizer whose implementation is asked, holds that implementation as a function, and settings
in the words of both sides. PyTorch's and optax's are these libraries themselves, where they are installed; those of
others are written out in NumPy from their sources. Where moving averages can be summed up from all gradients they are,
since the kernels update them from one step to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 100
"""How many steps those who agree agree for."""
SHAPES: tuple[tuple[int, ...], ...] = ((), (7,), (3, 5), (1001,))
"""The tensors that they agree on, in this order, unless an opinion has others."""
STACKS = (*SHAPES, (2, 3, 5), (2, 1, 4, 6))
"""For rules that tell rows and columns from each other: also stacks of matrices."""

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
    slot : str
        What is compared: theta, or a state that has this name on both sides.
    shapes : tuple
        The tensors that both are asked about.
    whole : bool
        Whether the function is handed the whole model, lists with an array a tensor, and gives such lists: for rules
        that look at all tensors at once.
    spoiled : callable, optional
        What makes of good gradients, a list with an array a tensor, the ones that both sides are handed.
    """

    name: str
    whose: str
    function: Callable[..., Iterator[Any]]
    settings: tuple[Numbers, ...] = ({},)
    extra: Numbers = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[float, float] | None = None
    why: str = ""
    needs: str = ""
    slot: str = "theta"
    shapes: tuple[tuple[int, ...], ...] = SHAPES
    whole: bool = False
    spoiled: Callable[[list[Floats]], list[Floats]] | None = None

    def theirs(self, setting: Numbers) -> dict[str, Any]:
        """A setting in their words."""
        return {**{self.renamed.get(name, name): value for name, value in setting.items()}, **self.extra}


def at(value: Any, k: int) -> float:
    """A hyperparameter at a step, 0 the first."""
    return float(_at(value, k))


def _at(value: Any, k: int) -> Any:
    return value[k] if isinstance(value, tuple) else value


# Libraries that are asked themselves. They walk the whole path at once: both have a precision that is set for all, and
# it must be what it was before anybody else goes on.


def torch_optim(
    kind: str, slot: str = "theta", after: Callable[[int, Floats, Any], None] | None = None
) -> Callable[..., Path]:
    """An optimizer of torch.optim as a function; hyperparameters that vary are set before each step.

    ``after`` is called after each with its number, 0 the first, the parameters and the state, both of which it may
    change in place.
    """

    def path(theta: Floats, grads: Floats, **hypers: Any) -> Path:
        torch = import_module("torch")  # an optional extra
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # in which it keeps scalars, ASGD's eta and NAdam's product of momenta
        try:
            tensor = torch.tensor(theta, dtype=torch.float64)
            optimizer = getattr(torch.optim, kind)([tensor], **_torch_words(hypers, 0))
            points = []
            for k, grad in enumerate(grads):
                optimizer.param_groups[0].update(_torch_words(hypers, k))
                tensor.grad = torch.tensor(grad, dtype=torch.float64)
                optimizer.step()
                if after is not None:
                    after(k, tensor.numpy(), optimizer.state[tensor])
                points.append((tensor if slot == "theta" else optimizer.state[tensor][slot]).numpy().copy())
        finally:
            torch.set_default_dtype(usual)
        return iter(points)

    return path


_PAIRS: dict[str, dict[str, float | None]] = {
    "betas": {"beta1": 0.9, "beta2": 0.999},
    "etas": {"eta_minus": 0.5, "eta_plus": 1.2},
    "step_sizes": {"min_step_size": 1e-6, "max_step_size": 50.0},
    "eps": {"eps1": None, "eps2": 1e-3},
}


def _torch_words(hypers: Numbers, k: int) -> dict[str, Any]:
    """Hyperparameters at a step; torch wants pairs of some."""
    words = {name: _at(value, k) for name, value in hypers.items()}
    for name, pair in _PAIRS.items():
        if pair.keys() & words.keys():
            words[name] = tuple(words.pop(one, default) for one, default in pair.items())
    return words


def torch(
    name: str, kind: str, settings: tuple[Numbers, ...], *, options: str = "", slot: str = "theta", **details: Any
) -> Opinion:
    """The opinion of an optimizer of torch.optim."""
    whose = f"torch.optim.{kind}{options}"
    return Opinion(name, whose, torch_optim(kind, slot), settings, needs="torch", slot=slot, **details)


SOON = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""What JAX compiles runs a hundred times on few numbers, so compiling it is what takes time."""


def optax_path(make: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """What a function of the package ``optax`` and hyperparameters returns, as a function of gradients.

    A hyperparameter that varies is handed over as a function of optax's count, which is 0 at the first step. A model
    may be handed over whole.
    """

    def path(theta: Any, grads: Any, **hypers: Any) -> Iterator[Any]:
        jax, optax = import_module("jax"), import_module("optax")  # optional extras
        points = []
        with jax.enable_x64(True):  # noqa: FBT003 - JAX has no other way
            numpy = jax.numpy
            words = {n: numpy.asarray(v).__getitem__ if isinstance(v, tuple) else v for n, v in hypers.items()}
            transform = make(optax, **words)
            each = jax.tree.map
            params = each(lambda x: numpy.asarray(x, numpy.float64), theta)
            state = transform.init(params)

            @partial(jax.jit, compiler_options=SOON)
            def step(params: Any, state: Any, grads: Any) -> Any:
                updates, state = transform.update(grads, state, params)
                return optax.apply_updates(params, updates), state

            for k in range(len(jax.tree.leaves(grads)[0])):
                params, state = step(params, state, each(lambda x, k=k: np.asarray(x[k], np.float64), grads))
                points.append(each(np.array, params))
        return iter(points)

    return path


def optax(
    name: str, make: Callable[..., Any], whose: str, settings: tuple[Numbers, ...] = ({},), **details: Any
) -> Opinion:
    """The opinion of optax: ``make(optax, **hypers)`` returns a gradient transformation of all tensors."""
    how = {"whole": True, **details}  # JAX compiles a step for all of them in little more time than for one
    return Opinion(name, f"optax.{whose}", optax_path(make), settings, needs="optax", **how)


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


def past_gradients(grads: Floats) -> Iterator[Floats]:
    """The gradients up to each step."""
    return (grads[:t] for t in range(1, len(grads) + 1))
