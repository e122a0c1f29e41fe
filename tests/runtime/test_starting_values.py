"""What states start from is a finite number, or the optimizer is not made."""

import numpy as np
import pytest
from sympy import exp, log

import optgen
from optgen import STEP, Let, Optimizer, g, state, theta
from optgen.hypers import beta1, lr


@pytest.mark.parametrize("init", [exp(1000 * lr), 1 / (1 - lr), log(1 - lr), (0.75 - lr) ** beta1], ids=str)
@pytest.mark.parametrize("space", ["ELEM", "STEP"])
def test_a_start_that_hyperparameters_make_no_number_is_refused(init, space):
    q = state("q", init=init) if space == "ELEM" else state("q", init=init, space=STEP)
    rule = Optimizer("rule", title="Rule", step=(Let(q.next, q + 1), Let(theta.next, theta - lr * q * g)))
    module = optgen.compile(rule)
    assert module.Rule([np.zeros(3)], lr=0.5)
    with pytest.raises(ValueError, match=r"^rule: a state would start from no finite number, with lr = 1"):
        module.Rule([np.zeros(3)], lr=1)
