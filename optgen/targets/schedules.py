"""Schedules as plain Python: a function of t and the hyperparameters, and a class that holds these."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

from sympy import Add, Expr, Function, Piecewise, S, log, pi, sign
from sympy.core.numbers import NumberSymbol

from optgen.errors import Problem, SpecError
from optgen.ir import expm1, log1p, powm1
from optgen.language.domains import domain_of
from optgen.language.graph import nodes
from optgen.language.reductions import finite
from optgen.language.schedules import Schedule
from optgen.language.spec import Let
from optgen.language.sums import plain
from optgen.language.symbols import Hyper, Local, Result, t
from optgen.language.text import TextPrinter
from optgen.loops.layout import INDENT
from optgen.loops.printer import CodePrinter, require_printable
from optgen.passes.stable import stabilized
from optgen.runtime.core.domain import Domain
from optgen.runtime.core.schedule import ScheduleBase
from optgen.targets import module
from optgen.targets.base import Origin
from optgen.targets.module import literal


class _PlainPrinter(CodePrinter):
    """Prints expressions as Python over numbers and the functions of `math`."""

    def __init__(self) -> None:
        super().__init__(elementwise=False)

    def constant(self, constant: NumberSymbol) -> str:
        """A constant of mathematics: pi by its name."""
        if constant != pi:
            return super().constant(constant)
        self.used.add("pi")
        return "pi"

    def extremum(self, expression: Expr) -> str:
        """A maximum or minimum, as Python has it."""
        return TextPrinter.extremum(self, expression)

    def function(self, expression: Function) -> str:
        """A function of `math`, which has no sign, and no logarithm of 0."""
        if isinstance(expression, expm1 | powm1):
            return self._power_less_1(expression)
        if isinstance(expression, finite):
            return f"int({self.call('isfinite', expression.args)})"
        if not isinstance(expression, sign):
            return super().function(expression)
        argument = self(expression.args[0])
        return f"(({argument} > 0) - ({argument} < 0))"

    def _power_less_1(self, expression: Function) -> str:
        """What is left of a power, by a logarithm where its base is not 0."""
        if isinstance(expression, powm1):
            base, exponent = expression.args
            written, bases, otherwise = expm1(exponent * log(base)), [base], self(base**exponent - 1)
        else:
            found = {Add(x.args[0], int(isinstance(x, log1p))) for x in expression.atoms(log, log1p)}
            bases = sorted((x for x in found if _may_be_0(x)), key=str)
            written, otherwise = expression, "-1.0"
        power = super().function(written)
        return f"({power} if {' and '.join(f'{self(x)} > 0' for x in bases)} else {otherwise})" if bases else power


def _may_be_0(base: Expr) -> bool:
    """Whether the base of a power is 0 for a hyperparameter at an end of its domain."""
    hypers = base.atoms(Hyper)
    if len(hypers) != 1 or base.free_symbols != hypers:
        return False
    (hyper,) = hypers
    domain = domain_of(hyper)
    if domain is None:
        return False
    ends = [domain.low] * (not domain.low_open) + [domain.high] * (not domain.high_open)
    return any(base.subs(hyper, end).is_zero for end in ends)


def source(schedule: Schedule, origin: Origin) -> str:
    """The text of a schedule's module."""
    require_printable(schedule)
    code = _PlainPrinter()
    body = [line for let in schedule.equations for line in _statements(let, code)]
    arguments = [t.name, *(h.name for h in schedule.hypers)]
    value = module.function(None, "value", arguments, "The value at step t = 1, 2, …", body)
    functions = [f"from math import {', '.join(sorted(code.used))}"] if code.used else []
    runtime = ["", "from optgen.runtime import Domain, Hyper, ScheduleBase"]
    docstring = module.docstring(schedule, "t = 1, 2, … is the step.")
    head = [module.header(origin), docstring, "from dataclasses import dataclass", *functions, *runtime]
    text = module.whole(head, [value, _class(schedule)])
    _refuse_names_in_use(schedule, ast.parse(text))
    return text


def _refuse_names_in_use(schedule: Schedule, tree: ast.Module) -> None:
    """Refuse names that the module has for something else: imports, functions that it calls, parts of the class."""
    found = list(ast.walk(tree))
    in_use = {alias.name for node in found if isinstance(node, ast.ImportFrom) for alias in node.names}
    in_use |= {node.func.id for node in found if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    in_use |= {"self", "hypers", *(name for name in dir(ScheduleBase) if not name.startswith("_"))}
    named = {
        symbol.name: let for let in schedule.step for symbol in nodes(let.value) if isinstance(symbol, Hyper | Local)
    }
    problems = [
        Problem(f"the name `{name}` is reserved: the module uses it itself", f"call it `{name}_`, say", str(let))
        for name, let in named.items()
        if name in in_use
    ]
    if schedule.title in in_use:
        problems.append(Problem(f"the title {schedule.title!r} is taken", f'write title="{schedule.title}Rule", say'))
    if problems:
        raise SpecError(problems, schedule.name, schedule.location, schedule.kind)


def _statements(let: Let, code: CodePrinter) -> Iterator[str]:
    """One equation as Python; a choice becomes an if statement."""
    start = "return" if isinstance(let.target, Result) else f"{let.target.name} ="
    whole = stabilized(plain(let.value))
    if not isinstance(whole, Piecewise):
        yield f"{start} {code(whole)}"
        return
    for number, (value, condition) in enumerate(whole.args):
        word = "elif" if number else "if"
        yield "else:" if condition == S.true else f"{word} {code(condition)}:"
        yield f"{INDENT}{start} {code(value)}"


def _class(schedule: Schedule) -> str:
    fields, hypers, parameters = [], [], []
    for h in schedule.hypers:
        domain, kind, default = _as_python(h)
        fields.append(f"{h.name}: {kind} = {default}")
        hypers.append(f'{INDENT}"{h.name}": Hyper({default}, {domain!r}),')
        parameters.append(f"{h.name} : {kind}, default {default}, in {domain}")
        if h.meaning:
            parameters.append(f"{INDENT}{module.quoted(h.meaning[:1].upper() + h.meaning[1:])}.")
    arguments = ", ".join(["self.step_count(t)", *(f"self.{h.name}" for h in schedule.hypers)])
    body = [
        f'"""{schedule.title} as a function of the step: an instance is called with t = 1, 2, …',
        *(["", "Parameters", "----------"] if parameters else []),
        *parameters,
        '"""',
        "",
        *fields,
        *([""] if fields else []),
        *(["hypers = {", *hypers, "}"] if hypers else ["hypers = {}"]),
        "",
        "def __call__(self, t: int) -> float:",
        f'{INDENT}"""The value at step t = 1, 2, …"""',
        f"{INDENT}return float(value({arguments}))",
    ]
    text = textwrap.indent("\n".join(body), INDENT)
    return f"@dataclass(frozen=True, kw_only=True)\nclass {schedule.title}(ScheduleBase):\n{text}"


def _as_python(hyper: Hyper) -> tuple[Domain, str, str]:
    """The domain of a hyperparameter, its type and its default."""
    domain = module.known_domain(hyper)
    return (domain, "int", str(int(hyper.default))) if domain.integer else (domain, "float", literal(hyper.default))
