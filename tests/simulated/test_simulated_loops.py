"""Loops made by hand do on a simulated GPU what they do when they are interpreted."""

import numpy as np
import pytest
from trees import THREADS, TREES

from optgen.files import module_of
from optgen.runtime.cuda import primitives as cuda
from optgen.targets import cuda as target
from optgen.targets import module


def test_a_block_of_the_simulator_is_as_large_as_the_trees_say():
    assert cuda.THREADS == THREADS


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if "cuda" in tree.machines])
def test_simulated(name, dtype, tmp_path):
    tree = TREES[name]
    emitter = target.CudaEmitter()
    functions = emitter.functions(tree.whole("kernel"))
    text = module.whole(module.imports(target.HOME, emitter.used), functions)
    given, wanted = tree.arrays(dtype), tree.arrays(dtype)
    module_of("tree", text, tmp_path).tree[1, tree.threads](*tree.given(given).values())
    tree.does(wanted)
    for what, array in wanted.items():
        if what != "addresses" and isinstance(array, np.ndarray):
            np.testing.assert_array_equal(given[what], array, err_msg=what, strict=True)
