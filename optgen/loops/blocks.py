"""Lowering for GPUs: a sweep is a launch for the whole model, with a block of threads for each chunk of a tensor.

Around the functions of elements is a loop that moves four of them at a time, 128 bits in float32, and one for what is
left, or for tensors whose memory begins in the middle of four. Where rows matter a block is divided into teams, each of
which visits a row: the shorter rows are, the more of them at once. Totals of columns are added up before that, by a
thread a column. A sweep over what is reduced is a launch too: a block a tensor, a thread a row or a column, or several
threads where there is no other work for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap

from optgen.ir import Branch, Kernel, Reduce, Sweep
from optgen.language.noise import Draw
from optgen.language.reductions import Extent
from optgen.language.spaces import Space
from optgen.language.symbols import Named
from optgen.language.text import text
from optgen.loops import rounds
from optgen.loops.nodes import (
    ZERO,
    Accumulate,
    Assign,
    Barrier,
    Binary,
    Call,
    Cast,
    Choose,
    Constant,
    Expression,
    Function,
    Item,
    Load,
    Loop,
    Name,
    Number,
    Pointer,
    Statement,
    Store,
    assign,
    call,
    counted,
    item,
    plus,
    reads,
)
from optgen.loops.rounds import OF, Launched, Lowered, Round, Step
from optgen.passes.fuse import MOST_TERMS
from optgen.runtime.cuda import lookup

_PTR = "_ptr"
"""``theta_ptr`` is the address of the first element of theta in a run of elements."""
_LANES = ("_i0", "_i1", "_i2", "_i3")
"""``theta_i2`` is element i + 2 of theta, ``theta_i`` element i."""
_COUNT, _I, _J, _LINE, _MATRIX = (Name(name) for name in ("count", "i", "j", "line", "matrix"))
_FIRST, _TENSOR, _AT, _REDUCED = (Name(name) for name in ("first_element", "tensor", "at", "reduced"))
_BLOCK, _THREAD, _THREADS, _FOUR = Call("block"), Call("thread"), Constant("THREADS"), Number(4)
_BEGIN, _PART, _TEAM, _RANK = Name("begin"), Name("part"), Name("team"), Name("rank")


def lowered(kernel: Kernel) -> Lowered:
    """The functions of a module for GPUs, and what a step launches."""
    functions, phases = [rounds.scalars(kernel), *rounds.functions(kernel)], []
    numbers = dict.fromkeys(Space, 0)
    for round_ in rounds.rounds(kernel):
        for steps in (steps for between in round_.reduced for steps in _side_by_side(between.steps)):
            reduced = _ReducedSweep(kernel, steps)
            name = f"{reduced.space.value}s_{numbers[reduced.space]}"
            numbers[reduced.space] += 1
            functions.append(reduced.function(name, round_.where))
            made = rounds.whole_totals(kernel, rounds.each(steps))
            phases.append(Launched(name, reduced.space.value, totals=made))
        simple = rounds.is_simple(kernel)
        if any(round_.whole) or simple:
            name = "sweep" if simple else f"sweep_{round_.number}"
            what = "Update every tensor" if simple else f"Sweep {round_.number} over every tensor"
            functions.append(_ElementSweep(kernel, round_).function(name, what))
            made = rounds.whole_totals(kernel, rounds.each(round_.whole))
            phases.append(Launched(name, "element", totals=made))
    return Lowered(tuple(functions), tuple(phases))


def _offsets(kernel: Kernel, arrays: Sequence[str]) -> list[Assign]:
    """Where arrays of reduced values begin."""
    reduced_states = {state.name: "" for state in kernel.states if state.space is not Space.ELEM}
    order = lookup.names_of_reduced(reduced_states, rounds.arrays(kernel))
    return [assign(array + OF, item("at", Number(lookup.REDUCED + order.index(array)))) for array in arrays]


def _reduced(array: str, *at: Expression) -> Expression:
    """A value among those that vary over less than elements."""
    return item("reduced", plus(Name(array), *at))


# Sweeps over elements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ElementSweep:
    """The kernel of a sweep over elements: a block of threads visits a chunk."""

    kernel: Kernel
    round_: Round

    def function(self, name: str, what: str) -> Function:
        """The kernel."""
        arguments = rounds.arguments(self.kernel, rounds.each(self.round_.whole))
        pairs = zip(self.kernel.branches, self.round_.whole, strict=True)
        blocks = [tuple(self.block(branch, step)) for branch, step in pairs]
        named = rounds.scalars_used(self.kernel, self.round_.sweeps, rounds.GROUP, branch=rounds.differ(blocks))
        group = [assign("group", _chunk(3))] if "group" in reads((named, *blocks)) else []
        body = (*self.head(blocks), *group, *named, *_offsets(self.kernel, arguments), *rounds.by_branch(blocks))
        parameters = ["chunks", "addresses", "storage", "scalars", *(["keys"] if self.kernel.draws else [])]
        parameters += [] if rounds.is_simple(self.kernel) else ["at", "reduced"]
        return Function("kernel", name, tuple(parameters), f"{what}: a block of threads a chunk.", body)

    def head(self, blocks: Sequence[tuple[Statement, ...]]) -> list[Assign]:
        """Names for what a chunk spans and, unless it is visited row by row, for its memory."""
        span = [assign("tensor", _chunk(1)), assign("first_element", _chunk(2))]
        if not self.round_.is_by_rows:
            return [assign("count", _chunk(0)), *span, *self.pointers()]
        used = reads(tuple(blocks))
        return [*span, *(assign(name, _chunk(k)) for k, name in enumerate(rounds.SPAN, start=5) if name in used)]

    def pointers(self, begin: Name = _FIRST, slots: Collection[str] | None = None) -> list[Assign]:
        """Names for where a run of elements lies, in all slots or in some."""
        columns = rounds.columns(self.kernel, self.round_.sweeps).items()
        pointers = [Pointer(slot.name, Name("addresses"), column, _TENSOR, begin) for slot, column in columns]
        return [assign(each.slot + _PTR, each) for each in pointers if slots is None or each.slot in slots]

    def block(self, branch: Branch, step: Step | None) -> Iterator[Statement]:
        """What one branch does."""
        if step is None:
            return
        sweep = step.sweep
        totals = [reduce for reduce in sweep.reduces if reduce.target.space is Space.TENSOR]
        yield from (assign(rounds.name(x), _held(x, branch)) for x in sweep.given if x.space <= Space.TENSOR)
        yield from map(rounds.started, totals)
        if not self.round_.is_by_rows:
            yield from _RunOfElements(self.kernel, step).loops()
        else:
            columns = tuple(reduce for reduce in sweep.reduces if reduce.target.space is Space.COL)
            yield from self.columns(step, branch, columns) if columns else ()
            is_rest = sweep.stores or sweep.keeps or len(columns) < len(sweep.reduces)
            yield from self.rows(step, branch) if is_rest else ()
        for reduce in totals:
            yield from _finished(reduce, "block", _chunk(4))

    def rows(self, step: Step, branch: Branch) -> Iterator[Statement]:
        """The loop over the rows of a chunk's matrices, each visited by a team."""
        totals = [reduce for reduce in step.sweep.reduces if reduce.target.space is Space.ROW]
        by_column = list(_held_by_column(step.sweep, branch))
        inside: list[Statement] = [assign("matrix", rounds.matrix_of(_LINE))] if by_column else []
        inside += [*by_column, *_held_by_row(step.sweep, branch), *map(rounds.started, totals)]
        inside += [*self.pointers(_BEGIN), *_RunOfElements(self.kernel, step, _BEGIN, _RANK, _TEAM).loops()]
        for reduce in totals:
            inside += _finished(reduce, "team", Name("first_row"), _LINE)
        yield assign("team", call("team_of", _COUNT))
        yield assign("rank", call("rank_in", _TEAM))
        first, at_once = (Binary(threads, "//", _TEAM) for threads in (_THREAD, _THREADS))
        yield Loop("line", first, Name("lines"), at_once, tuple(inside))

    def columns(self, step: Step, branch: Branch, totals: tuple[Reduce, ...]) -> Iterator[Statement]:
        """The loop over the columns of a chunk's matrices, each added up by a thread before anything is stored."""
        factors = {x for reduce in totals for x in reduce.factors}
        if factors.issubset(step.sweep.loads):
            loads = tuple(x for x in step.sweep.loads if x in factors)
            step = replace(step, sweep=replace(step.sweep, loads=loads, body=()))
        run = _RunOfElements(self.kernel, step, _BEGIN, only=totals)
        slots = {rounds.slot_of(load).name for load in run.reads}
        line = [*_held_by_row(step.sweep, branch), *self.pointers(_BEGIN, slots), *run.moved(("_i",))]
        which, where = Binary(_PART, "//", _COUNT), (_MATRIX, Name("line_before"), Name("matrix_rows"))
        inside: list[Statement] = [
            assign("matrix", plus(rounds.first_matrix(), which)),
            assign("i", Binary(_PART, "-", Binary(which, "*", _COUNT))),
            *_held_by_column(step.sweep, branch),
            *map(rounds.started, totals),
            assign("end", call("end_of_lines", *where, Name("lines"))),
            counted("line", call("first_line", *where), Name("end"), *line),
        ]
        for reduce in totals:
            place = item("reduced", plus(Name(reduce.target.name + OF), Name("parts_begin"), _PART))
            inside.append(Assign((place,), Name(reduce.target.name)))
        yield assign("parts_count", rounds.parts_count())
        yield Loop("part", _THREAD, Name("parts_count"), _THREADS, tuple(inside))
        if step.sweep.stores or step.sweep.keeps:  # by other threads than those that have read it here
            yield Barrier()


