"""Lowering for CPUs: a sweep is a loop over the chunks of all tensors, on all threads; a chunk, one that is vectorized.

What varies over less than elements is computed between sweeps, on one thread, a loop for each reduced sweep: totals by
functions called ``combine``, and what is made of them by others called ``prepare``. All of that is float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from optgen.ir import Branch, Equation, Kernel, Reduce
from optgen.language.noise import Draw
from optgen.language.reductions import Extent
from optgen.language.spaces import Space
from optgen.language.symbols import Named
from optgen.language.text import text
from optgen.loops import rounds
from optgen.loops.nodes import (
    ONE,
    ZERO,
    Accumulate,
    Assign,
    Binary,
    Call,
    Cast,
    Constant,
    Each,
    Expression,
    Field,
    Function,
    Item,
    Loop,
    Name,
    Number,
    Run,
    Statement,
    View,
    assign,
    call,
    count_up,
    counted,
    item,
    plus,
    reads,
)
from optgen.loops.rounds import OF, Between, Launched, Lowered, Round, Step

_COUNT, _I, _LINE, _MATRIX = Name("count"), Name("i"), Name("line"), Name("matrix")


def lowered(kernel: Kernel) -> Lowered:
    """The functions of a module for CPUs, and what a step launches."""
    functions, phases = [rounds.scalars(kernel), *rounds.functions(kernel)], []
    for round_ in rounds.rounds(kernel):
        for between in round_.reduced:
            does = _between(kernel, between, round_)
            functions.append(does)
            arguments, made = rounds.arguments(kernel, between.steps), rounds.whole_totals(kernel, between.steps)
            phases.append(Launched(does.name, "reduced", arguments, made))
        if any(round_.whole) or rounds.is_simple(kernel):
            steps = rounds.each(round_.whole)
            arguments = rounds.arguments(kernel, steps)
            of_chunks = _OverChunks(kernel, round_, arguments)
            functions += [of_chunks.chunk(), of_chunks.sweep()]
            phases.append(Launched(of_chunks.name, "element", arguments, rounds.whole_totals(kernel, steps)))
    return Lowered(tuple(functions), tuple(phases))


# Sweeps over elements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OverChunks:
    """The functions of a sweep over elements, of all branches."""

    kernel: Kernel
    round_: Round
    arguments: tuple[str, ...]

    @property
    def is_simple(self) -> bool:
        return rounds.is_simple(self.kernel)

    @property
    def suffix(self) -> str:
        """A kernel of one sweep needs no number for it."""
        return "" if self.is_simple else f"_{self.round_.number}"

    @property
    def name(self) -> str:
        """What the sweep is called."""
        return f"sweep{self.suffix}"

    @property
    def common(self) -> tuple[str, ...]:
        """What all functions take: what comes from the host, and arrays of reduced values."""
        keys = ["keys"] if self.kernel.draws else []
        return ("storage", "scalars", *keys, *(array + OF for array in self.arguments))

    def sweep(self) -> Function:
        """The sweep over the chunks of all tensors."""
        spans = () if self.is_simple else ("spans",)
        row, task, tasks = Name("row"), Name("task"), Name("tasks")
        arguments: tuple[Expression, ...] = (
            *(item(array, row) for array in ("rows", *spans)),
            *map(Name, self.common),
        )
        visit = Assign((), Call(f"chunk{self.suffix}", arguments))
        of_task = counted("row", Item(tasks, (task,)), Item(tasks, (plus(task, ONE),)), visit)
        loop = count_up("task", Binary(call("len", tasks), "-", ONE), of_task, parallel=True)
        what = f"Sweep {self.round_.number} over every tensor, on all threads."
        if self.is_simple:
            what = "Update every tensor, on all threads: a task is a run of rows of about equal work."
        return Function("sweep", self.name, ("rows", "tasks", *spans, *self.common), what, (loop,))

    def chunk(self) -> Function:
        """The loop over one chunk."""
        blocks = [self.block(*pair) for pair in zip(self.kernel.branches, self.round_.whole, strict=True)]
        by_rows, used = self.round_.is_by_rows, reads(tuple(blocks))
        head = [node for node in self.head() if not by_rows or reads(node.targets) & used]
        named = rounds.scalars_used(self.kernel, self.round_.sweeps, rounds.GROUP, branch=rounds.differ(blocks))
        if "group" in reads((named, *blocks)):
            head.append(assign("group", item("row", Number(-3))))
        body = (*head, *named, *rounds.by_branch(blocks))
        what = f"Sweep {self.round_.number} over one chunk, which a row of the table describes."
        if self.is_simple:
            what = "Load, update and store each element of one chunk, which a row of the table describes."
        span = () if self.is_simple else ("span",)
        return Function("chunk", f"chunk{self.suffix}", ("row", *span, *self.common), what, body)

    def head(self) -> list[Assign]:
        """Names for the memory and for what a chunk spans."""
        if not self.round_.is_by_rows:
            return [assign("count", item("row", ZERO)), *self.views()]
        return [assign(name, item("span", Number(k))) for k, name in enumerate(rounds.SPAN, start=1)]

    def views(self, begin: Expression = ZERO) -> list[Assign]:
        """Names for the memory of a chunk, or of one row of it."""
        columns = rounds.columns(self.kernel, self.round_.sweeps).items()
        views = [View(slot.name, Name("row"), 1 + column, begin, _COUNT) for slot, column in columns]
        return [assign(view.slot, view) for view in views]

    def block(self, branch: Branch, step: Step | None) -> tuple[Statement, ...]:
        """The loop of one branch."""
        if step is None:
            return ()
        sweep = step.sweep
        totals = [reduce for reduce in sweep.reduces if reduce.target.space is Space.TENSOR]
        given = [x for x in sweep.given if x.space <= Space.TENSOR]
        return (
            *(assign(draw.name, self.drawn(draw), text(draw.node)) for draw in sweep.draws),
            *(assign(x.name, Cast(_held(x, branch), "element")) for x in given),
            *(node for total in totals for node in _started(total)),
            *(self.lines(step, branch) if self.round_.is_by_rows else self.elements(step)),
            *(_left(reduce, item("span", ZERO)) for reduce in totals),
        )

    def drawn(self, draw: Draw) -> Expression:
        """The draws of a chunk."""
        return call("draws", Name("row"), *rounds.keys(self.kernel, draw), Name("scalars"))

    def lines(self, step: Step, branch: Branch) -> Iterator[Statement]:
        """The loop over the rows of a chunk's matrices, around those over the elements of one."""
        sweep = step.sweep
        rows, columns = ([r for r in sweep.reduces if r.target.space is space] for space in (Space.ROW, Space.COL))
        by_row, by_column = ([x for x in sweep.given if x.space is space] for space in (Space.ROW, Space.COL))
        begin, column, line_parts = Name("begin"), Name("column"), Name("line_parts")
        inside: list[Statement] = [assign("begin", Binary(_LINE, "*", _COUNT)), *self.views(begin)]
        inside += [assign(f"{draw.name}_line", Run(Name(draw.name), begin, _COUNT)) for draw in sweep.draws]
        inside += [assign(x.name, Cast(_held(x, branch), "element")) for x in by_row]
        if by_column or columns:
            inside.append(assign("matrix", rounds.matrix_of(_LINE)))
        if by_column:
            inside.append(assign("column", plus(Name("first_column"), Binary(_MATRIX, "*", _COUNT))))
        inside += [assign(x.name, Run(Name(rounds.array_of(x, branch) + OF), column, _COUNT)) for x in by_column]
        if columns:
            yield assign("parts_count", rounds.parts_count())
            inside.append(assign("line_parts", rounds.parts_of_line()))
        for reduce in columns:
            array = Name(reduce.target.name + OF)
            yield Assign((Run(array, Name("parts_begin"), Name("parts_count")),), rounds.nothing(reduce))
            inside.append(assign(reduce.target.name, Run(array, line_parts, _COUNT)))
        inside += [*(node for total in rows for node in _started(total)), *self.elements(step)]
        inside += [_left(reduce, plus(Name("first_row"), _LINE)) for reduce in rows]
        yield count_up("line", Name("lines"), *inside)

    def elements(self, step: Step) -> Iterator[Statement]:
        """The loop over elements or, where they are added up, over runs of as many as there are lanes, and the rest."""
        if all(reduce.target.space is Space.COL for reduce in step.sweep.reduces):
            yield count_up("i", _COUNT, *self.visit(step))
            return
        start, whole, lanes = Name("start"), Name("whole"), Constant("LANES")
        yield assign("whole", Binary(Binary(_COUNT, "//", lanes), "*", lanes))
        run = counted("i", start, plus(start, lanes), *self.visit(step, start))
        yield Loop("start", ZERO, whole, lanes, (run,))
        yield counted("i", whole, _COUNT, *self.visit(step))

    def visit(self, step: Step, start: Expression | None = None) -> Iterator[Statement]:
        """What is done with one element, which is added up in the lane of its place after a start, or with the rest."""
        sweep = step.sweep
        stored = {slot.next: item(slot.name, _I) for slot in sweep.stores} | {x: item(x.name, _I) for x in sweep.keeps}
        added = {x for reduce in sweep.reduces for x in reduce.factors}
        overwritten = {x for x in sweep.loads if x in added and rounds.slot_of(x) in sweep.stores}
        # What is both stored and added up has a name: nothing that a sweep has stored is loaded by it again.
        made = rounds.results(sweep)
        both = {x: Name(f"{rounds.slot_of(x).name}_next") for x in made if x in added and x in stored}
        yield from (assign(f"{x.name}_before", self.element(x)) for x in sweep.loads if x in overwritten)
        if sweep.body:
            targets = [both.get(x) or stored.get(x) or Name(rounds.name(x)) for x in made]
            yield rounds.called(self.kernel, step, map(self.element, rounds.given(sweep)), targets)
        yield from (Assign((stored[x],), new) for x, new in both.items())
        names: dict[Named, Expression] = {x: self.element(x) for x in sweep.loads if x in added}
        names |= {x: Name(f"{x.name}_before") for x in overwritten}
        names |= both
        for reduce in sweep.reduces:
            factors = [names.get(x) or Name(rounds.name(x)) for x in reduce.factors]
            yield Accumulate(_taking(reduce, start), reduce.how, rounds.product(factors))

    def element(self, load: Named) -> Expression:
        """A load as an argument of the function of one element."""
        if isinstance(load, Draw):
            return item(f"{load.name}_line" if self.round_.is_by_rows else load.name, _I)
        if load.space is Space.ELEM:
            return item(rounds.slot_of(load).name, _I)
        name = rounds.name(load)
        return Cast(item(name, _I), "element") if load.space is Space.COL else Name(name)


