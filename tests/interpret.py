"""What loops mean: an interpreter in plain Python, one method a kind of node.

It knows no machine. What the library has, where memory is and how many threads there are is given; threads of a block
take turns, each up to the next barrier, or to a call by which all of them exchange values. Memory is reached through
arrays that are known beforehand: an address beyond them is an error, as is a block whose threads do not all come to
the same barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optgen.ir import Equation
from optgen.loops.nodes import (
    Accumulate,
    Assign,
    Barrier,
    Binary,
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
    Pointer,
    Return,
    Run,
    Statement,
    Store,
    View,
)
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import name as variable

Names = dict[str, Any]
Steps = Generator[tuple[str, tuple[Any, ...]], Any, Any]
"""A thread on its way: it yields where it waits for the others of its block, and returns what its function returns."""


class AddressSpace:
    """Arrays by the addresses of their elements; nothing lies between them."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self._arrays = [(array.ctypes.data, array.reshape(-1)) for array in arrays]

    def view(self, address: int, count: int) -> np.ndarray:
        """The elements from an address on, all of which must lie in one of the arrays."""
        for begin, array in self._arrays:
            first, between = divmod(int(address) - begin, array.itemsize)
            if first >= 0 and first + count <= array.size and between == 0:
                return array[first : first + int(count)]
        raise IndexError(f"{count} elements at {address} lie in no array")


