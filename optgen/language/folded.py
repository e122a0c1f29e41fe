"""What Python, SymPy or NumPy has made something else of before an equation could hold it, without a word.

``t == 1`` and ``t in (1, 2)`` are False, since a symbol is no number, and ``g < oo`` is true of every real number; a
Piecewise then drops a case. ``g and m`` is ``m``, since whatever is not 0 counts as true. ``np.sum(g)`` is ``g``, since
NumPy sees one number there, and ``{1: g}.get(t, m)`` is ``m``, since t is no key. What was written is still in the
source, so that is read, where there is one, for such comparisons and calls, and each is asked again where it stood.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import FrameType, ModuleType
from typing import Any

from sympy import Basic, Expr, Number, S

from optgen.errors import Location, Problem, SpecError
from optgen.language.caller import calling_frame
from optgen.language.symbols import Named

_OF_ONE_ELEMENT = {
    **dict.fromkeys(("mean", "average"), "TensorMean({0})"),
    **dict.fromkeys(("max", "amax"), "TensorMax({0})"),
    **dict.fromkeys(("min", "amin"), "-TensorMax(-({0}))"),
    **dict.fromkeys(("dot", "vdot", "inner"), "TensorSum(a*b)"),
    **dict.fromkeys(("var", "std", "ptp"), "what it comes to with TensorMean, TensorMax and local"),
    **dict.fromkeys(
        ("median", "quantile", "percentile"), "another rule, for there is none; TensorMean({0}) is the mean"
    ),
    "sum": "TensorSum({0})",
    "prod": "exp(TensorSum(log({0}))), for what is above 0",
}
"""Functions of NumPy that make one number of an array, and what to write for each."""
_SUSPECT = re.compile(
    rf"[=!]=|\b(?:oo|inf|nan|zoo|in|is|and|or|not|if|match)\b|\.(?:get|equals|{'|'.join(_OF_ONE_ELEMENT)})\("
)
_INSTEAD = {ast.Eq: "Eq", ast.NotEq: "Ne", ast.Is: "Eq", ast.IsNot: "Ne"}
_ONE_BY_ONE = {ast.In: "Or(Eq({0}, …), Eq({0}, …))", ast.NotIn: "And(Ne({0}, …), Ne({0}, …))"}
_REACH = 40
"""So many lines an equation has at most, as far as this is concerned."""
_DEPTH = 3
"""So many calls are between what is written and what is made of it."""


def refuse_folded() -> None:
    """Refuse what is being made if the call that makes it has a condition that is no longer one."""
    frame: FrameType | None = calling_frame()
    for _ in range(_DEPTH):
        if frame is None:
            return
        file, line = frame.f_code.co_filename, frame.f_lineno
        lines = linecache.getlines(file, frame.f_globals)
        if _may_be_folded("".join(lines[line - 1 : line - 1 + _REACH])):
            names = {**frame.f_globals, **frame.f_locals}
            refuse_folded_in("".join(lines), names, file, calls=_calls_at(frame))
        frame = frame.f_back


@lru_cache(maxsize=1024)  # asked of every equation that is made there
def _may_be_folded(text: str) -> bool:
    return bool(_SUSPECT.search(text))


def refuse_folded_in(source: str, names: Mapping[str, Any], file: str, calls: tuple[int, ...] | None = None) -> None:
    """Refuse the source of a file in which names stand for something, if it has a condition that is no longer one.

    If a call alone counts, it stands at lines, first and last, and columns, first and last.
    """
    for condition, scopes, asked, once in _conditions(source):
        if not (_is_within(condition, calls) if calls else once):
            continue
        # Around a call alone they are those of its frame, whose names are known; but what may be None there is asked.
        inside = [x for x in scopes if asked is _taken_for_true or not calls or _is_within(x[0], calls)]
        hidden = frozenset[str]().union(*(own for _, own in inside)) & _names(condition)
        counted = _counted(inside, names) if hidden else {}
        if hidden <= counted.keys() and (problem := asked(condition, {**names, **counted}, source)):
            raise SpecError([problem], location=Location(file, condition.lineno))


def _calls_at(frame: FrameType) -> tuple[int, ...]:
    """Where the call is written that a frame has under way: the whole line before Python 3.11, which does not tell."""
    if sys.version_info < (3, 11):
        return frame.f_lineno, frame.f_lineno + _REACH, 0, sys.maxsize
    (place,) = islice(frame.f_code.co_positions(), frame.f_lasti // 2, frame.f_lasti // 2 + 1)
    first, last, left, right = (0 if x is None else x for x in place)
    return first, last, left, right


def _is_within(node: Any, call: tuple[int, ...]) -> bool:
    first, last, left, right = call
    begins, ends = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
    return (first, left) <= begins and ends <= (last, right)


_Scopes = tuple[tuple[ast.AST, frozenset[str]], ...]
"""Functions around something, with the names that each has of its own."""
_Ask = Callable[[Any, Mapping[str, Any], str], Problem | None]
"""What to say of a piece of Python where names stand for something, if it was decided too early."""


@lru_cache(64)
def _conditions(source: str) -> tuple[tuple[ast.expr, _Scopes, _Ask, bool], ...]:
    """What may be decided too early in a file, with the functions that it is in, and who is to be asked.

    And whether all its names stand for one thing throughout, so that what they stand for in the end is what they did.
    """
    if not _SUSPECT.search(source):
        return ()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a cell with commands of the notebook, say
        return ()
    scopes = dict(_scoped(tree))
    compared = (
        (part, scopes[part], _folded)
        for node in scopes
        for condition in _tests(node)
        for part in reversed(list(ast.walk(condition)))  # inner ones first
        if isinstance(part, ast.Compare | ast.Call) and _SUSPECT.search(ast.unparse(part))
    )
    others = ((part, scopes[node], ask) for node in scopes for part, ask in _decided_elsewhere(node))
    truths = ((part, scopes[part], _taken_for_true) for node in scopes for part in _truths(node))
    again, looped = _named_again(tree)
    return (
        *((part, around, ask, not looped & _names(part)) for part, around, ask in compared),
        *((part, around, ask, not again & _names(part)) for part, around, ask in others),
        *((part, around, ask, True) for part, around, ask in truths if not again & _names(part)),
    )


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _named_again(tree: ast.AST) -> tuple[set[str], set[str]]:
    """The names of a file that stand for several things, and may have been None when asked; and those of loops alone.

    One that counts through numbers is a number.
    """
    nodes = list(ast.walk(tree))
    loops = [node for node in nodes if isinstance(node, ast.For) and not _counts(node.iter)]
    looped = {name for node in loops for name in _names(node.target)}
    added = {name for node in nodes if isinstance(node, ast.AugAssign) for name in _names(node.target)}
    given = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return {name for name, times in given.items() if times > 1} | added | looped, looped


def _counts(values: ast.expr) -> bool:
    """Whether something is, as it is written, a range or a list of numbers."""
    if isinstance(values, ast.Call):
        return ast.unparse(values.func) == "range"
    return isinstance(values, ast.Tuple | ast.List | ast.Set) and all(
        isinstance(x, ast.Constant) and isinstance(x.value, int | float) for x in values.elts
    )


def _counted(scopes: Iterable[tuple[ast.AST, frozenset[str]]], names: Mapping[str, Any]) -> dict[str, Any]:
    """Names of comprehensions that count through numbers, and one of these numbers each."""
    found: dict[str, Any] = {}
    for scope, own in scopes:
        found = {name: value for name, value in found.items() if name not in own}
        for loop in getattr(scope, "generators", ()):
            values = _walked(loop.iter, {**names, **found})
            rows = list(values) if isinstance(values, Collection | range) else []
            targets: list[ast.expr] = [loop.target]
            columns = [rows]
            if isinstance(loop.target, ast.Tuple):
                targets, columns = loop.target.elts, [list(x) for x in zip(*rows, strict=False)]
            pairs = zip(targets, columns, strict=False)
            found |= {name.id: x[0] for name, x in pairs if isinstance(name, ast.Name) and _are_numbers(x)}
    return found


def _truths(node: ast.AST) -> Iterator[ast.expr]:
    """What is asked whether it is true: all but the last of ``a and b``, what stands after ``if`` and ``not``."""
    match node:
        case ast.BoolOp(values=values):
            yield from values[:-1]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.IfExp(test=test) | ast.If(test=test):
            yield test
        case ast.comprehension(ifs=tests):
            yield from tests


def _decided_elsewhere(node: ast.AST) -> Iterator[tuple[ast.expr, _Ask]]:
    """What may be decided too early outside of a Piecewise: comparisons, ``case 1:``, and what a dict is asked for."""
    match node:
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot()]):
            yield node, _compared_with_a_number
        case ast.Call(func=ast.Attribute(attr="equals", value=one), args=[other]):
            yield ast.copy_location(ast.Compare(one, [ast.Eq()], [other]), node), _compared_with_a_number
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, *_]):
            yield node, _looked_up
        case ast.Match(subject=subject, cases=cases):
            for pattern in (part for case in cases for part in ast.walk(case.pattern)):
                if isinstance(pattern, ast.MatchValue):
                    compared = ast.Compare(subject, [ast.Eq()], [pattern.value])
                    yield ast.copy_location(compared, pattern), _compared_with_a_number


def _scoped(tree: ast.AST) -> Iterator[tuple[ast.AST, _Scopes]]:
    """Every node with the functions around it."""
    ahead: list[tuple[ast.AST, _Scopes]] = [(tree, ())]
    handed: dict[ast.AST, set[str]] = {}  # what a function that is called where it is written is given as it was
    while ahead:
        node, own = ahead.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Lambda):
            given = zip(node.func.args.args, node.args, strict=False)
            handed[node.func] = {x.arg for x, value in given if isinstance(value, ast.Name) and value.id == x.arg}
        if isinstance(
            node, ast.FunctionDef | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
        ):
            inside = list(ast.walk(node))
            names = {part.arg for part in inside if isinstance(part, ast.arg)}
            names |= {part.id for part in inside if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
            own = (*own, (node, frozenset(names - handed.pop(node, set()))))
        yield node, own
        ahead += [(child, own) for child in reversed(list(ast.iter_child_nodes(node)))]


def _tests(node: ast.AST) -> Iterator[ast.expr]:
    """What may be used as a condition: of a Piecewise everything, elsewhere comparisons with a number."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Piecewise":
        yield from (pair.elts[1] for pair in node.args if isinstance(pair, ast.Tuple) and len(pair.elts) == 2)  # noqa: PLR2004
    elif isinstance(node, ast.Compare):
        sides = (node.left, *node.comparators)
        among = isinstance(node.ops[0], ast.In | ast.NotIn)
        if among or any(isinstance(side, ast.Constant) and isinstance(side.value, int | float) for side in sides):
            yield node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _OF_ONE_ELEMENT:
        yield node


