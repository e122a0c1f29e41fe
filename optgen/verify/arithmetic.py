"""What the oracle computes with: float64, or any number of digits.

All follow IEEE 754 where a formula leaves the real numbers: 1/0 is infinite, 0/0 and the root of a negative number are
NaN, and nothing warns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial, reduce
from typing import Any

import mpmath
import numpy as np
from mpmath.libmp import fnan, from_float
from sympy import NumberSymbol, Rational

from optgen.errors import UsageError
from optgen.language.spaces import Space

Value = Any
"""A number or an array of numbers, as an arithmetic represents it."""

_RELATIONS = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class Arithmetic(ABC):
    """What equations are computed with."""

    @abstractmethod
    def number(self, number: Any) -> Value:
        """An int, a float (which stands for exactly itself), or a SymPy number."""

    @abstractmethod
    def array(self, numbers: Any) -> Value:
        """An array of floats, each of which stands for exactly itself; what is a value already stays as it is."""

    @abstractmethod
    def apply(self, operation: str, *operands: Value) -> Value:
        """An operation element by element: the name of a SymPy function, or ``Div`` or ``sqrt``."""

    def product(self, over: Sequence[Value], under: Sequence[Value]) -> Value:
        """A product over another, with one division at the end, as one would write it: a reciprocal could overflow."""
        multiply = partial(self.apply, "Mul")
        above = reduce(multiply, over) if over else self.number(1)
        return self.apply("Div", above, reduce(multiply, under)) if under else above

    def sum(self, terms: Sequence[Value], *, exactly: bool) -> Value:
        """A sum; exactly if it is one that is to keep its digits even where its terms cancel."""
        del exactly
        return reduce(partial(self.apply, "Add"), terms)

    def function(self, operation: str, operands: Sequence[Value], *, given: Sequence[bool]) -> Value:
        """A function that makes errors larger, of operands some of which may be given and so have none."""
        del given
        return self.apply(operation, *operands)

    def named(self, value: Value) -> Value:
        """What has a name, as a kernel keeps it."""
        return value

    @abstractmethod
    def compare(self, relation: str, left: Value, right: Value) -> Any:
        """An array of bool."""

    @abstractmethod
    def rearrange(self, function: Callable[..., Any], *values: Value) -> Value:
        """What a NumPy function that moves numbers about, and computes nothing, makes of the values."""

    @abstractmethod
    def reduce(self, operation: str, value: Value, axis: int, space: Space) -> Value:
        """``Add`` or ``Max`` along an axis, which is kept with length 1; 0 or minus infinity if it is empty.

        What comes of it varies over a space.
        """


class _Plain(Arithmetic):
    """An arithmetic whose values are what NumPy works on."""

    @property
    @abstractmethod
    def operations(self) -> Mapping[str, Any]:
        """By name, functions of arrays; those for `reduce` are NumPy ufuncs."""

    def apply(self, operation: str, *operands: Value) -> Value:
        """The operation from the table."""
        function = self.operations.get(operation)
        if function is None:
            raise UsageError(f"the reference cannot compute {operation!r}; it knows {', '.join(self.operations)}")
        return function(*operands)

    def compare(self, relation: str, left: Value, right: Value) -> Any:
        """NumPy's comparison, false for NaN but in ``!=``."""
        return _RELATIONS[relation](left, right)

    def rearrange(self, function: Callable[..., Any], *values: Value) -> Value:
        """The function of the arrays themselves."""
        return function(*values)

    def reduce(self, operation: str, value: Value, axis: int, space: Space) -> Value:
        """NumPy's reduction."""
        del space
        empty = self.number({"Add": 0, "Max": -math.inf}[operation])
        return self.operations[operation].reduce(value, axis=axis, keepdims=True, initial=empty)


_BY_NAME = ("sqrt", "sign", "floor", "exp", "log", "sin", "cos", "tan", "tanh")
"""What NumPy and mpmath have under SymPy's names."""
_ON_FLOAT64 = {
    **{name: getattr(np, name) for name in _BY_NAME},
    "Add": np.add,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mod": np.mod,
    "Abs": np.absolute,
    "ceiling": np.ceil,
    "atan2": np.arctan2,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "finite": lambda x: np.isfinite(x).astype(np.float64),
}


@dataclass(frozen=True)
class Float64(_Plain):
    """Arithmetic of float64 arrays."""

    context = np
    """What says which numbers are none, and has those that are."""

    @property
    def operations(self) -> Mapping[str, Any]:
        """NumPy's own functions."""
        return _ON_FLOAT64

    def number(self, number: Any) -> Value:
        """The nearest float64."""
        return np.float64(number)

    def array(self, numbers: Any) -> Value:
        """An array of float64."""
        return np.asarray(numbers, np.float64)


