"""Pages as LaTeX, for a paper: needs amsmath, booktabs and xcolor."""

from __future__ import annotations

import re
from collections.abc import Iterator

from optgen.explain.page import Block, Changes, Equations, Heading, Items, Line, Page, Prose, Rows, Title
from optgen.language.latex import aligned_formulas, drawn

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}
_SIGNS = {"×": r"$\times$", "÷": r"$\div$", "√": r"$\surd$", "→": r"$\to$", "µ": r"$\mu$"}


def latex(page: Page) -> str:
    """A page as LaTeX."""
    return "\n\n".join("\n".join(_lines(block)) for block in page)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Title(text, note):
            yield rf"\section*{{{_plain(text)}}}"
            yield from [_plain(note)] if note else []
        case Heading(text):
            yield rf"\subsection*{{{_plain(text)}}}"
        case Prose(said):
            yield _line(said)
        case Equations(formulas):
            yield f"\\[\n{aligned_formulas(formulas)}\n\\]"
        case Changes(pairs):
            for before, after, more in pairs:
                for word, formula in (("before", before), ("after", after)):
                    if formula is not None:
                        yield f"\\[\n\\text{{{word}:}}\\quad {aligned_formulas([formula])}\n\\]"
                yield from [_line(more)] if more else []
        case Rows(head, rows, right):
            columns = "".join("r" if k in right else "l" for k in range(len(head)))
            yield rf"\begin{{tabular}}{{{columns}}}" + r"\toprule"
            yield " & ".join(map(_plain, head)) + r" \\ \midrule"
            yield from (" & ".join(map(_line, row)) + r" \\" for row in rows)
            yield r"\bottomrule\end{tabular}"
        case Items(rows):
            yield r"\begin{itemize}"
            yield from (rf"\item {f'{mark}: ' if mark else ''}{_line(words)}" for mark, words in rows)
            yield r"\end{itemize}"


def _line(line: Line) -> str:
    return "".join(_plain(part) if isinstance(part, str) else f"${drawn(part)}$" for part in line)


def _plain(text: str) -> str:
    """A text of which LaTeX makes nothing else; what stands between backticks is code."""
    parts = [_escaped(part) for part in re.split(r"`", text)]
    return "".join(rf"\texttt{{{part}}}" if k % 2 else part for k, part in enumerate(parts))


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(sign, _SIGNS.get(sign, sign)) for sign in text)
