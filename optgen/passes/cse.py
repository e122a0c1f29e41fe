"""cse: a subexpression that occurs more than once is computed once and named ``x0``, ``x1`` and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sympy import Expr, Mul, Pow

from optgen.ir import Equation, Kernel, Scalar, Sweep, Temporary, fresh
from optgen.language.graph import rebuilt
from optgen.language.order import factors, walk
from optgen.language.symbols import Named


def cse(kernel: Kernel) -> Kernel:
    """The kernel with no two equal computations in a sweep or among its scalars."""

    def shared(sweep: Sweep) -> Sweep:
        return replace(sweep, body=_shared(sweep.body, map(Temporary, fresh("x", used))))

    used = kernel.names
    return replace(kernel.map_sweeps(shared), scalars=_shared(kernel.scalars, map(Scalar, fresh("c", used))))


def _shared(body: tuple[Equation, ...], names: Iterator[Named]) -> tuple[Equation, ...]:
    seen: set[Expr] = set()
    uses = Counter(node for assign in body for node in walk(assign.value, seen) if isinstance(node, Expr))
    repeated = {node for node, times in uses.items() if times > 1 and _operations(node) > 1}
    if not repeated:
        return body
    sharing = _Sharing(repeated, {assign.value: assign for assign in reversed(body)}, names)
    for assign in body:
        sharing.take(assign)
    return tuple(sharing.done.values())


@dataclass(frozen=True)
class _Sharing:
    """Rewrites a body, and names what is repeated where it is first met."""

    repeated: set[Expr]  # what gets a name, as `walk` sees it: divisors as they are
    own: Mapping[Expr, Equation]  # the assignments by their values: what has a name already keeps it
    names: Iterator[Named]  # new ones
    done: dict[Named, Equation] = field(default_factory=dict)  # the new body
    made: dict[Any, Any] = field(default_factory=dict)  # what each expression has become

    def take(self, assign: Equation) -> None:
        """Put an assignment into the new body, unless it had to be there before."""
        if assign.target in self.done:
            return
        value = assign.value
        is_first = value in self.repeated and self.own[value] is assign
        new = self.inside(value) if is_first else self.rewritten(value)
        if is_first:
            self.made[value] = assign.target
        self.done[assign.target] = replace(assign, value=new)

    def rewritten(self, node: Any) -> Any:
        """An expression with names for all in it that is repeated."""
        if node not in self.made:
            if node not in self.repeated:
                self.made[node] = self.inside(node)
            elif node in self.own:
                self.take(self.own[node])
            else:
                assign = Equation(next(self.names), self.inside(node))
                self.done[assign.target] = assign
                self.made[node] = assign.target
        return self.made[node]

    def inside(self, node: Any) -> Any:
        """An expression with names for what is repeated below it."""
        if isinstance(node, Mul):
            coefficient, above, below = factors(node)
            parts = [*above, *below]
            new = list(map(self.rewritten, parts))
            if new == parts:
                return node
            return Mul(coefficient, *new[: len(above)], *(Pow(divisor, -1) for divisor in new[len(above) :]))
        if isinstance(node, Pow) and Pow(node, -1) in self.repeated:
            return Pow(self.rewritten(Pow(node, -1)), -1)
        return rebuilt(node, [self.rewritten(argument) for argument in node.args])


@lru_cache(maxsize=10_000)
def _operations(node: Expr) -> int:
    """How many operations an expression holds. SymPy's own count walks shared parts once for each place."""
    return sum(map(_operations, node.args)) + max(len(node.args) - 1, int(bool(node.args)))
