"""Where the values of each tensor stand, as one array of integers that a kernel on a GPU can look things up in.

Its first entries say where its parts begin, or are counts; `placed_on_device` fills it, and the functions of
`optgen.runtime.cuda.totals` read it. After them comes where each array of small values begins among all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optgen.runtime.core.program import Array
from optgen.runtime.core.table import EXTENTS, Cuts

TENSORS, N_TENSORS, CHUNKS, ROWS, COLUMNS, N_ROWS, N_COLS, PARTS = range(8)
TENSOR_OF_ROW, TENSOR_OF_COLUMN, N_VISITED_ROWS, N_VISITED_COLUMNS, GROUPS = range(8, 13)
VISITED_ROWS, VISITED_COLUMNS, FAMILIES, SMALL = range(13, 17)
"""What the entries are: the fields of `optgen.runtime.core.table.At`, the tensor of each row and column, those of the
tensors that take part, and how many they are; at `SMALL` begin the places of small values, in the order of their
names."""


def at_once(lines: int, threads: int, blocks: int) -> int:
    """For how many of the rows, or columns, of a model a block of threads is, if so many blocks are enough work."""
    found = 1
    while found < threads and found * blocks < lines:
        found *= 2
    return found


def blocks_of(lines: int, threads: int, blocks: int) -> int:
    """Blocks of threads for so many rows, or columns."""
    return -(-lines // at_once(lines, threads, blocks))


def names_of_small(small_states: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The names of all small values of a program, in the order of their places: first those that every program has."""
    return (*EXTENTS, *dict.fromkeys((*small_states, *values)))


def placed_on_device(cuts: Cuts, sizes: Sequence[int]) -> Array:
    """The array of integers for a model that has so many small values of each name: the entries above, and the rest."""
    at = cuts.at
    tensors = np.arange(len(at.rows) - 1)
    rows, columns = those(at.rows, at.tensors), those(at.columns, at.tensors)
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
        TENSOR_OF_ROW: np.repeat(tensors, np.diff(at.rows)),
        TENSOR_OF_COLUMN: np.repeat(tensors, np.diff(at.columns)),
        VISITED_ROWS: rows,
        VISITED_COLUMNS: columns,
    }
    head = np.zeros(SMALL + len(sizes), np.int64)
    head[N_TENSORS], head[N_VISITED_ROWS], head[N_VISITED_COLUMNS] = len(at.tensors), len(rows), len(columns)
    head[SMALL:] = np.cumsum([0, *sizes])[:-1]
    begin = len(head)
    for entry, part in parts.items():
        head[entry] = begin
        begin += len(part)
    return np.concatenate([head, *parts.values()]).astype(np.int64)


def those(bounds: Array, tensors: Array) -> Array:
    """The rows, or the columns, of some tensors, given where those of each begin."""
    return np.concatenate([np.arange(0), *(np.arange(bounds[j], bounds[j + 1]) for j in tensors.tolist())])
