"""How kernels on the CPU read and write slots in their storage.

A kernel is compiled for a `Storage`, and `view` gives it what looks like an array: the memory itself where elements are
stored as they are computed, else a `_PackedType`, whose items are widened when they are read and rounded when they are
written.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    models,
    overload,
    register_model,
    type_callable,
    typeof_impl,
    unbox,
)

from optgen.runtime.core.storage import HALF, WORD, Handed, Storage, Stored, storage_of
from optgen.runtime.cpu import formats
from optgen.runtime.cpu.borrowed import Borrowed, address
from optgen.runtime.cpu.draws import philox
from optgen.runtime.cpu.primitives import helper, per_element, where

__all__ = ["view"]

_INLINED = {"error_model": "numpy", "forceinline": True}


class StorageType(types.Type):
    """The type of a `Handed` storage, which the kernels that are given one are compiled for."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        super().__init__(name=repr(storage))


class StoredType(types.Type):
    """The type of how one slot is stored."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        super().__init__(name=repr(stored))


class Word(models.PrimitiveModel):
    """All that there is at run time: where the keys are of what is rounded by chance."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(64))


for its in (StorageType, StoredType):
    register_model(its)(Word)


@cache
def _type_of(storage: Storage) -> StorageType:
    return StorageType(storage)


@typeof_impl.register(Handed)  # type: ignore[untyped-decorator]
def type_of_storage(handed: Handed, _context: Any) -> StorageType:
    """What Numba compiles for."""
    return _type_of(storage_of(handed))


@unbox(StorageType)  # type: ignore[untyped-decorator]
def _unboxed(_kind: Any, storage: Any, c: Any) -> NativeValue:
    address = c.pyapi.object_getattr_string(storage, WORD)
    word = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(word)


@infer_getattr
class Slots(AttributeTemplate):
    """Every slot of a storage is an attribute."""

    key = StorageType

    def generic_resolve(self, kind: Any, slot: str) -> Any:
        """The type of an attribute."""
        return StoredType(kind.storage[slot])


@lower_getattr_generic(StorageType)  # type: ignore[untyped-decorator]
def _slot(_context: Any, _builder: Any, _kind: Any, value: Any, _slot: str) -> Any:
    return value


# Elements as they are computed ---------------------------------------------------------------------------------------


def _words_of(name: str) -> Any:
    """The type of a word of a format."""
    return types.uint16 if name in HALF else getattr(types, name)


