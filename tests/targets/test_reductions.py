"""Every reduction of every space, compiled and run against the oracle, in models of all shapes that tensors have."""

import numpy as np
import pytest
from reducing import RULES

import optgen
from optgen import Optimizer
from optgen.verify import reference

SHAPES = ((5, 7), (3,), (), (2, 3, 4), (0, 4), (1, 33), (33, 1), (40, 700), (2, 1, 3, 3), (5000,), (120, 300))


@pytest.mark.parametrize("name", RULES)
def test_the_kernels_compute_what_the_equations_say(name: str) -> None:
    rule = Optimizer(name, title="Rule", step=tuple(RULES[name]))
    draw = np.random.default_rng(7)
    wanted = [draw.normal(size=shape) for shape in SHAPES]
    kind = optgen.compile(rule).Rule
    for dtype, tolerance in (("float32", 5e-5), ("float64", 1e-9)):
        expected, trained = wanted, [values.astype(dtype) for values in wanted]
        states, optimizer = reference.start(rule, expected), kind(trained)
        for number in range(1, 5):
            grads = [draw.normal(size=shape).astype(dtype) for shape in SHAPES]
            optimizer.step(grads)
            expected, states = reference.step(rule, expected, [x.astype(float) for x in grads], states, number)
            for mine, theirs in zip(trained, expected, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
        for key, values in optimizer.state.items():
            found = values if isinstance(values, tuple) else [values] * len(SHAPES)  # one value for the model
            for mine, theirs, shape in zip(found, states[key], SHAPES, strict=True):
                if 0 not in shape:  # what has no elements takes no part
                    np.testing.assert_allclose(
                        mine, np.squeeze(theirs) if mine.shape == () else theirs, rtol=tolerance * 10, atol=tolerance
                    )


@pytest.mark.parametrize("name", RULES)
def test_two_dtypes_in_one_model_share_what_is_one_for_all(name: str) -> None:
    rule = Optimizer(name, title="Rule", step=tuple(RULES[name]))
    draw = np.random.default_rng(8)
    expected = [draw.normal(size=shape) for shape in SHAPES]
    dtypes = ["float32" if k % 2 else "float64" for k in range(len(SHAPES))]
    trained = [values.astype(dtype) for values, dtype in zip(expected, dtypes, strict=True)]
    states, optimizer = reference.start(rule, expected), optgen.compile(rule).Rule(trained)
    for number in range(1, 4):
        grads = [draw.normal(size=shape).astype(np.float32) for shape in SHAPES]
        optimizer.step([x.astype(dtype) for x, dtype in zip(grads, dtypes, strict=True)])
        expected, states = reference.step(rule, expected, [x.astype(float) for x in grads], states, number)
    for mine, theirs in zip(trained, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=5e-5, atol=5e-5)
