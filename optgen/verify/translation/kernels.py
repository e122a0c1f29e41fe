"""Kernels: what a step of a generated module leaves in memory, for one element, one row, one column, one tensor.

One interpreter for CPUs and for GPUs. Where a kernel is, and what it moves, are expressions of a few symbols; a value
is reached if its place is that of the one that stands for all. Loops over elements must visit each of them once:
together they go from the first to the last, on a GPU all threads of a block side by side, as many elements a thread as
are moved at once. Each of those takes its turn to stand for all, the others being strange to it, and all must come to
the same. On a CPU they go run by run where something is added up, each element of a run in a lane of its own, and those
that are no whole run come last. What a chunk adds up is a `Partial` until all chunks of a tensor are combined, and is
then a reduction of the language, so that code and spec speak of totals in the same words.

In which order threads come, and which of them wait, is for `optgen.verify.simulation` to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
from sympy import Expr, S, expand

from optgen.loops.nodes import (
    ONE,
    Accumulate,
    Assign,
    Barrier,
    Binary,
    Call,
    Choose,
    Each,
    Expression,
    Function,
    Item,
    Loop,
    Name,
    Number,
    Run,
    Statement,
    Store,
    count_up,
    counted,
    plus,
)
from optgen.verify.reader import Rejected
from optgen.verify.translation.looking import SPREAD, Looking
from optgen.verify.translation.meaning import Whole
from optgen.verify.translation.symbolic import Names, Partial, SymbolicRun, require, said
from optgen.verify.translation.where import (
    BEGIN,
    CHUNK,
    COUNT,
    COUNTS,
    ELSEWHERE,
    END,
    END_OF_COLUMN,
    EXTENTS,
    FIRST,
    FIRST_COLUMN,
    FIRST_ROW,
    FOURS,
    HAS,
    INDEX,
    LANES,
    LINE,
    LINE_OF_COLUMN,
    LINES,
    MATRIX,
    PART,
    PARTS,
    PARTS_COUNT,
    RANK,
    START,
    TEAM,
    TENSOR,
    THREAD,
    THREADS,
    VISITED,
    WIDTH,
    Given,
    Layout,
    Spot,
    Standing,
    Total,
    same,
    totalled,
)


def launch(run: SymbolicRun, layout: Layout, scalars: Sequence[Expr]) -> None:
    """Run every kernel of a step in order."""
    for each in layout.launches:
        _Execution(run, layout, each, scalars).run_through()


_OF_ROW = {
    "element": FIRST + LINE * WIDTH + INDEX,
    "column": FIRST_COLUMN + MATRIX * WIDTH + INDEX,
    "part": PARTS + PART,
}
"""Where an element of a row stands, and its column."""
_OF_CHUNK = {"model": S.Zero, "tensor": TENSOR, "chunk": CHUNK}


@dataclass
class _Execution(Looking):
    """Runs one kernel."""

    before: tuple[dict[str, Any], dict[str, Total]] = field(default_factory=lambda: ({}, {}))
    stored: set[str] = field(default_factory=set)
    whole_totals: dict[str, tuple[str, str]] = field(default_factory=dict)
    after: tuple[dict[str, Any], dict[str, Total]] | None = None
    """What there was before all loops over elements, and after the first of them."""
    moved: dict[str, list[Any]] = field(default_factory=dict)
    """What totals take of elements that are moved together."""

    def run_through(self) -> None:
        """Run it for what stands for all."""
        function, names, visit = self.on_threads() if self.on_gpu else self.on_cpu()
        self.do(function.body, names, visit)
        self.through(COUNT, "the chunk")
        if both := self.combined & self.stored:
            raise Rejected(f"`{min(both)}` is stored and added up by one launch, so that nobody can come between")
        if self.made and (self.stored - self.whole_totals.keys() or len(self.made) > len(self.whole_totals)):
            raise Rejected(f"`{function.name}` does not only combine totals: what is made of them comes after it")
        said = self.launched.totals
        if wrong := [name for name, total in self.whole_totals.items() if said.get(name) != total]:
            how, of = self.whole_totals[wrong[0]]
            raise Rejected(f"`{wrong[0]}` is the {how} of one value for each {of}: PROGRAM says {said.get(wrong[0])}")

    def on_cpu(self) -> tuple[Function, Names, Standing]:
        """What is run on a CPU, what it is given, and where it stands: a chunk, or all that is between two sweeps."""
        if self.launched.over == "element":
            return *self.chunk(["storage", "scalars", *self.keys]), Standing("chunk", _OF_CHUNK)
        prepare = require(self.run.functions, self.launched.function, "between")
        names = self.bound(prepare, [Given("at"), Given("scalars"), *self.arrays()])
        return prepare, names, Standing("model", {"model": S.Zero}, own="model")

    def on_threads(self) -> tuple[Function, Names, Standing]:
        """The same on a GPU: a chunk, the model, a tensor, a row or a column."""
        over = self.launched.over
        kernel = require(self.run.functions, self.launched.function, "kernel")
        if over == "element":
            rounds = ["at", "reduced"] * self.layout.in_rounds
            given = ["chunks", "addresses", "storage", "scalars", *self.keys, *rounds]
            return kernel, self.bound(kernel, [*map(Given, given)]), Standing("chunk", _OF_CHUNK, alone=False)
        here = {"tensor": TENSOR, over: VISITED} if over in COUNTS else {over: TENSOR}
        here["model"] = S.Zero
        names = self.bound(kernel, [Given("at"), Given("scalars"), Given("reduced")])
        return kernel, names, Standing(over, here, own=over, alone=False)

    @property
    def keys(self) -> list[str]:
        """What a kernel that draws is given to count by."""
        return ["keys"] if self.layout.seeds else []

    def arrays(self) -> list[Spot]:
        """The arrays that it takes."""
        return [Spot(name, self.layout.kinds[name]) for name in self.launched.takes or ()]

    def bound(self, function: Function, values: Sequence[Any]) -> Names:
        """The parameters of a function."""
        if len(function.parameters) != len(values):
            raise Rejected(f"`{function.name}` does not take what its phase gives it")
        return dict(zip(function.parameters, values, strict=True))

    def chunk(self, common: Sequence[str]) -> tuple[Function, Names]:
        """What a sweep does to a chunk."""
        sweep = require(self.run.functions, self.launched.function, "sweep")
        row, call = _visited(sweep)
        given = [*map(Given, ["rows", "tasks", *["spans"] * self.layout.in_rounds, *common]), *self.arrays()]
        names = self.bound(sweep, given) | {row: Given("each row")}
        values = [self.value(each, names, Standing("model", {})) for each in call.arguments]
        function = require(self.run.functions, call.function, "chunk")
        span = [Given("span")] * self.layout.in_rounds
        if values != [Given("row"), *span, *map(Given, common), *self.arrays()]:
            raise Rejected(f"`{call.function}` does not take what `{sweep.name}` gives it")
        return function, self.bound(function, values)

    # Statements --------------------------------------------------------------------------------------------------

    def do(self, body: Sequence[Statement], names: Names, visit: Standing) -> None:
        """Run statements."""
        for node in body:
            match node:
                case Assign((Name(name) as target,), Call("lanes", (Number(float() as value),))) if not self.on_gpu:
                    names[name] = Spot(f"lanes of {name}", "lane")
                    self.start(target, value, names, visit)
                case Assign((target,), Number(float() as value)) if self.launched.over == "element":
                    if isinstance(target, Name):
                        names.pop(target.name, None)
                    self.start(target, value, names, visit)
                case Assign((Name() | Item() as total,), Call("fma", (a, b, before))) if before == total:
                    self.add(total, "sum", self.value(Binary(a, "*", b), names, visit), names, visit)
                case Assign((), Call(name, (*arguments, Name(into)))) if name in SPREAD and not self.on_gpu:
                    self.spread_out(name, arguments, names.get(into), names, visit)
                case Assign(targets, value):
                    self.assign(targets, value, names, visit)
                case Accumulate(total, how, value):
                    self.add(total, how, self.value(value, names, visit), names, visit)
                case Store(slot, pointer, index, values):
                    at = self.element_at(slot, pointer, index, len(values), names, visit)
                    for k, value in enumerate(values):
                        self.put(replace(at, index=at.index + k), self.value(value, names, visit), visit)
                case Loop():
                    self.loop(node, names, visit)
                case Each(index, array, inside) if self.value(array, names, visit) == Given("at.tensors"):
                    if visit.kind != "model":
                        raise Rejected("tensors are visited where it is not the model that is")
                    tensor = visit.inner("tensor", {"tensor": TENSOR}, own="tensor")
                    self.do(inside, {**names, index: TENSOR}, tensor)
                case Choose(cases):
                    self.choose(cases, names, visit)
                case Barrier() if self.on_gpu:
                    pass
                case _:
                    raise Rejected(f"{said(node)} is no statement of a generated kernel, or not there")

    def choose(
        self, cases: Sequence[tuple[Expression | None, tuple[Statement, ...]]], names: Names, visit: Standing
    ) -> None:
        """Run the case that holds; where that depends on the thread, for the one for which it does."""
        its_turn = HAS.get(visit.kind, sympy.Eq(visit.threads[0], 0))
        for number, (condition, body) in enumerate(cases, start=1):
            holds = S.true if condition is None else self.value(condition, names, visit)
            if self.on_gpu and holds == its_turn and visit.kind != "element" and number == len(cases):
                return self.do(body, dict(names), replace(visit, alone=True))
            if self.run.decided(holds):
                return self.do(body, names, visit)
        return None

    def start(self, target: Name | Item | Run, value: float, names: Names, visit: Standing) -> None:
        """A total that starts from nothing: of a chunk or a row, or of the columns of a chunk."""
        how = {0.0: "sum", -float("inf"): "max"}.get(value)
        if how is None:
            raise Rejected(f"a total starts from {value}")
        match target:
            case Name(name) if visit.kind in ("chunk", "line", "parts"):
                key = f"{names[name].name}[]" if name in names else name
                self.totals[key] = Total(how, "columns" if visit.kind == "parts" else visit.kind)
                return
            case Run(array, begin, count) if visit.kind == "chunk":
                at, first, length = (self.value(each, names, visit) for each in (array, begin, count))
                all_parts = isinstance(at, Spot) and same(first, PARTS) and same(length, PARTS_COUNT)
            case _:
                all_parts = False
        if not all_parts or at.kind != "part":
            raise Rejected("a total starts from nothing elsewhere than before all that it is of")
        self.totals[f"{at.name}[]"] = Total(how, "columns")

    def add(self, target: Name | Item, how: str, value: Any, names: Names, visit: Standing) -> None:
        """Add something to a total, or to where a row begins."""
        if isinstance(target, Name):
            key, own = target.name, True
        else:
            at = self.cell(target, names, visit)
            key, own = f"{at.name}[]", at.kind in ("part", "lane") and self.distance(at, visit) == 0
        total = self.totals.get(key)
        if visit.kind != "element" or total is None or total.how != how or total.joined:
            raise Rejected(f"`{key}` takes something for its {how}, which nothing has started")
        if isinstance(target, Name) and visit.lanes > 1:
            self.moved.setdefault(key, []).append(value)
        elif own and value != ELSEWHERE:
            self.totals[key] = total.plus(value)
        elif own != (value != ELSEWHERE) and not isinstance(target, Name):
            raise Rejected(f"`{key}` takes what is of another element")

    def assign(self, targets: Sequence[Name | Item | Run], value: Expression, names: Names, visit: Standing) -> None:
        """Names and cells become values."""
        for target, result in zip(targets, self.values(value, len(targets), names, visit), strict=True):
            match target:
                case Name(name) if not (isinstance(result, Spot) and result.kind == "lane"):
                    of_total = isinstance(result, Total)
                    (self.totals if of_total else names)[name] = result
                    (names if of_total else self.totals).pop(name, None)
                case Item():
                    self.put(self.cell(target, names, visit), result, visit)
                case _:
                    raise Rejected("a run of values becomes something else than nothing, or lanes have a second name")

    def spread_out(self, name: str, arguments: Sequence[Expression], into: Any, names: Names, visit: Standing) -> None:
        """Store the totals over each row or column of a tensor."""
        _, kind = SPREAD[name]
        given = [each for each in (self.value(x, names, visit) for x in arguments) if each != Given("at")]
        made = self.spread(name, given, visit)
        if not isinstance(into, Spot) or into.index != 0:
            raise Rejected(f"`{name}` does not store what it makes in an array that is taken")
        its = BEGIN[kind] + INDEX
        self.put(replace(into, index=its), made, visit.inner(kind, {kind: its}, own=kind))

    def put(self, at: Spot, value: Any, visit: Standing) -> None:
        """Store a value, or a total of all that there is in some whole."""
        distance = self.distance(at, visit)
        if distance:
            return  # another element's turn
        if isinstance(value, Total):
            whole = {"line": "row", "chunk": "chunk", "columns": "part"}[value.whole]
            has_all = (value.joined or (whole == "part" and self.on_gpu)) and value.loops == "all"
            if value.of is None or at.kind != whole or not has_all or not visit.alone:
                raise Rejected(f"`{at.name}` is no place for a total of each {value.whole}, or nothing is added to it")
            made = totalled(value.how, "row", value.of) if whole == "row" else Partial(value.how, value.of)
            self.run.memory[at.name] = made
            if whole == "row":
                self.whole_totals[at.name] = value.how, "element"
            self.finished(visit)
        elif at.kind == visit.own and at.name not in EXTENTS and visit.alone and isinstance(value, Expr):
            self.run.memory[at.name] = value
            self.stored.add(at.name)
            if value in self.made:
                self.whole_totals[at.name] = self.made[value]
            elif at.name in self.layout.totals:
                raise Rejected(f"`{at.name}` is no total, as PROGRAM says it is")
        else:
            what = "with a value of another element" if value == ELSEWHERE else "where it must not be, or by no number"
            raise Rejected(f"`{at.name}` is stored {what}")

    # Loops -------------------------------------------------------------------------------------------------------

    def loop(self, loop: Loop, names: Names, visit: Standing) -> None:
        """Run a loop for one of all that it visits."""
        start, stop, step = (self.value(each, names, visit) for each in (loop.start, loop.stop, loop.step))
        plain_loop = (start, step) == (S.Zero, S.One) and not loop.parallel
        if visit.kind == "tensor" and plain_loop and not self.on_gpu:
            for kind in COUNTS:
                if same(stop, END[kind] - BEGIN[kind]):
                    of_kind = visit.inner(kind, {kind: BEGIN[kind] + INDEX}, own=kind)
                    return self.do(loop.body, {**names, loop.index: INDEX}, of_kind)
        elif visit.kind == "chunk" and stop == LINES and self.layout.by_rows and not loop.parallel:
            if (start, step) == (tuple(Whole(x, TEAM) for x in visit.threads) if self.on_gpu else (S.Zero, S.One)):
                return self.line(loop, names, visit)
        elif visit.kind == "chunk" and self.on_gpu and (start, step) == (THREAD, THREADS) and same(stop, PARTS_COUNT):
            parts = visit.inner("parts", {"part": PARTS + PART}, alone=True)
            return self.do(loop.body, {**names, loop.index: PART}, parts)
        elif (visit.kind, start, stop, step) == ("parts", LINE_OF_COLUMN, END_OF_COLUMN, S.One):
            element = visit.inner("element", {"row": FIRST_ROW + LINE, **_OF_ROW})
            return self.do(loop.body, {**names, loop.index: LINE}, element)
        elif visit.kind in ("chunk", "line") and step == LANES and not loop.parallel:
            return self.runs(loop, names, visit)
        elif visit.kind in ("chunk", "line", "run") and not loop.parallel:
            return self.elements(loop, (start, stop, step), names, visit)
        raise Rejected(f"the loop over `{loop.index}` does not visit each of something once")

    def line(self, loop: Loop, names: Names, visit: Standing) -> None:
        """The loop over the rows of matrices, for one of them."""
        self.through(S.Zero, "the chunk")
        inside = {**names, loop.index: LINE}
        shared = {"threads": (RANK, TEAM)} if self.on_gpu else {}
        self.do(loop.body, inside, visit.inner("line", {"row": FIRST_ROW + LINE}, count=WIDTH, **shared))
        self.through(WIDTH, "a row")
        self.covered = S.Zero
        for key, total in list(self.totals.items()):
            if key.endswith("[]") and total.whole == "columns" and total.of is not None:  # not one of a thread's own
                self.run.memory[key.removesuffix("[]")] = Partial(total.how, total.of)
            if total.whole != "chunk":
                del self.totals[key]

    def runs(self, loop: Loop, names: Names, visit: Standing) -> None:
        """The loop over runs of as many elements as there are lanes, for one of them; the rest is to be visited."""
        bounds = [self.value(each, names, visit) for each in (loop.start, loop.stop)]
        whole = Whole(visit.count, LANES) * LANES
        if bounds != [S.Zero, whole] or self.covered != 0:
            raise Rejected(f"the loop over `{loop.index}` does not visit each whole run once")
        self.covered = START
        run = visit.inner("run", {}, count=START + LANES)
        self.do(loop.body, {**names, loop.index: START}, run)
        if self.covered != run.count:
            raise Rejected("not all elements of a run are visited")
        self.covered = whole
        self.run.memory, self.totals = self.before

    def elements(self, loop: Loop, bounds: tuple[Expr, Expr, Expr], names: Names, visit: Standing) -> None:
        """A loop over elements, for each of those that a thread moves at once."""
        start, stop, step = bounds
        thread, threads = visit.threads
        lanes, end = step / threads if self.on_gpu else step, visit.count
        aligned = stop == FOURS and end in self.aligned and lanes == 4  # noqa: PLR2004 - as many as four
        first = expand(start - lanes * thread) if self.on_gpu else start
        if first != self.covered or not (aligned or (stop == end and lanes == 1)) or stop == first:
            raise Rejected(f"the loop over `{loop.index}` does not visit each element once")
        if self.covered in (S.Zero, START):
            self.before, self.after = (self.run.memory, self.totals), None
        found = None
        here = dict(_OF_ROW) if "row" in visit.here else {"element": FIRST + INDEX}
        if start != 0 and not self.on_gpu:
            here["lane"] = INDEX - start
        for lane in range(int(lanes)):
            its = {kind: place + lane for kind, place in here.items()}
            self.run.memory, self.totals = map(dict, self.before)
            element = visit.inner("element", its, own="element", lane=lane, lanes=int(lanes), alone=True)
            self.moved = {}
            self.do(loop.body, {**names, loop.index: INDEX}, element)
            self.gather(element.lanes)
            found = found or (self.run.memory, self.totals)
            if found != (self.run.memory, self.totals) or (self.after and self.after[0] != self.run.memory):
                raise Rejected("elements that are moved together, or alone, do not become the same")
        if self.after:
            self.totals = self.of_both(self.after[1], self.totals)
        self.after = self.run.memory, self.totals
        self.covered = stop
        if stop != end:  # others are still to be visited
            self.run.memory, self.totals = self.before

    def of_both(self, first: dict[str, Total], others: dict[str, Total]) -> dict[str, Total]:
        """What totals are after loops over some elements and over the others; each may be of one of both only."""
        found = {}
        for key, before in self.before[1].items():
            a, b = first[key], others[key]
            if before not in (a, b) and a != b:
                raise Rejected(f"`{key}` takes different values of elements that are moved together, and alone")
            found[key] = a if a == b else replace(a, loops="first") if b == before else replace(b, loops="rest")
        return found

    def gather(self, lanes: int) -> None:
        """Add to totals what they take of this element, of all that are moved together: it may be the same of each."""
        for key, values in self.moved.items():
            own = [value for value in values if value != ELSEWHERE]
            if len(own) == lanes and all(value == own[0] for value in own):
                own = own[:1]
            for value in own:
                self.totals[key] = self.totals[key].plus(value)


def _visited(sweep: Function) -> tuple[str, Call]:
    """The call by which a sweep visits every chunk once, and what it calls the number of a chunk."""
    _, tasks = [*map(Name, sweep.parameters), *[Name("")] * 2][:2]
    match sweep.body:
        case (Loop(task, body=(Loop(row, body=(Assign((), Call() as call) as visit,)),)) as loop,):
            first, last = (Item(tasks, (at,)) for at in (Name(task), plus(Name(task), ONE)))
            number = Binary(Call("len", (tasks,)), "-", ONE)
            if loop == count_up(task, number, counted(row, first, last, visit), parallel=True):
                return row, call
    raise Rejected(f"`{sweep.name}` does not visit every chunk once")
