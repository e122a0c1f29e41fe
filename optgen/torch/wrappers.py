"""What options of torch's optimizers wrap around a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optgen.language.combinators.gradients import l2
from optgen.language.combinators.handed import with_gradient
from optgen.language.combinators.parameters import decoupled_decay
from optgen.language.spec import Optimizer
from optgen.language.symbols import g


def ascending(optimizer: Optimizer) -> Optimizer:
    """Go up the gradient: what torch calls ``maximize``."""
    words = ("ascending", "Ascending", "the gradient is followed upwards.")
    return with_gradient(optimizer, "g_up", -g, words, {})


WRAPPERS: Mapping[str, Callable[[Optimizer], Optimizer]] = {
    "l2": l2,
    "decoupled_decay": decoupled_decay,
    "ascending": ascending,
}
"""By the names that `optgen.torch.families` knows them by."""
