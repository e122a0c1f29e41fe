"""Loops as Python that Numba compiles: what the emitters of both machines have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from optgen.loops.layout import filled
from optgen.loops.nodes import ONE, ZERO, Expression, Function, Load, Loop, Pointer, Store, View
from optgen.loops.printer import CodePrinter
from optgen.loops.text import ATOM, LoopPrinter
from optgen.targets import module


@dataclass(frozen=True)
class PythonEmitter(LoopPrinter):
    """Writes functions, and remembers what they use of the library.

    The array ``scalars`` has the type in which elements are computed; ``storage`` says how each slot is stored.
    """

    used: set[str] = field(default_factory=set)  # the names that the module must import
    stored: Mapping[str, str] = field(default_factory=dict)
    """What the runtime calls slots that have another name in kernels."""

    decorators: ClassVar[Mapping[str, str]]
    """What decorates each kind of function."""
    casts: ClassVar[Mapping[str, str]]
    """What gives a number each type."""

    def functions(self, functions: Iterable[Function]) -> list[str]:
        """The text of the functions of one module."""
        found = list(functions)
        texts = [self.function(function) for function in found]
        self.used.difference_update((function.name for function in found), _BUILT_IN)
        return texts

    def function(self, function: Function) -> str:
        """One function."""
        decorator = self.library(self.decorators[function.kind])
        return module.function(decorator, function.name, function.parameters, function.what, self.body(function))

    def body(self, function: Function) -> list[str]:
        """The lines of what a function does."""
        code = CodePrinter(elementwise=function.kind == "element")
        inside = replace(self, depth=1)
        lines = [line for statement in function.body for line in inside.statement(statement, code)]
        self.used.update(code.used)
        return lines

    def library(self, name: str) -> str:
        """The name of something that the module must import."""
        self.used.add(name)
        return name

    def loop(self, loop: Loop, code: CodePrinter) -> Iterator[str]:
        """A loop over a range."""
        counted = [loop.start, loop.stop] if loop.start != ZERO or loop.step != ONE else [loop.stop]
        counted += [loop.step] if loop.step != ONE else []
        over = self.library("prange") if loop.parallel else "range"
        yield f"for {loop.index} in {over}({', '.join(map(self, counted))}):"
        yield from self.block(loop.body, code)

    def barrier(self) -> str:
        """Threads wait for each other."""
        return f"{self.library('sync')}()"

    def storage(self, slot: str) -> str:
        """How a slot is stored."""
        return f"storage.{self.stored.get(slot, slot)}"

    def view(self, view: View) -> str:
        """Elements of a slot as an array."""
        pieces = [self(view.row), str(view.column), self(view.begin), self(view.count), self.storage(view.slot)]
        return f"{self.library('view')}({', '.join(pieces)})"

    def pointer(self, pointer: Pointer) -> str:
        """Where an element of a slot is stored."""
        pieces = [self(pointer.addresses), str(pointer.column), self(pointer.tensor), self(pointer.begin)]
        return f"{self.library('pointer')}({', '.join(pieces)}, {self.storage(pointer.slot)})"

    def load(self, load: Load) -> str:
        """Elements of a slot, side by side."""
        function = self.library("load" if load.lanes == 1 else f"load{load.lanes}")
        return f"{function}({self(load.pointer)}, {self(load.index)}, {self.storage(load.slot)})"

    def store(self, store: Store) -> Iterator[str]:
        """Elements of a slot, side by side, go to memory."""
        function = self.library("store" if len(store.values) == 1 else f"store{len(store.values)}")
        pieces = [self(store.pointer), self(store.index), self.storage(store.slot), *map(self, store.values)]
        yield from filled(f"{function}(", [f"{piece}," for piece in pieces], ")", self.width).splitlines()

    def cast(self, value: Expression, to: str) -> tuple[str, int]:
        """A number in another type."""
        witness = ", scalars" if to == "element" else ""
        return f"{self.library(self.casts[to])}({self(value)}{witness})", ATOM


_BUILT_IN = ("int", "len")
