"""What the tests of the runtime share: a model, a watch over memory, and fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest

from optgen.runtime import FusedOptimizer

Arrays = list[np.ndarray]
MIXED = [((5, 3), np.float32), ((), np.float64), ((0, 4), np.float32), ((7,), np.float64), ((300,), np.float32)]


def _arrays(seed: int, kinds: list[tuple[tuple[int, ...], Any]] | None = None) -> Arrays:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in kinds or MIXED]


@pytest.fixture
def arrays() -> Callable[..., Arrays]:
    """Random arrays of both dtypes, one of them 0-d and one empty: ``arrays(seed)``."""
    return _arrays


@pytest.fixture
def unchanged() -> Callable[..., AbstractContextManager[None]]:
    """``with unchanged(opt, *arrays)``: not a byte of them is another one afterwards."""

    def content(thing: Any) -> Any:
        if not isinstance(thing, FusedOptimizer):
            return thing.tobytes()
        states = [[array.tobytes() for array in values] for values in thing._state.values()]
        return thing.t, thing._groups, thing._cohorts, states, [array.tobytes() for array in thing._params]

    @contextmanager
    def watch(*things: Any) -> Iterator[None]:
        before = [content(thing) for thing in things]
        yield
        assert [content(thing) for thing in things] == before

    return watch


@pytest.fixture
def python() -> Callable[..., str]:
    """Run a program in a fresh interpreter and return what it prints."""

    def run(program: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr}"
        return done.stdout.strip()

    return run
