"""Sweeps on all threads.

A sweep loops over tasks, and `tasks` says where each begins. So what a thread has to do is the sweep itself, given some
of them. Numba would make functions of two more kinds of each loop, and compile and optimize the loop for each.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callwrapper import PyCallWrapper
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering
from numba.np.ufunc import parallel

__all__ = ["LoweringForThreads", "started"]

_WORD, _NOTHING = ir.IntType(64), ir.VoidType()
_BYTES, _WORDS = ir.IntType(8).as_pointer(), _WORD.as_pointer()
_SHARE = ir.FunctionType(_NOTHING, [_BYTES.as_pointer(), _WORDS, _WORDS, _BYTES])  # what Numba's threads call
_SHARED = ir.FunctionType(_NOTHING, [_BYTES] * 5 + [_WORD] * 3)


def started() -> None:
    """Start Numba's threads, if that has not been done; code that was kept on disk has it called as well."""
    parallel._launch_threads()  # noqa: SLF001 - as all that Numba compiles for threads does


class _LowerForThreads(Lower):
    """Has Python call a function that has all threads call the one that was written."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:  # noqa: FBT001, FBT002 - as Numba calls it
        """Write both, and what Python calls."""
        module = self.context.create_module("on all threads")
        kind = self.context.call_conv.get_function_type(self.fndesc.restype, self.fndesc.argtypes)
        written = ir.Function(module, kind, self.fndesc.llvm_func_name)
        shared = ir.Function(module, kind, f"{written.name}.shared")
        given = ir.LiteralStructType([_WORD, *(each.type for each in self.context.call_conv.get_arguments(shared))])
        self._share(shared, self._of_a_thread(module, written, given), given)
        PyCallWrapper(self.context, module, shared, self.fndesc, self.env, self.call_helper, release_gil).build()
        self.library.add_ir_module(module)

    def _share(self, shared: Any, of_a_thread: Any, given: Any) -> None:
        """All threads are counted off, and each is given its number, and where everything else is."""
        builder = ir.IRBuilder(shared.append_basic_block())
        count = cgutils.get_or_insert_function(shared.module, ir.FunctionType(_WORD, []), "get_num_threads")
        threads = builder.call(count, [])
        memory = cgutils.alloca_once(builder, given)
        for k, value in enumerate([threads, *self.context.call_conv.get_arguments(shared)]):
            builder.store(value, cgutils.gep_inbounds(builder, memory, 0, k))
        # an address of 0 that moves on by 1 a thread: what each is given as its address is its number
        address, extent, pace = (cgutils.alloca_once_value(builder, x) for x in (_BYTES(None), threads, _WORD(1)))
        share = cgutils.get_or_insert_function(shared.module, _SHARED, "numba_parallel_for")
        pointers = [builder.bitcast(each, _BYTES) for each in (of_a_thread, address, extent, pace, memory)]
        builder.call(share, [*pointers, _WORD(0), _WORD(1), threads])  # no inner extents, one address
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
        k = self.fndesc.args.index("tasks")
        tasks = self.context.make_array(kinds[k])(self.context, builder, value=values[k])
        count = builder.sub(builder.extract_value(tasks.shape, 0), _WORD(1))
        begin, end = (builder.udiv(builder.mul(count, number), threads) for number in (first, end))
        tasks.data = builder.gep(tasks.data, [begin])
        tasks.shape = cgutils.pack_array(builder, [builder.add(builder.sub(end, begin), _WORD(1))])
        values[k] = tasks._getvalue()  # noqa: SLF001 - Numba's way to have it as a value
        self.context.call_conv.call_function(builder, written, types.none, kinds, values)
        builder.ret_void()
        return made


@register_pass(mutates_CFG=True, analysis_only=False)
class LoweringForThreads(NativeLowering):
    """Numba's last pass, for a function that all threads share."""

    _name = "lowering for threads"

    @property
    def lowering_class(self) -> type[Lower]:
        """What it is done by."""
        return _LowerForThreads