def _folded(node: ast.expr, names: Mapping[str, Any], source: str) -> Problem | None:
    """What to say of a condition, or a call of NumPy, if it has symbols and they no longer matter."""
    parts = list(ast.walk(node))
    # What is asked of a symbol, its default say, Python may decide.
    asked = {part.value for part in parts if isinstance(part, ast.Attribute) and part.attr != "next"}
    known = [names.get(part.id) for part in parts if isinstance(part, ast.Name) and part not in asked]
    if any(isinstance(part, ast.Constant) and part.value is None for part in parts) or not any(
        isinstance(value, Basic) and value.has(Named) for value in known
    ):
        return None
    written, line = ast.unparse(node), source.splitlines()[node.lineno - 1].strip()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _OF_ONE_ELEMENT:
        if getattr(names.get(ast.unparse(node.func.value)), "__name__", "") != "numpy":
            return None
        given = ", ".join(map(ast.unparse, node.args))
        fix = f"write {_OF_ONE_ELEMENT[node.func.attr].format(given)}, from optgen"
        return Problem(f"{written} is of one element alone: to NumPy a symbol is one number", fix, line)
    decided = _evaluated(node, names)
    if not (isinstance(decided, bool) or decided in (S.true, S.false)):
        return None
    fix = "write finite(x) for 1 where x is a number and 0 where it is NaN or infinite"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _INSTEAD:
        sides = ", ".join(map(ast.unparse, (node.left, node.comparators[0])))
        fix = f"write {_INSTEAD[type(node.ops[0])]}({sides}): Python's == and != say at once whether both are the same"
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _ONE_BY_ONE:
        if not _are_numbers(_evaluated(node.comparators[0], names)):
            return None
        instead = _ONE_BY_ONE[type(node.ops[0])].format(ast.unparse(node.left))
        fix = f"write {instead}, or compare with both ends: Python says at once whether one of them is the same"
    return Problem(f"the condition {written} is {bool(decided)} before the rule runs", fix, line)


