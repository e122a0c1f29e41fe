"""Totals: what is added up, or the largest, of values that vary over more.

A chunk adds up in float64, in so many lanes that its loop is packed: element k of a run in lane k, on any machine.
It leaves one number, or one for every row or column of it. Those are combined here, always in the same order: chunks
as they lie in their tensor, tensors by the value of what they contribute, since they may come in any order. So the
result depends on no thread, not on how wide a pack is, and not on the order of the tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optgen.runtime.core.table import At
from optgen.runtime.cpu.primitives import LANES, lanes, max_of_lanes, maximum, numbers, outlined, sum_of_lanes

__all__ = [
    "column_largest", "column_totals", "columns_in_rows", "columns_in_rows_largest", "max_in_groups", "max_of",
    "max_over", "rows_in_columns", "rows_in_columns_largest", "sum_in_groups", "sum_of", "sum_over",
]  # fmt: skip


@outlined
def sum_of(values: Any, begin: int, end: int) -> float:
    """The sum of consecutive values: as those of a chunk, in lanes, to which the rest is added in order."""
    rest, whole = 0.0, begin + (end - begin) // LANES * LANES
    for k in range(whole, end):
        rest += values[k]
    if whole == begin:  # as for the rows of a kernel of 3 x 3
        return rest
    found = lanes(0.0)
    for start in range(begin, whole, LANES):
        for k in range(LANES):
            found[k] += values[start + k]
    return sum_of_lanes(found) + rest  # type: ignore[no-any-return]


@outlined
def max_of(values: Any, begin: int, end: int) -> float:
    """The largest of consecutive values; NaN if there is one."""
    rest, whole = -np.inf, begin + (end - begin) // LANES * LANES
    for k in range(whole, end):
        rest = maximum(rest, values[k])
    if whole == begin:
        return rest
    found = lanes(-np.inf)
    for start in range(begin, whole, LANES):
        for k in range(LANES):
            found[k] = maximum(found[k], values[start + k])
    return maximum(max_of_lanes(found), rest)  # type: ignore[no-any-return]


@outlined
def _sort(values: Any) -> None:
    """Put numbers in order, by Shell's method; NumPy's takes Numba 20 times as long to compile."""
    gap = 1
    while gap < len(values):
        gap = 3 * gap + 1
    while gap > 1:
        gap //= 3
        for k in range(gap, len(values)):
            value, place = values[k], k
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value


@outlined
def sum_over(values: Any, tensors: Any) -> float:
    """The sum of some values, whatever their order: from the smallest to the largest."""
    ordered = numbers(len(tensors))
    for k in range(len(tensors)):
        ordered[k] = values[tensors[k]]
    _sort(ordered)
    return sum_of(ordered, 0, len(ordered))


@outlined
def max_over(values: Any, tensors: Any) -> float:
    """The largest of some values; NaN if there is one."""
    found = -np.inf
    for j in tensors:
        found = maximum(found, values[j])
    return found


@outlined
def _fill(values: Any, begin: int, end: int, x: float) -> None:
    """Let consecutive values be a number."""
    for k in range(begin, end):
        values[k] = x


@outlined
def _in_groups(values: Any, at: At, most: int) -> Any:
    """For each tensor, the sum or the largest of what those of its parameter group have that take part."""
    found, tensors, first = numbers(len(values)), at.tensors, 0
    _fill(found, 0, len(found), 0.0)
    while first < len(tensors):  # one group comes after another
        last = first + 1
        while last < len(tensors) and at.families[tensors[last]] == at.families[tensors[first]]:
            last += 1
        mine = tensors[first:last]
        made = max_over(values, mine) if most else sum_over(values, mine)
        for j in mine:
            found[j] = made
        first = last
    return found


@outlined
def sum_in_groups(values: Any, at: At) -> Any:
    """For each tensor, the sum over those of its parameter group that take part, whatever their order."""
    return _in_groups(values, at, 0)


@outlined
def max_in_groups(values: Any, at: At) -> Any:
    """For each tensor, the largest of those of its parameter group that take part; NaN if there is one."""
    return _in_groups(values, at, 1)


@outlined
def column_totals(parts: Any, at: At, j: int, found: Any) -> None:
    """The sum over each column of a tensor, from what its chunks have added up, among those of all tensors."""
    begin = at.columns[j]
    _fill(found, begin, at.columns[j + 1], 0.0)
    for chunk in range(at.chunks[j], at.chunks[j + 1]):
        first, count, column = at.parts[chunk]
        for k in range(count):
            found[begin + column + k] += parts[first + k]


@outlined
def column_largest(parts: Any, at: At, j: int, found: Any) -> None:
    """The largest of each column of a tensor, from what its chunks have found, among those of all tensors."""
    begin = at.columns[j]
    _fill(found, begin, at.columns[j + 1], -np.inf)
    for chunk in range(at.chunks[j], at.chunks[j + 1]):
        first, count, column = at.parts[chunk]
        for k in range(count):
            found[begin + column + k] = maximum(found[begin + column + k], parts[first + k])


@outlined
def _in_matrices(values: Any, first: int, size: int, found: Any, begin: int, end: int, others: int, most: int) -> None:  # noqa: PLR0917
    """For each of the ``others`` in each matrix of a tensor, the sum or the largest of the matrix's ``size`` values."""
    for matrix in range((end - begin) // others):
        its, to = first + matrix * size, begin + matrix * others
        made = max_of(values, its, its + size) if most else sum_of(values, its, its + size)
        for k in range(to, to + others):
            found[k] = made


@outlined
def rows_in_columns(values: Any, at: At, j: int, found: Any) -> None:
    """For each column of a tensor, the sum over the rows of its matrix, among those of all tensors."""
    _in_matrices(values, at.rows[j], at.n_rows[j], found, at.columns[j], at.columns[j + 1], at.n_cols[j], 0)


@outlined
def rows_in_columns_largest(values: Any, at: At, j: int, found: Any) -> None:
    """For each column of a tensor, the largest over the rows of its matrix, among those of all tensors."""
    _in_matrices(values, at.rows[j], at.n_rows[j], found, at.columns[j], at.columns[j + 1], at.n_cols[j], 1)


@outlined
def columns_in_rows(values: Any, at: At, j: int, found: Any) -> None:
    """For each row of a tensor, the sum over the columns of its matrix, among those of all tensors."""
    _in_matrices(values, at.columns[j], at.n_cols[j], found, at.rows[j], at.rows[j + 1], at.n_rows[j], 0)


@outlined
def columns_in_rows_largest(values: Any, at: At, j: int, found: Any) -> None:
    """For each row of a tensor, the largest over the columns of its matrix, among those of all tensors."""
    _in_matrices(values, at.columns[j], at.n_cols[j], found, at.rows[j], at.rows[j + 1], at.n_rows[j], 1)
