"""Pages as Markdown, with formulas as LaTeX between dollars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from optgen.explain.page import Block, Changes, Equations, Heading, Items, Line, Page, Prose, Rows, Title
from optgen.language.latex import aligned_formulas, drawn


def markdown(page: Page) -> str:
    """A page as Markdown."""
    return "\n\n".join("\n".join(_lines(block)) for block in page)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Title(text, note):
            yield f"# {_plain(text)}"
            yield from ["", _plain(note)] if note else []
        case Heading(text):
            yield f"## {text}"
        case Prose(said):
            yield _line(said)
        case Equations(formulas):
            yield _math(formulas)
        case Changes(pairs):
            for number, (before, after, more) in enumerate(pairs):
                yield from [""] if number else []
                for word, formula in (("before", before), ("after", after)):
                    yield from [f"{word}:", "", _math([formula]), ""] if formula is not None else []
                yield from [_line(more)] if more else []
        case Rows(head, rows, right):
            yield f"| {' | '.join(head)} |"
            yield f"|{'|'.join('---:' if k in right else '---' for k in range(len(head)))}|"
            yield from (f"| {' | '.join(_line(cell) for cell in row)} |" for row in rows)
        case Items(rows):
            yield from (f"- {f'{mark}: ' if mark else ''}{_line(words)}" for mark, words in rows)


def _math(formulas: Sequence[Any]) -> str:
    return f"$$\n{aligned_formulas(formulas)}\n$$"


def _line(line: Line) -> str:
    return "".join(_plain(part) if isinstance(part, str) else f"${drawn(part)}$" for part in line)


def _plain(text: str) -> str:
    """A text of which Markdown makes nothing else, but for what stands between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if k % 2 else re.sub(r"([\\*_<>|$\[\]#])", r"\\\1", part) for k, part in enumerate(parts))
