"""Mutation: is the verifier any good? Break a generated module in every way that a compiler or a person would.

Each kind of mutant names the part of the verifier that claims to catch it. A mutant that its part does not catch is
a hole in the verifier, unless it changes nothing (`optgen.verify.harmless`): not all changes are mistakes, and that
either of two addends may come first, say, is seen by running both.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optgen.verify import memory, numerics, simulation, translation
from optgen.verify.candidate import QUICK, Candidate, Check, Verdict
from optgen.verify.harmless import changes_nothing
from optgen.verify.patterns import Change, is_name, made

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
    "a reduced value not stored": "translation",
    "an old value for a new one": "translation",
    "a lane for another": "translation",
    "the scalars of another group": "translation",
    "an index off by one": "translation",
    "a store left out": "memory",
    "a barrier left out": "memory",
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
    same: bool = False  # whether nobody could: it leaves the bits that the module leaves

    @property
    def survived(self) -> bool:
        """Whether it is a mistake that was not noticed."""
        return not (self.caught or self.same)


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
        broken = Candidate(optimizer, path, Path(folder), target, candidate)
        caught = any(finding.verdict is Verdict.FAILED for finding in part(broken, QUICK))  # the first will do
        # What a module says of itself, and what states start from, is no matter of steps.
        same = not caught and mutant.place not in ("PROGRAM", "initial", "step") and changes_nothing(candidate, broken)
    return Outcome(mutant, caught, target, same)


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(text)
    texts = [ast.unparse(node) for node in tree.body]
    for number, node in enumerate(tree.body):
        place = _place(node)
        if place is None:
            continue
        written, statement = _writer(node, texts[number]), None
        for parent, name, index, child in list(_sites(node)):
            if parent is node:
                statement = index if name == "body" else None
            for kind, replacement in _changes(place, parent, name, child):
                _put(parent, name, index, ast.fix_missing_locations(replacement))
                mutated = written(statement)
                _put(parent, name, index, child)
                if mutated != texts[number]:
                    change = f"{ast.unparse(child)} -> {ast.unparse(replacement)}"
                    whole = "\n".join([*texts[:number], mutated, *texts[number + 1 :]])
                    yield Mutant(kind, place, change, _IMPORTS + whole)


def _writer(node: ast.stmt, text: str) -> Callable[[int | None], str]:
    """What writes a node of which nothing but one statement of its body, if it says which, is not as in a text."""
    if not isinstance(node, ast.FunctionDef):
        return lambda _: ast.unparse(node)
    first = int(ast.get_docstring(node) is not None)
    others = list(map(_in_block, node.body[first:]))
    head = text.removesuffix("".join(f"\n{each}" for each in others))

    def written(k: int | None) -> str:
        if k is None or k < first:
            return ast.unparse(node)
        return "\n".join([head, *others[: k - first], _in_block(node.body[k]), *others[k - first + 1 :]])

    return written


def _in_block(statement: ast.stmt) -> str:
    """A statement as it is written in a function."""
    return ast.unparse(ast.If(ast.Constant(value=True), [statement], [])).split("\n", maxsplit=1)[1]


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


# Mistakes as they are written: of what, and what stands there instead; where there are several, each is one of its own.
# A capital stands for any expression, `*R` for all further arguments, and some for less: see `optgen.verify.patterns`.

_ARITHMETIC = """
    a sign flipped: A + B -> A - B
    a sign flipped: A - B -> A + B
    a sign flipped: -A -> A
    a sign flipped: fma(A, B, C) -> fma(-A, B, C)
    a factor dropped: A * B -> A; B
    a factor dropped: A / D -> A
    a factor dropped: fma(A, B, C) -> A + C; B + C
    a term dropped: fma(A, B, C) -> A * B
    a count left out: A / M -> A
    max for min: maximum(*R) -> minimum(*R)
    max for min: minimum(*R) -> maximum(*R)
    branches exchanged: where(A, B, C) -> where(A, C, B)
    branches exchanged: B if A else C -> C if A else B
    a relation changed: A > B -> A >= B
    a relation changed: A >= B -> A > B
    a relation changed: A < B -> A <= B
    a relation changed: A <= B -> A < B
    a relation changed: A == B -> A != B
    a relation changed: A != B -> A == B
    eps moved across the root: sqrt(A) + N -> sqrt(A + N)
    eps moved across the root: sqrt(A + N) -> sqrt(A) + N
    a cancellation let in: expm1(A) -> exp(A) - 1
