"""Totals on the GPU: what is added up, or the largest, of values that vary over more, in an order that never changes.

A thread adds up what it visits, a team or a warp the sums of its threads by halves, a block the sums of its warps in
turn, and a sweep over what is reduced the sums of all blocks. All of it is float64. Nothing is added by whichever comes
first, so the same model has the same bits on every run.

Reduced values lie in one array, ``reduced``; ``x_of`` is where those called ``x`` begin there. Where the values of a
tensor stand is in ``at``, integers that begin with where each of its parts does; see `optgen.runtime.cuda.lookup`.
"""

from __future__ import annotations

from typing import Any

from optgen.runtime.cuda.lookup import (
    BLOCKS_OF_COLUMNS,
    BLOCKS_OF_ROWS,
    CHUNKS,
    COLUMNS,
    COUNT,
    FAMILIES,
    FIRST,
    N_COLS,
    N_ROWS,
    N_TENSORS,
    PARTS,
    POWER,
    ROWS,
    TENSOR,
    TENSORS,
)
from optgen.runtime.cuda.primitives import (
    THREADS,
    WARP,
    WARPS,
    block,
    from_above,
    inf,
    leave,
    left,
    maximum,
    on_device,
    sync,
    thread,
)

__all__ = [
    "CHUNKS", "COLUMNS", "ROWS", "column_max", "column_sum", "end_of_lines", "first_line", "has_column", "has_row",
    "max_along", "max_down", "max_of_block", "max_of_team", "max_over", "max_over_group", "max_over_tensors",
    "rank_in", "sum_along", "sum_down", "sum_of_block", "sum_of_team", "sum_over", "sum_over_group",
    "sum_over_tensors", "team_of", "tensor_of_block", "tensor_of_column", "tensor_of_row", "visited_column",
    "visited_row",
]  # fmt: skip
"""What generated modules use."""
LONG = 16 * WARP
"""Elements of a row beyond which all threads of a block visit it together, four rounds of one warp."""


# Where a block or a thread stands ------------------------------------------------------------------------------------


@on_device
def tensor_of_block(at: Any) -> Any:
    """The tensor that a block is for: those without elements have none."""
    return at[at[TENSORS] + block()]


@on_device
def _of_rows(at: Any, what: Any) -> Any:
    """What is known of a block that is for rows."""
    return at[at[BLOCKS_OF_ROWS] + 4 * block() + what]


@on_device
def _of_columns(at: Any, what: Any) -> Any:
    """What is known of a block that is for columns."""
    return at[at[BLOCKS_OF_COLUMNS] + 4 * block() + what]


@on_device
def _among(first: Any, count: Any, power: Any) -> Any:
    """The one of consecutive rows or columns that a thread is for, or the last."""
    number = thread() & (1 << power) - 1
    return first + (number if number < count else count - 1)


@on_device
def tensor_of_row(at: Any) -> Any:
    """The tensor of the rows that a block is for."""
    return _of_rows(at, TENSOR)


@on_device
def tensor_of_column(at: Any) -> Any:
    """The tensor of the columns that a block is for."""
    return _of_columns(at, TENSOR)


@on_device
def visited_row(at: Any) -> Any:
    """The row that a thread is for: where rows are long, several share one."""
    return _among(_of_rows(at, FIRST), _of_rows(at, COUNT), _of_rows(at, POWER))


@on_device
def visited_column(at: Any) -> Any:
    """The column that a thread is for: where columns are long, several share one."""
    return _among(_of_columns(at, FIRST), _of_columns(at, COUNT), _of_columns(at, POWER))


@on_device
def has_row(at: Any) -> Any:
    """Whether a thread is the first of those for a row."""
    return thread() < _of_rows(at, COUNT)


@on_device
def has_column(at: Any) -> Any:
    """Whether a thread is the first of those for a column."""
    return thread() < _of_columns(at, COUNT)


@on_device
def team_of(count: Any) -> Any:
    """How many threads of a block share a row: a long one has all, others as many as have four elements each."""
    if count > LONG:
        return THREADS
    team = 1
    while team < WARP and 4 * team < count:
        team *= 2
    return team


@on_device
def rank_in(team: Any) -> Any:
    """Which of its team a thread is."""
    return thread() % team


@on_device
def first_line(matrix: Any, before: Any, matrix_rows: Any) -> Any:
    """Which row of a chunk is the first of a matrix of its tensor: there are so many rows of the tensor before it."""
    line = matrix * matrix_rows - before
    return line if line > 0 else 0


@on_device
def end_of_lines(matrix: Any, before: Any, matrix_rows: Any, lines: Any) -> Any:
    """Which row of a chunk is the first after a matrix, or how many there are."""
    end = (matrix + 1) * matrix_rows - before
    return end if end < lines else lines


