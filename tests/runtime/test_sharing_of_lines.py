"""Which threads of a GPU are for which rows and columns: there is one for each, and no more than are of use."""

import numpy as np
import pytest

from optgen.runtime.core.table import cut
from optgen.runtime.cuda import totals
from optgen.runtime.cuda.lookup import COUNT, FIRST, POWER, TENSOR, column_blocks, row_blocks
from optgen.runtime.cuda.primitives import THREADS, WARP

SHAPES = ((4096, 64), (), (3, 0), (7,), (50_257, 3), (512, 4, 3, 3), (1, 1), (2, 100_000))
team_of = getattr(totals.team_of, "py_func", totals.team_of)


@pytest.mark.parametrize("made", [row_blocks, column_blocks])
@pytest.mark.parametrize(("threads", "each"), [(256, 32), (4, 4), (2, 10**9)])
@pytest.mark.parametrize("absent", [(), (0, 4)])
def test_every_line_is_in_one_block_of_its_tensor(made, threads, each, absent):
    cuts = cut(SHAPES, by_rows=True, by_columns=True)
    at = cuts.visiting(np.array([-1 if j in absent else 0 for j in range(len(SHAPES))])).at
    bounds, lengths = (at.rows, at.n_cols) if made is row_blocks else (at.columns, at.n_rows)
    blocks = made(at, threads, each)
    found = [(j, line) for j, first, count, _ in blocks.tolist() for line in range(first, first + count)]
    assert found == [(j, line) for j in at.tensors.tolist() for line in range(bounds[j], bounds[j + 1])]
    assert set(blocks[:, TENSOR]) == {0, 1, 3, 4, 5, 6, 7}.difference(absent)
    assert (blocks[:, FIRST] >= bounds[blocks[:, TENSOR]]).all()
    room = 1 << blocks[:, POWER]
    assert (blocks[:, COUNT] <= room).all()
    shared, length = threads // room, lengths[blocks[:, TENSOR]]
    assert ((shared == 1) | (shared * each <= length)).all()  # each thread has so much to do
    assert ((shared == threads) | (2 * shared * each > length)).all()  # and no other could help


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9, 64, 100, totals.LONG, totals.LONG + 1, 10**6])
def test_a_row_has_a_team_that_is_an_equal_part_of_a_warp_or_all_of_a_block(count):
    team = team_of(count)
    assert team == THREADS if count > totals.LONG else WARP % team == 0
    assert team == 1 or 4 * team < 2 * count  # half of its threads at least have something to do
