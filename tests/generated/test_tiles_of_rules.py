"""Every rule that adds up makes the same bits with tiles and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

from optgen.runtime.cpu import launch, tiles

SHAPES = [
    *[(9, 8)] * 20,
    (0, 3),
    (7,),
    (),
    (3, 5, 9),
    (170, 130),
    (4097,),
    (1, 33),
    (5, 0),
    *[(11, 13)] * 30,
    (90, 80),
    (2, 40_000),
]


@pytest.fixture(autouse=True)
def all_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have all threads share whatever it is, and as many of them afterwards as before."""
    monkeypatch.setattr(launch, "SERIAL_BELOW", 0)
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


def arrays(rng: Any, dtype: Any) -> list[Any]:
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def trained(kind: Any, dtype: Any) -> tuple[list[bytes], int]:
    """What parameters and states are after steps, some gradients missing in one, and how many tables had tiles."""
    rng, half, seen = np.random.default_rng(0), len(SHAPES) // 2, 0
    params, program = arrays(rng, dtype), kind.program
    other = {"lr": 0.01} if "lr" in program.hypers and "lr" not in program.shared else {}
    opt = kind([{"params": params[:half]}, {"params": params[half:], **other}])
    for step in range(4):
        grads: list[Any] = arrays(rng, dtype)
        if step == 2 and "t" not in program.shared:
            grads[3] = grads[-1] = None
        opt.step(grads, missing="skip")
        seen += sum(its is not None for its in opt._visit.tiles)
    of_names = [each if isinstance(each, tuple) else [each] for each in opt.state.values()]
    states = [np.asarray(array) for each in of_names for array in each]
    return [array.tobytes() for array in (*params, *states)], seen


@pytest.mark.parametrize("of", [np.float32, np.float64])
def test_the_same_bits_in_tiles(monkeypatch: pytest.MonkeyPatch, reducing: Any, of: Any) -> None:
    monkeypatch.setattr(tiles, "LEAST", 10**9)
    expected, none = trained(reducing.kind, of)
    assert none == 0
    monkeypatch.setattr(tiles, "LEAST", 0)
    for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
        numba.set_num_threads(threads)
        assert trained(reducing.kind, of)[0] == expected
