"""Rounds: which function does what, for kernels of one sweep and of several.

What a branch does is a round for each of its sweeps over elements: totals are combined, what is made of them prepares
it, then it runs; what is reduced and comes after the last belongs to a round of its own. Branches run side by side:
round k of a kernel is round k of each. What one position is given and becomes is a function of its own, as readable as
the equations.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from math import inf

from sympy import S

from optgen.ir import BRANCH, Branch, Kernel, Reduce, Sweep, symbols
from optgen.language.noise import Draw
from optgen.language.spaces import Space
from optgen.language.symbols import Named, Next, g, t, theta
from optgen.language.text import listed, text
from optgen.loops.nodes import (
    ONE,
    ZERO,
    Assign,
    Binary,
    Call,
    Cast,
    Choose,
    Compute,
    Expression,
    Function,
    Item,
    Name,
    Number,
    Return,
    Statement,
    assign,
    item,
    plus,
)

OF = "_of"
"""``trust_of`` is the array of the values called ``trust``."""


@dataclass(frozen=True)
class Step:
    """One sweep with the function that computes one of its positions."""

    sweep: Sweep  # what is done
    name: str  # of the function


@dataclass(frozen=True)
class Between:
    """Reduced sweeps that are done one after another."""

    combines: bool  # whether they combine totals of which sweeps have left parts, and do nothing else
    number: int  # how many of the kind there are before, in all rounds
    steps: tuple[tuple[Step, ...], ...]  # for each branch, what is done


@dataclass(frozen=True)
class Round:
    """What is done for one sweep over elements, or after the last."""

    number: int  # of the sweep, from 0
    reduced: tuple[Between, ...]  # what is done before it
    whole: tuple[Step | None, ...]  # for each branch, the sweep itself, if it has one

    @property
    def sweeps(self) -> list[Sweep]:
        """The sweeps of all branches."""
        return [step.sweep for step in self.whole if step]

    @property
    def is_by_rows(self) -> bool:
        """Whether a chunk is visited one row of its matrices after another: who is in which must be known."""
        spaces = {x.space for s in self.sweeps for x in (*s.given, *(reduce.target for reduce in s.reduces))}
        return bool(spaces & {Space.ROW, Space.COL})

    @property
    def where(self) -> str:
        """Where what is reduced is done, in words."""
        return f"Before sweep {self.number}" if any(self.whole) else "After the last sweep"


@dataclass(frozen=True)
class Launched:
    """What a step launches, in order."""

    function: str  # what is launched
    over: str  # the space that it visits; "reduced" for all that is less than elements
    takes: tuple[str, ...] = ()  # the arrays it takes that have one value for a chunk, a row, a tensor and so on
    # The totals that are whole after it: how they are made, and of what there is one value for each
    totals: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lowered:
    """A kernel as the functions of a module."""

    functions: tuple[Function, ...]  # in the order in which they are read
    phases: tuple[Launched, ...]  # what a step launches


def is_simple(kernel: Kernel) -> bool:
    """Whether every branch is one sweep over elements, so that there is nothing between sweeps."""
    return all(len(branch.sweeps) <= 1 and not any(s.is_reduced for s in branch.sweeps) for branch in kernel.branches)


def rounds(kernel: Kernel) -> tuple[Round, ...]:
    """The rounds of a kernel, those of all its branches side by side."""
    known: dict[object, str] = {}
    suffixes = [f"_{k}" * (len(kernel.branches) > 1) for k in range(len(kernel.branches))]
    numbered = not is_simple(kernel)  # and a kernel of one sweep has it, if only to do nothing
    branches = [_rounds(*pair, known, numbered=numbered) for pair in zip(kernel.branches, suffixes, strict=True)]
    nothing: tuple[tuple[Step, ...], Step | None] = ((), None)
    made, counts, known_totals = [], {True: count(), False: count()}, list(map(totals, kernel.branches))
    for number in range(max(1 - numbered, *map(len, branches))):
        of_branch = [branch[number] if number < len(branch) else nothing for branch in branches]
        reduced = tuple(_between(known_totals, [reduced for reduced, _ in of_branch], counts))
        made.append(Round(number, reduced, tuple(whole for _, whole in of_branch)))
    return tuple(made)


def _between(
    known: Sequence[Mapping[Named, Reduce]],
    reduced: Sequence[Sequence[Step]],
    counts: Mapping[bool, Iterator[int]],
) -> Iterator[Between]:
    """What is done between two sweeps over elements, cut where totals have been combined and before they are."""
    runs = [deque(_runs(*its)) for its in zip(reduced, known, strict=True)]
    combines = True
    while any(runs):
        of_branches = [its.popleft()[1] if its and its[0][0] is combines else () for its in runs]
        if any(of_branches):
            yield Between(combines, next(counts[combines]), tuple(of_branches))
        combines = not combines


def _runs(steps: Iterable[Step], known: Mapping[Named, Reduce]) -> Iterator[tuple[bool, tuple[Step, ...]]]:
    """Reduced sweeps that combine, and others, by turns; what is a total of totals is combined after these."""
    # A sweep that only says of what something is a total computes nothing.
    done = (step for step in steps if step.sweep.body or step.sweep.stores)
    for combines, run in groupby(done, lambda step: is_combining(step.sweep, known)):
        part: list[Step] = []
        for step in run:
            made = {assign.target for each in part for assign in each.sweep.body}
            if combines and any(made.intersection(known[assign.value].factors) for assign in step.sweep.body):
                yield combines, tuple(part)
                part = []
            part.append(step)
        yield combines, tuple(part)


def is_combining(sweep: Sweep, known: Mapping[Named, Reduce]) -> bool:
    """Whether a reduced sweep makes totals of their parts, and does nothing else."""
    return bool(sweep.body) and all(a.value in known and known[a.value].is_in_parts for a in sweep.body)


def whole_totals(kernel: Kernel, steps: Sequence[Sequence[Step]]) -> dict[str, tuple[str, str]]:
    """The totals that are whole after sweeps of each branch, each with how it is made and of what."""
    found: dict[str, tuple[str, str]] = {}
    for branch, of_branch in zip(kernel.branches, steps, strict=True):
        known = totals(branch)
        for sweep in (step.sweep for step in of_branch):
            parts = [(a.target, known[a.value]) for a in sweep.body] if is_combining(sweep, known) else []
            rows = [] if sweep.is_reduced else [(r.target, r) for r in sweep.reduces if not r.is_in_parts]
            found |= {name(target): (reduce.how, reduce.of.value) for target, reduce in (*parts, *rows)}
    return found


def _rounds(
    branch: Branch, suffix: str, known: dict[object, str], *, numbered: bool
) -> list[tuple[tuple[Step, ...], Step | None]]:
    """The rounds of one branch; what an earlier one has a function for it does by that."""
    found: list[tuple[tuple[Step, ...], Step | None]] = []
    reduced: list[Step] = []
    numbers: Counter[Space] = Counter()
    for sweep in branch.sweeps:
        kind = sweep.space.value if sweep.is_reduced else "update"
        code = (sweep.space, sweep.loads, sweep.body, results(sweep))
        number = f"_{numbers[sweep.space]}" if numbered else ""
        step = Step(sweep, known.setdefault(code, f"{kind}{suffix}{number}"))
        numbers[sweep.space] += not is_copying(sweep)
        if sweep.is_reduced:
            reduced.append(step)
        elif sweep.results:  # where nothing changes there is nothing to do
            found.append((tuple(reduced), step))
            reduced = []
    return [*found, (tuple(reduced), None)] if reduced else found


def arrays(kernel: Kernel) -> dict[str, str]:
    """What its sweeps leave for each other, and what there is one value for: ``{"acc0": "chunk", "c1": "tensor"}``."""
    found: dict[str, str] = {}
    for sweep in kernel.sweeps:
        found |= {name(x): x.space.value for x in sweep.keeps if sweep.is_reduced}
        for reduce in sweep.reduces if not sweep.is_reduced else ():
            kinds = {Space.TENSOR: "chunk", Space.COL: "part", Space.ROW: "row"}
            found[name(reduce.target)] = kinds[reduce.target.space]
    return found


def kept(kernel: Kernel) -> tuple[Named, ...]:
    """The values of elements that are kept from one sweep to the next, in the order of their columns."""
    return tuple(dict.fromkeys(x for sweep in kernel.sweeps if not sweep.is_reduced for x in sweep.keeps))


def name(symbol: Named) -> str:
    """The variable of a symbol."""
    return f"{symbol.of.name}_next" if isinstance(symbol, Next) else str(symbol.name)


def each(steps: Iterable[Step | None]) -> tuple[tuple[Step, ...], ...]:
    """For each branch all that it does, where that is one step or none."""
    return tuple((step,) if step else () for step in steps)


def arguments(kernel: Kernel, steps: Sequence[tuple[Step, ...]]) -> tuple[str, ...]:
    """The arrays that sweeps read or write, by name and each once: the parameters that their kernel takes."""
    found: dict[str, None] = {}
    for branch, of_branch in zip(kernel.branches, steps, strict=True):
        known = totals(branch)
        for sweep in (step.sweep for step in of_branch):
            for load in sweep.reads if sweep.is_reduced else sweep.given:
                source = known[load].factors[0] if load in known else load
                found[array_of(load if source.space is Space.ELEM else source, branch)] = None
            written = (*(slot.next for slot in sweep.stores), *sweep.keeps) if sweep.is_reduced else ()
            found |= {array_of(x, branch): None for x in written}
            found |= {slot.name: None for slot in sweep.stores if sweep.is_reduced}
            found |= {name(reduce.target): None for reduce in sweep.reduces if not sweep.is_reduced}
    return tuple(found)


def totals(branch: Branch) -> dict[Named, Reduce]:
    """The totals of a branch."""
    return {reduce.target: reduce for sweep in branch.sweeps for reduce in sweep.reduces}


def in_parts(branch: Branch, sweep: Sweep) -> dict[Named, Reduce]:
    """The totals among the loads of a reduced sweep of which there are parts, to be combined."""
    known = totals(branch)
    return {x: known[x] for x in sweep.reads if x in known and known[x].is_in_parts}


def array_of(symbol: Named, branch: Branch) -> str:
    """The name of the array of a reduced value: a state's new value is kept apart while its old one is needed."""
    if not isinstance(symbol, Next):
        return name(symbol)
    apart = any(symbol in sweep.keeps for sweep in branch.sweeps)
    return name(symbol) if apart else str(symbol.of.name)


