"""What kernels on NVIDIA GPUs are made of: how each kind of function is compiled, and operations that Numba lacks.

Beside `optgen.runtime.cuda.host`, which has what the host does, no module knows numba.cuda. It works in one of three
ways, and importing it never fails:

- with numba-cuda, kernels are compiled when first launched; compiling to PTX takes no GPU and no driver;
- in Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``) the same kernels run as plain Python, on NumPy arrays, with a twin
  for each operation of hardware;
- without numba-cuda nothing can be compiled, and `require_gpu` says what to install.

Functions that kernels call are compiled by themselves, once, and inlined by libNVVM: to have Numba inline them before
they are typed takes three times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, TypeVar

import numpy as np
from numba import config, njit, types

from optgen.runtime.core.storage import WORD, Handed
from optgen.runtime.cpu import primitives as cpu
from optgen.runtime.cuda import simulated, words

__all__ = [
    "THREADS", "as_index", "atan2", "block", "ceil", "cos", "cosine", "erf", "exp", "expm1", "finite", "float64",
    "floor", "fma", "from_above", "head", "inf", "kernel", "leave", "left", "log", "log1p", "maximum", "mean_age",
    "minimum", "narrow", "on_device", "on_host", "per_element", "philox", "powm1", "radius", "root_of_squares",
    "shrunk", "sign", "sin", "sqrt", "stretched", "sync", "tail", "tan", "tanh", "thread", "times", "where",
]  # fmt: skip

Function = TypeVar("Function", bound=Callable[..., Any])

SIMULATED = bool(config.ENABLE_CUDASIM)
"""Whether Numba's simulator runs the kernels."""
try:
    from numba import cuda as _cuda

    if not SIMULATED:
        from llvmlite import ir
        from numba.core import cgutils
        from numba.cuda import cudaimpl as _all_of_it  # noqa: F401 - it fails where NumPy is too new for it
        from numba.cuda.dispatcher import CUDADispatcher
        from numba.cuda.extending import intrinsic

        from optgen.runtime.cuda.compiled import compile_for_kernels, entry
except (AttributeError, ImportError, RuntimeError, OSError) as error:  # of a package, runtime library or driver
    _cuda, _MISSING = None, str(error)
else:
    its = getattr(_cuda, "implementation", "")  # Numba has an old one of its own
    _MISSING = "" if SIMULATED or its == "NVIDIA" else "Numba found its own numba.cuda in place of it"

numba_cuda = _cuda
"""For what the host does; None where it is missing."""
INSTALLED = not _MISSING
"""Whether kernels can be compiled, or simulated."""
PLAIN = SIMULATED or not INSTALLED
"""Whether functions stay plain Python."""
THREADS, WARP = (simulated.THREADS, simulated.WARP) if SIMULATED else (256, 32)
"""Threads in a block, and those of them that exchange values without memory."""
EACH = simulated.EACH if SIMULATED else 32
"""Values that a thread adds up where several share a row or a column."""
WARPS = THREADS // WARP
_SHARED = 3  # the address space of what a block shares


def require_gpu() -> None:
    """Make sure that kernels can run: else an error says what is missing, and how to get it."""
    if SIMULATED:
        return
    remedy = "optgen.generated.cpu has the same optimizers for CPUs"
    if _MISSING:
        raise RuntimeError(
            f"numba-cuda, which compiles kernels for GPUs, is not installed or incomplete ({_MISSING}; "
            f"NumPy is {np.__version__}): pip install 'optgen[cuda]'; {remedy}"
        )
    lacking = _lacking()
    if lacking:
        raise RuntimeError(
            f"no kernel can run on a GPU here: {lacking}. That takes an NVIDIA GPU with a driver for CUDA 13, and "
            f"pip install 'optgen[cuda]'; {remedy}, and NUMBA_ENABLE_CUDASIM=1 simulates a GPU"
        )


def _lacking() -> str:
    """What keeps kernels from running, in words; nothing if they can."""
    if not _cuda.is_available():
        found = _cuda.cuda_error() or "the compiler library libNVVM was not found, nor a toolkit in CUDA_HOME"
        return " ".join(str(found).split()).rstrip(".")
    try:
        compiler = _cuda.runtime.get_version()
    except (RuntimeError, OSError) as error:
        return f"the compiler library NVRTC is missing ({' '.join(str(error).split())[:200]})"
    driver = _cuda.cudadrv.driver.driver.get_version()
    if tuple(driver) < (compiler[0], 0):
        return "the driver is for CUDA {}.{}, the compiler for CUDA {}.{}".format(*driver[:2], *compiler[:2])
    return ""


def _plain(function: Function) -> Function:
    return function


def _inlined(function: Function) -> Function:
    """Compile a small function into whatever calls it, on the host and on the GPU."""
    return njit(inline="always", error_model="numpy")(function)  # type: ignore[no-any-return]


if PLAIN:
    per_element = on_device = _both = _plain

    def on_host(function: Function) -> Function:
        """Let a function of scalars have the values of IEEE 754 where NumPy would warn."""
        return np.errstate(all="ignore")(function)

