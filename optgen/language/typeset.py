"""Formulas as text of several lines: fractions, braces and indices in Unicode, broken where a line is too short.

What has changed stands between two characters of no width, `CHANGED` and `AS_BEFORE`, for a terminal to colour.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import combining

if TYPE_CHECKING:
    from optgen.language.formula import Formula


CHANGED, AS_BEFORE = "\ue000", "\ue001"
_BELOW = dict(zip("0123456789+−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
_ABOVE = dict(
    zip("0123456789+−=()abcdefghijklmnoprstuvwxyzβγδθφχ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵝᵞᵟᶿᵠᵡ", strict=True)
)
_ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
_TALL = {"(": "⎛⎜⎝", ")": "⎞⎟⎠", "|": "│││", "‖": "║║║", "⌊": "││⌊", "⌋": "││⌋", "⌈": "⌈││", "⌉": "⌉││"}
_BARE = ("", "∞", "↑", "↓")
"""Indices that are seen to be some without standing lower."""
_LONGEST_EXPONENT = 4


@dataclass(frozen=True)
class Box:
    """Lines of one width, one of which is level with what stands beside."""

    lines: tuple[str, ...]
    level: int = 0

    @property
    def width(self) -> int:
        """Columns it takes."""
        return width(self.lines[0])


def width(line: str) -> int:
    """Columns that a line takes: accents and marks take none."""
    return sum(not combining(character) and character not in (CHANGED, AS_BEFORE) for character in line)


def typeset(formula: Formula, columns: int = 80, indent: int = 0) -> list[str]:
    """An equation, or a list of cases, as lines of text no wider than the columns, all of it indented."""
    space = columns - indent
    if formula[0] == "relation" and formula[2] == "=":
        left = _beside([_box(formula[1][0]), _text(" = ")])
        set_ = _beside([left, _fitting(formula[1][1], space - left.width)])
    else:
        set_ = _fitting(formula, space)
    return [(" " * indent + line).rstrip() for line in set_.lines]


def _fitting(formula: Formula, space: int) -> Box:
    """A box no wider than the space, where there is a way: broken at sums, then at products, then anywhere."""
    whole = _box(formula)
    if whole.width <= space:
        return whole
    match formula:
        case ("changed", inside):
            return _marked(_fitting(inside, space))
        case ("cases", pairs):
            return _braced([_case(value, when, space - 2) for value, when in pairs])
        case ("sum", terms):
            return _packed([_signed(sign, term, k == 0, space) for k, (sign, term) in enumerate(terms)], space)
        case ("product", factors):
            spaced = [_beside([*([_text(" ")] if k else []), _box(factor)]) for k, factor in enumerate(factors)]
            if all(box.width <= space for box in spaced):
                return _packed(spaced, space)
    return _stacked([_text(line) for line in textwrap.wrap(in_line(formula), max(space, 20), break_long_words=False)])


def _case(value: Formula, when: Formula | None, space: int) -> Box:
    condition = _text("  otherwise") if when is None else _beside([_text("  if "), _box(when)])
    box = _box(value)
    if box.width + condition.width <= space:
        return _beside([box, condition])
    return _stacked([_fitting(value, space), condition])


def _signed(sign: str, term: Formula, first: bool, space: int) -> Box:  # noqa: FBT001 - one of a row
    mark = {("+", True): "", ("−", True): "−"}.get((sign, first), f" {sign} ")
    if term[0] == "changed":
        return _marked(_signed(sign, term[1], first, space))
    return _beside([_text(mark), _fitting(term, space - len(mark))])


def _packed(boxes: Sequence[Box], space: int) -> Box:
    """Boxes beside each other, on as many rows as they need."""
    rows: list[list[Box]] = [[]]
    for box in boxes:
        if rows[-1] and sum(other.width for other in rows[-1]) + box.width > space:
            rows.append([])
        rows[-1].append(box)
    return _stacked([_beside(row) for row in rows])


def _box(formula: Formula) -> Box:
    match formula:
        case ("changed", inside):
            return _marked(_box(inside))
        case ("sum", terms):
            return _beside([_signed(sign, term, k == 0, 10_000) for k, (sign, term) in enumerate(terms)])
        case ("product", factors):
            return _joined(" ", factors)
        case ("fraction", ("word", above), ("word", below)):
            return _text(f"{above}/{below}")
        case ("fraction", above, below):
            return _over(_box(above), _box(below))
        case ("power", base, exponent):
            return _raised(_box(base), exponent)
        case ("root", inside):
            box = _box(inside)
            return _beside([_text("√"), box if _is_atom(inside) else _fenced("(", box, ")")])
        case ("fence", left, inside, right):
            return _fenced(left, _box(inside), right)
        case ("call", name, below, arguments):
            head = name + (f"_{below}" if below else "")
            return _beside([_text(head), _fenced("(", _joined(", ", arguments), ")")])
        case ("relation", sides, operator):
            return _joined(f" {operator} ", sides)
        case ("not", inside):
            return _beside([_text("not "), _fenced("(", _box(inside), ")")])
        case ("cases", pairs):
            values = [_box(value) for value, _ in pairs]
            widest = max(box.width for box in values)
            conditions = [
                _text("otherwise") if when is None else _beside([_text("if "), _box(when)]) for _, when in pairs
            ]
            gaps = [_text(" " * (widest - box.width + 2)) for box in values]
            return _braced([_beside(list(row)) for row in zip(values, gaps, conditions, strict=True)])
    return _text(in_line(formula))


def _joined(separator: str, formulas: Sequence[Formula]) -> Box:
    first, *others = formulas
    return _beside([_box(first), *(box for other in others for box in (_text(separator), _box(other)))])


def in_line(formula: Formula) -> str:
    """A formula on one line."""
    match formula:
        case ("letter", base, accent, below, above, index):
            return _letter(base, accent, below, above, index)
        case ("tex", _, letter):
            return in_line(letter)
        case ("word", text):
            return str(text)
        case ("changed", inside):
            return f"{CHANGED}{in_line(inside)}{AS_BEFORE}"
        case ("sum", terms):
            first, *others = [(sign, in_line(term)) for sign, term in terms]
            return "".join((first[0].replace("+", ""), first[1], *(f" {sign} {term}" for sign, term in others)))
        case ("product", factors):
            return " ".join(map(in_line, factors))
        case ("fraction", above, below):
            return f"{_as_atom(above)}/{_as_atom(below)}"
        case ("power", base, exponent):
            return in_line(base) + (_spelt(in_line(exponent), _ABOVE) or f"^{_as_atom(exponent)}")
        case ("root", inside):
            return f"√{_as_atom(inside)}"
        case ("fence", left, inside, right):
            return f"{left}{in_line(inside)}{right[0]}{_index(right[1:])}"
        case ("call", name, below, arguments):
            return f"{name}{f'_{below}' if below else ''}({', '.join(map(in_line, arguments))})"
        case ("relation", sides, operator):
            return f" {operator} ".join(map(in_line, sides))
        case ("not", inside):
            return f"not ({in_line(inside)})"
        case ("cases", pairs):
            *chosen, (last, _) = pairs
            return "".join(f"{in_line(value)} if {in_line(when)}, " for value, when in chosen) + f"else {in_line(last)}"
    raise ValueError(f"{formula!r} is no formula")


def _as_atom(formula: Formula) -> str:
    return in_line(formula) if _is_atom(formula) else f"({in_line(formula)})"


def _is_atom(formula: Formula) -> bool:
    return formula[0] in ("letter", "word", "fence", "call") or (formula[0] == "changed" and _is_atom(formula[1]))


def _letter(base: str, accent: str, below: str, above: str, index: str) -> str:
    name = base + _ACCENTS.get(accent, "")
    if below:  # an index beside another has no characters
        name += f"_{below}" if index and below not in _BARE else _index(below)
    return name + (_spelt(above, _ABOVE) or above) + _spelt(index, _BELOW)


def _index(text: str) -> str:
    return _spelt(text, _BELOW) or (text if text in _BARE else f"_{text}")


def _spelt(text: str, letters: dict[str, str]) -> str:
    """A text in other letters, empty where one of them is missing."""
    marks = "".join(character for character in text if character not in (CHANGED, AS_BEFORE))
    return "".join(map(letters.__getitem__, marks)) if set(marks) <= letters.keys() else ""


def _text(text: str) -> Box:
    return Box((text,))


def _padded(line: str, columns: int) -> str:
    return line + " " * (columns - width(line))


def _centred(line: str, columns: int) -> str:
    return _padded(" " * ((columns - width(line)) // 2) + line, columns)


def _beside(boxes: Sequence[Box]) -> Box:
    """Boxes in a row, level with each other."""
    up = max(box.level for box in boxes)
    down = max(len(box.lines) - box.level for box in boxes)
    rows = range(-up, down)
    lines = [
        "".join(
            box.lines[box.level + row] if 0 <= box.level + row < len(box.lines) else " " * box.width for box in boxes
        )
        for row in rows
    ]
    return Box(tuple(lines), up)


def _stacked(boxes: Sequence[Box]) -> Box:
    """Boxes below each other; what stands beside is level with the first."""
    widest = max(box.width for box in boxes)
    return Box(tuple(_padded(line, widest) for box in boxes for line in box.lines), boxes[0].level)


def _over(above: Box, below: Box) -> Box:
    columns = max(above.width, below.width) + 2
    lines = [_centred(line, columns) for line in above.lines]
    return Box((*lines, "─" * columns, *(_centred(line, columns) for line in below.lines)), len(lines))


def _raised(base: Box, exponent: Formula) -> Box:
    flat = in_line(exponent)
    letters = _spelt(flat, _ABOVE)
    if letters and len(letters) <= _LONGEST_EXPONENT:
        return _beside([base, Box((letters,), 0)]) if len(base.lines) == 1 else _corner(base, _text(letters))
    return _corner(base, _box(exponent) if width(flat) > _LONGEST_EXPONENT else _text(flat))


def _corner(base: Box, exponent: Box) -> Box:
    """A box with another at its upper right."""
    over = [" " * base.width + line for line in exponent.lines]
    return Box((*over, *(line + " " * exponent.width for line in base.lines)), len(over) + base.level)


def _fenced(left: str, inside: Box, right: str) -> Box:
    height = len(inside.lines)
    of = _index(right[1:])
    if height == 1:
        return Box((f"{left}{inside.lines[0]}{right[0]}{of}",))
    sides = []
    for fence in (left, right[0]):
        top, middle, bottom = tuple(_TALL[fence])
        sides.append((top, *[middle] * (height - 2), bottom))
    lines = [f"{a}{line}{b}" for a, line, b in zip(sides[0], inside.lines, sides[1], strict=True)]
    lines = [line + (of if k == height - 1 else " " * width(of)) for k, line in enumerate(lines)]
    return Box(tuple(lines), inside.level)


def _braced(rows: Sequence[Box]) -> Box:
    """Cases behind a brace, with an empty line between where one takes several."""
    tall = any(len(row.lines) > 1 for row in rows)
    spaced = [part for k, row in enumerate(rows) for part in (*([_text("")] if k and tall else []), row)]
    lines = _stacked(spaced).lines
    middle = (len(lines) - 1) // 2
    if len(lines) == 1:
        return Box((f"{{ {lines[0]}",))
    if len(lines) == 2:  # noqa: PLR2004 - there are braces of two lines
        return Box(tuple(f"{brace} {line}" for brace, line in zip("⎰⎱", lines, strict=True)))
    braces = ["⎪"] * len(lines)
    braces[0], braces[middle], braces[-1] = "⎧", "⎨", "⎩"
    return Box(tuple(f"{brace} {line}" for brace, line in zip(braces, lines, strict=True)), middle)


def _marked(box: Box) -> Box:
    return Box(tuple(f"{CHANGED}{line}{AS_BEFORE}" if line.strip() else line for line in box.lines), box.level)
