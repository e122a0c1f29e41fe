"""How kernels for GPUs are compiled, and what they call: for the device that the kernel is for.

Numba spends most of the time on looking up what each call may be. It compiles what is launched, its own way; so that is
a call of the kernel's body and no more, and the body, with what that calls, is compiled by the passes it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from numba.core.targetconfig import ConfigStack
from numba.cuda import utils
from numba.cuda.compiler import (
    CreateLibrary,
    CUDABackend,
    CUDACompiler,
    CUDANativeLowering,
    CUDATranslateBytecode,
    compile_extra,
)
from numba.cuda.core.callconv import CUDACallConv
from numba.cuda.core.compiler_machinery import PassManager
from numba.cuda.core.typed_passes import IRLegalization, NopythonTypeInference
from numba.cuda.core.untyped_passes import FixupArgs, InlineInlinables
from numba.cuda.descriptor import cuda_target
from numba.cuda.flags import CUDAFlags

from optgen.runtime.cpu.compiled import ComparedBySet, Typing
from optgen.runtime.cpu.pipeline import passes_of

__all__ = ["compile_for_kernels", "entry"]

_PASSES = passes_of("numba.cuda.core")


class _DeviceFlags(ComparedBySet, CUDAFlags):
    """How such a function is compiled."""


class _DeviceCompiler(CUDACompiler):
    """Numba's way, but that it remembers what calls are."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.state.typingctx = Typing(self.state.typingctx)
        self.state.targetctx = self.state.targetctx.subtarget(typing_context=self.state.typingctx)

    def define_pipelines(self) -> list[PassManager]:
        """Numba's passes, less those that look for what no function here has: closures, literals, array expressions."""
        passes = PassManager("of a kernel")
        for each in (
            CUDATranslateBytecode,
            FixupArgs,
            _PASSES.canonical,
            InlineInlinables,
            _PASSES.rewritten,
            _PASSES.ssa,
            NopythonTypeInference,
            _PASSES.without_phis,
            IRLegalization,
            CreateLibrary,
            CUDANativeLowering,
            CUDABackend,
        ):
            passes.add_pass(each, each.name())
        passes.finalize()
        return [passes]


def compile_for_kernels(function: Any, args: Any, return_type: Any) -> Any:
    """A function for arguments of some types, as what a kernel calls that is being compiled."""
    flags = _DeviceFlags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.forceinline = True
    flags.error_model, flags.nvvm_options = "numpy", {"opt": 3, "fastmath": False}
    flags.compute_capability = ConfigStack.top_or_none().compute_capability
    target = cuda_target.target_context
    with utils.numba_target_override():
        made = compile_extra(
            cuda_target.typing_context, target, function, args, return_type, flags, {},
            pipeline_class=_DeviceCompiler, call_conv=CUDACallConv(target), abi_info={},
        )  # fmt: skip
    made.library.finalize()
    return made


def entry(kernel: Callable[..., None], body: Any) -> Callable[..., None]:
    """What is launched of a kernel: a call of its body, which is inlined; so nearly all of it is compiled as above."""
    given = ", ".join(signature(kernel).parameters)
    names = {"__name__": kernel.__module__, "body": body}
    text = f"def {kernel.__name__}({given}):\n    body({given})"
    exec(compile(text, kernel.__code__.co_filename, "exec"), names)  # noqa: S102 - Numba asks for a Python function
    made: Any = names[kernel.__name__]
    made.__wrapped__ = kernel
    return made  # type: ignore[no-any-return]
