"""Loops: what generated functions do, as frozen data between a `Kernel` and the text of a language.

Twelve expressions, nine statements and the function. What each means is said here in a line, and in
`tests/interpret.py` as a program. A slot is a tensor as memory has it: the parameters, the gradient, a state. How it is
stored is known when a function is compiled; what is loaded has the type in which elements are computed, for which a
node says "element". All other numbers are float64, and what counts or points is a 64-bit integer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the verifier reads nodes too, and knows nothing of what equations are lowered from
    from optgen.ir import Equation

# Expressions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """A parameter or a variable of the function."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A number that the library of the machine has a name for."""

    name: str


@dataclass(frozen=True)
class Field:
    """A part, by name, of a parameter that has parts."""

    of: Name
    name: str


@dataclass(frozen=True)
class Number:
    """An integer, or a float64."""

    value: int | float


@dataclass(frozen=True)
class Binary:
    """``+ - //`` of integers, the last rounded down; ``*`` of numbers of one type; ``|`` of bits; ``<`` and ``==``."""

    left: Expression
    operator: Literal["+", "-", "*", "//", "|", "<", "=="]
    right: Expression


@dataclass(frozen=True)
class Call:
    """What a function, of this module or of the library, returns."""

    function: str
    arguments: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Item:
    """One value of an array; a negative index counts from the end."""

    array: Expression
    indices: tuple[Expression, ...]


@dataclass(frozen=True)
class Run:
    """``count`` values of an array, one after another, as an array of the same memory."""

    array: Expression
    begin: Expression
    count: Expression


@dataclass(frozen=True)
class View:
    """``count`` elements of a slot, from the ``begin``-th of a chunk on, as an array; its row says where."""

    slot: str
    row: Expression
    column: int
    begin: Expression
    count: Expression


@dataclass(frozen=True)
class Pointer:
    """Where element ``begin`` of a slot of a tensor is stored; joined by ``|``, it has the bits of all."""

    slot: str
    addresses: Expression
    column: int
    tensor: Expression
    begin: Expression


@dataclass(frozen=True)
class Cast:
    """A number in another type: that of elements, float64, or an integer that the number already is."""

    value: Expression
    to: Literal["element", "float64", "index"]


@dataclass(frozen=True)
class Load:
    """So many elements of a slot, side by side, from the i-th after a pointer on."""

    slot: str
    pointer: Expression
    index: Expression
    lanes: int


# Statements ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assign:
    """Targets become what an expression is, or several what a call returns; a run of an array is filled."""

    targets: tuple[Name | Item | Run, ...]
    value: Expression
    note: str = ""


@dataclass(frozen=True)
class Compute:
    """A value of the rule becomes what its equation says, in the arithmetic of elements or of the host."""

    equation: Equation


@dataclass(frozen=True)
class Accumulate:
    """A total takes one more value: ``sum``, added to it; ``max``, the larger of both, NaN if either is."""

    total: Name | Item
    how: str
    value: Expression


@dataclass(frozen=True)
class Store:
    """Values become the elements of a slot, side by side, from the i-th after a pointer on."""

    slot: str
    pointer: Expression
    index: Expression
    values: tuple[Expression, ...]


@dataclass(frozen=True)
class Loop:
    """A body for each index from ``start`` until ``stop``, in order or, where it says so, on all threads at once."""

    index: str
    start: Expression
    stop: Expression
    step: Expression
    body: tuple[Statement, ...]
    parallel: bool = False


@dataclass(frozen=True)
class Each:
    """A body for each value of an array, in order."""

    index: str
    array: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Choose:
    """The body of the first case whose condition holds; of the last, which has none, if no other does."""

    cases: tuple[tuple[Expression | None, tuple[Statement, ...]], ...]


@dataclass(frozen=True)
class Barrier:
    """No thread of a block goes on before all have come here."""


@dataclass(frozen=True)
class Return:
    """What the function returns: several values, or one; a tuple whatever their number where it is packed."""

    values: tuple[Expression, ...]
    packed: bool = False


@dataclass(frozen=True)
class Function:
    """A function of a module."""

    # What it is for: the numbers of the host, one value that varies over less than elements, one element, the loop over
    # a chunk, a sweep over all chunks, or what a GPU launches
    kind: Kind
    name: str  # what it is called
    parameters: tuple[str, ...]  # what it takes
    what: str  # what it does, in a sentence
    body: tuple[Statement, ...]  # how


Expression = Name | Constant | Field | Number | Binary | Call | Item | Run | View | Pointer | Cast | Load
Statement = Assign | Compute | Accumulate | Store | Loop | Each | Choose | Barrier | Return
Node = Expression | Statement | Function

Kind = Literal["host", "between", "reduced", "element", "chunk", "sweep", "kernel"]

ZERO, ONE = Number(0), Number(1)


def plus(*terms: Expression) -> Expression:
    """The sum of integers, from left to right; the number 0 is left out."""
    total, *others = [term for each in terms for term in _terms(each)] or [ZERO]
    for term in others:
        total = Binary(total, "+", term)
    return total


def _terms(node: Expression) -> list[Expression]:
    if isinstance(node, Binary) and node.operator == "+":
        return [*_terms(node.left), *_terms(node.right)]
    return [] if node == ZERO else [node]


def item(array: str, *indices: Expression) -> Item:
    """One value of an array that has a name."""
    return Item(Name(array), indices)


def call(function: str, *arguments: Expression) -> Call:
    """A call."""
    return Call(function, arguments)


def assign(target: str, value: Expression, note: str = "") -> Assign:
    """A variable becomes what an expression is."""
    return Assign((Name(target),), value, note)


def count_up(index: str, stop: Expression, *body: Statement, parallel: bool = False) -> Loop:
    """A loop from 0 on, one by one."""
    return Loop(index, ZERO, stop, ONE, body, parallel)


def counted(index: str, start: Expression, stop: Expression, *body: Statement) -> Loop:
    """A loop from a number on, one by one."""
    return Loop(index, start, stop, ONE, body)


def walk(node: object) -> Iterator[Node]:
    """A node, or those of a tuple, and all that they are made of, in the order in which they are written."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, tuple):
            waiting += reversed(each)
        elif isinstance(each, Node):
            yield each
            if not isinstance(each, Compute):
                waiting += (getattr(each, field.name) for field in reversed(fields(each)))


def reads(body: object) -> set[str]:
    """The names that nodes read, or write into."""
    return {node.name for node in walk(body) if isinstance(node, Name)}
