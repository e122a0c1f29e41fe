"""The table that lets one launch serve every tensor: a row a chunk, a column a slot.

A row holds a count of elements, the address of the chunk's first element in theta, the gradient and each state, whose
hyperparameters are used, and where that element stands: in which tensor, and how many of its elements are before it.
Tensors are cut into chunks of at most `CHUNK` elements, and rows are dealt out in tasks of about equal work, so that a
thousand small tensors and one large one keep all threads busy alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt, prod
from typing import NamedTuple

import numpy as np

from optgen.runtime.core.program import Array

CHUNK = 16_384
"""Elements in a chunk: small enough to balance, large enough that a row costs nothing."""
ROW_COST = 64
"""What starting a row costs, in elements."""
GRADIENT = 1
"""The gradient's slot in a table, which alone may lie elsewhere at each step: theta is 0, the states follow."""
EXTENTS = ("numel", "n_rows", "n_cols")
"""What is known of every tensor."""


@dataclass(frozen=True, eq=False)
class Table:
    """The chunks of tensors of one dtype. `tabulate` makes one."""

    # int64 (chunks, 1 + slots + 3): count of elements, then the address in each slot, then group, tensor and first
    # element
    rows: Array
    # int64: boundaries of runs of rows with about a chunk's work each: run k is ``rows[tasks[k]:tasks[k + 1]]``
    tasks: Array
    task: Array  # int64: the same of one run of all rows
    elements: int  # how many there are in all chunks
    tensor: Array  # int64 (chunks,): of which tensor each row is a chunk
    offsets: Array  # int64 (slots, chunks): how many bytes into it, in each slot
    # int64 (chunks, 8): where each chunk leaves what it adds up, and where it stands in its matrices; see `spanning`
    spans: Array


def tabulate(
    starts: Array,
    sizes: Array,
    itemsizes: int | Sequence[int],
    cuts: Cuts | None = None,
    groups: Array | None = None,
    *,
    firsts: Array | None = None,
) -> Table:
    """Cut tensors into chunks; one without elements gets none.

    Given are, int64 all, the address of each tensor's first element in each slot (slots, tensors), how many elements
    each tensor has, and bytes of an element, in each slot if they differ; for a program that adds up, where to cut. The
    groups say which row of scalars holds for each tensor, the first unless given; ``firsts`` with which element of a
    whole each begins, of which it is a part, for what is drawn by where an element stands.
    """
    if cuts is None:
        tensor, begin, counts = _chunks(sizes)
        spans = np.empty((len(tensor), 0), np.int64)
    else:
        mine = np.flatnonzero(sizes[cuts.tensor] > 0)
        tensor, begin, counts, spans = cuts.tensor[mine], cuts.begin[mine], cuts.count[mine], cuts.spans[mine]
    rows = np.zeros((len(tensor), 1 + len(starts) + 3), np.int64)
    rows[:, 0], rows[:, -2], rows[:, -1] = counts, tensor, begin
    if firsts is not None:
        rows[:, -1] += firsts[tensor]
    rows[:, -3] = 0 if groups is None else groups[tensor]
    offsets = begin * np.broadcast_to(itemsizes, len(starts))[:, None]
    rows[:, 1:-3] = (starts[:, tensor] + offsets).T
    return Table(rows, shared_out(counts), np.array([0, len(tensor)]), int(sizes.sum()), tensor, offsets, spans)


