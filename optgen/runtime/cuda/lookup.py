"""Where the values of each tensor stand, as one array of integers that a kernel on a GPU can look things up in.

Its first entries say where its parts begin, or are counts; `lookup_table` fills it, and the functions of
`optgen.runtime.cuda.totals` read it. After them comes where each array of reduced values begins among all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optgen.runtime.core.program import Array
from optgen.runtime.core.table import EXTENTS, At, Cuts

TENSORS, N_TENSORS, CHUNKS, ROWS, COLUMNS, N_ROWS, N_COLS, PARTS, GROUPS, FAMILIES = range(10)
BLOCKS_OF_ROWS, BLOCKS_OF_COLUMNS, REDUCED = range(10, 13)
"""What the entries are: the fields of `optgen.runtime.core.table.At`, how many tensors take part, and for which rows or
columns each block of a launch over these is; from `REDUCED` on stands where the reduced values of each name begin,
in the order of their names."""
TENSOR, FIRST, COUNT, POWER = range(4)
"""What is known of such a block: its tensor, the first row, how many there are, and the power of two of those for which
it has room: the threads that are left share them."""


def names_of_reduced(reduced_states: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The names of all reduced values of a program, in their order: first those that every program has."""
    return (*EXTENTS, *dict.fromkeys((*reduced_states, *values)))


def row_blocks(at: At, threads: int, each: int) -> Array:
    """The blocks of threads for the rows of those tensors that take part: int64 (blocks, 4).

    So many threads share a row that each has so many elements of it, or a whole block does.
    """
    return _blocks(at.tensors, at.rows, at.n_cols, threads, each)


def column_blocks(at: At, threads: int, each: int) -> Array:
    """The same for columns."""
    return _blocks(at.tensors, at.columns, at.n_rows, threads, each)


def _blocks(tensors: Array, bounds: Array, lengths: Array, threads: int, each: int) -> Array:
    shared = np.clip(lengths[tensors] // each, 1, threads)
    powers = int(np.log2(threads)) - np.log2(shared).astype(np.int64)
    first, room = bounds[tensors], 1 << powers
    count = -(-(bounds[tensors + 1] - first) // room)
    of = np.repeat(np.arange(len(tensors)), count)
    begin = first[of] + (np.arange(len(of)) - (np.cumsum(count) - count)[of]) * room[of]
    left = bounds[tensors + 1][of] - begin
    return np.stack([tensors[of], begin, np.minimum(left, room[of]), powers[of]], axis=1).astype(np.int64)


def lookup_table(cuts: Cuts, sizes: Sequence[int], threads: int, each: int) -> Array:
    """The array of integers for a model that has so many reduced values of each name: the entries above, and the rest.

    The other arguments are those of `row_blocks`.
    """
    at = cuts.at
    parts = {
        TENSORS: at.tensors,
        GROUPS: at.groups,
        FAMILIES: at.families,
        CHUNKS: at.chunks,
        ROWS: at.rows,
        COLUMNS: at.columns,
        N_ROWS: at.n_rows,
        N_COLS: at.n_cols,
        PARTS: at.parts.reshape(-1),
        BLOCKS_OF_ROWS: row_blocks(at, threads, each).reshape(-1),
        BLOCKS_OF_COLUMNS: column_blocks(at, threads, each).reshape(-1),
    }
    head = np.zeros(REDUCED + len(sizes), np.int64)
    head[N_TENSORS] = len(at.tensors)
    head[REDUCED:] = np.cumsum([0, *sizes])[:-1]
    begin = len(head)
    for entry, part in parts.items():
        head[entry] = begin
        begin += len(part)
    return np.concatenate([head, *parts.values()]).astype(np.int64)
