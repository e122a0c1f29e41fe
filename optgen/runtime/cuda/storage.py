"""How kernels on a GPU read and write slots in their storage: alone, or four elements at a time.

A kernel is compiled for a `Storage`. Where elements are stored as they are computed, four of them in float32 are a move
of 128 bits; words of 16 bits are widened when they are loaded and rounded when they are stored. A pointer is the
address of words, unless there is something beside them, or chances, which follow from where in its tensor an element
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from types import SimpleNamespace
from typing import Any

from numba import types

from optgen.runtime.core.storage import Handed, Stored, itemsize_of
from optgen.runtime.cpu.storage import Slots, StorageType, StoredType, Word, type_of_storage
from optgen.runtime.cuda import words
from optgen.runtime.cuda.primitives import PLAIN, on_device

__all__ = ["in_fours", "load", "load4", "pointer", "store", "store4"]

if PLAIN:
    from optgen.runtime.cuda.simulated import load, load4, pointer, store, store4
else:
    from llvmlite import ir
    from numba.core import cgutils
    from numba.cuda.cudadecl import registry as _typing
    from numba.cuda.cudaimpl import registry as _lowering
    from numba.cuda.extending import core_models as models
    from numba.cuda.extending import intrinsic, register_model, typeof_impl
    from numba.cuda.typing.templates import AbstractTemplate, AttributeTemplate

    for its in (StorageType, StoredType):
        register_model(its)(Word)
    typeof_impl.register(Handed)(type_of_storage)

    class _StorageAttributes(AttributeTemplate):
        """Every slot of a storage is an attribute."""

        key = StorageType
        generic_resolve = Slots.generic_resolve

    _typing.register_attr(_StorageAttributes)

    @_lowering.lower_getattr_generic(StorageType)  # type: ignore[untyped-decorator]
    def _slot(_context: Any, _builder: Any, _kind: Any, value: Any, _slot: str) -> Any:
        return value

    _WORDS = {
        "float64": ir.DoubleType(),
        "float32": ir.FloatType(),
        "bfloat16": ir.IntType(16),
        "float16": ir.IntType(16),  # NVVM has no half
    }
    _LONG, _INT, _SHORT = ir.IntType(64), ir.IntType(32), ir.IntType(16)
    _FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()

    def _constant(value: int, kind: Any = _INT) -> Any:
        return ir.Constant(kind, value)

    # Numbers as words -------------------------------------------------------------------------------------------------

    def _converted(builder: Any, instruction: str, target: Any, constraint: str, value: Any) -> Any:
        """A number in another type, by an instruction of PTX."""
        function = ir.FunctionType(target, [value.type])
        return builder.asm(function, f"{instruction} $0, $1;", constraint, [value], side_effect=False)

    def _widened(builder: Any, word: Any, name: str, computed: str) -> Any:
        """A word of a format as a number in the type in which it is computed."""
        if name == "bfloat16":
            word = builder.bitcast(builder.shl(builder.zext(word, _INT), _constant(16)), _FLOAT)
        elif name == "float16":
            word = _converted(builder, "cvt.f32.f16", _FLOAT, "=f,h", word)
        target = _WORDS[computed]
        return word if word.type == target else builder.fpext(word, target)

    def _rounded(builder: Any, number: Any, name: str) -> Any:
        """A number as the nearest word of a format."""
        if name == "float16":
            instruction, constraint = (
                ("cvt.rn.f16.f64", "=h,d") if number.type == _DOUBLE else ("cvt.rn.f16.f32", "=h,f")
            )
            return _converted(builder, instruction, _SHORT, constraint, number)
        if name != "bfloat16":
            target = _WORDS[name]
            return number if number.type == target else builder.fptrunc(number, target)
        single = number if number.type == _FLOAT else words.toward_odd(builder, number)
        bits = builder.bitcast(single, _INT)
        upper = builder.lshr(bits, _constant(16))
        half = builder.add(_constant(0x7FFF), builder.and_(upper, _constant(1)))
        nearest = builder.lshr(builder.add(bits, half), _constant(16))
        quiet = builder.or_(upper, _constant(0x40))
        is_nan = builder.fcmp_unordered("uno", single, single)
        return builder.trunc(builder.select(is_nan, quiet, nearest), _SHORT)

    def _sum(builder: Any, a: Any, b: Any) -> Any:
        """A sum in its own right, which libNVVM and ptxas fuse with no product."""
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _FLOAT])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.add.rn.f"), [a, b])

    def _whole(builder: Any, word: Any, rest: Any, its: Stored) -> Any:
        """The number of which there are a word and what is beside it."""
        number, beside = (
            _widened(builder, x, name, its.computed) for x, name in ((word, its.format), (rest, its.rest))
        )
        if its.adds:
            return _sum(builder, number, beside)
        same = builder.icmp_unsigned("==", _rounded(builder, beside, its.format), word)
        return builder.select(same, beside, number)  # else somebody else has written the word

    def _beside(builder: Any, number: Any, word: Any, its: Stored) -> Any:
        """What is kept beside the word of a number."""
        if not its.adds:
            return number
        negative = builder.xor(word, ir.Constant(_SHORT, 0x8000))
        left = _sum(builder, number, _widened(builder, negative, its.format, its.computed))
        is_number = builder.fcmp_ordered("ord", left, left)  # it is none where the number is infinite
        return _rounded(builder, builder.select(is_number, left, ir.Constant(_FLOAT, 0.0)), its.rest)

    # Where they lie ---------------------------------------------------------------------------------------------------

    class _PointerType(types.Type):
        """The type of where elements lie that take more than the address of their words to be loaded and stored."""

        def __init__(self, stored: Stored) -> None:
            self.stored = stored
            super().__init__(name=f"pointer of {stored!r}")

    @register_model(_PointerType)
    class _PointerParts(models.StructModel):
        """The addresses of words and of what is beside them, and what chances follow from."""

        def __init__(self, manager: Any, kind: Any) -> None:
            names = ("words", "rest", "tensor", "first", "t", "seed")
            super().__init__(manager, kind, [(name, types.int64) for name in names])

    def _number_of(attribute: str) -> Any:
        """A function that gives a number of how a slot is stored."""

        @intrinsic  # type: ignore[untyped-decorator]
        def number(_context: Any, stored: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
                return _constant(getattr(stored.stored, attribute), _LONG)

            return types.int64(stored), codegen

        return number

    _itemsize, _rest_itemsize, _column = map(_number_of, ("itemsize", "rest_itemsize", "column"))

    @intrinsic  # type: ignore[untyped-decorator]
    def _placed(_context: Any, _words: Any, _rest: Any, _tensor: Any, _first: Any, stored: Any) -> Any:
        its = stored.stored
        kind = _PointerType(its) if its.takes_more else types.int64

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
            if not its.takes_more:
                return args[0]
            made = cgutils.create_struct_proxy(kind)(context, builder)
            made.words, made.rest, made.tensor, made.first, keys = args
            if its.is_by_chance:
                made.t, made.seed = (
                    builder.load(_pointer(builder, keys, _constant(k, _LONG), _LONG, 8)) for k in (0, 1)
                )
            return made._getvalue()  # noqa: SLF001 - Numba's name for it

        return kind(*[types.int64] * 4, stored), codegen

    @on_device
    def pointer(addresses: Any, column: Any, tensor: Any, begin: Any, stored: Any) -> Any:
        """Where element ``begin`` of a slot of a tensor lies: an address if that is enough to load and to store it."""
        its = addresses[column, tensor] + begin * _itemsize(stored)
        rest = addresses[_column(stored), tensor] + begin * _rest_itemsize(stored)
        return _placed(its, rest, tensor, begin, stored)

    @_typing.register_global(or_)
    class _Joined(AbstractTemplate):
        """Pointers can be joined, with each other and with other bits."""

        def generic(self, args: Any, kws: Any) -> Any:  # noqa: ARG002
            """The type of pointers that are joined."""
            return types.int64(*map(types.unliteral, args)) if any(isinstance(x, _PointerType) for x in args) else None

    def _joined(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """The bits that keep four elements from being moved at once: chances come in fours too."""
        joined = _constant(0, _LONG)
        for kind, value in zip(signature.args, args, strict=True):
            if not isinstance(kind, _PointerType):
                bits = [context.cast(builder, value, kind, types.int64)]
            else:
                at = _parts(context, builder, kind, value)
                bits = [at.words, *([at.rest] if kind.stored.rest else [])]
                bits += [builder.shl(at.first, _constant(2, _LONG))] if kind.stored.is_by_chance else []
            joined = reduce(builder.or_, bits, joined)
        return joined

    for its, other in ((_PointerType, _PointerType), (_PointerType, types.Integer), (types.Integer, _PointerType)):
        _lowering.lower(or_, its, other)(_joined)

    def _parts(context: Any, builder: Any, kind: Any, pointer: Any) -> Any:
        """What a pointer is made of."""
        if not isinstance(kind, _PointerType):
            return SimpleNamespace(words=pointer)
        return cgutils.create_struct_proxy(kind)(context, builder, value=pointer)

    # Moves ------------------------------------------------------------------------------------------------------------

    def _pointer(builder: Any, begin: Any, i: Any, kind: Any, itemsize: int) -> Any:
        """The address of element i as a pointer into global memory, so that a load is an LDG."""
        address = builder.add(begin, builder.mul(i, _constant(itemsize, _LONG)))
        return builder.inttoptr(address, ir.PointerType(kind, addrspace=1))

    def _moved(builder: Any, begin: Any, i: Any, name: str, lanes: int) -> tuple[Any, int]:
        """Where as many words of a format lie, in as few moves of 128 bits as they are, and how they are aligned."""
        itemsize, kind = itemsize_of(name), _WORDS[name] if lanes == 1 else ir.VectorType(_WORDS[name], lanes)
        return _pointer(builder, begin, i, kind, itemsize), min(16, lanes * itemsize)

    def _read(builder: Any, begin: Any, i: Any, name: str, lanes: int) -> list[Any]:
        pointer, align = _moved(builder, begin, i, name, lanes)
        found = builder.load(pointer, align=align)
        return [found] if lanes == 1 else [builder.extract_element(found, _constant(k)) for k in range(lanes)]

    def _write(builder: Any, begin: Any, i: Any, name: str, given: Sequence[Any]) -> None:
        pointer, align = _moved(builder, begin, i, name, len(given))
        made = given[0] if len(given) == 1 else ir.Constant(pointer.type.pointee, ir.Undefined)
        for k, word in enumerate(given if len(given) > 1 else ()):
            made = builder.insert_element(made, word, _constant(k))
        builder.store(made, pointer, align=align)

    def _loaded(context: Any, builder: Any, signature: Any, args: Any, lanes: int) -> list[Any]:
        its, at = signature.args[2].stored, _parts(context, builder, signature.args[0], args[0])
        found = _read(builder, at.words, args[1], its.format, lanes)
        if not its.rest:
            return [_widened(builder, word, its.format, its.computed) for word in found]
        rests = _read(builder, at.rest, args[1], its.rest, lanes)
        return [_whole(builder, word, rest, its) for word, rest in zip(found, rests, strict=True)]

    def _put(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        its, at = signature.args[2].stored, _parts(context, builder, signature.args[0], args[0])
        computed = getattr(types, its.computed)
        given = zip(args[3:], signature.args[3:], strict=True)
        numbers = [context.cast(builder, value, kind, computed) for value, kind in given]
        if its.is_by_chance:
            element, stream = builder.add(at.first, args[1]), _constant(its.stream, _LONG)
            chances = words.chances(builder, element, len(numbers), at.tensor, at.t, stream, at.seed)
            made = [words.by_chance(builder, x, its.format, y) for x, y in zip(numbers, chances, strict=True)]
        else:
            made = [_rounded(builder, x, its.format) for x in numbers]
        _write(builder, at.words, args[1], its.format, made)
        if its.rest:
            rests = [_beside(builder, x, word, its) for x, word in zip(numbers, made, strict=True)]
            _write(builder, at.rest, args[1], its.rest, rests)
        return context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def load(_context: Any, pointer: Any, _i: Any, stored: Any) -> Any:
        """Element i after a pointer, in the type in which it is computed."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _loaded(context, builder, signature, args, 1)[0]

        return getattr(types, stored.stored.computed)(pointer, types.int64, stored), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def load4(_context: Any, pointer: Any, _i: Any, stored: Any) -> Any:
        """Elements i to i + 3, in as few moves of 128 bits as they are; the pointer is a multiple of 16."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.make_tuple(builder, signature.return_type, _loaded(context, builder, signature, args, 4))

        return types.UniTuple(getattr(types, stored.stored.computed), 4)(pointer, types.int64, stored), codegen

    @intrinsic  # type: ignore[untyped-decorator]
    def store(_context: Any, pointer: Any, _i: Any, stored: Any, x: Any) -> Any:
        """Let element i after a pointer be x."""
        return types.void(pointer, types.int64, stored, x), _put

    @intrinsic  # type: ignore[untyped-decorator]
    def store4(_context: Any, pointer: Any, _i: Any, stored: Any, x0: Any, x1: Any, x2: Any, x3: Any) -> Any:  # noqa: PLR0917
        """Let elements i to i + 3 be these."""
        return types.void(pointer, types.int64, stored, x0, x1, x2, x3), _put


@on_device
def in_fours(count: Any, addresses: Any) -> Any:
    """How many of the elements of a run can be moved four at a time.

    All pointers that it is moved between are joined by ``|``: a bit of any that keeps one from being a multiple of 16
    keeps all of them.
    """
    return 0 if (addresses | 0) & 15 else count - (count & 3)
