"""The oracle against numbers computed by hand and formulas written in NumPy."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Abs, Eq, Max, Min, Mod, Ne, Piecewise, Rational, pi, sqrt

from optgen.errors import UsageError
from optgen.language.hypers import beta1, beta2, lr
from optgen.language.reductions import (
    ColMean,
    ModelMax,
    ModelNorm,
    ModelSum,
    Norm,
    RowMean,
    TensorMax,
    TensorMean,
    TensorSum,
)
from optgen.language.spaces import Space
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import g, state, t, theta
from optgen.verify import reference
from optgen.verify.arithmetic import FLOAT64, Arithmetic, Digits

m, v = state("m v")
adam = Optimizer(
    "adam",
    title="Adam",
    step=(
        Let(m.next, beta1 * m + (1 - beta1) * g),
        Let(v.next, beta2 * v + (1 - beta2) * g**2),
        Let(theta.next, theta - lr * m.next / (1 - beta1**t) / sqrt(v.next / (1 - beta2**t))),
    ),
)
inf, nan = math.inf, math.nan


@pytest.fixture(params=[FLOAT64, Digits(30)], ids=["float64", "digits"])
def arithmetic(request: pytest.FixtureRequest) -> Arithmetic:
    return request.param


def values(expression: Any, arithmetic: Arithmetic, thetas: Any, grads: Any = None, at: int = 1) -> list[Any]:
    """What an expression in theta, g and t comes to, a float64 array a tensor."""
    thetas = [np.asarray(tensor, float) for tensor in thetas]
    grads = [np.zeros_like(tensor) for tensor in thetas] if grads is None else grads
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, expression),))
    new, _ = reference.step(rule, thetas, grads, {}, at, arithmetic=arithmetic)
    return [np.asarray(tensor, np.float64) for tensor in new]


def value(expression: Any, arithmetic: Arithmetic, thetas: Any, grads: Any = None, at: int = 1) -> Any:
    """The same for a model of one tensor."""
    grads = None if grads is None else [np.asarray(grads, float)]
    return values(expression, arithmetic, [thetas], grads, at)[0]


# Steps ---------------------------------------------------------------------------------------------------------------


def test_two_steps_of_adam_by_hand(arithmetic: Arithmetic) -> None:
    hypers = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75}
    states = reference.start(adam, [np.array([1.0])], hypers=hypers, arithmetic=arithmetic)
    assert states == {"m": [[0]], "v": [[0]]}
    thetas, states = reference.step(
        adam, [np.array([1.0])], [np.array([2.0])], states, 1, hypers=hypers, arithmetic=arithmetic
    )
    assert (thetas, states) == ([[0.5]], {"m": [[1]], "v": [[1]]})  # the first step is lr, whatever g
    thetas, states = reference.step(adam, thetas, [np.array([-4.0])], states, 2, hypers=hypers, arithmetic=arithmetic)
    assert states == {"m": [[-1.5]], "v": [[4.75]]}
    assert float(thetas[0][0]) == pytest.approx(0.5 + 0.5 * (1.5 / 0.75) / math.sqrt(4.75 / 0.4375), rel=1e-15)


def test_both_arithmetics_agree_to_float64(arithmetic: Arithmetic) -> None:
    rng = np.random.default_rng(0)
    theta_, grad = rng.normal(size=(2, 5, 4))
    moment, second = 0.1 * grad, 0.001 * grad**2
    expected = theta_ - 1e-3 * (moment / 0.1) / np.sqrt(second / 0.001)
    states = reference.start(adam, [theta_], arithmetic=arithmetic)
    thetas, states = reference.step(adam, [theta_], [grad], states, 1, arithmetic=arithmetic)
    np.testing.assert_allclose(thetas[0].astype(float), expected, rtol=1e-13)
    np.testing.assert_allclose(states["v"][0].astype(float), second, rtol=1e-13)


def test_inputs_are_left_alone() -> None:
    arrays = [np.ones(3) for _ in range(4)]
    reference.step(adam, arrays[:1], arrays[1:2], {"m": arrays[2:3], "v": arrays[3:]}, 1)
    np.testing.assert_array_equal(arrays, np.ones((4, 3)))


def test_digits_are_as_many_as_asked_for() -> None:
    digits = Digits(80)
    with mpmath.workdps(80):
        wanted = mpmath.sqrt(2) * mpmath.pi / 3
        (found,), _ = reference.step(
            Optimizer("rule", title="Rule", step=(Let(theta.next, theta * sqrt(2) * pi * Rational(1, 3)),)),
            [np.ones(1)], [np.ones(1)], {}, 1, arithmetic=digits,
        )  # fmt: skip
        assert abs(found[0] - wanted) < mpmath.mpf(10) ** -79


def test_floats_enter_digits_as_they_are() -> None:
    tenth = Digits(50).array(np.array([0.1]))[0]
    assert tenth == mpmath.mpf(0.1)
    assert tenth != Digits(50).number(Rational(1, 10))
    (moved,), _ = reference.step(
        Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * g),)),
        [np.zeros(1)], [np.ones(1)], {}, 1, hypers={"lr": 0.1}, arithmetic=Digits(50),
    )  # fmt: skip
    assert moved[0] == -tenth


def test_an_unknown_hyperparameter_is_refused() -> None:
    with pytest.raises(UsageError, match="adam has no hyperparameter momentum"):
        reference.start(adam, [np.ones(1)], hypers={"momentum": 0.9})


def test_an_unknown_function_is_refused(arithmetic: Arithmetic) -> None:
    with pytest.raises(UsageError, match="cannot compute 'gamma'"):
        value(sympy.gamma(theta), arithmetic, [1.0])


# What states start from ----------------------------------------------------------------------------------------------


def counting(init: Any, space: Space = Space.ELEM) -> Optimizer:
    s = state("s", init=init, space=space)
    add = 1 if space is Space.ELEM else TensorMean(g) if space is Space.TENSOR else RowMean(g)
    return Optimizer("counting", title="Counting", step=(Let(s.next, s + add), Let(theta.next, theta - lr * g)))


@pytest.mark.parametrize(
    ("init", "before", "after"),
    [(0, 0, 1), (2.5, 2.5, 3.5), (10 * lr, 5, 6), (theta, 3, 4), (g**2, nan, 50), (theta * g, nan, 22)],
)
def test_inits(init: Any, before: float, after: float, arithmetic: Arithmetic) -> None:
    hypers = {"lr": 0.5}
    thetas, grads = [np.array([3.0])], [np.array([7.0])]
    states = reference.start(counting(init), thetas, hypers=hypers, arithmetic=arithmetic)
    np.testing.assert_array_equal(states["s"][0].astype(float), [before])
    _, states = reference.step(counting(init), thetas, grads, states, 1, hypers=hypers, arithmetic=arithmetic)
    np.testing.assert_array_equal(states["s"][0].astype(float), [after])
    _, states = reference.step(counting(init), thetas, grads, states, 2, hypers=hypers, arithmetic=arithmetic)
    np.testing.assert_array_equal(states["s"][0].astype(float), [after + 1])


@pytest.mark.parametrize(("space", "shape"), [(Space.ELEM, (2, 3)), (Space.ROW, (2, 1)), (Space.TENSOR, (1, 1))])
def test_a_state_has_the_shape_of_its_space(space: Space, shape: Any, arithmetic: Arithmetic) -> None:
    rule, tensors = counting(1, space), [np.ones((2, 3))]
    states = reference.start(rule, tensors, arithmetic=arithmetic)
    assert states["s"][0].shape == shape
    _, states = reference.step(rule, tensors, tensors, states, 1, arithmetic=arithmetic)
    np.testing.assert_array_equal(states["s"][0].astype(float), np.full(shape, 2.0))


# Functions -----------------------------------------------------------------------------------------------------------

X = np.array([-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 2.0, 7.25])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (theta**3 - 2 * theta + 1, X**3 - 2 * X + 1),
        (1 / (1 + theta**2), 1 / (1 + X**2)),
        (3 * g / (7 * (theta**2 + 1) * sqrt(g)), 3 * 2 / (7 * (X**2 + 1) * np.sqrt(2))),
        ((theta**2) ** Rational(1, 3), np.cbrt(X**2)),
        (2**theta, 2.0**X),
        (Abs(theta), np.abs(X)),
        (sympy.sign(theta), np.sign(X)),
        (sympy.floor(theta), np.floor(X)),
        (sympy.ceiling(theta), np.ceil(X)),
        (sympy.exp(theta), np.exp(X)),
        (sympy.log(theta**2 + 1), np.log(X**2 + 1)),
        (sympy.sin(theta) + sympy.cos(theta), np.sin(X) + np.cos(X)),
        (sympy.tan(theta), np.tan(X)),
        (sympy.tanh(theta), np.tanh(X)),
        (sympy.atan2(theta, g), np.arctan2(X, 2)),
        (sympy.erf(theta), np.array([math.erf(x) for x in X])),
        (Mod(theta, g), np.mod(X, 2)),
        (Max(theta, 0, g), np.maximum(X, 2)),
        (Min(theta, 0, g), np.minimum(X, 0)),
        (theta + pi + sympy.E, X + np.pi + np.e),
        (theta + t, X + 1),
    ],
    ids=str,
)
def test_functions(expression: Any, expected: Any, arithmetic: Arithmetic) -> None:
    found = value(expression, arithmetic, X, np.full(X.shape, 2.0))
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


# Where formulas leave the real numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "x", "expected"),
    [
        (1 / theta, 0, inf),
        (-1 / theta, 0, -inf),
        (g / theta, 0, nan),
        (g / sqrt(theta), 0, nan),
        (1 / theta, inf, 0),
        (theta - 2 * theta, inf, -inf),
        (theta / (1 + theta), inf, nan),
        (g * theta, inf, nan),
        (sqrt(theta), -1, nan),
        (theta ** Rational(1, 3), -8, nan),
        (sympy.log(theta), 0, -inf),
        (sympy.log(theta), -1, nan),
        (sympy.exp(theta), -inf, 0),
        (Max(theta, 0), nan, nan),
        (Min(theta, 0), nan, nan),
        (Mod(theta, g), 1, nan),
        (sympy.sign(theta), nan, nan),
        (sympy.sin(theta), inf, nan),
    ],
    ids=str,
)
def test_ieee(expression: Any, x: float, expected: float, arithmetic: Arithmetic) -> None:
    np.testing.assert_array_equal(value(expression, arithmetic, [x], [0.0]), [expected])


@pytest.mark.parametrize("relation", [theta > 0, theta < 0, theta >= 0, theta <= 0, Eq(theta, 0)], ids=str)
def test_comparisons_with_nan_are_false(relation: Any, arithmetic: Arithmetic) -> None:
    assert value(Piecewise((1, relation), (2, True)), arithmetic, [nan]) == [2]


# Choices -------------------------------------------------------------------------------------------------------------


def test_a_branch_not_taken_does_no_harm(arithmetic: Arithmetic) -> None:
    quotient = Piecewise((0, Eq(theta, 0)), (g / theta, True))
    np.testing.assert_array_equal(value(quotient, arithmetic, [0.0, 2.0, -4.0], [0.0, 1.0, 1.0]), [0, 0.5, -0.25])
    np.testing.assert_array_equal(value(Piecewise((1, theta > 0), (sqrt(theta), True)), arithmetic, [-1.0]), [nan])


def test_the_first_condition_that_holds_counts(arithmetic: Arithmetic) -> None:
    stairs = Piecewise((3, theta > 3), (2, theta > 2), (1, theta > 1), (theta, True))
    np.testing.assert_array_equal(value(stairs, arithmetic, [5.0, 2.5, 1.5, 0.5]), [3, 2, 1, 0.5])


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        ((theta > 0) & (g > 0), [1, 0, 0, 0]),
        ((theta > 0) | (g > 0), [1, 1, 1, 0]),
        (~((theta > 0) & (g > 0)), [0, 1, 1, 1]),
        (Ne(theta, g) & (theta <= 1), [0, 1, 1, 0]),
    ],
    ids=str,
)
def test_conditions(condition: Any, chosen: Any, arithmetic: Arithmetic) -> None:
    found = value(Piecewise((1, condition), (0, True)), arithmetic, [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0])
    np.testing.assert_array_equal(found, chosen)


def test_conditions_on_the_step(arithmetic: Arithmetic) -> None:
    warm = Piecewise((theta, t <= 2), (-theta, True))
    assert [value(warm, arithmetic, [1.0], at=at) for at in (1, 2, 3)] == [[1], [1], [-1]]


# Reductions ----------------------------------------------------------------------------------------------------------

MATRIX, VECTOR = np.array([[1.0, 2.0, 6.0], [-1.0, 0.0, 4.0]]), np.array([3.0, -5.0])


@pytest.mark.parametrize(
    ("reduced", "expected"),
    [
        (TensorSum(theta), (12, -2)),
        (TensorMean(theta), (2, -1)),
        (TensorMax(theta), (6, 3)),
        (Norm(theta), (math.sqrt(58), math.sqrt(34))),
        (ModelSum(theta), (10, 10)),
        (ModelNorm(theta), (math.sqrt(92), math.sqrt(92))),
        (ModelMax(theta), (6, 6)),
        (TensorSum(1 + 0 * theta), (6, 2)),
        (TensorSum(lr), (6e-3, 2e-3)),
        (ModelSum(TensorMean(theta)), (10, 10)),
        (RowMean(theta), ([[3], [1]], -1)),
        (TensorMean(Piecewise((RowMean(theta), theta > 0), (0, True))), (10 / 6, -0.5)),
    ],
    ids=str,
)
def test_reductions(reduced: Any, expected: Any, arithmetic: Arithmetic) -> None:
    found = values(theta + reduced, arithmetic, [MATRIX, VECTOR])
    for tensor, start, value_ in zip(found, (MATRIX, VECTOR), expected, strict=True):
        np.testing.assert_allclose(tensor, start + np.array(value_), rtol=1e-14)


def test_the_mean_of_columns(arithmetic: Arithmetic) -> None:
    stack = np.arange(24.0).reshape(2, 3, 4)
    found = value(theta - ColMean(theta), arithmetic, stack)
    np.testing.assert_allclose(found, stack - stack.mean(axis=-2, keepdims=True), rtol=1e-14)


def test_empty_tensors_count_for_nothing(arithmetic: Arithmetic) -> None:
    found = values(theta + ModelSum(theta) + ModelMax(theta), arithmetic, [np.ones(0), np.array([-2.0]), np.array(5.0)])
    assert [tensor.tolist() for tensor in found] == [[], [6], 13]


def test_a_tensor_without_dimensions_is_one_element(arithmetic: Arithmetic) -> None:
    assert value(theta + TensorSum(theta) + Norm(theta), arithmetic, np.array(-4.0)) == -4


def test_any_expression_in_named_values() -> None:
    x, size = sympy.symbols("x numel", real=True)
    given = {"x": [np.array([1.0, 2.0]), np.array([[3.0]])]}
    found = reference.value(ModelSum(x) + size * Max(x, -sympy.oo), given, [(2,), (1, 1)], t=1)
    np.testing.assert_array_equal(found[0], [8, 10])
    np.testing.assert_array_equal(found[1], [[9]])


BEYOND = {
    "an exponential of an exponential": (sympy.exp(sympy.exp(t)), math.inf),
    "one that falls": (sympy.exp(-sympy.exp(t)), 0),
    "its inverse": (1 / sympy.exp(sympy.exp(t)), 0),
    "its logarithm": (sympy.log(sympy.exp(t)), 100_000),
    "a power of a power": (2 ** (2**t), math.inf),
    "a root of a power": (Rational(1, 2) ** (2**t), 0),
    "a power of minus one": ((t - 100_001) ** (2**t), 1),
    "a sine of what is no float64": (sympy.sin(sympy.exp(t)), math.nan),
    "a remainder of it": (Mod(sympy.exp(t), 3), math.nan),
    "a remainder by it": (Mod(3, sympy.exp(t)), 3),
    "a small number's remainder by 0": (Mod(1 / t**9, t - 100_000), math.nan),
    "a remainder by it, of another sign": (Mod(-3, sympy.exp(t)), math.inf),
}
"""What would take minutes, or all memory, to compute with all digits after 100,000 steps, and what it is as float64."""


@pytest.mark.parametrize("what", BEYOND)
def test_what_no_computer_could_hold_is_infinite_or_nothing(what: str) -> None:
    written, expected = BEYOND[what]
    found = reference.evaluated(written, {t: Digits().number(100_000)}, Digits())
    np.testing.assert_equal(float(found), expected)
