"""Sums in the order in which they are written.

SymPy flattens sums and sorts them, in real arithmetic with good reason. In floating point ``(theta.next - theta) - y``
is a rounding error and what SymPy makes of it is nothing. So the symbols of a spec bring operators of their own: what
they are added to becomes an `InOrder` wherever three terms or more leave a choice of how to round. Two terms have none
and stay a sum as SymPy has it.

The operators of SymPy's own functions are SymPy's. They give way wherever one operand is made of symbols by operators;
only in a sum of three functions or more, ``exp(a) + exp(b) + exp(c)``, SymPy has sorted the first terms before anything
here sees them. ``InOrder(exp(a), exp(b), exp(c))`` says the order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sympy import Add, Expr, Mul, Number, Pow, S, SympifyError, sympify
from sympy.core.logic import fuzzy_and

from optgen.language.graph import has, mapped, rebuilt, reworded


class Written(Expr):
    """An expression whose operators keep the order that is written."""

    __slots__ = ()
    _op_priority = 20.0

    def __add__(self, other: Any) -> Any:
        return _applied(_sum, self, other)

    def __radd__(self, other: Any) -> Any:
        return _applied(_sum, other, self)

    def __sub__(self, other: Any) -> Any:
        return _applied(_difference, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _applied(_difference, other, self)

    def __mul__(self, other: Any) -> Any:
        return _applied(_product, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _applied(_product, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _applied(_quotient, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _applied(_quotient, other, self)

    def __pow__(self, other: Any, mod: Any = None) -> Any:
        return _applied(Pow, self, other) if mod is None else NotImplemented

    def __neg__(self) -> Any:
        return _written(negated(self))


class InOrder(Written):
    """A sum whose terms are added from left to right: ``InOrder(a, b, c)`` is ``(a + b) + c``.

    A sum among its terms is added as a whole: ``InOrder(a, -InOrder(b, c))`` is ``a - (b + c)``. The first two terms
    may change places, which changes no rounding. In real arithmetic it is its plain sum, see `plain`.
    """

    __slots__ = ()
    is_commutative = True

    def __new__(cls, *terms: Any) -> Any:
        """The sum of terms, of which zeros are left out and one alone is itself."""
        given = [term for term in (sympify(term, strict=True) for term in terms) if term is not S.Zero]
        if all(isinstance(term, Number) for term in given):
            return Add(*given)
        if isinstance(given[0], InOrder):
            given[:1] = given[0].args
        if len(given) > 1:
            given[:2] = sorted(given[:2], key=lambda term: term.sort_key())
            return Expr.__new__(cls, *given)
        return given[0]

    def _all(self, name: str) -> Any:
        return fuzzy_and(getattr(term, name) for term in self.args)

    def _eval_is_extended_real(self) -> Any:
        return self._all("is_extended_real")

    def _eval_is_finite(self) -> Any:
        return self._all("is_finite") or None

    def _eval_is_extended_nonnegative(self) -> Any:
        return self._all("is_extended_nonnegative") or None

    def _eval_is_integer(self) -> Any:
        return self._all("is_integer") or None

    def _eval_evalf(self, prec: int) -> Any:
        return plain(self)._eval_evalf(prec)  # noqa: SLF001 - SymPy's way to ask


# Products, powers and sums of two terms, as SymPy has them but for their operators. They go by the names of what they
# stand for, so that SymPy counts both as equal; an expression of a spec has none of them any more, see `settled`.


class _Product(Written, Mul):
    __slots__ = ()


class _Power(Written, Pow):
    __slots__ = ()


class _Pair(Written, Add):
    __slots__ = ()


_AS_SYMPY: Mapping[type, Any] = {_Product: Mul, _Power: Pow, _Pair: Add}


def _is_equal(self: Any, other: Any) -> bool:
    return isinstance(other, _AS_SYMPY[type(self)]) and self.args == other.args


for _kind, _stands_for in _AS_SYMPY.items():
    _kind.__name__ = _stands_for.__name__
    _kind.__eq__ = _is_equal  # type: ignore[method-assign, assignment]
    _kind.__hash__ = _stands_for.__hash__  # type: ignore[method-assign]


def _applied(operator: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    try:
        sides = [_top(sympify(side, strict=True)) for side in (left, right)]
    except SympifyError:
        return NotImplemented
    are_numbers = all(isinstance(side, Expr) and not side.is_Matrix for side in sides)
    return _written(operator(*sides)) if are_numbers else NotImplemented


def _top(value: Any) -> Any:
    """What SymPy has for a product, power or sum; what is inside of it waits for `settled`."""
    kind = _AS_SYMPY.get(type(value))
    return value if kind is None else _of(kind, value)


def _written(value: Any) -> Any:
    kind = next((own for own, stands_for in _AS_SYMPY.items() if type(value) is stands_for), None)
    return value if kind is None else _of(kind, value)


def _of(kind: Any, value: Any) -> Any:
    """The same arguments as another kind of expression."""
    made = Expr.__new__(kind, *value.args)
    made.is_commutative = value.is_commutative
    return made


def _sum(left: Any, right: Any) -> Any:
    if not (is_sum(left) or is_sum(right)):
        return Add(left, right)
    if isinstance(left, InOrder) and right is not S.Zero:  # a thousand terms are appended one by one
        return Expr.__new__(InOrder, *left.args, _whole(right))
    return InOrder(*(left.args if is_sum(left) and len(left.args) == 2 else (left,)), _whole(right))  # noqa: PLR2004


def _difference(left: Any, right: Any) -> Any:
    return _sum(left, negated(_whole(right)))


def _product(left: Any, right: Any) -> Any:
    # SymPy would multiply 3*(a + b) out.
    number, other = (left, right) if isinstance(left, Number) else (right, left)
    if isinstance(number, Number) and abs(number) != 1:
        return Mul(number, _whole(other))
    return Mul(left, right)


def _quotient(left: Any, right: Any) -> Any:
    return _product(left, Pow(right, S.NegativeOne))


def _whole(value: Any) -> Any:
    """A sum that stays whole where it is a term or a factor."""
    return InOrder(*value.args) if isinstance(value, Add) and len(value.args) == 2 else value  # noqa: PLR2004


def is_sum(value: Any) -> bool:
    """Whether a value is a sum, of any kind."""
    return isinstance(value, Add | InOrder)


def negated(value: Any) -> Any:
    """A value with the other sign, without the operators of a spec."""
    return Mul(S.NegativeOne, value)


def settled(expression: Any) -> Any:
    """An expression as it is compiled: products, powers and sums of two terms are SymPy's own."""

    def own(node: Any, arguments: Sequence[Any]) -> Any:
        if isinstance(node, InOrder):  # whose first terms are sorted: to ask again compares them with what they were
            return Expr.__new__(InOrder, *arguments)
        kind = _AS_SYMPY.get(type(node))
        return kind(*arguments, evaluate=False) if kind else reworded(node, arguments)

    return mapped(expression, own)


def plain(expression: Any) -> Any:
    """An expression in real arithmetic, where a sum has no order, with SymPy's own products, powers and sums."""

    def own(node: Any, arguments: Sequence[Any]) -> Any:
        kind = Add if isinstance(node, InOrder) else _AS_SYMPY.get(type(node))
        return kind(*arguments) if kind else rebuilt(node, arguments)

    return mapped(expression, own)


def replaced(expression: Any, known: Mapping[Any, Any]) -> Any:
    """An expression with others in the place of symbols, whose sums stay whole: SymPy's own way would flatten them."""

    def made(node: Any, arguments: Sequence[Any]) -> Any:
        if node in known:
            return known[node]
        if isinstance(node, Add | Mul) and not has(node, arguments):
            parts = map(_whole, arguments)
            if isinstance(node, Mul):
                return Mul(*parts)
            return InOrder(*parts) if any(map(is_sum, arguments)) else Add(*arguments)  # in order once a term is a sum
        return rebuilt(node, arguments)

    return mapped(expression, made)
