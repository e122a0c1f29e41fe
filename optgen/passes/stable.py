"""stable: scalar formulas that cancel are replaced by equal ones that do not.

``1 - beta**t`` loses all its digits when beta is next to 1 and t is small, just where Adam's bias correction matters.
So does ``1/(1 - beta) - t*beta**t/(1 - beta**t)``, the mean age of what an average holds, from which RAdam learns how
long the average is. ``2/(1 - beta) - 5`` loses them at its root, where ``(5*beta - 3)/(1 - beta)`` keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import Add, Dummy, Expr, Mul, Number, Pow, S, cos, exp, expand, factor, fraction, log, sin, together

from optgen.ir import Assign, Kernel, expm1, log1p, mean_age
from optgen.language import order
from optgen.language.domains import domain_of
from optgen.language.sums import plain
from optgen.language.symbols import Count, Hyper, StepCount
from optgen.language.text import text


def stable(kernel: Kernel) -> Kernel:
    """The kernel with its scalars written so that float64 keeps their digits."""
    sums: dict[Expr, Expr] = {}
    scalars = []
    for assign in kernel.scalars:
        value = assign.value.replace(lambda node: isinstance(node, Add), lambda node: _written_out(node, sums))
        if _on_its_own(value) != value:
            sums[assign.target] = value
        scalars.append(_stabilized(assign, value))
    return replace(kernel, scalars=tuple(scalars))


def _stabilized(assign: Assign, value: Expr) -> Assign:
    value = value.replace(lambda node: isinstance(node, Add), _on_its_own)
    value = value.replace(lambda node: isinstance(node, Add | log), _without_cancellation)
    return assign if value == assign.value else Assign(assign.target, value, assign.origin or text(assign.value))


def _written_out(node: Add, sums: Mapping[Expr, Expr]) -> Expr:
    """A sum with the sums that it refers to: a number taken from one, rho - 4, must be so before that is rounded."""
    others = [term for term in node.args if term not in sums]
    whole = node.xreplace(sums)
    return whole if all(term.is_number for term in others) or _with_mean_age(whole) != whole else node


def _on_its_own(node: Expr) -> Expr:
    return _over_one_denominator(_with_mean_age(node))


def _with_mean_age(node: Expr) -> Expr:
    """A sum that is a mean age less a number, with any factor."""
    for term in node.args if isinstance(node, Add) else ():
        for beta in filter(_is_decay, term.atoms(Hyper)):
            times = plain(term * (1 - beta))
            for age in {power.exp for power in node.atoms(Pow) if power.base == beta and _is_positive(power.exp)}:
                known = Mul(times, age, beta**age, Pow(1 - beta**age, -1))
                less = plain((known + node - term) / -times)
                if times.is_number and less.is_number:
                    return times * mean_age(age, beta, less)
    return node


def _over_one_denominator(node: Expr) -> Expr:
    """A difference of quotients as one quotient, where it then cancels only as much as its value must.

    That is where the numerator is a product of sums of two terms at most.
    """
    quotients = isinstance(node, Add) and any(isinstance(part, Add) for term in node.args for part in _below(term))
    if not quotients or not any(map(order.is_negative, node.args)) or not node.is_rational_function():
        return node
    above, below = fraction(together(node))
    factors = Mul.make_args(factor(expand(above)))
    if any(len(Add.make_args(part.as_base_exp()[0])) > 2 for part in factors):  # noqa: PLR2004 - as said above
        return node
    turned = [part for part in factors if isinstance(part, Add) and node.has(-part)]
    return Mul(*((-part if part in turned else part) for part in factors), (-1) ** len(turned), 1 / below)


def _below(term: Expr) -> list[Expr]:
    return order.factors(term)[2]


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
        case [Number() as height, wave] | [wave, Number() as height] if isinstance(wave / height, cos):
            return 2 * height * cos((wave / height).args[0] / 2) ** 2  # as a cosine schedule ends
        case [Number() as height, wave] | [wave, Number() as height] if isinstance(-wave / height, cos):
            return 2 * height * sin((-wave / height).args[0] / 2) ** 2  # as one begins
    return node


def _exponent(power: Expr) -> Expr | None:
    """``x`` where the power is ``exp(x)``; None where it cannot be written so."""
    if isinstance(power, exp):
        return power.args[0]
    if isinstance(power, Pow) and isinstance(power.base, StepCount | Count) and not power.exp.is_number:
        return power.exp * log(power.base)
    if isinstance(power, Pow) and isinstance(power.base, Hyper) and not power.exp.is_number:
        domain = domain_of(power.base)
        if domain is not None and domain.low >= 0 and _is_positive(power.exp):
            return power.exp * log(power.base)
    return None


def _is_decay(hyper: Hyper) -> bool:
    """Whether a hyperparameter is from 0 to below 1."""
    domain = domain_of(hyper)
    return domain is not None and domain.low >= 0 and (domain.high, domain.high_open) == (1, True)


def _is_positive(exponent: Expr) -> bool:
    """Whether an exponent is positive at every step: at 0**0 the logarithm would make NaN of 1."""
    signs: dict[Expr, Expr] = {
        count: 1 + Dummy(nonnegative=True) for kind in (StepCount, Count) for count in exponent.atoms(kind)
    }
    for hyper in exponent.atoms(Hyper):
        domain = domain_of(hyper)
        if domain is not None and (domain.low > 0 or (domain.low == 0 and domain.low_open)):
            signs[hyper] = Dummy(positive=True)
    return bool(expand(exponent.xreplace(signs)).is_positive)
