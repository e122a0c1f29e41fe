"""Calls of kernels: how a note of one is written, and how Python has what is noted done.

Notes are written once for what steps visit. After that a step is one call of machine code with the addresses of notes:
nobody looks at arguments again, of which only the contents are others.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import typeof, types
from numba.core.registry import CPUDispatcher

from optgen.runtime.core.program import Array, Call
from optgen.runtime.core.storage import WORD, Handed, storage_of
from optgen.runtime.core.table import At
from optgen.runtime.cpu.borrowed import borrowed
from optgen.runtime.cpu.compiled import CompilerOfKernels, compiled, kept_on_disk
from optgen.runtime.cpu.threads import done, part_of, place_of_parts

Function = TypeVar("Function", bound=Callable[..., Any])


class Routine(CPUDispatcher):
    """A compiled function whose calls are noted. `kernel` makes one."""

    @cached_property
    def place(self) -> tuple[int, bool]:
        """Which argument says what is to be done; see `place_of_parts`."""
        code = self.py_func.__code__
        return place_of_parts(code.co_varnames[: code.co_argcount])

    def add_overload(self, made: Any) -> None:
        """Have what has been compiled for some types known; not to Numba's calls from Python, which need a wrapper."""
        self.overloads[made.signature.args] = made

    def compile(self, kinds: Any) -> Routine:
        """Have the function compiled for some types."""
        super().compile(kinds)
        return self

    def note(self, args: Sequence[Any], known: Mapping[int, _Argument]) -> Array:
        """The note of a call, by what is known of each argument, whose address is its key.

        The code is compiled if it is the first for arguments of such types.
        """
        kinds, words = zip(*map(known.__getitem__, map(id, args)), strict=True)
        number, nested = self.place
        parts = args[number].tensors if nested else args[number]
        header = self._code(args, kinds), _start_of(parts), len(parts), int(not nested)
        return np.frombuffer(b"".join([_packed(*header), *words]), np.int64)

    def _code(self, args: Sequence[Any], alike: Any) -> int:
        """Where the code for such arguments lies."""
        if alike not in self._codes:
            kinds = tuple(borrowed(typeof(argument)) for argument in args)
            made = self.compile(kinds).overloads[kinds]
            self._codes[alike] = int(made.library.get_pointer_to_function(part_of(made.fndesc.llvm_func_name)))
        return self._codes[alike]

    @cached_property
    def _codes(self) -> dict[Any, int]:
        """Where code lies, by what arguments are."""
        return {}

    def _compile_for_args(self, *args: Any) -> Any:
        """What Python calls with these arguments."""
        note = self.note(args, _seen_of(args))
        return lambda *_: make(np.array([_start_of(note)]))


def kernel(function: Function, *, by: type[CompilerOfKernels] = CompilerOfKernels, **options: Any) -> Function:
    """Compile a function of arrays that returns nothing, to be noted, as `compiled` does; options are for Numba.

    One of its arguments says what it is to do: where each of some ``tasks`` begins, which all threads share, or ``at``,
    whose ``tensors`` are done by the thread that calls. A `ValueError` if there is no such argument.
    """
    options = {"nopython": True, "error_model": "numpy", "no_cfunc_wrapper": True, **options}
    made = Routine(function, targetoptions=options, pipeline_class=by)
    _ = made.place
    return kept_on_disk(made)  # type: ignore[no-any-return]


class _Argument(NamedTuple):
    """What is seen of an argument."""

    kind: Any  # what tells its type from others, in a hundredth of the time that Numba takes
    words: bytes  # as kernels take it: an array that they borrow, a storage's word, or several arrays


def _seen(argument: Any) -> _Argument:
    if isinstance(argument, At):
        of_arrays = list(map(_seen, argument))
        return _Argument(tuple([its.kind for its in of_arrays]), b"".join([its.words for its in of_arrays]))
    if isinstance(argument, Handed):
        return _Argument(storage_of(argument), _packed(vars(argument)[WORD]))
    kind = argument.dtype, argument.ndim, argument.flags.num & _TYPED
    return _Argument(kind, _packed(_start_of(argument), *argument.shape))