def _held(load: Named, branch: Branch) -> Expression:
    """Where a value is found that varies over less than elements."""
    index: dict[Space, Expression] = {Space.MODEL: ZERO, Space.TENSOR: item("row", Number(-2))}
    at = index.get(load.space, plus(Name("first_row"), _LINE))
    return item(rounds.array_of(load, branch) + OF, at)


def _started(reduce: Reduce) -> tuple[Assign, Assign]:
    """A total, in every lane, and that of the elements that fill no lanes, before anything is added."""
    name, nothing = reduce.target.name, rounds.nothing(reduce)
    return assign(name, call("lanes", nothing), reduce.what), assign(f"{name}_rest", nothing)


def _taking(reduce: Reduce, start: Expression | None) -> Name | Item:
    """What an element is added to: its column's total, the lane of its place after a start, or that of the rest."""
    name = reduce.target.name
    if reduce.target.space is Space.COL:
        return item(name, _I)
    return Name(f"{name}_rest") if start is None else item(name, Binary(_I, "-", start))


def _left(reduce: Reduce, at: Expression) -> Assign:
    """A total of all lanes and the rest is left for the sweeps after this one."""
    lanes, rest = call(f"{reduce.how}_of_lanes", Name(reduce.target.name)), Name(f"{reduce.target.name}_rest")
    both = Binary(lanes, "+", rest) if reduce.how == "sum" else call("maximum", lanes, rest)
    return Assign((item(reduce.target.name + OF, at),), both)


