"""Powers that are products of a number and of its roots, which every machine rounds alike, where a power is a call."""

from __future__ import annotations

from sympy import Expr

DEEPEST = 3
"""How often in a row a root is taken at most: that of a root of a root is an eighth power."""


def roots(exponent: Expr) -> tuple[int, ...] | None:
    """How often in a row roots are taken for each factor that is no whole one: 1 and 2 times for ``x**(3/4)``.

    None where products and roots do not make the power.
    """
    if not (exponent.is_Rational and (2**DEEPEST * exponent).is_Integer):
        return None
    rest = int(2**DEEPEST * abs(exponent)) % 2**DEEPEST  # in eighths
    return tuple(depth for depth in range(1, DEEPEST + 1) if rest & 2 ** (DEEPEST - depth))