def _held_by_row(sweep: Sweep, branch: Branch) -> Iterator[Assign]:
    """Where a row begins, and what varies with it."""
    yield assign("begin", plus(_FIRST, Binary(_LINE, "*", _COUNT)))
    yield from (assign(rounds.name(x), _held(x, branch)) for x in sweep.given if x.space is Space.ROW)


def _held_by_column(sweep: Sweep, branch: Branch) -> Iterator[Assign]:
    """Where what varies with columns begins for those of a matrix."""
    for x in sweep.given:
        if x.space is Space.COL:
            first = plus(Name(rounds.array_of(x, branch) + OF), Name("first_column"), Binary(_MATRIX, "*", _COUNT))
            yield assign(f"{rounds.name(x)}_line", first)


def _chunk(k: int) -> Expression:
    """What the table says of the chunk of a block."""
    return item("chunks", Number(k), _BLOCK)


def _held(load: Named, branch: Branch) -> Expression:
    """A value that varies over less than elements, in the type of the tensors."""
    index = {Space.MODEL: (), Space.TENSOR: (_TENSOR,), Space.ROW: (Name("first_row"), _LINE)}[load.space]
    return Cast(_reduced(rounds.array_of(load, branch) + OF, *index), "element")


def _finished(reduce: Reduce, whose: str, *at: Expression) -> list[Statement]:
    """What a block, or a team of its threads, leaves of a total."""
    total, team = Name(reduce.target.name), whose == "team"
    made = call(f"{reduce.how}_of_{whose}", total, *([_TEAM] if team else []))
    left = Assign((item("reduced", plus(Name(total.name + OF), *at)),), total)
    return [assign(total.name, made), Choose(((Binary(_RANK if team else _THREAD, "==", ZERO), (left,)),))]


