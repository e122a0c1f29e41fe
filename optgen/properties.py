"""The claims that a spec can carry; see `optgen.language.properties`."""

from optgen.language.properties import (
    Bounded,
    ConstantGradient,
    EqualTo,
    Equivalent,
    FirstTrue,
    Independent,
    Invariant,
    Limit,
    Monotone,
    Movements,
    NotAlways,
)

__all__ = [
    "Bounded", "ConstantGradient", "EqualTo", "Equivalent", "FirstTrue", "Independent", "Invariant", "Limit",
    "Monotone", "Movements", "NotAlways",
]  # fmt: skip