def source(reduce: Reduce, branch: Branch) -> Name:
    """The array of the parts of a total, or of what it is a total of."""
    of_elements = reduce.of is Space.ELEM
    return Name((name(reduce.target) if of_elements else array_of(reduce.factors[0], branch)) + OF)


def slot_of(symbol: Named) -> Named:
    """What holds a value of elements: a slot holds its new value once that has been stored."""
    return symbol.of if isinstance(symbol, Next) else symbol


def columns(kernel: Kernel, sweeps: Sequence[Sweep]) -> dict[Named, int]:
    """What some sweeps over elements read or write, each with its column among all that has a value for each."""
    touched = {slot_of(x) for sweep in sweeps for x in (*sweep.reads, *sweep.stores, *sweep.keeps)}
    every = (theta, g, *kernel.slots[1:], *kept(kernel))
    return {slot: column for column, slot in enumerate(every) if slot in touched}


def needed(kernel: Kernel, sweep: Sweep) -> tuple[Named, ...]:
    """The scalars that the elements of a sweep use."""
    used = sweep.uses
    return tuple(argument for argument in kernel.arguments if argument in used)


# Functions -----------------------------------------------------------------------------------------------------------


def scalars(kernel: Kernel) -> Function:
    """The function of t and the hyperparameters that runs on the host once a step."""
    made = (*kernel.arguments, *(state.next for state in kernel.numbers))
    return Function(
        "host",
        "scalars",
        tuple(map(name, (t, *kernel.hypers, *kernel.numbers))),
        "What is the same for every element, computed once a step in float64.",
        (*map(Compute, kernel.scalars), Return(_names(made), packed=True)),
    )


