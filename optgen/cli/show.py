"""``optgen show``: one optimizer as equations, LaTeX, intermediate representation or source."""

from pathlib import Path
from typing import Annotated

import typer

from optgen import pipeline
from optgen.build import origin, target_named
from optgen.cli.screen import console, specs_in_reach
from optgen.errors import UsageError
from optgen.language import latex
from optgen.language.domains import domain_of
from optgen.language.spec import Optimizer, aligned
from optgen.language.text import text
from optgen.loader import Loaded, SpecFile, load


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An optimizer, or a spec file with one.")],
    ir: Annotated[bool, typer.Option("--ir", help="What the compiler makes of it.")] = False,  # noqa: FBT002
    source: Annotated[bool, typer.Option("--source", help="The generated module.")] = False,  # noqa: FBT002
    as_latex: Annotated[bool, typer.Option("--latex", help="The equations for a paper.")] = False,  # noqa: FBT002
    target: Annotated[str, typer.Option(help="The kind of machine, for --source.")] = "cpu",
) -> None:
    """Show one optimizer: equations, or what an option asks."""
    if ir + source + as_latex > 1:
        raise UsageError("choose one of --ir, --source and --latex")
    file, optimizer = _found(name)
    if ir:
        shown = str(pipeline.kernel_of(optimizer))
    elif source:
        machine = target_named(target)
        shown = pipeline.source(optimizer, machine, origin(file, machine)).rstrip()
    elif as_latex:
        shown = latex.aligned([(let.target, let.value) for let in optimizer.step])
    else:
        shown = "\n".join(_summary(optimizer))
    console.print(shown, markup=False, soft_wrap=True)


def _found(name: str) -> tuple[SpecFile, Optimizer]:
    if not name.endswith(".py"):
        return specs_in_reach().find(name)
    loaded: Loaded = load([Path(name)])
    for error in loaded.errors:
        raise error
    pairs = [(file, optimizer) for file in loaded.files for optimizer in file.optimizers]
    if len(pairs) == 1:
        return pairs[0]
    named = [pair for pair in pairs if pair[1].name == Path(name).stem]
    if not named:
        raise UsageError(f"{name} declares {', '.join(pair[1].name for pair in pairs) or 'no Optimizer'}: name one")
    return named[0]


def _summary(optimizer: Optimizer) -> list[str]:
    lines = [f"{optimizer.title}  ({optimizer.reference})" if optimizer.reference else optimizer.title]
    if optimizer.description:
        lines += ["", optimizer.description]
    lines += ["", *(f"    {line}" for line in aligned(optimizer.step))]
    if optimizer.hypers:
        lines += ["", "hyperparameters"]
        rows = [(h.name, f"{float(h.default):g}", str(domain_of(h)), h.meaning) for h in optimizer.hypers]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [
            "    " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    if optimizer.states:
        lines += ["", "states"]
        lines += [
            f"    {state.name}: one value {state.space.each}, from {text(state.init)}" for state in optimizer.states
        ]
    return lines
