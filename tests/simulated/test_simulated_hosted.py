"""On a GPU too, what varies over less than elements may be known to the host."""

import pytest
from hosted import FEW, RULES, assert_computes

import optgen
from optgen import Optimizer


@pytest.mark.parametrize("name", FEW)
def test_kernels_compute_what_the_equations_say(name: str) -> None:
    rule = Optimizer("rule", title="Rule", step=tuple(RULES[name]))
    assert_computes(optgen.compile(rule, "cuda").Rule, rule)
