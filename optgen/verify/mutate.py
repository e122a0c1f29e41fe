"""Mutation: is the verifier any good? Break a generated module in every way that a compiler or a person would.

Each kind of mutant names the part of the verifier that claims to catch it. A mutant that its part does not catch is
a hole in the verifier. Changes that would leave a module right, like 1 % more of zero, are not made in the first place.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optgen.runtime.cuda import places
from optgen.verify import memory, numerics, simulation, translation
from optgen.verify.candidate import QUICK, Candidate, Check, Verdict

CLAIMS: dict[str, str] = {
    "a sign flipped": "translation",
    "a factor dropped": "translation",
    "t off by one": "translation",
    "a coefficient off by 1 %": "translation",
    "a term dropped": "translation",
    "eps moved across the root": "translation",
    "max for min": "translation",
    "branches exchanged": "translation",
    "a relation changed": "translation",
    "two slots swapped": "translation",
    "two scalars swapped": "translation",
    "a default or a start changed": "translation",
    "a draw from another count": "translation",
    "a total over other things": "translation",
    "a count left out": "translation",
    "max for a sum": "translation",
    "a bound of a total off by one": "translation",
    "a part of a total left out": "translation",
    "a total not started anew": "translation",
    "a small value not stored": "translation",
    "an old value for a new one": "translation",
    "a store left out": "memory",
    "an edge off by one": "memory",
    "a scalar rounded to float32": "numerics",
    "a cancellation let in": "numerics",
}
"""What can go wrong, and which part of the verifier claims to notice."""
_PARTS: dict[str, dict[str, Check]] = {
    "cpu": {"translation": translation.check, "memory": memory.check, "numerics": numerics.check},
    "cuda": {"translation": translation.check, "memory": simulation.check, "numerics": simulation.rounding},
}


@dataclass(frozen=True)
class Mutant:
    """A module with one thing wrong."""

    kind: str  # a key of `CLAIMS`
    place: str  # function of the module, or PROGRAM
    change: str  # what stood there and what stands there now
    text: str  # the module


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    mutant: Mutant  # the mutant
    caught: bool  # whether the part that claims its kind noticed
    target: str = "cpu"  # for what kind of machine the module is


def outcome(candidate: Candidate, mutant: Mutant) -> Outcome:
    """Show a mutant of a module to the part of the verifier that claims to catch it."""
    target, optimizer = candidate.target, candidate.optimizer
    part = _PARTS[target][CLAIMS[mutant.kind]]
    with tempfile.TemporaryDirectory(prefix="optgen-mutant-") as folder:
        beside = {"cpu": simulation.beside(candidate).read_text(encoding="utf-8")} if target != "cpu" else {}
        for its, text in {**beside, target: mutant.text}.items():
            path = Path(folder) / its / f"{optimizer.name}.py"
            path.parent.mkdir()
            path.write_text(text, encoding="utf-8")
        broken = Candidate(optimizer, path, Path(folder), target)
        caught = any(finding.verdict is Verdict.FAILED for finding in part(broken, QUICK))  # the first will do
    return Outcome(mutant, caught, target)


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(text)
    texts = [ast.unparse(node) for node in tree.body]
    for number, node in enumerate(tree.body):
        place = _place(node)
        if place is None:
            continue
        for parent, name, index, child in list(_sites(node)):
            for kind, replacement in _changes(place, parent, name, child):
                _put(parent, name, index, ast.fix_missing_locations(replacement))
                mutated = ast.unparse(node)
                _put(parent, name, index, child)
                if mutated != texts[number]:
                    change = f"{ast.unparse(child)} -> {ast.unparse(replacement)}"
                    whole = "\n".join([*texts[:number], mutated, *texts[number + 1 :]])
                    yield Mutant(kind, place, change, _IMPORTS + whole)


_IMPORTS = "from math import exp\n\nfrom numpy import float32\n\n"
"""What mutants need beside what the module imports; the module's own imports come after and win."""


