"""Functions from an optimizer to an optimizer; see `optgen.language.combinators`."""

from optgen.language.combinators import (
    accumulate,
    amsgrad,
    cautious,
    centralized,
    clip_global_norm,
    clip_unit_norm,
    clip_value,
    decoupled_decay,
    ema,
    gradient_noise,
    l2,
    lookahead,
    nesterov,
    scheduled,
    skip_nonfinite,
)

__all__ = [
    "accumulate",
    "amsgrad",
    "cautious",
    "centralized",
    "clip_global_norm",
    "clip_unit_norm",
    "clip_value",
    "decoupled_decay",
    "ema",
    "gradient_noise",
    "l2",
    "lookahead",
    "nesterov",
    "scheduled",
    "skip_nonfinite",
]
