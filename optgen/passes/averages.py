"""averages: a factor that, with another, makes 1 is given to elements with all its digits.

Rounded to float32, ``beta`` and ``1 - beta`` no longer add up to 1: an average of equal numbers is another number, and
what is averaged again and again moves by up to 6e-8 of itself at each step; so it does where a sum is over its weights,
``((t - 1)*x + y)/t``, which is taken for the average that it is. So a factor is split into a `head`, which
float32 holds exactly, and the `tail` that it lacks: ``head*m + (tail*m + (1 - beta)*g)``, in which only the last sum
rounds by more than a unit of the smaller product. An infinite m stays infinite, for no difference is taken, and with a
factor of 0 or 1 the result is one of the two numbers, bit for bit. A factor that is small by the defaults is left
alone: rounded, it is off by less than the sum is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from sympy import Add, Expr, Integer, Mul, Rational, S, cancel, expand

from optgen.ir import Equation, Kernel, head, symbols, tail
from optgen.language import order
from optgen.language.graph import mapped, rebuilt
from optgen.language.reductions import Reduction
from optgen.language.spaces import Space
from optgen.language.sums import InOrder, plain
from optgen.language.symbols import Hyper, Named, algebraic, t

SMALL = Rational(1, 4)
"""Up to this, by the defaults, a factor is small."""
_LATE = 1000
"""The step at which factors are looked at."""
_MOST = 4
"""Terms of an average, at most."""

_DEEPEST = 4
"""Names that stand for each other, one for the next, at most."""
_HELD = 2**24
"""Whole numbers below it are held by float32."""

Known = Mapping[Named, Expr]


def averages(kernel: Kernel) -> Kernel:
    """The kernel with its averages of elements written so that they do not drift."""
    host, known = kernel.host, {assign.target: assign.value for assign in kernel.scalars}

    def exact(assign: Equation) -> Equation:
        if assign.space is not Space.ELEM:  # float64 code, in which no factor is rounded
            return assign
        return replace(assign, value=mapped(assign.value, split))

    def split(node: Any, arguments: Sequence[Any]) -> Any:
        whole = rebuilt(node, arguments)
        average = _over_its_weights(whole, host, known) if isinstance(whole, Mul) else whole
        return _split(average, host, known) if isinstance(average, InOrder) else whole

    return kernel.map_sweeps(lambda sweep: replace(sweep, body=tuple(map(exact, sweep.body))))


def _split(sum_: InOrder, host: frozenset[Named], known: Known) -> Expr:
    """A sum that begins with an average, with the factors that are not small in two parts; other sums as they are."""
    terms = order.terms(sum_)
    for count in range(2, min(len(terms), _MOST) + 1):
        found = _factors([_parted(term, host) for term in terms[:count]], known)
        if found is None:
            continue
        heads, tails, others = [], [], []
        for term, factor in zip(terms, found, strict=False):
            size = _size(factor, known)
            if factor != _parted(term, host)[0] or _is_short(factor) or (size is not None and size <= SMALL):
                others.append(term)
                continue
            rest = _parted(term, host)[1]
            heads.append(Mul(head(factor), rest))
            tails.append(Mul(tail(factor), rest))
        average = InOrder(*tails, *others)
        for part in reversed(heads):
            average = InOrder(part, average)
        return InOrder(average, *terms[count:])
    return sum_


def _over_its_weights(product: Mul, host: frozenset[Named], known: Known) -> Expr:
    """A sum over what its weights add up to, ``((t - 1)*x + y)/t``, as an average; other products as they are."""
    over, inside = _parted(product, host)
    terms = order.terms(inside) if isinstance(inside, InOrder) else []
    if not 2 <= len(terms) <= _MOST:  # noqa: PLR2004 - of one there is no average
        return product
    parted = [_parted(term, host) for term in terms]
    factors = [Mul(over, weight) for weight, _ in parted]
    if all(map(_is_short, factors)) or not _is_one(factors, known):
        return product
    return InOrder(*(Mul(factor, rest) for factor, (_, rest) in zip(factors, parted, strict=True)))


def _parted(term: Expr, host: frozenset[Named]) -> tuple[Expr, Expr]:
    """The factor of a term that the host knows, and the rest."""
    parts = Mul.make_args(term)
    factors = [part for part in parts if symbols(part) <= host and not part.has(Reduction)]
    return Mul(*factors), Mul(*(part for part in parts if part not in factors))


def _factors(parted: list[tuple[Expr, Expr]], known: Known) -> list[Expr] | None:
    """A factor of each term, which together make 1; None if there are none."""
    whole = [factor for factor, _ in parted]
    if S.One not in whole and _is_one(whole, known):
        return whole
    if len(parted) == 2:  # noqa: PLR2004 - one of them may have other factors beside: (1 - beta)*rate*g
        for factors in product(*({factor, *Mul.make_args(factor)} for factor in whole)):
            if S.One not in factors and _is_one(factors, known):
                return list(factors)
    return None


def _is_one(factors: Iterable[Expr], known: Known) -> bool:
    """Whether factors add up to 1, as they are written or by what their names stand for."""
    total = plain(Add(*factors))
    for _ in range(_DEEPEST):
        if total == 1:
            return True
        if total.has(Add) and total.is_polynomial():
            at_0 = total.xreplace(dict.fromkeys(total.free_symbols, S.Zero))  # found sooner than its terms
            if at_0 == 1 == expand(algebraic(total)):
                return True
        elif total.has(Add) and total.is_rational_function():
            near_7 = {name: Integer(7 + 4 * k) for k, name in enumerate(total.free_symbols)}
            if total.xreplace(near_7) == 1 == cancel(algebraic(total)):
                return True
        names = total.free_symbols & known.keys()
        if not names:
            return False
        total = plain(total.xreplace({name: known[name] for name in names}))
    return False


def _is_short(factor: Expr) -> bool:
    """Whether float32 holds a number."""
    return bool(factor.is_Rational and abs(factor.p) < _HELD and _HELD % factor.q == 0)


def _size(factor: Expr, known: Known) -> Expr | None:
    """How large a factor is late in a run with the defaults; None where that depends on the run."""
    while names := factor.free_symbols & known.keys():
        factor = factor.xreplace({name: known[name] for name in names})
    factor = plain(factor).subs({hyper: hyper.default for hyper in factor.atoms(Hyper)} | {t: _LATE})
    return abs(factor.evalf()) if factor.is_number and factor.is_finite else None
