"""Numbers that float64 does not find from their parts, as the decimals of the nearest float64s.

``sqrt(2) - 1.4142135`` cancels, and the sine of 10**22 + 1 is not that of the next float64; what a number of an
equation is, is known beforehand. ``sqrt(2)`` and ``log(3)/7`` stay as they were written.
"""

from __future__ import annotations

import sys
from typing import Any

import sympy
from sympy import Abs, Basic, Expr, Float, Mul, Rational, ceiling, erf, exp, floor, log, sign
from sympy.core.numbers import NumberSymbol

from optgen.language.graph import nodes, rebuilt

_COMPUTED = (Abs, ceiling, sympy.cos, erf, exp, floor, log, sign, sympy.sin, sympy.tan, sympy.tanh)
LARGEST, SMALLEST = Float(sys.float_info.max, 17), Float(sys.float_info.min, 17)
"""What float64 holds with all its digits lies between these in size, zero apart."""


def is_exact(number: Rational) -> bool:
    """Whether numerator and denominator are both exact in float64."""
    return bool(max(abs(number.p), number.q) < 2**sys.float_info.mant_dig)


def in_decimals(expression: Any) -> Any:
    """An expression with such numbers in decimals; what is no finite real number of float64's size is left as it is."""
    found: dict[Basic, Any] = {}
    plain: dict[Basic, bool] = {}
    for node in nodes(expression):
        if isinstance(node, Expr) and (node.is_number if node.is_Atom else plain.keys() >= set(node.args)):
            plain[node] = _is_plain(node, plain)
            found[node] = node if plain[node] else _decimal(node)
            continue
        args = node.args
        if isinstance(node, Mul) and not all(plain.get(arg, True) for arg in args):
            number = Mul(*(arg for arg in args if arg in plain))  # what stands together is one
            found[node] = Mul(_decimal(number), *(found[arg] for arg in args if arg not in plain))
        else:
            found[node] = rebuilt(node, [found.get(arg, arg) for arg in args])
    return found[expression]


def _is_plain(number: Expr, plain: dict[Basic, bool]) -> bool:
    """Whether float64 finds a number from its parts: nothing cancels, and what functions are called with is exact."""
    if number.is_Atom:
        return (
            is_exact(number)
            if isinstance(number, Rational)
            else number is sympy.pi or not isinstance(number, NumberSymbol)
        )
    if isinstance(number, Mul | sympy.Pow):
        return all(plain[part] for part in number.args)
    return isinstance(number, _COMPUTED) and all(isinstance(x, Rational) and is_exact(x) for x in number.args)


def _decimal(number: Expr) -> Expr:
    try:
        value = number.n(17)
    except (ArithmeticError, TypeError, ValueError):
        return number
    return Rational(repr(float(value))) if value.is_Float and SMALLEST <= abs(value) <= LARGEST else number
