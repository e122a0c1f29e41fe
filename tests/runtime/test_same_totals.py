"""What is added up has the same bits for any number of threads, in every run and for any order of the tensors."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from optgen.runtime.cpu import launch

KINDS = [
    ((40, 700), np.float32),
    ((30, 40, 20), np.float64),
    ((20_001,), np.float32),
    ((3, 5), np.float64),
    ((), np.float32),
    ((0, 3), np.float64),
    ((1, 33), np.float32),
    ((33, 1), np.float64),
    *(((k,), (np.float32, np.float64)[k % 2]) for k in range(1, 20)),
]
STEPS = 3


def trained(generated, arrays, order=None):
    """The bits of every parameter and state in the order of KINDS after a few steps."""
    order = list(range(len(KINDS))) if order is None else order
    params = arrays(0, KINDS)
    optimizer = generated.kind([params[k] for k in order])
    for seed in range(1, 1 + STEPS):
        grads = arrays(seed, KINDS)
        optimizer.step([grads[k] for k in order])
    states = [
        dict(zip(order, values, strict=True)) if isinstance(values, tuple) else {0: values}
        for values in optimizer.state.values()
    ]
    return [array.tobytes() for array in params], [[its[k].tobytes() for k in sorted(its)] for its in states]


@pytest.fixture(scope="module")
def drawn():
    """Random arrays of some kinds, always the same for a seed."""

    def draw(seed, kinds):
        rng = np.random.default_rng(seed)
        return [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in kinds]

    return draw


@pytest.fixture(scope="module")
def expected(reducing, drawn):
    """What one thread makes of a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "SERIAL_BELOW", 10**9)
        return trained(reducing, drawn)


@pytest.mark.parametrize("threads", range(1, numba.config.NUMBA_NUM_THREADS + 1))
def test_any_number_of_threads(monkeypatch, reducing, drawn, expected, threads):
    monkeypatch.setattr(launch, "SERIAL_BELOW", 0)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        assert trained(reducing, drawn) == expected
    finally:
        numba.set_num_threads(before)


def test_twenty_runs(reducing, drawn, expected):
    for _ in range(20):
        assert trained(reducing, drawn) == expected


def test_any_order_of_tensors(reducing, drawn, expected):
    shuffled = np.random.default_rng(5).permutation(len(KINDS)).tolist()
    for order in (shuffled, list(range(len(KINDS)))[::-1]):
        assert trained(reducing, drawn, order) == expected
