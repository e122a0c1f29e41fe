"""The rules between passes: each catches the pass that breaks it."""

from dataclasses import replace

import pytest
from sympy import S

from optgen import TENSOR, Let, Norm, Optimizer, checks, g, state, theta
from optgen.errors import CompilerError
from optgen.hypers import lr
from optgen.ir import Branch, Equation, Reduce, Sweep, Value
from optgen.pipeline import kernel_of

m = state("m")
KERNEL = kernel_of(Optimizer("rule", title="Rule", step=(Let(m.next, m + lr * g), Let(theta.next, theta - m.next))))
(SWEEP,) = KERNEL.sweeps


def broken(sweep: Sweep):
    return KERNEL.map_sweeps(lambda _: sweep)


BROKEN = {
    checks.every_name_is_assigned_once: broken(replace(SWEEP, body=(*SWEEP.body, SWEEP.body[0]))),
    checks.names_are_defined_before_use: broken(replace(SWEEP, body=SWEEP.body[::-1])),
    checks.every_slot_is_stored_once: broken(replace(SWEEP, stores=(*SWEEP.stores, m))),
    checks.no_old_value_is_read_after_its_store: replace(KERNEL, branches=(Branch(S.true, (SWEEP, SWEEP)),)),
    checks.branches_end_in_otherwise: replace(KERNEL, branches=(Branch(lr > 0, (SWEEP,)),)),
    checks.loads_are_used: broken(replace(SWEEP, loads=(*SWEEP.loads, state("v")))),
    checks.sweeps_do_no_scalar_work: broken(replace(SWEEP, body=(Equation(m.next, m + lr**2 * g), SWEEP.body[1]))),
    checks.sweeps_hold_no_literals: broken(replace(SWEEP, body=(Equation(m.next, m + 2 * g), SWEEP.body[1]))),
    checks.reductions_are_totals: broken(replace(SWEEP, body=(Equation(m.next, m * Norm(g)), SWEEP.body[1]))),
    checks.what_is_loaded_was_made: broken(replace(SWEEP, loads=(*SWEEP.loads, Value("c0", TENSOR)))),
    checks.totals_are_of_what_is_visited: broken(
        replace(SWEEP, reduces=(Reduce(Value("acc0", TENSOR), "sum", (g, Value("c0", TENSOR))),))
    ),
    checks.sums_hold_no_products: broken(replace(SWEEP, body=(Equation(m.next, m + lr * g), SWEEP.body[1]))),
    checks.product_powers_have_names: broken(replace(SWEEP, body=(Equation(m.next, (m + g) ** 2), SWEEP.body[1]))),
}


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_the_rule_holds_for_what_the_compiler_makes_and_catches_what_breaks_it(rule):
    checks.check(KERNEL, (rule,), "strength")
    with pytest.raises(CompilerError, match=f"after pass 'wrong' of 'rule':\n  {rule.__name__}: "):
        checks.check(BROKEN[rule], (rule,), "wrong")


def test_every_rule_is_put_to_the_test():
    public = {value for name, value in vars(checks).items() if getattr(value, "__module__", "") == checks.__name__}
    assert {rule for rule in public if callable(rule) and not rule.__name__.startswith("_")} - {checks.check} == set(
        BROKEN
    )