else:
    on_host = cpu.on_host
    _both = _inlined

    class _CalledByKernels(CUDADispatcher):
        """A function that is compiled for the device of its caller; Numba's own asks a driver for one."""

        def compile_device(self, args: Any, return_type: Any = None) -> Any:
            """The function for arguments of some types."""
            if args not in self.overloads:
                made = compile_for_kernels(self.py_func, args, return_type)
                self.overloads[args] = made
                made.target_context.insert_user_function(made.entry_point, made.fndesc, [made.library])
            return self.overloads[args]

    def on_device(function: Function) -> Function:
        """Compile a function of the reduced values of one position, in float64, into the kernel that calls it."""
        return _CalledByKernels(function, {"device": True, "debug": False, "opt": True})

    def per_element(function: Function) -> Function:
        """Compile a function of one element, in the type of the tensors, into the kernel that calls it."""
        return on_device(function)


class _Storages:
    """Tells Numba what a kernel is given that is compiled for a storage: where its keys are, if it has any."""

    @staticmethod
    def prepare_args(kind: Any, value: Any, **_: Any) -> tuple[Any, Any]:
        """An argument as it is passed on."""
        return (types.int64, vars(value)[WORD]) if isinstance(value, Handed) else (kind, value)


def kernel(function: Function) -> Function:
    """Compile a function that every thread of a launch runs, when it is first launched.

    Nothing is kept on disk: Numba would not notice when one of the functions that are inlined has changed.
    """
    if PLAIN:  # the simulator passes on whatever it is given
        return _cuda.jit(function) if INSTALLED else function
    return _cuda.jit(entry(function, on_device(function)), extensions=[_Storages])  # type: ignore[no-any-return]


def ptx(function: Any, signature: tuple[Any, ...], capability: tuple[int, int]) -> str:
    """A kernel as PTX, for arguments of Numba's types and a compute capability, compiled without a GPU or a driver."""
    if PLAIN:
        raise RuntimeError(f"kernels can only be compiled by numba-cuda: pip install 'optgen[cuda]' ({_MISSING})")
    text, _ = _cuda.compile_ptx(function.py_func, signature, cc=capability)
    return str(text)


# On the host and on the GPU alike -------------------------------------------------------------------------------------

_cpu: Any = cpu
maximum, minimum = _both(_cpu.maximum.py_func), _both(_cpu.minimum.py_func)
shrunk, stretched = _both(_cpu.shrunk.py_func), _both(_cpu.stretched.py_func)
head, mean_age, powm1, tail = (x.py_func if PLAIN else x for x in (_cpu.head, _cpu.mean_age, _cpu.powm1, _cpu.tail))


@_both
def sign(x: Any) -> Any:
    """-1, 0 or 1 in the type of the argument; NaN for NaN."""
    return type(x)(x > 0) - type(x)(x < 0) if x == x else x  # noqa: PLR0124 a test for NaN


@_both
def floor(x: Any) -> Any:
    """The largest whole number that is not greater, in the type of the argument."""
    inside = x if abs(x) < type(x)(2.0**52) else type(x)(0)  # beyond, and for NaN, it is x itself
    whole = type(x)(np.int64(inside))
    whole = whole - type(x)(1) if whole > inside else whole
    return whole if abs(x) < type(x)(2.0**52) else x


@_both
def ceil(x: Any) -> Any:
    """The smallest whole number that is not less, in the type of the argument."""
    return -floor(-x)


@_both
def finite(x: Any) -> Any:
    """1 for a number, 0 for NaN and the infinities, in the type of the argument."""
    return type(x)(x - x == x - x)


@_both
def as_index(x: Any) -> Any:
    """A whole number among scalars as an integer."""
    return np.int32(x)


@on_device
def float64(x: Any) -> Any:
    """A number as a float64."""
    return np.float64(x)


# Where a thread stands, what it moves ---------------------------------------------------------------------------------

_math: Any = simulated if PLAIN else math
atan2, cos, erf, exp = _math.atan2, _math.cos, _math.erf, _math.exp
expm1, log, log1p, sin = _math.expm1, _math.log, _math.log1p, _math.sin
sqrt, tan, tanh = _math.sqrt, _math.tan, _math.tanh


@_both
def root_of_squares(squares: Any, of_shrunk: Any, of_stretched: Any) -> Any:
    """The root of a sum of squares, given that sum, and those of the same numbers `shrunk` and `stretched`."""
    if squares > 2.0**1000 and of_shrunk > 0:
        return sqrt(of_shrunk) * 2.0**540
    if squares < 2.0**-900 and of_stretched > 0:
        return sqrt(of_stretched) / 2.0**540
    return sqrt(squares)


if PLAIN:
    from optgen.runtime.cuda.simulated import (
        block,
        cosine,
        fma,
        from_above,
        leave,
        left,
        narrow,
        philox,
        radius,
        sync,
        thread,
        times,
        where,
    )
