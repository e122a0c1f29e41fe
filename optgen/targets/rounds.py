"""Kernels of several sweeps: which function does what, and the code between two sweeps over elements.

What a branch does is a round for each of its sweeps over elements: small sweeps prepare it, then it runs; what is small
and comes after the last belongs to a round of its own. ``prepare_k`` has the small sweeps of round k of every branch,
a loop for each; what a position is given and becomes is a function as readable as ``update``. All of it is float64.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sympy import S

from optgen.ir import BRANCH, Branch, Kernel, Reduce, Sweep
from optgen.language.reductions import Extent
from optgen.language.spaces import Space
from optgen.language.symbols import Named, Next
from optgen.language.text import text
from optgen.targets import module
from optgen.targets.module import INDENT, laid_out, listed, needed, spelled
from optgen.targets.printer import CodePrinter

OF = "_of"
"""``trust_of`` is the array of the values called ``trust``."""


@dataclass(frozen=True)
class Step:
    """One sweep with the function that computes one of its positions.

    Parameters
    ----------
    sweep : Sweep
        What is done.
    name : str
        Of the function.
    """

    sweep: Sweep
    name: str


@dataclass(frozen=True)
class Round:
    """What is done for one sweep over elements, or after the last.

    Parameters
    ----------
    number : int
        Of the sweep, from 0.
    small : tuple of tuple of Step
        For each branch, what is done before it.
    whole : tuple of (Step or None)
        For each branch, the sweep itself, if it has one.
    """

    number: int
    small: tuple[tuple[Step, ...], ...]
    whole: tuple[Step | None, ...]


def is_simple(kernel: Kernel) -> bool:
    """Whether every branch is one sweep over elements, so that there is nothing between sweeps."""
    return all(len(branch.sweeps) <= 1 and not any(s.is_small for s in branch.sweeps) for branch in kernel.branches)


def rounds(kernel: Kernel) -> tuple[Round, ...]:
    """The rounds of a kernel, those of all its branches side by side."""
    known: dict[object, str] = {}
    suffixes = [f"_{k}" * (len(kernel.branches) > 1) for k in range(len(kernel.branches))]
    branches = [_rounds(*pair, known) for pair in zip(kernel.branches, suffixes, strict=True)]
    nothing: tuple[tuple[Step, ...], Step | None] = ((), None)
    made = []
    for number in range(max(map(len, branches))):
        of_branch = [branch[number] if number < len(branch) else nothing for branch in branches]
        made.append(Round(number, tuple(small for small, _ in of_branch), tuple(whole for _, whole in of_branch)))
    return tuple(made)


def _rounds(branch: Branch, suffix: str, known: dict[object, str]) -> list[tuple[tuple[Step, ...], Step | None]]:
    """The rounds of one branch; what an earlier one has a function for it does by that."""
    found: list[tuple[tuple[Step, ...], Step | None]] = []
    small: list[Step] = []
    numbers: Counter[Space] = Counter()
    for sweep in branch.sweeps:
        kind = sweep.space.value if sweep.is_small else "update"
        code = (sweep.space, sweep.loads, sweep.body, results(sweep))
        step = Step(sweep, known.setdefault(code, f"{kind}{suffix}_{numbers[sweep.space]}"))
        numbers[sweep.space] += 1
        if sweep.is_small:
            small.append(step)
        elif sweep.results:  # where nothing changes there is nothing to do
            found.append((tuple(small), step))
            small = []
    return [*found, (tuple(small), None)] if small else found


def arrays(kernel: Kernel) -> dict[str, str]:
    """What its sweeps leave for each other, and what there is one value for: ``{"acc0": "chunk", "c1": "tensor"}``."""
    found: dict[str, str] = {}
    for sweep in kernel.sweeps:
        found |= {name(x): x.space.value for x in sweep.keeps if sweep.is_small}
        for reduce in sweep.reduces if not sweep.is_small else ():
            kinds = {Space.TENSOR: "chunk", Space.COL: "part", Space.ROW: "row"}
            found[name(reduce.target)] = kinds[reduce.target.space]
    return found


def kept(kernel: Kernel) -> tuple[Named, ...]:
    """The values of elements that are kept from one sweep to the next, in the order of their columns."""
    return tuple(dict.fromkeys(x for sweep in kernel.sweeps if not sweep.is_small for x in sweep.keeps))


def name(symbol: Named) -> str:
    """The variable of a symbol."""
    return spelled([symbol])


def taken(kernel: Kernel, steps: Sequence[tuple[Step, ...]]) -> tuple[str, ...]:
    """The arrays that sweeps read or write, by name and each once: the parameters that their kernel takes.

    Parameters
    ----------
    kernel : Kernel
        Whose sweeps.
    steps : sequence of tuple of Step
        For each branch, those that are done.
    """
    found: dict[str, None] = {}
    for branch, of_branch in zip(kernel.branches, steps, strict=True):
        known = totals(branch)
        for sweep in (step.sweep for step in of_branch):
            for load in sweep.reads if sweep.is_small else sweep.given:
                source = known[load].factors[0] if load in known else load
                found[holder(load if source.space is Space.ELEM else source, branch)] = None
            written = (*(slot.next for slot in sweep.stores), *sweep.keeps) if sweep.is_small else ()
            found |= {holder(x, branch): None for x in written}
            found |= {slot.name: None for slot in sweep.stores if sweep.is_small}
            found |= {name(reduce.target): None for reduce in sweep.reduces if not sweep.is_small}
    return tuple(found)


def totals(branch: Branch) -> dict[Named, Reduce]:
    """The totals of a branch."""
    return {reduce.target: reduce for sweep in branch.sweeps for reduce in sweep.reduces}


def holder(symbol: Named, branch: Branch) -> str:
    """The name of the array of a small value: a state's new value is kept apart while its old one is needed."""
    if not isinstance(symbol, Next):
        return name(symbol)
    apart = any(symbol in sweep.keeps for sweep in branch.sweeps)
    return name(symbol) if apart else str(symbol.of.name)