def _place(node: ast.stmt) -> str | None:
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROGRAM":
        return "PROGRAM"
    return None


def _sites(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, Any]]:
    """Every child below a node, with where it hangs."""
    for name, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and name != "decorator_list":
                yield node, name, index, child
                yield from _sites(child)


def _put(parent: ast.AST, name: str, index: int | None, child: ast.AST) -> None:
    if index is None:
        setattr(parent, name, child)
    else:
        getattr(parent, name)[index] = child


Change = tuple[str, Any]


def _changes(place: str, parent: ast.AST, name: str, child: Any) -> Iterator[Change]:
    kind, *_ = place.split("_")
    if kind in ("scalars", "update", *_SMALL):
        yield from _arithmetic(child)
        yield from _rounding(place, parent, name, child)
        if place == "scalars":
            yield from _step_count(parent, child)
        else:
            yield from _coefficient(parent, child)
            yield from _swapped_results(parent, child)
            yield from _before(parent, child)
    elif kind == "chunk":
        yield from _chunk(parent, name, child)
        yield from _added(parent, name, child)
    elif kind == "sweep":
        yield from (*_edges(child), *_chunk(parent, name, child), *_added(parent, name, child), *_threads(child))
    elif kind in ("combine", "prepare", "rows", "columns", "tensors", "models"):
        yield from (*_combined(name, child), *_threads(child))
    elif place in ("initial", "PROGRAM", "step"):
        yield from _starts(place, parent, child)
    if place == "PROGRAM":
        yield from _order(parent, child)


def _arithmetic(node: Any) -> Iterator[Change]:
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield "a sign flipped", ast.BinOp(left, ast.Sub(), right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            yield "a sign flipped", ast.BinOp(left, ast.Add(), right)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "a sign flipped", operand
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            yield "a factor dropped", left
            yield "a factor dropped", right
        case ast.Call(func=ast.Name(id="fma"), args=[a, b, c]):
            yield "a sign flipped", _call("fma", ast.UnaryOp(ast.USub(), a), b, c)
            yield "a factor dropped", ast.BinOp(a, ast.Add(), c)
            yield "a factor dropped", ast.BinOp(b, ast.Add(), c)
            yield "a term dropped", ast.BinOp(a, ast.Mult(), b)
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Name(id="numel" | "n_rows" | "n_cols")):
            yield "a count left out", left
        case ast.BinOp(left=left, op=ast.Div()):
            yield "a factor dropped", left
        case ast.Call(func=ast.Name(id="maximum"), args=arguments):
            yield "max for min", ast.Call(ast.Name("minimum"), arguments, [])
        case ast.Call(func=ast.Name(id="minimum"), args=arguments):
            yield "max for min", ast.Call(ast.Name("maximum"), arguments, [])
        case ast.Call(func=ast.Name(id="where"), args=[condition, a, b]):
            yield "branches exchanged", ast.Call(ast.Name("where"), [condition, b, a], [])
        case ast.IfExp(test=test, body=a, orelse=b):
            yield "branches exchanged", ast.IfExp(test, b, a)
        case ast.Compare(left=left, ops=[relation], comparators=[right]) if type(relation) in _OTHER_RELATION:
            yield "a relation changed", ast.Compare(left, [_OTHER_RELATION[type(relation)]()], [right])
    match node:
        case ast.BinOp(left=ast.Call(func=ast.Name(id="sqrt"), args=[inside]), op=ast.Add(), right=ast.Name() as eps):
            yield "eps moved across the root", _call("sqrt", ast.BinOp(inside, ast.Add(), eps))
        case ast.Call(func=ast.Name(id="sqrt"), args=[ast.BinOp(left=inside, op=ast.Add(), right=ast.Name() as eps)]):
            yield "eps moved across the root", ast.BinOp(_call("sqrt", inside), ast.Add(), eps)


