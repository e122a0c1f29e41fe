"""The CUDA target: its words for loops, and what its modules say of themselves.

What is the same as on CPUs has the same text: `scalars`, and the functions of one position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from optgen import runtime
from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.loops import blocks, rounds
from optgen.loops.layout import INDENT, laid_out
from optgen.loops.nodes import Loop
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import Launched, Lowered
from optgen.runtime.cuda import storage
from optgen.runtime.cuda import totals as cuda_totals
from optgen.targets import module
from optgen.targets.assembly import assembled
from optgen.targets.base import Origin, stored
from optgen.targets.python import PythonEmitter

HOME = {
    **dict.fromkeys(cuda_totals.__all__, "optgen.runtime.cuda.totals"),
    **dict.fromkeys(runtime.__all__, "optgen.runtime"),
    **dict.fromkeys(("FusedOptimizer", "update_array"), "optgen.runtime.cuda.optimizer"),
    "beginning": "optgen.runtime.core",
    **dict.fromkeys(("draw", "draw4"), "optgen.runtime.cuda.draws"),
    **dict.fromkeys(storage.__all__, "optgen.runtime.cuda.storage"),
    "": "optgen.runtime.cuda.primitives",
}
"""Where generated modules find what they use; all else is where nothing is."""


@dataclass(frozen=True)
class CudaEmitter(PythonEmitter):
    """Writes functions for GPUs."""

    decorators: ClassVar[Mapping[str, str]] = {
        "host": "on_host",
        "small": "on_device",
        "element": "per_element",
        "kernel": "kernel",
    }
    casts: ClassVar[Mapping[str, str]] = {"element": "narrow", "float64": "wide", "index": "as_index"}

    def loop(self, loop: Loop, code: CodePrinter) -> Iterator[str]:
        """A loop; a range with a step would divide 64-bit integers."""
        yield f"{loop.index} = {self(loop.start)}"
        yield f"while {loop.index} < {self(loop.stop)}:"
        yield from self.block(loop.body, code)
        yield f"{INDENT}{loop.index} += {self(loop.step)}"


@dataclass(frozen=True)
class _Cuda:
    name: str = "cuda"

    def lowered(self, kernel: Kernel) -> Lowered:
        """The kernel as loops."""
        return blocks.lowered(kernel)

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        """The text of a module: scalars, the functions of one position, the sweeps, step and the class."""
        emitter, lowered = CudaEmitter(stored=stored(optimizer, kernel)), self.lowered(kernel)
        functions = emitter.functions(lowered.functions)
        return assembled(
            optimizer,
            kernel,
            origin,
            functions=functions,
            said=_said(kernel, lowered.phases),
            home=HOME,
            used={*emitter.used, "Launch"},
            arrays="array in the memory of one GPU",
        )


TARGET = _Cuda()


def _said(kernel: Kernel, phases: tuple[Launched, ...]) -> list[str]:
    """What PROGRAM says of the sweeps."""
    launches = [module.phase(f'Launch("{phase.over}", {phase.function}', phase) for phase in phases]
    if rounds.is_simple(kernel):
        return [f"launches=({launches[0][0].strip()}),"]
    kept = [x.name for x in rounds.kept(kernel)]
    values = [f'"{array}": "{kind}"' for array, kind in rounds.arrays(kernel).items()]
    lines = [f"scratch={module.names(kept)},"] if kept else []
    lines += laid_out("values={", values, "},").splitlines()
    return [*lines, "launches=(", *(line for launch in launches for line in launch), "),"]
