"""Equations as LaTeX, with the step as an index: ``m_t`` from ``m_{t-1}``."""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Function, Integer, Mul, Symbol, latex
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from optgen.language import order
from optgen.language.reductions import Reduction
from optgen.language.sums import InOrder, is_sum, negated
from optgen.language.symbols import Grad, Hyper, Local, Next, Stateful, StepCount


class _Printer(LatexPrinter):
    """SymPy's printer with our symbols, our order of terms and our reductions."""

    def _print_Symbol(self, symbol: Symbol, style: str = "plain") -> str:
        match symbol:
            case Next():
                return _indexed(symbol.of.name, "t")
            case Stateful():
                return _indexed(symbol.name, "t-1")
            case Local() | Grad():
                return _indexed(symbol.name, "t")
            case Hyper() if symbol.tex:
                return symbol.tex
            case StepCount():
                return "t"
        return str(super()._print_Symbol(symbol, style))

    def _as_ordered_terms(self, expression: Expr, order: Any = None) -> list[Expr]:  # noqa: ARG002
        return _terms(expression)

    def _print_Mul(self, product: Mul) -> str:
        coefficient, above, below = order.factors(product)
        if coefficient.is_negative:
            return f"-{self._whole(negated(product))}"
        if coefficient.p != 1 or not above:
            above.insert(0, Integer(coefficient.p))
        if coefficient.q != 1:
            below.insert(0, Integer(coefficient.q))
        over, under = (self._factors(side) for side in (above, below))
        return rf"\frac{{{over}}}{{{under}}}" if below else over

    def _factors(self, factors: list[Expr]) -> str:
        if len(factors) == 1:
            return str(self._print(factors[0]))
        return r" \, ".join(self.parenthesize(factor, PRECEDENCE["Mul"]) for factor in factors)

    def _print_InOrder(self, expression: InOrder) -> str:
        text = ""
        for term in order.terms(expression):
            sign = "-" if order.is_negative(term) else "+" if text else ""
            size = negated(term) if sign == "-" else term
            space = " " if text else ""
            text += f"{space}{sign}{space}{self._whole(size)}"
        return text

    def _whole(self, term: Expr) -> str:
        return self.parenthesize(term, PRECEDENCE["Mul"]) if is_sum(term) else str(self._print(term))

    def _print_Function(self, expression: Function, exp: str | None = None) -> str:
        if not isinstance(expression, Reduction):
            return str(super()._print_Function(expression, exp))
        inside = self.parenthesize(expression.args[0], PRECEDENCE["Mul"])
        if expression.tex.startswith(r"\left"):
            inside = self._print(expression.args[0])
        typeset = expression.tex % inside
        return typeset if exp is None else rf"\left({typeset}\right)^{{{exp}}}"


def _terms(expression: Expr) -> list[Expr]:
    return order.terms(expression) if isinstance(expression, Add) else [expression]


def _indexed(name: str, index: str) -> str:
    stem, _, accent = name.rpartition("_")
    if accent in ("hat", "bar", "tilde") and stem:
        return rf"\{accent}{{{latex(Symbol(stem))}}}_{{{index}}}"
    typeset = latex(Symbol(name))
    if "_" in typeset:
        return rf"{{{typeset}}}_{{{index}}}"
    return f"{typeset}_{{{index}}}" if len(index) > 1 else f"{typeset}_{index}"


def tex(expression: Expr) -> str:
    """LaTeX of one expression."""
    return str(_Printer().doprint(expression))


def aligned(equations: list[tuple[Expr, Expr]]) -> str:
    """LaTeX of equations, one a line, aligned at the equality sign."""
    lines = [rf"{tex(target)} &= {tex(value)}" for target, value in equations]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
