"""The same bits for any number of threads, any chunks and any order of tensors."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from optgen.generated.cpu.adamw import AdamW
from optgen.generated.cpu.sgdm import SGDM
from optgen.runtime.core import table
from optgen.runtime.cpu import launch

KINDS = [
    ((40_000,), np.float32),
    ((3,), np.float64),
    ((), np.float32),
    ((37, 1001), np.float64),
    ((0,), np.float64),
    *(((k,), (np.float32, np.float64)[k % 2]) for k in range(1, 40)),
]


def trained(kind, arrays, order=None):
    order = list(range(len(KINDS))) if order is None else order
    params = arrays(0, KINDS)
    optimizer = kind([params[k] for k in order])
    for seed in (1, 2, 3):
        grads = arrays(seed, KINDS)
        optimizer.step([grads[k] for k in order])
    states = [dict(zip(order, values, strict=True)) for values in optimizer.state.values()]
    return [array.tobytes() for array in params], [[its[k].tobytes() for k in range(len(KINDS))] for its in states]


@pytest.fixture(params=[AdamW, SGDM])
def kind(request):
    return request.param


@pytest.fixture
def expected(kind, arrays):
    return trained(kind, arrays)


@pytest.mark.parametrize("threads", range(1, numba.config.NUMBA_NUM_THREADS + 1))
def test_any_number_of_threads(monkeypatch, kind, arrays, expected, threads):
    monkeypatch.setattr(launch, "SERIAL_BELOW", 0)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        assert trained(kind, arrays) == expected
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("chunk", [7, 64, 1000, 10**6])
def test_any_chunks(monkeypatch, kind, arrays, expected, chunk):
    monkeypatch.setattr(table, "CHUNK", chunk)
    for serial_below in (0, 10**9):
        monkeypatch.setattr(launch, "SERIAL_BELOW", serial_below)
        assert trained(kind, arrays) == expected


def test_any_order_of_tensors(kind, arrays, expected):
    order = list(np.random.default_rng(5).permutation(len(KINDS)))
    assert trained(kind, arrays, order) == expected
    assert trained(kind, arrays, list(range(len(KINDS)))[::-1]) == expected


def test_any_place_in_memory(kind):
    grads = np.random.default_rng(0).standard_normal((40, 203)).astype(np.float32)
    results = set()
    for shift in range(8):
        memory = np.zeros(300, np.float32)
        theta = memory[shift : shift + 203]
        theta += 1
        optimizer = kind([theta])
        for grad in grads:
            optimizer.step([grad])
        results.add(theta.tobytes())
        assert not memory[:shift].any()
        assert not memory[shift + 203 :].any()
    assert len(results) == 1
