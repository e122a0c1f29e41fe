"""How functions are compiled: those that Python calls, and those of which they are made.

Most of a first step is LLVM. Numba has it optimize every function with all that it calls, and again with all that calls
it, and make machine code of each, even of those that only compiled functions call. Here a part is optimized where it
goes, and only what Python calls becomes machine code. Loops alone are optimized by themselves as well: they are to be
packed in one way wherever they go.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property
from operator import setitem
from typing import Any, ClassVar, TypeVar

from llvmlite import binding
from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_machinery import PassManager
from numba.core.lowering import Lower
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import IRLegalization, NoPythonBackend, NopythonTypeInference
from numba.core.untyped_passes import FixupArgs, TranslateByteCode
from numba.extending import lower_builtin, models, register_model

from optgen.runtime.cpu.disk import KeptOnDisk
from optgen.runtime.cpu.packs import LowerOfRuns
from optgen.runtime.cpu.pipeline import lowering, passes_of
from optgen.runtime.cpu.scalars import LowerOfScalars
from optgen.runtime.cpu.threads import LowerOfKernels

Function = TypeVar("Function", bound=Callable[..., Any])
_PASSES = passes_of("numba.core")


class _Code(JITCodeLibrary):
    """The code of a function and of its parts, optimized once they are all together."""

    is_part = False

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout  # noqa: SLF001 - all that is needed of what Numba does

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()  # noqa: SLF001 - the second of Numba's two rounds
        passes.run(self._final_module, builder)


class _SmallCode(_Code):
    """Code that is run once a step or for reduced values, where what LLVM does for speed takes longer than it saves."""

    def _optimize_final_module(self) -> None:
        tuning = binding.create_pipeline_tuning_options(speed_level=1)
        tuning.loop_unrolling = tuning.loop_vectorization = tuning.slp_vectorization = False
        _pass_over(self, tuning)


class _LoopCode(_Code):
    """Code that goes into that of its callers, optimized."""

    is_part = True
    _optimize_functions = JITCodeLibrary._optimize_functions  # noqa: SLF001 - or draws take longer

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _RunCode(_LoopCode):
    """Such code with loops of a fixed length, which LLVM would unroll before it packs them: here none is unrolled."""

    def _optimize_functions(self, ll_module: Any) -> None:
        _Code._optimize_functions(self, ll_module)  # noqa: SLF001 - a base of this one

    def _optimize_final_module(self) -> None:
        for _ in range(2):  # what need not be counted as a reference is known after the first
            tuning = binding.create_pipeline_tuning_options(speed_level=3)
            tuning.loop_unrolling = False
            _pass_over(self, tuning)


def _pass_over(code: _Code, tuning: Any) -> None:
    """Let LLVM optimize code."""
    builder = binding.create_pass_builder(code._codegen._tm, tuning)  # noqa: SLF001 - the processor
    passes = builder.getModulePassManager()
    passes.add_refprune_pass()
    passes.run(code._final_module, builder)  # noqa: SLF001 - as Numba does


class _PartCode(_LoopCode):
    """Code that goes into that of its callers as it is."""

    def _optimize_final_module(self) -> None:
        pass


class _OutlinedCode(_PartCode):
    """Code that stays a function of its own: it is there once, however many calls of it there are."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:  # Numba has those that are linked be "linkonce"
            if not function.is_declaration and function.linkage is binding.Linkage.external:
                function.add_function_attribute("noinline")


class ComparedBySet:
    """How a function is compiled: Numba has that in the key of whatever it looks up, and compares all of 30 options."""

    options: ClassVar[dict[str, Any]] = {}  # Numba asks every base for its own
    _values: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, ComparedBySet) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._values))


class _Flags(ComparedBySet, Flags):
    """That of a function for CPUs."""


class _Known(types.Function):
    """A function of Numba's that remembers what its calls are.

    Numba asks all that a product may be, of arrays and of dates as well, for each that is written in a kernel, and asks
    again when it is lowered.
    """

    def __init__(self, function: types.Function) -> None:
        super().__init__(function.templates)
        self._impl_keys = function._impl_keys  # noqa: SLF001 - where Numba finds how a call of some signature is made

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        """The signature of a call."""
        if kws or not all(each.is_precise() for each in args):
            return super().get_call_type(context, args, kws)
        if args not in self._calls:
            self._calls[args] = super().get_call_type(context, args, kws)
        return self._calls[args]

    @cached_property
    def _calls(self) -> dict[Any, Any]:
        return {}


register_model(_Known)(models.OpaqueModel)
_known = cache(_Known)  # Numba forgets types that nobody holds