@dataclass(frozen=True)
class Interpreter:
    """Runs functions of a module."""

    functions: Mapping[str, Function]  # those of the module
    library: Mapping[str, Any]  # what they call beside each other, and constants, by name
    element: np.dtype[Any]  # the type of the tensors
    memory: AddressSpace = field(default_factory=lambda: AddressSpace([]))  # where they are
    # Functions by which the threads of a block exchange values: from what each has given, what each gets
    shared: Mapping[str, Callable[[Sequence[tuple[Any, ...]]], Sequence[Any]]] = field(default_factory=dict)

    def call(self, function: str, *arguments: object) -> Any:
        """What a function of the module returns, on one thread."""
        (value,) = self._together([self._run(self.functions[function], arguments, {})])
        return value

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: object) -> None:
        """Run a kernel on every thread of every block, one block after another."""
        for block in range(blocks):
            places = [{"block": lambda b=block: b, "thread": lambda k=k: k} for k in range(threads)]
            self._together([self._run(self.functions[kernel], arguments, place) for place in places])

    def _together(self, threads: Sequence[Steps]) -> list[Any]:
        """Run threads to their ends, each up to the next point at which they wait for each other."""
        returned: dict[int, Any] = {}
        answers: Sequence[Any] = [None] * len(threads)
        while True:
            waiting: list[tuple[str, tuple[Any, ...]]] = []
            for k, (thread, answer) in enumerate(zip(threads, answers, strict=True)):
                try:
                    with np.errstate(all="ignore"):  # here, since a thread that never ends would keep it
                        waiting.append(thread.send(answer))
                except StopIteration as end:  # noqa: PERF203 - Python's way to say that a generator is done
                    returned[k] = end.value
            if not waiting:
                return [returned[k] for k in range(len(threads))]
            kinds = {kind for kind, _ in waiting}
            if len(kinds) > 1 or returned:
                raise RuntimeError(f"threads of a block wait for each other in different places: {sorted(kinds)}")
            kind = kinds.pop()
            answers = self.shared[kind]([given for _, given in waiting]) if kind else [None] * len(threads)

    def _run(self, function: Function, arguments: Sequence[object], place: Names) -> Steps:
        names = {"": place, **dict(zip(function.parameters, arguments, strict=True))}
        code = CodePrinter(elementwise=function.kind == "element")
        returned = yield from self._block(function.body, names, code)
        return returned[0] if returned else None

    # Statements --------------------------------------------------------------------------------------------------

    def _block(self, body: Iterable[Statement], names: Names, code: CodePrinter) -> Steps:
        """Run statements; a tuple of what a return among them returns, else nothing."""
        for node in body:
            match node:
                case Return(values, packed):
                    found = tuple(self._value(value, names) for value in values)
                    return (found if packed or len(found) > 1 else found[0],)
                case Loop(index, start, stop, step, inside):
                    first, last, by = (int(self._value(x, names)) for x in (start, stop, step))
                    for each in range(first, last, by):
                        names[index] = each
                        yield from self._block(inside, names, code)
                case Each(index, array, inside):
                    for each in self._value(array, names):
                        names[index] = each
                        yield from self._block(inside, names, code)
                case Choose(cases):
                    held = (inside for holds, inside in cases if holds is None or self._value(holds, names))
                    yield from self._block(next(held, ()), names, code)
                case Barrier():
                    yield "", ()
                case _:
                    yield from self._do(node, names, code)
        return None

    def _do(self, node: Statement, names: Names, code: CodePrinter) -> Steps:
        """Run a statement that has no others in it."""
        match node:
            case Compute(equation):
                names[variable(equation.target)] = self._computed(equation, names, code)
            case Assign(targets, Call(function, arguments), _) if function in self.shared:
                given = tuple(self._value(argument, names) for argument in arguments)
                self._assign(targets, (yield function, given), names)
            case Assign(targets, value, _):
                self._assign(targets, self._value(value, names), names)
            case Accumulate(total, "sum", value):
                self._assign((total,), self._value(total, names) + self._value(value, names), names)
            case Accumulate(total, _, value):
                self._assign((total,), np.maximum(self._value(total, names), self._value(value, names)), names)
            case Store(_, pointer, index, values):
                self._elements(pointer, index, len(values), names)[:] = [self._value(value, names) for value in values]

    def _computed(self, equation: Equation, names: Names, code: CodePrinter) -> Any:
        """An equation as Python computes it, with the library's functions."""
        return eval(code(equation.value), dict(self.library), names)  # noqa: S307 - an expression of a kernel

    def _assign(self, targets: Sequence[Name | Item | Run], value: Any, names: Names) -> None:
        values = value if len(targets) > 1 else [value]
        for target, each in zip(targets, values, strict=True) if targets else ():
            match target:
                case Name(name):
                    names[name] = each
                case Item(array, indices):
                    self._value(array, names)[self._place(indices, names)] = each
                case Run():
                    self._value(target, names)[:] = each

    # Expressions -------------------------------------------------------------------------------------------------

    def _value(self, node: Expression, names: Names) -> Any:
        """What an expression is."""
        match node:
            case Name(name):
                return names[name]
            case Constant(name):
                return self.library[name]
            case Field(of, name):
                return getattr(self._value(of, names), name)
            case Number(value):
                return value if isinstance(value, int) else np.float64(value)
            case Binary(left, operator, right):
                return _OPERATORS[operator](self._value(left, names), self._value(right, names))
            case Call(function, arguments):
                return self._called(function, [self._value(argument, names) for argument in arguments], names)
            case Item(array, indices):
                return self._value(array, names)[self._place(indices, names)]
            case Run(array, begin, count):
                whole, first = self._value(array, names), int(self._value(begin, names))
                end = first + int(self._value(count, names))
                if not 0 <= first <= end <= len(whole):
                    raise IndexError(f"values {first} to {end} of {len(whole)}")
                return whole[first:end]
            case View(_, row, column, begin, count):
                address = self._value(row, names)[column] + self._value(begin, names) * self.element.itemsize
                return self.memory.view(address, self._value(count, names))
            case Pointer(_, addresses, column, tensor, begin):
                address = self._value(addresses, names)[column, self._value(tensor, names)]
                return address + self._value(begin, names) * self.element.itemsize
            case Cast(value, to):
                kind = {"element": self.element.type, "float64": np.float64, "index": int}[to]
                return kind(self._value(value, names))
            case Load(_, pointer, index, lanes):
                found = self._elements(pointer, index, lanes, names)
                return found.copy() if lanes > 1 else found[0]

    def _place(self, indices: Sequence[Expression], names: Names) -> tuple[int, ...]:
        """Where an item of an array is; only a number that is written so may count from the end."""
        place = tuple(int(self._value(index, names)) for index in indices)
        if any(k < 0 and not isinstance(index, Number) for k, index in zip(place, indices, strict=True)):
            raise IndexError(f"item {place}")
        return place

    def _elements(self, pointer: Expression, index: Expression, lanes: int, names: Names) -> np.ndarray:
        offset = int(self._value(index, names)) * self.element.itemsize
        return self.memory.view(self._value(pointer, names) + offset, lanes)

    def _called(self, function: str, arguments: Sequence[Any], names: Names) -> Any:
        if function in self.functions:
            return self.call(function, *arguments)
        if function in names[""]:
            return names[""][function]()
        return len(*arguments) if function == "len" else self.library[function](*arguments)


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "|": lambda a, b: a | b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
}
