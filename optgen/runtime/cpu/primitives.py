"""What kernels on the CPU are made of: how each kind of function is compiled, and a few operations of their own.

Without ``error_model="numpy"`` a loop with a division stays scalar. There is no fast-math: LLVM would fuse a product
and a sum in one way in packs and in another in the elements that are left over, and add up as many sums as fit a pack.
"""

from __future__ import annotations

from collections.abc import Callable
from math import atan2, cos, erf, exp, expm1, inf, log, log1p, nan, sin, sqrt, tan, tanh
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from optgen.runtime.cpu.borrowed import array_at
from optgen.runtime.cpu.compiled import (
    CompilerOfKernels,
    CompilerOfScalars,
    CompilerOfSmallKernels,
    compiled,
    outlined,
    part,
    runs,
)
from optgen.runtime.cpu.notes import kernel

__all__ = [
    "LANES", "atan2", "between_sweeps", "ceil", "cos", "erf", "exp", "expm1", "finite", "float64", "floor", "fma",
    "head", "helper", "inf", "lanes", "log", "log1p", "max_of_lanes", "maximum", "mean_age", "minimum", "narrow",
    "numbers", "on_host", "outlined", "parallel_sweep", "per_chunk", "per_element", "powm1", "prange",
    "root_of_squares", "shrunk", "sign", "sin", "sqrt", "stretched", "sum_of_lanes", "tail", "tan", "tanh", "times",
    "where",
]  # fmt: skip

Function = TypeVar("Function", bound=Callable[..., Any])


def on_host(function: Function) -> Function:
    """Compile a function of scalars, in float64."""
    return compiled(function, by=CompilerOfScalars)


def helper(function: Function) -> Function:
    """Compile a function that others call, in float64."""
    return part(function)


@helper
def _langevin(y: float) -> float:
    """``coth(y) - 1/y`` for y from 0 to 1, by its continued fraction y/(3 + y**2/(5 + y**2/(7 + …)))."""
    below = 19.0
    for odd in range(17, 1, -2):
        below = odd + y * y / below
    return y / below


@helper
def mean_age(t: float, beta: float, less: float) -> float:
    """How old, in steps, what an average with decay beta holds after t steps is in the mean, less a number.

    The newest is 1 old, so that is ``1/(1 - beta) - t*beta**t/(1 - beta**t) - less``. While the average is young two
    terms are large and nearly equal. With ``coth(y) = 1/y + L(y)`` and ``beta = exp(-x)`` they are
    ``(L(x/2) + t + 1 - t*L(t*x/2))/2``, where nothing is large. The difference from 5/2, at which RAdam's factor has a
    root, is computed first: its sign agrees with what comes of any other.
    """
    x = -log(beta) if beta > 0 else inf
    if t * x > 2:  # noqa: PLR2004 - both forms are good there
        beyond = (2.5 * beta - 1.5) / (1 - beta) + t * beta**t / expm1(-t * x)
    else:
        beyond = (_langevin(x / 2) + (t - 4 - t * _langevin(t * x / 2))) / 2
    return float(beyond + (2.5 - less))


@helper
def powm1(b: float, x: float) -> float:
    """``b**x - 1`` without cancellation, for b from 0 on; 0 at ``0**0``, which is 1."""
    return expm1(x * log(b)) if b > 0 else b**x - 1


@helper
def root_of_squares(squares: float, of_shrunk: float, of_stretched: float) -> float:
    """The root of a sum of squares, given that sum, and those of the same numbers `shrunk` and `stretched`.

    Where the sum is so large, or so small, that squares may have overflown or vanished, one of the others has them; in
    float32, where both are 0, none has.
    """
    if squares > 2.0**1000 and of_shrunk > 0:
        return sqrt(of_shrunk) * 2.0**540
    if squares < 2.0**-900 and of_stretched > 0:
        return sqrt(of_stretched) / 2.0**540
    return sqrt(squares)


@helper
def head(x: float) -> float:
    """The next number below, in size, that float32 holds; 0 for 0."""
    nearest = np.float64(np.float32(x))
    return nearest if abs(nearest) < abs(x) else np.float64(np.nextafter(np.float32(x), np.float32(0)))


@helper
def tail(x: float) -> float:
    """What the head of a number lacks: float64 holds it exactly."""
    return x - head(x)


def per_element(function: Function) -> Function:
    """Compile a function of one element, to be inlined into a loop."""
    return part(function, forceinline=True)


def per_chunk(function: Function) -> Function:
    """Compile the loop over one chunk, to be inlined into the sweeps.

    All arithmetic of its own is that of totals, which start from 0 and are never -0 (``nsz``): what is 0 in one type of
    tensors, as what is `shrunk` is in float32, need not be added.
    """
    return runs(function, fastmath={"nsz"})


def parallel_sweep(function: Function) -> Function:
    """Compile a sweep over tasks, for all threads or for the calling one."""
    return kernel(function, _nrt=False)  # whoever calls it holds all arrays, and it makes none


def between_sweeps(function: Function) -> Function:
    """Compile what is done between two sweeps, in float64, for the tensors ``at.tensors``.

    There may be as many rows or columns as elements, or a third: a vector's columns have one element each, a kernel's
    rows of 3 x 3 three. What is done with them is worth packing.
    """
    packed = any(name.startswith(("row", "column")) for name in function.__code__.co_names)
    return kernel(function, by=CompilerOfKernels if packed else CompilerOfSmallKernels)


def of_one_type(*kinds: Any) -> Any:
    """The signature of a function of numbers of one type, integers taken for some of it; None if they have several."""
    kind, *others = {kind for kind in kinds if not isinstance(kind, types.Integer)}
    return None if others else kind(*[kind] * len(kinds))


