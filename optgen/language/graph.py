"""Expressions as the graphs that they are: what stands in several places is one node, visited once.

SymPy's own traversals visit it once for each place, and take a level of Python's stack for each level of an expression.
``e = sin(e)*e + e**2`` ten times over has 60 nodes and as a tree 90,000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sympy import Basic, Expr, Function, Max, Min, Piecewise, S, Tuple, default_sort_key
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair


def nodes(*roots: Basic) -> list[Any]:
    """Every node of expressions, once, after its arguments."""
    found: dict[int, Basic] = {}
    waiting = list(reversed(roots))
    while waiting:
        node = waiting[-1]
        unknown = [] if id(node) in found else [x for x in reversed(node.args) if id(x) not in found]
        below = [x for x in unknown if isinstance(x, Basic)]
        if below:
            waiting += below
        else:
            found[id(waiting.pop())] = node
    return list(found.values())


def mapped(root: Any, make: Callable[[Any, Sequence[Any]], Any]) -> Any:
    """An expression made anew from the leaves up, each node once: of the node as it was and its new arguments."""
    made: dict[int, Any] = {}
    for node in nodes(root) if isinstance(root, Basic) else ():
        made[id(node)] = make(node, [made.get(id(x), x) for x in node.args])
    return made.get(id(root), root)


def replaced(root: Any, known: Mapping[Any, Any]) -> Any:
    """An expression with nodes replaced, as `xreplace` does it, but each once."""
    return mapped(root, lambda node, arguments: known[node] if node in known else rebuilt(node, arguments))


def reworded(node: Any, arguments: Sequence[Any]) -> Any:
    """A node with its own arguments in other words, equal in real arithmetic: nothing looks at them again."""
    if isinstance(node, Function | Relational) and not (isinstance(node, Piecewise) or has(node, arguments)):
        return node.func(*arguments, evaluate=False)
    return rebuilt(node, arguments)


def rebuilt(node: Any, arguments: Sequence[Any]) -> Any:
    """A node with other arguments; those of a maximum or a choice as they are, for SymPy would compare them all."""
    if has(node, arguments):
        return node
    if isinstance(node, ExprCondPair):
        return pair(*arguments)
    if isinstance(node, Piecewise):
        return choice(arguments)
    return extreme(node.func, arguments) if isinstance(node, Max | Min) else node.func(*arguments)


def has(node: Any, arguments: Sequence[Any]) -> bool:
    """Whether a node's arguments are these very ones."""
    return all(new is old for new, old in zip(arguments, node.args, strict=True))


def pair(value: Any, condition: Any) -> Any:
    """A case of a choice, whose condition may have choices in it, which SymPy would multiply out."""
    return Tuple.__new__(ExprCondPair, value, condition)


def extreme(kind: Any, arguments: Sequence[Any]) -> Any:
    """The largest or the smallest of arguments in SymPy's order, for which it visits each node once for each place."""
    unlike = frozenset(arguments)
    if len(unlike) < 2:  # noqa: PLR2004 - of one there is nothing to choose
        return next(iter(unlike), kind.identity)
    sizes: dict[int, int] = {}  # as trees
    for node in nodes(*unlike):
        sizes[id(node)] = 1 + sum(sizes.get(id(x), 1) for x in node.args)
    by_size = groupby(sorted(unlike, key=lambda part: sizes[id(part)]), key=lambda part: sizes[id(part)])
    alike = (list(parts) for _, parts in by_size)
    made = Expr.__new__(
        kind, *(x for parts in alike for x in (sorted(parts, key=default_sort_key) if len(parts) > 1 else parts))
    )
    made._argset = unlike  # noqa: SLF001 - what SymPy's own methods go by
    return made


def choice(cases: Sequence[Any]) -> Any:
    """The Piecewise of cases, without those that are never looked at."""
    possible = [case for case in cases if case.args[1] is not S.false]
    last = next((k for k, case in enumerate(possible) if case.args[1] is S.true), len(possible))
    if not possible:
        return S.NaN  # as SymPy has it
    return possible[0].args[0] if last == 0 else Expr.__new__(Piecewise, *possible[: last + 1])
