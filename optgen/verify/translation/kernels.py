"""Kernels: what a step of a generated module leaves in memory, for one element, one row, one column, one tensor.

What a chunk adds up is held as a `Partial` until all chunks of a tensor are combined, and is then a reduction of the
language, so that code and spec speak of totals in the same words. How a chunk finds its place, where a total starts,
where it is left and over what it is combined must be exactly as it is in all generated modules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import sympy
from sympy import Expr, S

from optgen.language import reductions
from optgen.language.reductions import n_cols, n_rows, numel
from optgen.language.sums import plain
from optgen.verify.translation.reading import EXTENTS, Layout, Partial, Rejected, Scope, StepKernel, SymbolicRun, scalar


def totalled(how: str, to: str, of: Expr) -> Expr:
    """A total of elements as the language has it."""
    kinds = {
        "row": (reductions.RowSum, reductions.RowMax),
        "column": (reductions.ColSum, reductions.ColMax),
        "tensor": (reductions.TensorSum, reductions.TensorMax),
        "model": (reductions.ModelSum, reductions.ModelMax),
    }
    return kinds[to][how == "max"](of)


def launch(run: SymbolicRun, layout: Layout, scalars: Sequence[Expr]) -> None:
    """Run every kernel of a step in order."""
    for each in layout.launches:
        if each.is_sweep:
            _Chunk(run, layout, each, scalars).run_through()
        else:
            _Prepare(run, layout, each, scalars).run_through()


# Sweeps over elements ------------------------------------------------------------------------------------------------

_PLACE = {
    name: f"place[{k}]"
    for k, name in enumerate(
        ("lines", "count", "first_row", "first_column", "matrix_rows", "line_before", "parts_begin"), start=1
    )
} | {"parts_count": "((line_before + lines - 1) // matrix_rows - line_before // matrix_rows + 1) * count"}
"""What a chunk that goes by rows of matrices may know of where it is."""
_LINE = {
    "begin": "line * count",
    "matrix": "(line_before + line) // matrix_rows",
    "column": "first_column + matrix * count",
    "line_parts": "parts_begin + (matrix - line_before // matrix_rows) * count",
}
"""What it may compute for each row."""
_EMPTY = {"0.0": "sum", "-inf": "max"}
"""What totals start from."""
_IN_LANES = {f"lanes({nothing})": how for nothing, how in _EMPTY.items()}
"""What those start from that a chunk adds up in lanes."""


class _Whole(ast.NodeTransformer):
    """What is said of a run of as many elements as are lanes, as if it were said of all that they are a run of."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Where a run starts, as where all of it does."""
        self.generic_visit(node)
        return node.left if ast.unparse(node.right) == "start" and isinstance(node.op, ast.Add) else node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """How many elements a run has, as how many there are."""
        return ast.Name("count") if node.id == "many" else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A view of a run, as one of all of it."""
        self.generic_visit(node)
        given = [ast.Constant(0) if ast.unparse(each) == "start" else each for each in node.args]
        return ast.Call(node.func, given, node.keywords)

    def visit_Slice(self, node: ast.Slice) -> ast.Slice:
        """A run of what is drawn for a chunk, as all of it."""
        bounds = {"start": "0", "start + many": "count"}
        lower, upper = (each and bounds.get(ast.unparse(each)) for each in (node.lower, node.upper))
        if lower and upper:
            return ast.Slice(ast.Constant(0), ast.Name("count"))
        self.generic_visit(node)
        return node


@dataclass
class _Total:
    """What is being added up in a chunk."""

    how: str
    whole: str
    of: Expr | None = None

    def add(self, value: Expr) -> None:
        if self.of is None:
            self.of = value
        else:
            self.of = plain(self.of + value) if self.how == "sum" else sympy.Max(self.of, value)


@dataclass
class _Chunk:
    """Reads a loop over one chunk, for one element: all of it at once, or one row of its matrices after another."""

    run: SymbolicRun
    layout: Layout
    launch: StepKernel
    scalars: Sequence[Expr]
    known: set[str] = field(default_factory=set)
    """The names for places that have been given."""
    totals: dict[str, _Total] = field(default_factory=dict)
    by_rows: bool = False

    def run_through(self) -> None:
        scope = Scope(position="the element i of a slot")
        for name in self.launch.takes:
            index = {"model": "0", "tensor": "row[-2]"}.get(self.layout.arrays[name])
            if index is not None:
                scope.cells[f"{name}_of[{index}]"] = name
        body = self.run.functions[self.launch.function].body[1:]
        for statement in _without_lanes(self.run.chosen(body, scope)):
            self.outside(statement, scope)

    def outside(self, statement: ast.stmt, scope: Scope) -> None:
        """A statement of a chunk, before, around or after its loop."""
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="draws"))) if (
                "group" in self.known
            ):
                self.run.memory[name] = self.run.draws[name]
                scope.cells.update({} if self.by_rows else {f"{name}[i]": name})
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.named(name, ast.unparse(value), statement, scope)
            case ast.Assign(targets=[ast.Subscript() as target], value=value):
                self.stored(ast.unparse(target), ast.unparse(value))
            case ast.For(orelse=[]) if _loop(statement) == "for line in range(lines)" and self.by_rows:
                self.line(statement, scope.inner())
            case ast.For(orelse=[]) if not self.by_rows:
                self.element(statement, scope.inner())
            case _:
                raise Rejected(f"`{ast.unparse(statement)}` is no statement of a chunk")

    def named(self, name: str, source: str, statement: ast.Assign, scope: Scope) -> None:
        """A name that is given to something before the loop."""
        if name == "count" and source == "row[0]" and not self.known:
            self.known.add(name)
        elif _PLACE.get(name) == source:
            self.by_rows = True
            self.know(name, statement)
        elif not self.by_rows and (slot := self.viewed(source)):
            self.view(name, slot, statement, scope)
        elif (name, source) == ("group", "row[-3]"):
            self.known.add(name)
        elif source.startswith(("scalars[", "int(scalars[")) and "group" in self.known:
            scope.names[name] = scalar(source, self.scalars, "group")
        elif source in _IN_LANES:
            self.totals[name] = _Total(_IN_LANES[source], "chunk")
        elif source == f"{name.removesuffix('_line')}[0:count]" and name.removesuffix("_line") in self.run.draws:
            scope.cells[f"{name}[i]"] = name.removesuffix("_line")
        elif source.startswith("narrow("):
            scope.names[name] = self.run.value(statement.value, scope)
        else:
            raise Rejected(f"`{ast.unparse(statement)}` does not prepare a chunk as generated code does")

    def know(self, name: str, statement: ast.Assign) -> None:
        """Note a name for a place, which must be made of places that are known."""
        used = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
        if missing := used - self.known - {"place", "line"}:
            raise Rejected(f"`{ast.unparse(statement)}` comes before `{min(missing)}` is known")
        self.known.add(name)

    def viewed(self, source: str, begin: str = "0") -> str | None:
        """The slot whose memory a text stands for."""
        columns = self.layout.columns.items()
        return {f"view(row, {k}, {begin}, count, storage.{slot})": slot for slot, k in columns}.get(source)

    def view(self, name: str, slot: str, statement: ast.Assign, scope: Scope) -> None:
        if not {"count", *(("begin",) if self.by_rows else ())} <= self.known:
            raise Rejected(f"`{ast.unparse(statement)}` comes before it is known where the chunk is")
        scope.cells[f"{name}[i]"] = slot
        scope.own.add(f"{name}[i]")

    def stored(self, target: str, source: str) -> None:
        """What is stored of totals outside of rows: that of the chunk, or nothing yet of each column."""
        if (reset := re.fullmatch(r"(\w+)_of\[parts_begin:parts_begin \+ parts_count\]", target)) and source in _EMPTY:
            self.check(reset[1], "part", target)
            if not {"parts_begin", "parts_count"} <= self.known:
                raise Rejected(f"`{target}` is emptied before it is known where it is")
            self.totals[reset[1]] = _Total(_EMPTY[source], "column")
        elif (whole := re.fullmatch(r"(\w+)_of\[place\[0\]\]", target)) and whole[1] in self.totals:
            name = whole[1]
            self.check(name, "chunk", target)
            total = self.finished(name, "chunk", source)
            self.run.memory[name] = Partial(total.how, self.added(name, total))
        else:
            raise Rejected(f"`{target} = {source}` is not where or what a chunk leaves of what it adds up")

    def check(self, name: str, kind: str, target: str) -> None:
        """Complain unless the kernel is given an array of a kind."""
        if name not in self.launch.takes or self.layout.arrays[name] != kind:
            raise Rejected(f"`{target}`: `{name}` is no array of one value a {kind} that the sweep is given")

    def finished(self, name: str, whole: str, source: str) -> _Total:
        """A total of all that there is in some whole, of all lanes."""
        total = self.totals.pop(name, None)
        if total is None or total.whole != whole or source != f"{total.how}_of_lanes({name})":
            raise Rejected(f"`{name}` does not start from nothing at each {whole} for which it is stored")
        return total

    def added(self, name: str, total: _Total) -> Expr:
        if total.of is None:
            raise Rejected(f"nothing is added to `{name}`")
        return total.of

    def line(self, loop: ast.For, scope: Scope) -> None:
        """The loop over the rows of matrices, for one of them."""
        if not {"row", "column", "part"} & set(self.layout.arrays.values()):
            raise Rejected("a chunk goes by rows, and chunks are not cut so")
        outside, self.known = set(self.known), {*self.known, "line"}
        rows = [name for name in self.launch.takes if self.layout.arrays[name] == "row"]
        if "first_row" in self.known:
            scope.cells.update({f"{name}_of[first_row + line]": name for name in rows})
        for statement in _without_lanes(loop.body):
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.named_in_line(name, ast.unparse(value), statement, scope)
                case ast.Assign(targets=[ast.Subscript() as target], value=ast.Call(args=[ast.Name(id=name)]) as value):
                    if ast.unparse(target) != f"{name}_of[first_row + line]" or "first_row" not in self.known:
                        raise Rejected(f"`{ast.unparse(statement)}` is not where a row leaves what it adds up")
                    self.check(name, "row", ast.unparse(target))
                    total = self.finished(name, "row", ast.unparse(value))
                    self.run.memory[name] = totalled(total.how, "row", self.added(name, total))
                case ast.For(orelse=[]):
                    self.element(statement, scope.inner())
                case _:
                    raise Rejected(f"`{ast.unparse(statement)}` is no statement of a row of a chunk")
        self.known = outside
        for name, total in list(self.totals.items()):
            if total.whole == "column" and total.of is not None:
                self.run.memory[name] = Partial(total.how, total.of)
            if total.whole != "chunk":
                del self.totals[name]

    def named_in_line(self, name: str, source: str, statement: ast.Assign, scope: Scope) -> None:
        """A name that is given to something for each row."""
        columns = re.fullmatch(r"(\w+)_of\[column:column \+ count\]", source)
        if _LINE.get(name) == source:
            self.know(name, statement)
        elif slot := self.viewed(source, "begin"):
            self.view(name, slot, statement, scope)
        elif (
            source == f"{name.removesuffix('_line')}[begin:begin + count]"
            and name.removesuffix("_line") in self.run.draws
        ):
            scope.cells[f"{name}[i]"] = name.removesuffix("_line")
        elif columns and "column" in self.known:
            self.check(columns[1], "column", source)
            scope.cells[f"{name}[i]"] = columns[1]
        elif source == f"{name}_of[line_parts:line_parts + count]" and "line_parts" in self.known:
            if name not in self.totals or self.totals[name].whole != "column":
                raise Rejected(f"`{name}` is not emptied before the rows of a chunk are added to it")
            scope.names[f"{name} by columns"] = S.Zero
        elif source in _IN_LANES:
            self.totals[name] = _Total(_IN_LANES[source], "row")
        elif source.startswith("narrow("):
            scope.names[name] = self.run.value(statement.value, scope)
        else:
            raise Rejected(f"`{ast.unparse(statement)}` does not prepare a row of a chunk as generated code does")

    def element(self, loop: ast.For, scope: Scope) -> None:
        """The body of a loop, for one element."""
        if _loop(loop) != "for i in range(count)" or "count" not in self.known:
            raise Rejected(f"`for … in {ast.unparse(loop.iter)}` does not visit each element once")
        for statement in loop.body:
            match statement:
                case ast.AugAssign(target=target, op=ast.Add(), value=value):
                    self.add(ast.unparse(target), "sum", value, scope)
                case ast.Assign(
                    targets=[target], value=ast.Call(func=ast.Name(id="maximum"), args=[before, value], keywords=[])
                ) if ast.unparse(before) == ast.unparse(target):
                    self.add(ast.unparse(target), "max", value, scope)
                case ast.Assign(
                    targets=[target], value=ast.Call(func=ast.Name(id="add_product"), args=[a, b, before])
                ) if ast.unparse(before) == ast.unparse(target):
                    self.add(ast.unparse(target), "sum", ast.BinOp(a, ast.Mult(), b), scope)
                case ast.Assign():
                    self.run.stores(statement, scope)
                case _:
                    raise Rejected(f"`{ast.unparse(statement)}` is no statement of a loop over a chunk")

    def add(self, target: str, how: str, value: ast.expr, scope: Scope) -> None:
        """Add something to a total."""
        name = target.removesuffix("[i]")
        total = self.totals.get(name)
        by_columns = total is not None and total.whole == "column" and f"{name} by columns" in scope.names
        in_lanes = total is not None and total.whole != "column"
        if total is None or total.how != how or not (by_columns or in_lanes) or not target.endswith("[i]"):
            raise Rejected(f"`{target}` takes `{ast.unparse(value)}` for its {how}, which nothing has started")
        total.add(self.run.value(value, scope))


def _is_in_lanes(loop: ast.For) -> bool:
    """Whether a loop is over runs of as many elements as are lanes, of all that there are."""
    return not loop.orelse and [_loop(loop), ast.unparse(loop.body[0])] == [
        "for start in range(0, count, LANES)",
        "many = min(LANES, count - start)",
    ]


def _without_lanes(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, with what is done to each run of as many elements as are lanes as if it were done to all at once."""
    for statement in statements:
        if isinstance(statement, ast.For) and _is_in_lanes(statement):
            yield from (ast.fix_missing_locations(_Whole().visit(deepcopy(each))) for each in statement.body[1:])
        else:
            yield statement


