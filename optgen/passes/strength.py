"""strength: powers become products.

``x**3`` is printed as ``x*x*x``, which is exact work for every type where ``**`` is a call; a base that is more than a
name gets one first, so that it is computed once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sympy import Expr, Pow, S

from optgen.ir import Equation, Kernel, Sweep, Temporary, fresh
from optgen.language.graph import nodes, rebuilt
from optgen.passes.hoist import is_product_power


def strength(kernel: Kernel) -> Kernel:
    """The kernel with a name for every base of a power that will be written as a product."""
    return kernel.map_sweeps(lambda sweep: replace(sweep, body=_reduced(sweep, kernel.names)))


def _reduced(sweep: Sweep, used: frozenset[str]) -> tuple[Equation, ...]:
    if sweep.is_reduced:  # float64 code, where `**` is no matter
        return sweep.body
    free = fresh("x", used)
    names: dict[Expr, Temporary] = {}
    body: list[Equation] = []
    for assign in sweep.body:
        made: dict[int, Any] = {}
        for node in nodes(assign.value):
            new = rebuilt(node, [made[id(argument)] for argument in node.args])
            if _needs_name(new):
                if new.base not in names:
                    names[new.base] = Temporary(next(free))
                    body.append(Equation(names[new.base], new.base))
                new = Pow(names[new.base], new.exp)
            made[id(node)] = new
        body.append(replace(assign, value=made[id(assign.value)]))
    return tuple(body)


def _needs_name(node: Expr) -> bool:
    return (
        isinstance(node, Pow)
        and not node.base.is_Symbol
        and is_product_power(node.exp)
        and abs(node.exp) not in (S.Half, S.One)
    )
