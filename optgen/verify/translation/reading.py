"""Reading code: what the functions of a generated module compute, as algebra, run symbol by symbol.

Memory is a dictionary, in which a name has what was last stored there. What code may read or write depends on where it
stands: a `Scope` knows the cells of memory by the text that names them, so that any other text is refused.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import sympy
from sympy import And, Expr, Integer, Mul, Not, Or, Piecewise, Rational, S, cancel, exp, log
from sympy.core.relational import Relational

from optgen.language import reductions
from optgen.language.noise import Draw
from optgen.language.reductions import n_cols, n_rows, numel
from optgen.language.spec import Optimizer
from optgen.language.sums import negated, plain
from optgen.language.symbols import Named, State, algebraic, t
from optgen.language.text import text
from optgen.verify.reader import Rejected


def _exponential(x: Expr) -> Expr:
    """``exp(x)``, with ``exp(n*log(b))`` as ``b**n``; bases here are hyperparameters that cannot be negative."""
    logs = [factor for factor in Mul.make_args(x) if isinstance(factor, log)]
    return logs[0].args[0] ** (x / logs[0]) if len(logs) == 1 else exp(x)


def _is_equal(known: Expr, value: Expr) -> bool:
    difference = algebraic(known - value)
    return not difference.has(reductions.Reduction) and cancel(difference) == 0


_SCALE = Integer(2) ** 540
FUNCTIONS = {
    "abs": sympy.Abs,
    "atan2": sympy.atan2,
    "ceil": sympy.ceiling,
    "cos": sympy.cos,
    "erf": sympy.erf,
    "exp": _exponential,
    "expm1": lambda x: _exponential(x) - 1,
    "finite": reductions.finite,
    "floor": sympy.floor,
    "fma": lambda a, b, c: a * b + c,
    # What they are does not matter, for they are only right where one is added to the other.
    "head": lambda x: x / 3,
    "tail": lambda x: 2 * x / 3,
    "log": log,
    "log1p": lambda x: log(1 + x),
    "maximum": sympy.Max,
    "mean_age": lambda t, b, less: 1 / (1 - b) - t * b**t / (1 - b**t) - less,
    "minimum": sympy.Min,
    "powm1": lambda b, x: b**x - 1,
    "root_of_squares": lambda x, shrunk, stretched: sympy.sqrt((x + shrunk * _SCALE**2 + stretched / _SCALE**2) / 3),
    "shrunk": lambda x: x / _SCALE,
    "sign": sympy.sign,
    "sin": sympy.sin,
    "sqrt": sympy.sqrt,
    "stretched": lambda x: x * _SCALE,
    "tan": sympy.tan,
    "tanh": sympy.tanh,
    "times": lambda a, b: a * b,
    "where": lambda condition, a, b: Piecewise((a, condition), (b, True)),
}
"""What generated code may call, as algebra. The sums that a norm is made of have to agree; what they leave out would
not be seen where they are used."""
_OPERATORS = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
    ast.Mod: sympy.Mod,
    ast.BitAnd: And,
    ast.BitOr: Or,
}
_RELATIONS = {
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
}


@dataclass(frozen=True)
class Assumed:
    """What conditions are taken to be."""

    truth: tuple[tuple[Relational, bool], ...]

    @cached_property
    def known(self) -> dict[Relational, Expr]:
        """Each condition, its opposite, and both the other way round, with their truth."""
        found = {condition: S(holds) for condition, holds in self.truth}
        found |= {Not(condition): S(not holds) for condition, holds in self.truth}
        return found | {condition.reversed: holds for condition, holds in found.items()}

    def settle(self, expression: Expr) -> Expr:
        """An expression with every such condition decided."""
        return expression.xreplace(self.known) if self.truth else expression

    def __str__(self) -> str:
        return " and ".join(text(c) if holds else f"not {text(c)}" for c, holds in self.truth)


@dataclass(frozen=True)
class Partial:
    """What each chunk of a tensor has added up, or found largest: of the whole chunk, or of each of its columns."""

    how: str
    of: Expr


@dataclass(frozen=True)
class StepKernel:
    """One of the kernels of a step.

    Parameters
    ----------
    function : str
        What it does to a chunk, or between two sweeps.
    takes : tuple of str
        The arrays of small values that it is given.
    is_sweep : bool
        Whether it is over elements.
    """

    function: str
    takes: tuple[str, ...] = ()
    is_sweep: bool = True


@dataclass(frozen=True)
class Layout:
    """What PROGRAM says of memory, and what a step launches.

    Parameters
    ----------
    columns : mapping of str to int
        Where a row of the table has the address of each slot.
    arrays : mapping of str to str
        Of which kind each array of small values is: ``{"acc0": "chunk", "r": "row"}``.
    launches : tuple of StepKernel
        In order.
    seeds : tuple of str
        The hyperparameters that the kernels are given as whole numbers, after the step.
    """

    columns: Mapping[str, int]
    arrays: Mapping[str, str]
    launches: tuple[StepKernel, ...]
    seeds: tuple[str, ...] = ()


EXTENTS = {x.name: x for x in (numel, n_rows, n_cols)}
"""What the runtime knows of every tensor."""


@dataclass(frozen=True)
class Scope:
    """What code at some place can read and write.

    Parameters
    ----------
    names : dict of str to Expr
        Values by the text that reads them.
    cells : dict of str to str
        What is in memory, by the text that reads it: ``{"theta[i]": "theta"}``.
    own : set of str
        The cells that may be written there.
    position : str
        What a cell is called in complaints.
    """

    names: dict[str, Expr] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    position: str = "a value of this position"

    def inner(self) -> Scope:
        """A scope in it: what is named there is forgotten at its end."""
        return replace(self, names=dict(self.names), cells=dict(self.cells), own=set(self.own))


@dataclass
class SymbolicRun:
    """One symbolic run of the code in one case, with what it computed under the names of the spec.

    Parameters
    ----------
    functions : mapping of str to ast.FunctionDef
        Those of the module.
    targets : mapping of str to Named
        The names that equations of the spec give values.
    case : Assumed
        What its conditions on scalars are taken to be.
    draws : mapping of str to Draw
        What is drawn, by the names that chunks have for it.
    computed : dict of Named to Expr
        What has been computed under the names of the spec.
    memory : dict of str to Expr or Partial
        What was last stored in this step, and what was there before it. What is not there must not be read.
    """

    functions: Mapping[str, ast.FunctionDef]
    targets: Mapping[str, Named]
    case: Assumed
    draws: Mapping[str, Draw] = field(default_factory=dict)
    computed: dict[Named, Expr] = field(default_factory=dict)
    memory: dict[str, Expr | Partial] = field(default_factory=dict)

    def call(self, name: str, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
        """Run a function of the module on symbolic arguments."""
        function = self.functions[name]
        names = parameters(function)
        if len(names) != len(arguments):
            raise Rejected(f"`{name}` takes {len(names)} arguments and is given {len(arguments)}")
        results = self.body(function.body, Scope(dict(zip(names, arguments, strict=True))))
        if results is None:
            raise Rejected(f"`{name}` returns nothing")
        return results

    def host(self, optimizer: Optimizer) -> tuple[Sequence[Expr], dict[State, Expr]]:
        """Run `scalars`: what the sweeps take, and the new values of the states that are one number."""
        results = self.call("scalars", [t, *optimizer.hypers, *optimizer.numbers])
        taken = len(results) - len(optimizer.numbers)
        return results[:taken], dict(zip(optimizer.numbers, results[taken:], strict=True))

    def body(self, statements: Sequence[ast.stmt], scope: Scope) -> tuple[Expr, ...] | None:
        """Run statements; what they return, or None if they do not."""
        for statement in statements:
            match statement:
                case ast.Expr(value=ast.Constant()):
                    continue
                case ast.Assign(targets=[ast.Name(id=target)], value=value):
                    scope.names[target] = self.assigned(target, self.value(value, scope))
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Call(func=ast.Name(id=called), args=given)):
                    values = self.call(called, [self.value(argument, scope) for argument in given])
                    for name, value in zip(map(ast.unparse, names), values, strict=True):
                        scope.names[name] = self.assigned(name, value)
                case ast.If(test=test, body=body, orelse=[]):
                    if self.decided(test, scope):
                        return self.body(body, scope)
                case ast.Return(value=ast.Tuple(elts=values)):
                    return tuple(self.value(value, scope) for value in values)
                case ast.Return(value=ast.expr() as value):
                    return (self.value(value, scope),)
                case _:
                    raise Rejected(f"`{ast.unparse(statement)}` is no statement of a generated module")
        return None

    def chosen(self, statements: Sequence[ast.stmt], scope: Scope) -> Iterator[ast.stmt]:
        """The statements of a kernel that run in this case."""
        for statement in statements:
            if isinstance(statement, ast.If):
                branch = statement.body if self.decided(statement.test, scope) else statement.orelse
                yield from self.chosen(branch, scope)
            elif not isinstance(statement, ast.Pass):
                yield statement

    def decided(self, test: ast.expr, scope: Scope) -> bool:
        """Whether a condition holds in this case."""
        condition = self.value(test, scope)
        if condition not in (S.true, S.false):
            raise Rejected(f"`{ast.unparse(test)}` is not decided by the scalars")
        return bool(condition)

    def assigned(self, name: str, value: Expr) -> Expr:
        """What later code sees under a name: the symbol of the spec, where the spec has one, so far it is right."""
        target = self.targets.get(name)
        if target is None or value == target:
            return value
        known = self.computed.setdefault(target, value)
        if known != value and not _is_equal(known, value):
            raise Rejected(f"`{name}` is given a second value, `{text(value)}`")
        return target

    def value(self, node: ast.expr, scope: Scope) -> Expr:
        """The algebra of a Python expression."""
        match node:
            case ast.Name(id=name) if name in scope.names:
                return scope.names[name]
            case ast.Name(id=name):
                raise Rejected(f"`{name}` is used before it has a value")
            case ast.Subscript():
                return self.read(ast.unparse(node), scope)
            case ast.Constant(value=bool(flag)):
                return S(flag)
            case ast.Constant(value=int(number)):
                return Integer(number)
            case ast.Constant(value=float(number)):
                return sympy.pi if number == float(sympy.pi) else Rational(repr(number))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return negated(self.value(operand, scope))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.value(operand, scope))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                sides = (self.value(side, scope) for side in (left, right))
                return self.case.settle(plain(S(_OPERATORS[type(operator)](*sides))))
            case ast.BoolOp(op=operator, values=values):
                joined = And if isinstance(operator, ast.And) else Or
                return joined(*(self.value(value, scope) for value in values))
            case ast.Compare(left=left, ops=[relation], comparators=[right]):
                sides = (self.value(side, scope) for side in (left, right))
                return self.case.settle(_RELATIONS[type(relation)](*sides))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                pairs = ((self.value(body, scope), self.value(test, scope)),)
                return self.case.settle(Piecewise(*pairs, (self.value(orelse, scope), True)))
            case ast.Call(func=ast.Name(id="narrow"), args=[value, ast.Name(id="scalars")], keywords=[]):
                return self.value(value, scope)
            case ast.Call(func=ast.Name(id="wide"), args=[value], keywords=[]):
                return self.value(value, scope)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                values = [self.value(argument, scope) for argument in arguments]
                if name in self.functions:
                    (result,) = self.call(name, values)
                    return result
                if name in FUNCTIONS:
                    return self.case.settle(plain(FUNCTIONS[name](*values)))
                raise Rejected(f"`{name}` is no function that generated code may call")
        raise Rejected(f"`{ast.unparse(node)}` is no expression of a generated module")

    def read(self, source: str, scope: Scope) -> Expr:
        """What is read from memory."""
        if source in scope.names:
            return scope.names[source]
        if source not in scope.cells:
            raise Rejected(f"`{source}` is not {scope.position}")
        return self.held(scope.cells[source])

    def held(self, name: str) -> Expr:
        """What memory has under a name."""
        found = self.memory.get(name)
        if found is None:
            raise Rejected(f"`{name}` is read before this step has written it")
        if isinstance(found, Partial):
            raise Rejected(f"`{name}` is read where it is only what single chunks have added up")
        return found

    def stores(self, statement: ast.Assign, scope: Scope) -> None:
        """Run an assignment whose targets are cells or names, and whose value is a call, a cell or a name."""
        (target,) = statement.targets
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        match statement.value:
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in self.functions:
                results = self.call(name, [self.value(argument, scope) for argument in arguments])
            case (ast.Subscript() | ast.Name()) as value:
                results = (self.value(value, scope),)
            case _:
                raise Rejected(f"`{ast.unparse(statement)}` is no statement of a generated kernel")
        if len(targets) != len(results):
            raise Rejected(f"`{ast.unparse(statement.value)}` has {len(results)} values, {len(targets)} are stored")
        for source, result in zip(map(ast.unparse, targets), results, strict=True):
            if source.isidentifier():
                scope.names[source] = result
            elif source in scope.own:
                self.memory[scope.cells[source]] = result
            else:
                raise Rejected(f"`{source}` is stored, and is not {scope.position}")


def parameters(function: ast.FunctionDef) -> list[str]:
    """The names of what a function takes."""
    return [argument.arg for argument in function.args.args]


def scalar(source: str, scalars: Sequence[Expr], group: str) -> Expr:
    """The scalar of a group that some text reads; one that is made an integer must be one."""
    whole = source.startswith("int(")
    parts = re.fullmatch(r"scalars\[(\w+), (\d+)\]", source.removeprefix("int(").removesuffix(")" * whole))
    if parts is None or parts[1] != group or int(parts[2]) >= len(scalars):
        raise Rejected(f"`{source}` is not one of the {len(scalars)} scalars of the group, scalars[{group}, …]")
    found = scalars[int(parts[2])]
    if whole and not found.is_Integer:
        raise Rejected(f"`{source}` rounds `{text(found)}`")
    return found
