"""Equations as LaTeX, with the step as an index: ``m_t`` from ``m_{t-1}``."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Basic, Expr

from optgen.language.formula import GREEK, Formula, Formulas
from optgen.language.symbols import Hyper

_GREEK = {letter: rf"\{name}" for name, letter in reversed(GREEK.items())} | {
    "∞": r"\infty",
    "↑": r"\uparrow",
    "↓": r"\downarrow",
    "π": r"\pi",
}
_SIGNS = {
    "−": "-",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "mod": r"\bmod",
    "and": r"\text{ and }",
    "or": r"\text{ or }",
}
_FENCES = {"‖": r"\Vert", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil"}
_SUMS = {"sum": r"\sum", "max": r"\max", "min": r"\min"}


def drawn(formula: Formula) -> str:
    """LaTeX of a formula."""
    match formula:
        case ("letter", base, accent, below, above, index):
            return _letter(base, accent, below, above, index)
        case ("tex", source, _):
            return str(source)
        case ("word", text):
            return _word(text)
        case ("changed", inside):
            return rf"\textcolor{{red}}{{{drawn(inside)}}}"
        case ("sum", terms):
            signs = ["" if k == 0 and sign == "+" else _SIGNS.get(sign, sign) for k, (sign, _) in enumerate(terms)]
            return "".join(
                f"{' ' if k else ''}{sign}{' ' if k else ''}{drawn(term)}"
                for k, (sign, (_, term)) in enumerate(zip(signs, terms, strict=True))
            )
        case ("product", factors):
            return r" \, ".join(map(drawn, factors))
        case ("fraction", above, below):
            return rf"\frac{{{drawn(above)}}}{{{drawn(below)}}}"
        case ("power", base, exponent):
            inside = drawn(base) if base[0] != "fence" or base[1] == "(" else rf"\left({drawn(base)}\right)"
            return f"{inside}^{_group(drawn(exponent))}"
        case ("root", inside):
            return rf"\sqrt{{{drawn(inside)}}}"
        case ("fence", left, inside, right):
            fences = [_FENCES.get(fence, fence) for fence in (left, right[0])]
            below = rf"_{{\mathrm{{{right[1:]}}}}}" if right[1:] else ""
            return rf"\left{fences[0]} {drawn(inside)} \right{fences[1]}{below}"
        case ("call", name, below, arguments):
            head = _SUMS.get(name, rf"\operatorname{{{name}}}".replace("_", r"\_")) + (
                rf"_{{\mathrm{{{below}}}}}" if below else ""
            )
            return rf"{head}\left({', '.join(map(drawn, arguments))}\right)"
        case ("relation", sides, operator):
            return f" {_SIGNS.get(operator, operator)} ".join(map(drawn, sides))
        case ("not", inside):
            return rf"\text{{not }} \left({drawn(inside)}\right)"
        case ("cases", pairs):
            rows = (
                rf"{drawn(value)} & " + (r"\text{otherwise}" if when is None else rf"\text{{if }}{drawn(when)}")
                for value, when in pairs
            )
            return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"
    raise ValueError(f"{formula!r} is no formula")


def _letter(base: str, accent: str, below: str, above: str, index: str) -> str:
    letter = _word(base)
    letter = rf"\{accent}{{{letter}}}" if accent else letter
    lower = ",".join((*([_word(below)] if below else []), *([index.replace("−", "-")] if index else [])))
    upper = above.replace("−", "-")
    return letter + (f"_{_group(lower)}" if lower else "") + (f"^{_group(upper)}" if upper else "")


def _word(text: str) -> str:
    if text in _GREEK:
        return _GREEK[text]
    if len(text) == 1 or text.replace(".", "").isdigit() or "(" in text:
        return text
    return rf"\mathrm{{{text}}}".replace("_", r"\_")


def _group(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"


def tex(expression: Basic) -> str:
    """LaTeX of one expression."""
    return drawn(Formulas()(expression))


def aligned(equations: Sequence[tuple[Expr, Expr]]) -> str:
    """LaTeX of equations, one a line, aligned at the equality sign."""
    write = Formulas(hyper for _, value in equations for hyper in value.atoms(Hyper))
    return aligned_formulas([("relation", [write(target), write(value)], "=") for target, value in equations])


def aligned_formulas(equations: Sequence[Formula]) -> str:
    """LaTeX of equations that are formulas already."""
    lines = [f"{drawn(target)} &= {drawn(value)}" for _, (target, value), _ in equations]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
