"""A step has the same bits for an element whatever the size of the array that it stands in.

A packed loop and the few elements after it must compute alike. Rules with totals over a tensor or a model see its size
in the totals themselves; where the totals are over rows, a row must not see the others.
"""

import numpy as np
import pytest

from optgen.language.reductions import Reduction
from optgen.language.spaces import Space

SIZES = range(1, 71)
ROWS = range(2, 8)  # a matrix of one row is a vector to some rules


def slots(optimizer, shape, dtype):
    """Ordinary numbers for the arrays of a step, the squares among them positive."""
    rng = np.random.default_rng(0)
    names = ["theta", "g", *(state.name for state in optimizer.slots)]
    drawn = {name: rng.normal(size=shape) for name in names}
    return {name: (x if name in ("theta", "g") else abs(x)).astype(dtype) for name, x in drawn.items()}


def small(optimizer, rows):
    """What is one number, or one a row."""
    rng = np.random.default_rng(1)
    numbers = {state.name: np.array(0.5) for state in optimizer.numbers}
    return numbers | {s.name: rng.random((7, 1))[:rows].copy() for s in optimizer.reduced_states}


def same(generated, shape, dtype, sizes):
    """Hold what a step makes of the first elements, or rows, to what it makes of them among all."""
    optimizer = generated.optimizer
    for t in (1, 2, 5):
        whole = slots(optimizer, shape, dtype)
        start = {name: values.copy() for name, values in whole.items()}
        generated.module.step(**whole, **small(optimizer, shape[0]), t=t)
        for size in sizes:
            some = {name: values[:size].copy() for name, values in start.items()}
            generated.module.step(**some, **small(optimizer, size), t=t)
            for name, values in some.items():
                assert values.tobytes() == whole[name][:size].tobytes(), (name, t, size)


def test_an_element_does_not_see_how_many_there_are(elementwise, dtype):
    same(elementwise, (70,), dtype, SIZES)


def test_a_row_does_not_see_how_many_there_are(reducing, dtype):
    found = {node.to for let in reducing.optimizer.step for node in let.value.atoms(Reduction)}
    if found != {Space.ROW}:
        pytest.skip("it has totals over more than rows")
    same(reducing, (7, 37), dtype, ROWS)
