"""The page of two rules: what has changed from one to the other, and what follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from optgen.explain.difference import Change, Rule, changes, claims_that_differ, in_common
from optgen.explain.page import Block, Changes, Heading, Prose, Rows, Title, page_of
from optgen.language.spec import Optimizer

_WORDS = {"proved": "proved", "shown": "proved", "fails": "fails", "claimed": "claimed", "open": "not known"}


def compared(one: Rule, other: Rule, sheets: tuple[dict[str, Any], dict[str, Any]]) -> list[Block]:
    """The page of what changes from one rule to another.

    Parameters
    ----------
    one, other : Optimizer or Schedule
        The rules.
    sheets : tuple of dict
        What there is to say of each.
    """
    changed, shared = changes(one, other)
    blocks: list[Block] = [Title(f"{one.title} → {other.title}")]
    if changed:
        blocks.append(Changes([(c.before, c.after, _note(c, one, other)) for c in changed]))
    else:
        blocks.append(Prose(["The same equations."]))
    if shared and changed:
        blocks.append(Prose(["The same: ", *_joined(shared), "."]))
    blocks += [Prose([f"{said}."]) for said in in_common(one, other)]
    for name in ("Hyperparameters", "States", "Cost"):
        blocks += _rows_that_differ(name, one, other, sheets)
    if isinstance(one, Optimizer) and isinstance(other, Optimizer):
        blocks += _claims(one, other)
    return blocks


def _note(change: Change, one: Rule, other: Rule) -> list[Any]:
    """What one value has more than the other, in words."""
    if change.by is None:
        return []
    return [change.target, f" of {other.title} is that of {one.title} plus ", change.by]


def _joined(formulas: list[Any]) -> list[Any]:
    return [part for k, formula in enumerate(formulas) for part in ([", "] if k else []) + [formula]]


def _rows_that_differ(
    name: str, one: Rule, other: Rule, sheets: tuple[dict[str, Any], dict[str, Any]]
) -> Iterator[Block]:
    """The rows of the tables of a part that only one page has."""
    tables = [_tables(name, sheet) for sheet in sheets]
    rows = [{(table.head[0], json.dumps(row)): row for table in part for row in table.rows} for part in tables]
    wide: list[tuple[Rows, list[Any]]] = []
    for table in {table.head: table for part in tables for table in part}.values():
        picked = [
            [[rule.name], *row]
            for rule, mine, theirs in ((one, rows[0], rows[1]), (other, rows[1], rows[0]))
            for key, row in mine.items()
            if key[0] == table.head[0] and key not in theirs
        ]
        if picked:
            wide.append((table, picked))
    if wide:
        yield Heading(name)
    for table, picked in wide:
        yield Rows(("", *table.head), picked, frozenset(column + 1 for column in table.right))


def _tables(name: str, sheet: dict[str, Any]) -> list[Rows]:
    """The tables of a part of a page."""
    found: list[Rows] = []
    within = False
    for block in page_of(sheet):
        if isinstance(block, Heading):
            within = block.text == name
        elif within and isinstance(block, Rows):
            found.append(block)
    return found


def _claims(one: Optimizer, other: Optimizer) -> Iterator[Block]:
    held = claims_that_differ(one, other)
    if not held:
        return
    yield Heading("What follows")
    rows = [[[each.claim], [_WORDS.get(each.before, "-")], [_WORDS.get(each.after, "-")]] for each in held]
    yield Rows(("claim", one.name, other.name), rows)
    failing = [each for each in held if each.example and "fails" in (each.before, each.after)]
    if failing:
        first = failing[0]
        which = one.name if first.before == "fails" else other.name
        yield Prose([f"“{first.claim}” fails for {which}: {first.example}."])
    if any("-" in (row[1][0], row[2][0]) for row in rows):
        yield Prose(["-: the claim speaks of what the rule does not have."])
