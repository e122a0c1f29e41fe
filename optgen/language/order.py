"""The order in which terms and factors are written.

Three terms or more that vary with anything stand as the author wrote them, see `optgen.language.sums`. SymPy sorts the
arguments of other sums and of products and forgets what the author wrote, so every printer here follows one rule of its
own. In a sum the parameters come first, then what is remembered, then what is computed, then the gradient, then draws,
then scalars; what is subtracted comes after what is added. In a product scalars come first.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Expr, Mul, Number, S

from optgen.language.noise import Draw, normal
from optgen.language.spaces import Space
from optgen.language.sums import InOrder, is_sum
from optgen.language.symbols import Grad, Hyper, Local, Named, Next, State, StepCount, Theta

_KIND = {Theta: 5, State: 1, Next: 2, Local: 2, Grad: 3, Hyper: 7, StepCount: 7}


def _kind(expression: Expr) -> int:
    if isinstance(expression, Theta):
        return 0
    if expression.has(normal, Draw):
        return 4
    return min((_KIND.get(type(symbol), _made(symbol)) for symbol in expression.atoms(Named)), default=6)


def _made(symbol: Named) -> int:
    """The kind of a symbol that a pass has made."""
    return 7 if symbol.space <= Space.TENSOR else 2


def is_negative(term: Expr) -> bool:
    """Whether a term is written with a minus sign in front."""
    coefficient, _ = term.as_coeff_Mul()
    return bool(coefficient.is_negative)


def terms(sum_: Add | InOrder) -> list[Expr]:
    """The terms of a sum in the order in which they are written and added."""
    free = 2 if isinstance(sum_, InOrder) else len(sum_.args)  # how many of the first may stand in any order
    return [*sorted(sum_.args[:free], key=_term_key), *sum_.args[free:]]


def _term_key(term: Expr) -> tuple[object, ...]:
    return is_negative(term), _kind(term), term.sort_key()


def factors(product: Expr) -> tuple[Number, list[Expr], list[Expr]]:
    """The coefficient, the numerator's factors and the denominator's, in the order in which they are written."""
    coefficient, rest = product.as_coeff_Mul()
    above: list[Expr] = []
    below: list[Expr] = []
    for factor in Mul.make_args(rest):
        base, exponent = factor.as_base_exp()
        if exponent.is_Rational and exponent.is_negative:
            below.append(base**-exponent)
        elif factor is not S.One:
            above.append(factor)
    return coefficient, sorted(above, key=_factor_key), sorted(below, key=_factor_key)


def _factor_key(factor: Expr) -> tuple[object, ...]:
    symbols = factor.atoms(Named)
    varies = factor.has(normal) or any(not symbol.space <= Space.TENSOR for symbol in symbols)
    return varies, any(isinstance(symbol, Local) for symbol in symbols), not factor.is_Atom, factor.sort_key()


def walk(expression: Expr, seen: set[Expr] | None = None) -> Iterator[Expr]:
    """Every node of an expression in the order in which it is read; what stands in several places is entered once."""
    seen = set() if seen is None else seen
    yield expression
    if expression in seen:
        return
    seen.add(expression)
    if is_sum(expression):
        children: list[Expr] = terms(expression)
    elif isinstance(expression, Mul):
        coefficient, above, below = factors(expression)
        children = [coefficient, *above, *below]
    else:
        children = list(expression.args)
    for child in children:
        yield from walk(child, seen)