def _chunks(sizes: Array, chunk: int = CHUNK) -> tuple[Array, Array, Array]:
    """Of each chunk: its tensor, its first element there, and how many it has."""
    chunks = -(-sizes // chunk)
    tensor = np.repeat(np.arange(len(sizes)), chunks)
    first = np.repeat(np.cumsum(chunks) - chunks, chunks)
    begin = (np.arange(len(tensor)) - first) * chunk
    return tensor, begin, np.minimum(chunk, sizes[tensor] - begin)


def shared_out(counts: Array) -> Array:
    """Deal out what has so many elements in runs of about a chunk's work each: where they begin, and the last ends."""
    cost = counts + ROW_COST
    end = np.cumsum(cost)
    total = int(end[-1]) if len(end) else 0
    number = max(1, round(total / (CHUNK + ROW_COST)))
    # A row belongs to the task in whose share of the work its middle lies.
    inner = np.searchsorted(end - cost / 2, np.arange(1, number) * (total / number))
    return np.unique(np.concatenate(([0], inner, [len(counts)]))).astype(np.int64)


# Where totals are made -----------------------------------------------------------------------------------------------


class At(NamedTuple):
    """Where the values of each tensor stand, in arrays that hold those of all tensors one after another."""

    tensors: Array  # int64: the tensors that have elements and take part
    groups: Array  # int64 (tensors,): which row of scalars holds for each
    families: Array  # int64 (tensors,): of which parameter group each is; those of one stand together
    # int64 (tensors + 1,): where those of each tensor begin, and where the last end
    chunks: Array
    rows: Array
    columns: Array
    # int64 (tensors,): the shape of the matrices of each tensor
    n_rows: Array
    n_cols: Array
    # int64 (chunks, 3): of each chunk: where what it added up for columns begins, how many they are, and the column
    # that is the first, counted within its tensor
    parts: Array


@dataclass(frozen=True, eq=False)
class Cuts:
    """The chunks of all tensors of a model, for programs that add up. `cut` and `spanning` make one."""

    # int64 (chunks,): of each chunk: its tensor, its first element there, and how many it has
    tensor: Array
    begin: Array
    count: Array
    # int64 (chunks, 8): where each leaves what it adds up, and where it stands in its matrices; see `spanning`
    spans: Array
    at: At  # where the values of each tensor stand
    # How many values there are of each kind: one a ``"chunk"``, a ``"part"`` (a column of a chunk), a ``"row"``, a
    # ``"column"``, a ``"tensor"``, and a ``"model"``
    sizes: Mapping[str, int]
    # arrays of float64, shape (tensors,): ``numel``, ``n_rows`` and ``n_cols``
    extents: Mapping[str, Array]

    def visiting(self, groups: Array) -> Cuts:
        """The same for a step in which some tensors take part: of each the row of scalars that holds; -1 for others."""
        tensors = self.at.tensors[groups[self.at.tensors] >= 0]
        return replace(self, at=self.at._replace(tensors=tensors, groups=groups))

    def of_families(self, families: Sequence[int]) -> Cuts:
        """The same, with the parameter group of each tensor."""
        return replace(self, at=self.at._replace(families=np.array(families, np.int64)))

    def as_parts(self, wholes: Sequence[tuple[int, ...]]) -> Cuts:
        """The same where the tensors are parts of some of other shapes, which may have elements elsewhere only."""
        extents = _extents(wholes)
        return replace(self, at=self.at._replace(tensors=np.flatnonzero(extents[0])), extents=_named(extents))

    @property
    def bounds(self) -> Mapping[str, Array]:
        """Of each kind, where the values of each tensor begin, and where the last end; one is for the whole model."""
        of_tensors = np.arange(self.sizes["tensor"] + 1)
        return {"row": self.at.rows, "column": self.at.columns, "tensor": of_tensors, "model": np.arange(2)}


def cut(
    shapes: Sequence[tuple[int, ...]], *, by_rows: bool = False, by_columns: bool = False, chunk: int = CHUNK
) -> Cuts:
    """Cut the tensors of a model into chunks of so many elements at most.

    By rows, they are of whole rows of matrices, however long, as they must be where something is added up over one or
    varies with it. By columns too, if something is added up over these, they have as many rows as `tall` says, where
    there are so many, so that what they leave behind is little beside what they read.
    """
    sizes, n_rows, n_cols = _extents(shapes)
    if by_rows:
        return spanning(shapes, *_whole_rows(sizes, n_rows, n_cols, chunk, by_columns=by_columns))
    return spanning(shapes, *_chunks(sizes, chunk))


def tall(chunk: int, width: int) -> int:
    """How many rows of a wide matrix a chunk has that is to be of so many elements: a quarter of a square's.

    Where it would have sixteen times as many, it has fewer rows, down to a quarter: it would keep others waiting.
    """
    most = isqrt(chunk) // 4
    return min(max(16 * chunk // width, most // 4, 1), most)


def spanning(shapes: Sequence[tuple[int, ...]], tensor: Array, begin: Array, count: Array) -> Cuts:
    """Say what chunks span.

    The span of a chunk is its number, how many rows of matrices it has and of how many elements each is, the number
    of its first row among those of all tensors, that of the first column of its tensor, how many rows a matrix has, the
    number of its first row in its tensor, and where it leaves what it adds up for columns.

    Of each chunk there is its tensor, its first element there and how many it has, int64 all. Chunks come in order, and
    all elements are in one of them.
    """
    sizes, n_rows, n_cols = _extents(shapes)
    matrices = np.array([prod(shape[:-2]) for shape in shapes], np.int64)
    rows, columns = _bounds(matrices * n_rows), _bounds(matrices * n_cols)  # there may be some without elements
    width = np.maximum(n_cols, 1)[tensor]
    line, height = begin // width, np.maximum(n_rows, 1)[tensor]
    matrix, last = line // height, (begin + count - 1) // width // height
    parts = (last - matrix + 1) * width
    part = _bounds(parts)
    spans = np.stack(
        [np.arange(len(tensor)), count // width, width, rows[tensor] + line, columns[tensor], height, line, part[:-1]],
        axis=1,
    )
    of_parts = np.stack([part[:-1], parts, matrix * width], axis=1)
    chunks = _bounds(np.bincount(tensor, minlength=len(shapes)))
    one = np.zeros(len(shapes), np.int64)
    at = At(np.flatnonzero(sizes), one, one, chunks, rows, columns, n_rows, n_cols, of_parts)
    totals = {"chunk": len(tensor), "part": part[-1], "row": rows[-1], "column": columns[-1]}
    return Cuts(
        tensor, begin, count, spans.astype(np.int64), at,
        {**{kind: int(size) for kind, size in totals.items()}, "tensor": len(shapes), "model": 1},
        _named((sizes, n_rows, n_cols)),
    )  # fmt: skip


def _extents(shapes: Sequence[tuple[int, ...]]) -> tuple[Array, Array, Array]:
    """Of each tensor: its elements, the rows of its matrices, and their columns."""
    each = [(prod(shape), *(1, 1, *shape)[-2:]) for shape in shapes]
    sizes, n_rows, n_cols = np.array(each, np.int64).reshape(-1, 3).T.copy()
    return sizes, n_rows, n_cols


def _named(extents: tuple[Array, Array, Array]) -> dict[str, Array]:
    return {name: its.astype(np.float64) for name, its in zip(EXTENTS, extents, strict=True)}


def _bounds(sizes: Array) -> Array:
    """Where runs of some sizes begin that lie one after another, and where the last ends."""
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _whole_rows(
    sizes: Array, n_rows: Array, n_cols: Array, chunk: int, *, by_columns: bool
) -> tuple[Array, Array, Array]:
    """Chunks of whole rows: several matrices, or a part of one, of so many rows at least."""
    found: list[tuple[int, int, int]] = []
    for tensor, (size, height, width) in enumerate(zip(sizes.tolist(), n_rows.tolist(), n_cols.tolist(), strict=True)):
        if size == 0:
            continue
        fitting = max(chunk // width, min(tall(chunk, width), height) if by_columns else 1, 1)
        step = fitting // height * height if fitting >= height else fitting
        whole = step if fitting >= height else height  # a chunk ends where a run of matrices, or one, does
        for run in range(0, size // width, whole):
            end = min(run + whole, size // width)
            found += [(tensor, k * width, (min(k + step, end) - k) * width) for k in range(run, end, step)]
    table = np.array(found, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
