"""fuse: a product that is added becomes one operation with its sum, which rounds once.

LLVM would do so too, but as it likes: in one way in a packed loop and in another in the few elements after it, and
across the names that a spec gives to what it wants rounded. Here it is decided once: each term of a sum that is a
product without a division is fused with what stands before it, and the first with the second. A product that has a name
is rounded to it.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Expr, Mul, Pow, S

from optgen.ir import Assign, Kernel, Sweep, fma
from optgen.language import order
from optgen.language.sums import InOrder, negated


def fuse(kernel: Kernel) -> Kernel:
    """The kernel with every product that an element adds fused with the sum."""
    return kernel.map_sweeps(_fused)


def _fused(sweep: Sweep) -> Sweep:
    if sweep.is_small:
        return sweep
    return replace(sweep, body=tuple(_of(assign) for assign in sweep.body))


def _of(assign: Assign) -> Assign:
    value = assign.value.replace(lambda node: isinstance(node, InOrder), lambda node: _sum(order.terms(node)))
    return replace(assign, value=value)


def _sum(terms: list[Expr]) -> Expr:
    """A sum, from left to right."""
    first, second, *others = terms
    if _halves(first):
        first, second = second, first
    total = first
    for term in (second, *others):
        halves = _halves(term)
        total = fma(*halves, total) if halves else InOrder(total, term)
    return total


def _halves(term: Expr) -> tuple[Expr, Expr] | None:
    """A product as two factors, all but the last and the last; None for what is none."""
    coefficient, above, below = order.factors(term)
    if below or abs(coefficient) != 1:
        return None
    *others, last = above if len(above) > 1 else _powers(above[0])
    if not others:
        return None
    size = Mul(*others)
    return (size if coefficient is S.One else negated(size)), last


def _powers(factor: Expr) -> list[Expr]:
    """A whole power as one that is smaller by one, and its base."""
    if isinstance(factor, Pow) and factor.exp.is_Integer and factor.exp > 1:
        return [Pow(factor.base, factor.exp - 1), factor.base]
    return [factor]
