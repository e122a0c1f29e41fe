"""Kernels as JavaScript: a third emitter, for the page on which one moves what rules do.

What a kernel reads and writes is an array of float64 in ``$v``, a value for each position of a space. ``$``, the
library in ``steps.js``, knows how many positions there are and which row an element is in. Neither can be the name of
anything in a spec. Chunks, threads and storages do not exist there, and a product is rounded before it is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json import dumps
from math import inf, isfinite
from typing import Any

from sympy import And, Expr, Max, Min, Mod, Not, Piecewise, S, Symbol
from sympy.logic.boolalg import BooleanAtom

from optgen.ir import BRANCH, Branch, Kernel, Reduce, Sweep
from optgen.language.domains import domain_of
from optgen.language.reductions import Extent, Reduction
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.symbols import Hyper, Named, Next, g, theta
from optgen.language.text import ATOM, RELATION
from optgen.loops.printer import CodePrinter, in_pairs
from optgen.loops.rounds import name
from optgen.pipeline import kernel_of
from optgen.plot.surfaces import Surface

_RESERVED = frozenset(
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends"
    " false finally for function if implements import in instanceof interface let new null package private protected"
    " public return static super switch this throw true try typeof var void while with yield".split()
)
_SUMMED_UP_IN = {
    (Space.ROW, Space.COL): "matrix",
    (Space.COL, Space.ROW): "matrix",
    (Space.TENSOR, Space.TENSOR): "model",
}
"""Of what there is one total, where that is not the space of those who read it."""


class _Printer(CodePrinter):
    """Expressions as JavaScript."""

    def render(self, expression: Any) -> tuple[str, int]:
        match expression:
            case Not():
                return f"!{self.at_least(ATOM, expression.args[0])}", RELATION
            case BooleanAtom():
                return str(bool(expression)).lower(), ATOM
            case Mod():
                return self.call("mod", expression.args), ATOM
        return super().render(expression)

    def called(self, name: str, texts: Sequence[str]) -> str:
        return f"$.{name}({', '.join(texts)})"

    def symbol(self, symbol: Symbol) -> str:
        return _spelled(symbol)

    def power(self, base: Expr, exponent: Expr) -> tuple[str, int]:
        """Powers that are no products are calls, for ``-x**2`` is an error in JavaScript."""
        if self.elementwise or exponent == S.Half or (exponent.is_Rational and exponent.is_negative):
            text, binds = super().power(base, exponent)
            if "**" not in text:
                return text, binds
        return self.call("power", [base, exponent]), ATOM

    def piecewise(self, piecewise: Piecewise) -> tuple[str, int]:
        *pairs, (last, _) = piecewise.args
        text = self(last)
        for value, condition in reversed(pairs):
            text = f"({self(condition)} ? {self(value)} : {text})"
        return text, ATOM

    def connected(self, conditions: Expr) -> tuple[str, int]:
        word = " && " if isinstance(conditions, And) else " || "
        return f"({word.join(self.at_least(RELATION, part) for part in self.parts(conditions))})", ATOM

    def extremum(self, expression: Max | Min) -> str:
        word = "$.maximum" if isinstance(expression, Max) else "$.minimum"
        return in_pairs(word, [self(argument) for argument in self.extremes(expression)])

    def function(self, expression: Any) -> str:
        if not isinstance(expression, Reduction):
            return super().function(expression)
        each = f"($i) => {{ const theta = $v.theta[$i]; return {self(expression.args[0])}; }}"
        return f'$.total("{expression.how}", "{expression.to.value}", {each})[$i]'


def _spelled(symbol: Any) -> str:
    """The variable of a symbol."""
    word = name(symbol)
    return f"{word}$" if word in _RESERVED else word


def rule(optimizer: Optimizer) -> str:
    """A rule as an entry of ``optgen.rules``."""
    kernel = kernel_of(optimizer)
    hypers = ",\n".join(f"    {_spelled(hyper)}: {_hyper(hyper)}" for hyper in kernel.hypers)
    given = f"{{ {', '.join(_spelled(hyper) for hyper in kernel.hypers)} }}"
    return "\n".join(
        [
            f"optgen.rules.{optimizer.name} = {{",
            f"  title: {dumps(optimizer.title)},",
            f"  hypers: {{\n{hypers}\n  }},",
            f"  follow({given}) {{ return {{ {', '.join(_follow(kernel))} }}; }},",
            f"  start($, $v, {given}) {{",
            *(f"    {line}" for line in _start(optimizer)),
            "  },",
            f"  step($, $v, t, {given}) {{",
            *(f"    {line}" for line in _step(kernel)),
            "  }\n};",
        ]
    )


def _hyper(hyper: Hyper) -> str:
    """What a hyperparameter may be, and is unless given."""
    domain = domain_of(hyper)
    low, high = (domain.low, domain.high) if domain else (-inf, inf)
    said = {
        "usual": hyper.usual,
        "low": low if isfinite(low) else None,
        "high": high if isfinite(high) else None,
        "open": [bool(domain and domain.low_open), bool(domain and domain.high_open)],
        "integer": bool(domain and domain.integer),
        "domain": str(domain),
        "meaning": hyper.meaning,
    }
    return dumps(said)


def _follow(kernel: Kernel) -> Iterator[str]:
    """What hyperparameters are, unless given, whose defaults others make."""
    code = _Printer(elementwise=False)
    yield from (f"{_spelled(each)}: {code(each.default)}" for each in kernel.hypers if not each.default.is_number)


def _start(optimizer: Optimizer) -> Iterator[str]:
    """What the states are before the first step; what depends on the first gradient is not known, and not read."""
    code = _Printer(elementwise=False)
    for state in optimizer.states:
        begin = "NaN" if state.init.has(g) else code(state.init)
        at = "const theta = $v.theta[$i]; " if state.init.has(theta) and state.space is Space.ELEM else ""
        yield f'$v.{_spelled(state)} = $.filled("{_of(state)}", ($i) => {{ {at}return {begin}; }});'


def _of(symbol: Named) -> str:
    """Of what there is one value: numbers of the host are of the model."""
    return "model" if symbol.space is Space.STEP else symbol.space.value


def _step(kernel: Kernel) -> Iterator[str]:
    """A step: scalars, then the sweeps of a branch."""
    code = _Printer(elementwise=False)
    yield from (f"const {_spelled(number)} = $v.{_spelled(number)}[0];" for number in kernel.numbers)
    yield from (f"const {_spelled(each.target)} = {code(each.value)};" for each in kernel.scalars)
    yield from (f"$v.{_spelled(number)}[0] = {_spelled(number.next)};" for number in kernel.numbers)
    if len(kernel.branches) == 1:
        yield from _branch(kernel.branches[0])
        return
    for place, branch in enumerate(kernel.branches):
        yield f"if ({_spelled(BRANCH)} === {place}) {{"
        yield from (f"  {line}" for line in _branch(branch))
        yield "}"


def _branch(branch: Branch) -> Iterator[str]:
    """Sweeps one after another, each over all positions of a space."""
    homes: dict[Named, str] = {}
    for number, sweep in enumerate(branch.sweeps):
        yield f"// sweep {number} over every {sweep.space.value}"
        for reduce in sweep.reduces:
            homes[reduce.target] = _SUMMED_UP_IN.get((reduce.of, reduce.target.space), reduce.target.space.value)
            begin = "0" if reduce.how == "sum" else "-Infinity"
            yield f'$v.{_spelled(reduce.target)} = $.filled("{homes[reduce.target]}", () => {begin});'
        yield from (f'$v.{_spelled(kept)} = $.filled("{sweep.space.value}", () => NaN);' for kept in sweep.keeps)
        yield f'for (let $i = 0; $i < $.count("{sweep.space.value}"); $i++) {{'
        yield from (f"  {line}" for line in _position(sweep, branch.sweeps[:number], homes))
        yield "}"


def _position(sweep: Sweep, before: tuple[Sweep, ...], homes: dict[Named, str]) -> Iterator[str]:
    """What a sweep does in one position."""
    code = _Printer(elementwise=not sweep.is_reduced)
    stored = {slot for each in before for slot in each.stores}

    def at(home: str) -> str:
        return "$i" if home == sweep.space.value else f'$.in("{sweep.space.value}", "{home}", $i)'

    for load in sweep.loads:
        if load in sweep.draws:
            yield f"const {_spelled(load)} = $.normal({_spelled(load.node.seed)}, {load.node.stream}, t, $i);"
            continue
        home = homes.get(load, _of(load))
        slot = load.of if isinstance(load, Next) and load.of in stored else load
        source = f"$.{load.name}" if isinstance(load, Extent) else f"$v.{_spelled(slot)}"
        yield f"const {_spelled(load)} = {source}[{at(home)}];"
    yield from (f"const {_spelled(each.target)} = {code(each.value)};" for each in sweep.body)
    yield from (f"$v.{_spelled(kept)}[$i] = {_spelled(kept)};" for kept in sweep.keeps)
    for reduce in sweep.reduces:
        yield _added(reduce, at(homes[reduce.target]))
    yield from (f"$v.{_spelled(slot)}[$i] = {_spelled(slot.next)};" for slot in sweep.stores)


def _added(reduce: Reduce, place: str) -> str:
    """A total takes one more value."""
    total, value = f"$v.{_spelled(reduce.target)}[{place}]", "*".join(map(_spelled, reduce.factors))
    return f"{total} += {value};" if reduce.how == "sum" else f"{total} = $.maximum({total}, {value});"


def surface(surface: Surface) -> str:
    """A surface as an entry of ``optgen.surfaces``, its gradient derived from its value."""
    code, (x, y) = _Printer(elementwise=False), (Symbol(each, real=True) for each in "xy")
    value = surface.value(x, y)
    left, right, low, high = surface.window
    said = {
        "title": surface.title,
        "start": surface.start,
        "window": [left, right, low, high],
        "minima": surface.minima,
    }
    return "\n".join(
        [
            f"optgen.surfaces.{surface.name} = {{",
            f"  ...{dumps(said)},",
            f"  value: ($, x, y) => {code(value)},",
            f"  gradient: ($, x, y) => [{code(value.diff(x))}, {code(value.diff(y))}]",
            "};",
        ]
    )
