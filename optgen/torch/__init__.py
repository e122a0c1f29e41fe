"""Every rule as an optimizer of PyTorch: ``from optgen.torch import RAdam``, in place of ``from torch.optim``.

There is a class for each module that comes with optgen, and for each optimizer of torch.optim that follows one of these
rules; `optimizer` makes one of any other rule. Each is a `torch.optim.Optimizer`: groups, schedulers, hooks and state
dicts are torch's, and what they say is computed by one launch of a fused kernel for all parameters.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from optgen.torch.base import TorchOptimizer
from optgen.torch.classes import class_named, class_of, no_such_class, titles
from optgen.torch.offload import offload
from optgen.torch.release import release_gradients

if TYPE_CHECKING:
    from optgen.language.spec import Optimizer

__all__ = ["TorchOptimizer", "offload", "optimizer", "release_gradients"]


def __getattr__(name: str) -> type[TorchOptimizer]:
    found = None if name.startswith("_") else class_named(name)
    if found is None:
        raise AttributeError(no_such_class(name))
    return found


def __dir__() -> list[str]:
    return [*__all__, *titles()]


def optimizer(rule: Optimizer | ModuleType | str) -> type[TorchOptimizer]:
    """The class of a rule.

    Parameters
    ----------
    rule : Optimizer, module or str
        The rule as a spec has it, which is compiled; a module that `optgen build` has written or ``optgen.compile`` has
        made; or the name of one that comes with optgen, ``"lookahead_adamw"`` say.

    Returns
    -------
    type
        A class like those of this package. For ``maximize=True``, and for tensors on another device than a module is
        for, it takes the rule as a spec has it.

    Raises
    ------
    TypeError, UsageError
        If it is none of these.
    SpecError
        If the rule uses what cannot be compiled.
    """
    return class_of(rule)
