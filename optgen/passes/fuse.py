"""fuse: a product that is added becomes one operation with its sum, which rounds once.

LLVM would do so too, but as it likes: in one way in a packed loop and in another in the few elements after it, and
across the names that a spec gives to what it wants rounded. Here it is decided once: each term of a sum that is a
product without a division is fused with what stands before it, and the first with the second. A product that has a name
is rounded to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sympy import Expr, Mul, Pow, S

from optgen.ir import Equation, Kernel, Sweep, Temporary, fma, fresh
from optgen.language import order
from optgen.language.graph import nodes, rebuilt
from optgen.language.sums import InOrder, negated

MOST_TERMS = 20
"""So many terms are one expression, each inside the next."""


def fuse(kernel: Kernel) -> Kernel:
    """The kernel with every product that an element adds fused with the sum."""
    return kernel.map_sweeps(lambda sweep: _fused(sweep, fresh("x", kernel.names)))


def _fused(sweep: Sweep, free: Iterator[str]) -> Sweep:
    if sweep.is_small:
        return sweep
    body: list[Equation] = []
    for assign in sweep.body:
        made: dict[int, Any] = {}
        for node in nodes(assign.value):
            new = rebuilt(node, [made[id(argument)] for argument in node.args])
            if isinstance(new, InOrder):
                *parts, new = _sums(order.terms(new), free)
                body += parts
            made[id(node)] = new
        body.append(replace(assign, value=made[id(assign.value)]))
    return replace(sweep, body=tuple(body))


def _sums(terms: list[Expr], free: Iterator[str]) -> Iterator[Any]:
    """A sum, from left to right, after the assignments of what it is of too many terms at once for Python to read."""
    first, second, *others = terms
    if _halves(first):
        first, second = second, first
    total = first
    for number, term in enumerate((second, *others), start=1):
        halves = _halves(term)
        total = fma(*halves, total) if halves else InOrder(total, term)
        if number % MOST_TERMS == 0 and number < len(terms) - 1:
            part = Equation(Temporary(next(free)), total)
            yield part
            total = part.target
    yield total


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