"""
_ON_HOST = "a scalar rounded to float32: T = E -> T = float32(E)"
_STEP_COUNT = "t off by one: t -> t + 1; t - 1"
_RESULTS = """
    two slots swapped: return (A, B, *R) -> return (B, A, *R)
    two slots swapped: return (A, B, C, *R) -> return (A, C, B, *R)
"""
_SCALARS = """
    two scalars swapped: scalars[N, I] -> scalars[N, J]
    a total over other things: chunks[I, F] -> chunks[J, F]
"""
_OF_CHUNKS = """
    an edge off by one: range(count) -> range(count - 1); range(1, count)
    two slots swapped: U(A, B, *R) -> U(B, A, *R)
    two slots swapped: U(A, B, S, *R) -> U(A, S, B, *R)
    two slots swapped: U(A, B, C, S, *R) -> U(A, B, S, C, *R)
    a draw from another count: draws(A, B, C, I, L) -> draws(A, 0, C, I, L); draws(A, B, 0, I, L)
    a draw from another count: draws(A, B, C, I, L) -> draws(A, B, B, I, L); draws(A, B, C, K, L)
    a part of a total left out: T += A -> T = A
    a part of a total left out: T = maximum(A, B) -> T = B
    a part of a total left out: P[A] = B -> pass
    a part of a total left out: reduced[A] = N -> pass
    max for a sum: T += A -> T = maximum(T, A)
    max for a sum: T = maximum(A, B) -> T += B
    a factor dropped: T += A * B -> T += A; T += B
    a total not started anew: T = 0.0 -> pass
    a total not started anew: T = -inf -> pass
    a total over other things: A[B + line] -> A[B]
    a total over other things: span[I] -> span[J]
    a total over other things: first_row -> first_column
    a total over other things: first_column -> first_row
    a bound of a total off by one: A + parts_count -> A + (parts_count - 1)
    a bound of a total off by one: range(lines) -> range(lines - 1)
"""
_OF_SWEEPS = """
    an edge off by one: range(A) -> range(A - 1); range(1, A)
    an edge off by one: range(A, B) -> range(A + 1, B)
    an edge off by one: prange(A - B) -> prange(A - B - 1)
"""
_IN_EVERY_LOOP = """
    the scalars of another group: scalars[N, I] -> scalars[0, I]
    an index off by one: A[B + i] -> A[B + i + 1]; A[B + i - 1]
"""
_OF_THREADS = """
    a part of a total left out: sum_of_team(A, B) -> A
    a part of a total left out: max_of_team(A, B) -> A
    a part of a total left out: sum_of_block(A) -> A
    a part of a total left out: max_of_block(A) -> A
    a part of a total left out: sum_of_lanes(A) -> A[0]
    a part of a total left out: max_of_lanes(A) -> A[0]
    an edge off by one: T += 4 * A -> T += 3 * A
    a draw from another count: V(A, B, C, G, O, L) -> V(A, B, G, C, O, L); V(A, B, C, C, O, L)
    a draw from another count: V(A, B, C, G, O, L) -> V(A, B, C, G, O + 1, L); V(B, B, C, G, O, L)
    a total over other things: at[H] -> at[J]
    max for a sum: sum_of_block -> max_of_block
    max for a sum: max_of_block -> sum_of_block
    max for a sum: sum_of_team -> max_of_team
    max for a sum: max_of_team -> sum_of_team
"""
_IN_LOOPS_OF_THREADS = """
    an edge off by one: A < fours -> A < fours - 4
    an edge off by one: A < D -> A < D - 1
