"""What expressions of a kernel are: numbers as algebra, or places in memory, on CPUs and on GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
from sympy import Expr, Integer, S, expand

from optgen.language.noise import Draw, normal
from optgen.language.reductions import numel
from optgen.language.sums import plain
from optgen.language.text import text
from optgen.loops.nodes import Binary, Call, Cast, Constant, Expression, Field, Item, Load, Name, Pointer, Run, View
from optgen.runtime.cuda import lookup as on_device
from optgen.verify.reader import Rejected
from optgen.verify.translation.meaning import Whole
from optgen.verify.translation.symbolic import Names, Partial, SymbolicRun, said
from optgen.verify.translation.where import (
    BEFORE,
    BEGIN,
    BLOCK,
    BOUNDS,
    CHUNKS,
    COUNTS,
    ELSEWHERE,
    END,
    END_OF_COLUMN,
    FIRST,
    FOURS,
    GROUP,
    HAS,
    INDEX,
    LANES,
    LINE_OF_COLUMN,
    LINES,
    MATRIX,
    MATRIX_ROWS,
    PART,
    RANK,
    ROW,
    SPAN,
    TEAM,
    TENSOR,
    THREAD,
    THREADS,
    VARYING,
    VISITED,
    WIDTH,
    Given,
    Layout,
    Spot,
    Standing,
    StepKernel,
    Total,
    totalled,
)

SPREAD = {
    **dict.fromkeys(("column_totals", "column_largest", "column_sum", "column_max"), ("part", "column")),
    **dict.fromkeys(("rows_in_columns", "rows_in_columns_largest", "sum_down", "max_down"), ("row", "column")),
    **dict.fromkeys(("columns_in_rows", "columns_in_rows_largest", "sum_along", "max_along"), ("column", "row")),
}
"""What functions of the runtime combine, and for each of what."""


@dataclass
class Looking:
    """What a kernel may look at, while it runs."""

    run: SymbolicRun  # the step, with what is in memory
    layout: Layout  # what PROGRAM says of memory
    launched: StepKernel  # what is launched
    scalars: Sequence[Expr]  # what the host has computed
    totals: dict[str, Total] = field(default_factory=dict)  # what is being added up
    covered: Expr = S.Zero  # up to where elements have been visited
    aligned: frozenset[Any] = frozenset()  # what four elements at once may be moved from and to, and how many there are
    combined: set[str] = field(default_factory=set)  # the arrays of which all values have been looked at
    # The totals that have been made of those: how, and of what
    made: dict[Expr, tuple[str, str]] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether it is for blocks of threads, whose reduced values are all in one place."""
        return self.launched.takes is None

    def through(self, end: Expr, whole: str) -> None:
        """Complain unless none or all of the elements of a whole have been visited."""
        if self.covered not in (S.Zero, end):
            raise Rejected(f"not all elements of {whole} are visited")

    def finished(self, visit: Standing) -> None:
        """Complain where a total is stored before all has been added to it."""
        self.through(visit.count, "what is added up")

    # Memory ------------------------------------------------------------------------------------------------------

    def distance(self, at: Spot, visit: Standing) -> int:
        """How many elements a place is away from that of the element that stands for all."""
        away = expand(at.index - visit.here[at.kind]) if at.kind in visit.here else S.NaN
        if away == 0:
            return 0
        near = isinstance(away, Integer) and -visit.lane <= away < visit.lanes - visit.lane
        if near and at.kind in VARYING:
            return int(away)
        raise Rejected(f"`{at.name}` is read or written elsewhere than at the {at.kind} that is visited")

    def read(self, at: Spot, visit: Standing) -> Any:
        """What is in a place."""
        return ELSEWHERE if self.distance(at, visit) else self.run.held(at.name)

    def cell(self, item: Item, names: Names, visit: Standing) -> Spot:
        """Where an item of an array is."""
        array, *index = (self.value(each, names, visit) for each in (item.array, *item.indices))
        match array, index:
            case Given("reduced"), [Spot() as at]:
                return at
            case Spot(), [Expr() as i] if not self.on_gpu or array.kind == "groups":
                return replace(array, index=array.index + i)
        raise Rejected(f"{said(item)} is no value of an array that is given")

    def element_at(  # noqa: PLR0917
        self, slot: str, pointer: Expression, index: Expression, lanes: int, names: Names, visit: Standing
    ) -> Spot:
        """From where on elements are moved."""
        at, i = self.value(pointer, names, visit), self.value(index, names, visit)
        if not isinstance(at, Spot) or at.name != slot or (lanes > 1 and at not in self.aligned):
            raise Rejected(f"`{slot}` is not where elements of it are moved, {lanes} at once")
        return replace(at, index=at.index + i)

    # Expressions -------------------------------------------------------------------------------------------------

    def values(self, node: Expression, count: int, names: Names, visit: Standing) -> Sequence[Any]:
        """What so many targets become."""
        found: Sequence[Any]
        match node:
            case Call(function, arguments) if function in self.run.functions:
                given = [self.value(argument, names, visit) for argument in arguments]
                kind = "element" if self.launched.over == "element" else "reduced"
                strange = ELSEWHERE in given
                found = [ELSEWHERE] * count if strange else self.run.call(function, given, kind)  # type: ignore[arg-type]
            case Load(slot, pointer, index, lanes):
                at = self.element_at(slot, pointer, index, lanes, names, visit)
                found = [self.read(replace(at, index=at.index + k), visit) for k in range(lanes)]
            case Call("draw" | "draw4" as function, (index, tensor, *keys)):
                lanes = 4 if function == "draw4" else 1
                first = self.value(index, names, visit)
                drawn, where = self.drawn(keys, names, visit), self.value(tensor, names, visit)
                if where != TENSOR or (lanes > 1 and expand(lanes * (first - INDEX)) not in self.aligned):
                    raise Rejected("draws are not those of the elements")
                ats = [Spot(text(drawn), "element", first + k) for k in range(lanes)]
                found = [ELSEWHERE if self.distance(at, visit) else drawn for at in ats]
            case _:
                found = [self.value(node, names, visit)]
        if len(found) != count:
            raise Rejected(f"{count} targets become {len(found)} values")
        return found

    def value(self, node: Expression, names: Names, visit: Standing) -> Any:
        """What an expression is: a number, or something in memory."""
        match node:
            case Name(name):
                return self.totals[name] if name in self.totals else self.run.value(node, names)
            case Constant(name):
                return {"THREADS": THREADS, "LANES": LANES}.get(name, Given(name))
            case Field(of, name) if self.value(of, names, visit) == Given("at"):
                return Given(f"at.{name}")
            case Item():
                return self.item(node, names, visit)
            case Run(array, begin, count):
                at, first, length = (self.value(each, names, visit) for each in (array, begin, count))
                if isinstance(at, Spot) and length == visit.count and visit.kind == "line":
                    return replace(at, index=at.index + first)
                raise Rejected(f"{said(node)} is no run of values of a row")
            case View(slot, row, column, begin, count):
                its = [self.value(each, names, visit) for each in (row, begin, count)]
                if (
                    its[0] == Given("row")
                    and its[2] == visit.count
                    and self.layout.columns[column - 1 :][:1] == (slot,)
                ):
                    return Spot(slot, "element", FIRST + its[1])
                raise Rejected(f"`{slot}` is not viewed where the chunk has it: it does not prepare a chunk")
            case Pointer(slot, addresses, column, tensor, begin):
                its = [self.value(each, names, visit) for each in (addresses, tensor, begin)]
                if its[:2] == [Given("addresses"), TENSOR] and self.layout.columns[column:][:1] == (slot,):
                    return Spot(slot, "element", its[2])
                raise Rejected(f"`{slot}` is not placed where the tensor has it")
            case Cast(Item(array, (group, k)), "index") if self.value(array, names, visit) == Given("scalars"):
                # Where something is done for the model between sweeps, the branch is the same for all groups.
                if self.value(group, names, visit) not in (GROUP, *[S.Zero] * (visit.kind == "model")):
                    raise Rejected("the branch is not that of the group that is visited")
                return self.whole(self.scalar(self.value(k, names, visit)))
            case Cast(value, to):
                found = self.value(value, names, visit)
                return self.whole(found) if to == "index" else found
            case Binary(left, sign, right):
                return self.operated(sign, self.value(left, names, visit), self.value(right, names, visit))
            case Call(function, arguments):
                return self.called(function, arguments, names, visit)
        return self.run.value(node, names)

    def whole(self, found: Any) -> Expr:
        """A number that is made an integer, which must be one."""
        if not isinstance(found, Integer):
            raise Rejected(f"an integer is made of `{found}`, which is rounded by that")
        return found

    def scalar(self, k: Any) -> Expr:
        """A scalar of a group."""
        if not isinstance(k, Integer) or not 0 <= k < len(self.scalars):
            raise Rejected(f"scalar {k} is not one of the {len(self.scalars)} scalars of a group")
        return self.scalars[k]

    def operated(self, sign: str, left: Any, right: Any) -> Any:
        """What an operator makes of numbers, or of places."""
        if ELSEWHERE in (left, right):
            return ELSEWHERE
        if sign == "|" and not any(getattr(side, "is_Boolean", False) for side in (left, right)):
            return _together(left) | _together(right)
        if sign == "+" and isinstance(left, Total) and isinstance(right, Total):
            return _whole("sum", left, right)
        if sign == "+" and isinstance(left, Spot) and isinstance(right, Expr):
            return replace(left, index=left.index + right)
        if (sign, left, right) == ("//", PART, WIDTH):
            return MATRIX - Whole(BEFORE, MATRIX_ROWS)
        if isinstance(left, sympy.Basic) and isinstance(right, sympy.Basic):
            return self.run.called(sign, [left, right])
        raise Rejected(f"`{sign}` is taken of {left} and {right}")

    def item(self, node: Item, names: Names, visit: Standing) -> Any:
        """A value of something that a kernel is given."""
        array, *index = (self.value(each, names, visit) for each in (node.array, *node.indices))
        match array, index:
            case Given("rows" | "spans" as what), [Given("each row")]:
                return Given(what[:-1])
            case Given("row"), [Integer() as k] if int(k) in ROW:
                return ROW[int(k)]
            case Given("span"), [Integer() as k] if 0 <= k < len(SPAN):
                return SPAN[k]
            case Given("chunks"), [Integer() as k, block] if block == BLOCK and 0 <= k < len(CHUNKS):
                return CHUNKS[k]
            case Given("scalars"), [group, k] if group == (S.Zero if visit.kind == "model" else GROUP):
                return self.scalar(k)
            case Given("keys"), [group, Integer() as k] if group == GROUP:
                return Given(f"key {k}")
            case Given("at"), [Integer() as k] if k == on_device.GROUPS:
                return Spot("groups", "groups")
            case Given("at"), [Integer() as k] if on_device.REDUCED <= k < on_device.REDUCED + len(self.layout.kinds):
                name = list(self.layout.kinds)[k - on_device.REDUCED]
                return Spot(name, self.layout.kinds[name])
            case (Given("at"), [Spot("groups", _, tensor)]) | (Given("at.groups"), [tensor]) if tensor == TENSOR:
                return GROUP
            case Given(bounds), [tensor] if bounds in BOUNDS and tensor in (TENSOR, TENSOR + 1):
                return (BEGIN if tensor == TENSOR else END)[BOUNDS[bounds]]
            case Given("scalars"), [group, _]:
                raise Rejected(f"the scalars of {group} are not one of the group that is visited")
        return self.read(self.cell(node, names, visit), visit)

    def called(self, name: str, arguments: Sequence[Expression], names: Names, visit: Standing) -> Any:
        """What a function of the runtime returns, or one of the module that returns one value."""
        if name in self.run.functions:
            (found,) = self.values(Call(name, tuple(arguments)), 1, names, visit)
            return found
        if name == "draws":
            row, *keys = arguments
            drawn = self.drawn(keys, names, visit)
            if self.value(row, names, visit) != Given("row"):
                raise Rejected("draws are not those of the chunk")
            self.run.memory[text(drawn)] = drawn
            return Spot(text(drawn), "element", FIRST)
        given = [self.value(argument, names, visit) for argument in arguments]
        if self.on_gpu and (found := self.on_thread(name, given, visit)) is not None:
            return found
        if name.endswith(("_of_block", "_of_team") if self.on_gpu else "_of_lanes"):
            return self.joined(name, given, visit)
        its = [each for each in given if each not in (Given("reduced"), Given("at"))]
        if name in SPREAD and self.on_gpu:  # on CPUs they store all that they make, and return nothing
            return self.spread(name, its, visit)
        if name not in SPREAD and name.startswith(("sum_", "max_")):
            return self.total(name, its, visit)
        if ELSEWHERE in given:
            return ELSEWHERE
        match name, given:
            case "maximum", [Total() as lanes, Total() as rest]:
                return _whole("max", lanes, rest)
        return self.run.called(name, given)

    def on_thread(self, name: str, given: Sequence[Any], visit: Standing) -> Any:
        """What a function returns by which threads know where they are, or exchange values."""
        match name, given:
            case "thread", []:
                return THREAD
            case "block", []:
                return BLOCK
            case "in_fours", [count, bits] if count == visit.count:
                self.aligned = _together(bits) | {count}
                return FOURS
            case "team_of", [count] if count == WIDTH:
                return TEAM
            case "rank_in", [team] if team == TEAM:
                return RANK
            case "first_line", [*where] if where == [MATRIX, BEFORE, MATRIX_ROWS]:
                return LINE_OF_COLUMN
            case "end_of_lines", [*where] if where == [MATRIX, BEFORE, MATRIX_ROWS, LINES]:
                return END_OF_COLUMN
            case "tensor_of_block", [Given("at")] if visit.kind == "tensor":
                return TENSOR
            case "visited_row" | "visited_column", [Given("at")] if name.endswith(visit.kind):
                return VISITED
            case "tensor_of_row" | "tensor_of_column", [Given("at")] if name.endswith(visit.kind):
                return TENSOR
            case "has_row" | "has_column", [Given("at")] if name.endswith(visit.kind):
                return HAS[visit.kind]
        return None

    def joined(self, name: str, given: Sequence[Any], visit: Standing) -> Total:
        """A total of all threads of a block or a team, or of all lanes, in which nothing of use is left then."""
        if name.endswith("_of_team"):
            given = given[:-1] if given[1:] == [TEAM] else []
        shared = (RANK, TEAM) if name.endswith("_of_team") else (THREAD, THREADS)
        if visit.threads != shared:
            raise Rejected(f"`{name}` is not what makes a total of those that share a {visit.kind}")
        match [self.totals.pop(f"{each.name}[]", None) if isinstance(each, Spot) else each for each in given]:
            case [Total(how, whole, joined=False) as total] if visit.alone != self.on_gpu:
                self.finished(visit)
                if name.startswith(how) and visit.kind == whole:
                    return replace(total, joined=True)
        raise Rejected(f"`{name}` is not what makes a total of each {visit.kind} of what is added up")

    def drawn(self, keys: Sequence[Expression], names: Names, visit: Standing) -> Draw:
        """What is drawn, counted by step, seed and stream."""
        match [self.value(each, names, visit) for each in keys]:
            case [Given("key 0"), Given(key), Integer() as stream, Given("scalars")] if key.startswith("key "):
                if 0 < (number := int(key.removeprefix("key "))) <= len(self.layout.seeds):
                    return symbol_of(normal(self.layout.seeds[number - 1], int(stream)))
        raise Rejected("a draw does not count as it must: by row, step, seed and stream")

    # Totals of what there is less of than elements ----------------------------------------------------------------

    def total(self, name: str, given: Sequence[Any], visit: Standing) -> Spot | Expr:
        """The total over a tensor of what its chunks, rows or columns have, or over several of what tensors have."""
        how = name[:3]
        match given:
            case [Spot(array, "tensor") as at, *of] if name.endswith("_over_group" if self.on_gpu else "_in_groups"):
                right = (of, visit.kind) == (([TENSOR], "tensor") if self.on_gpu else ([], "model"))
                if at.index == 0 and right:
                    value = self.combining(array)
                    made = self.making(how, "tensor", "group", plain(value / numel) if how == "sum" else value)
                    self.run.memory[f"{name} of {array}"] = made
                    return made if self.on_gpu else Spot(f"{name} of {array}", "tensor")
            case [Spot(array, "tensor") as at, Given("at.tensors")] | [Spot(array, "tensor") as at] if at.index == 0:
                if visit.kind == "model" or self.on_gpu:
                    value = self.combining(array)
                    return self.making(how, "tensor", "model", plain(value / numel) if how == "sum" else value)
            case [Spot(array, kind) as at, *bounds] if at.index == 0 and kind in BEGIN:
                these = {"chunk": "CHUNKS", "row": "ROWS", "column": "COLUMNS"}[kind]
                inside = visit.kind == "tensor" or (self.on_gpu and visit.kind in COUNTS)
                if inside and bounds in ([BEGIN[kind], END[kind]], [Given(these), TENSOR]):
                    if kind == "chunk":
                        return self.making(how, "element", "tensor", self.partial(array, how))
                    value = self.combining(array)
                    return self.making(how, kind, "tensor", plain(value / COUNTS[kind]) if how == "sum" else value)
        raise Rejected(f"`{name}` is not the total over one tensor, or over the model, of an array that is taken")

    def spread(self, name: str, given: Sequence[Any], visit: Standing) -> Expr:
        """A total over a column or row of a tensor: of any of all of them, or of the one that is visited."""
        of, to = SPREAD[name]
        if self.on_gpu and visit.alone:
            raise Rejected(f"`{name}` takes all threads of a block, and not all of them call")
        how = "max" if name.startswith("max") or name.endswith(("largest", "max")) else "sum"
        match given:
            case [Spot(array, kind) as at, tensor, *which] if (at.index, kind, tensor) == (0, of, TENSOR):
                value = self.partial(array, how) if of == "part" else self.combining(array)
                made = self.making(how, "element" if of == "part" else of, to, value)
                of_all = not which and visit.kind == "tensor"
                if which == [visit.here.get(to)] if self.on_gpu else of_all:
                    return made
        raise Rejected(f"`{name}` is not the totals over each {to} of one value a {of}")

    def making(self, how: str, of: str, to: str, value: Expr) -> Expr:
        """A total as the language has it, of one value for each of something."""
        found = totalled(how, to, value)
        self.made[found] = how, of
        return found

    def combining(self, name: str) -> Expr:
        """What is in each place of an array, all of which are looked at."""
        self.combined.add(name)
        return self.run.held(name)

    def partial(self, name: str, how: str) -> Expr:
        """What single chunks have added up, or found largest."""
        found = self.run.memory.get(name)
        if not isinstance(found, Partial) or found.how != how:
            raise Rejected(f"`{name}` is not what the chunks of this step have left for a {how}")
        return found.of


def _whole(how: str, lanes: Total, rest: Total) -> Total:
    """The total of all elements, of which some are in lanes that have been joined."""
    if (lanes.loops, lanes.joined) != ("first", True) or rest != replace(lanes, loops="rest", joined=False):
        raise Rejected("what the lanes have and what the rest has are not a total of each element once")
    if lanes.how != how:
        raise Rejected(f"the {how} of two totals is taken that are each a {lanes.how}")
    return replace(lanes, loops="all")


def symbol_of(draw: normal) -> Draw:
    """The symbol that stands for a draw."""
    symbol: Draw = Draw(text(draw), draw)
    return symbol


def _together(found: Any) -> frozenset[Any]:
    """Places whose bits are joined."""
    return found if isinstance(found, frozenset) else frozenset([found])