# Between sweeps ------------------------------------------------------------------------------------------------------


def _between(kernel: Kernel, between: Between, round_: Round) -> Function:
    """The function that does reduced sweeps before a round.

    Tensors may be in different branches, but where something is done for the model.
    """
    loops = [
        [_ReducedLoop(kernel, branch, step) for step in steps]
        for branch, steps in zip(kernel.branches, between.steps, strict=True)
    ]
    body: tuple[Statement, ...]
    blocks = [tuple(node for each in of_branch for node in each.loop()) for of_branch in loops]
    if not rounds.differ(blocks):
        body = blocks[0]
    elif any(each.is_of_several_tensors for of_branch in loops for each in of_branch):
        body = (*rounds.scalars_used(kernel, (), ZERO, branch=True), *rounds.by_branch(blocks))
    else:
        insides = [tuple(node for each in of_branch for node in each.of_tensor()) for of_branch in loops]
        branch = rounds.scalars_used(kernel, (), rounds.GROUP, branch=True)
        body = (Each("j", Field(_AT, "tensors"), (_GROUP_OF_J, *branch, *rounds.by_branch(insides))),)
    arguments = (array + OF for array in rounds.arguments(kernel, between.steps))
    what = "totals of their parts" if between.combines else "what varies over less than elements"
    name = f"{'combine' if between.combines else 'prepare'}_{between.number}"
    return Function("between", name, ("at", "scalars", *arguments), f"{round_.where}: {what}.", body)


