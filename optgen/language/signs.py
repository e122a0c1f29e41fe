"""Signs of products: what is small may vanish in a product, but not its sign."""

from __future__ import annotations

from typing import Any

from sympy import Abs, Add, Expr, Mul, Piecewise, Pow, factor_terms, sign

from optgen.language.order import factors


def sign_of(value: Expr) -> Any:
    """The sign of an expression, made of the signs of its factors.

    A sum is written as a product where its terms have a factor in common.
    """
    if isinstance(value, Piecewise):
        return Piecewise(*((sign_of(case), condition) for case, condition in value.args))
    if isinstance(value, Abs):
        return sign_of(value.args[0]) ** 2
    product = factor_terms(value) if isinstance(value, Add) else value
    if not isinstance(product, Mul | Pow):
        return sign(value)
    coefficient, above, below = factors(product)
    of_factors = [_of_factor(factor, inverse=False) for factor in above]
    return Mul(sign(coefficient), *of_factors, *(_of_factor(factor, inverse=True) for factor in below))


def _of_factor(factor: Expr, *, inverse: bool) -> Expr:
    base, exponent = factor.as_base_exp()
    if not exponent.is_Integer:
        base, exponent = factor, 1
    if isinstance(base, Abs):
        base, exponent = base.args[0], 2
    if isinstance(base, Mul) and not inverse:
        return sign_of(base**exponent)
    once = sign(1 / base) if inverse else sign(base)
    return once if exponent % 2 else once**2
