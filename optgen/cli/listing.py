"""``optgen list``: every optimizer and schedule in reach, for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import typer
from rich.text import Text

from optgen import catalog
from optgen.catalog import Choice
from optgen.cli.screen import complain, console
from optgen.errors import SpecError, UsageError
from optgen.folders import in_reach

_MOVED = {"sweeps": "sweeps", "bytes_read": "read", "bytes_written": "written"}
_NOTE = "* at most steps; other steps differ: `optgen show NAME --json` has them all"


def run(patterns: Sequence[str], *, as_json: bool) -> None:
    """List what patterns fit; everything if there is none."""
    every, failures = catalog.everything(in_reach())
    choices = catalog.matching(every, patterns) if patterns else every
    entries = list(_facts(choices, failures))
    optimizers, schedules = (
        [entry for entry in entries if entry["kind"] == kind] for kind in ("optimizer", "schedule")
    )
    if as_json:
        print(json.dumps([*optimizers, *schedules], indent=2))
    else:
        tables = [list(_lines(rows)) for rows in (_of_optimizers(optimizers), _of_schedules(schedules))]
        for line in [*tables[0], *([Text()] if all(tables) else []), *tables[1]]:
            console.print(line, soft_wrap=True)
    for error in failures:
        complain(str(error))
    if patterns and not choices:
        hint = catalog.suggestion(patterns[0], [declared for _, declared in every])
        raise UsageError(f"nothing fits {' or '.join(map(repr, patterns))}: {hint}")
    if failures:
        raise typer.Exit(1)


def _facts(choices: Sequence[Choice], failures: list[SpecError]) -> Iterator[dict[str, Any]]:
    """What there is to know about each; a file that cannot be loaded after all joins the failures."""
    for source, group in groupby(choices, key=lambda choice: choice[0]):
        names = {declared.name for _, declared in group}
        try:
            yield from (entry for entry in source.facts if entry["name"] in names)
        except SpecError as error:
            failures.append(error)


def _of_optimizers(entries: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield ("name", *_MOVED.values(), "states", "reference")
    for item in entries:
        states = " ".join(state["name"] for state in item["states"]) or "-"
        yield (item["name"], *(_moved(item, what) for what in _MOVED), states, item["reference"])


def _moved(item: dict[str, Any], what: str) -> str:
    """How much of something the usual branch has, with a mark where others have more or less."""
    if item[what] is None:
        return "- "
    unit = "" if what == "sweeps" else " B"
    differs = len({branch[what] for branch in item["branches"]}) > 1
    return f"{item[what]}{unit}{'*' if differs else ' '}"


def _of_schedules(entries: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield ("schedule", "hyperparameters", "reference")
    for item in entries:
        yield (item["name"], " ".join(hyper["name"] for hyper in item["hypers"]) or "-", item["reference"])


def _lines(rows: Iterable[tuple[str, ...]]) -> Iterator[Text]:
    """A table with its head, cut to the width of a terminal but whole where a program reads it."""
    rows = list(rows)
    if len(rows) == 1:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        name, *others, reference = (
            f"{cell:>{width}}" if head in _MOVED.values() else f"{cell:{width}}"
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        )
        line = Text("  ".join((name, *others, reference)).rstrip(), style="bold" if number == 0 else "")
        if number:
            line.stylize("cyan", 0, len(name))
            line.stylize("dim", len(line) - len(reference.rstrip()))
        if console.is_terminal:
            line.truncate(console.width, overflow="ellipsis")
        yield line
    if any(cell.endswith("*") for row in rows[1:] for cell in row):
        yield Text(_NOTE, style="dim")
