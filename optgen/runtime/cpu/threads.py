"""Sweeps on all threads, or on one.

A sweep loops over tasks, and `tasks` says where each begins. So what a thread has to do is the sweep itself, given some
of them, and what is one task is done by the thread that calls. Numba would make functions of two more kinds of each
loop, and compile and optimize the loop for each.
"""

from __future__ import annotations

from ctypes import addressof, c_int64
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.callwrapper import PyCallWrapper
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic
from numba.np.ufunc import parallel

from optgen.runtime.core.table import At

__all__ = ["NOTE", "LoweringInParts", "noted", "start"]

_WORD, _NOTHING = ir.IntType(64), ir.VoidType()
_BYTES, _WORDS = ir.IntType(8).as_pointer(), _WORD.as_pointer()
_SHARE = ir.FunctionType(_NOTHING, [_BYTES.as_pointer(), _WORDS, _WORDS, _BYTES])  # what Numba's threads call
_COUNT = ir.FunctionType(_WORD, [])
_PART = ir.FunctionType(ir.IntType(32), [_BYTES, _WORDS, _WORD, _BYTES])
_SHARED = ir.FunctionType(_NOTHING, [_BYTES] * 5 + [_WORD] * 3)

_TENSORS = At._fields.index("tensors")

NOTE = -1
"""What begins an array of tasks, or of tensors, that is room for a note: the call is written there, and not made."""

_FOUND = (c_int64 * 2)()
"""Where Numba's functions lie that say how many threads there are and that share work among them; 0 until there are."""
_NAMES, _WHERE = ("get_num_threads", "numba_parallel_for"), "optgen_threads"
binding.add_symbol(_WHERE, addressof(_FOUND))


def start() -> None:
    """Start Numba's threads, if that has not been done; until it is, the thread that calls does every task."""
    if not all(_FOUND):
        parallel._launch_threads()  # noqa: SLF001 - as all that Numba compiles for threads does
        _FOUND[:] = list(map(binding.address_of_symbol, _NAMES))


