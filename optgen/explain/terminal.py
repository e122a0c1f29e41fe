"""Pages on a terminal: equations as text of several lines, tables that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table as Grid
from rich.text import Text

from optgen.explain.page import Changes, Equations, Heading, Items, Line, Page, Prose, Rows, Title
from optgen.language.typeset import AS_BEFORE, CHANGED, in_line, typeset

INDENT = 4
BROKEN = 26
"""Columns beyond which what stands in a table may be broken into lines."""
STYLES = {"proved": "green", "tested": "cyan", "failed": "bold red", "fails": "red", "claimed": "yellow"}


def terminal(page: Page, columns: int) -> Iterator[RenderableType]:
    """What `rich` prints of a page, for a terminal so many columns wide."""
    for block in page:
        match block:
            case Title(text, note):
                yield Text.assemble((text, "bold"), *([f"  {note}"] if note else []))
                yield Text()
            case Heading(text):
                yield Text(text, style="bold cyan")
            case Prose(line):
                yield _indented(_text(line))
                yield Text()
            case Equations(formulas):
                for formula in formulas:
                    yield from _drawn(formula, columns, "", "")
                    yield Text()
            case Changes(pairs):
                yield from _changes(pairs, columns)
            case Rows():
                yield _grid(block)
                yield Text()
            case Items(rows):
                yield _items(rows)
                yield Text()


def _changes(pairs: Sequence[tuple[Any, Any, Line]], columns: int) -> Iterator[RenderableType]:
    for before, after, note in pairs:
        if before is not None:
            yield from _drawn(before, columns, "-", "red")
        if after is not None:
            yield from _drawn(after, columns, "+", "green")
        yield Text()
        if note:
            yield _indented(_text(note))
            yield Text()


def _drawn(formula: Any, columns: int, sign: str, style: str) -> Iterator[Text]:
    for line in typeset(formula, columns, INDENT):
        text = Text(no_wrap=True)
        text.append(f"  {sign}" if sign else "", style)
        text.append(_marked(line[3:] if sign else line, f"bold {style}".strip()))
        yield text


def _marked(line: str, style: str) -> Text:
    """A line in which what has changed is seen."""
    text = Text()
    depth = 0
    for part in line.replace(CHANGED, f"\0{CHANGED}").replace(AS_BEFORE, f"\0{AS_BEFORE}").split("\0"):
        depth += part.startswith(CHANGED) - part.startswith(AS_BEFORE)
        text.append(part.strip(CHANGED + AS_BEFORE), style if depth else "")
    return text


def _text(line: Line) -> Text:
    return Text.assemble(*(part if isinstance(part, str) else _marked(in_line(part), "bold") for part in line))


def _indented(text: RenderableType) -> RenderableType:
    from rich.padding import Padding  # noqa: PLC0415 - a part of rich that other commands do without

    return Padding(text, (0, 0, 0, INDENT), expand=False)


def _grid(table: Rows) -> RenderableType:
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(table.head))
    rows = [[_styled(_text(cell)) for cell in row] for row in table.rows]
    widths = [max((row[number].cell_len for row in rows), default=0) for number in range(len(table.head))]
    for number, (name, width) in enumerate(zip(table.head, widths, strict=True)):
        whole = width <= BROKEN and width < max(widths)
        grid.add_column(name, justify="right" if number in table.right else "left", no_wrap=whole, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return _indented(grid)


def _styled(text: Text) -> Text:
    text.stylize(STYLES.get(text.plain, ""))
    return text


def _items(rows: Sequence[tuple[str, Line]]) -> RenderableType:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for mark, line in rows:
        grid.add_row(_styled(Text(mark or "·")), _text(line))
    return _indented(grid)
