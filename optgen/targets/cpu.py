"""The CPU target: its words for loops, and what its modules say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optgen import runtime
from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.loops import layout, rounds, vectors
from optgen.loops.rounds import Launched, Lowered
from optgen.runtime.cpu import totals
from optgen.targets import module
from optgen.targets.assembly import assembled
from optgen.targets.base import Origin, stored
from optgen.targets.python import PythonEmitter

HOME = {
    **dict.fromkeys(totals.__all__, "optgen.runtime.cpu.totals"),
    **dict.fromkeys(runtime.__all__, "optgen.runtime"),
    "beginning": "optgen.runtime.core",
    "draws": "optgen.runtime.cpu.draws",
    "view": "optgen.runtime.cpu.storage",
    "": "optgen.runtime.cpu.primitives",
}
"""Where generated modules find what they use; all else is where nothing is."""


@dataclass(frozen=True)
class CpuEmitter(PythonEmitter):
    """Writes functions for CPUs."""

    decorators: ClassVar[Mapping[str, str]] = {
        "host": "on_host",
        "between": "between_sweeps",
        "small": "helper",
        "element": "per_element",
        "chunk": "per_chunk",
        "sweep": "parallel_sweep",
    }
    casts: ClassVar[Mapping[str, str]] = {"element": "narrow", "float64": "wide", "index": "int"}


@dataclass(frozen=True)
class _Cpu:
    name: str = "cpu"

    def lowered(self, kernel: Kernel) -> Lowered:
        """The kernel as loops."""
        return vectors.lowered(kernel)

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        """The text of a module: scalars, update, chunk, sweeps, step and the class."""
        emitter, lowered = CpuEmitter(stored=stored(optimizer, kernel)), self.lowered(kernel)
        functions = emitter.functions(lowered.functions)
        said = _said(kernel, lowered.phases, emitter.used)
        return assembled(
            optimizer,
            kernel,
            origin,
            functions=functions,
            said=said,
            home=HOME,
            used=emitter.used,
            arrays="numpy.ndarray",
        )


TARGET = _Cpu()


def _said(kernel: Kernel, phases: tuple[Launched, ...], used: set[str]) -> list[str]:
    """What PROGRAM says of the sweeps."""
    if rounds.is_simple(kernel):
        return ["sweep=sweep,"]
    used.add("Phase")
    kept = [x.name for x in rounds.kept(kernel)]
    values = [f'"{array}": "{kind}"' for array, kind in rounds.arrays(kernel).items()]
    lines = [f"scratch={module.names(kept)},"] if kept else []
    lines += [*layout.laid_out("values={", values, "},").splitlines(), "phases=("]
    return [*lines, *(line for phase in phases for line in _phase(phase)), "),"]


def _phase(phase: Launched) -> list[str]:
    """A phase among those of PROGRAM."""
    name = phase.function
    does = f"between={name}" if phase.over == "small" else f"sweep={name}"
    line, end = f"Phase({module.names(phase.takes)}, {does}", ", totals={" if phase.totals else "),"
    if len(line + end) > layout.WIDTH:
        line = layout.laid_out("Phase((", [f'"{array}"' for array in phase.takes], f"), {does}{end}").removesuffix(end)
    return module.phase(line, phase)