@intrinsic  # type: ignore[untyped-decorator]
def _fused(_context: Any, a: Any, b: Any, c: Any) -> Any:
    """The product of two numbers and a third, all of one type, rounded once."""

    def codegen(_context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.fma(*args)

    return of_one_type(a, b, c), codegen


@per_element
def fma(a: Any, b: Any, c: Any) -> Any:
    """``a*b + c``, rounded once, in the type of the arguments that are no integers; slow on processors that cannot."""
    return _fused(a, b, c)


@per_element
def times(a: Any, b: Any) -> Any:
    """``a*b``, rounded before anything is added to it."""
    return a * b


LANES = 16
"""How many partial sums a chunk keeps of a total: as many as are added at once on a processor with the widest packs."""


_LANES = ir.VectorType(ir.DoubleType(), LANES)
"""All of them in registers, as LLVM has them before anything is added and when they are joined."""


@intrinsic  # type: ignore[untyped-decorator]
def lanes(_context: Any, x: Any) -> Any:
    """What a total is in each lane before anything is added: an array on the stack of the function that asks for it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        started = ir.Constant(_LANES, ir.Undefined)
        for k in range(LANES):
            started = builder.insert_element(started, args[0], ir.IntType(32)(k))
        memory = cgutils.alloca_once(builder, _LANES)
        builder.store(started, memory)
        return builder.bitcast(memory, context.get_value_type(signature.return_type))

    return types.CPointer(types.float64)(types.float64) if x == types.float64 else None, codegen


def _joined(take: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    """How code is made for what all lanes are together, of which ``take(builder, a, b)`` joins two halves."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, found = ir.IntType(32), builder.load(builder.bitcast(args[0], _LANES.as_pointer()))
        count = LANES
        while count > 1:
            count //= 2
            halves = [ir.Constant(ir.VectorType(word, count), [*range(k, k + count)]) for k in (0, count)]
            found = take(builder, *(builder.shuffle_vector(found, found, half) for half in halves))
        return builder.extract_element(found, word(0))

    return codegen


@intrinsic  # type: ignore[untyped-decorator]
def sum_of_lanes(_context: Any, values: Any) -> Any:
    """The sum of all lanes, by halves."""
    return types.float64(values), _joined(lambda builder, a, b: builder.fadd(a, b))


@intrinsic  # type: ignore[untyped-decorator]
def max_of_lanes(_context: Any, values: Any) -> Any:
    """The largest of all lanes; NaN if there is one."""

    def larger(builder: Any, a: Any, b: Any) -> Any:
        return builder.select(builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("!=", a, a)), a, b)

    return types.float64(values), _joined(larger)


@intrinsic  # type: ignore[untyped-decorator]
def numbers(_context: Any, count: Any) -> Any:
    """So many of float64, whatever they are; Numba takes several times as long to compile NumPy's way to have them."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        size = builder.mul(args[0], context.get_constant(types.intp, _WIDTH))
        owner = context.nrt.meminfo_alloc_aligned(builder, size, context.get_constant(types.uint32, 64))
        return array_at(context, builder, _NUMBERS, context.nrt.meminfo_data(builder, owner), args[0], owner=owner)

    return _NUMBERS(types.intp) if isinstance(count, types.Integer) else None, codegen


_NUMBERS = types.Array(types.float64, 1, "C")
_WIDTH = 8


@intrinsic  # type: ignore[untyped-decorator]
def narrow(_context: Any, x: Any, like: Any) -> Any:
    """A float64 in the type of the array ``like``."""
    return like.dtype(x, like), _cast


@intrinsic  # type: ignore[untyped-decorator]
def float64(_context: Any, x: Any) -> Any:
    """A number as a float64."""
    return types.float64(x), _cast


def _cast(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """One instruction where a call of a function takes thirty."""
    return context.cast(builder, args[0], signature.args[0], signature.return_type)


@per_element
def maximum(a: Any, b: Any) -> Any:
    """The larger of two numbers; NaN if either is.

    Processors have the larger of two, or b if one is NaN, as one instruction. The NaN is neither a nor b: where one of
    them is what memory holds, LLVM would store the other by a mask, which takes longer than to store all.
    """
    larger = a if a > b else b
    return larger if a == a else type(a)(nan)  # noqa: PLR0124 a test for NaN


@per_element
def minimum(a: Any, b: Any) -> Any:
    """The smaller of two numbers; NaN if either is."""
    smaller = a if a < b else b
    return smaller if a == a else type(a)(nan)  # noqa: PLR0124 a test for NaN


@per_element
def where(condition: Any, a: Any, b: Any) -> Any:
    """One of two numbers, both of which have been computed, so that a loop over it has no jump."""
    return a if condition else b


@per_element
def shrunk(x: Any) -> Any:
    """``x/2**540`` in float64; 0 for what is not large, whose square would be slow to make, and in float32."""
    return x * type(x)(2.0**-540) if abs(x) > type(x)(2.0**400) else type(x)(0)


@per_element
def stretched(x: Any) -> Any:
    """``x*2**540`` in float64; 0 for what is not small, and in float32."""
    return x * type(x)(2.0**540) if abs(x) < type(x)(2.0**-400) else type(x)(0)


@per_element
def sign(x: Any) -> Any:
    """-1, 0 or 1 in the type of the argument; NaN for NaN."""
    return np.sign(x)


@per_element
def floor(x: Any) -> Any:
    """The largest whole number that is not greater, in the type of the argument."""
    return np.floor(x)


@per_element
def ceil(x: Any) -> Any:
    """The smallest whole number that is not less, in the type of the argument."""
    return np.ceil(x)


@per_element
def finite(x: Any) -> Any:
    """1 for a number, 0 for NaN and the infinities, in the type of the argument."""
    return type(x)(np.isfinite(x))