def _walked(values: ast.expr, names: Mapping[str, Any]) -> Any:
    """What a comprehension goes through: what is written there, or what a dict has."""
    match values:
        case ast.Call(func=ast.Attribute(value=holder, attr="items" | "keys" | "values" as part), args=[]):
            table = _evaluated(holder, names)
            return list(getattr(table, part)()) if isinstance(table, dict) else None
    return _evaluated(values, names)


def _compared_with_a_number(node: ast.Compare, names: Mapping[str, Any], source: str) -> Problem | None:
    """What to say of a comparison, if one of its sides is a number and the other is none yet."""
    sides = [_evaluated(side, names) for side in (node.left, *node.comparators)]
    return _folded(node, names, source) if any(_are_numbers([side]) for side in sides) else None


def _looked_up(node: Any, names: Mapping[str, Any], source: str) -> Problem | None:
    """What to say of what is asked of a dict by a symbol, where its keys are numbers."""
    asked = node.args[0]
    table = _evaluated(node.func.value, names)
    key = _evaluated(asked, names)
    if not (isinstance(table, Mapping) and _are_numbers(list(table)) and isinstance(key, Expr) and key.has(Named)):
        return None
    written, line = ast.unparse(asked), source.splitlines()[node.lineno - 1].strip()
    fix = f"write Piecewise((…, Eq({written}, {next(iter(table))})), …, (…, True)), from sympy"
    return Problem(f"a dict has no key {written} before the rule runs: all of its keys are numbers", fix, line)


