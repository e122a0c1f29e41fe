"""How many threads of a GPU share a row or a column: there is one for each, and no more than are of use."""

import pytest

from optgen.runtime.cuda import totals
from optgen.runtime.cuda.places import at_once, blocks_of
from optgen.runtime.cuda.primitives import THREADS, WARP

team_of = getattr(totals.team_of, "py_func", totals.team_of)


@pytest.mark.parametrize("lines", [1, 2, 511, 512, 513, 1024, 1025, 50_257, 131_072, 131_073, 10**7])
@pytest.mark.parametrize("threads", [4, 256])
def test_every_line_is_in_a_block(lines, threads):
    mine = at_once(lines, threads, 512)
    assert threads % mine == 0
    assert mine * blocks_of(lines, threads, 512) >= lines > mine * (blocks_of(lines, threads, 512) - 1)
    assert blocks_of(lines, threads, 512) >= min(lines, 256)  # there is work for all of a GPU
    assert mine == threads or blocks_of(lines, threads, 512) <= 512  # and as many threads a line as that leaves


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9, 64, 100, totals.LONG, totals.LONG + 1, 10**6])
def test_a_row_has_a_team_that_is_an_equal_part_of_a_warp_or_all_of_a_block(count):
    team = team_of(count)
    assert team == THREADS if count > totals.LONG else WARP % team == 0
    assert team == 1 or 4 * team < 2 * count  # half of its threads at least have something to do
