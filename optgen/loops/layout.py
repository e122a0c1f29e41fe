"""Layout: where the lines of generated code end."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sympy import Expr, Piecewise

from optgen.ir import Assign
from optgen.language.sums import is_sum
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import name

WIDTH = 110
INDENT = "    "


def laid_out(opening: str, items: Sequence[str], closing: str) -> str:
    """Items between brackets, on one line where they fit, else filled below the opening."""
    return filled(opening, [f"{item}," for item in items], closing)


def filled(opening: str, pieces: Sequence[str], closing: str) -> str:
    """Pieces that end in commas, or in operators, between brackets: on one line where they fit, else filled below."""
    line = opening + " ".join(pieces).removesuffix(",") + closing
    if len(line) <= WIDTH:
        return line
    lines = [INDENT]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > WIDTH:
            lines.append(INDENT)
        lines[-1] += f"{piece} "
    return "\n".join([opening, *(line.rstrip() for line in lines), closing])


def assignment(assign: Assign, code: CodePrinter) -> str:
    """An assignment as code, on as many lines as it takes, with the spec's own words for it."""
    target, value = name(assign.target), code(assign.value)
    line = f"{target} = {value}" + (f"  # {assign.origin}" if assign.origin else "")
    if len(INDENT + line) <= WIDTH:
        return line
    above = [f"# {assign.origin}"] if assign.origin else []
    return "\n".join([*above, *_broken(target, assign.value, code)])


def _broken(target: str, value: Expr, code: CodePrinter) -> list[str]:
    """An assignment on as many lines as it takes, broken at the terms of a sum or the cases of a choice."""
    line = f"{target} = {code(value)}"
    breakable = is_sum(value) or (isinstance(value, Piecewise) and not code.elementwise)
    if len(INDENT + line) <= WIDTH or not breakable:
        return [line]
    parts = code.added(value) if is_sum(value) else re.split(r" (?=if |else )", code(value))
    return [f"{target} = (", *(INDENT + part for part in parts), ")"]
