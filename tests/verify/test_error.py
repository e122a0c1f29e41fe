"""The measure of error: magnitudes by hand, and what counts as right."""

import math
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import Abs, Max, Piecewise, Rational, sqrt

from optgen.language.hypers import beta1, beta2
from optgen.language.reductions import TensorMax, TensorMean, TensorSum
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import g, t, theta
from optgen.verify import reference
from optgen.verify.error import Magnitudes, Measured

EPS, TINY, LARGEST = 2.0**-23, 2.0**-126, float(np.finfo(np.float32).max)
FLOAT32 = Magnitudes(np.float32)
inf, nan = math.inf, math.nan


def measured(expression: Any, x: Any, y: Any = 1.0, at: int = 1) -> Measured:
    """The value of an expression in theta and g, with its magnitude."""
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, expression),))
    thetas, grads = [np.atleast_1d(x)], [np.broadcast_to(y, np.shape(np.atleast_1d(x)))]
    return reference.step(rule, thetas, grads, {}, at, arithmetic=FLOAT32)[0][0]


@pytest.mark.parametrize(
    ("expression", "x", "y", "magnitude"),
    [
        (theta + g, 3, -2, 5),
        (theta - g, 3, 3, 6),
        (theta * g, 3, -2, 6),
        ((theta - g) * theta, 3, 2, 15),
        (theta / g, 3, 2, 1.5),
        (g / (theta - g), 3, 2, 10),
        (theta**2, 3, 0, 18),
        (sqrt(theta), 4, 0, 2),
        (sqrt(theta + g), 5, -1, 2),
        (sqrt(theta + g), 9, -8, 8.5),
        (sympy.exp(theta), 3, 0, 3 * math.exp(3)),
        (sympy.sin(theta), 0.5, 0, math.sin(0.5)),
        (sympy.log(theta), 2, 0, 1),
        (Abs(theta - g), 3, 2, 5),
        (Max(theta - g, 0), 2, 3, 5),
        (Piecewise((theta - g, theta > 0), (theta, True)), 3, 2, 5),
        (Piecewise((theta - g, theta < 0), (theta, True)), 3, 2, 3),
        (2 * theta + Rational(1, 4), -3, 0, 6.25),
        (TensorSum(theta), [3, -2], 0, 5),
        (TensorMean(theta), [3, -1], 0, 2),
        (TensorMax(theta), [3, -4], 0, 4),
    ],
    ids=str,
)
def test_magnitudes(expression: Any, x: Any, y: float, magnitude: float) -> None:
    assert float(measured(expression, x, y).magnitude[0]) == pytest.approx(magnitude, rel=1e-5)


def test_a_scalar_has_no_excuse_for_cancellation() -> None:
    scalar = 1 - beta1**t
    assert float(measured(theta * scalar, 1.0).magnitude[0]) == pytest.approx(0.1)


def test_a_product_with_a_difference_is_as_wrong_as_float64_leaves_that() -> None:
    low = beta1.with_default(1e-12)
    scalar = (low - beta2) * sympy.exp(-t / 10**12) + beta2  # 2e-12
    assert float(measured(theta * scalar, 1.0).magnitude[0]) == pytest.approx(2 * 2.0**-52 / EPS, rel=0.01)


def test_a_power_answers_for_the_rounding_of_its_exponent() -> None:
    x = 1e20
    rounding = abs(float(np.float32(0.3)) - 0.3) / EPS * math.log(x)
    wanted = x**0.3 * (0.3 + rounding)
    assert float(measured(theta ** Rational(3, 10), x).magnitude[0]) == pytest.approx(wanted, rel=1e-3)


def test_magnitudes_stop_at_the_smallest_normal() -> None:
    assert measured(theta * g, 0.0).magnitude[0] == TINY
    assert measured(theta**2, 1e-30).magnitude[0] == TINY


def test_the_root_of_what_underflows_is_known_to_the_root_of_a_denormal() -> None:
    assert float(measured(sqrt(theta), 0.0).magnitude[0]) * EPS == pytest.approx(math.sqrt(TINY * EPS))


def test_the_inverse_of_what_is_lost_may_be_anything() -> None:
    quotient = measured(1 / sqrt(theta * g), [1e-30, 1.0], [1e-30, 1.0])
    assert quotient.magnitude[0] == inf
    assert quotient.magnitude[1] < 3
    assert measured(1 / (theta - g), 1 + EPS, 1.0).magnitude[0] == inf
    np.testing.assert_array_equal(FLOAT32.ulps(np.float32([nan, 1.0]), quotient), [0, 0])


@pytest.mark.parametrize(
    ("expression", "x", "y", "error"),
    [
        (sympy.sin(theta), 1e8, 0, 2),
        (sympy.cos(theta - g), 1e8, 1e8, 2),
        (sympy.tan(theta), 1e8, 0, inf),
        (sympy.tan(theta), math.pi / 2 - 5e-7, 0, inf),  # a pole is as close as eight roundings
        (sympy.tan(theta), math.pi / 2 - 1e-5, 0, 2e3),
        (sympy.Mod(theta, 3), 1e9, 0, 3),
        (sympy.Mod(theta, g), 1e9, 3, 3),
        (sympy.Mod(theta, theta - g), 1e4, 1e4 - 1, 1),  # of the divisor a thousandth is unknown, ten thousand times
        (sympy.Mod(theta, 3), 100, 0, 100 * EPS),
    ],
    ids=str,
)
def test_a_function_that_turns_within_what_is_unknown_may_be_anywhere(
    expression: Any, x: float, y: float, error: float
) -> None:
    assert float(measured(expression, x, y).magnitude[0]) * EPS == pytest.approx(error, rel=0.3)


def test_a_step_hands_magnitudes_on() -> None:
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - g),))
    thetas, _ = reference.step(rule, [np.array([3.0])], [np.array([2.0])], {}, 1, arithmetic=FLOAT32)
    thetas, _ = reference.step(rule, thetas, [np.array([1.0])], {}, 2, arithmetic=FLOAT32)
    assert (thetas[0].value[0], thetas[0].magnitude[0]) == (0, 6)


@pytest.mark.parametrize(
    ("found", "value", "magnitude", "error"),
    [
        (1.0, 1.0, 1.0, 0),
        (1 + EPS, 1.0, 1.0, 1),
        (1 - EPS / 2, 1.0, 1.0, 0.5),
        (1 + EPS, 1.0, 8.0, 0.125),
        (TINY * EPS, 0.0, TINY, 1),
        (nan, nan, nan, 0),
        (1.0, nan, nan, inf),
        (nan, 1.0, 1.0, inf),
        (inf, 1e39, 1e39, 0),
        (inf, inf, 1e39, 0),
        (inf, LARGEST, LARGEST, 0.5),
        (LARGEST, 1e39, 2.0**128, 0.5),
        (-inf, 1e39, 1e39, 2 * 2.0**128 / (EPS * 1e39)),
        (inf, 1.0, 1.0, 2.0**128 / EPS),
        (5.0, 1.0, inf, 0),
    ],
)
def test_errors(found: float, value: float, magnitude: float, error: float) -> None:
    expected = Measured(FLOAT32.exact.array([value]), FLOAT32.exact.array([magnitude]))
    assert FLOAT32.ulps(np.float32([found]), expected)[0] == pytest.approx(error)


def test_one_rounding_is_half_a_unit() -> None:
    x = np.random.default_rng(0).normal(size=200).astype(np.float32)
    errors = FLOAT32.ulps(np.float32(1) / x, measured(1 / theta, x))
    assert 0.4 < errors.max() <= 0.5