@dataclass(frozen=True)
class _RunOfElements:
    """What threads do with a run of elements: four at a time, then one at a time."""

    kernel: Kernel
    step: Step
    begin: Name = _FIRST  # the first element
    rank: Expression = _THREAD  # which a thread is of those that share it
    team: Expression = _THREADS  # how many they are
    only: tuple[Reduce, ...] = ()  # the totals of columns that are all that is made, if they are

    @property
    def sweep(self) -> Sweep:
        return self.step.sweep

    @property
    def reads(self) -> list[Named]:
        """What is read for each element."""
        return [load for load in self.sweep.loads if load.space is Space.ELEM and not isinstance(load, Draw)]

    @property
    def stored(self) -> dict[str, str]:
        """What is written for each element, by the name of the value, where it goes."""
        if self.only:
            return {}
        slots = {rounds.name(slot.next): slot.name for slot in self.sweep.stores}
        return slots | {x.name: x.name for x in self.sweep.keeps}

    def loops(self) -> Iterator[Statement]:
        """Both loops."""
        moved = dict.fromkeys((*(rounds.slot_of(load).name for load in self.reads), *self.stored.values()))
        # Draws come in fours too.
        joined: list[Expression] = [Name(name + _PTR) for name in moved]
        joined += [Binary(_FOUR, "*", self.begin)] * bool(self.sweep.draws)
        bits, *others = joined or [ZERO]  # what is the same for all elements moves nothing
        for number, other in enumerate(others, start=1):
            bits = Binary(bits, "|", other)
            if number % MOST_TERMS == 0 and number < len(others):
                yield assign("bits", bits)
                bits = Name("bits")
        fours = Name("fours")
        yield assign("fours", call("in_fours", _COUNT, bits))
        by_four, by_one = tuple(self.moved(_LANES)), tuple(self.moved(("_i",)))
        yield Loop("i", Binary(_FOUR, "*", self.rank), fours, Binary(_FOUR, "*", self.team), by_four)
        yield Loop("i", plus(fours, self.rank), _COUNT, self.team, by_one)

    def moved(self, lanes: Sequence[str]) -> Iterator[Statement]:
        """As many elements as there are lanes, from the i-th on: loaded, computed and stored."""
        for load in self.reads:
            slot = rounds.slot_of(load).name
            loaded = Load(slot, Name(slot + _PTR), _I, len(lanes))
            yield Assign(tuple(Name(rounds.name(load) + lane) for lane in lanes), loaded)
        for draw in self.sweep.draws:
            yield Assign(tuple(Name(draw.name + lane) for lane in lanes), self.drawn(draw, len(lanes)), text(draw.node))
        for k, lane in enumerate(lanes):
            yield from self.element(lane, plus(_I, Number(k)))
        for value, slot in self.stored.items():
            yield Store(slot, Name(slot + _PTR), _I, tuple(Name(value + lane) for lane in lanes))

    def drawn(self, draw: Draw, lanes: int) -> Expression:
        """Draws for as many elements."""
        function = "draw" if lanes == 1 else f"draw{lanes}"
        return call(function, plus(self.begin, _I), _TENSOR, *rounds.keys(self.kernel, draw), Name("scalars"))

    def element(self, lane: str, index: Expression) -> Iterator[Statement]:
        """What is computed and added up for one element."""
        sweep = self.sweep
        if sweep.body:
            targets = [Name(rounds.name(x) + lane) for x in rounds.results(sweep)]
            given = [self.argument(load, lane, index) for load in rounds.given(sweep)]
            yield rounds.called(self.kernel, self.step, given, targets)
        for reduce in self.only or [reduce for reduce in sweep.reduces if reduce.target.space is not Space.COL]:
            total = Name(reduce.target.name)
            factors = [Name(rounds.name(x) + lane) for x in reduce.factors]
            if len(factors) == 1:
                yield Accumulate(total, reduce.how, rounds.product(factors))
            else:  # rounded with the sum, once: compilers for GPUs would fuse both anyway, here and not there
                wide = [Cast(factor, "float64") for factor in factors]
                yield Assign((total,), call("fma", *wide, total))

    def argument(self, load: Named, lane: str, index: Expression) -> Expression:
        """A load as an argument of the function of one element."""
        if load.space is Space.COL:
            return Cast(_reduced(f"{rounds.name(load)}_line", index), "element")
        return Name(rounds.name(load) + (lane if load.space is Space.ELEM or isinstance(load, Draw) else ""))


