"""Functions of a generated module, run on symbols: what they return, as algebra, under the names of the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Any

from sympy import Expr, S, cancel

from optgen.language import reductions
from optgen.language.spec import Optimizer
from optgen.language.symbols import Named, State, algebraic, t
from optgen.language.text import text
from optgen.loops import nodes
from optgen.verify.reader import Rejected
from optgen.verify.translation.algebra import equal
from optgen.verify.translation.meaning import Assumed, meant, number

Names = dict[str, Any]


@dataclass(frozen=True)
class Partial:
    """What each chunk of a tensor has added up, or found largest: of the whole chunk, or of each of its columns."""

    how: str
    of: Expr


@dataclass
class SymbolicRun:
    """One symbolic run of a module in one case, with what it computed under the names of the spec."""

    functions: Mapping[str, nodes.Function]  # those of the module
    targets: Mapping[str, Named]  # the names that equations of the spec give values
    case: Assumed  # what its conditions on scalars are taken to be
    computed: dict[Named, Expr] = field(default_factory=dict)  # what has been computed under the names of the spec
    # What was last stored in this step, and what was there before it. What is not there must not be read.
    memory: dict[str, Expr | Partial] = field(default_factory=dict)
    # What functions have returned, by their names and arguments
    returned: dict[tuple[str, tuple[Expr, ...]], tuple[Expr, ...]] = field(default_factory=dict)

    def call(self, name: str, arguments: Sequence[Expr], kind: nodes.Kind) -> tuple[Expr, ...]:
        """Run a function of some kind on symbolic arguments."""
        function, known = require(self.functions, name, kind), self.returned.get((name, tuple(arguments)))
        if known is not None:
            return known
        if len(function.parameters) != len(arguments):
            raise Rejected(f"`{name}` takes {len(function.parameters)} arguments and is given {len(arguments)}")
        results = self.body(function.body, dict(zip(function.parameters, arguments, strict=True)))
        if results is None:
            raise Rejected(f"`{name}` returns nothing")
        return self.returned.setdefault((name, tuple(arguments)), results)

    def host(self, optimizer: Optimizer) -> tuple[Sequence[Expr], dict[State, Expr]]:
        """Run `scalars`: what the sweeps take, and the new values of the states that are one number."""
        results = self.call("scalars", [t, *optimizer.hypers, *optimizer.numbers], "host")
        count = len(results) - len(optimizer.numbers)
        return results[:count], dict(zip(optimizer.numbers, results[count:], strict=True))

    def body(self, statements: Sequence[nodes.Statement], names: Names) -> tuple[Expr, ...] | None:
        """Run statements; what they return, or None if they do not."""
        for node in statements:
            match node:
                case nodes.Assign((nodes.Name(name),), value):
                    names[name] = self.assigned(name, self.value(value, names))
                case nodes.Choose(((condition, body),)) if condition is not None:
                    if self.decided(self.value(condition, names)):
                        return self.body(body, names)
                case nodes.Return(values):
                    return tuple(self.value(value, names) for value in values)
                case _:
                    raise Rejected(f"{said(node)} is no statement of a function of numbers")
        return None

    def decided(self, condition: Any) -> bool:
        """Whether a condition holds in this case."""
        if condition not in (S.true, S.false):
            raise Rejected(f"`{condition}` is not decided by the scalars")
        return bool(condition)

    def assigned(self, name: str, value: Expr) -> Expr:
        """What later code sees under a name: the symbol of the spec, where the spec has one, so far it is right."""
        target = self.targets.get(name)
        if target is None or value == target:
            return value
        known = self.computed.setdefault(target, value)
        if known != value and not _is_equal(known, value) and not self.is_equal_written_out(known, value):
            raise Rejected(f"`{name}` is given a second value, `{text(value)}`")
        return target

    def is_equal_written_out(self, *sides: Expr) -> bool:
        """Whether algebra shows two values equal without the names that one of them alone is made of."""
        while names := reduce(xor, (side.free_symbols for side in sides)) & self.computed.keys():
            latest = [name for name in self.computed if name in names][-1]  # others may be what it is made of
            sides = tuple(side.xreplace({latest: self.computed[latest]}) for side in sides)
        return not any(side.has(reductions.Reduction) for side in sides) and equal(*sides)

    def value(self, node: nodes.Expression, names: Names) -> Expr:
        """The algebra of an expression."""
        match node:
            case nodes.Name(name) if name in names:
                return names[name]
            case nodes.Name(name):
                raise Rejected(f"`{name}` is used before it has a value")
            case nodes.Number(value):
                return number(value)
            case nodes.Cast(value):
                return self.value(value, names)
            case nodes.Binary(left, sign, right):
                return self.called(sign, [self.value(left, names), self.value(right, names)])
            case nodes.Call(function, arguments):
                return self.called(function, [self.value(argument, names) for argument in arguments])
        raise Rejected(f"{said(node)} is no expression of a function of numbers")

    def called(self, name: str, arguments: Sequence[Expr]) -> Expr:
        """What an operator, or a function, makes of numbers."""
        found = meant(name, *arguments)
        if found is None:
            raise Rejected(f"`{name}` is no function that generated code may call")
        return self.case.settle(found)

    def held(self, name: str) -> Expr:
        """What memory has under a name."""
        found = self.memory.get(name)
        if found is None:
            raise Rejected(f"`{name}` is read before this step has written it")
        if isinstance(found, Partial):
            raise Rejected(f"`{name}` is read where it is only what single chunks have added up")
        return found


def require(functions: Mapping[str, nodes.Function], name: str, kind: nodes.Kind) -> nodes.Function:
    """A function of a module, which must be compiled for what it is used for."""
    function = functions.get(name)
    if function is None:
        raise Rejected(f"there is no `{name}`")
    if function.kind != kind:
        raise Rejected(f"`{name}` is compiled as {function.kind!r} and used as {kind!r}")
    return function


def said(node: nodes.Node) -> str:
    """A node in a complaint: of what kind it is, and of what names."""
    return f"{type(node).__name__} of {', '.join(sorted(nodes.reads(node))) or 'no names'}"


def _is_equal(known: Expr, value: Expr) -> bool:
    difference = algebraic(known - value)
    return not difference.has(reductions.Reduction) and cancel(difference) == 0
