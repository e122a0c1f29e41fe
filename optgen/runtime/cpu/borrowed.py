"""Arrays that a kernel borrows: where their elements lie, and how many there are.

Whoever makes a step holds its arrays until the step is over, and all of them lie as C has it. So a kernel need not
count who refers to an array, nor be told strides: it is given two words for a vector where Numba's arrays take seven,
and finds an element in two instructions where those take thirty, most of which are there to be removed by LLVM.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global
from numba.cpython import slicing
from numba.extending import lower_builtin, lower_getattr, models, register_model
from numba.np.arrayobj import populate_array

__all__ = ["Borrowed", "address", "array_at", "borrowed"]


class Borrowed(types.IterableType):
    """The type of such an array."""

    mutable = True

    def __init__(self, dtype: Any, ndim: int) -> None:
        self.dtype, self.ndim = dtype, ndim
        super().__init__(name=f"borrowed({dtype}, {ndim})")

    @property
    def whole(self) -> types.Array:
        """The type of Numba's for it."""
        return types.Array(self.dtype, self.ndim, "C")

    @property
    def iterator_type(self) -> Any:
        """What a loop over it takes elements from."""
        return self.whole.iterator_type


@register_model(Borrowed)
class _Words(models.StructModel):
    """What a kernel is given."""

    def __init__(self, manager: Any, kind: Borrowed) -> None:
        shape = types.UniTuple(types.intp, kind.ndim)
        super().__init__(manager, kind, [("data", types.CPointer(kind.dtype)), ("shape", shape)])


def borrowed(kind: Any) -> Any:
    """The type of what a kernel borrows where it is given an array, or several.

    Raises
    ------
    TypeError
        If elements of an array do not lie as C has it.
    """
    if isinstance(kind, types.NamedTuple):
        return types.NamedTuple(list(map(borrowed, kind.types)), kind.instance_class)
    if not isinstance(kind, types.Array):
        return kind
    if not kind.is_c_contig:
        raise TypeError(f"kernels take arrays whose elements lie one after another, in C's order: this is {kind}")
    return Borrowed(kind.dtype, kind.ndim)


# What can be asked of one ---------------------------------------------------------------------------------------------


def _item(array: Any, index: Any) -> Any:
    """The type of what an index takes: an element, an array of fewer dimensions, a part; None where it is no index."""
    if not isinstance(array, Borrowed):
        return None
    if isinstance(index, types.SliceType):
        return array if array.ndim == 1 and not index.has_step else None
    left = array.ndim - len(_each(index))
    if left < 0 or not all(isinstance(number, types.Integer) for number in _each(index)):
        return None
    return Borrowed(array.dtype, left) if left else array.dtype


def _each(index: Any) -> tuple[Any, ...]:
    return tuple(index) if isinstance(index, types.BaseTuple) else (index,)


@infer_global(operator.getitem)
class _Getitem(AbstractTemplate):
    prefer_literal = True  # a number that is written and negative counts from the end

    def generic(self, args: Any, _named: Any) -> Any:
        found = _item(*args)
        return found(*args) if found else None


@infer_global(operator.setitem)
class _Setitem(AbstractTemplate):
    prefer_literal = True

    def generic(self, args: Any, _named: Any) -> Any:
        array, index, _ = args
        return types.void(array, index, array.dtype) if _item(array, index) else None


@infer_global(len)
class _Len(AbstractTemplate):
    def generic(self, args: Any, _named: Any) -> Any:
        return types.intp(*args) if isinstance(args[0], Borrowed) else None


@infer_getattr
class _Attributes(AttributeTemplate):
    key = Borrowed

    def resolve_dtype(self, array: Borrowed) -> Any:
        return types.DType(array.dtype)


@lower_getattr(Borrowed, "dtype")  # type: ignore[untyped-decorator]
def _dtype(context: Any, _builder: Any, _kind: Any, _array: Any) -> Any:
    return context.get_dummy_value()


def address(context: Any, builder: Any, kinds: Any, values: Any) -> tuple[Any, list[Any]]:
    """Where an element or a part begins that an index takes, and the shape of what it is.

    The array and the index, an integer, a tuple of integers or a slice, are given as their types and what has these; an
    array of Numba's in C's order will do.
    """
    (kind, index), (array, numbers) = kinds[:2], values[:2]
    its = cgutils.create_struct_proxy(kind)(context, builder, value=array)
    shape, offset = cgutils.unpack_tuple(builder, its.shape, kind.ndim), context.get_constant(types.intp, 0)
    if isinstance(index, types.SliceType):
        part = context.make_helper(builder, index, value=numbers)
        slicing.fix_slice(builder, part, shape[0])  # within the array, as Python has it
        return builder.gep(its.data, [part.start]), [slicing.get_slice_length(builder, part)]
    given = cgutils.unpack_tuple(builder, numbers) if isinstance(index, types.BaseTuple) else [numbers]
    for which, number, size in zip(_each(index), given, shape, strict=False):
        at = context.cast(builder, number, which, types.intp)
        if getattr(which, "literal_value", 0) < 0:
            at = builder.add(at, size)
        offset = builder.add(builder.mul(offset, size), at)
    rest = shape[len(given) :]
    for size in rest:
        offset = builder.mul(offset, size)
    return builder.gep(its.data, [offset]), rest


def _made(context: Any, builder: Any, kind: Borrowed, data: Any, shape: Sequence[Any]) -> Any:
    its = cgutils.create_struct_proxy(kind)(context, builder)
    its.data, its.shape = data, cgutils.pack_array(builder, shape)
    return its._getvalue()  # noqa: SLF001 - Numba's way to have it as a value


@lower_builtin(operator.getitem, Borrowed, types.Any)  # type: ignore[untyped-decorator]
def _get(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    where, shape = address(context, builder, signature.args, args)
    kind = signature.return_type
    return _made(context, builder, kind, where, shape) if isinstance(kind, Borrowed) else builder.load(where)


@lower_builtin(operator.setitem, Borrowed, types.Any, types.Any)  # type: ignore[untyped-decorator]
def _set(context: Any, builder: Any, signature: Any, args: Any) -> None:
    where, shape = address(context, builder, signature.args, args)
    if shape:  # all of a part becomes one number
        with cgutils.for_range(builder, shape[0]) as loop:
            builder.store(args[2], builder.gep(where, [loop.index]))
    else:
        builder.store(args[2], where)


@lower_builtin(len, Borrowed)  # type: ignore[untyped-decorator]
def _length(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    its = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
    return builder.extract_value(its.shape, 0)


@lower_builtin("getiter", Borrowed)  # type: ignore[untyped-decorator]
def _iterator(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kind = signature.args[0]
    its = cgutils.create_struct_proxy(kind)(context, builder, value=args[0])
    whole = array_at(context, builder, kind.whole, its.data, builder.extract_value(its.shape, 0))
    return context.get_function("getiter", signature.return_type(kind.whole))(builder, [whole])


def array_at(context: Any, builder: Any, kind: Any, memory: Any, size: Any, *, owner: Any = None) -> Any:
    """So many elements that lie in some memory, as an array of a type; nobody owns it unless said."""
    made = context.make_array(kind)(context, builder)
    width = context.get_constant(types.intp, context.get_abi_sizeof(made.data.type.pointee))
    populate_array(made, builder.bitcast(memory, made.data.type), [size], [width], width, owner)
    return made._getvalue()  # noqa: SLF001 - Numba's way to have it as a value