# Sweeps over less than elements --------------------------------------------------------------------------------------


def _side_by_side(reduced: Sequence[Sequence[Step]]) -> Iterator[tuple[Step | None, ...]]:
    """The reduced sweeps of all branches as few launches: in one are sweeps over the same space."""
    left = list(map(list, reduced))
    while any(left):
        space = next(steps[0].sweep.space for steps in left if steps)
        yield tuple(steps.pop(0) if steps and steps[0].sweep.space is space else None for steps in left)


_TOTAL = {
    (Space.TENSOR, Space.MODEL): ("sum_over_tensors", "max_over_tensors"),
    (Space.ELEM, Space.COL): ("column_sum", "column_max"),
    (Space.ROW, Space.COL): ("sum_down", "max_down"),
    (Space.COL, Space.ROW): ("sum_along", "max_along"),
}
"""What makes the total of values of one space over what another has one value for."""
_THESE = {Space.ELEM: "CHUNKS", Space.ROW: "ROWS", Space.COL: "COLUMNS"}
"""Over what the totals of a tensor are made of values of a space."""


@dataclass(frozen=True)
class _ReducedSweep:
    """The kernel of a sweep over less than elements, of one step of every branch that has one."""

    kernel: Kernel
    steps: tuple[Step | None, ...]

    @property
    def space(self) -> Space:
        return next(step.sweep.space for step in self.steps if step)

    def function(self, name: str, where: str) -> Function:
        """The kernel."""
        pairs = zip(self.kernel.branches, self.steps, strict=True)
        positions = [step and _Position(self.kernel, branch, step) for branch, step in pairs]
        blocks = [tuple(position.nodes()) if position else () for position in positions]
        arrays, used = rounds.arguments(self.kernel, rounds.each(self.steps)), reads(tuple(blocks))
        arguments = [array for array in arrays if array + OF in used]
        body = (*_offsets(self.kernel, arguments), *self.visits(blocks))
        of_blocks = {Space.MODEL: "one block", Space.TENSOR: "a block a tensor"}
        who = of_blocks.get(self.space, f"a thread or several a {self.space.value}")
        return Function("kernel", name, ("at", "scalars", "reduced"), f"{where}: {who}.", body)

    def visits(self, blocks: Sequence[tuple[Statement, ...]]) -> Iterator[Statement]:
        """What is done in each branch, for what a block or a thread is for.

        Tensors may be in different branches, but where something is done for the model.
        """
        differ = rounds.differ(blocks)
        if self.space is Space.MODEL:
            yield from rounds.scalars_used(self.kernel, (), ZERO, branch=differ)
            yield from rounds.by_branch(blocks)
            return
        branch = rounds.scalars_used(self.kernel, (), rounds.GROUP, branch=differ)
        group = [assign("group", item("at", plus(item("at", Number(lookup.GROUPS)), _J)))]
        inside = (*(group if "group" in reads((branch, *blocks)) else []), *branch, *rounds.by_branch(blocks))
        if self.space is Space.TENSOR:
            yield assign("j", call("tensor_of_block", _AT))
            yield from inside
            return
        kind = self.space.value
        yield assign("i", call(f"visited_{kind}", _AT))
        yield assign("j", call(f"tensor_of_{kind}", _AT))
        yield from inside