def slot_of(symbol: Named) -> Named:
    """What holds a value of elements: a slot holds its new value once that has been stored."""
    return symbol.of if isinstance(symbol, Next) else symbol


def is_by_rows(sweeps: Sequence[Sweep]) -> bool:
    """Whether sweeps over elements must know in which row and column each one is."""
    spaces = {x.space for sweep in sweeps for x in (*sweep.given, *(reduce.target for reduce in sweep.reduces))}
    return bool(spaces & {Space.ROW, Space.COL})


def is_used(name: str, blocks: Sequence[Sequence[str]]) -> bool:
    """Whether a name stands in lines of code."""
    return any(re.search(rf"\b{name}\b", line) for block in blocks for line in block)


# Functions -----------------------------------------------------------------------------------------------------------


def functions(kernel: Kernel, element: CodePrinter, host: CodePrinter, small: str) -> list[str]:
    """For every sweep that computes anything, the function that computes one position; equal ones have the same.

    Parameters
    ----------
    kernel : Kernel
        Whose sweeps.
    element, host : CodePrinter
        What prints functions of elements, and those of small values.
    small : str
        How the latter are decorated.
    """
    found: dict[str, list[tuple[Branch, int, Step]]] = {}
    for number, branch in enumerate(kernel.branches):
        for round_ in rounds(kernel):
            for step in (*round_.small[number], round_.whole[number]):
                if step is not None and step.sweep.body and not is_copying(step.sweep):
                    found.setdefault(step.name, []).append((branch, round_.number, step))
    return [
        _function(kernel, uses, *((host, small) if uses[0][2].sweep.is_small else (element, "per_element")))
        for uses in found.values()
    ]


def is_copying(sweep: Sweep) -> bool:
    """Whether a small sweep computes nothing: it gives values another place."""
    return sweep.is_small and all(assign.value in sweep.loads for assign in sweep.body)


def results(sweep: Sweep) -> tuple[Named, ...]:
    """What the function of a sweep returns: all that is handed on but what it was given."""
    return tuple(result for result in sweep.results if result not in sweep.loads)


def _function(kernel: Kernel, uses: Sequence[tuple[Branch, int, Step]], code: CodePrinter, decorator: str) -> str:
    branch, number, step = uses[0]
    sweep = step.sweep
    where = f" where {text(branch.when)}" if branch.when != S.true else " otherwise"
    where *= len(uses) < len(kernel.branches)
    place = f"before sweep {number}" if sweep.is_small else f"in sweep {number}"
    if sweep.is_small and number == len([r for r in rounds(kernel) if any(r.whole)]):
        place = "after the last sweep"
    new = [f"the new {listed([slot.name for slot in sweep.stores])}"] if sweep.stores else []
    others = [text(x) for x in results(sweep) if x not in {slot.next for slot in sweep.stores}]
    what = f"One {sweep.space.whole} {place}{where}: {', and '.join([*new, *([listed(others)] if others else [])])}."
    body = [module.assignment(assign, code) for assign in sweep.body]
    arguments = spelled([*sweep.loads, *needed(kernel, sweep)])
    return module.function(decorator, step.name, arguments, what, [*body, f"return {spelled(results(sweep))}"])


def scalars_used(kernel: Kernel, sweeps: Sequence[Sweep], blocks: Sequence[Sequence[str]]) -> list[str]:
    """Lines that give the scalars that some sweeps use their names, and the branch where it makes a difference."""
    used = {symbol for sweep in sweeps if not is_copying(sweep) for symbol in needed(kernel, sweep)}
    if any(block != blocks[0] for block in blocks):
        used.add(BRANCH)
    return [f"{argument.name} = scalars[{k}]" for k, argument in enumerate(kernel.arguments) if argument in used]


