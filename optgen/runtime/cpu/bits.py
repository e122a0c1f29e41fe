"""The bits of a float32 as an integer, and back, which is no instruction at all.

NumPy's ``view`` of a number does the same, by way of an array: Numba compiles a function for each use of it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD, _SINGLE = ir.IntType(32), ir.FloatType()


@intrinsic  # type: ignore[untyped-decorator]
def bits_of(_context: Any, x: Any) -> Any:
    """The bits of a float32, as uint32."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _WORD)

    return (types.uint32(types.float32), codegen) if x == types.float32 else None


@intrinsic  # type: ignore[untyped-decorator]
def of_bits(_context: Any, bits: Any) -> Any:
    """The float32 that has the bits of an integer of 32."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _SINGLE)

    return (types.float32(bits), codegen) if bits in (types.uint32, types.int32) else None
