"""What kernels are given: arrays and where they are in them, as expressions of a few symbols, for one of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
from sympy import Dummy, Expr, S, expand

from optgen.language.reductions import REDUCTION, n_cols, n_rows, numel
from optgen.language.spaces import Space
from optgen.language.sums import plain
from optgen.language.symbols import Hyper
from optgen.verify.translation.meaning import Whole

EXTENTS: Mapping[str, Expr] = {x.name: x for x in (numel, n_rows, n_cols)}
"""What the runtime knows of every tensor."""


@dataclass(frozen=True)
class StepKernel:
    """What a step launches."""

    over: str  # what it visits; "reduced" if that is all there is between two sweeps, one thing after another
    function: str  # what does it
    # The arrays of reduced values that it is given, one after another; None if they are all in one place
    takes: tuple[str, ...] | None = None
    # The arrays that hold totals after it, whole in what it visits: how they are made, and of what
    totals: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """What PROGRAM says of memory, and what a step launches."""

    columns: tuple[str, ...]  # the slots in the order of their columns
    # Of which kind each array of reduced values is: ``{"acc0": "chunk", "r": "row"}``, in their order in memory
    kinds: Mapping[str, str]
    launches: tuple[StepKernel, ...]  # in order
    seeds: tuple[Hyper, ...]  # the hyperparameters that the kernels are given as whole numbers, after the step
    in_rounds: bool  # whether chunks know where they are

    @property
    def totals(self) -> frozenset[str]:
        """The arrays that hold totals."""
        return frozenset(name for each in self.launches for name in each.totals)

    @property
    def by_rows(self) -> bool:
        """Whether chunks are cut where rows of matrices end."""
        return not {"row", "column", "part"}.isdisjoint(self.kinds.values())


def totalled(how: str, to: str, of: Expr) -> Expr:
    """A total of elements as the language has it."""
    return REDUCTION[how, Space(to)](of)


# What there is in memory, and where ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spot:
    """The values of an array from one on: one for each of a kind."""

    name: str
    kind: str
    index: Expr = S.Zero


@dataclass(frozen=True)
class Given:
    """What a kernel is given beside numbers and arrays."""

    what: str


@dataclass(frozen=True)
class Total:
    """What is added up of a chunk, a line or the columns of a chunk: by one thread or in a lane or, joined, by all."""

    how: str
    whole: str
    of: Expr | None = None
    joined: bool = False
    # Which loops over elements it has been in, of those that share them: a total in lanes is in the first, that of the
    # rest in the others; all unless it differs
    loops: str = "all"

    def plus(self, value: Expr) -> Total:
        """The total with one more value taken in."""
        if self.of is None:
            return replace(self, of=value)
        return replace(self, of=plain(self.of + value) if self.how == "sum" else sympy.Max(self.of, value))


ELSEWHERE = Given("a value of another element")
"""What stands for values that are not of the element that stands for all."""

(
    COUNT, TENSOR, FIRST, GROUP, CHUNK, LINES, WIDTH, FIRST_ROW, FIRST_COLUMN, MATRIX_ROWS, BEFORE, PARTS,
    LINE, INDEX, THREAD, BLOCK, THREADS, FOURS, VISITED, START, LANES, TEAM, RANK, LINE_OF_COLUMN, END_OF_COLUMN,
) = map(Dummy, (
    "count tensor first_element group chunk lines width first_row first_column matrix_rows line_before parts_begin line"
    " i thread block THREADS fours visited start LANES team rank line_of_column end_of_column"
).split())  # fmt: skip
SPAN = (CHUNK, LINES, WIDTH, FIRST_ROW, FIRST_COLUMN, MATRIX_ROWS, BEFORE, PARTS)
"""What a chunk knows of where it is, in the order in which tables have it."""
ROW = {0: COUNT, -3: GROUP, -2: TENSOR}
"""What a row of the table says of a chunk, on a CPU."""
CHUNKS = (COUNT, TENSOR, FIRST, GROUP, *SPAN)
"""What the table says of a chunk on a GPU."""
MATRIX = Whole(BEFORE + LINE, MATRIX_ROWS)
PARTS_COUNT = (Whole(BEFORE + LINES - 1, MATRIX_ROWS) - Whole(BEFORE, MATRIX_ROWS) + 1) * WIDTH
PART = (MATRIX - Whole(BEFORE, MATRIX_ROWS)) * WIDTH + INDEX
"""Which of the parts of a chunk is that of an element."""
BEGIN, END = ({kind: Dummy(f"{what} {kind}") for kind in ("chunk", "row", "column")} for what in "be")
"""Where the values of a tensor begin in arrays of each kind, and end."""
BOUNDS = {"at.chunks": "chunk", "at.rows": "row", "at.columns": "column"}
"""What says so on a CPU."""
COUNTS = {"row": n_cols, "column": n_rows}
"""For how many elements a value of each kind stands."""
HAS = {kind: sympy.Eq(Dummy(f"which of those for a {kind}"), 0) for kind in COUNTS}
"""On a GPU: whether a thread is the first of those for a row or a column."""
VARYING = frozenset({"element", "column", "part"})
"""What there is another one of for the next element."""


@dataclass(frozen=True)
class Standing:
    """Where code stands."""

    # What is visited: "model", "tensor", "row", "column" or, by a sweep over elements, "chunk", "line", "parts",
    # "run" or "element"
    kind: str
    here: Mapping[str, Expr]  # the places of what belongs to it, by kind
    own: str = ""  # the kind of what may be stored
    count: Expr = COUNT  # how many elements there are of what a sweep visits
    # Which of how many elements stands for all that a thread moves at once
    lane: int = 0
    lanes: int = 1
    alone: bool = True  # whether no other thread does the same
    threads: tuple[Expr, Expr] = (THREAD, THREADS)  # on a GPU: which of those that share it, and how many they are

    def inner(self, kind: str, here: Mapping[str, Expr], **others: Any) -> Standing:
        """Where code stands that visits a part of it."""
        return replace(self, kind=kind, here={**self.here, **here}, **others)


def same(left: Any, right: Expr) -> bool:
    """Whether two integers are equal."""
    return isinstance(left, Expr) and expand(left - right) == 0
