"""The order in which terms and factors are written.

Three terms or more that vary with anything stand as the author wrote them, see `optgen.language.sums`. SymPy sorts the
arguments of other sums and of products and forgets what the author wrote, so every printer here follows one rule of its
own. In a sum the parameters come first, then what is remembered, then what is computed, then the gradient, then draws,
then scalars; what is subtracted comes after what is added. In a product scalars come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from sympy import Add, Basic, Expr, Mul, Number, S

from optgen.language.noise import Draw, normal
from optgen.language.spaces import Space
from optgen.language.sums import InOrder, is_sum
from optgen.language.symbols import Grad, Hyper, Local, Named, Next, State, StepCount, Theta

MEMORY = 2**15
"""So many expressions are remembered: each is asked for again and again, and sorting its terms is slow."""
_KIND = {Theta: 5, State: 1, Next: 2, Local: 2, Grad: 3, Hyper: 7, StepCount: 7}
_DRAWN = 4
Parts = tuple[Expr, ...]
"""Terms of a sum, factors of a product."""


def _kind(expression: Expr) -> int:
    kinds = frozenset((0,)) if isinstance(expression, Theta) else _kinds(expression)
    return _DRAWN if _DRAWN in kinds else min(kinds, default=6)


@lru_cache(MEMORY)
def _kinds(expression: Expr) -> frozenset[int]:
    """The kinds of what stands in a term."""
    if isinstance(expression, normal | Draw):
        return frozenset((_DRAWN,))
    if isinstance(expression, Named):
        return frozenset((_KIND.get(type(expression), _made(expression)),))
    return frozenset().union(*map(_kinds, expression.args))


def _made(symbol: Named) -> int:
    """The kind of a symbol that a pass has made."""
    return 7 if symbol.space <= Space.TENSOR else 2


def is_negative(term: Expr) -> bool:
    """Whether a term is written with a minus sign in front."""
    coefficient, _ = term.as_coeff_Mul(rational=True)
    return bool(coefficient.p < 0)  # SymPy's own `is_negative` deduces all that there is to know of each new number


@lru_cache(MEMORY)
def terms(sum_: Add | InOrder) -> Parts:
    """The terms of a sum in the order in which they are written and added."""
    free = 2 if isinstance(sum_, InOrder) else len(sum_.args)  # how many of the first may stand in any order
    return (*_sorted(sum_.args[:free], lambda term: (is_negative(term), _kind(term))), *sum_.args[free:])


def _sorted(parts: Sequence[Expr], rank: Callable[[Expr], tuple[int, ...]]) -> list[Expr]:
    """Parts by their rank, equal ones by SymPy's key, which takes long and is made where it decides only."""
    ranked: dict[tuple[int, ...], list[Expr]] = {}
    for part in parts:
        ranked.setdefault(rank(part), []).append(part)
    for group in ranked.values():
        if len(group) > 1:
            group.sort(key=lambda part: part.sort_key())
    return [part for rank_ in sorted(ranked) for part in ranked[rank_]]


@lru_cache(MEMORY)
def factors(product: Expr) -> tuple[Number, Parts, Parts]:
    """The coefficient, the numerator's factors and the denominator's, in the order in which they are written."""
    coefficient, rest = product.as_coeff_Mul(rational=True)
    above: list[Expr] = []
    below: list[Expr] = []
    for factor in Mul.make_args(rest):
        base, exponent = factor.as_base_exp()
        if exponent.is_Rational and exponent.is_negative:
            below.append(base**-exponent)
        elif factor is not S.One:
            above.append(factor)
    return coefficient, tuple(_sorted(above, _factor_rank)), tuple(_sorted(below, _factor_rank))


def _factor_rank(factor: Expr) -> tuple[int, ...]:
    symbols = factor.atoms(Named)
    varies = factor.has(normal) or any(not symbol.space <= Space.TENSOR for symbol in symbols)
    return varies, any(isinstance(symbol, Local) for symbol in symbols), not factor.is_Atom


def walk(expression: Expr, seen: set[Expr] | None = None) -> Iterator[Expr]:
    """Every node of an expression in the order in which it is read; what stands in several places is entered once."""
    seen = set() if seen is None else seen
    ahead = [expression]
    while ahead:
        node = ahead.pop()
        yield node
        if node not in seen:
            seen.add(node)
            ahead.extend(reversed(parts(node)))


def parts(expression: Basic) -> Parts:
    """The arguments of an expression in the order in which they are read."""
    if is_sum(expression):
        return terms(expression)
    if isinstance(expression, Mul):
        coefficient, above, below = factors(expression)
        return (coefficient, *above, *below)
    return tuple(expression.args)


@lru_cache(MEMORY)
def named(expression: Expr) -> tuple[Named, ...]:
    """The symbols of an expression in the order in which they are read, each once."""
    return tuple(dict.fromkeys(node for node in walk(expression) if isinstance(node, Named)))