def functions(kernel: Kernel) -> tuple[Function, ...]:
    """For every sweep that computes anything, the function that computes one position; equal ones have the same."""
    found: dict[str, list[tuple[Branch, int, Step]]] = {}
    for number, branch in enumerate(kernel.branches):
        for round_ in rounds(kernel):
            reduced = (step for between in round_.reduced for step in between.steps[number])
            for step in (*reduced, round_.whole[number]):
                if step is not None and step.sweep.body and not is_copying(step.sweep):
                    found.setdefault(step.name, []).append((branch, round_.number, step))
    return tuple(_function(kernel, uses) for uses in found.values())


def is_copying(sweep: Sweep) -> bool:
    """Whether a reduced sweep computes nothing: it gives values another place."""
    return sweep.is_reduced and all(assign.value in sweep.loads for assign in sweep.body)


def results(sweep: Sweep) -> tuple[Named, ...]:
    """What the function of a sweep returns: all that is handed on but what it was given."""
    loads = set(sweep.loads)
    return tuple(result for result in sweep.results if result not in loads)


def given(sweep: Sweep) -> tuple[Named, ...]:
    """What the function of a sweep takes: the loads with which it computes, but not those that are only added up."""
    used = {x for assign in sweep.body for x in symbols(assign.value)}
    return tuple(load for load in sweep.loads if load in used)