# By all threads of a block -------------------------------------------------------------------------------------------


@on_device
def _both(x: Any, y: Any, most: Any) -> Any:
    return maximum(x, y) if most else x + y


@on_device
def _by_halves(x: Any, team: Any, most: Any) -> Any:
    """The total of the threads of a team, which is a warp or an equal part of one; the first is told."""
    distance = team // 2
    while distance > 0:
        other = from_above(x, distance, team)
        x = _both(x, other, most)
        distance //= 2
    return x


@on_device
def _of_block(x: Any, most: Any) -> Any:
    x = _by_halves(x, WARP, most)
    if thread() % WARP == 0:
        leave(thread() // WARP, x)
    sync()
    total = left(0)
    warp = 1
    while warp < WARPS:
        other = left(warp)
        total = _both(total, other, most)
        warp += 1
    sync()
    return total


@on_device
def sum_of_block(x: Any) -> Any:
    """The sum of what the threads of a block have for x; all of them must call, and all are told."""
    return _of_block(x, 0)


@on_device
def max_of_block(x: Any) -> Any:
    """The largest of what the threads of a block have for x, NaN if there is one; all of them must call."""
    return _of_block(x, 1)


@on_device
def _of_team(x: Any, team: Any, most: Any) -> Any:
    return _of_block(x, most) if team > WARP else _by_halves(x, team, most)


@on_device
def sum_of_team(x: Any, team: Any) -> Any:
    """The sum of what the threads of a team have for x; all of them must call, and the first is told."""
    return _of_team(x, team, 0)


@on_device
def max_of_team(x: Any, team: Any) -> Any:
    """The largest of what the threads of a team have for x; all of them must call, and the first is told."""
    return _of_team(x, team, 1)


AT_ONCE = 8
"""Values that a thread loads before it needs the first of them: a load takes as long as fifty additions."""


@on_device
def _by_thread(reduced: Any, begin: Any, end: Any, stride: Any, most: Any) -> Any:
    """The total of values so far apart, by the thread that calls."""
    found = -inf if most else 0.0
    k = begin
    while k + (AT_ONCE - 1) * stride < end:
        a, b, c, d = reduced[k], reduced[k + stride], reduced[k + 2 * stride], reduced[k + 3 * stride]
        k += 4 * stride
        e, f, g, h = reduced[k], reduced[k + stride], reduced[k + 2 * stride], reduced[k + 3 * stride]
        k += 4 * stride
        a, b, c, d = _both(a, b, most), _both(c, d, most), _both(e, f, most), _both(g, h, most)
        a, b = _both(a, b, most), _both(c, d, most)
        found = _both(found, _both(a, b, most), most)
    while k < end:
        found = _both(found, reduced[k], most)
        k += stride
    return found


@on_device
def _over(reduced: Any, begin: Any, end: Any, most: Any) -> Any:
    found = _by_thread(reduced, begin + thread(), end, THREADS, most)
    return _of_block(found, most)


@on_device
def sum_over(reduced: Any, x_of: Any, at: Any, these: Any, j: Any) -> Any:
    """The sum over a tensor's `CHUNKS`, `ROWS` or `COLUMNS`; all threads of the block must call."""
    return _over(reduced, x_of + at[at[these] + j], x_of + at[at[these] + j + 1], 0)


@on_device
def max_over(reduced: Any, x_of: Any, at: Any, these: Any, j: Any) -> Any:
    """The largest of a tensor's `CHUNKS`, `ROWS` or `COLUMNS`; all threads of the block must call."""
    return _over(reduced, x_of + at[at[these] + j], x_of + at[at[these] + j + 1], 1)


@on_device
def _over_tensors(reduced: Any, x_of: Any, at: Any, family: Any, most: Any) -> Any:
    """Over the tensors of a parameter group, or all if it is none; all threads of the block must call."""
    found = -inf if most else 0.0
    k = thread() + at[TENSORS]
    end = at[TENSORS] + at[N_TENSORS]
    while k < end:
        if family < 0 or at[at[FAMILIES] + at[k]] == family:
            value = reduced[x_of + at[k]]
            found = _both(found, value, most)
        k += THREADS
    return _of_block(found, most)


@on_device
def sum_over_group(reduced: Any, x_of: Any, at: Any, j: Any) -> Any:
    """The sum over the tensors of a tensor's parameter group that take part; all threads of the block must call."""
    return _over_tensors(reduced, x_of, at, at[at[FAMILIES] + j], 0)


@on_device
def max_over_group(reduced: Any, x_of: Any, at: Any, j: Any) -> Any:
    """The largest of the tensors of a tensor's parameter group; all threads of the block must call."""
    return _over_tensors(reduced, x_of, at, at[at[FAMILIES] + j], 1)


@on_device
def sum_over_tensors(reduced: Any, x_of: Any, at: Any) -> Any:
    """The sum over the tensors that have elements; all threads of the block must call."""
    return _over_tensors(reduced, x_of, at, -1, 0)


@on_device
def max_over_tensors(reduced: Any, x_of: Any, at: Any) -> Any:
    """The largest of the tensors that have elements; all threads of the block must call."""
    return _over_tensors(reduced, x_of, at, -1, 1)


# By those that share a row or a column -------------------------------------------------------------------------------


@on_device
def _shared(reduced: Any, begin: Any, end: Any, stride: Any, power: Any, most: Any) -> Any:  # noqa: PLR0917
    """The total of values so far apart, by the threads of a block that share a row or a column; the first is told."""
    lines, share, shares = 1 << power, thread() >> power, THREADS >> power
    found = _by_thread(reduced, begin + share * stride, end, shares * stride, most)
    while shares > 1:
        leave(thread(), found)
        sync()
        shares >>= 1
        if share < shares:
            other = left(thread() + shares * lines)
            found = _both(found, other, most)
        sync()
    return found


@on_device
def _down(reduced: Any, x_of: Any, at: Any, j: Any, i: Any, most: Any) -> Any:  # noqa: PLR0917
    size, width = at[at[N_ROWS] + j], at[at[N_COLS] + j]
    begin = x_of + at[at[ROWS] + j] + (i - at[at[COLUMNS] + j]) // width * size
    return _shared(reduced, begin, begin + size, 1, _of_columns(at, POWER), most)


@on_device
def _along(reduced: Any, x_of: Any, at: Any, j: Any, i: Any, most: Any) -> Any:  # noqa: PLR0917
    size, height = at[at[N_COLS] + j], at[at[N_ROWS] + j]
    begin = x_of + at[at[COLUMNS] + j] + (i - at[at[ROWS] + j]) // height * size
    return _shared(reduced, begin, begin + size, 1, _of_rows(at, POWER), most)


@on_device
def _chunk_after(at: Any, chunk: Any, end: Any, column: Any, ends: Any) -> Any:
    """The first of consecutive chunks whose columns begin, or end, after one."""
    while chunk < end:
        middle = (chunk + end) // 2
        place = at[PARTS] + 3 * middle
        if at[place + 2] + ends * at[place + 1] <= column:
            chunk = middle + 1
        else:
            end = middle
    return chunk


@on_device
def _of_column(reduced: Any, x_of: Any, at: Any, j: Any, i: Any, most: Any) -> Any:  # noqa: PLR0917
    """What chunks have left: one of several matrices each for itself, several of one matrix a part a column each."""
    column = i - at[at[COLUMNS] + j]
    last = at[at[CHUNKS] + j + 1]
    chunk = _chunk_after(at, at[at[CHUNKS] + j], last, column, 1)
    end = _chunk_after(at, chunk, last, column, 0)
    place, width = at[PARTS] + 3 * chunk, at[at[N_COLS] + j]
    begin = x_of + at[place] + column - at[place + 2]
    return _shared(reduced, begin, begin + (end - chunk) * width, width, _of_columns(at, POWER), most)


@on_device
def sum_down(reduced: Any, x_of: Any, at: Any, j: Any, i: Any) -> Any:
    """For a column, the sum over the rows of its matrix of what each has; all threads of the block must call."""
    return _down(reduced, x_of, at, j, i, 0)


@on_device
def sum_along(reduced: Any, x_of: Any, at: Any, j: Any, i: Any) -> Any:
    """For a row, the sum over the columns of its matrix of what each has; all threads of the block must call."""
    return _along(reduced, x_of, at, j, i, 0)


@on_device
def column_sum(reduced: Any, x_of: Any, at: Any, j: Any, i: Any) -> Any:
    """For a column, the sum of what chunks have left for it; all threads of the block must call."""
    return _of_column(reduced, x_of, at, j, i, 0)


@on_device
def max_down(reduced: Any, x_of: Any, at: Any, j: Any, i: Any) -> Any:
    """For a column, the largest over the rows of its matrix of what each has; all threads of the block must call."""
    return _down(reduced, x_of, at, j, i, 1)


@on_device
def max_along(reduced: Any, x_of: Any, at: Any, j: Any, i: Any) -> Any:
    """For a row, the largest over the columns of its matrix of what each has; all threads of the block must call."""
    return _along(reduced, x_of, at, j, i, 1)


@on_device
def column_max(reduced: Any, x_of: Any, at: Any, j: Any, i: Any) -> Any:
    """For a column, the largest of what chunks have left for it; all threads of the block must call."""
    return _of_column(reduced, x_of, at, j, i, 1)
