"""How wrong a kernel is: in units in the last place, on the scale of the terms that it adds.

The difference of two nearly equal numbers has few good digits however well it is computed, so an error is measured
against the *magnitude* of a value: how large the terms are that went into it. Every value carries one beside it, M:

- a number or a function of hyperparameters and t alone: ``M = |value|``. Such a scalar is computed in float64 once a
  step and has no excuse for cancellation, where there is a form that does not cancel: ``1 - b**t``, say. A sum that is
  rational in them, ``1 - t/T``, is as wrong as float64 leaves it, and so is a power, an exponential or a wave of what
  float64 has rounded, ``(1 - t/T)**1000`` and ``cos(pi*t/T)`` after many waves: these have a magnitude in float64, by
  the same rules, and where they meet theta, g or a state ``M = eps(float64)/eps`` of that;
- theta, g and the states: ``M = |value|``, and what a step returned keeps its M in the next;
- ``M(a + b) = M(a) + M(b)`` and ``M(a * b) = M(a) * M(b)``;
- ``max`` and ``min``: the larger M of their operands; a Piecewise: the M of the branch that is taken;
- any other function: how far its value moves when an operand moves by its own rounding error,
  ``M(f(x)) = |f(x ± eps * M(x)) - f(x)| / eps``, the larger of the two, summed over the operands. Where f is smooth
  that is ``|f'(x)| * M(x)``, and it stays meaningful at the root of 0 and at the jumps of sign and floor. A scalar
  operand, the exponent of a power say, moves by what rounding it to the dtype changes. Where an operand is not known to
  an eighth of a period, a wave and a remainder may be anywhere from end to end, and a tangent may be anything;
- ``a / b`` is ``a * (1/b)``, and ``M(1/x) = M(x) / x**2``, but infinite where x is *lost*, ``|x| <= 8 * eps * M(x)``:
  fewer than three bits of x are known, and its inverse may be anything. So may its logarithm, its negative powers, and
  the tangent of what is as close to a pole;
- nothing is known to less than rounding to denormals leaves: ``M >= |value|`` and ``M >= the smallest normal number``.
  The factors of a product may be multiplied in any order, and those of any two that vanish on the way are lost before
  the others make them large: ``M(a*b*c/d) >= the smallest normal number * any of M(a), M(b), M(c), M(1/d)`` and, of
  four factors, any two of them, and so on.

The error is ``|kernel - exact| / (eps * M)``, with eps the distance from 1 to the next number of the dtype. One
correctly rounded operation is therefore wrong by 1/2 at most. An infinity counts as the first power of two that is too
large for the dtype, and so does every exact value beyond it. NaN is right where the exact value is NaN, and wrong by
infinitely much elsewhere; where M is infinite, nothing is wrong. Magnitudes are float64, which is enough to measure by;
one that float64 cannot hold is infinite. No allowance is made for a kernel that overflows on
the way to a result it could hold, or that takes the other branch of a Piecewise next to a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.language.spaces import Space
from optgen.verify.arithmetic import Arithmetic, Digits, Value

_DENSE = 2.0**-900
"""Above it, float64 has all of its digits, and some to spare."""
LOST = 8
"""How many units in the last place of its magnitude a value must exceed for its inverse to be known."""


@dataclass(frozen=True)
class Measured:
    """Numbers and the magnitudes of the terms they were computed from."""

    value: Any  # array of mpmath numbers
    magnitude: Any  # array of float64, one for each

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both arrays."""
        return np.shape(self.value)

    @cached_property
    def in_float64(self) -> NDArray[np.float64]:
        """The numbers as float64 has them."""
        return np.asarray(self.value, np.float64)

    def of_model(self, place: int) -> Measured:
        """Those of one of many models."""
        return Measured(self.value[..., place], self.magnitude[..., place])


@dataclass(frozen=True)
class MeasuredScalar(Measured):
    """Numbers that no array has gone into and that float64 has left few digits of: their magnitudes are in float64."""

    plain: Any = False  # where one of many is a plain number all the same


