"""The CPU target: its words for loops, and what its modules say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optgen import runtime
from optgen.ir import Kernel
from optgen.loops import layout, rounds, vectors
from optgen.loops.rounds import Launched
from optgen.runtime.cpu import totals
from optgen.targets import module
from optgen.targets.assembly import PythonTarget
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
        "reduced": "helper",
        "element": "per_element",
        "chunk": "per_chunk",
        "sweep": "parallel_sweep",
    }
    casts: ClassVar[Mapping[str, str]] = {"element": "narrow", "float64": "float64", "index": "int"}


def _said(kernel: Kernel, phases: tuple[Launched, ...], emitter: PythonEmitter) -> list[str]:
    """What PROGRAM says of the sweeps."""
    if rounds.is_simple(kernel):
        return ["sweep=sweep,"]
    kind = emitter.library("Phase")
    return [*module.left(kernel), "phases=(", *(line for phase in phases for line in _phase(kind, phase)), "),"]


def _phase(kind: str, phase: Launched) -> list[str]:
    """A phase among those of PROGRAM."""
    name = phase.function
    does = f"between={name}" if phase.over == "reduced" else f"sweep={name}"
    line, end = f"{kind}({module.names(phase.takes)}, {does}", ", totals={" if phase.totals else "),"
    if len(line + end) > layout.WIDTH:
        arrays = [f'"{array}"' for array in phase.takes]
        line = layout.laid_out(f"{kind}((", arrays, f"), {does}{end}").removesuffix(end)
    return module.phase(line, phase)


TARGET = PythonTarget("cpu", vectors.lowered, CpuEmitter, _said, HOME, arrays="numpy.ndarray")
