"""Where a kernel cannot follow the equations: values on the way that its dtype cannot hold, and sums that cancel.

A value of elements is too large if it exceeds what the dtype of the kernel holds, up to a margin. What is added up is
made in float64, and the products that are added as well, so that a square may be too large for the dtype as long as it
has no name and nothing but a total takes it; what varies over less than elements is float64 until an element meets it.
What is too small for the dtype may be 0 where it meets an infinity. A total is NaN of infinities of both signs, and of
0 times infinity, but may be infinite if a factor that all have makes them so, with which a kernel multiplies once. What
depends on such values is spoilt.

Where both sides of a comparison are nearly equal, rounding decides it, unless nothing has been rounded on the way: what
is exact is followed too, through sums and products that have no errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, reduce
from typing import Any

import numpy as np
from sympy import Expr, Rational

from optgen.language.spaces import Space
from optgen.verify.arithmetic import FLOAT64, Arithmetic, Value
from optgen.verify.error import LOST

_MARGIN = 256
_ELEMENTS = frozenset({"row", "column", "data"})
_NORMAL = 2.0**-960
"""Products of float64s that are no smaller have errors that float64 holds."""


@dataclass(frozen=True)
class Ranged:
    """Numbers, and where something went wrong on the way to them. All arrays have one shape."""

    value: Any  # float64: the numbers
    spoilt: Any  # bool: where a value on the way was too large, or too small beside an infinity
    # bool: where this value is a product that is too large itself, so that a total may take it, or 0 times infinity, of
    # which the total is another one where a factor that all have stands outside
    product: Any
    # bool: where a value on the way may have either sign: a sum has cancelled to less than its rounding
    # errors, or a product is too small for the dtype
    cancelled: Any
    summed: Any  # bool: where a sum has, which leaves no sign, be it of elements that go into a total
    exact: Any  # bool: where nothing has been rounded to get there, so that a kernel has the very number
    # Whether they differ between rows, and between columns, and whether arrays have gone into them. Only elements do
    # all; all else is float64, whatever the dtype of the kernel.
    over: frozenset[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all of them."""
        return np.shape(self.value)

    def of_model(self, place: int) -> Ranged:
        """Those of one of many models."""
        many = np.shape(self.value)[-1:]
        found: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        for name, x in found.items():
            found[name] = np.broadcast_to(x, np.shape(x)[:-1] + many)[..., place]
        return Ranged(**found, over=self.over)

    @property
    def out_of_range(self) -> Any:
        """Where a kernel may find anything."""
        return self.spoilt | self.product & ~np.isnan(self.value)


_ARRAYS = ("value", "spoilt", "product", "cancelled", "summed", "exact")