_OTHER_RELATION: dict[type[ast.cmpop], Callable[[], ast.cmpop]] = {
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name), list(arguments), [])


def _rounding(place: str, parent: ast.AST, name: str, node: Any) -> Iterator[Change]:
    computed = isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call) and not ast.unparse(node).startswith("head(")
    if place == "scalars" and isinstance(parent, ast.Assign) and name == "value" and computed:
        yield "a scalar rounded to float32", _call("float32", node)
    match node:
        case ast.Call(func=ast.Name(id="expm1"), args=[exponent]):
            yield "a cancellation let in", ast.BinOp(_call("exp", exponent), ast.Sub(), ast.Constant(1))


def _step_count(parent: ast.AST, node: Any) -> Iterator[Change]:
    match node:
        case ast.Name(id="t", ctx=ast.Load()) if not isinstance(parent, ast.Tuple):
            yield "t off by one", ast.BinOp(node, ast.Add(), ast.Constant(1))
            yield "t off by one", ast.BinOp(node, ast.Sub(), ast.Constant(1))


_KEPT = {"theta", "g", "branch", "zero"}
"""Names that are no coefficients, or of which 1 % is nothing."""


def _is_computing(parent: ast.AST) -> bool:
    return isinstance(parent, ast.BinOp) or (isinstance(parent, ast.Call) and ast.unparse(parent.func) == "fma")


def _coefficient(parent: ast.AST, node: Any) -> Iterator[Change]:
    match node:
        case ast.Name(id=name, ctx=ast.Load()) if _is_computing(parent) and name not in _KEPT:
            yield "a coefficient off by 1 %", ast.BinOp(node, ast.Mult(), ast.Constant(1.01))


def _swapped_results(parent: ast.AST, node: Any) -> Iterator[Change]:
    match node:
        case ast.Tuple(elts=[first, second, *rest]) if isinstance(parent, ast.Return):
            yield "two slots swapped", ast.Tuple([second, first, *rest])
            if rest:
                yield "two slots swapped", ast.Tuple([first, rest[0], second, *rest[1:]])


def _chunk(parent: ast.AST, name: str, node: Any) -> Iterator[Change]:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[ast.Name(id="count") as count]):
            yield "an edge off by one", _call("range", ast.BinOp(count, ast.Sub(), ast.Constant(1)))
            yield "an edge off by one", _call("range", ast.Constant(1), count)
        case ast.Tuple(elts=elements) if isinstance(parent, ast.Assign) and name == "targets":
            for k in (k for k, element in enumerate(elements) if isinstance(element, ast.Subscript)):
                yield "a store left out", ast.Tuple([*elements[:k], ast.Name("_"), *elements[k + 1 :]])
        case ast.Subscript(value=ast.Name(id=slot)) if isinstance(parent, ast.Assign) and name == "targets":
            if slot == "theta" or ast.unparse(parent.value) == f"{slot}_next":
                yield "a store left out", ast.Name("_")
        case ast.Call(func=ast.Name(id=called), args=[first, second, *rest]) if called.startswith("update"):
            yield "two slots swapped", ast.Call(ast.Name(called), [second, first, *rest], [])
            if rest and isinstance(rest[0], ast.Subscript):
                yield "two slots swapped", ast.Call(ast.Name(called), [first, rest[0], second, *rest[1:]], [])
            if len(rest) > 1 and isinstance(rest[1], ast.Subscript):
                yield "two slots swapped", ast.Call(ast.Name(called), [first, second, rest[1], rest[0], *rest[2:]], [])
        case ast.Call(func=ast.Name(id="draws"), args=[row, step, seed, ast.Constant(value=int(stream)) as own, like]):
            none, other = ast.Constant(0), ast.Constant(stream + 1)
            for counted in ((none, seed, own), (step, none, own), (step, step, own), (step, seed, other)):
                yield "a draw from another count", _call("draws", row, *counted, like)
        case ast.Subscript(
            value=ast.Name(id="scalars" | "chunks" as array),
            slice=ast.Tuple(elts=[ast.Name() as group, ast.Constant(value=int(index))])
            | ast.Tuple(elts=[ast.Constant(value=int(index)), ast.Call() as group]),
        ) if not _is_edge(parent):
            other = ast.Constant(index - 1 if index else 1)
            elements = [group, other] if array == "scalars" else [other, group]
            kind = "two scalars swapped" if array == "scalars" else "a total over other things"
            yield kind, ast.Subscript(ast.Name(array), ast.Tuple(elements))
        case ast.If(test=test, body=body, orelse=orelse):
            yield "branches exchanged", ast.If(test, orelse, body)


