"""Tests that run in Numba's simulator: ``NUMBA_ENABLE_CUDASIM=1 pytest tests/simulated``, as ``make test`` does."""

import sys
from collections.abc import Iterator

import pytest

from optgen.runtime.cuda import primitives as cuda

collect_ignore_glob = [] if cuda.SIMULATED else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _threads_that_wait_let_others_go_on() -> Iterator[None]:
    """The simulator watches its threads in a loop without a pause, for all of the time that Python gives a thread."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)