FLOAT64 = Float64()


_STEEP, _HIGH, _FAR = 24, 200, 2**14
"""Of so many bits are whole parts with an exponential, exponents, and numbers with a sine, at most.

What float64 holds has fewer. With more, mpmath takes minutes or all memory, as for exp(exp(t)) after 100,000 steps.
"""


def _bits(number: Any) -> float:
    """How many bits the whole part of a number has; of what is far below 1, less than 0."""
    _, mantissa, exponent, bits = number._mpf_
    return float("-inf") if not mantissa else exponent + bits


@lru_cache
def _context(digits: int) -> Any:
    """The context for so many digits: mpmath takes longer to make one than most steps of a rule take."""
    context = mpmath.MPContext()
    context.dps = digits
    context.trap_complex = True  # what has no real value is none: it is an error, and need not be computed
    return context


@dataclass(frozen=True)
class Digits(_Plain):
    """Arithmetic with many digits: object arrays of mpmath numbers, in a context that is not mpmath's own.

    There is one zero, which counts as positive, and nothing overflows but an exponential or a power that no computer
    could make more of: its exponent would fill the memory, or be as good as infinite.
    """

    digits: int = 50  # how many decimal digits are carried; 17 at least, so that every float64 enters as it is

    @property
    def context(self) -> Any:
        """The mpmath context that holds the precision."""
        return _context(self.digits)

    @cached_property
    def operations(self) -> Mapping[str, Any]:
        """The operations as NumPy functions of object arrays."""
        context = self.context
        nan, mpf = context.nan, context.mpf

        def real(function: Callable[..., Any], operands: int) -> Any:
            def ieee(*numbers: Any) -> Any:
                for number in numbers:
                    if number._mpf_ == fnan:  # asked often, and ten times faster than of the number
                        return nan
                try:
                    result = function(*numbers)
                except (ValueError, ZeroDivisionError):
                    return nan
                return result if type(result) is mpf else mpf(result)  # nearly always it is; it is asked often

            return np.frompyfunc(ieee, operands, 1)

        def divide(a: Any, b: Any) -> Any:
            return a / b if b else a * context.inf

        def exp(x: Any) -> Any:
            if _bits(x) <= _STEEP:
                return context.exp(x)
            return context.inf if x > 0 else context.zero

        def power(base: Any, exponent: Any) -> Any:
            if _bits(exponent) <= _HIGH or abs(base) == 1 or not base:
                return context.power(base, exponent)
            return context.inf if (abs(base) > 1) == (exponent > 0) else context.zero

        def wave(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x: function(x) if _bits(x) <= _FAR else nan  # of infinity, which float64 has there

        def remainder(a: Any, b: Any) -> Any:
            if not b or _bits(a) > _FAR:  # mpmath's own remainder of a small number by 0 is that number
                return nan
            return a % b if _bits(b) <= _FAR else a + b * (a * b < 0)

        unary = {name: getattr(context, name) for name in (*_BY_NAME, "erf")}
        unary |= {"ceiling": context.ceil, "exp": exp, **{name: wave(unary[name]) for name in ("sin", "cos", "tan")}}
        binary = {"Pow": power, "Max": max, "Min": min, "Mod": remainder, "atan2": context.atan2}
        return {
            "Add": np.add,
            "Mul": np.multiply,
            "Abs": np.absolute,
            "finite": np.frompyfunc(lambda x: context.mpf(bool(context.isfinite(x))), 1, 1),
            "Div": np.frompyfunc(divide, 2, 1),  # NaN goes through it by itself
            **{name: real(function, 1) for name, function in unary.items()},
            **{name: real(function, 2) for name, function in binary.items()},
        }

    def product(self, over: Sequence[Value], under: Sequence[Value]) -> Value:
        """The product divided by one factor after another: that of those below would have lost the sign of its 0."""
        return reduce(partial(self.apply, "Div"), under, super().product(over, ()))

    def number(self, number: Any) -> Value:
        """The number to as many digits as are carried."""
        if isinstance(number, Rational):
            return self.context.mpf(number.p) / number.q
        if isinstance(number, NumberSymbol):
            return self.context.mpf(str(number.evalf(self.digits + 5)))
        return self.context.mpf(number)

    def array(self, numbers: Any) -> Value:
        """An array of mpmath numbers."""
        given = np.asarray(numbers)
        if given.dtype == object:
            return given
        make, floats = self.context.make_mpf, given.astype(np.float64).ravel().tolist()
        return np.array([make(from_float(x)) for x in floats], object).reshape(given.shape)
