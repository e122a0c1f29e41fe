"""Scalars of a step where they are computed by compiled code: from a row of memory to another.

Python calls `scalars` of a module for what a step needs, which takes longer than a small step does. So there is beside
what it calls a function that finds its arguments in memory, and writes there what is returned.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import float64, types
from numba.core.lowering import Lower
from numba.extending import intrinsic

__all__ = ["LowerOfScalars", "computed", "in_memory"]

_NUMBERS = ir.DoubleType().as_pointer()
_ROW = ir.FunctionType(ir.VoidType(), [_NUMBERS, _NUMBERS])  # of the arguments, of what is returned


def in_memory(scalars: Any, count: int) -> int:
    """Where the code lies of a compiled function of so many numbers that finds them in memory.

    The function returns a tuple of numbers.
    """
    kinds = (float64,) * count
    scalars.compile(kinds)
    made = scalars.overloads[kinds]
    return int(made.library.get_pointer_to_function(_beside(made.fndesc.llvm_func_name)))


def _beside(name: str) -> str:
    """The name of that code, by that of the function that was compiled."""
    return f"{name}.in_memory"


class LowerOfScalars(Lower):
    """Has a function be one that reads its arguments from memory, too, where kernels may need it to."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:  # noqa: FBT001, FBT002 - as Numba calls it
        """Write what Python calls, and what compiled code calls."""
        super().create_cpython_wrapper(release_gil)
        its = self.fndesc
        is_of_rows = isinstance(its.restype, types.BaseTuple) and {float64}.issuperset(its.argtypes)
        if not is_of_rows:
            return
        convention, module = self.context.call_conv, self.context.create_module("in memory")
        kind = convention.get_function_type(its.restype, its.argtypes)
        written = ir.Function(module, kind, its.llvm_func_name)
        made = ir.Function(module, _ROW, _beside(written.name))
        builder = ir.IRBuilder(made.append_basic_block())
        given, found = made.args
        values = [builder.load(_at(builder, given, k)) for k in range(len(its.argtypes))]
        _, returned = convention.call_function(builder, written, its.restype, its.argtypes, values, attrs=("noinline",))
        for k, number in enumerate(its.restype):
            value = builder.extract_value(returned, k)
            builder.store(self.context.cast(builder, value, number, float64), _at(builder, found, k))
        builder.ret_void()
        self.library.add_ir_module(module)


def _at(builder: Any, numbers: Any, k: int) -> Any:
    return builder.gep(numbers, [ir.IntType(64)(k)])


@intrinsic  # type: ignore[untyped-decorator]
def computed(_context: Any, _code: Any, _given: Any, _found: Any) -> Any:
    """Call, in compiled code, what `in_memory` has found, with where a row of arguments lies, and one of results."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        code, *rows = map(builder.inttoptr, args, (_ROW.as_pointer(), _NUMBERS, _NUMBERS))
        builder.call(code, rows)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen
