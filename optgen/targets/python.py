"""Loops as Python that Numba compiles: what the emitters of both machines have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from optgen.loops.nodes import (
    ONE,
    ZERO,
    Accumulate,
    Assign,
    Barrier,
    Binary,
    Bytes,
    Call,
    Cast,
    Choose,
    Compute,
    Constant,
    Each,
    Expression,
    Field,
    Function,
    Item,
    Load,
    Loop,
    Name,
    Number,
    Product,
    Return,
    Run,
    Statement,
    Store,
    View,
    plus,
)
from optgen.targets import module
from optgen.targets.module import INDENT
from optgen.targets.printer import CodePrinter

_BINDS = {"<": 0, "==": 0, "|": 1, "+": 2, "-": 2, "*": 3, "//": 3}
"""How tightly operators bind."""
_UNARY, _ATOM = 4, 5


@dataclass(frozen=True)
class PythonEmitter:
    """Writes functions, and remembers what they use of the library.

    Parameters
    ----------
    used : set of str
        The names that the module must import.
    """

    used: set[str] = field(default_factory=set)

    decorators: ClassVar[Mapping[str, str]]
    """What decorates each kind of function."""
    casts: ClassVar[Mapping[str, str]]
    """How a number is given each type."""

    def functions(self, functions: Iterable[Function]) -> list[str]:
        """The text of the functions of one module."""
        found = list(functions)
        own = {function.name for function in found}
        texts = [self.function(function) for function in found]
        self.used.difference_update(own, _BUILT_IN)
        return texts

    def function(self, function: Function) -> str:
        """One function."""
        code = CodePrinter(elementwise=function.kind == "element")
        decorator = self.library(self.decorators[function.kind])
        body = [line for statement in function.body for line in self.statement(statement, code)]
        self.used.update(code.used)
        return module.function(decorator, function.name, function.parameters, function.what, body)

    def library(self, name: str) -> str:
        """The name of something that the module must import."""
        self.used.add(name)
        return name

    # Statements --------------------------------------------------------------------------------------------------

    def statement(self, node: Statement, code: CodePrinter) -> Iterator[str]:
        """The lines of a statement."""
        match node:
            case Compute(equation):
                yield from module.assignment(equation, code).splitlines()
            case Assign(targets, value, note):
                opening = f"{', '.join(map(self, targets))} = " if targets else ""
                line = f"{opening}{self(value)}" + (f"  # {note}" if note else "")
                yield from [line] if note else self.broken(opening, value)
            case Accumulate(total, "sum", value):
                yield f"{self(total)} += {self(value)}"
            case Accumulate(total, _, value):
                yield f"{self(total)} = {self.library('maximum')}({self(total)}, {self(value)})"
            case Store(address, index, values):
                yield from self.broken("", self.stored(address, index, values))
            case Loop():
                yield from self.loop(node, code)
            case Each(index, array, body):
                yield f"for {index} in {self(array)}:"
                yield from self.block(body, code)
            case Choose(cases):
                yield from self.cases(cases, code)
            case Barrier():
                yield f"{self.library('sync')}()"
            case Return(values, packed):
                yield f"return {', '.join(map(self, values))}{',' * (packed and len(values) == 1)}"

    def block(self, body: Iterable[Statement], code: CodePrinter) -> list[str]:
        """The lines of a body."""
        lines = [line for statement in body for line in self.statement(statement, code)]
        return [INDENT + line for line in lines or ["pass"]]

    def loop(self, loop: Loop, code: CodePrinter) -> Iterator[str]:
        """A loop over a range."""
        counted = [loop.start, loop.stop] if loop.start != ZERO or loop.step != ONE else [loop.stop]
        counted += [loop.step] if loop.step != ONE else []
        over = self.library("prange") if loop.parallel else "range"
        yield f"for {loop.index} in {over}({', '.join(map(self, counted))}):"
        yield from self.block(loop.body, code)

    def cases(
        self, cases: tuple[tuple[Expression | None, tuple[Statement, ...]], ...], code: CodePrinter
    ) -> Iterator[str]:
        """A choice between bodies."""
        for number, (condition, body) in enumerate(cases):
            word = "elif" if number else "if"
            yield "else:" if condition is None else f"{word} {self(condition)}:"
            yield from self.block(body, code)

    def broken(self, opening: str, value: Expression) -> list[str]:
        """An expression after something, on as many lines as it takes where it is a call."""
        if not isinstance(value, Call):
            return [opening + self(value)]
        pieces = [piece for argument in value.arguments for piece in self.pieces(argument)]
        return module.filled(f"{opening}{self.library(value.function)}(", pieces, ")").splitlines()

    def pieces(self, argument: Expression) -> list[str]:
        """An argument in parts between which a line may end."""
        match argument:
            case Binary(left, "|", right):
                *others, last = self.pieces(left)
                return [*others, f"{last[:-1]} |", f"{self.at_least(2, right)},"]
        return [f"{self(argument)},"]

    # Expressions -------------------------------------------------------------------------------------------------

    def __call__(self, node: Expression) -> str:
        """An expression as text."""
        return self.expression(node)[0]

    def at_least(self, tightness: int, node: Expression) -> str:
        """An expression, in parentheses where it binds less tightly."""
        text, binds = self.expression(node)
        return text if binds >= tightness else f"({text})"

    def expression(self, node: Expression) -> tuple[str, int]:
        """The text of an expression and how tightly it binds."""
        match node:
            case Binary(left, operator, right):
                binds = _BINDS[operator]
                sign = operator if operator in ("*", "//") else f" {operator} "
                return f"{self.at_least(binds, left)}{sign}{self.at_least(binds + 1, right)}", binds
            case Product(factors):
                return "*".join(self.at_least(_UNARY, factor) for factor in factors), _BINDS["*"]
            case Bytes(count):
                return f"{self.at_least(_BINDS['*'], count)}*scalars.itemsize", _BINDS["*"]
            case Cast(value, to):
                return self.cast(value, to)
            case Number(value) if value < 0:
                return f"-{self.number(-value)}", _UNARY
        return self.atom(node), _ATOM

    def atom(self, node: Expression) -> str:
        """An expression that nothing can tear apart."""
        match node:
            case Name(name):
                return name
            case Constant(name):
                return self.library(name)
            case Field(of, name):
                return f"{self(of)}.{name}"
            case Number(value):
                return self.number(value)
            case Call(function, arguments):
                return f"{self.library(function)}({', '.join(map(self, arguments))})"
            case Item(array, indices):
                return f"{self(array)}[{', '.join(map(self, indices))}]"
            case Run(array, begin, count):
                return f"{self(array)}[{self(begin)} : {self(plus(begin, count))}]"
            case View(address, count):
                return f"{self.library('view')}({self(address)}, {self(count)}, scalars)"
            case Load(address, index, lanes):
                function = self.library("load" if lanes == 1 else f"load{lanes}")
                return f"{function}({self(address)}, {self(index)}, scalars)"
        raise TypeError(node)

    def stored(self, address: Expression, index: Expression, values: tuple[Expression, ...]) -> Call:
        """What stores elements side by side."""
        function = "store" if len(values) == 1 else f"store{len(values)}"
        return Call(function, (address, index, Name("scalars"), *values))

    def number(self, value: float) -> str:
        """A number that is not negative."""
        return self.library("inf") if value == float("inf") else repr(value)

    def cast(self, value: Expression, to: str) -> tuple[str, int]:
        """A number in another type."""
        if to not in self.casts:
            return self.expression(value)
        witness = ", scalars" if to == "element" else ""
        return f"{self.library(self.casts[to])}({self(value)}{witness})", _ATOM


_BUILT_IN = ("len",)
