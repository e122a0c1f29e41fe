"""What an expression of the language is made of: numbers where numbers are wanted, conditions where conditions are.

SymPy builds more than that, and finds out late or never. So every tree is looked at once, before any rule that would
take it for a formula: with SymPy's own words for what it is, since ours are for what is well formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sympy import And, Basic, Expr, IndexedBase, Max, Min, Not, Or, Piecewise, S, Symbol
from sympy.core.function import Derivative, Subs
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from optgen.errors import Problem
from optgen.language.graph import nodes

_UNFINISHED = ("Derivative", "Integral", "Limit", "Product", "Subs", "Sum")
_AS_A_NUMBER = {S.true: "write 1", S.false: "write 0"}
MEMORY = 2**12
"""So many trees are remembered: wrappers have many of the equations that they wrap."""
Wrong = tuple[str, str]
"""What was found, and what to write instead."""
_LONG = re.compile(r"\d{24,}")


def misformed(target: Any, value: Any) -> Iterator[Problem]:
    """What in a value of a target is of a kind that cannot stand where it stands."""
    if isinstance(value, Boolean | bool) and not isinstance(value, Symbol):  # SymPy's symbols are conditions too
        fix = "write Piecewise((value, condition), (other, True))"
        found = [("the value is a truth value, where a number is wanted", fix)]
    else:
        found = [*_as_number(value), *(_inside(value) if isinstance(value, Basic) else ())]
    for what, fix in dict.fromkeys(found):
        yield Problem(what, fix, f"{target} = {shortened(value)}")


@lru_cache(MEMORY)
def _inside(value: Basic) -> tuple[Wrong, ...]:
    return tuple(wrong for node in reversed(nodes(value)) for wrong in _in_node(node))


def shortened(thing: Any) -> str:
    """The text of anything, with numbers of hundreds of digits cut."""
    try:
        written = str(thing)
    except Exception:  # noqa: BLE001 - SymPy cannot print all that it can build: it asks for signs of what has none
        written = type(thing).__name__
    return _LONG.sub(lambda digits: f"{digits[0][:6]}…({len(digits[0])} digits)", written)


def _in_node(node: Basic) -> Iterator[Wrong]:
    """What is wrong with the arguments of one node."""
    if isinstance(node, ExprCondPair):
        yield from _as_number(node.args[0])
        yield from _as_condition(node.args[1])
    elif isinstance(node, And | Or | Not):
        for part in node.args:
            yield from _as_condition(part)
    elif isinstance(node, Max | Min) and not node.args:
        yield f"{node.func.__name__} has no arguments", "give it two: Max(g, 0), say"
    elif isinstance(node, Expr | Relational) and not isinstance(node, (Piecewise, Derivative, Subs)):
        for part in node.args:
            yield from _as_number(part)


def _as_number(part: Any) -> Iterator[Wrong]:
    """What is wrong with an argument that has to be a number."""
    if isinstance(part, Symbol):
        return
    if isinstance(part, Boolean):
        shown = shortened(part)
        fix = _AS_A_NUMBER.get(part, f"write Piecewise((1, {shown}), (0, True)) for 1 where it holds and 0 elsewhere")
        yield f"the condition {shown} stands where a number is wanted", fix
    elif type(part).__name__ in _UNFINISHED:
        yield f"{shortened(part)} is not worked out", "write what it comes to: its .doit() finds that where SymPy can"
    elif not isinstance(part, Expr) or isinstance(part, IndexedBase) or part.is_Matrix:
        fix = (
            "write sums, products and functions of symbols: an equation is that of one element, without indices,"
            " and sums over arrays are TensorSum, RowSum, …"
        )
        yield f"{shortened(part)} is no scalar expression", fix


def _as_condition(part: Basic) -> Iterator[Wrong]:
    """What is wrong with an argument that has to be a condition."""
    if isinstance(part, Relational | And | Or | Not) or part in (S.true, S.false):
        return
    shown = shortened(part)
    if isinstance(part, Boolean) and not isinstance(part, Symbol):
        yield f"the condition {shown} cannot be compiled", "write it with comparisons, And, Or and Not"
    else:
        yield f"{shown} stands where a condition is wanted", f"compare it: Ne({shown}, 0), or {shown} > 0"
