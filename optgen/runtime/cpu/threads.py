"""Kernels as machine code that is given a note, and all threads that share what is noted.

A note is a call that has been written down: where the kernel's code lies, what it is to do, and all arguments as the
kernel takes them, word by word. So nothing is compiled that takes Python's objects apart, and a step is one call from
Python, whatever it runs. What a kernel is to do, tasks of a sweep or tensors, is given beside the rest: a thread has
some of it, a tile as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import addressof, c_int64
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.lowering import Lower
from numba.extending import intrinsic
from numba.np.ufunc import parallel

from optgen.runtime.core.table import At

__all__ = ["LowerOfKernels", "done", "done_in_part", "part_of", "place_of_parts", "start"]

_HEADER = 4
"""Words before the arguments: where the code lies, where tasks or tensors do, how many, whether they are shared."""
_TENSORS = At._fields.index("tensors")

_WORD, _NOTHING, _STATUS = ir.IntType(64), ir.VoidType(), ir.IntType(32)
_BYTES, _WORDS = ir.IntType(8).as_pointer(), _WORD.as_pointer()
_SHARE = ir.FunctionType(_NOTHING, [_BYTES.as_pointer(), _WORDS, _WORDS, _BYTES])  # what Numba's threads call
_THREADS = ir.FunctionType(_WORD, [])
_PART = ir.FunctionType(_STATUS, [_WORDS, _WORD, _WORD])
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


# What is made of a kernel --------------------------------------------------------------------------------------------


def part_of(name: str) -> str:
    """The name of the code that is given a note, by that of the function that was compiled."""
    return f"{name}.in_part"


class LowerOfKernels(Lower):
    """Has a function be given a note where Numba would have Python call it."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as Numba calls it
        """Write the function that is given a note, and what it is to do of it."""
        number, nested = place_of_parts(self.fndesc.args)
        module = self.context.create_module("in part")
        kind = self.context.call_conv.get_function_type(self.fndesc.restype, self.fndesc.argtypes)
        written = ir.Function(module, kind, self.fndesc.llvm_func_name)
        made = ir.Function(module, _PART, part_of(written.name))
        builder = ir.IRBuilder(made.append_basic_block())
        flat = self.context.call_conv.get_arguments(written)
        noted = ir.LiteralStructType([_WORD] * _HEADER + [each.type for each in flat])
        note = builder.bitcast(made.args[0], noted.as_pointer())
        loaded = [builder.load(cgutils.gep_inbounds(builder, note, 0, _HEADER + k)) for k in range(len(flat))]
        packer = self.context.get_arg_packer(self.fndesc.argtypes)
        values, its = list(packer.from_arguments(builder, loaded)), self.fndesc.argtypes[number]
        parts = cgutils.create_struct_proxy(its[_TENSORS] if nested else its)(self.context, builder)
        parts.data, parts.shape = builder.inttoptr(made.args[1], _WORDS), cgutils.pack_array(builder, [made.args[2]])
        part = parts._getvalue()  # noqa: SLF001 - Numba's way to have it as a value
        values[number] = builder.insert_value(values[number], part, _TENSORS) if nested else part
        found = [cgutils.alloca_once(builder, each.type.pointee) for each in written.args[:2]]
        builder.ret(builder.call(written, [*found, *packer.as_arguments(builder, values)], attrs=("noinline",)))
        self.library.add_ir_module(module)


def place_of_parts(args: Sequence[str]) -> tuple[int, bool]:
    """Which argument says what is to be done, and whether it says other things as well.

    Raises
    ------
    ValueError
        If none does.
    """
    for name, nested in (("tasks", False), ("at", True)):
        if name in args:
            return args.index(name), nested
    raise ValueError(f"a kernel has an argument that says what it is to do, `tasks` or `at`: none of {args} is")


# What is done with a note --------------------------------------------------------------------------------------------


