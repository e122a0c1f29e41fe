"""Loops as text: what `optgen show --loops` prints, and what the emitters of targets say in words of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from optgen.loops import nodes
from optgen.loops.layout import INDENT, WIDTH, assignment, filled, parenthesized
from optgen.loops.printer import CodePrinter

_BINDS = {"<": 0, "==": 0, "|": 1, "+": 2, "-": 2, "*": 3, "//": 3}
"""How tightly operators bind."""
_UNARY, ATOM = 4, 5


@dataclass(frozen=True)
class LoopPrinter:
    """Prints functions. An emitter overrides what its language says in another way."""

    depth: int = 0  # in how many blocks the lines stand that it prints

    @property
    def width(self) -> int:
        """How long a line may be."""
        return WIDTH - len(INDENT) * max(0, self.depth - 2)

    def function(self, function: nodes.Function) -> str:
        """One function."""
        head = f"{function.kind} {function.name}({', '.join(function.parameters)})"
        return "\n".join([head, f"{INDENT}# {function.what}", *self.body(function)])

    def body(self, function: nodes.Function) -> list[str]:
        """The lines of what a function does."""
        return self.block(function.body, CodePrinter(elementwise=function.kind == "element"))

    def library(self, name: str) -> str:
        """The name of something of the library."""
        return name

    # Statements --------------------------------------------------------------------------------------------------

    def statement(self, node: nodes.Statement, code: CodePrinter) -> Iterator[str]:
        """The lines of a statement."""
        match node:
            case nodes.Compute(equation):
                yield from assignment(equation, code).splitlines()
            case nodes.Assign(targets, value, note):
                opening = f"{', '.join(map(self, targets))} = " if targets else ""
                line = f"{opening}{self(value)}" + (f"  # {note}" if note else "")
                fits = bool(note) and len(line) <= self.width
                yield from [line] if fits else [*([f"# {note}"] if note else []), *self.broken(opening, value)]
            case nodes.Accumulate(total, "sum", value):
                yield f"{self(total)} += {self(value)}"
            case nodes.Accumulate(total, _, value):
                yield f"{self(total)} = {self.library('maximum')}({self(total)}, {self(value)})"
            case nodes.Store():
                yield from self.store(node)
            case nodes.Loop():
                yield from self.loop(node, code)
            case nodes.Each(index, array, body):
                yield f"for {index} in {self(array)}:"
                yield from self.block(body, code)
            case nodes.Choose(cases):
                yield from self.cases(cases, code)
            case nodes.Barrier():
                yield self.barrier()
            case nodes.Return(values, packed):
                text = ", ".join(map(self, values)) + "," * (packed and len(values) == 1)
                yield from parenthesized("return", text or "()")

    def block(self, body: Iterable[nodes.Statement], code: CodePrinter) -> list[str]:
        """The lines of a body."""
        inside = replace(self, depth=self.depth + 1)
        lines = [line for statement in body for line in inside.statement(statement, code)]
        return [INDENT + line for line in lines or ["pass"]]

    def loop(self, loop: nodes.Loop, code: CodePrinter) -> Iterator[str]:
        """A loop over a range."""
        step = f" by {self(loop.step)}" if loop.step != nodes.ONE else ""
        who = ", on all threads" if loop.parallel else ""
        yield f"for {loop.index} from {self(loop.start)} until {self(loop.stop)}{step}{who}:"
        yield from self.block(loop.body, code)

    def store(self, store: nodes.Store) -> Iterator[str]:
        """Elements side by side go to memory."""
        values = ", ".join(map(self, store.values))
        yield f"elements {self.run(store.index, len(store.values))} at {self(store.pointer)} = {values}"

    def barrier(self) -> str:
        """Threads wait for each other."""
        return "barrier"

    def cases(
        self, cases: tuple[tuple[nodes.Expression | None, tuple[nodes.Statement, ...]], ...], code: CodePrinter
    ) -> Iterator[str]:
        """A choice between bodies."""
        for number, (condition, body) in enumerate(cases):
            word = "elif" if number else "if"
            yield "else:" if condition is None else f"{word} {self(condition)}:"
            yield from self.block(body, code)

    def broken(self, opening: str, value: nodes.Expression) -> list[str]:
        """An expression after something, on as many lines as it takes where it is a call."""
        if not isinstance(value, nodes.Call):
            return [opening + self(value)]
        pieces = [piece for argument in value.arguments for piece in self.pieces(argument)]
        return filled(f"{opening}{self.library(value.function)}(", pieces, ")", self.width).splitlines()

    def pieces(self, argument: nodes.Expression) -> list[str]:
        """An argument in parts between which a line may end."""
        match argument:
            case nodes.Binary(left, "|", right):
                *others, last = self.pieces(left)
                return [*others, f"{last[:-1]} |", f"{self.at_least(2, right)},"]
        return [f"{self(argument)},"]

    # Expressions -------------------------------------------------------------------------------------------------

    def __call__(self, node: nodes.Expression) -> str:
        """An expression as text."""
        return self.expression(node)[0]

    def at_least(self, tightness: int, node: nodes.Expression) -> str:
        """An expression, in parentheses where it binds less tightly."""
        text, binds = self.expression(node)
        return text if binds >= tightness else f"({text})"

    def expression(self, node: nodes.Expression) -> tuple[str, int]:
        """The text of an expression and how tightly it binds."""
        match node:
            case nodes.Binary(left, operator, right):
                binds = _BINDS[operator]
                sign = operator if operator in ("*", "//") else f" {operator} "
                return f"{self.at_least(binds, left)}{sign}{self.at_least(binds + 1, right)}", binds
            case nodes.Cast(value, to):
                return self.cast(value, to)
            case nodes.Number(value) if value < 0:
                return f"-{self.number(-value)}", _UNARY
        return self.atom(node), ATOM

    def atom(self, node: nodes.Expression) -> str:
        """An expression that nothing can tear apart."""
        match node:
            case nodes.Name(name):
                return name
            case nodes.Constant(name):
                return self.library(name)
            case nodes.Field(of, name):
                return f"{self(of)}.{name}"
            case nodes.Number(value):
                return self.number(value)
            case nodes.Call(function, arguments):
                return f"{self.library(function)}({', '.join(map(self, arguments))})"
            case nodes.Item(array, indices):
                return f"{self(array)}[{', '.join(map(self, indices))}]"
            case nodes.Run(array, begin, count):
                return f"{self(array)}[{self(begin)} : {self(nodes.plus(begin, count))}]"
            case nodes.View():
                return self.view(node)
            case nodes.Pointer():
                return self.pointer(node)
            case nodes.Load():
                return self.load(node)
        raise TypeError(node)

    def view(self, view: nodes.View) -> str:
        """Elements of a slot as an array."""
        return f"{view.slot}[{self(view.begin)} : {self(nodes.plus(view.begin, view.count))}] of the chunk"

    def pointer(self, pointer: nodes.Pointer) -> str:
        """Where an element of a slot is stored."""
        return f"pointer to {pointer.slot}[{self(pointer.begin)}] of {self(pointer.tensor)}"

    def load(self, load: nodes.Load) -> str:
        """Elements of a slot, side by side."""
        return f"elements {self.run(load.index, load.lanes)} at {self(load.pointer)}"

    def run(self, index: nodes.Expression, lanes: int) -> str:
        """Which elements lie side by side."""
        return self(index) + f" to {self(nodes.plus(index, nodes.Number(lanes - 1)))}" * (lanes > 1)

    def number(self, value: float) -> str:
        """A number that is not negative."""
        return self.library("inf") if value == float("inf") else repr(value)

    def cast(self, value: nodes.Expression, to: str) -> tuple[str, int]:
        """A number in another type."""
        return f"{to}({self(value)})", ATOM