def by_branch(blocks: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of which a branch runs its own only."""
    if all(block == blocks[0] for block in blocks):
        yield from blocks[0]
        return
    for number, block in enumerate(blocks):
        word = "if" if number == 0 else "elif"
        yield "else:" if number == len(blocks) - 1 else f"{word} {BRANCH.name} == {number}:"
        yield from (INDENT + line for line in block or ["pass"])


# Between sweeps ------------------------------------------------------------------------------------------------------


def prepare(kernel: Kernel, round_: Round, used: set[str]) -> str | None:
    """The function that does the small sweeps of a round; the functions for totals that it calls are noted."""
    sweeps = [step.sweep for steps in round_.small for step in steps]
    if not sweeps:
        return None
    blocks = [
        [line for step in steps for line in _Loop(kernel, branch, step, totals(branch), used).lines()]
        for branch, steps in zip(kernel.branches, round_.small, strict=True)
    ]
    arguments = ", ".join(["at", "scalars", *(array + OF for array in taken(kernel, round_.small))])
    what = f"Prepare sweep {round_.number}" if any(round_.whole) else "Finish the step"
    body = [*scalars_used(kernel, sweeps, blocks), *by_branch(blocks)]
    return module.function(
        "on_host", prepare_name(round_), arguments, f"{what}: all that varies over less than elements.", body
    )


def prepare_name(round_: Round) -> str:
    """What the function is called that does the small sweeps of a round."""
    return f"prepare_{round_.number}"


_INDEX = {Space.GROUP: "0", Space.TENSOR: "j"}
_BOUNDS = {Space.ROW: "at.rows", Space.COL: "at.columns", Space.ELEM: "at.chunks"}
_SPREAD = {
    (Space.ELEM, Space.COL): ("column_totals", "column_largest"),
    (Space.ROW, Space.COL): ("rows_in_columns", "rows_in_columns_largest"),
    (Space.COL, Space.ROW): ("columns_in_rows", "columns_in_rows_largest"),
}


@dataclass(frozen=True)
class _Loop:
    """The loop of one small sweep."""

    kernel: Kernel
    branch: Branch
    step: Step
    known: dict[Named, Reduce]
    used: set[str]

    def lines(self) -> Iterator[str]:
        """The loop as lines of code."""
        space, loads = self.step.sweep.space, self.step.sweep.reads
        if not (self.step.sweep.body or self.step.sweep.stores):  # it is only about totals of what is there
            return
        outside = [line for load in loads if load.space is Space.GROUP for line in self.combined(load)]
        if space is Space.GROUP:
            yield from outside
            yield from self.call("0")
            return
        yield from outside
        yield "for j in at.tensors:"
        inside = [line for load in loads if load.space is not Space.GROUP for line in self.combined(load)]
        if space is Space.TENSOR:
            inside += self.call("j")
        else:
            bounds = _BOUNDS[space]
            inside += [f"begin = {bounds}[j]", f"for i in range({bounds}[j + 1] - begin):"]
            inside += textwrap.indent("\n".join(self.call("begin + i")), INDENT).splitlines()
        yield from (INDENT + line for line in inside)

    def combined(self, load: Named) -> list[str]:
        """The line that makes a total of what it is a total of, if it has not been made yet."""
        reduce = self.known.get(load)
        if reduce is None:
            return []
        of, to, most = reduce.factors[0].space, load.space, reduce.how == "max"
        source = (holder(reduce.factors[0], self.branch) if of is not Space.ELEM else name(load)) + OF
        if to is Space.GROUP:
            return [f"{name(load)} = {self.runtime('max_over' if most else 'sum_over')}({source}, at.tensors)"]
        if to is Space.TENSOR:
            function = self.runtime("max_of" if most else "sum_of")
            return [f"{name(load)} = {function}({source}, {_BOUNDS[of]}[j], {_BOUNDS[of]}[j + 1])"]
        if (of, to) in _SPREAD:
            return [f"{name(load)} = {self.runtime(_SPREAD[of, to][most])}({source}, at, j)"]
        return []

    def runtime(self, function: str) -> str:
        """The name of a function of the runtime, which the module must import."""
        self.used.add(function)
        return function

    def call(self, index: str) -> list[str]:
        """One position: its results become those of its function."""
        sweep = self.step.sweep
        given = [self.argument(load, index) for load in sweep.loads]
        stored = {result: f"{holder(result, self.branch)}{OF}[{index}]" for result in sweep.keeps}
        stored |= {slot.next: f"{slot.name}{OF}[{index}]" for slot in sweep.stores}
        if is_copying(sweep):
            values = {slot.next: slot.next for slot in sweep.stores} | {a.target: a.value for a in sweep.body}
            return [f"{stored[target]} = {self.argument(value, index)}" for target, value in values.items()]
        targets = ", ".join(stored.get(result, name(result)) for result in results(sweep))
        arguments = [*given, *(argument.name for argument in needed(self.kernel, sweep))]
        return laid_out(f"{targets} = {self.step.name}(", arguments, ")").splitlines()

    def argument(self, load: Named, index: str) -> str:
        reduce, space = self.known.get(load), load.space
        if isinstance(load, Extent):
            return f"{load.name}{OF}[j]"
        if reduce is not None and (reduce.factors[0].space, space) != (Space.ELEM, Space.ROW):
            return name(load) if space in _INDEX else f"{name(load)}[i]"
        return f"{holder(load, self.branch)}{OF}[{_INDEX.get(space, index)}]"
