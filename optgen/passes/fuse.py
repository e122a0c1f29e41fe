"""fuse: a product that is added becomes one operation with its sum, which rounds once.

Compilers would do so too, but as they like: LLVM in one way in a packed loop and in another in the few elements after
it, NVIDIA's, which cannot be told not to, wherever a product meets a sum. Here it is decided once: each term of a sum
that is a product without a division is fused with what stands before it, and the first with the second. A product that
has a name is rounded to it; where it is added, it is written as `times`, which no compiler fuses with anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sympy import Add, Expr, Mul, Pow

from optgen.ir import Equation, Kernel, Sweep, Temporary, fma, fresh, times
from optgen.language import order
from optgen.language.graph import nodes, rebuilt
from optgen.language.sums import InOrder

MOST_TERMS = 20
"""So many terms are one expression, each inside the next."""


def fuse(kernel: Kernel) -> Kernel:
    """The kernel with every product that is added fused with the sum."""
    return kernel.map_sweeps(lambda sweep: _fused(sweep, fresh("x", kernel.names)))


def _fused(sweep: Sweep, free: Iterator[str]) -> Sweep:
    body: list[Equation] = []
    for assign in sweep.body:
        made: dict[int, Any] = {}
        for node in nodes(assign.value):
            new = rebuilt(node, [made[id(argument)] for argument in node.args])
            if isinstance(new, Add | InOrder):
                *parts, new = _sums(order.terms(new), free)
                body += parts
            made[id(node)] = new
        body.append(replace(assign, value=made[id(assign.value)]))
    added = {term for _, term in named_products(replace(sweep, body=tuple(body)))}
    return replace(
        sweep,
        body=tuple(
            replace(each, value=times(*halves(each.value) or ())) if each.target in added else each for each in body
        ),
    )


def named_products(sweep: Sweep) -> Iterator[tuple[Any, Expr]]:
    """The sums and totals of a sweep that add a product by its name, each with that name."""
    products = {assign.target for assign in sweep.body if halves(assign.value)}
    sums = (node for assign in sweep.body for node in order.walk(assign.value))
    for node in (node for node in sums if isinstance(node, Add | InOrder)):
        yield from ((node, name) for name in map(_unsigned, node.args) if name in products)
    for reduce in sweep.reduces:
        yield from ((reduce, name) for name in reduce.factors if len(reduce.factors) == 1 and name in products)


def _unsigned(term: Expr) -> Expr:
    """What is added or taken away."""
    coefficient, above, below = order.factors(term)
    return above[0] if abs(coefficient) == 1 and len(above) == 1 and not below else term


def _sums(terms: order.Parts, free: Iterator[str]) -> Iterator[Any]:
    """A sum, from left to right, after the assignments of what it is of too many terms at once for Python to read."""
    first, second, *others = terms
    if halves(first):
        first, second = second, first
    total = first
    for number, term in enumerate((second, *others), start=1):
        found = halves(term)
        total = fma(*found, total) if found else InOrder(total, term)
        if number % MOST_TERMS == 0 and number < len(terms) - 1:
            part = Equation(Temporary(next(free)), total)
            yield part
            total = part.target
    yield total


def halves(term: Expr) -> tuple[Expr, Expr] | None:
    """A product as two factors, all but the last and the last; None for what is none."""
    coefficient, above, below = order.factors(term)
    if below or not above or not coefficient.is_Integer:
        return None
    *others, last = above if len(above) > 1 else _powers(above[0])
    if not others and abs(coefficient) == 1:
        return None
    return Mul(coefficient, *others), last


def _powers(factor: Expr) -> list[Expr]:
    """A whole power as one that is smaller by one, and its base."""
    if isinstance(factor, Pow) and factor.exp.is_Integer and factor.exp > 1:
        return [Pow(factor.base, factor.exp - 1), factor.base]
    return [factor]