_AT, _J = Name("at"), Name("j")
_GROUP_OF_J = assign("group", Item(Field(_AT, "groups"), (_J,)))
_BOUNDS = {Space.ROW: "rows", Space.COL: "columns", Space.ELEM: "chunks"}
_SPREAD = {
    (Space.ELEM, Space.COL): ("column_totals", "column_largest"),
    (Space.ROW, Space.COL): ("rows_in_columns", "rows_in_columns_largest"),
    (Space.COL, Space.ROW): ("columns_in_rows", "columns_in_rows_largest"),
}


def _bounds(space: Space) -> tuple[Expression, Expression]:
    """Where the values of a tensor begin and end."""
    array = Field(_AT, _BOUNDS[space])
    return Item(array, (_J,)), Item(array, (plus(_J, ONE),))


@dataclass(frozen=True)
class _ReducedLoop:
    """The loop of one reduced sweep."""

    kernel: Kernel
    branch: Branch
    step: Step

    def loop(self) -> Iterator[Statement]:
        """The loop over the tensors, around what is done for one; nothing but that for the model."""
        sweep = self.step.sweep
        if sweep.space is Space.MODEL:
            yield from rounds.scalars_used(self.kernel, [sweep], ZERO)
            yield from self.position(ZERO)
            return
        for load, reduce in self.of_groups.items():
            yield assign(rounds.name(load), call(f"{reduce.how}_in_groups", rounds.source(reduce, self.branch), _AT))
        group = [_GROUP_OF_J] if rounds.scalars_used(self.kernel, [sweep], rounds.GROUP) else []
        yield Each("j", Field(_AT, "tensors"), (*group, *self.of_tensor()))

    def of_tensor(self) -> Iterator[Statement]:
        """What is done for one tensor."""
        sweep = self.step.sweep
        yield from rounds.scalars_used(self.kernel, [sweep], rounds.GROUP)
        if sweep.space is Space.TENSOR:
            yield from self.position(_J)
        elif self.parts:
            yield from map(self.spread, sweep.body)
        else:
            (first, end), begin = _bounds(sweep.space), Name("begin")
            yield assign("begin", first)
            yield count_up("i", Binary(end, "-", begin), *self.position(plus(begin, _I)))

    def spread(self, total: Equation) -> Assign:
        """The totals over each row or column of a tensor, made of their parts."""
        reduce, array = self.parts[total.value], rounds.array_of(total.target, self.branch) + OF
        function = _SPREAD[reduce.of, total.space][reduce.how == "max"]
        return Assign((), call(function, rounds.source(reduce, self.branch), _AT, _J, Name(array)))

    @property
    def is_of_several_tensors(self) -> bool:
        """Whether something is done but for single tensors."""
        return self.step.sweep.space is Space.MODEL or bool(self.of_groups)

    @property
    def of_groups(self) -> dict[Named, Reduce]:
        """The totals over parameter groups among the loads."""
        return {load: reduce for load, reduce in self.parts.items() if reduce.is_of_group}

    @cached_property
    def parts(self) -> dict[Named, Reduce]:
        """The totals among the loads of which there are parts."""
        return rounds.in_parts(self.branch, self.step.sweep)

    def position(self, index: Expression) -> list[Assign]:
        """One position: its results become those of its function."""

        def place(array: str) -> Item:
            return item(array + OF, index)

        return rounds.position(self.kernel, self.branch, self.step, place, partial(self.argument, index))

    def argument(self, index: Expression, load: Named) -> Expression:
        """A load as an argument of the function of one position."""
        reduce, space = self.parts.get(load), load.space
        above: dict[Space, Expression] = {Space.MODEL: ZERO, Space.TENSOR: _J}
        if isinstance(load, Extent):
            return item(load.name + OF, _J)
        if reduce is not None and space is Space.MODEL:
            return call(f"{reduce.how}_over", rounds.source(reduce, self.branch), Field(_AT, "tensors"))
        if reduce is not None and reduce.is_of_group:
            return item(rounds.name(load), _J)
        if reduce is not None and space is Space.TENSOR:
            return call(f"{reduce.how}_of", rounds.source(reduce, self.branch), *_bounds(reduce.of))
        return item(rounds.array_of(load, self.branch) + OF, above.get(space, index))