@dataclass(frozen=True)
class Magnitudes(Arithmetic):
    """Arithmetic with many digits that carries magnitudes.

    Other values that no array has gone into are plain numbers: their magnitude is their absolute value.
    """

    dtype: Any  # the dtype of the kernel that is measured

    @cached_property
    def exact(self) -> Digits:
        """The arithmetic of the values."""
        return Digits()

    @cached_property
    def eps(self) -> float:
        """The distance from 1 to the next number of the dtype."""
        return float(np.finfo(self.dtype).eps)

    @cached_property
    def float64(self) -> Magnitudes:
        """The arithmetic of scalars."""
        return replace(self, dtype=np.float64)

    @cached_property
    def tiny(self) -> float:
        """The smallest normal number of the dtype."""
        return float(np.finfo(self.dtype).smallest_normal)

    @cached_property
    def largest(self) -> float:
        """The largest number of the dtype."""
        return float(np.finfo(self.dtype).max)

    @cached_property
    def too_large(self) -> Any:
        """The first power of two that the dtype cannot hold."""
        return self.exact.number(2) ** int(np.finfo(self.dtype).maxexp)

    def number(self, number: Any) -> Value:
        """A plain number, exact in its own right."""
        return self.exact.number(number)

    def array(self, numbers: Any) -> Value:
        """Leaves: floats that carry their own size."""
        return numbers if isinstance(numbers, Measured) else self._lifted(self.exact.array(numbers))

    def apply(self, operation: str, *operands: Value) -> Value:
        """The operation on the values, and its rule on the magnitudes."""
        if not any(isinstance(operand, Measured) for operand in operands):
            return self.exact.apply(operation, *operands)
        plain = [_plain(operand) for operand in operands]
        if any(type(operand) is Measured for operand in operands):
            return self._measured(operation, [self._lifted(operand) for operand in operands], plain)
        in_float64 = [
            operand if isinstance(operand, Measured) else self.float64._lifted(operand)  # noqa: SLF001 - one of us
            for operand in operands
        ]
        made = self.float64._measured(operation, in_float64, plain)  # noqa: SLF001
        return self._scalar(made.value, made.magnitude, reduce(np.logical_and, plain))

    def _scalar(self, value: Any, magnitude: Any, plain: Any) -> MeasuredScalar:
        """Numbers with magnitudes in float64, which those that are plain have of themselves."""
        if np.any(plain):
            magnitude = np.where(plain, np.maximum(_size(value), self.float64.tiny), magnitude)
        return MeasuredScalar(value, magnitude, plain)

    def _measured(self, operation: str, lifted: Sequence[Measured], plain: Sequence[Any]) -> Measured:
        """The operation on values with magnitudes, of which some are plain numbers."""
        values = [operand.value for operand in lifted]
        magnitudes = [operand.magnitude for operand in lifted]
        result = self.exact.apply(operation, *values)
        match operation:
            case "Add":
                magnitude = np.add(*magnitudes)
            case "Mul":
                magnitude = np.multiply(*magnitudes)
            case "Max" | "Min":
                magnitude = np.maximum(*magnitudes)
            case "Div":
                magnitude = magnitudes[0] * self._inverse(values[1], magnitudes[1])
            case "sqrt" if np.shape(result) and not np.any(plain[0]):
                return self._floored(result, self._moved_root(result, lifted[0]))
            case _:
                return self._floored(result, self._moved(operation, result, lifted, plain))
        return Measured(result, np.maximum(magnitude, self.tiny))  # it is no less than the result as those before are

    def sum(self, terms: Sequence[Value], *, exactly: bool) -> Value:
        """The sum; one of plain numbers that cancels has the errors of float64, unless it is to keep its digits."""
        result = super().sum(terms, exactly=exactly)
        if exactly or not np.any(_plain(result)):
            return result
        sizes = [_size(getattr(term, "value", term)) for term in terms]
        near = 4 * _size(getattr(result, "value", result)) >= reduce(np.maximum, sizes)
        return self._where_near(near, result, reduce(np.add, sizes))

    def _where_near(self, near: Any, result: Value, magnitude: Any) -> Value:
        """What is plain in a result, but where it is not near what float64 makes of it, with that magnitude."""
        if not isinstance(result, Measured):
            if np.all(near):
                return result
            return self._scalar(np.asarray(result, object), magnitude, near)
        magnitude = np.where(_plain(result), magnitude, result.magnitude)
        return self._scalar(result.value, magnitude, _plain(result) & near)

    def function(self, operation: str, operands: Sequence[Value], *, given: Sequence[bool]) -> Value:
        """The function; one of plain numbers that float64 has rounded is as wrong as that leaves it, if that is far."""
        result = self.apply(operation, *operands)
        if all(given) or not np.any(_plain(result)):
            return result
        values = [getattr(operand, "value", operand) for operand in operands]
        rounded = (x if exact else self.float64.array(x) for x, exact in zip(values, given, strict=True))
        magnitude = self.float64.apply(operation, *rounded).magnitude
        near = magnitude <= 4 * _size(getattr(result, "value", result))
        return self._where_near(near, result, magnitude)

    def product(self, over: Sequence[Value], under: Sequence[Value]) -> Value:
        """The product, with the magnitude of what denormals on the way leave of it, in whatever order it is taken."""
        result = super().product(over, under)
        if type(result) is not Measured:
            return result
        signs = [_is_sign(factor) for factor in (*over, *under)]
        kept = [not np.all(each) for each in signs]
        if sum(kept) < 3:  # noqa: PLR2004 - of two the one product is the result
            return result
        lifted = [self._lifted(factor) for factor in (*over, *under)]
        sizes = [x.magnitude for x in lifted[: len(over)]]
        sizes += [self._inverse(x.value, x.magnitude) for x in lifted[len(over) :]]
        # What is a sign in some models only comes first there, and is dropped beside the two that are smallest.
        sizes = [np.where(sign, 0, size) for size, sign, keep in zip(sizes, signs, kept, strict=True) if keep]
        ordered = np.sort(np.stack(np.broadcast_arrays(*sizes)), axis=0)
        dropped = 2 + reduce(np.add, [np.asarray(sign, int) for sign, keep in zip(signs, kept, strict=True) if keep])
        place = np.arange(len(ordered)).reshape(-1, *(1,) * (ordered.ndim - 1))
        largest = np.where(place < dropped, 1, np.maximum(ordered, 1))
        vanished = np.multiply.reduce(largest, axis=0, initial=self.tiny)
        return Measured(result.value, np.maximum(result.magnitude, vanished))

    def compare(self, relation: str, left: Value, right: Value) -> Any:
        """The comparison of the values."""
        return self.exact.compare(relation, *(getattr(side, "value", side) for side in (left, right)))

    def rearrange(self, function: Callable[..., Any], *values: Value) -> Value:
        """The function of the values, and of the magnitudes."""
        lifted = [self._lifted(value) for value in values]
        return Measured(function(*(x.value for x in lifted)), function(*(x.magnitude for x in lifted)))

    def reduce(self, operation: str, value: Value, axis: int, space: Space) -> Value:
        """The reduction of the values, and of the magnitudes."""
        lifted = self._lifted(value)
        add = {"Add": np.add, "Max": np.maximum}[operation]
        magnitude = add.reduce(lifted.magnitude, axis=axis, keepdims=True, initial=0)
        return self._floored(self.exact.reduce(operation, lifted.value, axis, space), magnitude)

    def ulps(self, result: Any, expected: Measured) -> NDArray[np.float64]:
        """The error of every element of what a kernel computed, in units in the last place of its magnitude."""
        found, value = self.exact.array(result), expected.value
        magnitude = np.asarray(expected.magnitude, np.float64)
        sizes = [np.absolute(np.asarray(x, np.float64)) for x in (found, value)]
        usual = np.isfinite(sizes[0]) & (sizes[1] < self.largest) & np.isfinite(magnitude)
        errors = np.empty(found.shape)
        with np.errstate(over="ignore"):
            errors[usual] = self.apart(found[usual], value[usual], magnitude[usual]) / self.eps
        for k in np.flatnonzero(~usual):
            errors.flat[k] = self._error(found.flat[k], value.flat[k], magnitude.flat[k])
        return errors

    def apart(self, found: Any, value: Any, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many units finite numbers are apart."""
        distance = np.absolute(np.asarray(np.subtract(found, value), np.float64))
        with np.errstate(all="ignore"):
            errors = np.asarray(distance / units)
        # The others are too large or too small for float64 to hold them.
        held = np.isfinite(errors) & (distance > _DENSE)
        for k in np.flatnonzero(~held):
            if found[k] != value[k]:
                errors[k] = float(abs(found[k] - value[k]) / self.exact.number(float(units[k])))
        return errors

    def _error(self, found: Any, value: Any, magnitude: Any) -> float:
        isnan = self.exact.context.isnan
        if isnan(value):
            return 0.0 if isnan(found) else np.inf
        if magnitude == np.inf:
            return 0.0
        if isnan(found):
            return np.inf
        held = [max(-self.too_large, min(number, self.too_large)) for number in (found, value)]
        return float(abs(held[0] - held[1]) / self.exact.number(magnitude) / self.eps)

    def _lifted(self, value: Value) -> Measured:
        if isinstance(value, MeasuredScalar):
            return self._floored(value.value, value.magnitude * (self.float64.eps / self.eps))
        return value if isinstance(value, Measured) else self._floored(value, self.tiny)

    def _floored(self, value: Any, magnitude: Any) -> Measured:
        """A value whose magnitude is no less than it and than the smallest normal number; NaN if one is."""
        return Measured(value, np.maximum(np.maximum(magnitude, _size(value)), self.tiny))

    def _moved_root(self, root: Any, operand: Measured) -> Any:
        """How far the root of numbers moves, in units: ``e/(sqrt(x ± e) + sqrt(x))``, where float64 can tell the side.

        That is the lower one unless it is negative. Where float64 cannot tell, all digits are looked at.
        """
        with np.errstate(all="ignore"):
            error, x = operand.magnitude * self.eps, operand.in_float64
            there = np.sqrt(np.where(x > error, x - error, x + error))
            moved = operand.magnitude / (np.asarray(root, np.float64) + there)
            known = (x >= 0) & (np.maximum(x, error) < 1 / _DENSE) & (error > _DENSE)
            known &= np.absolute(x - error) > error * 2.0**-40
        if not np.all(known):
            left = Measured(operand.value[~known], operand.magnitude[~known])
            moved[~known] = self._moved("sqrt", root[~known], [left], [False])
        return moved

    def _moved(self, operation: str, result: Any, operands: Sequence[Measured], plain: Sequence[Any]) -> Any:
        values: list[Any] = [operand.value for operand in operands]
        total: Any = self.exact.number(0)
        for k, operand in enumerate(operands):
            farthest: Any = self.exact.number(0)
            for error in self._errors(operand, plain[k]):
                there = self.exact.apply(operation, *values[:k], np.add(values[k], error), *values[k + 1 :])
                farthest = _FARTHER(farthest, there, result)
            total = np.add(total, farthest)
        if operation == "log" or (operation == "Pow" and np.less(values[1], 0).any()):
            pole = np.logical_not(plain[0]) & self._is_lost(_size(values[0]), operands[0].magnitude)
            total = np.where(pole & (np.less(values[-1], 0) | (operation == "log")), self.exact.context.inf, total)
        if operation == "Mod" or operation in _PERIODS:
            total = np.where(self._turned(operation, result, operands, plain), _ends(operation, values), total)
        return np.asarray(np.multiply(total, self.exact.number(1 / self.eps)), np.float64)

    def _turned(self, operation: str, result: Any, operands: Sequence[Measured], plain: Sequence[Any]) -> Any:
        """Where a function goes through a good part of its period between an operand and what rounding makes of it."""
        errors = [x.magnitude * self.eps * np.logical_not(its) for x, its in zip(operands, plain, strict=True)]
        with np.errstate(all="ignore"):
            if operation == "Mod":
                whole, period = (_size(x.value) for x in operands)
                return np.maximum(errors[0], errors[1] * (whole / period)) >= period / 8
            turned = errors[0] >= _PERIODS[operation] / 8
            return turned | (LOST * errors[0] * _size(result) >= 1) if operation == "tan" else turned

    def _errors(self, operand: Measured, plain: Any) -> tuple[Any, ...]:
        if not np.any(plain):
            error = self.exact.array(operand.magnitude) * self.exact.number(self.eps)
            return error, -error
        rounded = self.exact.array(np.asarray(operand.value, object).astype(self.dtype))
        moved = np.subtract(rounded, operand.value)
        if np.all(plain):
            return (moved,) if np.any(moved) else ()
        error = self.exact.array(operand.magnitude) * self.exact.number(self.eps)
        return np.where(plain, moved, error), np.where(plain, moved, -error)

    def _inverse(self, value: Any, magnitude: Any) -> Any:
        size = _size(value)
        return np.where(self._is_lost(size, magnitude), np.inf, magnitude / size / size)

    def _is_lost(self, size: Any, magnitude: Any) -> Any:
        """Where fewer than three bits of a value are known."""
        return size <= magnitude * (LOST * self.eps)


_PERIODS = {"sin": 2 * np.pi, "cos": 2 * np.pi, "tan": np.pi}
"""After how much a function comes again."""


def _ends(operation: str, values: Sequence[Any]) -> Any:
    """How far apart the values of a function that turns may be."""
    return np.absolute(values[1]) if operation == "Mod" else {"sin": 2, "cos": 2, "tan": np.inf}[operation]


def _farther(farthest: Any, there: Any, here: Any) -> Any:
    """The larger of a distance and that of two numbers; on one side there may be none, as at the root of 0."""
    if there != there or farthest != farthest:  # noqa: PLR0124 - as NaN is
        return farthest
    distance = abs(there - here)
    return farthest if distance <= farthest else distance


_FARTHER = np.frompyfunc(_farther, 3, 1)


def _size(value: Any) -> Any:
    """The absolute value of numbers, as float64."""
    return np.absolute(np.asarray(value, np.float64))


def _plain(operand: Value) -> Any:
    """Where an operand is a plain number."""
    return getattr(operand, "plain", not isinstance(operand, Measured))


def _is_sign(factor: Value) -> Any:
    """Where a factor is 1 or -1, which takes nothing from another."""
    plain: Any = _plain(factor)
    if not np.any(plain):
        return False
    numbers: Any = getattr(factor, "value", factor)
    return plain & np.asarray(np.absolute(numbers) == 1, np.bool_)
