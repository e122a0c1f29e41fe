"""`Max`, `Min` and `Piecewise` for spec files: SymPy's, built as they are written.

SymPy's own compare each argument with every other, and multiply out the cases of a Piecewise in a condition of another.
These decide what is decided between numbers, and nothing else.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy import Number, sympify
from sympy.functions.elementary.piecewise import ExprCondPair

from optgen.language.graph import choice, extreme, nodes, pair


def Max(*values: Any) -> Any:
    """The largest of values: `sympy.Max`, in which only numbers have been compared."""
    return _extreme(sympy.Max, values)


def Min(*values: Any) -> Any:
    """The smallest of values: `sympy.Min`, in which only numbers have been compared."""
    return _extreme(sympy.Min, values)


def _extreme(kind: Any, values: tuple[Any, ...]) -> Any:
    given = [part for value in values for part in kind.make_args(sympify(value, strict=True))]
    others = [part for part in given if not isinstance(part, Number)]
    number = kind(*(part for part in given if isinstance(part, Number)))
    return extreme(kind, [*others, *([] if number is kind.identity else [number])])


def Piecewise(*cases: Any) -> Any:
    """The value of the first case whose condition holds: `sympy.Piecewise`, with conditions as they are written.

    Parameters
    ----------
    *cases : tuple of (expression, condition)
        The last condition is True.
    """
    return choice([_case(*getattr(case, "args", case)) for case in cases]) if cases else sympy.Piecewise()


def _case(value: Any, condition: Any) -> Any:
    if any(isinstance(node, sympy.Piecewise) for node in nodes(sympify(condition))):
        return pair(sympify(value), condition)
    return ExprCondPair(value, condition)