else:

    @on_device
    def block() -> Any:
        """The number of the block."""
        return _cuda.blockIdx.x

    @on_device
    def thread() -> Any:
        """The number of the thread in its block."""
        return _cuda.threadIdx.x

    @on_device
    def sync() -> Any:
        """Wait for all threads of the block, and see what they wrote."""
        _cuda.syncthreads()

    def _left(builder: Any, place: Any) -> Any:
        """Where a float64 is left in memory that the block shares."""
        kind = ir.ArrayType(ir.DoubleType(), THREADS)
        room = builder.module.globals.get("left")
        if room is None:
            room = cgutils.add_global_variable(builder.module, kind, "left", _SHARED)
            room.linkage, room.align = "internal", 8  # internal, or it would be one symbol twice where two modules meet
            room.initializer = ir.Constant(kind, ir.Undefined)
        return builder.gep(room, [ir.Constant(ir.IntType(32), 0), place])

    @intrinsic  # type: ignore[untyped-decorator]
    def leave(_context: Any, place: Any, x: Any) -> Any:  # noqa: ARG001
        """Leave a number for the block to see: there are as many places as threads."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            builder.store(args[1], _left(builder, args[0]))
            return context.get_dummy_value()

        return types.none(place, types.float64), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def left(_context: Any, place: Any) -> Any:
        """What has been left in a place."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.load(_left(builder, args[0]))

        return types.float64(place), codegen

    @on_device
    def from_above(x: Any, distance: Any, team: Any) -> Any:
        """What a thread so much further on has for x; those of a team must call, a warp or an equal part of one."""
        members = (1 << team) - 1 << thread() % WARP - thread() % team
        return _cuda.shfl_down_sync(members, x, distance)

    @intrinsic  # type: ignore[untyped-decorator]
    def where(_context: Any, condition: Any, a: Any, b: Any) -> Any:
        """One of two numbers of one type, both of which have been computed; cheaper to compile than what is inlined."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.select(*args)

        return a(condition, a, b) if a == b and condition == types.boolean else None, codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def fma(_context: Any, a: Any, b: Any, c: Any) -> Any:
        """``a*b + c`` of one type, rounded once; integers are taken for numbers of it."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return builder.fma(*args)

        return cpu.of_one_type(a, b, c), codegen

    def _called(builder: Any, name: str, kind: Any, *args: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(args)), name)
        return builder.call(function, args)

    @intrinsic  # type: ignore[untyped-decorator]
    def times(_context: Any, a: Any, b: Any) -> Any:
        """``a*b`` of one type: a product in its own right, which libNVVM and ptxas fuse with no sum."""
        signature = cpu.of_one_type(a, b)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            name = f"llvm.nvvm.mul.rn.{'f' if signature.return_type == types.float32 else 'd'}"
            return _called(builder, name, args[0].type, *args)

        return signature, codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def philox(_context: Any, _block: Any, _tensor: Any, _t: Any, _stream: Any, _seed: Any) -> Any:
        """The four words of a counter under a key: see `optgen.runtime.cpu.draws.philox`."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.make_tuple(builder, signature.return_type, words.philox(builder, *args))

        return types.UniTuple(types.uint32, 4)(*[types.uint64] * 5), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def radius(_context: Any, _word: Any, like: Any) -> Any:
        """``sqrt(-2*log(u1))`` of a word, in the type of the array ``like``: see `optgen.runtime.cpu.draws.radius`."""
        dtype = like.dtype

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            if dtype == types.float32:
                return _called(builder, "llvm.nvvm.sqrt.rn.f", ir.FloatType(), words.squared_radius(builder, args[0]))
            kind = ir.DoubleType()
            one = partial(words.number, kind)
            u1, rest = (
                builder.fmul(builder.fadd(builder.uitofp(x, kind), one(0.5)), one(2.0**-32))
                for x in (args[0], builder.not_(args[0]))
            )
            is_low = builder.fcmp_ordered("<", u1, one(0.5))
            minus_rest = builder.fmul(one(-1.0), rest)  # libNVVM knows no fneg
            logs = _called(builder, "__nv_log", kind, u1), _called(builder, "__nv_log1p", kind, minus_rest)
            squared = builder.fmul(one(-2.0), builder.select(is_low, *logs))
            return _called(builder, "llvm.nvvm.sqrt.rn.d", kind, squared)

        return dtype(types.uint32, like), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def cosine(_context: Any, _word: Any, like: Any) -> Any:
        """The cosine of a part of a turn, ``(word + 1/2)/2**32``, in the type of the array ``like``."""
        dtype = like.dtype

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            if dtype == types.float32:
                return words.cosine(builder, args[0])
            kind = ir.DoubleType()
            turns = builder.fmul(builder.sitofp(words.angle(builder, args[0]), kind), words.number(kind, 2.0**-32))
            return _called(builder, "__nv_sinpi", kind, turns)

        return dtype(types.uint32, like), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def narrow(_context: Any, x: Any, like: Any) -> Any:
        """A float64 in the type of the array ``like``."""
        dtype = like.dtype

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.cast(builder, args[0], signature.args[0], dtype)

        return dtype(x, like), codegen
