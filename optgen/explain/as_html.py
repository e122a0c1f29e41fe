"""Pages as HTML, with formulas as MathML: whole, with a style of their own, or only what goes into a body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from optgen.explain.page import Block, Changes, Equations, Heading, Items, Line, Page, Prose, Rows, Title
from optgen.language.mathml import mathml, symbol

STYLE = """\
:root { color-scheme: light dark; --quiet: #666; --line: #ddd; --old: #b3261e; --new: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; --line: #444; --old: #ff9e94; --new: #7fd69b; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; }
.note, th { color: var(--quiet); font-weight: normal; }
.wide { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math; }
math mtd { border: 0; }
td.number, th.number { text-align: right; }
math mtable mtd { padding: .35em .2em; }
.before .changed { color: var(--old); } .after .changed { color: var(--new); }
.sign { flex: none; width: 4rem; color: var(--quiet); }
.pair { display: flex; align-items: center; }
ul { padding-left: 1.2rem; } li > b { font-weight: 600; }
"""


def html(page: Page) -> str:
    """A page as a document of its own."""
    title = next((block.text for block in page if isinstance(block, Title)), "")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    style = f"<style>\n{STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}\n{style}</head>\n<body>\n{body(page)}\n</body></html>'


def body(page: Page) -> str:
    """A page as what goes into a body."""
    return "\n".join("\n".join(_elements(block)) for block in page)


def _elements(block: Block) -> Iterator[str]:
    match block:
        case Title(text, note):
            yield f"<h1>{_plain(text)}</h1>"
            yield from [f'<p class="note">{_plain(note)}</p>'] if note else []
        case Heading(text):
            yield f"<h2>{_plain(text)}</h2>"
        case Prose(said):
            yield f"<p>{_line(said)}</p>"
        case Equations(formulas):
            yield f'<div class="wide">{mathml(formulas)}</div>'
        case Changes(pairs):
            for before, after, more in pairs:
                for word, formula in (("before", before), ("after", after)):
                    if formula is not None:
                        drawn = f'<span class="sign">{word}</span>{mathml([formula])}'
                        yield f'<div class="wide pair {word}">{drawn}</div>'
                yield from [f"<p>{_line(more)}</p>"] if more else []
        case Rows(head, rows, right):
            classes = [' class="number"' if k in right else "" for k in range(len(head))]
            heads = "".join(f"<th{kind}>{_plain(name)}</th>" for kind, name in zip(classes, head, strict=True))
            yield f'<div class="wide"><table><tr>{heads}</tr>'
            for row in rows:
                cells = "".join(f"<td{kind}>{_line(cell)}</td>" for kind, cell in zip(classes, row, strict=True))
                yield f"<tr>{cells}</tr>"
            yield "</table></div>"
        case Items(rows):
            marked = (f"<b>{mark}:</b> {_line(words)}" if mark else _line(words) for mark, words in rows)
            yield f"<ul>{''.join(f'<li>{item}</li>' for item in marked)}</ul>"


def _line(line: Line) -> str:
    return "".join(_plain(part) if isinstance(part, str) else symbol(part) for part in line)


def _plain(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
