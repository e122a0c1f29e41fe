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
from numba.np.ufunc import parallel

__all__ = ["LoweringForThreads", "start"]

_WORD, _NOTHING = ir.IntType(64), ir.VoidType()
_BYTES, _WORDS = ir.IntType(8).as_pointer(), _WORD.as_pointer()
_SHARE = ir.FunctionType(_NOTHING, [_BYTES.as_pointer(), _WORDS, _WORDS, _BYTES])  # what Numba's threads call
_COUNT = ir.FunctionType(_WORD, [])
_SHARED = ir.FunctionType(_NOTHING, [_BYTES] * 5 + [_WORD] * 3)

_FOUND = (c_int64 * 2)()
"""Where Numba's functions lie that say how many threads there are and that share work among them; 0 until there are."""
_NAMES, _WHERE = ("get_num_threads", "numba_parallel_for"), "optgen_threads"
binding.add_symbol(_WHERE, addressof(_FOUND))


def start() -> None:
    """Start Numba's threads, if that has not been done; until it is, the thread that calls does every task."""
    if not all(_FOUND):
        parallel._launch_threads()  # noqa: SLF001 - as all that Numba compiles for threads does
        _FOUND[:] = list(map(binding.address_of_symbol, _NAMES))


class _LowerForThreads(Lower):
    """Has Python call a function that calls the one that was written, on all threads where there are several tasks."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:  # noqa: FBT001, FBT002 - as Numba calls it
        """Write both, and what Python calls."""
        module = self.context.create_module("on all threads")
        kind = self.context.call_conv.get_function_type(self.fndesc.restype, self.fndesc.argtypes)
        written = ir.Function(module, kind, self.fndesc.llvm_func_name)
        shared = ir.Function(module, kind, f"{written.name}.shared")
        given = ir.LiteralStructType([_WORD, *(each.type for each in self.context.call_conv.get_arguments(shared))])
        self._share(shared, written, self._of_a_thread(module, written, given), given)
        PyCallWrapper(self.context, module, shared, self.fndesc, self.env, self.call_helper, release_gil).build()
        self.library.add_ir_module(module)

    def _share(self, shared: Any, written: Any, of_a_thread: Any, given: Any) -> None:
        """All threads are counted off, and each is given its number, and where everything else is.

        One task is done by the thread that is here, and so is everything until others have been started.
        """
        builder = ir.IRBuilder(shared.append_basic_block())
        flat = self.context.call_conv.get_arguments(shared)
        values = self.context.get_arg_packer(self.fndesc.argtypes).from_arguments(builder, flat)
        bounds = builder.extract_value(self._tasks(builder, values).shape, 0)
        where = ir.GlobalVariable(shared.module, ir.ArrayType(_WORD, len(_NAMES)), _WHERE)
        count, share = (builder.load(cgutils.gep_inbounds(builder, where, 0, k)) for k in range(len(_NAMES)))
        with builder.if_then(builder.or_(builder.icmp_signed("<=", bounds, _WORD(2)), cgutils.is_null(builder, share))):
            builder.ret(builder.call(written, shared.args, attrs=("noinline",)))
        threads = builder.call(builder.inttoptr(count, _COUNT.as_pointer()), [])
        memory = cgutils.alloca_once(builder, given)
        for k, value in enumerate([threads, *flat]):
            builder.store(value, cgutils.gep_inbounds(builder, memory, 0, k))
        # an address of 0 that moves on by 1 a thread: what each is given as its address is its number
        address, extent, pace = (cgutils.alloca_once_value(builder, x) for x in (_BYTES(None), threads, _WORD(1)))
        pointers = [builder.bitcast(each, _BYTES) for each in (of_a_thread, address, extent, pace, memory)]
        rest = _WORD(0), _WORD(1), threads  # no inner extents, one address
        builder.call(builder.inttoptr(share, _SHARED.as_pointer()), [*pointers, *rest])
        self.context.call_conv.return_value(builder, self.context.get_dummy_value())

    def _of_a_thread(self, module: Any, written: Any, given: Any) -> Any:
        """The function as it was written, called with the tasks of a thread, or of several that follow each other."""
        made = ir.Function(module, _SHARE, f"{written.name}.of_a_thread")
        builder = ir.IRBuilder(made.append_basic_block())
        first = builder.ptrtoint(builder.load(made.args[0]), _WORD)
        end = builder.add(first, builder.load(made.args[1]))
        memory = builder.bitcast(made.args[3], given.as_pointer())
        threads, *flat = (builder.load(cgutils.gep_inbounds(builder, memory, 0, k)) for k in range(len(given.elements)))
        kinds = self.fndesc.argtypes
        values = list(self.context.get_arg_packer(kinds).from_arguments(builder, flat))
        tasks = self._tasks(builder, values)
        count = builder.sub(builder.extract_value(tasks.shape, 0), _WORD(1))
        begin, end = (builder.udiv(builder.mul(count, number), threads) for number in (first, end))
        tasks.data = builder.gep(tasks.data, [begin])
        tasks.shape = cgutils.pack_array(builder, [builder.add(builder.sub(end, begin), _WORD(1))])
        values[self._of_tasks] = tasks._getvalue()  # noqa: SLF001 - Numba's way to have it as a value
        self.context.call_conv.call_function(builder, written, types.none, kinds, values, attrs=("noinline",))
        builder.ret_void()
        return made

    @property
    def _of_tasks(self) -> int:
        """Which argument says where tasks begin."""
        return int(self.fndesc.args.index("tasks"))

    def _tasks(self, builder: Any, values: Any) -> Any:
        """That argument, to be read and changed."""
        kind = self.fndesc.argtypes[self._of_tasks]
        return self.context.make_array(kind)(self.context, builder, value=values[self._of_tasks])


@register_pass(mutates_CFG=True, analysis_only=False)
class LoweringForThreads(NativeLowering):
    """Numba's last pass, for a function that all threads share."""

    _name = "lowering for threads"

    @property
    def lowering_class(self) -> type[Lower]:
        """What it is done by."""
        return _LowerForThreads