@dataclass(frozen=True)
class _Position:
    """What is done for one position of a reduced sweep."""

    kernel: Kernel
    branch: Branch
    step: Step

    @property
    def sweep(self) -> Sweep:
        return self.step.sweep

    @cached_property
    def parts(self) -> dict[Named, Reduce]:
        """The totals among the loads of which there are parts."""
        return rounds.in_parts(self.branch, self.sweep)

    @property
    def here(self) -> dict[Space, tuple[Expression, ...]]:
        """Where the value of each space is that belongs to this position."""
        return {Space.MODEL: (), Space.TENSOR: (_J,), Space.ROW: (_I,), Space.COL: (_I,)}

    def nodes(self) -> Iterator[Statement]:
        """Totals, which may take all threads of a block, then the position, by one of them."""
        space = self.sweep.space
        yield from rounds.scalars_used(self.kernel, [self.sweep], ZERO if space is Space.MODEL else rounds.GROUP)
        yield from starmap(self.total, self.parts.items())
        made = rounds.position(self.kernel, self.branch, self.step, self.place, self.argument)
        is_one = call(f"has_{space.value}", _AT) if space in (Space.ROW, Space.COL) else Binary(_THREAD, "==", ZERO)
        yield Choose(((is_one, tuple(made)),))

    def total(self, load: Named, reduce: Reduce) -> Assign:
        """A total is made of what it is a total of."""
        source, most = reduce.of, reduce.how == "max"
        name = rounds.name(load)
        array = rounds.source(reduce, self.branch)
        if reduce.is_of_group:
            return assign(name, call(f"{reduce.how}_over_group", _REDUCED, array, _AT, _J))
        if load.space is Space.TENSOR:
            return assign(name, call(f"{reduce.how}_over", _REDUCED, array, _AT, Constant(_THESE[source]), _J))
        at = (_AT,) if load.space is Space.MODEL else (_AT, _J, _I)
        return assign(name, call(_TOTAL[source, load.space][most], _REDUCED, array, *at))

    def place(self, array: str) -> Item:
        """Where an array has the value of this position."""
        return item("reduced", plus(Name(array + OF), *self.here[self.sweep.space]))

    def argument(self, load: Named) -> Expression:
        """A load as an argument of the function of one position."""
        if isinstance(load, Extent):
            return _reduced(load.name + OF, _J)
        if load in self.parts:
            return Name(rounds.name(load))
        return _reduced(rounds.array_of(load, self.branch) + OF, *self.here[load.space])