@intrinsic  # type: ignore[untyped-decorator]
def done(_context: Any, _note: Any) -> Any:
    """Make the call of a note, of which the address is given; 0 if it went well.

    All threads share it where it is to be shared, once they have been started and where there are several tasks.
    """

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        note = builder.inttoptr(args[0], _WORDS)
        code, parts, count, shared = (_word(builder, note, k) for k in range(_HEADER))
        where = builder.module.globals.get(_WHERE) or ir.GlobalVariable(
            builder.module, ir.ArrayType(_WORD, len(_NAMES)), _WHERE
        )
        threads, share = (builder.load(cgutils.gep_inbounds(builder, where, 0, k)) for k in range(len(_NAMES)))
        several = builder.and_(cgutils.is_not_null(builder, shared), builder.icmp_signed(">", count, _WORD(2)))
        with builder.if_else(builder.and_(several, cgutils.is_not_null(builder, share))) as (by_all, by_one):
            with by_all:
                number = builder.call(builder.inttoptr(threads, _THREADS.as_pointer()), [])
                memory = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 3))
                for k, word in enumerate((number, args[0], _WORD(0))):
                    builder.store(word, cgutils.gep_inbounds(builder, memory, 0, k))
                # an address of 0 that moves on by 1 a thread: what each is given as its address is its number
                given = (cgutils.alloca_once_value(builder, x) for x in (_BYTES(None), number, _WORD(1)))
                pointers = [builder.bitcast(x, _BYTES) for x in (_of_a_thread(builder.module), *given, memory)]
                rest = _WORD(0), _WORD(1), number  # no inner extents, one address
                builder.call(builder.inttoptr(share, _SHARED.as_pointer()), [*pointers, *rest])
                failed = builder.load(cgutils.gep_inbounds(builder, memory, 0, 2))
                ends = builder.block
            with by_one:
                status = _call(builder, note, code, parts, count)
                ended = builder.block
        found = builder.phi(_WORD)
        found.add_incoming(failed, ends)
        found.add_incoming(status, ended)
        return found

    return types.int64(types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def done_in_part(_context: Any, _note: Any, _parts: Any, _count: Any) -> Any:
    """Make the call of a note with so many other tasks or tensors, which lie at an address; 0 if it went well."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        note = builder.inttoptr(args[0], _WORDS)
        return _call(builder, note, _word(builder, note, 0), *args[1:])

    return types.int64(types.int64, types.int64, types.int64), codegen


def _word(builder: Any, memory: Any, k: int) -> Any:
    return builder.load(builder.gep(memory, [_WORD(k)]))


def _call(builder: Any, note: Any, code: Any, parts: Any, count: Any) -> Any:
    return builder.sext(builder.call(builder.inttoptr(code, _PART.as_pointer()), [note, parts, count]), _WORD)


def _of_a_thread(module: Any) -> Any:
    """The function that each thread calls: it does the tasks of that thread, or of several that follow each other."""
    name = "optgen.of_a_thread"
    if name in module.globals:
        return module.globals[name]
    made = ir.Function(module, _SHARE, name)
    made.linkage = "internal"
    builder = ir.IRBuilder(made.append_basic_block())
    first = builder.ptrtoint(builder.load(made.args[0]), _WORD)
    end = builder.add(first, builder.load(made.args[1]))
    memory = builder.bitcast(made.args[3], _WORDS)
    threads, note = _word(builder, memory, 0), builder.inttoptr(_word(builder, memory, 1), _WORDS)
    code, parts, count, _ = (_word(builder, note, k) for k in range(_HEADER))
    tasks = builder.sub(count, _WORD(1))
    begin, end = (builder.udiv(builder.mul(tasks, number), threads) for number in (first, end))
    mine = builder.add(parts, builder.mul(begin, _WORD(8)))
    status = _call(builder, note, code, mine, builder.add(builder.sub(end, begin), _WORD(1)))
    with builder.if_then(cgutils.is_not_null(builder, status)):  # whoever writes it last, it is not 0
        builder.store(status, builder.gep(memory, [_WORD(2)]))
    builder.ret_void()
    return made
