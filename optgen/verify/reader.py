"""The reader: the text of a generated module as the nodes that it says, for CPUs and for GPUs alike.

It knows the words of emitted Python and nothing of the compiler. An operator that nodes do not have is a call by its
sign: ``a/b`` is a call of ``/``, a conditional expression one of ``if``. What text cannot say is left open: an equation
is an assignment like any other, and a comment is nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from optgen.loops import nodes


class Rejected(Exception):  # noqa: N818 - a verdict on the code, not an error of this program
    """The code does something that no generated module does."""


KINDS: dict[str, nodes.Kind] = {
    "on_host": "host",
    "between_sweeps": "between",
    "helper": "reduced",
    "on_device": "reduced",
    "per_element": "element",
    "per_chunk": "chunk",
    "parallel_sweep": "sweep",
    "kernel": "kernel",
}
"""What functions are for, by what decorates them."""
_CASTS = {"float64": "float64", "int": "index", "as_index": "index"}
_CONSTANTS = frozenset({"THREADS", "LANES", "CHUNKS", "ROWS", "COLUMNS"})
_LANES = {"load": 1, "load4": 4, "store": 1, "store4": 4}
_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.And: "&",
    ast.Or: "|",
    ast.USub: "-",
    ast.Not: "not",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_OPERATORS = frozenset({"+", "-", "*", "//", "|", "<", "=="})
"""Those that nodes have."""


def functions(tree: ast.Module) -> dict[str, nodes.Function]:
    """The functions of a module that are compiled, by name, in the order of the text.

    What says what no generated module says is `Rejected`.
    """
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list)
    return {node.name: function(node, _kind(node)) for node in found}


def function(node: ast.FunctionDef, kind: nodes.Kind) -> nodes.Function:
    """One function."""
    parameters, (*_, what) = tuple(each.arg for each in node.args.args), ("", ast.get_docstring(node) or "")
    body = node.body[1:] if what else node.body
    return nodes.Function(kind, node.name, parameters, " ".join(what.split()), block(body))


def _kind(node: ast.FunctionDef) -> nodes.Kind:
    match node.decorator_list:
        case [ast.Name(id=name)] if name in KINDS:
            return KINDS[name]
    raise Rejected(f"`{node.name}` is not compiled as generated functions are")


# Statements ----------------------------------------------------------------------------------------------------------


def block(statements: Sequence[ast.stmt]) -> tuple[nodes.Statement, ...]:
    """The statements of a body."""
    return tuple(_statements([each for each in statements if not isinstance(each, ast.Pass)]))


def _statements(statements: Sequence[ast.stmt]) -> Iterator[nodes.Statement]:
    left = list(statements)
    while left:
        match left:
            case [ast.Assign(targets=[ast.Name(id=index)], value=start), ast.While() as loop, *rest]:
                yield _counting(index, start, loop)
                left = rest
            case [first, *rest]:
                yield _statement(first)
                left = rest


def _counting(index: str, start: ast.expr, loop: ast.While) -> nodes.Loop:
    """A loop that counts by itself, as those of GPUs do."""
    match loop:
        case ast.While(
            test=ast.Compare(left=ast.Name(id=compared), ops=[ast.Lt()], comparators=[stop]),
            body=[*body, ast.AugAssign(target=ast.Name(id=counted), op=ast.Add(), value=step)],
            orelse=[],
        ) if compared == counted == index:
            return nodes.Loop(index, expression(start), expression(stop), expression(step), block(body))
    raise Rejected(f"`while {ast.unparse(loop.test)}` is no loop of a generated module")


def _statement(node: ast.stmt) -> nodes.Statement:
    match node:
        case ast.Assign(targets=[target], value=ast.Call(func=ast.Name(id="maximum"), args=[before, value])) if (
            ast.unparse(target) == ast.unparse(before)
        ):
            return nodes.Accumulate(_total(target), "max", expression(value))
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
            return nodes.Assign(tuple(map(_target, targets)), expression(value))
        case ast.Assign(targets=[target], value=value):
            return nodes.Assign((_target(target),), expression(value))
        case ast.AugAssign(target=target, op=ast.Add(), value=value):
            return nodes.Accumulate(_total(target), "sum", expression(value))
        case ast.Expr(value=ast.Call(func=ast.Name(id="sync"), args=[], keywords=[])):
            return nodes.Barrier()
        case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=[at, i, slot, *values])) if name in (
            "store",
            "store4",
        ):
            if len(values) == _LANES[name]:
                return nodes.Store(_slot(slot), expression(at), expression(i), tuple(map(expression, values)))
        case ast.Expr(value=ast.Call() as value):
            return nodes.Assign((), expression(value))
        case ast.For(target=ast.Name(id=index), iter=over, body=body, orelse=[]):
            return _loop(index, over, block(body))
        case ast.If():
            return nodes.Choose(tuple(_cases(node)))
        case ast.Return(value=ast.Tuple(elts=values)):
            return nodes.Return(tuple(map(expression, values)), packed=len(values) < 2)  # noqa: PLR2004 - several are anyway
        case ast.Return(value=ast.expr() as value):
            return nodes.Return((expression(value),))
    raise Rejected(f"`{ast.unparse(node)}` is no statement of a generated module")


def _loop(index: str, over: ast.expr, body: tuple[nodes.Statement, ...]) -> nodes.Loop | nodes.Each:
    match over:
        case ast.Call(func=ast.Name(id="range" | "prange" as name), args=bounds, keywords=[]):
            first, *ends = map(expression, bounds)
            start, stop, step = [*([first] if ends else [nodes.ZERO, first]), *ends, nodes.ONE][:3]
            return nodes.Loop(index, start, stop, step, body, name == "prange")
    return nodes.Each(index, expression(over), body)


def _cases(node: ast.If) -> Iterator[tuple[nodes.Expression | None, tuple[nodes.Statement, ...]]]:
    yield expression(node.test), block(node.body)
    match node.orelse:
        case [ast.If() as other]:
            yield from _cases(other)
        case [_, *_]:
            yield None, block(node.orelse)


def _target(node: ast.expr) -> nodes.Name | nodes.Item | nodes.Run:
    match expression(node):
        case nodes.Name() | nodes.Item() | nodes.Run() as target:
            return target
    raise Rejected(f"`{ast.unparse(node)}` is nothing that generated code gives values to")


def _total(node: ast.expr) -> nodes.Name | nodes.Item:
    match _target(node):
        case nodes.Name() | nodes.Item() as target:
            return target
    raise Rejected(f"`{ast.unparse(node)}` is no total")


# Expressions ---------------------------------------------------------------------------------------------------------


def expression(node: ast.expr) -> nodes.Expression:
    """An expression."""
    match node:
        case ast.Name(id="inf"):
            return nodes.Number(float("inf"))
        case ast.Name(id=name):
            return nodes.Constant(name) if name in _CONSTANTS else nodes.Name(name)
        case ast.Constant(value=bool() | int() | float() as value):
            return nodes.Number(value)
        case ast.Attribute(value=ast.Name(id=of), attr=name):
            return nodes.Field(nodes.Name(of), name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            negated = expression(operand)
            return nodes.Number(-negated.value) if isinstance(negated, nodes.Number) else nodes.Call("-", (negated,))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return nodes.Call("not", (expression(operand),))
        case ast.BinOp(left=left, op=sign, right=right) | ast.Compare(left=left, ops=[sign], comparators=[right]):
            return _operated(_SIGNS.get(type(sign), "?"), expression(left), expression(right))
        case ast.BoolOp(op=sign, values=[first, *others]):
            joined = expression(first)
            for other in others:
                joined = _operated(_SIGNS[type(sign)], joined, expression(other))
            return joined
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return nodes.Call("if", tuple(map(expression, (test, body, orelse))))
        case ast.Subscript(
            value=array, slice=ast.Slice(lower=ast.expr() as lower, upper=ast.expr() as upper, step=None)
        ):
            begin = expression(lower)
            return nodes.Run(expression(array), begin, _less(expression(upper), begin, node))
        case ast.Subscript(value=array, slice=ast.Tuple(elts=indices)):
            return nodes.Item(expression(array), tuple(map(expression, indices)))
        case ast.Subscript(value=array, slice=index):
            return nodes.Item(expression(array), (expression(index),))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _called(name, arguments)
    raise Rejected(f"`{ast.unparse(node)}` is no expression of a generated module")


def _operated(sign: str, left: nodes.Expression, right: nodes.Expression) -> nodes.Expression:
    return nodes.Binary(left, sign, right) if sign in _OPERATORS else nodes.Call(sign, (left, right))  # type: ignore[arg-type]


def _called(name: str, arguments: Sequence[ast.expr]) -> nodes.Expression:
    match name, arguments:
        case "narrow", [value, ast.Name(id="scalars")]:
            return nodes.Cast(expression(value), "element")
        case (("float64" | "int" | "as_index"), [value]):
            return nodes.Cast(expression(value), _CASTS[name])  # type: ignore[arg-type]
        case "view", [row, ast.Constant(value=int(column)), begin, count, slot]:
            return nodes.View(_slot(slot), expression(row), column, expression(begin), expression(count))
        case "pointer", [addresses, ast.Constant(value=int(column)), tensor, begin, slot]:
            return nodes.Pointer(_slot(slot), expression(addresses), column, expression(tensor), expression(begin))
        case (("load" | "load4"), [at, i, slot]):
            return nodes.Load(_slot(slot), expression(at), expression(i), _LANES[name])
    return nodes.Call(name, tuple(map(expression, arguments)))


def _slot(node: ast.expr) -> str:
    """The slot whose storage is meant."""
    match node:
        case ast.Attribute(value=ast.Name(id="storage"), attr=slot):
            return slot
    raise Rejected(f"`{ast.unparse(node)}` is not how a slot is stored")


def _less(end: nodes.Expression, begin: nodes.Expression, node: ast.expr) -> nodes.Expression:
    """How many values there are from one place to another, which must be the same and something more."""
    if begin == nodes.ZERO:
        return end
    match end:
        case nodes.Binary(left, "+", right) if left == begin:
            return right
        case nodes.Binary(left, "+", right):
            return nodes.Binary(_less(left, begin, node), "+", right)
        case nodes.Number(last) if isinstance(begin, nodes.Number):
            return nodes.Number(last - begin.value)
    raise Rejected(f"`{ast.unparse(node)}` is no run of values of a generated module")