@dataclass(frozen=True)
class InRange(Arithmetic):
    """Arithmetic that notes where a dtype would have overflown, and where a sum has cancelled."""

    dtype: Any  # of the kernel
    # Whether something is added up. Magnitudes know what an element that is rounded to 0 does to others, but not what
    # the root or the sign of one does to a total, under which it may stand alone.
    totals: bool
    # Where each comparison may come out either way: what is compared is nearly equal, and has been rounded, or its sign
    # is not known. Where something is added up, the dtype may round it to 0.
    doubtful: list[Any] = field(default_factory=list, compare=False)

    def number(self, number: Any) -> Value:
        """A float64: a plain number; it is exact if float64 holds it."""
        value = FLOAT64.number(number)
        return value if _is_held(number) else replace(self._lifted(value), exact=np.zeros(value.shape, bool))

    def array(self, numbers: Any) -> Value:
        """Elements."""
        return numbers if isinstance(numbers, Ranged) else _fresh(numbers, _ELEMENTS)

    def reduced(self, numbers: Any, space: Space) -> Ranged:
        """Values of something else than elements, as arrays of reduced states have them."""
        return _fresh(numbers, _over(space))

    def apply(self, operation: str, *operands: Value) -> Value:
        """The operation in float64."""
        operands = tuple(map(self._lifted, operands))
        numbers = [operand.value for operand in operands]
        result = np.asarray(FLOAT64.apply(operation, *numbers))
        over = frozenset[str]().union(*(operand.over for operand in operands))
        wide = over != _ELEMENTS
        kind = _kind(np.float64 if wide else self.dtype)
        exact = self._is_exact(operation, operands, result, np.float64 if wide else self.dtype)
        sizes, size = list(map(np.absolute, numbers)), np.absolute(result)
        too_large = _all(map(np.isfinite, sizes)) & (size > kind.limit)
        if operation == "Div":
            too_large &= sizes[1] > 0
        cancelled, summed = (_any(getattr(x, name) for x in operands) for name in ("cancelled", "summed"))
        added = operation == "Add" and not wide
        if operation in ("Mul", "Div", "Pow") or added:  # what nothing is left of has no sign
            terms = np.maximum(reduce(np.maximum, sizes), kind.least) if added else kind.least
            nothing = (size <= LOST * kind.eps * terms) & _all(size > 0 for size in sizes) & ~exact
            cancelled, summed = cancelled | nothing, summed | (nothing & added & (terms > kind.least))
        spoilt = _any(operand.out_of_range for operand in operands)
        if not wide:  # an element meets what is larger: it is rounded to the dtype
            narrowed = _any((size > kind.limit) & np.isfinite(size) for size in sizes)
            vanished = _any((size > 0) & (size < kind.least) for size in sizes) & _any(map(np.isinf, sizes))
            spoilt = spoilt | narrowed | vanished
        if self.totals and operation in ("sqrt", "sign") and not wide:  # of what the dtype may round to 0
            known = operands[0].exact if operation == "sign" else np.False_
            spoilt = spoilt | ((size > 0) & (sizes[0] < kind.least) & ~known)
        product = np.zeros_like(too_large)
        if operation in ("Mul", "Pow"):
            product = too_large
        else:
            spoilt = spoilt | too_large
        if operation in ("Mul", "Div"):
            given = _all(operand.product | ~np.isnan(operand.value) for operand in operands)
            product = product | np.isnan(result) & given
        return Ranged(result, spoilt, product, cancelled, summed, exact, over)

    def _is_exact(self, operation: str, operands: Sequence[Ranged], result: Any, dtype: Any) -> Any:
        """Where an operation rounds nothing, nor has anything before it been rounded."""
        if operation == "finite":  # what is not, for being too large, is told apart
            return np.ones(result.shape, bool)
        if not all(np.any(operand.exact) for operand in operands):
            return np.zeros(result.shape, bool)
        given = _all(operand.exact for operand in operands)
        return given & _is_exact(operation, [x.value for x in operands], result) & _is_in(dtype, result)

    def product(self, over: Sequence[Value], under: Sequence[Value]) -> Value:
        """The product in float64, spoilt where it would be too large on the way in some order of its factors.

        What is divided by and is no element is a factor itself: kernels multiply by its inverse.
        """
        result = self._lifted(super().product(over, under))
        limit = _kind(self.dtype if result.over == _ELEMENTS else np.float64).limit
        below = [self._lifted(factor) for factor in under]
        inverse = [FLOAT64.apply("Div", 1, factor.value) for factor in below if factor.over != _ELEMENTS]
        above = [self._lifted(factor).value for factor in over] + inverse
        spoilt = result.spoilt
        for factors in (above, [factor.value for factor in below if factor.over == _ELEMENTS]):
            if len(factors) > 2:  # noqa: PLR2004 - of two the one product has been looked at
                sizes = list(map(np.absolute, factors))
                largest = reduce(np.multiply, (np.maximum(size, 1) for size in sizes))
                spoilt = spoilt | (_all(map(np.isfinite, sizes)) & (largest > limit))
        return replace(result, spoilt=spoilt)

    def named(self, value: Value) -> Value:
        """A value that has a name: of elements it is rounded to the dtype, whatever is added up of it."""
        value = self._lifted(value)
        return replace(value, spoilt=value.out_of_range, product=np.zeros_like(value.product))

    def compare(self, relation: str, left: Value, right: Value) -> Any:
        """The comparison of the numbers."""
        left, right = self._lifted(left), self._lifted(right)
        over, sizes = left.over | right.over, [np.absolute(side.value) for side in (left, right)]
        elements = over == _ELEMENTS  # what is known of others is float64
        unsure: Any = (left.out_of_range | right.out_of_range) if elements or self.totals else np.False_
        if self.totals:
            least = _kind(self.dtype).least
            unsure = unsure | _any((size > 0) & (size < least) for size in sizes)
            unsure = unsure | (_any(side.summed for side in (left, right)) & elements)
        else:
            nothing = np.inf if elements else _kind(np.float64).least  # of float64 only what is lost whole
            unsure = unsure | _any(side.cancelled & (np.absolute(side.value) < nothing) for side in (left, right))
        if over:  # what the host decides is decided as it should be
            dtype, largest = self.dtype if elements else np.float64, np.maximum(*sizes)
            close = np.absolute(left.value - right.value) <= LOST * _kind(dtype).eps * largest
            exact = _all(side.exact & _is_in(dtype, side.value) for side in (left, right))
            unsure = unsure | (close & (largest > 0) & np.isfinite(largest) & ~exact)
        self.doubtful.append(unsure)
        return FLOAT64.compare(relation, left.value, right.value)

    def rearrange(self, function: Callable[..., Any], *values: Value) -> Value:
        """The function of the numbers, and of what is noted of each."""
        values = tuple(map(self._lifted, values))
        arrays: dict[str, Any] = {
            name: np.asarray(function(*(getattr(value, name) for value in values))) for name in _ARRAYS
        }
        return Ranged(**arrays, over=frozenset[str]().union(*(its.over for its in values)))

    def reduce(self, operation: str, value: Value, axis: int, space: Space) -> Value:
        """The reduction in float64, which makes products itself: over rows or columns of matrices, or all in a line."""
        value = self._lifted(value)
        made = FLOAT64.reduce(operation, value.value, axis, space)
        noted = (value.spoilt, value.cancelled, value.summed)
        spoilt, cancelled, summed = (mask.any(axis=axis, keepdims=True) for mask in noted)
        count = np.shape(value.value)[axis]  # the largest of nothing is minus infinity, as it should be
        spoilt = spoilt | (np.absolute(made) > _kind(np.float64).limit) & (count > 0)
        if operation == "Add":
            unknown = np.isnan(value.value) & ~value.product
            spoilt = spoilt | np.isnan(made) & ~unknown.any(axis=axis, keepdims=True)
        rounded = operation == "Add" and count > 1
        exact = np.zeros_like(spoilt) if rounded else value.exact.all(axis=axis, keepdims=True)
        return Ranged(made, spoilt, np.zeros_like(spoilt), cancelled, summed, exact, _over(space))

    def _lifted(self, value: Value) -> Ranged:
        return value if isinstance(value, Ranged) else self.reduced(value, Space.STEP)