"""
_BETWEEN = """
    a total over other things: Q(A, B) -> A[0]
    a bound of a total off by one: Q(A, B, C) -> Q(A, B + 1, C); Q(A, B, C - 1)
    a bound of a total off by one: range(A) -> range(A - 1)
    a part of a total left out: Q(A, B, C) -> A[B]
"""
_IN_PROGRAM = """
    a total over other things: "row" -> "column"
    a total over other things: "column" -> "row"
    max for a sum: ("sum", A) -> ("max", A)
    max for a sum: ("max", A) -> ("sum", A)
"""


def _changes(place: str, parent: ast.AST, name: str, child: Any) -> Iterator[Change]:
    """All that can be made wrong of a node."""
    kind, *_ = place.split("_")
    if kind in ("scalars", "update", *_REDUCED):
        yield from made(_ARITHMETIC, child)
        if place == "scalars":
            yield from made(_ON_HOST, child)
            if not isinstance(parent, ast.Tuple):
                yield from made(_STEP_COUNT, child)
        else:
            yield from made(_RESULTS, child)
            yield from _named(parent, child)
    elif kind in ("chunk", "sweep"):
        yield from made(_OF_CHUNKS, child)
        yield from _of_chunk(parent, name, child)
    elif kind in ("combine", "prepare", "rows", "columns", "tensors", "models"):
        yield from made(_BETWEEN, child)
        yield from _combined(name, child)
    elif place in ("initial", "PROGRAM", "step"):
        yield from _starts(place, parent, child)
    if kind == "sweep":
        yield from made(_OF_SWEEPS, child)
    if kind in ("chunk", "sweep", "combine", "prepare", "rows", "columns", "tensors", "models"):
        yield from made(_IN_EVERY_LOOP, child)
        yield from _threads(parent, child)
    if place == "PROGRAM":
        yield from made(_IN_PROGRAM, child)
        yield from _order(parent, child)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name), list(arguments), [])


_KEPT = {"theta", "g", "branch", "zero"}
"""Names that are no coefficients, or of which 1 % is nothing."""


def _named(parent: ast.AST, node: Any) -> Iterator[Change]:
    """What may be wrong with a number that has a name."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            computing = isinstance(parent, ast.BinOp) or (isinstance(parent, ast.Call) and is_name(parent.func, "fma"))
            if computing and name not in _KEPT:
                yield "a coefficient off by 1 %", ast.BinOp(node, ast.Mult(), ast.Constant(1.01))
            # What is returned may be both: a value that stays as it is.
            if name.endswith("_next") and not isinstance(parent, ast.Return | ast.Tuple):
                yield "an old value for a new one", ast.Name(name.removesuffix("_next"))


def _of_chunk(parent: ast.AST, name: str, node: Any) -> Iterator[Change]:
    """What a chunk stores, chooses and adds up."""
    if not (isinstance(parent, ast.Assign) and is_name(parent.targets[0], "zero")):
        # Flags are compared with the zero: of scalars below 1 any other would do as well.
        yield from made(_SCALARS, node)
    stored = isinstance(parent, ast.Assign) and name == "targets"
    match node:
        case ast.Tuple(elts=elements) if stored:
            for k in (k for k, element in enumerate(elements) if isinstance(element, ast.Subscript)):
                yield "a store left out", ast.Tuple([*elements[:k], ast.Name("_"), *elements[k + 1 :]])
        case ast.Subscript(value=ast.Name(id=slot)) if isinstance(parent, ast.Assign) and stored:
            if slot == "theta" or ast.unparse(parent.value) == f"{slot}_next":
                yield "a store left out", ast.Name("_")
        case ast.If(test=test, body=body, orelse=orelse):
            yield "branches exchanged", ast.If(test, orelse, body)
        case ast.For(body=body) if any(ast.unparse(each).endswith(" = 0.0") for each in body):
            outside = [each for each in body if ast.unparse(each).endswith(" = 0.0")]
            inside = [each for each in body if each not in outside]
            loop = ast.For(node.target, node.iter, inside, [])
            yield "a total not started anew", ast.Module([*outside, loop], [])


# Totals --------------------------------------------------------------------------------------------------------------

