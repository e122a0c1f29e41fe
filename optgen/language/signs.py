"""Signs of products: what is small may vanish in a product, but not its sign."""

from __future__ import annotations

from typing import Any

from sympy import Abs, Add, Expr, Mul, Piecewise, Pow, factor_terms, sign

from optgen.language.order import factors


def sign_of(value: Expr, *, undefined: bool = False) -> Any:
    """The sign of an expression, made of the signs of its factors.

    A sum is written as a product where its terms have a factor in common. Where 0 is divided by 0 the product of the
    signs is 0, which `> 0` and `< 0` need not tell from NaN; if it is to be undefined there, it is NaN.
    """
    if isinstance(value, Piecewise):
        return Piecewise(*((sign_of(case, undefined=undefined), condition) for case, condition in value.args))
    if isinstance(value, Abs):
        return sign_of(value.args[0], undefined=undefined) ** 2
    product = factor_terms(value) if isinstance(value, Add) else value
    if not isinstance(product, Mul | Pow):
        return sign(value)
    coefficient, above, below = factors(product)
    of_factors = [_of_factor(factor, inverse=False) for factor in above]
    inverses = [_of_factor(factor, inverse=True) for factor in below]
    zeros = [Pow(sign(factor.as_base_exp()[0]), -2) for factor in below] if undefined else []  # 1, infinite at 0
    return Mul(sign(coefficient), *of_factors, *inverses, *zeros)


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
