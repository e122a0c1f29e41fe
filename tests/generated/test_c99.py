"""A target that lives in the tests passes what the other targets pass: the seams are in the right places."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from c99 import COMPILER, program_of
from test_accuracy import (  # noqa: F401 - fixtures and tests are found by their names
    alike,
    test_a_model_of_arrays_of_every_size,
    test_all_threads_and_one_thread_make_the_same_bits,
    trajectory,
)

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """From a rule to what its module would be in C; each is compiled once."""
    made = {}

    def of(generated):
        if generated.optimizer.draws:
            pytest.skip("no draws in C")
        if (name := generated.optimizer.name) not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = program_of(generated.optimizer, generated.module.PROGRAM, folder)
        return made[name]

    return of


@pytest.fixture
def path(generated, dtype):
    return trajectory(generated.optimizer, dtype, "defaults")


@pytest.fixture
def generated(elementwise, compiled):
    program = compiled(elementwise)
    kind = type(elementwise.kind.__name__, (elementwise.kind,), {"program": program})
    return replace(
        elementwise, module=SimpleNamespace(**{**vars(elementwise.module), "PROGRAM": program, kind.__name__: kind})
    )
