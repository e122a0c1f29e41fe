"""signs: what is compared with 0 is compared by the signs of its factors.

A product of small numbers can be 0 where the author's, ``g*m > 0``, is not; so can a square, and two squares are
compared by what is squared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sympy import Abs, Mul, Pow, S, sign
from sympy.core.relational import Relational

from optgen.ir import Kernel, Sweep
from optgen.language.signs import sign_of


def signs(kernel: Kernel) -> Kernel:
    """The kernel with no product in its sweeps of which only the sign is asked."""
    return kernel.map_sweeps(_by_signs)


def _by_signs(sweep: Sweep) -> Sweep:
    def settled(value: Any) -> Any:
        of_products = value.replace(
            lambda node: isinstance(node, sign) and _is_product(node.args[0]), lambda node: sign_of(node.args[0])
        )
        return of_products.replace(lambda node: isinstance(node, Relational), _compared)

    return replace(sweep, body=tuple(replace(assign, value=settled(assign.value)) for assign in sweep.body))


def _compared(node: Any) -> Any:
    """A comparison of a product with 0 by its signs, and of two squares by what is squared."""
    left, right = node.args
    if left == S.Zero and _is_product(right):
        return node.func(left, sign_of(right), evaluate=False)
    if right == S.Zero and _is_product(left):
        return node.func(sign_of(left), right, evaluate=False)
    if all(isinstance(side, Pow) and side.exp == 2 for side in node.args):  # noqa: PLR2004 - a square
        return node.func(Abs(left.base), Abs(right.base), evaluate=False)
    return node


def _is_product(value: Any) -> bool:
    """Whether more than one number is multiplied, beside signs."""
    parts = [part for part in Mul.make_args(value) if not part.is_number and not isinstance(part, sign)]
    powers = any(isinstance(part, Pow) and part.exp.is_Integer and part.exp > 1 for part in parts)
    return len(parts) > 1 or powers
