"""Modules for CPUs as plain Python: what is not compiled runs at once, if not fast; of tests, too."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from optgen.runtime.cpu.primitives import LANES


def interpreted(text: str) -> dict[str, Any]:
    """The names of a generated module whose own functions are Python's."""
    tree = ast.fix_missing_locations(_Plain().visit(ast.parse(text)))
    names: dict[str, Any] = {"__name__": "interpreted", "divided": _divided, **_STAND_INS}
    exec(compile(tree, "interpreted", "exec"), names)  # noqa: S102 - a module that the compiler has just made
    return names


class _Plain(ast.NodeTransformer):
    """Takes off what compiles, and lets a division by zero be what it is in a kernel."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list.clear()
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        node.names = [name for name in node.names if name.name not in _STAND_INS]
        return node if node.names else None

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        return ast.Call(ast.Name("divided", ast.Load()), [node.left, node.right], [])


def _divided(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.divide(a, b)


def _view(row: Any, column: int, begin: int, count: int, stored: Any) -> Any:
    kind, address = np.ctypeslib.as_ctypes_type(stored.dtype), int(row[column] + begin * stored.itemsize)
    memory = (kind * int(count)).from_address(address) if count else (kind * 0)()
    return np.ctypeslib.as_array(memory)


def _fma(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


_STAND_INS = {
    "view": _view,
    "fma": _fma,
    "lanes": lambda x: np.full(LANES, x),
    "sum_of_lanes": np.sum,
    "max_of_lanes": np.max,
    "narrow": lambda x, like: like.dtype.type(x),
    "float64": np.float64,
}
"""For what takes memory, numbers of one type where Python's have none, or is an instruction."""
