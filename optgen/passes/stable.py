"""stable: scalar formulas that cancel are replaced by equal ones that do not.

``1 - beta**t`` loses all its digits when beta is next to 1 and t is small, just where Adam's bias correction matters.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Dummy, Expr, Pow, S, exp, expand, log

from optgen.ir import Assign, Kernel, expm1, log1p
from optgen.language import order
from optgen.language.domains import domain_of
from optgen.language.symbols import Hyper, t
from optgen.language.text import text


def stable(kernel: Kernel) -> Kernel:
    """The kernel with its scalars written so that float64 keeps their digits."""
    return replace(kernel, scalars=tuple(map(_stabilized, kernel.scalars)))


def _stabilized(assign: Assign) -> Assign:
    value = assign.value.replace(lambda node: isinstance(node, Add | log), _without_cancellation)
    return assign if value == assign.value else Assign(assign.target, value, assign.origin or text(assign.value))


def _without_cancellation(node: Expr) -> Expr:
    if isinstance(node, log):
        argument = node.args[0]
        return log1p(argument - 1) if isinstance(argument, Add) and S.One in argument.args else node
    match order.terms(node):
        case [S.One, term] if order.is_negative(term):
            exponent = _exponent(-term)
            return node if exponent is None else -expm1(exponent)
        case [term, S.NegativeOne]:
            exponent = _exponent(term)
            return node if exponent is None else expm1(exponent)
    return node


def _exponent(power: Expr) -> Expr | None:
    """``x`` where the power is ``exp(x)``; None where it cannot be written so."""
    if isinstance(power, exp):
        return power.args[0]
    if isinstance(power, Pow) and isinstance(power.base, Hyper) and not power.exp.is_number:
        domain = domain_of(power.base)
        if domain is not None and domain.low >= 0 and _is_positive(power.exp):
            return power.exp * log(power.base)
    return None


def _is_positive(exponent: Expr) -> bool:
    """Whether an exponent is positive at every step: at 0**0 the logarithm would make NaN of 1."""
    later = Dummy(nonnegative=True)
    return bool(expand(exponent.xreplace({t: 1 + later})).is_positive)
