"""``optgen show``: one rule as equations, LaTeX, intermediate representation, source or machine code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from optgen import pipeline
from optgen.build import source as source_of
from optgen.build import target_named
from optgen.cli.screen import console, specs_in_reach
from optgen.errors import UsageError
from optgen.files import module_of
from optgen.language import latex
from optgen.language.domains import domain_of
from optgen.language.schedules import Schedule
from optgen.language.spec import aligned
from optgen.language.text import text
from optgen.loader import Loaded, Rule, SpecFile, load
from optgen.machine_code import Capability, capability_of, machine_code
from optgen.machine_code import ptx as ptx_of
from optgen.runtime import Program


def command(  # noqa: PLR0917 - options of a command line have names
    name: Annotated[str, typer.Argument(metavar="NAME", help="An optimizer or schedule, or a spec file with one.")],
    ir: Annotated[bool, typer.Option("--ir", help="What the compiler makes of it.")] = False,  # noqa: FBT002
    source: Annotated[bool, typer.Option("--source", help="The generated module.")] = False,  # noqa: FBT002
    as_latex: Annotated[bool, typer.Option("--latex", help="The equations for a paper.")] = False,  # noqa: FBT002
    ptx: Annotated[bool, typer.Option("--ptx", help="Its kernels as PTX.")] = False,  # noqa: FBT002
    sass: Annotated[bool, typer.Option("--sass", help="Its kernels as machine code of a GPU.")] = False,  # noqa: FBT002
    target: Annotated[str, typer.Option(help="The kind of machine; cuda for --ptx and --sass.")] = "cpu",
    arch: Annotated[str, typer.Option(help="The kind of GPU, for --ptx and --sass.")] = "sm_90",
) -> None:
    """Show one optimizer or schedule: equations, or what an option asks."""
    if ir + source + as_latex + ptx + sass > 1:
        raise UsageError("choose one of --ir, --source, --latex, --ptx and --sass")
    file, rule = _found(name)
    if ir:
        if isinstance(rule, Schedule):
            raise UsageError(f"{rule.name} is a schedule, which is not compiled: see --source")
        shown = str(pipeline.kernel_of(rule))
    elif source:
        shown = source_of(file, rule, target_named(target)).rstrip()
    elif ptx or sass:
        kernels = _as_ptx if ptx else _as_sass
        shown = "\n\n".join(kernels(_program(file, rule, target), capability_of(arch)))
    elif as_latex:
        shown = latex.aligned([(let.target, let.value) for let in rule.step])
    else:
        shown = "\n".join(_summary(rule))
    console.print(shown, markup=False, emoji=False, soft_wrap=True)


def _found(name: str) -> tuple[SpecFile, Rule]:
    if not name.endswith(".py"):
        return specs_in_reach().find(name)
    loaded: Loaded = load([Path(name)])
    for error in loaded.errors:
        raise error
    pairs = [(file, rule) for file in loaded.files for rule in file.rules]
    if len(pairs) == 1:
        return pairs[0]
    named = [pair for pair in pairs if pair[1].name == Path(name).stem]
    if not named:
        declared = ", ".join(rule.name for _, rule in pairs) or "no Optimizer and no Schedule"
        raise UsageError(f"{name} declares {declared}: name one")
    return named[0]


def _program(file: SpecFile, rule: Rule, target: str) -> Program:
    """That of the module for GPUs."""
    if isinstance(rule, Schedule):
        raise UsageError(f"{rule.name} is a schedule, which has no kernels: see --source")
    if target != "cuda":
        raise UsageError("--ptx and --sass show kernels for GPUs: add --target cuda")
    program: Program = module_of(rule.name, source_of(file, rule, target_named(target))).PROGRAM
    return program


def _as_ptx(program: Program, capability: Capability) -> Iterator[str]:
    for code in ptx_of(program, capability):
        yield f"// {code.kernel} ({code.over})\n\n{code.text}"


def _as_sass(program: Program, capability: Capability) -> Iterator[str]:
    for code in machine_code(program, capability):
        needs = (
            f"{code.registers} registers, {code.local_bytes} bytes of local and {code.shared_bytes} of shared memory"
        )
        yield f"// {code.kernel} ({code.over}): {needs}\n\n{code.sass}"


def _summary(rule: Rule) -> list[str]:
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
