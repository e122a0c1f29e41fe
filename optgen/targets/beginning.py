"""What is computed of parameters and states outside of steps, with NumPy: where states start, what to evaluate."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import And, Basic, Expr, S, Symbol

from optgen.ir import Scalar, fresh
from optgen.language.order import walk
from optgen.language.reductions import Reduction, finite
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.symbols import theta
from optgen.language.text import ATOM, POWER, TextPrinter, listed
from optgen.loops.printer import CodePrinter, in_pairs
from optgen.targets.module import function, names, spelled

_IN_NUMPY = {"atan2": "arctan2"}


class NumpyPrinter(CodePrinter):
    """Prints expressions as NumPy, of arrays of float64."""

    def __init__(self) -> None:
        super().__init__(elementwise=True)

    def library(self, name: str) -> str:
        """A function of NumPy; what NumPy does not have is the runtime's."""
        return "beginning.erf" if name == "erf" else f"np.{_IN_NUMPY.get(name, name)}"

    def power(self, base: Expr, exponent: Expr) -> tuple[str, int]:
        """A power as such."""
        if exponent == S.Half:
            return self.call("sqrt", [base]), ATOM
        if base.is_Integer and not exponent.is_number:  # of an array of integers maybe
            return f"{float(base)!r}**{self.at_least(ATOM, exponent)}", POWER
        return TextPrinter.power(self, base, exponent)

    def case(self, value: Expr) -> str:
        """A float, since NumPy's arrays of integers have powers of their own."""
        return repr(float(value)) if value.is_Integer else self(value)

    def opposite(self, condition: Basic) -> tuple[str, int]:
        """What holds where a condition does not, element by element."""
        return f"np.logical_not({self(condition)})", ATOM

    def connected(self, conditions: Expr) -> tuple[str, int]:
        """Conditions joined by and, or."""
        name = "logical_and" if isinstance(conditions, And) else "logical_or"
        return in_pairs(f"np.{name}", list(map(self, self.parts(conditions)))), ATOM

    def function(self, expression: Expr) -> str:
        """A function, or a total over a row, a column or a tensor."""
        if isinstance(expression, finite):  # NumPy's arrays of truth values are added up by or
            return f"np.where(np.isfinite({self(expression.args[0])}), 1.0, 0.0)"
        if not isinstance(expression, Reduction):
            return super().function(expression)
        return f'beginning.total("{expression.how}", "{expression.to.value}", {self(expression.args[0])}, theta)'


def _is_computed(optimizer: Optimizer) -> bool:
    return not optimizer.evaluation.is_Symbol


def functions(optimizer: Optimizer) -> list[str]:
    """The functions for what is no copy: of the starts of states, of what to evaluate."""
    parts = [_started(optimizer)] if optimizer.begun else []
    if _is_computed(optimizer):
        what = "What to evaluate the model with, for one tensor."
        result = f"return {NumpyPrinter()(optimizer.evaluation)}"
        parts.append(function(None, "evaluation", spelled(_arguments(optimizer)), what, [result]))
    return parts


def lines(optimizer: Optimizer) -> list[str]:
    """What PROGRAM says of it."""
    copies = [state.name for state in optimizer.states if state.init == theta]
    found = [f"copies={names(copies)},"] if copies else []
    if optimizer.begun:
        found += [f"begun={names([state.name for state in optimizer.begun])},", "started=started,"]
    if optimizer.evaluation != theta:
        found.append(f"evaluated={names([symbol.name for symbol in _arguments(optimizer)])},")
    return [*found, "evaluation=evaluation,"] if _is_computed(optimizer) else found


def _arguments(optimizer: Optimizer) -> list[Symbol]:
    """What the evaluation is made of, theta first."""
    used = optimizer.evaluation.free_symbols
    return [symbol for symbol in (theta, *optimizer.states) if symbol in used]


def _started(optimizer: Optimizer) -> str:
    """The function that says what states start from that is made of theta, for each tensor."""
    inits = [state.init for state in optimizer.begun]
    body: list[str] = []
    free = fresh("c", {x.name for x in (*optimizer.hypers, *optimizer.states)})
    while reduce := next((node for init in inits for node in _totals(init)), None):
        name = Scalar(next(free))
        inside = NumpyPrinter()(reduce.args[0])
        body.append(f'{name} = beginning.over_all("{reduce.how}", [{inside} for theta in thetas], thetas)')
        inits = [init.xreplace({reduce: name}) for init in inits]
    printer = NumpyPrinter()
    values = ", ".join(map(printer, inits)) + "," * (len(inits) == 1)
    what = f"What is made of theta for the first step: {listed([state.name for state in optimizer.begun])}."
    return function(
        None,
        "started",
        ["thetas", *spelled(optimizer.hypers)],
        what,
        [*body, f"return [({values}) for theta in thetas]"],
    )


def _totals(init: Expr) -> Sequence[Expr]:
    """The totals over the whole model in an expression, none of which holds another."""
    found = [node for node in walk(init) if isinstance(node, Reduction) and node.to is Space.MODEL]
    return [node for node in found if not any(x is not node and node.has(x) for x in found)]
