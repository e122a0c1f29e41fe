"""Tables of chunks: each element in exactly one row, and the rows in tasks of about equal work."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optgen.generated.cpu.sgd import SGD
from optgen.runtime.core import table
from optgen.runtime.core.arrays import Extents
from optgen.runtime.core.table import CHUNK, cut, tabulate, tall


@pytest.mark.parametrize(
    "sizes",
    [[], [0], [1], [0, 0, 5, 0], [table.CHUNK], [table.CHUNK + 1, 0, 3 * table.CHUNK], [16] * 1000, [1, 10**6, 1]],
    ids=str,
)
@pytest.mark.parametrize("itemsizes", [(4, 4), (8, 2)])
def test_rows_cover_each_tensor_once(sizes, itemsizes):
    sizes = np.array(sizes, np.int64)
    starts = np.stack([10**12 + 10**8 * np.arange(len(sizes)), 10**13 + 10**8 * np.arange(len(sizes))])
    made = tabulate(starts, sizes, itemsizes)
    assert made.elements == sizes.sum()
    assert made.rows.shape[1] == 6
    assert not made.rows[:, -3].any()  # they are all of one group
    for slot, itemsize in enumerate(itemsizes):
        expected = [
            start + itemsize * k for start, size in zip(starts[slot], sizes, strict=True) for k in range(0, size, 8)
        ]
        covered = [address + itemsize * k for count, *at in made.rows for address in at[slot:slot + 1]
                   for k in range(0, count, 8)]  # fmt: skip
        assert covered == expected
    stands = [(tensor, k) for tensor, size in enumerate(sizes) for k in range(0, size, table.CHUNK)]
    assert [tuple(row) for row in made.rows[:, -2:]] == stands
    assert (made.rows[:, 0] > 0).all()
    assert (made.rows[:, 0] <= table.CHUNK).all()


@pytest.mark.parametrize("sizes", [[0], [16] * 5000, [10**6], [10**6, *[16] * 2000], [*range(1, 3000)]], ids=len)
def test_tasks_share_the_work_evenly(sizes):
    made = tabulate(np.zeros((1, len(sizes)), np.int64), np.array(sizes, np.int64), 4)
    assert made.tasks.dtype == np.int64
    assert made.tasks[0] == 0
    assert made.tasks[-1] == len(made.rows)
    assert (np.diff(made.tasks) > 0).all()
    work = np.add.reduceat(made.rows[:, 0] + table.ROW_COST, made.tasks[:-1]) if len(made.rows) else np.zeros(0)
    assert (work <= 2.01 * (table.CHUNK + table.ROW_COST)).all()


def test_a_row_says_where_its_chunk_begins_in_each_slot():
    made = tabulate(np.array([[1000], [90_000]]), np.array([table.CHUNK + 1]), [4, 2])
    assert made.rows.tolist() == [
        [table.CHUNK, 1000, 90_000, 0, 0, 0],
        [1, 1000 + 4 * table.CHUNK, 90_000 + 2 * table.CHUNK, 0, 0, table.CHUNK],
    ]


def test_each_step_is_by_gradients_where_they_lie_then():
    sizes = [3, 0, table.CHUNK + 5, 2 * table.CHUNK, 7]
    params = [np.zeros(size, np.float32) for size in sizes]
    opt, sums = SGD(params, lr=1.0), [np.zeros(size, np.float32) for size in sizes]
    for k in range(5):
        room = np.arange(k, k + sum(sizes) + 100, dtype=np.float32)
        grads = [room[k + begin : k + begin + size] for begin, size in zip(np.cumsum([0, *sizes]), sizes, strict=False)]
        opt.step(grads)
        sums = [total - grad for total, grad in zip(sums, grads, strict=True)]
    for param, total in zip(params, sums, strict=True):
        np.testing.assert_array_equal(param, total)


def test_extents_against_all_pairs():
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        starts, sizes = rng.integers(0, 60, 4), rng.integers(0, 12, 4)
        names = list("abcd")
        clash = any(
            starts[i] < starts[j] + sizes[j] and starts[j] < starts[i] + sizes[i] and sizes[i] and sizes[j]
            for i in range(4)
            for j in range(i)
        )
        if clash:
            refused += 1
            with pytest.raises(ValueError, match="overlaps"):
                Extents(starts, sizes, names)
            continue
        extents = Extents(starts, sizes, names)
        for start in range(70):
            for size in (0, 1, 5, 30):
                touched = {
                    name for name, s, n in zip(names, starts, sizes, strict=True)
                    if s < start + size and start < s + n and n and size
                }  # fmt: skip
                found = extents.overlap(np.array([500, start]), np.array([1, size]))
                assert (found is not None) == bool(touched)
                if found:
                    assert found[0] == 1
                    assert found[1] in touched
    assert 50 < refused < 250


# Where totals are made -----------------------------------------------------------------------------------------------

MODEL = (
    (5, 7),
    (3,),
    (),
    (2, 3, 4),
    (0, 4),
    (1, 33),
    (40, 700),
    (9, 2, 3, 3),
    (50_000,),
    (70, 20_000),
    (3000, 30),
    (4, 0),
)


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("by_rows", [False, True])
def test_cuts_cover_each_tensor_once(by_rows, by_columns):
    made = cut(MODEL, by_rows=by_rows, by_columns=by_columns and by_rows)
    for tensor, shape in enumerate(MODEL):
        mine = made.tensor == tensor
        ends = made.begin[mine] + made.count[mine]
        assert [0, *ends] == [*made.begin[mine], math.prod(shape)]
        assert (made.count[mine] > 0).all()
        assert made.at.chunks[tensor + 1] - made.at.chunks[tensor] == mine.sum()
    assert list(made.at.tensors) == [j for j, shape in enumerate(MODEL) if math.prod(shape)]
    assert list(made.spans[:, 0]) == list(range(len(made.tensor)))


@pytest.mark.parametrize("by_columns", [False, True])
def test_cuts_by_rows_are_of_whole_rows_and_of_whole_matrices_or_a_part_of_one(by_columns):
    made = cut(MODEL, by_rows=True, by_columns=by_columns)
    lines, width, _, _, height, line, _ = made.spans[:, 1:].T
    np.testing.assert_array_equal(lines * width, made.count)
    np.testing.assert_array_equal(line * width, made.begin)
    inside = line % height + lines <= height
    whole = (line % height == 0) & (lines % height == 0)
    assert (inside | whole).all()
    if by_columns:
        last = (line + lines) % height == 0
        assert ((lines >= np.minimum(height, [tall(CHUNK, each) for each in width])) | last).all()


@pytest.mark.parametrize(
    ("chunk", "width", "rows"),
    [
        *((4096, 1, 16), (4096, 4096, 16), (4096, 8192, 8), (4096, 50_257, 4), (4096, 2**20, 4), (64, 2**20, 1)),
        *((CHUNK, 8192, 32), (CHUNK, 16_384, 16), (CHUNK, 2**20, 8)),
    ],
)
def test_a_chunk_of_long_rows_has_fewer(chunk, width, rows):
    assert tall(chunk, width) == rows
    lines = cut([(768, width)], by_rows=True, by_columns=True, chunk=chunk).spans[:, 1]
    assert max(lines) == max(rows, min(chunk // width, 768))


def test_what_chunks_leave_for_columns_has_a_place_for_each_of_theirs():
    made = cut(MODEL, by_rows=True, by_columns=True)
    begin, count, first = made.at.parts.T
    np.testing.assert_array_equal([*begin[1:], made.sizes["part"]], begin + count)
    np.testing.assert_array_equal(begin, made.spans[:, 7])
    for chunk, (lines, width, _, _, height, line, _) in enumerate(made.spans[:, 1:]):
        matrices = {k // height for k in range(line, line + lines)}
        assert count[chunk] == width * len(matrices)
        assert first[chunk] == width * min(matrices)


def test_rows_and_columns_of_all_tensors_are_counted():
    made = cut(((2, 3, 4), (5,), (), (0, 4), (6, 0)), by_rows=True, by_columns=True)
    assert list(made.at.rows) == [0, 6, 7, 8, 8, 14]
    assert list(made.at.columns) == [0, 8, 13, 14, 18, 18]
    assert made.sizes["row"] == made.at.rows[-1]
    assert list(made.extents["numel"]) == [24, 5, 1, 0, 0]
    assert list(made.extents["n_rows"]) == [3, 1, 1, 0, 6]
    assert list(made.extents["n_cols"]) == [4, 5, 1, 4, 0]
