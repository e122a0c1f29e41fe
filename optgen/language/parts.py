"""Parts: what an equation says over and over, or too deep inside, becomes an equation of its own.

Whoever prints, checks or computes an equation takes it for a tree. One that is much larger as a tree than as a graph,
or that is nested too deep for Python to read, is cut into locals before anything else looks at it. So is what a choice
decides by where that is a choice itself: SymPy would multiply the cases of both; and a choice of very many cases, of
which each is printed inside of the one before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from sympy import Expr, Piecewise, S
from sympy.functions.elementary.piecewise import ExprCondPair

from optgen.language.graph import choice, nodes, pair, rebuilt
from optgen.language.symbols import Local, Named

LARGEST = 500
"""As many nodes a tree may have, however often it says the same."""
DEEPEST = 24
"""As many levels."""
MOST_CASES = 64
"""As many cases a choice may have; Python reads 200 parentheses in each other."""
_WORTH_A_NAME = 3
"""Nodes of a part: those that branch have so many."""

Equation = tuple[Any, Any]


def in_parts(equations: Sequence[Equation]) -> list[Equation]:
    """Targets and values, with locals ``part0``, ``part1`` and so on before the equation that first needs them."""
    graph = nodes(*(value for _, value in equations))
    one = _unified(graph)
    large = _large([value for _, value in equations], graph, one)
    if not large:
        return list(equations)
    taken = {node.name for node in graph if isinstance(node, Named)} | {str(target) for target, _ in equations}
    names = (Local(f"part{k}") for k in count() if f"part{k}" not in taken)
    cut = _Cut([value for _, value in equations if id(value) in large], one, names)
    found: list[Equation] = []
    for target, value in equations:
        if id(value) in large:
            value, parts = cut.of(value)  # noqa: PLW2901 - what the equation says now
            found += parts
        found.append((target, value))
    return found


def is_large(value: Any) -> bool:
    """Whether a value would be cut."""
    graph = nodes(value)
    return bool(_large([value], graph, _unified(graph)))


def _large(values: Sequence[Any], graph: Sequence[Any], one: Mapping[int, int]) -> set[int]:
    """Those of values that are too large or too deep as trees, or decide by what is a choice itself."""
    sizes, heights = dict[int, int](), dict[int, int]()
    deciding = _deciding(graph) | {id(x) for x in graph if isinstance(x, Piecewise) and len(x.args) > MOST_CASES}
    for node in graph:
        sizes[id(node)] = 1 + sum(sizes[id(x)] for x in node.args)
        heights[id(node)] = 1 + max((heights[id(x)] for x in node.args), default=0)
    return {
        id(value)
        for value in values
        if heights[id(value)] > DEEPEST
        or (deciding and not deciding.isdisjoint(map(id, nodes(value))))
        or (sizes[id(value)] > LARGEST and sizes[id(value)] > 2 * len({one[id(x)] for x in nodes(value)}))
    }


def _deciding(graph: Sequence[Any]) -> set[int]:
    """The choices in conditions of others."""
    conditions = (node.args[1] for node in graph if isinstance(node, ExprCondPair))
    return {id(node) for node in nodes(*conditions) if isinstance(node, Piecewise)}


def _unified(graph: Sequence[Any]) -> dict[int, int]:
    """For each node which of its equals stands for all; equality of SymPy's would compare trees."""
    known: dict[Any, int] = {}
    one: dict[int, int] = {}
    for node in graph:
        key = (type(node), *(one[id(x)] for x in node.args)) if node.args else node
        one[id(node)] = known.setdefault(key, id(node))
    return one


class _Cut:
    """Cuts values into parts, each made once."""

    def __init__(self, values: Sequence[Any], one: dict[int, int], names: Iterator[Local]) -> None:
        distinct = {one[id(node)]: node for node in reversed(nodes(*values))}
        self.one, self.names = one, names
        self.deciding = {one[k] for k in _deciding(list(distinct.values()))}
        self.uses = Counter(one[id(x)] for node in distinct.values() for x in node.args)
        self.uses.update(one[id(value)] for value in values)
        self.made: dict[int, tuple[Any, int, int]] = {}  # what a node becomes, with its size and its height then

    def in_runs(self, whole: Any, parts: list[Equation]) -> Any:
        """A choice of as many cases as there may be, of which the last is what the others come to."""
        cases = list(whole.args)
        while len(cases) > MOST_CASES:
            parts.append((next(self.names), choice(cases[-MOST_CASES:])))
            cases[-MOST_CASES:] = [pair(parts[-1][0], S.true)]
        return whole if len(cases) == len(whole.args) else choice(cases)

    def of(self, value: Any) -> tuple[Any, list[Equation]]:
        """What is left of a value, and the parts that no value before it has needed."""
        parts: list[Equation] = []
        for node in nodes(value):
            which = self.one[id(node)]
            if which in self.made:
                continue
            below = [self.made[self.one[id(x)]] for x in node.args]
            new = rebuilt(node, [x for x, _, _ in below])
            if isinstance(new, Piecewise):
                new = self.in_runs(new, parts)
            size, height = 1 + sum(size for _, size, _ in below), 1 + max((height for *_, height in below), default=0)
            again = self.uses[which] > 1 and size >= _WORTH_A_NAME
            deep = (height >= DEEPEST or which in self.deciding) and node is not value
            if isinstance(node, Expr) and (again or deep) and new.free_symbols:
                parts.append((next(self.names), new))
                new, size, height = parts[-1][0], 1, 1
            self.made[which] = new, size, height
        return self.made[self.one[id(value)]][0], parts
