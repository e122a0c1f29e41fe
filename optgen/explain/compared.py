"""What changes from one rule to another, as data that is remembered and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from optgen.catalog import Choice
from optgen.explain.page import Block, Changes, Heading, Prose, Rows, Title, page_of
from optgen.explain.sheet import sheet
from optgen.known import verifier

_WORDS = {"proved": "proved", "shown": "proved", "open": "not known", "foreign": "-"}
"""How what `optgen.verify.claims.equations` says is written, where it is not as it is."""


def comparison(first: Choice, second: Choice) -> dict[str, Any]:
    """What changes from one rule of the catalogue to another of its kind, as plain data.

    ``sheets`` is what there is to say of each, from `optgen.explain.sheet`; ``changed``, the equations that they do not
    share, as `optgen.explain.difference.Change` has them, as formulas; ``shared``, the targets of those that they
    share; ``in_common``, what either claims to have in common with the other; ``held``, the claims that hold for one
    and not for the other, as `optgen.explain.difference.Held` has them.
    """
    (source, declared), (theirs, their) = first, second
    sheets = [sheet(*first), sheet(*second)]
    known = {each["name"]: each["claims"] for each in sheets}
    if theirs.key is None:
        return {"sheets": sheets, **_found(first, second, known)}
    question = f"{declared.name} and {their.name} of {theirs.key} by {verifier()}"
    return {"sheets": sheets, **source.known(question, lambda: _found(first, second, known))}


def _found(first: Choice, second: Choice, known: Mapping[str, Any]) -> dict[str, Any]:
    """What takes SymPy to say."""
    from optgen.explain.difference import changes, claims_that_differ, in_common  # noqa: PLC0415
    from optgen.language.spec import Optimizer  # noqa: PLC0415

    one, other = (source.rule(declared.name) for source, declared in (first, second))
    changed, shared = changes(one, other)
    of_optimizers = isinstance(one, Optimizer) and isinstance(other, Optimizer)
    held = claims_that_differ(one, other, known) if of_optimizers else []  # type: ignore[arg-type]  # as has been seen
    return {
        "changed": [asdict(each) for each in changed],
        "shared": shared,
        "in_common": in_common(one, other),
        "held": [asdict(each) for each in held],
    }


def compared(found: Mapping[str, Any]) -> list[Block]:
    """The page of a comparison."""
    one, other = found["sheets"]
    blocks: list[Block] = [Title(f"{one['title']} → {other['title']}")]
    if found["changed"]:
        notes = [(each["before"], each["after"], _note(each, one, other)) for each in found["changed"]]
        blocks.append(Changes(notes))
    else:
        blocks.append(Prose(["The same equations."]))
    if found["shared"] and found["changed"]:
        blocks.append(Prose(["The same: ", *_joined(found["shared"]), "."]))
    blocks += [Prose([f"{said}."]) for said in found["in_common"]]
    for name in ("Hyperparameters", "States", "Cost"):
        blocks += _rows_that_differ(name, one, other)
    return [*blocks, *_claims(one["name"], other["name"], found["held"])]


def _note(change: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Any]:
    """What one value has more than the other, in words."""
    if change["by"] is None:
        return []
    return [change["target"], f" of {other['title']} is that of {one['title']} plus ", change["by"]]


def _joined(formulas: Sequence[Any]) -> list[Any]:
    return [part for k, formula in enumerate(formulas) for part in ([", "] if k else []) + [formula]]


def _rows_that_differ(name: str, one: dict[str, Any], other: dict[str, Any]) -> Iterator[Block]:
    """The rows of the tables of a part that only one page has."""
    tables = [_tables(name, each) for each in (one, other)]
    rows = [{(table.head[0], json.dumps(row)): row for table in part for row in table.rows} for part in tables]
    wide: list[tuple[Rows, list[Any]]] = []
    for table in {table.head: table for part in tables for table in part}.values():
        picked = [
            [[rule["name"]], *row]
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


def _claims(one: str, other: str, held: Sequence[Mapping[str, str]]) -> Iterator[Block]:
    if not held:
        return
    yield Heading("What follows")
    words = [[_WORDS.get(each[side], each[side]) for side in ("before", "after")] for each in held]
    yield Rows(("claim", one, other), [[[each["claim"]], [a], [b]] for each, (a, b) in zip(held, words, strict=True)])
    failing = next((each for each in held if each["example"] and "fails" in (each["before"], each["after"])), None)
    if failing:
        which = one if failing["before"] == "fails" else other
        yield Prose([f"“{failing['claim']}” fails for {which}: {failing['example']}."])
    if any("-" in pair for pair in words):
        yield Prose(["-: the claim speaks of what the rule does not have."])