class Typing:
    """What Numba knows of types, its functions as `_Known`."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_value_type(self, value: Any) -> Any:
        """The type of what a name stands for."""
        kind = self._context.resolve_value_type(value)
        return _known(kind) if type(kind) is types.Function else kind

    def resolve_function_type(self, function: Any, args: Any, named: Any) -> Any:
        """The signature of a call; None if there is none."""
        if isinstance(function, _Known):
            return function.get_call_type(self._context, args, named)
        return self._context.resolve_function_type(function, args, named)

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
        """That of a store."""
        return self.resolve_value_type(setitem).get_call_type(self._context, (target, index, value), {})


@lower_builtin("__array__", types.Array)  # type: ignore[untyped-decorator]
def _itself(_context: Any, _builder: Any, _signature: Any, args: Any) -> Any:
    """What an array is as an array. Numba asks wherever one is used and, without an answer, for news in all modules."""
    return args[0]


class _Compiler(CompilerBase):
    """Numba's way from a function to code of some kind."""

    code: type[_Code] = _Code
    lower: Any = Lower

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.state.flags = _Flags(self.state.flags)
        self.state.typingctx = Typing(self.state.typingctx)
        self.state.targetctx = self.state.targetctx.subtarget(typing_context=self.state.typingctx)
        self.state.library = self.code(self.state.targetctx.codegen(), "optgen")
        self.state.library.enable_object_caching()
        self.state.flags.no_compile = self.code.is_part  # to a function that Python could call

    def define_pipelines(self) -> list[PassManager]:
        """Numba's passes, less those that look for what no function here has: closures, literals, array expressions."""
        passes = PassManager("nopython")
        for each in (
            TranslateByteCode,
            FixupArgs,
            _PASSES.canonical,
            _PASSES.rewritten,
            _PASSES.ssa,
            NopythonTypeInference,
            _PASSES.without_phis,
            IRLegalization,
            lowering(self.lower),
            NoPythonBackend,
        ):
            passes.add_pass(each, each.name())
        passes.finalize()
        return [passes]


class CompilerOfScalars(_Compiler):
    """The way to the code of what is computed once a step."""

    code = _SmallCode
    lower = LowerOfScalars


class CompilerOfKernels(_Compiler):
    """The way to the code of a kernel, which is given a note in place of objects of Python."""

    lower = LowerOfKernels


class CompilerOfSmallKernels(CompilerOfKernels):
    """The way to the code of one of reduced values."""

    code = _SmallCode


class _CompilerOfLoops(_Compiler):
    code = _LoopCode


class _CompilerOfRuns(_Compiler):
    code = _RunCode
    lower = LowerOfRuns


class _CompilerOfParts(_Compiler):
    code = _PartCode


class _CompilerOfOutlined(_Compiler):
    code = _OutlinedCode


def compiled(function: Function, *, by: type[_Compiler] = _Compiler, **options: Any) -> Function:
    """Compile a function when first called, and keep the machine code on disk where that can be done."""
    options = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True, "pipeline_class": by, **options}
    return kept_on_disk(njit(**options)(function))  # type: ignore[no-any-return]


def kept_on_disk(made: Any) -> Any:
    """A compiled function, whose machine code is kept on disk where that can be done."""
    with suppress(RuntimeError, OSError):  # no writable place
        made._cache = KeptOnDisk(made.py_func)  # noqa: SLF001 - as enable_caching() does with Numba's own
    return made


class _Called(CPUDispatcher):
    """A function that compiled ones call.

    What they call has no wrapper for Python and none for C, which take longer to compile than all else in a small
    function, and is kept on disk as a part of them only. Numba would have Python call what is not there; so the table
    of what it may call stays empty, and Python's calls are answered by a function of its own.
    """

    def add_overload(self, made: Any) -> None:
        """Have what has been compiled for some types known to functions that call it."""
        made = made._replace(entry_point=(self.py_func, made.signature))  # what callers know it by
        made.target_context.insert_user_function(made.entry_point, made.fndesc, [made.library])
        self.overloads[made.signature.args] = made

    @cached_property
    def of_python(self) -> Any:
        """What Python calls, compiled when it first does."""
        return compiled(self.py_func)

    def _compile_for_args(self, *_: Any) -> Any:
        return self.of_python


def part(function: Function, **options: Any) -> Function:
    """Compile a function when one that calls it is compiled, and with it."""
    return _called(function, _CompilerOfParts, **options)


def outlined(function: Function, **options: Any) -> Function:
    """Compile a function in the same way, to be called where others are inlined: a longer one, or one of many calls."""
    return _called(function, _CompilerOfOutlined, forceinline=False, **options)


def loop(function: Function, **options: Any) -> Function:
    """Compile a loop when a function that runs it is compiled, to be inlined there."""
    return _called(function, _CompilerOfLoops, forceinline=True, **options)


def runs(function: Function, **options: Any) -> Function:
    """Compile a loop over runs of a fixed length in the same way, each run packed before it is unrolled."""
    return _called(function, _CompilerOfRuns, forceinline=True, **options)


def _called(function: Function, by: type[_Compiler], **options: Any) -> Function:
    # Numba has functions take these over from what calls them.
    options = {"fastmath": False, "_nrt": True, **options}
    options |= {"nopython": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _Called(function, targetoptions=options, pipeline_class=by)