class _LowerInParts(Lower):
    """Has Python call a function that calls the one that was written, or notes the call where it is told to."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:  # noqa: FBT001, FBT002 - as Numba calls it
        """Write what is needed for that, and what Python calls."""
        if self.fndesc.restype != types.none or not {"tasks", "at"} & set(self.fndesc.args):
            super().create_cpython_wrapper(release_gil)
            return
        module = self.context.create_module("in parts")
        kind = self.context.call_conv.get_function_type(self.fndesc.restype, self.fndesc.argtypes)
        written = ir.Function(module, kind, self.fndesc.llvm_func_name)
        called = ir.Function(module, kind, f"{written.name}.called")
        given = ir.LiteralStructType([_WORD, *(each.type for each in self.context.call_conv.get_arguments(called))])
        in_part = self._in_part(module, written, given)
        self._call(called, written, in_part, given)
        PyCallWrapper(self.context, module, called, self.fndesc, self.env, self.call_helper, release_gil).build()
        self.library.add_ir_module(module)

    def _call(self, called: Any, written: Any, in_part: Any, given: Any) -> None:
        """The call is noted, or made."""
        builder = ir.IRBuilder(called.append_basic_block())
        flat = self.context.call_conv.get_arguments(called)
        values = self.context.get_arg_packer(self.fndesc.argtypes).from_arguments(builder, flat)
        parts = self._parts(builder, values)
        count = builder.extract_value(parts.shape, 0)
        with builder.if_then(builder.icmp_signed(">", count, _WORD(0))):
            note = builder.bitcast(parts.data, given.as_pointer())
            with builder.if_then(builder.icmp_signed("==", builder.load(parts.data), _WORD(NOTE))):
                # whoever calls holds the arrays; who else does is counted by Numba until the call is over
                held = [value.type(None) if value.type == _BYTES else value for value in flat]
                _store(builder, note, [builder.ptrtoint(in_part, _WORD), *held])
                self.context.call_conv.return_value(builder, self.context.get_dummy_value())
        if self._is_whole:
            self._share(builder, count, flat, given, self._of_a_thread(called.module, in_part, given))
        builder.ret(builder.call(written, called.args, attrs=("noinline",)))

    def _share(self, builder: Any, bounds: Any, flat: Any, given: Any, of_a_thread: Any) -> None:
        """All threads are counted off, and each is given its number, and where everything else is.

        One task is done by the thread that is here, and so is everything until others have been started.
        """
        where = ir.GlobalVariable(builder.module, ir.ArrayType(_WORD, len(_NAMES)), _WHERE)
        count, share = (builder.load(cgutils.gep_inbounds(builder, where, 0, k)) for k in range(len(_NAMES)))
        are_there = builder.not_(cgutils.is_null(builder, share))
        with builder.if_then(builder.and_(builder.icmp_signed(">", bounds, _WORD(2)), are_there)):
            threads = builder.call(builder.inttoptr(count, _COUNT.as_pointer()), [])
            memory = cgutils.alloca_once(builder, given)
            _store(builder, memory, [threads, *flat])
            # an address of 0 that moves on by 1 a thread: what each is given as its address is its number
            address, extent, pace = (cgutils.alloca_once_value(builder, x) for x in (_BYTES(None), threads, _WORD(1)))
            pointers = [builder.bitcast(each, _BYTES) for each in (of_a_thread, address, extent, pace, memory)]
            rest = _WORD(0), _WORD(1), threads  # no inner extents, one address
            builder.call(builder.inttoptr(share, _SHARED.as_pointer()), [*pointers, *rest])
            self.context.call_conv.return_value(builder, self.context.get_dummy_value())

    def _of_a_thread(self, module: Any, in_part: Any, given: Any) -> Any:
        """The function, called with the tasks of a thread, or of several that follow each other."""
        made = ir.Function(module, _SHARE, f"{self.fndesc.llvm_func_name}.of_a_thread")
        builder = ir.IRBuilder(made.append_basic_block())
        first = builder.ptrtoint(builder.load(made.args[0]), _WORD)
        end = builder.add(first, builder.load(made.args[1]))
        memory = builder.bitcast(made.args[3], given.as_pointer())
        threads, *flat = _loaded(builder, memory)
        tasks = self._parts(
            builder, list(self.context.get_arg_packer(self.fndesc.argtypes).from_arguments(builder, flat))
        )
        count = builder.sub(builder.extract_value(tasks.shape, 0), _WORD(1))
        begin, end = (builder.udiv(builder.mul(count, number), threads) for number in (first, end))
        mine, count = builder.gep(tasks.data, [begin]), builder.add(builder.sub(end, begin), _WORD(1))
        builder.call(
            in_part, [made.args[3], mine, count, builder.bitcast(cgutils.alloca_once(builder, _BYTES), _BYTES)]
        )
        builder.ret_void()
        return made

    def _in_part(self, module: Any, written: Any, given: Any) -> Any:
        """The function as it was written, called with what was noted, but with other tasks or tensors."""
        made = ir.Function(module, _PART, f"{written.name}.in_part")
        builder = ir.IRBuilder(made.append_basic_block())
        _, *flat = _loaded(builder, builder.bitcast(made.args[0], given.as_pointer()))
        packer = self.context.get_arg_packer(self.fndesc.argtypes)
        values, number = list(packer.from_arguments(builder, flat)), self._number
        parts = self._parts(builder, values)
        parts.data, parts.shape = made.args[1], cgutils.pack_array(builder, [made.args[2]])
        part = parts._getvalue()  # noqa: SLF001 - Numba's way to have it as a value
        values[number] = part if self._is_whole else builder.insert_value(values[number], part, _TENSORS)
        result, error = (each.type for each in written.args[:2])
        found = cgutils.alloca_once(builder, result.pointee), builder.bitcast(made.args[3], error)
        builder.ret(builder.call(written, [*found, *packer.as_arguments(builder, values)], attrs=("noinline",)))
        return made

    @property
    def _is_whole(self) -> bool:
        return "tasks" in self.fndesc.args

    @property
    def _number(self) -> int:
        """Which argument says what is to be done."""
        return int(self.fndesc.args.index("tasks" if self._is_whole else "at"))

    def _parts(self, builder: Any, values: Any) -> Any:
        """Where tasks begin, or the numbers of tensors: an array to be read and changed."""
        kind, value = self.fndesc.argtypes[self._number], values[self._number]
        if not self._is_whole:
            kind, value = kind[_TENSORS], builder.extract_value(value, _TENSORS)
        return self.context.make_array(kind)(self.context, builder, value=value)


def _store(builder: Any, memory: Any, values: Any) -> None:
    for k, value in enumerate(values):
        builder.store(value, cgutils.gep_inbounds(builder, memory, 0, k))


def _loaded(builder: Any, memory: Any) -> list[Any]:
    count = len(memory.type.pointee.elements)
    return [builder.load(cgutils.gep_inbounds(builder, memory, 0, k)) for k in range(count)]


@register_pass(mutates_CFG=True, analysis_only=False)
class LoweringInParts(NativeLowering):
    """Numba's last pass, for functions of which a call can be divided."""

    _name = "lowering in parts"

    @property
    def lowering_class(self) -> type[Lower]:
        """What it is done by."""
        return _LowerInParts


@intrinsic  # type: ignore[untyped-decorator]
def noted(_context: Any, note: Any, _address: Any, _count: Any) -> Any:
    """Make a call that has been noted in an array, with so many tasks or tensors that lie at an address."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        where = context.make_array(note)(context, builder, value=args[0]).data
        function = builder.inttoptr(builder.load(where), _PART.as_pointer())
        given = builder.bitcast(where, _BYTES), builder.inttoptr(args[1], _WORDS), args[2]
        builder.call(function, [*given, builder.bitcast(cgutils.alloca_once(builder, _BYTES), _BYTES)])
        return context.get_dummy_value()

    return types.none(note, types.int64, types.int64), codegen
