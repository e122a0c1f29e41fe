"""Averages are written so that what is equal stays equal, whatever the factors are in float32."""

from fractions import Fraction

import numpy as np
import pytest
from sympy import Interval, Rational, exp

import optgen
from optgen import ROW, Let, Optimizer, RowMean, g, hyper, local, state, t, theta
from optgen.hypers import beta1, beta2, eps, lr
from optgen.pipeline import kernel_of
from optgen.runtime.cpu.primitives import head, tail

m, v, z = state("m v z")
a, c = local("a c")
part = hyper("part", 0.5, Interval(0, 1))
weight = hyper("weight", 9, Interval(1, 100))
large = hyper("large", 0.8, Interval(0, 1))


def body(*step):
    (branch,) = kernel_of(Optimizer("rule", "Rule", (*step, Let(theta.next, theta - g)))).branches
    return {str(assign).split(" = ")[0]: str(assign).split(" = ")[1] for assign in branch.sweeps[-1].body}


FORMS = {
    "a moment": (beta1 * m + (1 - beta1) * g, "fma(beta1_head, m, fma(beta1_tail, m, c0*g))"),
    "the other way round": ((1 - beta1) * g + beta1 * m, "fma(beta1_head, m, fma(beta1_tail, m, c0*g))"),
    "with other factors": (beta1 * m + (1 - beta1) * lr * g, "fma(beta1_head, m, fma(beta1_tail, m, c0*g))"),
    "with more terms": (beta1 * m + (1 - beta1) * g + eps, "fma(beta1_head, m, fma(beta1_tail, m, c0*g)) + eps"),
    "a factor that is large": ((1 - large) * m + large * g, "fma(large_head, g, fma(c0, m, large_tail*g))"),
    "either may be large": ((1 - part) * m + part * g, "fma(c0, m, fma(part_head, g, fma(c1, m, part_tail*g)))"),
    "numbers": (Rational(9, 10) * m + Rational(1, 10) * g, "fma(c0, m, fma(c1, m, c2*g))"),
    "numbers that float32 holds": (Rational(3, 4) * m + Rational(1, 4) * g, "fma(c0, m, c1*g)"),
    "a schedule": (exp(-1 / t) * m + (1 - exp(-1 / t)) * g, "fma(c0, m, fma(c1, m, c2*g))"),
    "over its weights": (((t - 1) * m + g) / t, "fma(c0, m, fma(c1, m, c2*g))"),
    "over weights in another order": ((g + t * m) / (t + 1), "fma(c0, m, fma(c1, m, c2*g))"),
    "over weights of one's own": ((weight * m + g) / (weight + 1), "fma(c0, m, fma(c1, m, c2*g))"),
    "over weights of each": ((weight * m + t * g) / (t + weight), "fma(c2, g, fma(c0, m, c1*g))"),
    "over its number": ((9 * m + g) / 10, "fma(c0, m, fma(c1, m, c2*g))"),
    "term by term": ((t - 1) * m / t + g / t, "fma(c0, m, fma(c1, m, c2*g))"),
    "a mean of two": ((m + g) / 2, "half*(m + g)"),
    "over something else": (((t - 1) * m + g) / (t + 1), "c0*fma(c1, m, g)"),
    "no average": (beta1 * m + (1 - beta2) * g, "fma(beta1, m, c0*g)"),
    "a sum": (beta1 * m + g, "fma(beta1, m, g)"),
}


@pytest.mark.parametrize("what", FORMS)
def test_a_factor_that_is_not_small_is_given_with_all_its_digits(what):
    value, written = FORMS[what]
    assert body(Let(m.next, value))["m'"] == written


def test_three_terms_and_a_factor_with_a_name():
    value = beta1 * m + (1 - beta1) * beta2 * g + (1 - beta1) * (1 - beta2) * theta
    assert body(Let(m.next, value))["m'"].startswith("fma(c1, theta, fma(beta1_head, m")
    assert body(Let(c, 1 - beta1), Let(m.next, c * g + (1 - c) * m))["m'"] == "fma(c0, m, fma(c1, m, c*g))"


def test_what_is_float64_is_left_alone():
    r = state("r", space=ROW)
    step = (Let(r.next, beta1 * r + (1 - beta1) * RowMean(g)), Let(theta.next, theta - r.next))
    sweeps = kernel_of(Optimizer("rule", "Rule", step)).sweeps
    assert "head" not in "\n".join(map(str, sweeps))


@pytest.mark.parametrize("x", [0.0, 0.5, 0.9, 0.999, 1.0, 1 / 3, 1e-12, -0.7, 1e-45, 3.0])
def test_head_and_tail_are_a_number_in_two_parts(x):
    assert np.float64(np.float32(head(x))) == head(x)
    assert Fraction(head(x)) + Fraction(tail(x)) == Fraction(x)
    # Neither is ever 0 where the number is not: 0 times infinity would be NaN.
    assert x == 0 or abs(head(x)) < abs(x)


def test_factors_that_have_names_are_an_average_too():
    step = (Let(c, 1 / t), Let(a, 1 - c), Let(m.next, a * m + c * g))
    assert body(*step)["m'"] == "fma(a_head, m, fma(a_tail, m, c*g))"


AVERAGES = [((t - 1) * z + theta) / t, (t * z + theta) / (t + 1), (7 * z + 3 * theta) / 10]


@pytest.mark.parametrize("average", AVERAGES)
def test_what_is_averaged_over_its_weights_stays_where_it_is(average):
    start = state("z", init=theta)
    step = (Let(start.next, average.xreplace({z: start})), Let(theta.next, theta - lr * g))
    made = optgen.compile(Optimizer("rule", "Rule", step)).Rule
    values = np.linspace(0.1, 1.9, 50, dtype=np.float32)
    optimizer = made([values.copy()])
    for _ in range(1000):
        optimizer.step([np.zeros_like(values)])
    np.testing.assert_allclose(optimizer.state["z"][0], values, rtol=2e-7)
