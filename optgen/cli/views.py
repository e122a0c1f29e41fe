"""What ``optgen show`` prints of a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optgen.errors import UsageError
from optgen.language import latex
from optgen.language.domains import domain_of
from optgen.language.schedules import Schedule
from optgen.language.spec import Optimizer, aligned
from optgen.language.text import text
from optgen.loader import Rule, SpecFile

if TYPE_CHECKING:
    from optgen.runtime import Program


def shown_as(view: str, file: SpecFile, rule: Rule, target: str, arch: str) -> str:
    """A view of a rule as text: ``ir``, ``loops``, ``source``, ``latex``, ``ptx`` or ``sass``, else its equations."""
    match view:
        case "source":
            from optgen.build import source

            return source(file, rule, target).rstrip()
        case "latex":
            return latex.aligned([(let.target, let.value) for let in rule.step])
        case "ir" | "loops" | "ptx" | "sass" if isinstance(rule, Schedule):
            what = "is not compiled" if view in ("ir", "loops") else "has no kernels"
            raise UsageError(f"{rule.name} is a schedule, which {what}: see --source")
        case "ir" if isinstance(rule, Optimizer):
            from optgen.loops.tiling import tiling
            from optgen.pipeline import kernel_of

            kernel = kernel_of(rule)
            return "\n".join([str(kernel), *tiling(kernel)])
        case "loops" if isinstance(rule, Optimizer):
            from optgen.loops.text import LoopPrinter
            from optgen.pipeline import kernel_of
            from optgen.targets import target_named

            functions = target_named(target).lowered(kernel_of(rule)).functions
            return "\n\n".join(map(LoopPrinter().function, functions))
        case "ptx" | "sass":
            from optgen.build import source
            from optgen.files import module_of

            return "\n\n".join(_kernels(view, module_of(rule.name, source(file, rule, target)).PROGRAM, arch))
    return "\n".join(_equations(rule))


def _kernels(view: str, program: Program, arch: str) -> Iterator[str]:
    """The kernels of a module for GPUs, as PTX or as machine code."""
    from optgen.machine_code import capability_of, machine_code, ptx

    if view == "ptx":
        for code in ptx(program, capability_of(arch)):
            yield f"// {code.kernel} ({code.over})\n\n{code.text}"
        return
    for made in machine_code(program, capability_of(arch)):
        needs = f"{made.registers} registers, {made.local_bytes} bytes of local and {made.shared_bytes} of shared"
        yield f"// {made.kernel} ({made.over}): {needs} memory\n\n{made.sass}"


def _equations(rule: Rule) -> list[str]:
    lines = [f"{rule.title}  ({rule.reference})" if rule.reference else rule.title]
    if rule.description:
        lines += ["", rule.description]
    lines += ["", *(f"    {line}" for line in aligned(rule.step))]
    if rule.hypers:
        lines += ["", "hyperparameters"]
        defaults = [f"{h.usual:g}" if h.default.is_number else text(h.default) for h in rule.hypers]
        rows = [(h.name, d, str(domain_of(h)), h.meaning) for h, d in zip(rule.hypers, defaults, strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [
            "    " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    if rule.states:
        lines += ["", "states"]
        lines += [f"    {state.name}: one value {state.space.each}, from {text(state.init)}" for state in rule.states]
    return lines