def _loop(loop: ast.For) -> str:
    return f"for {ast.unparse(loop.target)} in {ast.unparse(loop.iter)}"


# Between sweeps ------------------------------------------------------------------------------------------------------

_BOUNDS = {"chunk": "chunks", "row": "rows", "column": "columns"}
"""Where the values of a tensor are in arrays of each kind."""
_COUNTS = {"row": n_cols, "column": n_rows}
"""For how many elements a value of each kind stands."""
_SPREAD = {
    "column_totals": ("part", "column", "sum"),
    "column_largest": ("part", "column", "max"),
    "rows_in_columns": ("row", "column", "sum"),
    "rows_in_columns_largest": ("row", "column", "max"),
    "columns_in_rows": ("column", "row", "sum"),
    "columns_in_rows_largest": ("column", "row", "max"),
}
"""What functions of the runtime combine, for each of what, and how."""
TOTALS = frozenset({"sum_of", "max_of", "sum_over", "max_over", *_SPREAD})
"""The functions of the runtime that make totals."""


@dataclass
class _Prepare:
    """Reads what is done between two sweeps, for one position of each space."""

    run: SymbolicRun
    layout: Layout
    launch: StepKernel
    scalars: Sequence[Expr]

    def run_through(self) -> None:
        scope = self.visiting(Scope(), "model", "0")
        for statement in self.run.chosen(self.run.functions[self.launch.function].body[1:], scope):
            match statement:
                case ast.Assign(
                    targets=[ast.Name(id=name)], value=ast.Subscript() | ast.Call(func=ast.Name(id="int")) as value
                ):
                    scope.names[name] = scalar(ast.unparse(value), self.scalars, "0")
                case ast.For(orelse=[]) if _loop(statement) == "for j in at.tensors":
                    self.tensor(statement.body, self.visiting(scope, "tensor", "j"))
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=called)) as value) if (
                    called in TOTALS
                ):
                    scope.names[name] = self.of_model(value)
                case ast.Assign():
                    self.run.stores(statement, scope)
                case _:
                    raise Rejected(f"`{ast.unparse(statement)}` is no statement between sweeps")

    def visiting(self, scope: Scope, kind: str, index: str) -> Scope:
        """The scope of a loop over all of a kind: what is around it, and one cell of each array of the kind."""
        inner = replace(scope.inner(), own=set(), position=f"the {kind} that is visited")
        for name in self.launch.takes:
            if self.layout.arrays[name] == kind:
                inner.cells[f"{name}_of[{index}]"] = name
                if name not in EXTENTS:
                    inner.own.add(f"{name}_of[{index}]")
        return inner

    def tensor(self, statements: Sequence[ast.stmt], scope: Scope) -> None:
        """What is done for one tensor."""
        spread: dict[str, tuple[str, Expr]] = {}
        first = group = ""
        for statement in statements:
            match statement:
                case ast.Assign(targets=[ast.Name(id="group")], value=value):
                    group = ast.unparse(value)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript(ast.Name(id="scalars")) as value) if (
                    group == "at.groups[j]"
                ):
                    scope.names[name] = scalar(ast.unparse(value), self.scalars, "group")
                case ast.Assign(targets=[ast.Name(id="begin")], value=value):
                    first = ast.unparse(value)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=called)) as value) if (
                    called in _SPREAD
                ):
                    spread[name] = self.spread(value)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=called)) as value) if (
                    called in TOTALS
                ):
                    scope.names[name] = self.of_tensor(value)
                case ast.For(orelse=[]):
                    kind = self.kind(statement, first)
                    inner = self.visiting(scope, kind, "begin + i")
                    inner.names.update({f"{name}[i]": value for name, (to, value) in spread.items() if to == kind})
                    for each in statement.body:
                        if not isinstance(each, ast.Assign):
                            raise Rejected(f"`{ast.unparse(each)}` is no statement of a loop over each {kind}")
                        self.run.stores(each, inner)
                case ast.Assign():
                    self.run.stores(statement, scope)
                case _:
                    raise Rejected(f"`{ast.unparse(statement)}` is no statement of a loop over tensors")

    def kind(self, loop: ast.For, first: str) -> str:
        """Over what of a tensor a loop is."""
        for kind in ("row", "column"):
            bounds = f"at.{_BOUNDS[kind]}"
            if first == f"{bounds}[j]" and _loop(loop) == f"for i in range({bounds}[j + 1] - begin)":
                return kind
        raise Rejected(
            f"`{_loop(loop)}` with begin = {first or '?'} does not visit each row or column of a tensor once"
        )

    def given(self, call: ast.Call, name: str) -> str:
        """The kind of an array that a function of the runtime is given."""
        if name not in self.launch.takes or not ast.unparse(call.args[0]) == f"{name}_of" or call.keywords:
            raise Rejected(f"`{ast.unparse(call)}` is not of an array that is taken")
        return self.layout.arrays[name]

    def of_model(self, call: ast.Call) -> Expr:
        """The total over all tensors of what there is one value a tensor of."""
        source, name = ast.unparse(call), _array(call)
        how = {"sum_over": "sum", "max_over": "max"}.get(ast.unparse(call.func))
        kind = self.given(call, name)
        if how is None or kind != "tensor" or source != f"{ast.unparse(call.func)}({name}_of, at.tensors)":
            raise Rejected(f"`{source}` is not a total of one value a tensor")
        value = self.run.held(name)
        return totalled(how, "model", plain(value / numel) if how == "sum" else value)

    def of_tensor(self, call: ast.Call) -> Expr:
        """The total over a tensor of what its chunks, rows or columns have."""
        source, name = ast.unparse(call), _array(call)
        kind, how = self.given(call, name), {"sum_of": "sum", "max_of": "max"}.get(ast.unparse(call.func))
        bounds = f"at.{_BOUNDS.get(kind)}"
        if how is None or source != f"{ast.unparse(call.func)}({name}_of, {bounds}[j], {bounds}[j + 1])":
            raise Rejected(f"`{source}` is not the total over one tensor of one value a {kind}")
        if kind == "chunk":
            return totalled(how, "tensor", self.partial(name, how))
        value = self.run.held(name)
        return totalled(how, "tensor", plain(value / _COUNTS[kind]) if how == "sum" else value)

    def spread(self, call: ast.Call) -> tuple[str, Expr]:
        """Totals over each column or row of a tensor."""
        source, name = ast.unparse(call), _array(call)
        of, to, how = _SPREAD[ast.unparse(call.func)]
        if self.given(call, name) != of or source != f"{ast.unparse(call.func)}({name}_of, at, j)":
            raise Rejected(f"`{source}` is not the totals over each {to} of one value a {of}")
        value = self.partial(name, how) if of == "part" else self.run.held(name)
        return to, totalled(how, to, value)

    def partial(self, name: str, how: str) -> Expr:
        """What single chunks have added up, or found largest."""
        found = self.run.memory.get(name)
        if not isinstance(found, Partial) or found.how != how:
            raise Rejected(f"`{name}` is not what the chunks of this step have left for a {how}")
        return found.of


def _array(call: ast.Call) -> str:
    """The array that a call has for its first argument."""
    return ast.unparse(call.args[0]).removesuffix("_of") if call.args else ""