def _function(kernel: Kernel, uses: Sequence[tuple[Branch, int, Step]]) -> Function:
    branch, number, step = uses[0]
    sweep = step.sweep
    where = f" where {text(branch.when)}" if branch.when != S.true else " otherwise"
    where *= len(uses) < len(kernel.branches)
    place = f" before sweep {number}" if sweep.is_reduced else f" in sweep {number}"
    if sweep.is_reduced and number == len([r for r in rounds(kernel) if any(r.whole)]):
        place = " after the last sweep"
    place *= not is_simple(kernel)
    new = [f"the new {listed([slot.name for slot in sweep.stores])}"] if sweep.stores else []
    stored = {slot.next for slot in sweep.stores}
    others = [text(x) for x in results(sweep) if x not in stored]
    what = f"One {sweep.space.value}{place}{where}: {', and '.join([*new, *([listed(others)] if others else [])])}."
    parameters = tuple(map(name, (*given(sweep), *needed(kernel, sweep))))
    body: tuple[Statement, ...] = (*map(Compute, sweep.body), Return(_names(results(sweep))))
    return Function("reduced" if sweep.is_reduced else "element", step.name, parameters, what, body)


def _names(symbols: Sequence[Named]) -> tuple[Name, ...]:
    return tuple(Name(name(symbol)) for symbol in symbols)


def called(kernel: Kernel, step: Step, values: Iterable[Expression], targets: Sequence[Name | Item]) -> Assign:
    """A position becomes what its function makes of the values that it is given and of the scalars."""
    arguments = (*values, *_names(needed(kernel, step.sweep)))
    return Assign(tuple(targets), Call(step.name, arguments))


