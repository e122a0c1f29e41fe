"""Tests that run in Numba's simulator: ``NUMBA_ENABLE_CUDASIM=1 pytest tests/simulated``, as ``make test`` does."""

from optgen.runtime import cuda

collect_ignore_glob = [] if cuda.SIMULATED else ["test_*.py"]