def _seen_of(args: Sequence[Any]) -> dict[int, _Argument]:
    """What is seen of arguments by their addresses, once of each."""
    each = dict(zip(map(id, args), args, strict=True))
    return dict(zip(each, map(_seen, each.values()), strict=True))


def _packed(*words: int) -> bytes:
    return array("q", words).tobytes()


_TYPED = 0x1 | 0x2 | 0x100 | 0x400
"""NumPy's flags of arrays whose elements stand in C's order, in Fortran's, are aligned, may be written."""


def _start_of(its: Array) -> int:
    return int(its.__array_interface__["data"][0])  # in a third of the time of `its.ctypes.data`


class Unlike(Exception):  # noqa: N818 - nothing is wrong
    """What a call is made for is not what it was; nothing has changed."""


class Due(NamedTuple):
    """A call that is to be made, or noted for another kernel."""

    call: Call  # of a kernel, or of whatever else can be called
    room: Array | None = None  # int64 (1,): where the kernel that makes it finds the address of its note


def prepared(chosen: Sequence[Due]) -> list[Call]:
    """Calls of compiled code, whatever of it had to be compiled: all kernels that follow each other are one."""
    calls: list[Call] = []
    for are_noted, found in groupby(chosen, lambda due: isinstance(due.call.func, Routine)):
        group = list(found)
        calls += [_together(group)] if are_noted else [_compiled(call) for call, _ in group]
    return calls


def if_nothing_fails(checks: Sequence[Due], calls: Sequence[Call], *, at_once: bool) -> list[Call]:
    """Calls, as `prepared` has them, of which none is made where a check raises, which then is `Unlike`.

    Checks are kernels that change nothing but what the calls read; Python's lock is held meanwhile. At once it is one
    call where that can be, and the lock is held until all is done: for what takes less time than another call.
    """
    first, rest = _together(list(checks)), list(calls)
    kept, notes = [first], [*first.args]
    if at_once and len(rest) == 1 and isinstance(rest[0], _Together):
        kept.append(rest[0])
        notes += rest.pop().args
    call = _Together(_code_of_make_if(), np.concatenate(notes), len(checks))
    call.kept = kept
    return [call, *rest]


class _Together(partial[None]):
    """The call that makes all calls of some notes, whose addresses are its argument, and keeps what these read."""

    kept: Any


def _together(group: list[Due]) -> _Together:
    known = _seen_of([*chain.from_iterable(due.call.args for due in group)])
    routines: list[Any] = [due.call.func for due in group]
    notes = [routine.note(due.call.args, known) for routine, due in zip(routines, group, strict=True)]
    for note, (_, room) in zip(notes, group, strict=True):
        if room is not None:
            room[0] = _start_of(note)
    row = [_start_of(note) for note, (_, room) in zip(notes, group, strict=True) if room is None]
    call = _Together(_code_of_make(), np.array(row))
    call.kept = group, notes
    return call


def _compiled(call: Call) -> Call:
    """A call of the machine code for its arguments, where it has some."""
    made = getattr(call.func, "compile", None)
    return partial(made(tuple(map(typeof, call.args))), *call.args) if made else call


@compiled
def make(notes: Array) -> None:
    """Make all calls of which the addresses of notes are given, one after another."""
    for k in range(len(notes)):
        if done(notes[k]):
            raise MemoryError("a kernel found no room for what it needs besides its arrays")


@cache
def _code_of_make() -> Callable[..., None]:
    return make.compile((types.int64[::1],))  # type: ignore[attr-defined, no-any-return]


@partial(compiled, nogil=False)
def make_if(notes: Array, checks: int) -> None:
    """Make calls in the same way, unless one of the first few fails; Python's lock is held."""
    for k in range(len(notes)):
        if done(notes[k]):
            if k < checks:
                raise Unlike
            raise MemoryError("a kernel found no room for what it needs besides its arrays")


@cache
def _code_of_make_if() -> Callable[..., None]:
    return make_if.compile((types.int64[::1], types.int64))  # type: ignore[attr-defined, no-any-return]
