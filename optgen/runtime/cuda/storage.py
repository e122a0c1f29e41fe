"""How kernels on a GPU read and write slots in their storage: alone, or four elements at a time.

A kernel is compiled for a `Storage`. Where elements are stored as they are computed, four of them in float32 are a move
of 128 bits; words of 16 bits are widened when they are loaded and rounded, to nearest even, when they are stored.
"""

from __future__ import annotations

from typing import Any

from numba import types

from optgen.runtime.core.storage import Handed
from optgen.runtime.cpu.storage import Slots, StorageType, StoredType, type_of_storage
from optgen.runtime.cuda.primitives import PLAIN, on_device

__all__ = ["in_fours", "load", "load4", "place", "store", "store4"]

if PLAIN:
    from optgen.runtime.cuda.simulated import load, load4, place, store, store4
else:
    from llvmlite import ir
    from numba.cuda.cudadecl import registry as _typing
    from numba.cuda.cudaimpl import registry as _lowering
    from numba.cuda.extending import core_models as models
    from numba.cuda.extending import intrinsic, register_model, typeof_impl
    from numba.cuda.typing.templates import AttributeTemplate

    for its in (StorageType, StoredType):
        register_model(its)(models.OpaqueModel)
    typeof_impl.register(Handed)(type_of_storage)

    class _StorageAttributes(AttributeTemplate):
        """Every slot of a storage is an attribute."""

        key = StorageType
        generic_resolve = Slots.generic_resolve

    _typing.register_attr(_StorageAttributes)

    @_lowering.lower_getattr_generic(StorageType)  # type: ignore[untyped-decorator]
    def _slot(context: Any, _builder: Any, _kind: Any, _value: Any, _slot: str) -> Any:
        return context.get_dummy_value()

    _WORDS = {
        "float64": ir.DoubleType(),
        "float32": ir.FloatType(),
        "bfloat16": ir.IntType(16),
        "float16": ir.IntType(16),  # NVVM has no half
    }
    _INT, _SHORT, _FLOAT, _DOUBLE = ir.IntType(32), ir.IntType(16), ir.FloatType(), ir.DoubleType()

    def _constant(value: int) -> Any:
        return ir.Constant(_INT, value)

    def _converted(builder: Any, instruction: str, target: Any, constraint: str, value: Any) -> Any:
        """A number in another type, by an instruction of PTX."""
        function = ir.FunctionType(target, [value.type])
        return builder.asm(function, f"{instruction} $0, $1;", constraint, [value], side_effect=False)

    def _widened(builder: Any, word: Any, stored: Any) -> Any:
        """A word as a number in the type in which it is computed."""
        if stored.format == "bfloat16":
            word = builder.bitcast(builder.shl(builder.zext(word, _INT), _constant(16)), _FLOAT)
        elif stored.format == "float16":
            word = _converted(builder, "cvt.f32.f16", _FLOAT, "=f,h", word)
        target = _WORDS[stored.computed]
        return word if word.type == target else builder.fpext(word, target)

    def _rounded(builder: Any, number: Any, stored: Any) -> Any:
        """A number as the nearest word."""
        if stored.format == "float16":
            instruction, constraint = (
                ("cvt.rn.f16.f64", "=h,d") if number.type == _DOUBLE else ("cvt.rn.f16.f32", "=h,f")
            )
            return _converted(builder, instruction, _SHORT, constraint, number)
        if stored.format != "bfloat16":
            target = _WORDS[stored.format]
            return number if number.type == target else builder.fptrunc(number, target)
        single = number if number.type == _FLOAT else _toward_odd(builder, number)
        bits = builder.bitcast(single, _INT)
        upper = builder.lshr(bits, _constant(16))
        half = builder.add(_constant(0x7FFF), builder.and_(upper, _constant(1)))
        nearest = builder.lshr(builder.add(bits, half), _constant(16))
        quiet = builder.or_(upper, _constant(0x40))
        is_nan = builder.fcmp_unordered("uno", single, single)
        return builder.trunc(builder.select(is_nan, quiet, nearest), _SHORT)

    def _toward_odd(builder: Any, number: Any) -> Any:
        """A float64 as a float32 that rounds as it does: see `optgen.runtime.cpu.formats.single`."""
        nearest = builder.fptrunc(number, _FLOAT)
        back = builder.fpext(nearest, _DOUBLE)
        above, below = (builder.fcmp_ordered(sign, back, number) for sign in "><")
        positive = builder.fcmp_ordered(">", number, ir.Constant(_DOUBLE, 0.0))
        beyond = builder.select(positive, above, below)
        toward = builder.sub(builder.bitcast(nearest, _INT), builder.zext(beyond, _INT))
        inexact = builder.fcmp_ordered("!=", back, number)
        return builder.bitcast(builder.or_(toward, builder.zext(inexact, _INT)), _FLOAT)

    def _pointer(builder: Any, args: Any, kind: Any, itemsize: int) -> Any:
        """The address of element i as a pointer into global memory, so that a load is an LDG."""
        place = builder.add(args[0], builder.mul(args[1], ir.Constant(ir.IntType(64), itemsize)))
        return builder.inttoptr(place, ir.PointerType(kind, addrspace=1))

    def _lane(k: int) -> Any:
        return ir.Constant(_INT, k)

    @intrinsic  # type: ignore[untyped-decorator]
    def _itemsize(_context: Any, stored: Any) -> Any:
        """Bytes of an element of a slot."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            return ir.Constant(ir.IntType(64), stored.stored.itemsize)

        return types.int64(stored), codegen

    @on_device
    def place(addresses: Any, column: Any, tensor: Any, begin: Any, stored: Any) -> Any:
        """Where element ``begin`` of a slot of a tensor lies."""
        return addresses[column, tensor] + begin * _itemsize(stored)

    @intrinsic  # type: ignore[untyped-decorator]
    def load(_context: Any, _place: Any, _i: Any, stored: Any) -> Any:
        """Element i after a place, in the type in which it is computed."""
        its = stored.stored

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            pointer = _pointer(builder, args, _WORDS[its.format], its.itemsize)
            return _widened(builder, builder.load(pointer, align=its.itemsize), its)

        return getattr(types, its.computed)(types.int64, types.int64, stored), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def load4(_context: Any, _place: Any, _i: Any, stored: Any) -> Any:
        """Elements i to i + 3, in as few moves of 128 bits as they are; the place is a multiple of 16."""
        its = stored.stored

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.VectorType(_WORDS[its.format], 4)
            four = builder.load(_pointer(builder, args, kind, its.itemsize), align=min(16, 4 * its.itemsize))
            values = [_widened(builder, builder.extract_element(four, _lane(k)), its) for k in range(4)]
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(getattr(types, its.computed), 4)(types.int64, types.int64, stored), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def store(_context: Any, _place: Any, _i: Any, stored: Any, x: Any) -> Any:
        """Let element i after a place be x."""
        its = stored.stored

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(builder, args, _WORDS[its.format], its.itemsize)
            number = context.cast(builder, args[3], signature.args[3], getattr(types, its.computed))
            builder.store(_rounded(builder, number, its), pointer, align=its.itemsize)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, stored, x), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def store4(_context: Any, _place: Any, _i: Any, stored: Any, x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
        """Let elements i to i + 3 be these."""
        its = stored.stored

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.VectorType(_WORDS[its.format], 4)
            four = ir.Constant(kind, ir.Undefined)
            for k, (value, given) in enumerate(zip(args[3:], signature.args[3:], strict=True)):
                number = context.cast(builder, value, given, getattr(types, its.computed))
                four = builder.insert_element(four, _rounded(builder, number, its), _lane(k))
            builder.store(four, _pointer(builder, args, kind, its.itemsize), align=min(16, 4 * its.itemsize))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, stored, x0, x1, x2, x3), codegen


@on_device
def in_fours(count: Any, addresses: Any) -> Any:
    """How many of ``count`` elements can be moved four at a time.

    Parameters
    ----------
    count : int
        Elements in a run.
    addresses : int
        All places that the run is moved between, joined by ``|``: a bit of any that keeps one from being a multiple
        of 16 keeps all of them.
    """
    return 0 if addresses & 15 else count - (count & 3)
