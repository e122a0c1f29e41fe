"""The CUDA target: its words for loops, and what its modules say of themselves.

What is the same as on CPUs has the same text: `scalars`, and the functions of one position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from optgen import runtime
from optgen.ir import Kernel
from optgen.loops import blocks, rounds
from optgen.loops.layout import INDENT
from optgen.loops.nodes import Loop
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import Launched
from optgen.runtime.cuda import storage, totals
from optgen.targets import module
from optgen.targets.assembly import PythonTarget
from optgen.targets.python import PythonEmitter

HOME = {
    **dict.fromkeys(totals.__all__, "optgen.runtime.cuda.totals"),
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
        "reduced": "on_device",
        "element": "per_element",
        "kernel": "kernel",
    }
    casts: ClassVar[Mapping[str, str]] = {"element": "narrow", "float64": "float64", "index": "as_index"}

    def loop(self, loop: Loop, code: CodePrinter) -> Iterator[str]:
        """A loop; a range with a step would divide 64-bit integers."""
        yield f"{loop.index} = {self(loop.start)}"
        yield f"while {loop.index} < {self(loop.stop)}:"
        yield from self.block(loop.body, code)
        yield f"{INDENT}{loop.index} += {self(loop.step)}"


def _said(kernel: Kernel, phases: tuple[Launched, ...], emitter: PythonEmitter) -> list[str]:
    """What PROGRAM says of the sweeps."""
    kind = emitter.library("Launch")
    launches = [module.phase(f'{kind}("{phase.over}", {phase.function}', phase) for phase in phases]
    if rounds.is_simple(kernel):
        return [f"launches=({launches[0][0].strip()}),"]
    return [*module.left(kernel), "launches=(", *(line for launch in launches for line in launch), "),"]


TARGET = PythonTarget("cuda", blocks.lowered, CudaEmitter, _said, HOME, arrays="array in the memory of one GPU")
