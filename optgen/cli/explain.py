"""``optgen explain``: one rule, or what changes from one to another, for a person to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from optgen.catalog import Choice
from optgen.cli.screen import console, one_named
from optgen.errors import UsageError
from optgen.explain.compared import compared, comparison
from optgen.explain.page import Page, page_of
from optgen.explain.sheet import sheet
from optgen.explain.terminal import terminal

NARROWEST = 60
"""Columns below which no page gets any narrower."""


def run(name: str, other: str | None, views: Sequence[str], *, measure: bool) -> None:
    """Print the page of a rule, or of what changes from it to another."""
    if len(views) > 1:
        raise UsageError(f"choose one of {' and '.join(f'--{view}' for view in views)}")
    view = views[0] if views else ""
    if other is not None and measure:
        raise UsageError("--measure is of one rule: leave out --diff")
    if other is None:
        said, page = _of_one(one_named(name), measure=measure)
    else:
        said, page = _of_two(one_named(name), one_named(other))
    if view == "json":
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        _print(page, view)


def _of_one(choice: Choice, *, measure: bool) -> tuple[dict[str, Any], Page]:
    said = sheet(*choice)
    measured = _measured(choice, said) if measure else None
    return {**said, "measured": measured}, page_of(said, measured)


def _of_two(one: Choice, other: Choice) -> tuple[dict[str, Any], Page]:
    (_, declared), (_, their) = one, other
    if declared.kind != their.kind:
        raise UsageError(f"{declared.name} is an {declared.kind}, {their.name} a {their.kind}: compare two of a kind")
    said = comparison(one, other)
    return said, compared(said)


def _measured(choice: Choice, said: dict[str, Any]) -> dict[str, Any]:
    source, declared = choice
    if declared.kind != "optimizer" or said["sweeps"] is None:
        raise UsageError(f"{declared.name} has no kernel whose step could be measured: leave out --measure")
    from optgen.build import compile as compiled
    from optgen.explain.speed import speed

    rule: Any = source.rule(declared.name)
    return speed(getattr(compiled(rule), rule.title), said["bytes_read"] + said["bytes_written"])


def _print(page: Page, view: str) -> None:
    match view:
        case "markdown":
            from optgen.explain.as_markdown import markdown as drawn
        case "html":
            from optgen.explain.as_html import html as drawn
        case "latex":
            from optgen.explain.as_latex import latex as drawn
        case _:
            for block in terminal(page, max(console.width, NARROWEST)):
                console.print(block, markup=False, emoji=False)
            return
    print(drawn(page))
