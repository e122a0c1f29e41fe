"""Which conditions can hold together: what is refused never happens, and what never happens is refused."""

import random

import pytest
from sympy import And, Eq, Ge, Gt, Integer, Interval, Le, Lt, Mod, Ne, Not, Or, Piecewise, Rational, S, ceiling, floor

from optgen import Let, Optimizer, g, hyper, local, state, t, theta
from optgen.errors import SpecError
from optgen.hypers import beta2, lr
from optgen.passes.conditions import can_hold
from optgen.passes.lower import lower
from optgen.passes.unswitch import unswitch
from optgen.pipeline import kernel_of

k, n = hyper("k", 3, S.Naturals), hyper("n", 5)
share = hyper("share", 0.5, Interval(0, 1))
phase = local("phase")
m, v = state("m v")


def of_t(draw: random.Random) -> object:
    """A condition on t alone."""
    value = draw.choice(
        [
            t,
            Mod(t, draw.randint(2, 5)),
            Mod(t + draw.randint(1, 3), 4),
            floor(t / draw.randint(2, 4)),
            ceiling(t * Rational(2, 3)),
            Mod(floor(t / 2), 3),
            2 * Mod(t, 3) + Mod(t, 2),
            t - 3 * floor(t / 3),
            10 - t,
        ]
    )
    relation = draw.choice([Eq, Ne, Gt, Ge, Lt, Le])
    return relation(value, Rational(draw.randint(0, 12), draw.choice([1, 1, 2])))


@pytest.mark.parametrize("seed", range(25))
def test_conditions_on_t_hold_together_just_where_some_step_shows_it(seed: int) -> None:
    draw = random.Random(seed)
    parts = [of_t(draw) for _ in range(draw.randint(2, 4))]
    whole = And(Or(parts[0], Not(parts[1])), *parts[1:])
    shown = any(whole.xreplace({t: Integer(step)}) is S.true for step in range(1, 120))
    assert can_hold(whole, {}) == shown, whole


@pytest.mark.parametrize(
    "never",
    [
        And(Eq(t, k), t > k),
        And(t > k + 1, t < k),
        And(t > n, t <= n),
        And(Eq(Mod(t, k), 0), Eq(Mod(t, k), 1)),
        And(Eq(t, k), Ne(Mod(t, k), 0)),
        And(share > 1, t > 5),
        k < 1,
        And(k > 1, k < 2),
        And(2 * t > k + 3, k - 2 * t > 1),
        And(Eq(t, 1), 2 / (1 - beta2) - 1 - 2 * t * beta2**t / (1 - beta2**t) > 4),
        And(Eq(phase, 0), Eq(phase, 1)),
        And(t > 5, Or(t < 3, And(Eq(phase, 0), Eq(Mod(t, 3), 2)))),
        And(Eq(Mod(t, 2), 0), Eq(Mod(t, 4), 1)),
        And(t >= 10**9, t <= 10**9 + 1, Eq(Mod(t, 7), 1)),
    ],
)
def test_what_cannot_be(never: object) -> None:
    assert not can_hold(never, {phase: Mod(t, 3)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sometimes",
    [
        And(Eq(t, k), t > 3),
        And(t > k, t < n),
        And(Eq(Mod(t, k), 0), Eq(Mod(t, n), 1)),
        And(Eq(Mod(t, k), 1), t > 10**6),
        And(share >= 1, share <= 1),
        And(k > 1, k < 3),
        And(Eq(Mod(t, 999983), 0), Eq(Mod(t, 1000003), 1)),
        And(t**2 > 5, t**2 < 10),
        And(floor(lr * t) > 2, Eq(Mod(floor(lr * t), 2), 1)),
    ],
)
def test_what_may_be(sometimes: object) -> None:
    assert can_hold(sometimes, {})  # type: ignore[arg-type]


def ring(turns: int, of: object = t, slots: tuple[object, ...] = (m, v, theta, g)) -> object:
    """A value that turns."""
    *others, last = slots[:turns]
    return Piecewise(*((x, Eq(Mod(of, turns), step)) for step, x in enumerate(others)), (last, True))


def branches(*values: object) -> int:
    step = (Let(m.next, m + g), Let(v.next, v + theta), Let(theta.next, theta - lr * sum(values)))
    return len(unswitch(lower(Optimizer("rule", title="Rule", step=step))).branches)


def test_rings_have_as_many_branches_as_turns_that_differ() -> None:
    assert branches(ring(3)) == 3
    assert branches(ring(3), ring(2)) == 6
    assert branches(ring(3), 2 * ring(3, t + 1), 3 * ring(3, t + 2)) == 3
    assert branches(ring(4), 2 * ring(2)) == 4
    assert branches(ring(3, floor(t / 2)), ring(2)) == 6


def test_a_ring_of_states_has_a_branch_a_turn() -> None:
    parts = [state(f"s{j}") for j in range(3)]
    turns = [Let(s.next, Piecewise((g, Eq(Mod(t, 3), j)), (s, True))) for j, s in enumerate(parts)]
    mean = sum(s.next for s in parts)
    kernel = kernel_of(Optimizer("rule", title="Rule", step=(*turns, Let(theta.next, theta - lr * mean))))
    assert [len(branch.sweeps[0].stores) for branch in kernel.branches] == [2, 2, 2]


def test_a_refusal_comes_before_the_branches_are_made() -> None:
    primes = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    with pytest.raises(SpecError, match="more than 32 branches"):
        branches(*(Piecewise((m, Eq(Mod(t, p), 0)), (v, True)) * p for p in primes))
