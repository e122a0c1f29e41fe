"""Mistakes as they are written in tables: what is looked for in code, and what stands there instead."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from optgen.runtime.cuda import lookup


def is_name(node: ast.AST, *names: str) -> bool:
    """Whether a node is one of some names."""
    return isinstance(node, ast.Name) and node.id in names


_COUNTS = ("numel", "n_rows", "n_cols")
_STANDS_FOR: Mapping[str, Callable[[Any], bool]] = {
    "D": lambda x: not is_name(x, *_COUNTS, "fours"),  # of these a line of their own speaks
    "E": lambda x: isinstance(x, ast.BinOp | ast.UnaryOp | ast.Call) and not ast.unparse(x).startswith("head("),
    "F": lambda x: isinstance(x, ast.Call),
    "H": lambda x: isinstance(x, ast.Constant) and int(x.value) > lookup.REDUCED,  # type: ignore[arg-type]
    "I": lambda x: isinstance(x, ast.Constant) and isinstance(x.value, int),
    "M": lambda x: is_name(x, *_COUNTS),
    "N": lambda x: isinstance(x, ast.Name),
    "P": lambda x: isinstance(x, ast.Name) and x.id.endswith("_of"),
    "Q": lambda x: is_name(x, "sum_of", "max_of", "sum_over", "max_over"),
    "S": lambda x: isinstance(x, ast.Subscript),
    "T": lambda x: isinstance(x, ast.Name | ast.Subscript),
    "U": lambda x: isinstance(x, ast.Name) and x.id.startswith("update"),
    "V": lambda x: is_name(x, "draw", "draw4"),
}
"""What some capitals stand for. J is the number before I or H, or 1 for 0, and K the one after."""

Change = tuple[str, Any]
Found = dict[str, Any]
"""What capitals stand for, in one place."""


def _written(code: str) -> Any:
    """A statement, or the expression that is one."""
    (statement,) = ast.parse(code).body
    return statement.value if isinstance(statement, ast.Expr) else statement


@cache
def mistakes(table: str) -> list[tuple[str, Any, list[str]]]:
    """The lines of a table: of which kind a mistake is, what is looked for, and what is written instead."""
    rows = []
    for line in table.strip().splitlines():
        kind, code = line.strip().split(": ", maxsplit=1)
        right, wrong = code.split(" -> ")
        rows.append((kind, _written(right), wrong.split("; ")))
    return rows


def made(table: str, node: Any) -> Iterator[Change]:
    """The mistakes of a table that can be made of a node."""
    for kind, right, wrong in mistakes(table):
        found: Found = {}
        if type(right) is type(node) and fits(right, node, found):
            for number in (found[capital].value for capital in "IH" if capital in found):
                found |= {"J": ast.Constant(number - 1 if number else 1), "K": ast.Constant(number + 1)}
            yield from ((kind, _Filled(found).visit(_written(each))) for each in wrong)


def fits(pattern: Any, node: Any, found: Found) -> bool:
    """Whether a pattern is of the form of a node; what its capitals stand for is found on the way."""
    match pattern:
        case ast.Name(id=name) if len(name) == 1 and name.isupper():
            found[name] = node
            return isinstance(node, ast.expr) and _STANDS_FOR.get(name, bool)(node)
        case [*first, ast.Starred(value=ast.Name(id=rest))]:
            found[rest] = node[len(first) :]
            return len(node) >= len(first) and fits(first, node[: len(first)], found)
        case list():
            pairs = zip(pattern, node, strict=False)
            return len(pattern) == len(node) and all(fits(its, there, found) for its, there in pairs)
        case ast.AST():
            parts = (x for x in ast.iter_fields(pattern) if x[0] != "ctx" or isinstance(pattern, ast.Name))
            return type(pattern) is type(node) and all(fits(its, getattr(node, name), found) for name, its in parts)
    return type(pattern) is type(node) and bool(pattern == node)


@dataclass
class _Filled(ast.NodeTransformer):
    """Puts what was found in the place of capitals."""

    found: Found

    def visit_Name(self, node: ast.Name) -> Any:
        return self.found.get(node.id, node)

    def visit_Starred(self, node: ast.Starred) -> Any:
        return self.found[ast.unparse(node.value)]
