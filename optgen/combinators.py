"""Functions from an optimizer to an optimizer; see `optgen.language.combinators`."""

from optgen.language.combinators.gradients import (
    centralized,
    clip_global_norm,
    clip_unit_norm,
    clip_value,
    gradient_noise,
    l2,
)
from optgen.language.combinators.hyperparameters import scheduled
from optgen.language.combinators.moments import amsgrad, nesterov
from optgen.language.combinators.parameters import cautious, decoupled_decay, ema, lookahead
from optgen.language.combinators.steps import accumulate, skip_nonfinite

__all__ = [
    "accumulate", "amsgrad", "cautious", "centralized", "clip_global_norm", "clip_unit_norm", "clip_value",
    "decoupled_decay", "ema", "gradient_noise", "l2", "lookahead", "nesterov", "scheduled", "skip_nonfinite",
]  # fmt: skip
