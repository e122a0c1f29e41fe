"""``optgen list``: every optimizer and schedule in reach, for a person or a program."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer
from rich.text import Text

from optgen.cli.screen import complain, console, specs_in_reach
from optgen.errors import OptgenError
from optgen.ir import Branch, Kernel
from optgen.language.domains import domain_of
from optgen.language.spec import Optimizer
from optgen.language.symbols import Hyper
from optgen.language.text import text
from optgen.loader import Rule, SpecFile
from optgen.pipeline import kernel_of

FLOAT32 = 4


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,  # noqa: FBT002
) -> None:
    """List the optimizers and schedules here and those that come with it."""
    loaded = specs_in_reach()
    optimizers = [entry(file, optimizer) for file in loaded.files for optimizer in file.optimizers]
    schedules = [_said(file, schedule) for file in loaded.files for schedule in file.schedules]
    if as_json:
        print(json.dumps([*optimizers, *schedules], indent=2))  # noqa: T201
    else:
        for line in [*_lines(_of_optimizers(optimizers)), Text(), *_lines(_of_schedules(schedules))]:
            console.print(line, soft_wrap=True)
    for error in loaded.errors:
        complain(str(error))
    if loaded.errors:
        raise typer.Exit(1)


def entry(file: SpecFile, optimizer: Optimizer) -> dict[str, Any]:
    """What there is to know about an optimizer, as plain data.

    ``bytes_read`` and ``bytes_written`` are for an element in float32 and belong to the branch that runs when no
    condition on the step holds; ``branches`` has them for each. They are null where no kernel can be built.
    """
    try:
        kernel = kernel_of(optimizer)
    except OptgenError:
        kernel = None
    states = [{"name": s.name, "space": s.space.name, "init": text(s.init)} for s in optimizer.states]
    return {**_said(file, optimizer), "states": states, **_traffic(kernel)}


def _said(file: SpecFile, rule: Rule) -> dict[str, Any]:
    """What the spec of an optimizer or a schedule says."""
    return {
        "name": rule.name,
        "kind": rule.kind,
        "title": rule.title,
        "file": file.title,
        "reference": rule.reference,
        "description": rule.description,
        "hypers": [
            {"name": h.name, "default": _default(h), "domain": str(domain_of(h)), "meaning": h.meaning}
            for h in rule.hypers
        ],
    }


def _default(hyper: Hyper) -> float | str:
    """The default of a hyperparameter, in words where it follows from others."""
    return hyper.usual if hyper.default.is_number else text(hyper.default)


def _traffic(kernel: Kernel | None) -> dict[str, Any]:
    if kernel is None:
        return {"sweeps": None, "bytes_read": None, "bytes_written": None, "branches": []}
    branches = [{"when": text(branch.when), **_moved(branch)} for branch in kernel.branches]
    return {**_moved(kernel.branches[-1]), "branches": branches}


def _moved(branch: Branch) -> dict[str, int]:
    return {
        "sweeps": len(branch.over_elements),
        "bytes_read": FLOAT32 * branch.loads,
        "bytes_written": FLOAT32 * branch.stores,
    }


def _of_optimizers(entries: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield ("name", "states", "sweeps", "read", "written", "reference")
    for item in entries:
        moved = [f"{item[key]} B" if item[key] is not None else "-" for key in ("bytes_read", "bytes_written")]
        states = " ".join(state["name"] for state in item["states"]) or "-"
        yield (item["name"], states, str(item["sweeps"] or "-"), *moved, item["reference"])


def _of_schedules(entries: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield ("schedule", "hyperparameters", "reference")
    for item in entries:
        yield (item["name"], " ".join(hyper["name"] for hyper in item["hypers"]) or "-", item["reference"])


def _lines(rows: Iterable[tuple[str, ...]]) -> Iterator[Text]:
    """A table with its head, cut to the width of a terminal but whole where a program reads it."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        name, *others, reference = (
            f"{cell:>{width}}" if 1 < column < len(row) - 1 else f"{cell:{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        line = Text("  ".join((name, *others, reference)).rstrip(), style="bold" if number == 0 else "")
        if number:
            line.stylize("cyan", 0, len(name))
            line.stylize("dim", len(line) - len(reference.rstrip()))
        if console.is_terminal:
            line.truncate(console.width, overflow="ellipsis")
        yield line