def _pointer_to(format_of: Callable[[Stored], str]) -> Any:
    """A function that says where words lie, from the ``begin``-th after an address on, of a format that follows."""

    @intrinsic  # type: ignore[untyped-decorator]
    def pointer(_context: Any, _address: Any, _begin: Any, stored: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            begins = builder.inttoptr(args[0], context.get_value_type(signature.return_type))
            return builder.gep(begins, [args[1]])

        return types.CPointer(_words_of(format_of(stored.stored)))(types.int64, types.int64, stored), codegen

    return pointer


_pointer = _pointer_to(lambda stored: stored.format)
_pointer_to_rest = _pointer_to(lambda stored: stored.beside)


# Elements that are stored otherwise ----------------------------------------------------------------------------------


class _PackedType(types.Type):
    """The type of elements of a slot that are not stored as they are computed."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.words, self.rest = _words_of(stored.format), _words_of(stored.beside)
        self.chances = types.Array(types.uint16, 1, "C") if stored.is_by_chance else types.none
        super().__init__(name=f"packed {stored!r}")


@register_model(_PackedType)
class _Packed(models.StructModel):
    """Where their words are, where is what words have not room for, and random bits for each element, or None."""

    def __init__(self, manager: Any, kind: Any) -> None:
        pointers = [(name, types.CPointer(getattr(kind, name))) for name in ("words", "rest")]
        members = [*pointers, ("chances", kind.chances)]
        super().__init__(manager, kind, members)


@intrinsic  # type: ignore[untyped-decorator]
def _packed(_context: Any, stored: Any, words: Any, rest: Any, chances: Any) -> Any:
    kind = _PackedType(stored.stored)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(kind)(context, builder)
        made.words, made.rest, made.chances = args[1:]
        if context.enable_nrt:
            context.nrt.incref(builder, signature.args[3], args[3])
        return made._getvalue()  # noqa: SLF001 - Numba's name for it

    return kind(stored, words, rest, chances), codegen


def _at(member: str, *, chance: bool = False) -> Any:
    """A function that reads an element of a part of what is packed."""

    @intrinsic  # type: ignore[untyped-decorator]
    def read(_context: Any, packed: Any, _i: Any) -> Any:
        word = types.uint16 if chance else getattr(packed, member)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            its = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
            base = getattr(its, member)
            if chance:
                base = context.make_array(signature.args[0].chances)(context, builder, value=base).data
            return builder.load(builder.gep(base, [args[1]]))

        return word(packed, types.int64), codegen

    return read


def _put(member: str) -> Any:
    """A function that writes an element of a part of what is packed."""

    @intrinsic  # type: ignore[untyped-decorator]
    def written(_context: Any, packed: Any, _i: Any, _word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            its = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
            builder.store(args[2], builder.gep(getattr(its, member), [args[1]]))
            return context.get_dummy_value()

        return types.void(packed, types.int64, getattr(packed, member)), codegen

    return written


_word, _rest, _chance = _at("words"), _at("rest"), _at("chances", chance=True)
_put_word, _put_rest = _put("words"), _put("rest")


@intrinsic  # type: ignore[untyped-decorator]
def _key(_context: Any, stored: Any, _k: Any) -> Any:
    """A key of what is rounded by chance: the step, the seed."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        keys = builder.inttoptr(args[0], ir.PointerType(ir.IntType(64)))
        return builder.load(builder.gep(keys, [args[1]]))

    return types.uint64(stored, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _stream(_context: Any, stored: Any) -> Any:
    """The number of a slot, which tells what is rounded by chance in it from the rest."""

    def codegen(_context: Any, _builder: Any, _signature: Any, _args: Any) -> Any:
        return ir.Constant(ir.IntType(64), stored.stored.stream)

    return types.uint64(stored), codegen


@helper
def _chances(begin: Any, count: Any, tensor: Any, t: Any, seed: Any, stream: Any) -> Any:  # noqa: PLR0917
    """16 random bits for each of some elements of a tensor: eight elements share the words of one counter."""
    first, last = begin // 8, (begin + count + 7) // 8
    words = np.empty(4 * (last - first), np.uint32)
    for k in range(last - first):
        words[4 * k], words[4 * k + 1], words[4 * k + 2], words[4 * k + 3] = philox(
            np.uint64(first + k), np.uint64(tensor), t, stream, seed
        )
    return words.view(np.uint16)[begin - 8 * first : begin - 8 * first + count]


def view(row: Any, column: Any, begin: Any, count: Any, stored: Any) -> Any:
    """``count`` elements of a slot, from the ``begin``-th of a chunk on, as an array.

    The row is what the table says of the chunk, the column where in it the address of the slot is.
    """
    raise NotImplementedError


@type_callable(view)  # type: ignore[untyped-decorator]
def _type_of_view(_context: Any) -> Any:
    def typed(row: Any, column: Any, begin: Any, count: Any, stored: Any) -> Any:  # noqa: ARG001
        return types.CPointer(_words_of(stored.stored.format)) if stored.stored.is_plain else None

    return typed


@lower_builtin(view, Borrowed, types.Integer, types.Integer, types.Integer, StoredType)  # type: ignore[untyped-decorator]
@lower_builtin(view, types.Array, types.Integer, types.Integer, types.Integer, StoredType)  # type: ignore[untyped-decorator]
def _memory(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The memory itself, which Numba would compile two functions for."""
    where, _ = address(context, builder, signature.args, args)
    memory = builder.inttoptr(builder.load(where), context.get_value_type(signature.return_type))
    return builder.gep(memory, [args[2]])


@overload(view, jit_options=_INLINED, strict=False)  # type: ignore[untyped-decorator]
def _view(row: Any, column: Any, begin: Any, count: Any, stored: Any) -> Any:  # noqa: ARG001
    its = stored.stored
    if its.is_plain:
        return None
    other = 1 + its.column

    if its.is_by_chance:

        def by_chance(row: Any, column: Any, begin: Any, count: Any, stored: Any) -> Any:
            words, rest = _pointer(row[column], begin, stored), _pointer_to_rest(row[other], begin, stored)
            key = _key(stored, 0), _key(stored, 1), _stream(stored)
            return _packed(stored, words, rest, _chances(row[-1] + begin, count, row[-2], *key))

        return by_chance

    def packed(row: Any, column: Any, begin: Any, count: Any, stored: Any) -> Any:  # noqa: ARG001
        words, rest = _pointer(row[column], begin, stored), _pointer_to_rest(row[other], begin, stored)
        return _packed(stored, words, rest, None)

    return packed


@overload(operator.getitem, jit_options=_INLINED, strict=False)  # type: ignore[untyped-decorator]
def _getitem(packed: Any, i: Any) -> Any:  # noqa: ARG001
    if not isinstance(packed, _PackedType):
        return None
    its = packed.stored
    widen, rest, rounded = _WIDENED[its.format], _WIDENED[its.beside], _ROUNDED[its.format]
    if its.computed == "float64":
        return lambda packed, i: np.float64(widen(_word(packed, i)))
    if not its.rest:
        return lambda packed, i: widen(_word(packed, i))
    if its.adds:
        return lambda packed, i: widen(_word(packed, i)) + rest(_rest(packed, i))

    def copied(packed: Any, i: Any) -> Any:
        word, whole = _word(packed, i), rest(_rest(packed, i))
        return where(rounded(whole) == word, whole, widen(word))  # else somebody else has written the word

    return copied


@overload(operator.setitem, jit_options=_INLINED, strict=False)  # type: ignore[untyped-decorator]
def _setitem(packed: Any, i: Any, x: Any) -> Any:  # noqa: ARG001
    if not isinstance(packed, _PackedType):
        return None
    its = packed.stored
    widen, rounded, by_chance = _WIDENED[its.format], _ROUNDED[its.format], _BY_CHANCE[its.format]
    once = formats.single if its.computed == "float64" and its.format != "float32" else _as_it_is

    if its.is_by_chance:
        return lambda packed, i, x: _put_word(packed, i, by_chance(once(x), _chance(packed, i)))
    if not its.rest:
        return lambda packed, i, x: _put_word(packed, i, rounded(once(x)))
    if not its.adds:

        def copied(packed: Any, i: Any, x: Any) -> None:
            _put_rest(packed, i, x)
            _put_word(packed, i, rounded(x))

        return copied

    def split(packed: Any, i: Any, x: Any) -> None:
        word = rounded(x)
        left = x - widen(word)
        _put_word(packed, i, word)
        _put_rest(packed, i, rounded(where(left == left, left, np.float32(0))))  # noqa: PLR0124 - of infinities

    return split


@per_element
def _as_it_is(x: Any) -> Any:
    return x


_WIDENED = {"bfloat16": formats.from_bfloat16, "float16": formats.from_float16, "float32": _as_it_is}
_ROUNDED = {"bfloat16": formats.to_bfloat16, "float16": formats.to_float16, "float32": formats.to_float32}
_BY_CHANCE = {
    "bfloat16": formats.to_bfloat16_by_chance,
    "float16": formats.to_float16_by_chance,
    "float32": formats.to_float32_by_chance,
}