def position(
    kernel: Kernel, branch: Branch, step: Step, place: Callable[[str], Item], argument: Callable[[Named], Expression]
) -> list[Assign]:
    """A position of a reduced sweep: what it leaves has a place in an array, each load is an argument."""
    sweep = step.sweep
    arrays = {result: array_of(result, branch) for result in sweep.keeps}
    arrays |= {slot.next: slot.name for slot in sweep.stores}
    stored = {x: place(array) for x, array in arrays.items()}
    if is_copying(sweep):
        values = {slot.next: slot.next for slot in sweep.stores} | {a.target: a.value for a in sweep.body}
        return [Assign((stored[target],), argument(value)) for target, value in values.items()]
    targets = [stored.get(result) or Name(name(result)) for result in results(sweep)]
    return [called(kernel, step, map(argument, given(sweep)), targets)]


GROUP = Name("group")
"""Which row of scalars holds for a tensor: parameters that have hyperparameters in common are a group."""


def scalars_used(
    kernel: Kernel, sweeps: Sequence[Sweep], group: Expression, *, branch: bool = False
) -> tuple[Assign, ...]:
    """Statements that give the scalars that some sweeps use their names, and the branch where it matters."""
    used = {symbol for sweep in sweeps if not is_copying(sweep) for symbol in needed(kernel, sweep)}
    used |= {BRANCH} if branch else set()
    values = [item("scalars", group, Number(k)) for k in range(len(kernel.arguments))]
    return tuple(
        assign(argument.name, Cast(value, "index") if argument == BRANCH else value)
        for argument, value in zip(kernel.arguments, values, strict=True)
        if argument in used
    )


def differ(blocks: Sequence[tuple[Statement, ...]]) -> bool:
    """Whether it matters which branch is taken."""
    return any(block != blocks[0] for block in blocks)


def by_branch(blocks: Sequence[tuple[Statement, ...]]) -> tuple[Statement, ...]:
    """Statements of which a branch runs its own only."""
    *others, last = blocks
    if all(block == last for block in others):
        return last
    cases = ((Binary(Name(BRANCH.name), "==", Number(k)), block) for k, block in enumerate(others))
    return (Choose((*cases, (None, last))),)


# What loops of both machines have in common ---------------------------------------------------------------------------


def nothing(reduce: Reduce) -> Number:
    """What a total is before anything is added."""
    return Number(0.0 if reduce.how == "sum" else -inf)


def started(reduce: Reduce) -> Assign:
    """A total before anything is added, with what it will be in words."""
    return assign(reduce.target.name, nothing(reduce), reduce.what)


SPAN = ("lines", "count", "first_row", "first_column", "matrix_rows", "line_before", "parts_begin")
"""What is known of a chunk that is visited row by row, in the order in which tables have it."""


def keys(kernel: Kernel, draw: Draw) -> tuple[Expression, Expression, Expression]:
    """What a draw is keyed by: the step, its seed and its stream."""
    seed = Number(1 + kernel.seeds.index(draw.node.seed))
    return item("keys", GROUP, ZERO), item("keys", GROUP, seed), Number(draw.node.stream)


def product(factors: Sequence[Expression]) -> Expression:
    """A product in float64."""
    first, *others = (Cast(factor, "float64") for factor in factors)
    return Binary(first, "*", *others) if others else first


_BEFORE, _ROWS = Name("line_before"), Name("matrix_rows")


def matrix_of(line: Expression) -> Expression:
    """Of the matrices of a tensor, the one in which a row of a chunk lies."""
    return Binary(plus(_BEFORE, line), "//", _ROWS)


def first_matrix() -> Expression:
    """Of the matrices of a tensor, the one in which the first row of a chunk lies."""
    return Binary(_BEFORE, "//", _ROWS)


def parts_count() -> Expression:
    """How many parts of column totals a chunk leaves: one a column of each matrix that it touches."""
    last = Binary(Binary(plus(_BEFORE, Name("lines")), "-", ONE), "//", _ROWS)
    return Binary(plus(Binary(last, "-", first_matrix()), ONE), "*", Name("count"))


def parts_of_line() -> Expression:
    """Where the parts of column totals begin to which a row adds."""
    before = Binary(Name("matrix"), "-", first_matrix())
    return plus(Name("parts_begin"), Binary(before, "*", Name("count")))
