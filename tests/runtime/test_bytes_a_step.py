"""A step allocates nothing that grows with the elements of a model, and little that does with its tensors."""

import tracemalloc

import numpy as np
import pytest

LARGE = 2**21


def allocated(kind, tensors, size):
    """The most bytes that a step holds beyond what there was before, of Python's and NumPy's own counting."""
    params, *gradients = ([np.ones(size, np.float32) for _ in range(tensors)] for _ in range(3))
    optimizer = kind(params)
    for grads in gradients:  # compiles, and makes what is made once
        optimizer.step(grads)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for grads in gradients:
            optimizer.step(grads)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["adamw", "clip_global_norm_adamw"])
def test_a_step_allocates_nothing_that_grows_with_the_model(generated_by_name, name):
    kind = getattr(generated_by_name(name).module, generated_by_name(name).optimizer.title)
    few = allocated(kind, 1, 2**10)
    assert abs(allocated(kind, 1, LARGE) - few) < 1000  # numbers and frames of Python, more or less
    # Two lists of where gradients are and what they overlap: a pointer and four numbers, for a tensor of any size.
    assert allocated(kind, 1000, 10) - few < 1000 * 5 * 8