def _taken_for_true(node: ast.expr, names: Mapping[str, Any], source: str) -> Problem | None:
    """What to say of an expression in symbols that was asked whether it is true: all are, but 0."""
    if isinstance(node, ast.BoolOp | ast.UnaryOp | ast.Compare | ast.Constant):
        return None
    value = _evaluated(node, names)
    written, line = ast.unparse(node), source.splitlines()[node.lineno - 1].strip()
    if value is None and isinstance(node, ast.Attribute) and node.attr.startswith("is_"):
        asked = _evaluated(node.value, names)
        if isinstance(asked, Expr) and asked.has(Named):
            what = f"{written} is not known before the rule runs, and counts as false"
            fix = f"write a condition, {ast.unparse(node.value)} > 0 say, in Piecewise, And, Or or Not, from sympy"
            return Problem(what, fix, line)
    if not isinstance(value, Expr) or not value.has(Named):
        return None
    what = f"{written} counts as true before the rule runs, as all symbols do"
    return Problem(what, f"write a condition, Ne({written}, 0) say, in Piecewise, And, Or or Not, from sympy", line)


def _evaluated(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What an expression is when it is asked again; None if it calls what is not of SymPy, or is no more."""
    calls = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    if not all(ast.unparse(call) == "range" or _is_of_sympy(call, names) for call in calls):
        return None
    try:
        return eval(compile(ast.Expression(node), "<condition>", "eval"), dict(names))  # noqa: S307 - it has just run
    except Exception:  # noqa: BLE001 - names that stand for something else by now
        return None


def _is_of_sympy(called: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether a function is SymPy's, or the language's, by its name or that of its module."""
    path = ast.unparse(called).split(".")
    found = names.get(path[0]) if all(part.isidentifier() for part in path) else None
    for attribute in path[1:]:
        found = getattr(found, attribute, None) if isinstance(found, ModuleType) else None
    return str(getattr(found, "__module__", "")).startswith(("sympy.", "optgen.language."))


def _are_numbers(values: Any) -> bool:
    """Whether something holds numbers, and nothing else."""
    if isinstance(values, range) or not isinstance(values, Collection):
        return isinstance(values, range)
    return bool(values) and all(isinstance(value, int | float | Number) for value in values)
