"""cse: a subexpression that occurs more than once is computed once and named ``x0``, ``x1`` and so on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count

from sympy import Expr

from optgen.ir import Assign, Kernel, Sweep, Temporary
from optgen.language.order import walk


def cse(kernel: Kernel) -> Kernel:
    """The kernel with no two equal computations in a sweep or among its scalars."""

    def shared(sweep: Sweep) -> Sweep:
        return replace(sweep, body=_shared(sweep.body))

    return replace(kernel.map_sweeps(shared), scalars=_shared(kernel.scalars))


def _shared(body: tuple[Assign, ...]) -> tuple[Assign, ...]:
    numbers = count()
    while (repeated := _most_worthwhile(body)) is not None:
        named = next((assign.target for assign in body if assign.value == repeated), None)
        if named is None:
            named = Temporary(f"x{next(numbers)}")
            first = next(k for k, assign in enumerate(body) if repeated in walk(assign.value))
            body = (*body[:first], Assign(named, repeated), *body[first:])
        known = {repeated: named, 1 / repeated: 1 / named}
        body = tuple(a if a.target == named else replace(a, value=a.value.xreplace(known)) for a in body)
    return body


def _most_worthwhile(body: tuple[Assign, ...]) -> Expr | None:
    """The largest expression that occurs twice and costs more than one operation; `walk` sees divisors as they are."""
    nodes = Counter(node for assign in body for node in walk(assign.value) if isinstance(node, Expr))
    repeated = [node for node, times in nodes.items() if times > 1 and node.count_ops() > 1]
    return max(repeated, key=lambda node: (node.count_ops(), node.sort_key()), default=None)
