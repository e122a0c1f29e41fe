"""stable: scalar formulas that cancel are replaced by equal ones that do not.

``1 - beta**t`` loses all its digits when beta is next to 1 and t is small, just where Adam's bias correction matters.
So does ``1/(1 - beta) - t*beta**t/(1 - beta**t)``, the mean age of what an average holds, from which RAdam learns how
long the average is. ``2/(1 - beta) - 5`` loses them at its root, where ``(5*beta - 3)/(1 - beta)`` keeps them. A
difference of two terms is one of them times 1 less a ratio, and what is known of that helps both: of powers,
exponentials, square roots, cosines and hyperbolic tangents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from sympy import (
    Add,
    Dummy,
    Expr,
    Function,
    Integer,
    Mul,
    Pow,
    S,
    cos,
    exp,
    expand,
    factor,
    fraction,
    log,
    powsimp,
    sin,
    tanh,
    together,
)

from optgen.ir import Equation, Kernel, expm1, log1p, mean_age, powm1
from optgen.language import order
from optgen.language.domains import domain_of
from optgen.language.graph import mapped, rebuilt
from optgen.language.sums import InOrder, negated, plain, settled
from optgen.language.symbols import Count, Hyper, StepCount
from optgen.language.text import text


def stable(kernel: Kernel) -> Kernel:
    """The kernel with its scalars written so that float64 keeps their digits."""
    sums: dict[Expr, Expr] = {}
    scalars = []
    for assign in kernel.scalars:
        whole = _in_sums(assign.value, lambda node: _written_out(node, sums))
        if _over_one_denominator(_with_mean_age(whole)) != whole:
            sums[assign.target] = whole
        value = stabilized(_in_sums(whole, _with_mean_age))
        same = value == assign.value
        scalars.append(assign if same else Equation(assign.target, value, assign.origin or text(assign.value)))
    return replace(kernel, scalars=tuple(scalars))


def stabilized(value: Expr) -> Expr:
    """A scalar of t and hyperparameters written so that float64 keeps its digits."""
    value = _in_sums(value, _over_one_denominator)
    return settled(mapped(value, lambda node, arguments: _without_cancellation(rebuilt(node, arguments))))


def _in_sums(value: Expr, function: Callable[[Expr], Expr]) -> Expr:
    """A value with every sum replaced by what a function makes of it."""

    def made(node: Expr, arguments: Sequence[Expr]) -> Expr:
        new = rebuilt(node, arguments)
        return function(new) if isinstance(new, Add) else new

    return mapped(value, made)


def _written_out(node: Add, sums: Mapping[Expr, Expr]) -> Expr:
    """A sum with the sums that it refers to: a number taken from one, rho - 4, must be so before that is rounded."""
    others = [term for term in node.args if term not in sums]
    whole = node.xreplace(sums)
    return whole if all(term.is_number for term in others) or _with_mean_age(whole) != whole else node


@lru_cache(order.MEMORY)
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


@lru_cache(order.MEMORY)
def _over_one_denominator(node: Expr) -> Expr:
    """A difference of quotients as one quotient, where it then cancels only as much as its value must.

    That is where the numerator is a product of sums of two terms at most. A power of a hyperparameter is one more
    unknown: ``1 - (b - b**t)/(1 - b**t)`` is ``(1 - b)/(1 - b**t)``.
    """
    below = [part for x in node.args for part in order.factors(x)[2]] if isinstance(node, Add) else []
    quotients = any(isinstance(part.as_base_exp()[0], Add) for part in below)
    if not quotients or not any(map(order.is_negative, node.args)):
        return node
    powers = {power: power.exp.as_coeff_Add() for power in node.atoms(Pow) if isinstance(power.base, Hyper)}
    powers = {power: split for power, split in powers.items() if not split[1].is_number}
    unknown = {(power.base, rest): Dummy() for power, (_, rest) in powers.items()}
    rational = node.xreplace({power: power.base**k * unknown[power.base, rest] for power, (k, rest) in powers.items()})
    if not rational.is_rational_function():
        return node
    above, denominator = fraction(together(rational))
    factors = Mul.make_args(factor(expand(above)))
    if any(len(Add.make_args(part.as_base_exp()[0])) > 2 for part in factors):  # noqa: PLR2004 - as said above
        return node
    if any(part.as_base_exp()[0] == base for base, _ in unknown for part in Mul.make_args(denominator)):
        return node  # b**(t - 1) is 1 where b and t - 1 are 0, and b**t/b is nothing
    turned = [part for part in factors if isinstance(part, Add) and rational.has(-part)]
    quotient = Mul(*((-part if part in turned else part) for part in factors), (-1) ** len(turned), 1 / denominator)
    return quotient.xreplace({symbol: base**rest for (base, rest), symbol in unknown.items()})


@lru_cache(order.MEMORY)
def _without_cancellation(node: Expr) -> Expr:
    """A logarithm, or a difference of two terms, as a product in which nothing cancels."""
    if isinstance(node, log):
        argument = node.args[0]
        if isinstance(argument, Add) and S.One in argument.args:
            return log1p(Add(argument, S.NegativeOne))
        above, below = fraction(together(argument)) if isinstance(argument, Mul) else (argument, S.One)
        sums = any(isinstance(part, Add) for part in (above, below)) and below != 1
        return (_between_logarithms(above, below) if sums else None) or node
    if not isinstance(node, Add) or len(node.args) != 2:  # noqa: PLR2004 - longer sums are for those who write them
        return node
    if not node.has(Pow, Function):  # as most differences are: a decay less a number
        of_both, terms = node.primitive()  # into which SymPy multiplies it: 1/3 - beta/3 is no third of 1 - beta
        is_exact = of_both == 1 or not any(map(order.is_negative, terms.args))
        return node if is_exact else Mul(of_both, InOrder(*terms.args))
    known = _less_one_more(node) or _of_logarithms(node)
    if known is not None:
        return known
    one, other = sorted(node.args, key=lambda term: (term.count_ops(), term.sort_key()))
    for less in (_one_less, _one_less_a_root):
        for whole, rest in ((one, other), (other, one)):
            ratio = powsimp(plain(Mul(S.NegativeOne, rest, Pow(whole, -1))), combine="exp")
            found = less(ratio, whole)
            if found is not None:
                return Mul(whole, found)
    return node


def _less_one_more(node: Add) -> Expr | None:
    """What 1 was taken from before, where it is added again: ``expm1(x) + 1`` is ``exp(x)``."""
    one, other = sorted(node.args, key=lambda term: not term.is_number)
    factor, function = other.as_coeff_Mul()
    if factor != one:
        return None
    match function:
        case expm1(args=(x,)):
            return factor * exp(x)
        case powm1(args=(base, exponent)):
            return factor * base**exponent
    return None


def _of_logarithms(node: Add) -> Expr | None:
    """A difference of two logarithms as one logarithm; None where it is none, or may be one of negative numbers."""
    logs = [[x for x in Mul.make_args(term) if isinstance(x, log | log1p)] for term in node.args]
    if any(len(its) != 1 for its in logs):
        return None
    (one,), (other,) = logs
    factor, its = (plain(term / x) for term, x in zip(node.args, (one, other), strict=True))
    if plain(factor + its) != 0:
        return None
    between = _between_logarithms(*(Add(x.args[0], Integer(isinstance(x, log1p))) for x in (one, other)))
    return None if between is None else Mul(factor, between)


def _between_logarithms(a: Expr, b: Expr) -> Expr | None:
    """``log(a) - log(b)`` by what the larger has more than the other; None where that is not known."""
    more = expand(plain(a - b))
    if not (_is_positive(a) or _is_positive(b)):  # else both may be negative, and only their quotient has a logarithm
        return None
    if _signed(more).is_nonnegative:
        return log1p(Mul(more, Pow(b, -1)))
    return negated(log1p(Mul(negated(more), Pow(a, -1)))) if _signed(more).is_nonpositive else None


def _one_less(ratio: Expr, whole: Expr) -> Expr | None:
    """``1 - ratio`` where that is written so that ratios close to 1 lose nothing; None where it is not."""
    exponent = _exponent(ratio)
    if exponent is not None:
        return negated(expm1(_without_cancellation(exponent)))
    if isinstance(ratio, Pow) and _is_power_of_a_decay(ratio):
        return negated(powm1(*ratio.args))
    if isinstance(ratio, Hyper):
        return Add(S.One, negated(ratio))
    sign = -1 if order.is_negative(ratio) else 1
    match Mul(sign, ratio):
        case cos(args=(angle,)):
            if sign == 1:
                return 2 * sin(angle / 2) ** 2
            left = factor(together(plain(S.Pi - angle)))  # what a wave that ends at pi has left, 0 at its end
            return 2 * (sin(left / 2) if angle.has(S.Pi) else cos(angle / 2)) ** 2
        case sin(args=(angle,)):
            return 2 * sin(factor(together(plain(S.Pi / 2 - sign * angle))) / 2) ** 2
        case tanh(args=(x,)):
            return 2 / (1 + exp(2 * sign * x))
        case Pow(base=cos(args=(angle,)), exp=Integer(p=2)) if sign == 1:
            return sin(angle) ** 2
        case Pow(base=sin(args=(angle,)), exp=Integer(p=2)) if sign == 1:
            return (sin(factor(together(plain(S.Pi / 2 - angle)))) if angle.has(S.Pi) else cos(angle)) ** 2
        case Pow(base=tanh(args=(x,)), exp=Integer(p=2)) if sign == 1:
            return 4 / (1 + exp(2 * x)) / (1 + exp(-2 * x))
    square = ratio**2
    is_root = sign == 1 and ratio.has(Pow) and not any(x.exp == S.Half for x in square.atoms(Pow))
    is_root = is_root and any(isinstance(x, Pow) and abs(x.exp) == S.Half for x in Mul.make_args(ratio))
    if is_root and (ratio.is_Pow or whole.is_number or _is_positive(whole)):
        above, below = fraction(together(plain(1 - square)))
        return plain(_without_cancellation(expand(above)) / below / (1 + ratio))
    return None


def _one_less_a_root(ratio: Expr, _: Expr) -> Expr | None:
    """The same of a power of numbers, ``cbrt(t)/cbrt(t + 1)``, by its logarithm."""
    exponent = _exponent(ratio, numbers=True)
    return None if exponent is None else negated(expm1(_without_cancellation(exponent)))


def _exponent(power: Expr, *, numbers: bool = False) -> Expr | None:
    """``x`` where the power is ``exp(x)``; None where it cannot be written so. The powers of numbers may be sought."""
    if isinstance(power, exp):
        return power.args[0]
    if isinstance(power, Mul):
        exponents = [_exponent(factor, numbers=numbers) for factor in power.args]
        return None if None in exponents else Add(*exponents)
    if not isinstance(power, Pow) or (power.exp.is_number and (not numbers or power.exp.is_Integer)):
        return None
    base = power.base
    if isinstance(base, Add) and _is_positive(base):
        return power.exp * log(base)
    if isinstance(base, StepCount | Count) or (base.is_Rational and base.is_positive):
        return power.exp * log(base)
    if isinstance(base, Hyper):
        domain = domain_of(base)
        if domain is not None and domain.low >= 0 and (_is_above_0(base) or _is_positive(power.exp)):
            return power.exp * log(base)
    if isinstance(base, Add) and Add(S.One, negated(base)) in base.atoms(Hyper):
        (share,) = base.atoms(Hyper)
        if _is_decay(share) or (_is_share(share) and _is_positive(power.exp)):
            return power.exp * log1p(Add(base, S.NegativeOne))
    if isinstance(base, Mul) and all(isinstance(factor, Hyper) and _is_share(factor) for factor in base.args):
        return _exponent(Mul(*(factor**power.exp for factor in base.args)), numbers=numbers)
    return None


def _is_power_of_a_decay(power: Pow) -> bool:
    """Whether a power is of what is not negative, but may be 0, to what may be 0 too."""
    domain = domain_of(power.base) if isinstance(power.base, Hyper) else None
    return domain is not None and domain.low >= 0 and not power.exp.is_number


def _is_decay(hyper: Hyper) -> bool:
    """Whether a hyperparameter is from 0 to below 1."""
    domain = domain_of(hyper)
    return domain is not None and _is_share(hyper) and not domain.holds(1)


def _is_share(hyper: Hyper) -> bool:
    """Whether a hyperparameter is from 0 to 1."""
    domain = domain_of(hyper)
    return domain is not None and domain.low >= 0 and domain.high <= 1


def _is_above_0(hyper: Hyper) -> bool:
    domain = domain_of(hyper)
    return domain is not None and (domain.low > 0 or (domain.low == 0 and domain.low_open))


def _is_positive(exponent: Expr) -> bool:
    """Whether an exponent is positive at every step: at 0**0 the logarithm would make NaN of 1."""
    return bool(_signed(exponent).is_positive)


def _signed(value: Expr) -> Expr:
    """An expression in symbols of which SymPy knows the signs."""
    signs: dict[Expr, Expr] = {
        count: 1 + Dummy(nonnegative=True) for kind in (StepCount, Count) for count in value.atoms(kind)
    }
    for hyper in value.atoms(Hyper):
        domain = domain_of(hyper)
        if domain is not None and domain.low >= 0:
            signs[hyper] = Dummy(positive=True) if _is_above_0(hyper) else Dummy(nonnegative=True)
    return expand(plain(value).xreplace(signs))