def _is_edge(parent: ast.AST) -> bool:
    """Whether a scalar is the zero that flags are compared with: of those below 1 any other would do as well."""
    return isinstance(parent, ast.Assign) and ast.unparse(parent.targets[0]) == "zero"


# Totals --------------------------------------------------------------------------------------------------------------

_SMALL = ("tensor", "row", "column", "model")
"""What functions are named for that compute what varies over less than elements."""
_ALIKE = {
    "rows": "columns",
    "columns": "rows",
    "chunks": "rows",
    "n_rows_of": "n_cols_of",
    "n_cols_of": "n_rows_of",
    "numel_of": "n_cols_of",
    "rows_in_columns": "columns_in_rows",
    "rows_in_columns_largest": "columns_in_rows_largest",
    "columns_in_rows": "rows_in_columns",
    "columns_in_rows_largest": "rows_in_columns_largest",
    "CHUNKS": "ROWS",
    "ROWS": "COLUMNS",
    "COLUMNS": "ROWS",
    "sum_down": "sum_along",
    "sum_along": "sum_down",
}
"""What stands for something else of the same type."""
_MOST = {
    "sum_in_groups": "max_in_groups",
    "sum_of": "max_of",
    "sum_over": "max_over",
    "column_totals": "column_largest",
    "rows_in_columns": "rows_in_columns_largest",
    "columns_in_rows": "columns_in_rows_largest",
    "column_sum": "column_max",
    "sum_along": "max_along",
    "sum_down": "max_down",
    "sum_of_block": "max_of_block",
    "sum_over_group": "max_over_group",
    "sum_over_tensors": "max_over_tensors",
}
_OTHER = {**_MOST, **{most: total for total, most in _MOST.items()}}
"""The largest for the sum, and the sum for the largest."""


