"""What two modules have in common: functions that are not compiled again where a copy has something changed."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from types import ModuleType


def on_top_of(other: ModuleType, text: str) -> str:
    """The text of a module that takes from another what is compiled there and is word for word the same here.

    So is then all that it calls. The digest of the whole text is in it, for code is kept by the text.
    """
    if other.__file__ is None:
        return text
    trees = [ast.parse(each) for each in (text, Path(other.__file__).read_text(encoding="utf-8"))]
    mine, others = map(_bound, trees)

    @cache
    def is_alike(name: str) -> bool:
        if mine.get(name) != others.get(name):
            return False
        return name not in mine or all(is_alike(used) for used in _used(mine[name]) - {name})

    functions = [node for node in trees[0].body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    same = [node for node in functions if is_alike(node.name)]
    left = [node for node in trees[0].body if node not in same]
    imported = [f"from {other.__name__} import {node.name}" for node in same]
    digest = hashlib.sha256(text.encode()).hexdigest()
    return "\n".join([f"# {digest}", *imported, *map(ast.unparse, left)])


def _bound(module: ast.Module) -> dict[str, str]:
    """What stands for each name of a module."""
    found = {}
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = ast.unparse(node)
            case ast.ImportFrom(module=where, names=names):
                found |= {each.asname or each.name: f"{where}.{each.name}" for each in names}
            case ast.Import(names=names):
                found |= {each.asname or each.name: each.name for each in names}
            case ast.Assign(targets=targets):
                found |= {each.id: ast.unparse(node) for each in targets if isinstance(each, ast.Name)}
    return found


@cache
def _used(text: str) -> frozenset[str]:
    """The names in a text."""
    return frozenset(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name))
