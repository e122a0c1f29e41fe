"""cse: a subexpression that occurs more than once is computed once and named ``x0``, ``x1`` and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import count

from sympy import Expr, Pow

from optgen.ir import Assign, Kernel, Scalar, Sweep, Temporary
from optgen.language.order import walk
from optgen.language.symbols import Named


def cse(kernel: Kernel) -> Kernel:
    """The kernel with no two equal computations in a sweep or among its scalars."""

    def shared(sweep: Sweep) -> Sweep:
        return replace(sweep, body=_shared(sweep.body, (Temporary(f"x{k}") for k in count())))

    assigned = (*kernel.scalars, *(assign for sweep in kernel.sweeps for assign in sweep.body))
    taken = {assign.target.name for assign in assigned}
    free = (Scalar(f"c{k}") for k in count() if f"c{k}" not in taken)
    return replace(kernel.map_sweeps(shared), scalars=_shared(kernel.scalars, free))


def _shared(body: tuple[Assign, ...], names: Iterator[Named]) -> tuple[Assign, ...]:
    while (repeated := _most_worthwhile(body)) is not None:
        first = next(k for k, assign in enumerate(body) if repeated in walk(assign.value))
        own = next((k for k, assign in enumerate(body) if assign.value == repeated), None)
        assign = Assign(next(names), repeated) if own is None else body[own]
        named = assign.target
        body = (*body[:first], assign, *(other for other in body[first:] if other is not assign))
        known = {repeated: named, Pow(repeated, -1): Pow(named, -1)}
        body = tuple(a if a.target == named else replace(a, value=a.value.xreplace(known)) for a in body)
    return body


def _most_worthwhile(body: tuple[Assign, ...]) -> Expr | None:
    """The largest expression that occurs twice and costs more than one operation; `walk` sees divisors as they are."""
    seen: set[Expr] = set()
    nodes = Counter(node for assign in body for node in walk(assign.value, seen) if isinstance(node, Expr))
    sizes = {node: _operations(node) for node, times in nodes.items() if times > 1}
    repeated = [node for node, size in sizes.items() if size > 1]
    return max(repeated, key=lambda node: (sizes[node], node.sort_key()), default=None)


@lru_cache(maxsize=10_000)
def _operations(node: Expr) -> int:
    """How many operations an expression holds. SymPy's own count walks shared parts once for each place."""
    return sum(map(_operations, node.args)) + max(len(node.args) - 1, int(bool(node.args)))