def _before(parent: ast.AST, node: Any) -> Iterator[Change]:
    """The old value where the new one was meant. What is returned may be both: a value that stays as it is."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()) if name.endswith("_next") and not isinstance(
            parent, ast.Return | ast.Tuple
        ):
            yield "an old value for a new one", ast.Name(name.removesuffix("_next"))


def _added(parent: ast.AST, name: str, node: Any) -> Iterator[Change]:
    """What chunks add up."""
    match node:
        case ast.AugAssign(target=target, op=ast.Add(), value=value):
            yield "a part of a total left out", ast.Assign([target], value)
            yield "max for a sum", ast.Assign([target], _call("maximum", target, value))
            if isinstance(value, ast.BinOp):
                yield "a factor dropped", ast.AugAssign(target, ast.Add(), value.left)
                yield "a factor dropped", ast.AugAssign(target, ast.Add(), value.right)
        case ast.Assign(
            targets=[ast.Name() | ast.Subscript() as target],
            value=ast.Call(func=ast.Name(id="maximum"), args=[_, value]),
        ):
            yield "a part of a total left out", ast.Assign([target], value)
            yield "max for a sum", ast.AugAssign(target, ast.Add(), value)
        case ast.Assign(targets=[ast.Name() | ast.Subscript()], value=value) if ast.unparse(value) in ("0.0", "-inf"):
            yield "a total not started anew", ast.Pass()
        case ast.For(body=body) if any(ast.unparse(each).endswith(" = 0.0") for each in body):
            outside = [each for each in body if ast.unparse(each).endswith(" = 0.0")]
            inside = [each for each in body if each not in outside]
            loop = ast.For(node.target, node.iter, inside, [])
            yield "a total not started anew", ast.Module([*outside, loop], [])
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=array))], value=ast.Name()) if array.endswith("_of"):
            yield "a part of a total left out", ast.Pass()
        case ast.BinOp(left=start, op=ast.Add(), right=ast.Name(id="line")) if isinstance(parent, ast.Subscript):
            yield "a total over other things", start
        case ast.Name(id="first_row" | "first_column" as origin, ctx=ast.Load()) if name != "targets":
            other = {"first_row": "first_column", "first_column": "first_row"}[origin]
            yield "a total over other things", ast.Name(other)
        case ast.BinOp(left=start, op=ast.Add(), right=ast.Name(id="parts_count") as length):
            fewer = ast.BinOp(length, ast.Sub(), ast.Constant(1))
            yield "a bound of a total off by one", ast.BinOp(start, ast.Add(), fewer)
        case ast.Call(func=ast.Name(id="range"), args=[ast.Name(id="lines") as lines]):
            yield "a bound of a total off by one", _call("range", ast.BinOp(lines, ast.Sub(), ast.Constant(1)))
        case ast.Constant(value=int(index)) if isinstance(parent, ast.Subscript) and _is_place(parent):
            yield "a total over other things", ast.Constant(index - 1 if index else 1)


def _is_place(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "place"


def _combined(name: str, node: Any) -> Iterator[Change]:
    """What is done between sweeps."""
    one = ast.Constant(1)
    match node:
        case ast.Attribute(value=at, attr=attribute) if attribute in _ALIKE:
            yield "a total over other things", ast.Attribute(at, _ALIKE[attribute])
        case ast.Name(id=function) if function in _ALIKE:
            yield "a total over other things", ast.Name(_ALIKE[function])
        case ast.Call(func=ast.Name(id="sum_over" | "max_over"), args=[array, _]):
            yield "a total over other things", ast.Subscript(array, ast.Constant(0))
    match node:
        case ast.Name(id=function, ctx=ast.Load()) if function in _OTHER:
            yield "max for a sum", ast.Name(_OTHER[function])
        case ast.Call(func=ast.Name(id="sum_of" | "max_of" as function), args=[array, begin, end]):
            later, sooner = ast.BinOp(begin, ast.Add(), one), ast.BinOp(end, ast.Sub(), one)
            yield "a bound of a total off by one", _call(function, array, later, end)
            yield "a bound of a total off by one", _call(function, array, begin, sooner)
            yield "a part of a total left out", ast.Subscript(array, begin)
        case ast.Call(func=ast.Name(id="range"), args=[length]):
            yield "a bound of a total off by one", _call("range", ast.BinOp(length, ast.Sub(), one))
        case ast.Assign(targets=[target], value=value) if name == "body":
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            for k, each in enumerate(targets):
                if isinstance(each, ast.Subscript):
                    others = [*targets[:k], ast.Name("_"), *targets[k + 1 :]]
                    left = ast.Tuple(others) if len(others) > 1 else others[0]
                    yield "a small value not stored", ast.Assign([left], value)


def _order(parent: ast.AST, node: Any) -> Iterator[Change]:
    """A phase before the one that it needs."""
    match node:
        case ast.Tuple(elts=[_, *_] as phases) if isinstance(parent, ast.keyword) and parent.arg == "phases":
            taken = [set(ast.literal_eval(phase.args[0])) for phase in phases if isinstance(phase, ast.Call)]
            for k in (k for k in range(len(phases) - 1) if taken[k] & taken[k + 1]):
                swapped = [*phases[:k], phases[k + 1], phases[k], *phases[k + 2 :]]
                yield "an old value for a new one", ast.Tuple(swapped)
        case ast.Constant(value="row" | "column" as kind):
            yield "a total over other things", ast.Constant({"row": "column", "column": "row"}[kind])
        case ast.Tuple(elts=[ast.Constant(value="sum" | "max" as how), of]):
            yield "max for a sum", ast.Tuple([ast.Constant("max" if how == "sum" else "sum"), of])


def _edges(node: Any) -> Iterator[Change]:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[length]):
            yield "an edge off by one", _call("range", ast.BinOp(length, ast.Sub(), ast.Constant(1)))
            yield "an edge off by one", _call("range", ast.Constant(1), length)
        case ast.Call(func=ast.Name(id="range"), args=[first, last]):
            yield "an edge off by one", _call("range", ast.BinOp(first, ast.Add(), ast.Constant(1)), last)
        case ast.Call(func=ast.Name(id="prange"), args=[ast.BinOp(left=length, right=one)]):
            shorter = ast.BinOp(ast.BinOp(length, ast.Sub(), one), ast.Sub(), ast.Constant(1))
            yield "an edge off by one", _call("prange", shorter)


def _threads(node: Any) -> Iterator[Change]:
    """What the threads of a block do."""
    match node:
        case ast.While(test=ast.Compare(left=i, comparators=[stop]), body=body):
            fewer = ast.BinOp(stop, ast.Sub(), ast.Constant(4 if ast.unparse(stop) == "fours" else 1))
            yield "an edge off by one", ast.While(ast.Compare(i, [ast.Lt()], [fewer]), body, [])
        case ast.AugAssign(target=i, op=ast.Add(), value=ast.BinOp(left=ast.Constant(4), right=threads)):
            yield "an edge off by one", ast.AugAssign(i, ast.Add(), ast.BinOp(ast.Constant(3), ast.Mult(), threads))
        case ast.Compare(left=i, comparators=[ast.Call(func=ast.Name(id="rows_in_all" | "columns_in_all")) as end]):
            yield "an edge off by one", ast.Compare(i, [ast.LtE()], [end])
        case ast.Expr(value=ast.Call(func=ast.Name(id="store" | "store4" as name), args=[at, i, slot, *values])):
            yield "a store left out", ast.Pass()
            if len(values) > 1:
                yield "two slots swapped", ast.Expr(_call(name, at, i, slot, values[1], values[0], *values[2:]))
        case ast.Call(func=ast.Name(id="draw" | "draw4" as name), args=[i, tensor, step, seed, own, like]):
            other = ast.BinOp(own, ast.Add(), ast.Constant(1))
            for counted in ((i, tensor, seed, step, own), (i, tensor, step, step, own), (i, tensor, step, seed, other)):
                yield "a draw from another count", _call(name, *counted, like)
            yield "a draw from another count", _call(name, tensor, tensor, step, seed, own, like)
        case ast.Subscript(value=ast.Name(id="at") as at, slice=ast.Constant(value=int(k))) if k > places.SMALL:
            yield "a total over other things", ast.Subscript(at, ast.Constant(k - 1))
    match node:
        case ast.Name(id="sum_of_block" | "max_of_block" as function):
            yield "max for a sum", ast.Name(_OTHER[function])


def _starts(place: str, parent: ast.AST, node: Any) -> Iterator[Change]:
    match node:
        case ast.Constant(value=float(number)):
            own = isinstance(parent, ast.Call) and ast.unparse(parent.func) == "Hyper"
            if place in ("initial", "step") or own:
                yield "a default or a start changed", ast.Constant(number * 1.01 + 1e-3)
        case ast.keyword(arg="low" | "high" as end, value=ast.Constant(value=float(number))):
            yield "a default or a start changed", ast.keyword(end, ast.Constant(number + 0.125))