_REDUCED = ("tensor", "row", "column", "model")
"""What functions are named for that compute what varies over less than elements."""
_TWINS = (
    ("rows", "columns"),
    ("ROWS", "COLUMNS"),
    ("n_rows_of", "n_cols_of"),
    ("rows_in_columns", "columns_in_rows"),
    ("rows_in_columns_largest", "columns_in_rows_largest"),
    ("sum_down", "sum_along"),
)
_ALIKE = {"chunks": "rows", "CHUNKS": "ROWS", "numel_of": "n_cols_of"} | dict(_TWINS) | {b: a for a, b in _TWINS}
"""What stands for something else of the same type."""
_SUMS = "sum_in_groups sum_of sum_over column_sum sum_along sum_down sum_of_block sum_over_group sum_over_tensors"
_MOST = {name: name.replace("sum", "max") for name in _SUMS.split()} | {
    "column_totals": "column_largest",
    "rows_in_columns": "rows_in_columns_largest",
    "columns_in_rows": "columns_in_rows_largest",
}
_OTHER = {**_MOST, **{most: total for total, most in _MOST.items()}}
"""The largest for the sum, and the sum for the largest."""


def _combined(name: str, node: Any) -> Iterator[Change]:
    """What is done between sweeps."""
    match node:
        case ast.Attribute(value=at, attr=attribute) if attribute in _ALIKE:
            yield "a total over other things", ast.Attribute(at, _ALIKE[attribute])
        case ast.Name(id=function) if function in _ALIKE:
            yield "a total over other things", ast.Name(_ALIKE[function])
    match node:
        case ast.Name(id=function, ctx=ast.Load()) if function in _OTHER:
            yield "max for a sum", ast.Name(_OTHER[function])
        case ast.Assign(targets=[target], value=value) if name == "body":
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            for k, each in enumerate(targets):
                if isinstance(each, ast.Subscript):
                    others = [*targets[:k], ast.Name("_"), *targets[k + 1 :]]
                    left = ast.Tuple(others) if len(others) > 1 else others[0]
                    yield "a reduced value not stored", ast.Assign([left], value)


def _order(parent: ast.AST, node: Any) -> Iterator[Change]:
    """A phase before the one that it needs."""
    match node:
        case ast.Tuple(elts=[_, *_] as phases) if isinstance(parent, ast.keyword) and parent.arg == "phases":
            arguments = [set(ast.literal_eval(phase.args[0])) for phase in phases if isinstance(phase, ast.Call)]
            for k in (k for k in range(len(phases) - 1) if arguments[k] & arguments[k + 1]):
                swapped = [*phases[:k], phases[k + 1], phases[k], *phases[k + 2 :]]
                yield "an old value for a new one", ast.Tuple(swapped)


def _threads(parent: ast.AST, node: Any) -> Iterator[Change]:
    """What the threads of a block do."""
    yield from made(_OF_THREADS, node)
    if isinstance(parent, ast.While):
        yield from made(_IN_LOOPS_OF_THREADS, node)
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="sync"))):
            yield "a barrier left out", ast.Pass()
        case ast.Name(id=name, ctx=ast.Load()) if name.endswith("_i1"):
            yield "a lane for another", ast.Name(name.removesuffix("1") + "2")
        case ast.Expr(value=ast.Call(func=ast.Name(id="store" | "store4" as name), args=[at, i, slot, *values])):
            yield "a store left out", ast.Pass()
            if len(values) > 1:
                yield "two slots swapped", ast.Expr(_call(name, at, i, slot, values[1], values[0], *values[2:]))


def _starts(place: str, parent: ast.AST, node: Any) -> Iterator[Change]:
    match node:
        case ast.Constant(value=float(number)):
            own = isinstance(parent, ast.Call) and ast.unparse(parent.func) == "Hyper"
            if place in ("initial", "step") or own:
                yield "a default or a start changed", ast.Constant(number * 1.01 + 1e-3)
        case ast.keyword(arg="low" | "high" as end, value=ast.Constant(value=float(number))):
            yield "a default or a start changed", ast.keyword(end, ast.Constant(number + 0.125))
