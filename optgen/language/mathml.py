"""Formulas as MathML, which browsers draw themselves: no script, no fonts, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optgen.language.formula import Formula


_ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~"}
_INDICES = {"t−1": "<mi>t</mi><mo>−</mo><mn>1</mn>"}
_TIMES = "<mspace width='0.17em'/>"


def mathml(equations: Sequence[Formula]) -> str:
    """Equations, one a line and aligned at the equality sign, as one element ``math``."""
    rows = []
    for relation, sides, operator in equations:
        assert relation == "relation"
        cells = (f"<mtd style='text-align: right'>{_made(sides[0])}</mtd>", f"<mtd>{_operator(operator)}</mtd>")
        rows.append(f"<mtr>{''.join(cells)}<mtd style='text-align: left'>{_made(sides[1])}</mtd></mtr>")
    return f"<math display='block'><mtable displaystyle='true'>{''.join(rows)}</mtable></math>"


def symbol(formula: Formula) -> str:
    """A formula within a line of text, as an element ``math``."""
    return f"<math>{_made(formula)}</math>"


def _made(formula: Formula) -> str:
    match formula:
        case ("letter", base, accent, below, above, index):
            return _letter(base, accent, below, above, index)
        case ("tex", _, letter):
            return _made(letter)
        case ("word", text):
            return f"<mn>{escape(text)}</mn>" if text[0].isdigit() else f"<mi>{escape(text)}</mi>"
        case ("changed", inside):
            return f"<mrow class='changed'>{_made(inside)}</mrow>"
        case ("sum", terms):
            return _row(
                (_operator(sign) if k or sign == "−" else "") + _made(term) for k, (sign, term) in enumerate(terms)
            )
        case ("product", factors):
            return f"<mrow>{_TIMES.join(map(_made, factors))}</mrow>"
        case ("fraction", above, below):
            return f"<mfrac>{_made(above)}{_made(below)}</mfrac>"
        case ("power", ("letter", base, accent, below, "", index), exponent) if below or index:
            letter, lower = _stem(base, accent), _lower(below, index)
            return f"<msubsup>{letter}{lower}{_made(exponent)}</msubsup>"
        case ("power", base, exponent):
            return f"<msup>{_made(base)}{_made(exponent)}</msup>"
        case ("root", inside):
            return f"<msqrt>{_made(inside)}</msqrt>"
        case ("fence", left, inside, right):
            tall = _is_tall(inside)
            close = _fence(right[0], tall=tall)
            if right[1:]:
                close = f"<msub>{close}<mtext>{escape(right[1:])}</mtext></msub>"
            return f"<mrow>{_fence(left, tall=tall)}{_made(inside)}{close}</mrow>"
        case ("call", name, below, arguments):
            head = f"<mi>{escape(name)}</mi>"
            head = f"<msub>{head}<mtext>{escape(below)}</mtext></msub>" if below else head
            tall = any(map(_is_tall, arguments))
            inside = _operator(",").join(map(_made, arguments))
            return _row((head, _fence("(", tall=tall), inside, _fence(")", tall=tall)))
        case ("relation", sides, operator):
            return f"<mrow>{_operator(operator).join(map(_made, sides))}</mrow>"
        case ("not", inside):
            return _row((_operator("not"), _made(inside)))
        case ("cases", pairs):
            rows = "".join(map(_case, pairs))
            return _row((_fence("{", tall=True), f"<mtable displaystyle='true'>{rows}</mtable>"))
    raise ValueError(f"{formula!r} is no formula")


def _case(pair: tuple[Formula, Formula | None]) -> str:
    value, when = pair
    condition = "<mtext>otherwise</mtext>" if when is None else f"<mtext>if&nbsp;</mtext>{_made(when)}"
    cells = (_made(value), f"<mrow>{condition}</mrow>")
    return f"<mtr>{''.join(f'<mtd style={chr(39)}text-align: left{chr(39)}>{cell}</mtd>' for cell in cells)}</mtr>"


def _letter(base: str, accent: str, below: str, above: str, index: str) -> str:
    made = _stem(base, accent)
    if below or index:
        made = f"<msub>{made}{_lower(below, index)}</msub>"
    return f"<msup>{made}<mi>{escape(above)}</mi></msup>" if above else made


def _stem(base: str, accent: str) -> str:
    letter = f"<mi>{escape(base)}</mi>"
    return f"<mover accent='true'>{letter}<mo>{_ACCENTS[accent]}</mo></mover>" if accent else letter


def _lower(below: str, index: str) -> str:
    lower = [_INDICES.get(part) or f"<mi>{escape(part)}</mi>" for part in (below, index) if part]
    return f"<mrow>{_operator(',').join(lower)}</mrow>"


def _row(parts: Iterable[str]) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _operator(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>" if not sign.isalpha() else f"<mtext>&nbsp;{sign}&nbsp;</mtext>"


def _fence(sign: str, *, tall: bool) -> str:
    """A fence, as high as what it stands beside or as a line."""
    return f"<mo stretchy='{str(tall).lower()}'>{sign}</mo>"


def _is_tall(formula: Formula) -> bool:
    """Whether a formula takes more than a line."""
    if isinstance(formula, str) or formula is None:
        return False
    return formula[:1] in (("fraction",), ["fraction"], ("cases",), ["cases"]) or any(map(_is_tall, formula))
