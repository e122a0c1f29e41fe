"""What kernels may ask of the arrays that they borrow, and that it is what NumPy says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optgen.runtime.core.table import At
from optgen.runtime.cpu.notes import kernel

TASKS = np.arange(2)


def an_element(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        out[0], out[1], out[2] = vector[k + 2], matrix[k + 1, 2], cube[1, k + 1, 3]


def one_that_is_counted_from_the_end(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        out[0], out[1], out[-2], out[-1] = vector[-1], matrix[k, -1], cube[-1, k, -2], vector[-2]


def a_row(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        row, plane = matrix[k + 1], cube[k + 1]
        a, b, c, d = row
        out[0], out[1], out[2], out[3] = row[-1], plane[2, 1], plane[1][2], a - b * c + d


def a_part(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        part = vector[k + 1 : k + 4]
        row = matrix[2][k : k + 2]
        out[0], out[1], out[2], out[3] = part[0], part[2], len(part), row[1]


def a_part_that_becomes_one_number(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        out[k + 1 : k + 3] = 7.0
        out[k + 3 : k + 3] = 9.0
        part = out[k + 3 : k + 5]
        part[1] -= 2.0


def a_part_without_ends(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        for x in vector[2:]:
            out[0] += x
        out[1], out[2] = vector[:-2][k + 3], len(vector[-4:-1])
        out[3:] = 1.0


def a_part_beyond_the_end(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        out[0], out[1], out[2] = len(vector[k + 4 : 100]), len(vector[k + 7 :]), len(vector[-100:2])
        out[4:100] = 3.0
        out[5:8] = 4.0


def lengths(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for _ in range(len(tasks) - 1):
        out[0], out[1], out[2], out[3] = len(vector), len(matrix), len(cube), len(cube[0])


def a_loop(tasks: Any, vector: Any, matrix: Any, cube: Any, out: Any) -> None:
    for k in range(len(tasks) - 1):
        for x in vector[1:5]:
            out[k] += x
        for x in matrix[k]:
            out[k + 1] = 2 * out[k + 1] + x


WAYS = [
    an_element,
    one_that_is_counted_from_the_end,
    a_row,
    a_part,
    a_part_that_becomes_one_number,
    a_part_without_ends,
    a_part_beyond_the_end,
    lengths,
    a_loop,
]


def arrays(dtype: str) -> list[Any]:
    drawn = np.random.default_rng(3)
    shapes = (6,), (3, 4), (2, 3, 4), (5,)
    return [(100 * drawn.random(shape)).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_it_is_what_numpy_says(way: Callable[..., None], dtype: str) -> None:
    mine, expected = arrays(dtype), arrays(dtype)
    way(TASKS, *expected)
    kernel(way)(TASKS, *mine)
    for one, other in zip(mine, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def of_several(at: Any, out: Any) -> None:
    for j in at.tensors:
        begin, count, first = at.parts[j]
        out[j] = 100 * begin + 10 * count + first + at.rows[at.groups[j] + 1]


def test_so_it_is_of_several_that_come_as_one() -> None:
    numbers = np.arange(7)
    at = At(*[numbers] * 8, parts=np.arange(21).reshape(7, 3))._replace(tensors=np.array([1, 4, 5]))
    mine, expected = np.zeros(7), np.zeros(7)
    of_several(at, expected)
    kernel(of_several)(at, mine)
    np.testing.assert_array_equal(mine, expected)
    assert mine.any()


@pytest.mark.parametrize("given", [np.ones((3, 4)).T, np.ones(8)[::2]], ids=["Fortran's order", "every second"])
def test_what_lies_in_another_way_is_refused(given: Any) -> None:
    def first(tasks: Any, array: Any) -> None:
        array[0] = len(tasks)

    with pytest.raises(TypeError, match="kernels take arrays whose elements lie one after another, in C's order"):
        kernel(first)(TASKS, given)
    assert (given == 1).all()