def _fresh(numbers: Any, over: frozenset[str]) -> Ranged:
    value = np.asarray(numbers, np.float64)
    nowhere = np.zeros(value.shape, bool)
    return Ranged(value, nowhere, nowhere, nowhere, nowhere, np.ones(value.shape, bool), over)


def _over(space: Space) -> frozenset[str]:
    """Over what values vary that are no elements."""
    return _ELEMENTS & {space.value} | (frozenset() if space is Space.STEP else {"data"})


@lru_cache(maxsize=1024)  # the same few in each step
def _is_held(number: Any) -> bool:
    """Whether float64 holds a number; an int or a float is what it is there."""
    return not isinstance(number, Expr) or number == Rational(*float(number).as_integer_ratio())


def _is_in(dtype: Any, value: Any) -> Any:
    """Where a dtype holds values."""
    return np.equal(value, np.asarray(value).astype(dtype))


def _is_exact(operation: str, numbers: Sequence[Any], result: Any) -> Any:
    """Where an operation in float64 rounds nothing, as far as its error is known."""
    match operation, *numbers:
        case (("Abs" | "Max" | "Min" | "sign" | "floor" | "ceiling" | "finite"), *_):
            return np.True_
        case "Add", a, b:
            there = result - a
            return (a - (result - there)) + (b - there) == 0
        case "Mul", a, b:
            return _is_product(result, a, b)
        case "Div", a, b:
            return (result * b == a) & _is_product(a, result, b)
        case "sqrt", a:
            return (result * result == a) & _is_product(a, result, result)
    return np.False_


def _is_product(product: Any, a: Any, b: Any) -> Any:
    """Where a product has no error (Dekker 1971)."""
    (a_high, a_low), (b_high, b_low) = map(_halves, (a, b))
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return (error == 0) & ((np.absolute(product) >= _NORMAL) | (a == 0) | (b == 0))


def _halves(number: Any) -> tuple[Any, Any]:
    """Two numbers of half as many digits, which make a float64."""
    large = number * (2.0**27 + 1)
    high = large - (large - number)
    return high, number - high


def _any(masks: Any) -> Any:
    return reduce(np.logical_or, masks)


def _all(masks: Any) -> Any:
    return reduce(np.logical_and, masks)


@dataclass(frozen=True)
class _Kind:
    """What a dtype can hold."""

    limit: float
    least: float
    eps: float


@cache  # NumPy takes longer to say it than for most operations
def _kind(dtype: Any) -> _Kind:
    """The largest number with a margin, the smallest normal number, and the distance from 1 to the next."""
    info = np.finfo(dtype)
    return _Kind(float(info.max) / _MARGIN, float(info.smallest_normal), float(info.eps))
