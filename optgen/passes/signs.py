"""signs: what is compared with 0 is compared by the signs of its factors.

A product of small numbers can be 0 where the author's, ``g*m > 0``, is not, be it under a name; so can a square, and
two squares are compared by what is squared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sympy import Abs, Eq, Gt, Lt, Mul, Piecewise, Pow, S, sign, sqrt
from sympy.core.relational import Relational

from optgen.ir import Kernel, Sweep
from optgen.language.domains import domain_of
from optgen.language.order import factors
from optgen.language.signs import sign_of
from optgen.language.symbols import Hyper, Named


def signs(kernel: Kernel) -> Kernel:
    """The kernel with no product in its sweeps of which only the sign is asked."""
    return kernel.map_sweeps(lambda sweep: _by_signs(sweep, kernel.host))


def _by_signs(sweep: Sweep, host: frozenset[Named]) -> Sweep:
    given = dict.fromkeys(host, S.One)  # what is computed once a step, in float64
    products = {assign.target: assign.value for assign in sweep.body if _is_product(assign.value.xreplace(given))}

    def written_out(value: Any) -> Any:
        """A product without names of others."""
        while isinstance(value, Mul | Pow | Named) and (names := value.free_symbols & products.keys()):
            value = value.xreplace({name: products[name] for name in names})
        return value

    def signed(node: Any) -> Any:
        product = written_out(node.args[0])
        return sign_of(product, undefined=True) if _is_product(product) else node

    def signed_as_number(node: Any) -> Any:
        product = written_out(node.args[0])
        if not (_is_product(product) and factors(product)[2]):
            return signed(node)
        # Divided by 0 it is infinite, and has its own sign; so it has unless it has vanished.
        return Piecewise((sign_of(product), Eq(node.args[0], 0)), (node, True))

    def compared(relation: Any) -> Any:
        node = relation.replace(lambda inside: isinstance(inside, sign), signed)
        left, right = node.args
        if S.Zero in node.args:
            left, right = written_out(left), written_out(right)
        return _compared(node.func(left, right, evaluate=False) if (left, right) != node.args else node)

    def settled(value: Any) -> Any:
        by_signs = value.replace(lambda node: isinstance(node, Relational), compared)
        return by_signs.replace(lambda node: isinstance(node, sign), signed_as_number)

    return replace(sweep, body=tuple(replace(assign, value=settled(assign.value)) for assign in sweep.body))


def _compared(node: Any) -> Any:
    """A comparison of a product with 0 by its signs, and of two squares by what is squared."""
    left, right = node.args
    undefined = not isinstance(node, Gt | Lt)  # of 0 and NaN neither is above or below 0
    if left == S.Zero and _is_product(right):
        return node.func(left, sign_of(right, undefined=undefined), evaluate=False)
    if right == S.Zero and _is_product(left):
        return node.func(sign_of(left, undefined=undefined), right, evaluate=False)
    roots = [_root_of_square(side) for side in node.args]
    return node if None in roots else node.func(*roots, evaluate=False)


def _root_of_square(value: Any) -> Any:
    """What is squared, times the root of a factor that is not negative; None if there is no square."""
    squares = [part for part in Mul.make_args(value) if isinstance(part, Pow) and part.exp == 2]  # noqa: PLR2004
    rest = [part for part in Mul.make_args(value) if part not in squares]
    domains = [domain_of(part) if isinstance(part, Hyper) else None for part in rest]
    known = (part.is_nonnegative or (its is not None and its.low >= 0) for part, its in zip(rest, domains, strict=True))
    if len(squares) != 1 or not all(known):
        return None
    return Mul(*map(sqrt, rest), Abs(squares[0].base))


def _is_product(value: Any) -> bool:
    """Whether more than one number is multiplied, beside signs."""
    parts = [part for part in Mul.make_args(value) if not part.is_number and not isinstance(part, sign)]
    parts = [inner for part in parts for inner in Mul.make_args(part.args[0] if isinstance(part, Abs) else part)]
    powers = any(isinstance(part, Pow) and part.exp.is_Integer and part.exp > 1 for part in parts)
    return len(parts) > 1 or powers
