"""What came out, for a reader: a table for each rule and each way to run it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any

from rich.table import Table

from optgen.bench.race import LOOP, MOVED, ONCE, OURS

MEANINGS = {
    LOOP: "reads and writes what the rule's kernels do, and computes next to nothing",
    ONCE: "reads each value that the rule needs once and writes each new one once",
    MOVED: "gradients that are other arrays at every other step",
}

FEW = 6
"""Contenders who fit a terminal of 80 columns, each with its name in one line."""


def printed(report: dict[str, Any]) -> Iterator[Table | str]:
    """What to print of a report, piece by piece."""
    machine = report["machine"]
    caches = ", ".join(f"L{its['level']} {size(its['bytes'])}" for its in machine["caches"])
    versions = ", ".join(
        f"{name} {machine[name]}" for name in machine if name not in ("cpu", "cores", "caches", "system")
    )
    yield f"{machine['cpu']}, {machine['cores']} threads, {caches or 'unknown caches'}; {machine['system']}; {versions}"
    yield from report["missing"].values()
    results = report["results"]
    for group in grouped(results):
        one = group[0]
        common, what = ("rule", "model") if len({its["rule"] for its in group}) == 1 else ("model", "rule")
        yield f"\n[bold cyan]{one[common]}[/], {one['stored']}, {one['threads']} thread{'s' * (one['threads'] > 1)}"
        yield _table(what, group)
    yield ""
    yield f"Milliseconds a step: medians of {_rounds(results)} rounds in which all take turns."
    yield "of loop, of once: the speed of optgen as a share of theirs; 1 is what memory allows."
    shown = dict.fromkeys(row["contender"] for its in results for row in its["rows"])
    yield from (f"{name}: {meaning}." for name, meaning in MEANINGS.items() if name in shown)
    yield from _left_out(results, report["missing"])


def grouped(results: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """What stands in one table: a rule on several models or, where rules ran on one only, several on that."""
    groups = [list(its) for _, its in groupby(results, key=lambda its: (its["rule"], its["stored"], its["threads"]))]

    def alone(group: list[dict[str, Any]]) -> tuple[Any, ...]:
        return (group[0]["model"], group[0]["stored"], group[0]["threads"]) if len(group) == 1 else ()

    for is_shared, run in groupby(groups, key=alone):
        of_run = list(run)
        yield from [list(chain.from_iterable(of_run))] if is_shared else of_run


def _table(what: str, results: Sequence[dict[str, Any]]) -> Table:
    """A row a rule or a model, a column a contender."""
    contenders = list(dict.fromkeys(row["contender"] for its in results for row in its["rows"]))
    order = [name for name in (LOOP, ONCE, OURS, MOVED) if name in contenders]
    contenders = [*order, *(name for name in contenders if name not in order)]
    shares = [name for name in (LOOP, ONCE) if name in contenders]
    is_wide = len(contenders) > FEW
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=is_wide)
    table.add_column(what, no_wrap=True)
    for heading in (*contenders, *(f"of {name}" for name in shares)):
        words = heading.replace(" ", "\n") if is_wide else heading
        table.add_column(words, justify="right", style="bold" if heading == OURS else "")
    for its in results:
        rows = {row["contender"]: row for row in its["rows"]}
        times = [milliseconds(rows[name]["median_ms"]) if name in rows else "–" for name in contenders]
        table.add_row(its[what], *times, *(share(rows, name) for name in shares))
    return table


def share(rows: dict[str, Any], other: str) -> str:
    """How fast ours is, as a share of the speed of another."""
    multiple = rows[OURS].get(f"time_of_{other}")
    return "–" if multiple is None else f"{1 / multiple:.2f}"


def milliseconds(value: float) -> str:
    """A time with three figures."""
    text = f"{value:#.3g}".rstrip(".")
    return text if "e" not in text else f"{value:,.5f}" if value < 1 else f"{value:,.0f}"


def size(number: int) -> str:
    """So many bytes, in the largest unit of which there is one."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 2**power:
            return f"{number / 2**power:g} {unit}"
    return f"{number} B"


def _rounds(results: Sequence[dict[str, Any]]) -> str:
    """How many rounds there were: some heats have fewer, so that they end."""
    numbers = sorted({its["rounds"] for its in results})
    return str(numbers[-1]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _left_out(results: Sequence[dict[str, Any]], missing: dict[str, str]) -> Iterator[str]:
    """Who did not take part where, but for libraries that are not there at all."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for its in results:
        for name, why in its["left_out"].items():
            if why not in missing.values():
                places.setdefault((name, why), {})[its["model"]] = None
    for (name, why), models in places.items():
        yield f"{name} is not in {', '.join(models)}: {why}."
