"""The cheapest values to read, against all that there are."""

from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Add

from optgen import Let, Norm, Optimizer, g, local, theta
from optgen.ir import Equation, Value, fresh, symbols
from optgen.language.spaces import Space
from optgen.passes.lower import lower
from optgen.passes.plan import _cheapest, best
from optgen.passes.stages import PARTS, Stages, Totals


@st.composite
def problems(draw):
    """Values that depend on earlier ones, some of them in memory, and some that are wanted."""
    bases = [Value(f"b{k}", Space.ELEM) for k in range(draw(st.integers(1, 3)))]
    made, nodes = [], list(bases)
    for k in range(draw(st.integers(1, 6))):
        below = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique=True))
        made.append(Equation(Value(f"v{k}", Space.ELEM), Add(*below, 1)))
        nodes.append(made[-1].target)
    costs = {x: draw(st.sampled_from([4, 4, 4, 16])) for x in nodes if draw(st.booleans())}
    wanted = draw(st.lists(st.sampled_from([assign.target for assign in made]), min_size=1, max_size=3, unique=True))
    return Stages(tuple(made), tuple(bases), (), {}), frozenset(wanted), costs


def reachable(stages, wanted, loaded):
    """Whether everything wanted can be computed from what is loaded."""
    if wanted <= loaded:
        return True
    needed = set()
    for value in wanted - loaded:
        if value not in stages.computed:
            return False
        needed |= symbols(stages.computed[value].value)
    return reachable(stages, needed, loaded)


@given(problems())
@settings(max_examples=300, deadline=None)
def test_nothing_cheaper_will_do(problem):
    stages, wanted, costs = problem
    loads, cost = _cheapest(stages, wanted, costs)
    every = chain.from_iterable(combinations(costs, size) for size in range(len(costs) + 1))
    possible = [sum(costs[x] for x in some) for some in every if reachable(stages, wanted, frozenset(some))]
    assert cost == min(possible, default=float("inf"))
    if possible:
        assert reachable(stages, wanted, loads)
        assert cost == sum(costs[x] for x in loads)


@pytest.mark.parametrize("count", [5, 20])
def test_as_many_cuts_are_looked_for_as_there_are_totals_of_totals(count):
    totals = local(" ".join(f"total_{k}" for k in range(count)))
    chain_of = [Let(here, Norm(g * before + theta)) for before, here in zip((1, *totals), totals, strict=False)]
    (branch,) = lower(Optimizer("rule", "Rule", (*chain_of, Let(theta.next, theta - g * totals[-1])))).branches
    free = {letters: fresh(letters, frozenset({"theta", "g"})) for letters in (PARTS, "y")}
    stages = Stages.of(branch.sweeps[0], Totals({}, {}, free, {}))
    plan, _ = best(stages)
    assert not plan.kept
    assert len(stages.cuts) <= 4 * count
