"""Layout: where the lines of generated code end."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from sympy import Expr, Piecewise

from optgen.ir import Equation
from optgen.language.sums import is_sum
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import name

WIDTH = 110
"""Of a line that is indented twice at most."""
_LAST = 116
"""Of a line that is indented once, and that breaks where nobody would break it."""
INDENT = "    "


def wrapped(line: str, indent: str, width: int = WIDTH) -> str:
    """A line on as many as it takes, broken at spaces; all but the first are indented."""
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def laid_out(opening: str, items: Sequence[str], closing: str) -> str:
    """Items between brackets, on one line where they fit, else filled below the opening."""
    return filled(opening, [f"{item}," for item in items], closing)


def filled(opening: str, pieces: Sequence[str], closing: str, width: int = WIDTH) -> str:
    """Pieces that end in commas, or in operators, between brackets: on one line where they fit, else filled below."""
    line = opening + " ".join(pieces).removesuffix(",") + closing
    if len(line) <= width:
        return line
    lines = [INDENT]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > width:
            lines.append(INDENT)
        lines[-1] += f"{piece} "
    return "\n".join([opening, *(line.rstrip() for line in lines), closing])


def assignment(assign: Equation, code: CodePrinter) -> str:
    """An assignment as code, on as many lines as it takes, with the spec's own words for it."""
    target, value = name(assign.target), code(assign.value)
    line = f"{target} = {value}" + (f"  # {assign.origin}" if assign.origin else "")
    if len(INDENT + line) <= WIDTH:
        return line
    above = [wrapped(f"# {assign.origin}", "# ")] if assign.origin else []
    return "\n".join([*above, *_broken(target, assign.value, code)])


def _broken(target: str, value: Expr, code: CodePrinter) -> list[str]:
    """An assignment on as many lines as it takes, broken at the terms of a sum or the cases of a choice."""
    lines = parenthesized(f"{target} =", code(value))
    breakable = is_sum(value) or (isinstance(value, Piecewise) and not code.elementwise)
    if len(lines) == 1 or not breakable:
        return lines
    parts = code.added(value) if is_sum(value) else re.split(r" (?=if |else )", code(value))
    return [lines[0], *(wrapped(INDENT + part, INDENT * 2, _LAST) for part in parts), lines[-1]]


def parenthesized(start: str, value: str) -> list[str]:
    """A value after the word or the sign that takes it, in parentheses where it takes more lines than one."""
    if len(f"{INDENT}{start} {value}") <= WIDTH or " " not in value:
        return [f"{start} {value}"]
    return [f"{start} (", *wrapped(INDENT + value, INDENT).splitlines(), ")"]
