"""``optgen list``: every optimizer in reach, for a person or a program."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.text import Text

from optgen.cli.screen import complain, console, specs_in_reach
from optgen.errors import OptgenError
from optgen.ir import Branch, Kernel
from optgen.language.domains import domain_of
from optgen.language.spec import Optimizer
from optgen.language.text import text
from optgen.loader import SpecFile
from optgen.pipeline import kernel_of

FLOAT32 = 4


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,  # noqa: FBT002
) -> None:
    """List the optimizers here and those that come with it."""
    loaded = specs_in_reach()
    entries = [entry(file, optimizer) for file in loaded.files for optimizer in file.optimizers]
    if as_json:
        print(json.dumps(entries, indent=2))  # noqa: T201
    else:
        for line in _lines(entries):
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
    return {
        "name": optimizer.name,
        "title": optimizer.title,
        "file": file.title,
        "reference": optimizer.reference,
        "description": optimizer.description,
        "hypers": [
            {"name": h.name, "default": float(h.default), "domain": str(domain_of(h)), "meaning": h.meaning}
            for h in optimizer.hypers
        ],
        "states": [{"name": s.name, "space": s.space.name, "init": text(s.init)} for s in optimizer.states],
        **_traffic(kernel),
    }


def _traffic(kernel: Kernel | None) -> dict[str, Any]:
    if kernel is None:
        return {"sweeps": None, "bytes_read": None, "bytes_written": None, "branches": []}
    branches = [{"when": text(branch.when), **_moved(branch)} for branch in kernel.branches]
    return {**_moved(kernel.branches[-1]), "branches": branches}


def _moved(branch: Branch) -> dict[str, int]:
    return {
        "sweeps": len(branch.sweeps),
        "bytes_read": FLOAT32 * branch.loads,
        "bytes_written": FLOAT32 * branch.stores,
    }


def _lines(entries: list[dict[str, Any]]) -> Iterator[Text]:
    """The table of the entries, cut to the width of a terminal but whole where a program reads it."""
    rows = [("name", "states", "sweeps", "read", "written", "reference")]
    for item in entries:
        moved = [f"{item[key]} B" if item[key] is not None else "-" for key in ("bytes_read", "bytes_written")]
        states = " ".join(state["name"] for state in item["states"]) or "-"
        rows.append((item["name"], states, str(item["sweeps"] or "-"), *moved, item["reference"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        name, states, *figures, reference = (
            f"{cell:>{width}}" if column in (2, 3, 4) else f"{cell:{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        line = Text("  ".join((name, states, *figures, reference)).rstrip(), style="bold" if number == 0 else "")
        if number:
            line.stylize("cyan", 0, len(name))
            line.stylize("dim", len(line) - len(reference.rstrip()))
        if console.is_terminal:
            line.truncate(console.width, overflow="ellipsis")
        yield line
