"""Equations as formulas: what stands over, below and beside what, before it is drawn in text or in MathML.

A formula is nested tuples that begin with what they are, so that JSON keeps them:

- ``("letter", base, accent, below, above, index)``, five texts of which most are empty; ``("word", text)``;
  ``("tex", source, letter)`` where somebody has written LaTeX that says more than a letter
- ``("sum", [(sign, formula), …])``, ``("product", [formula, …])``, ``("fraction", above, below)``
- ``("power", base, exponent)``, ``("root", inside)``, ``("fence", left, inside, right)``
- ``("call", name, below, [formula, …])``, ``("relation", [formula, …], operator)``, ``("not", inside)``
- ``("cases", [(formula, condition or None), …])``, and ``("changed", inside)`` for what is to be seen at once
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from typing import Any

import sympy
from sympy import Basic, Expr, Function, Integer, Piecewise, Pow, Rational, S, Symbol, exp
from sympy.core.relational import Relational

from optgen.language import order
from optgen.language.noise import normal
from optgen.language.reductions import Extent, Reduction
from optgen.language.sums import InOrder, negated
from optgen.language.symbols import Count, Grad, Hyper, Local, Named, Next, Stateful, StepCount
from optgen.language.text import text

Formula = Any

GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi"
        " omega Delta Sigma".split(),
        "αβγδεζηθικλμνξπρστφχψωΔΣ",
        strict=True,
    )
) | {"lam": "λ", "lambd": "λ", "eps": "ε", "inf": "∞"}
_TEX = {rf"\{name}": letter for name, letter in GREEK.items()} | {
    r"\infty": "∞",
    r"\uparrow": "↑",
    r"\downarrow": "↓",
    r"\min": "min",
    r"\max": "max",
}
_ACCENTS = ("hat", "bar", "tilde")
_SUMS, _PRODUCTS, _POWERS, _ATOMS = range(4)
_DECIMAL = re.compile(r"10+")


class Formulas:
    """Makes formulas of the expressions of a rule.

    Parameters
    ----------
    hypers : iterable of Hyper
        Its hyperparameters: of two that papers write with one letter, the later is called by its name.
    """

    def __init__(self, hypers: Iterable[Hyper] = ()) -> None:
        taken = Counter(hyper.tex for hyper in set(hypers) if hyper.tex)
        self.ambiguous = {tex for tex, times in taken.items() if times > 1}

    def __call__(self, expression: Basic, changed: Container[Basic] = ()) -> Formula:
        """The formula of an expression, with the parts marked that have changed."""
        made = self._made(expression, changed)
        return ("changed", made) if expression in changed else made

    def symbol(self, symbol: Symbol) -> Formula:
        """The letter of a symbol: with the step as an index where it has another value at each."""
        match symbol:
            case Next():
                return _named(symbol.of.name, "t")
            case Stateful():
                return _named(symbol.name, "t−1")
            case Hyper() if symbol.tex and symbol.tex not in self.ambiguous:
                return _typeset(symbol.tex) or ("tex", symbol.tex, _named(symbol.name))
            case Hyper() | StepCount() | Extent():
                return _named(symbol.name)
            case Grad() | Count() | Local():
                return _named(symbol.name.removesuffix("_t"), "t")
        return _named(symbol.name)

    def _made(self, expression: Basic, changed: Container[Basic]) -> Formula:
        def inside(node: Basic) -> Formula:
            return self(node, changed)

        match expression:
            case Symbol():
                return self.symbol(expression)
            case Rational():
                return _number(expression)
            case sympy.Add() | InOrder():
                terms = order.terms(expression)
                return ("sum", [self._term(term, changed, first=k == 0) for k, term in enumerate(terms)])
            case exp():
                return ("power", ("word", "e"), inside(expression.args[0]))
            case sympy.Mul() | Pow():
                return self._product(expression, changed)
            case Piecewise():
                pairs = expression.args
                return ("cases", [(inside(value), None if when == S.true else inside(when)) for value, when in pairs])
            case Relational():
                return ("relation", [inside(expression.lhs), inside(expression.rhs)], _RELATIONS[expression.rel_op])
            case sympy.And() | sympy.Or():
                word = "and" if isinstance(expression, sympy.And) else "or"
                parts = sorted(expression.args, key=lambda part: part.sort_key())
                return ("relation", [_at_least(_PRODUCTS, inside(part)) for part in parts], word)
            case sympy.Not():
                return ("not", inside(expression.args[0]))
            case sympy.Mod():
                return ("relation", [_at_least(_PRODUCTS, inside(part)) for part in expression.args], "mod")
            case sympy.Max() | sympy.Min():
                name = "max" if isinstance(expression, sympy.Max) else "min"
                return ("call", name, "", [inside(part) for part in text.extremes(expression)])
            case normal():
                return ("word", "N(0, 1)")
            case Function():
                return self._function(expression, changed)
            case _ if expression == sympy.pi:
                return ("word", "π")
        return ("word", text(expression))

    def _term(self, term: Expr, changed: Container[Basic], *, first: bool) -> tuple[str, Formula]:
        negative = order.is_negative(term) and not (first and isinstance(term, Rational))
        size = self(negated(term) if negative else term, changed)
        if term in changed and size[0] != "changed":
            size = ("changed", size)
        return ("−" if negative else "+", _at_least(_PRODUCTS, size))

    def _product(self, product: Expr, changed: Container[Basic]) -> Formula:
        coefficient, above, below = order.factors(product)
        if coefficient.p < 0:
            return ("sum", [("−", _at_least(_PRODUCTS, self(negated(product), changed)))])
        if coefficient.p != 1 or not above:
            above = (Integer(coefficient.p), *above)
        if coefficient.q != 1:
            below = (Integer(coefficient.q), *below)
        if not below:
            return self._factors(above, changed)
        return ("fraction", self._factors(above, changed), self._factors(below, changed))

    def _factors(self, factors: order.Parts, changed: Container[Basic]) -> Formula:
        if len(factors) > 1:
            return ("product", [_at_least(_POWERS, self._factor(factor, changed)) for factor in factors])
        return self._factor(factors[0], changed)

    def _factor(self, factor: Expr, changed: Container[Basic]) -> Formula:
        if not isinstance(factor, Pow):
            return self(factor, changed)
        base, exponent = self(factor.base, changed), factor.exp
        if exponent == S.Half:
            made: Formula = ("root", base)
        else:
            made = ("power", _at_least(_ATOMS, base), self(exponent, changed))
        return ("changed", made) if factor in changed else made

    def _function(self, expression: Function, changed: Container[Basic]) -> Formula:
        arguments = [self(argument, changed) for argument in expression.args]
        match expression:
            case Reduction(how="norm"):
                of = "" if expression.to.value == "tensor" else _OVER[expression.to.value]
                return ("fence", "‖", arguments[0], "‖" + of)
            case Reduction():
                return ("call", expression.how, _OVER[expression.to.value], arguments)
            case sympy.Abs():
                return ("fence", "|", arguments[0], "|")
            case sympy.floor():
                return ("fence", "⌊", arguments[0], "⌋")
            case sympy.ceiling():
                return ("fence", "⌈", arguments[0], "⌉")
        return ("call", expression.func.__name__, "", arguments)


_RELATIONS = {"<": "<", ">": ">", "<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}
_OVER = {"tensor": "tensor", "row": "row", "column": "col", "group": "group", "model": "all"}


def _number(number: Rational) -> Formula:
    """A number: tenths and the like as decimals."""
    if number < 0:
        return ("sum", [("−", _number(-number))])
    if number.q == 1 or _DECIMAL.fullmatch(str(number.q)):
        return ("word", f"{float(number):.15g}" if number.q > 1 else str(number.p))
    return ("fraction", ("word", str(number.p)), ("word", str(number.q)))


def _at_least(level: int, formula: Formula) -> Formula:
    """A formula, in parentheses where it binds less tightly."""
    return formula if _binds(formula) >= level else ("fence", "(", formula, ")")


def _binds(formula: Formula) -> int:
    match formula:
        case ("changed", inside):
            return _binds(inside)
        case ("sum" | "relation" | "not", *_):
            return _SUMS
        case ("product" | "fraction", *_):
            return _PRODUCTS
        case ("power" | "root", *_):
            return _POWERS
        case ("cases", *_):
            return _SUMS
    return _ATOMS


def _named(name: str, index: str = "") -> Formula:
    """The letter of a name: ``v_hat`` is a v with a hat, ``beta1`` a β with an index."""
    base, *rest = name.split("_")
    accent = rest.pop() if rest and rest[-1] in _ACCENTS else ""
    stem, number = re.fullmatch(r"(.*?)(\d*)", base).groups()  # type: ignore[union-attr]  # anything fits
    if number and not rest and (stem in GREEK or len(stem) == 1):
        base, rest = stem, [number]
    if base not in GREEK and len(base) > 1:
        base, rest = "_".join((base, *rest)), []
    below = "_".join(GREEK.get(part, part) for part in rest)
    return ("letter", GREEK.get(base, base), accent, below, "", index)


_LETTER = re.compile(r"(\\[a-zA-Z]+|[a-zA-Z])(?:([_^])(?:\{(.*)\}|(\\[a-zA-Z]+|[^{}])))?")


def _typeset(tex: str) -> Formula | None:
    """The letter that LaTeX says; None where it says more than a letter with an index."""
    found = _LETTER.fullmatch(tex)
    if found is None:
        return None
    base, which, group, single = found.groups()
    index = re.sub(r"\\mathrm\{(\w*)\}", r"\1", group or single or "")
    inner = _LETTER.fullmatch(index)
    if inner and inner[2]:
        index = _TEX.get(inner[1], inner[1]) + (inner[3] or inner[4])
    index = _TEX.get(index, index)
    if (base.startswith("\\") and base not in _TEX) or "\\" in index:
        return None
    below, above = (index, "") if which == "_" else ("", index)
    return ("letter", _TEX.get(base, base), "", below, above.replace("-", "−"), "")


def equation(target: Named, value: Basic, formulas: Formulas, changed: Container[Basic] = ()) -> Formula:
    """The formula of an equation."""
    return ("relation", [formulas.symbol(target), formulas(value, changed)], "=")
