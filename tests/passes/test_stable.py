"""Scalars keep their digits: what is printed for them, against 100 digits, in kernels and in schedules."""

import math

import mpmath
import pytest
from sympy import Interval, cbrt, cos, exp, lambdify, log, pi, sin, sqrt, tanh

from optgen import Schedule, hyper, t
from optgen.ir import powm1 as powm1_node
from optgen.language.sums import plain
from optgen.language.symbols import exact
from optgen.loops.printer import CodePrinter
from optgen.passes.stable import stabilized
from optgen.runtime.cpu.primitives import powm1
from optgen.targets import schedules
from optgen.targets.base import Origin

h = hyper("h", 1e-3, Interval(0, 1))
whole = hyper("whole", 1, Interval(0, 1))
b = hyper("b", 0.999, Interval.Ropen(0, 1))
gamma = hyper("gamma", 0.9999, Interval.Lopen(0, 1))
x = hyper("x", 1e-9, Interval.open(0, 1))

CANCELS = [
    *(1 - cos(h), 1 + cos(h), cos(h) - 1, 3 - 3 * cos(h), h - h * cos(h), (1 - cos(x)) / x),
    *(1 - b**t, 2 - 2 * b**t, h - h * b**t, 1 - b ** (t - 1), (1 - b**t) * h, b**t - 1, h * b**t - h, 1 / (1 - b**t)),
    *(1 - gamma ** (t - 1), gamma**t - 1, 1 - b**t * gamma**t, 1 - (1 - x) ** t, (1 - x) ** t - 1),
    *(1 - (1 - h) ** t, 2 - 2 * (1 - h) ** (3 * t), 1 - (b * gamma) ** t, h - h * (b * x) ** (t - 1)),
    *(exp(h) - 1, 1 - exp(-x), 2 - 2 * exp(-x * t), exp(x) - exp(2 * x), log(1 + x), log(1 - x), h * log(1 + x)),
    *(1 - sqrt(1 - x), sqrt(1 + x) - 1, 2 - 2 * sqrt(1 - x), 1 - sqrt(b), sqrt(t + x) - sqrt(t), h - h * sqrt(1 - x)),
    *(1 - tanh(12 + h), 1 + tanh(-12 - h), h - h * tanh(15), 1 - tanh(12 + h) ** 2),
    *(b - b**t, h * b - h * b**t, b ** (t - 1) - b**t, b**t - b ** (2 * t), (b - b**t) / (1 - b**t)),
    *(1 - (b - b**t) / (1 - b**t), 1 - b * (1 - b ** (t - 1)) / (1 - b**t), 1 / (1 - b**t) - b / (1 - b**t)),
    *(log(t + 1) - log(t), h * log(t) - h * log(t + 1), log(x + 1 + t) - log(t + 1), log(t) - log(t - h)),
    *(log((t + 1) / t), log(t / (t + x)), log(2 * t) - log(2 * t + 1), log(1 + 1 / t)),
    *((t + 1) ** h - t**h, t**h - (t + x) ** h, cbrt(t + 1) - cbrt(t), (t + 1) ** 0.75 - t**0.75),
    *(1 / t - 1 / (t + 1), 1 / t - 1 / (t + x), 1 / (t + x) ** 2 - 1 / t**2, 1 / sqrt(t) - 1 / sqrt(t + 1)),
    *(sqrt(1 - b**t) - 1, h - h * sqrt(1 - b**t)),
    *((1 - b) / 3, 1 / exact(3) - b / 3, (b - 1) / 7, (gamma - b) / 3, (1 - b) * h / 3),
    *(1 - cos(h) ** 2, 1 - sin(pi / 2 - h), 1 + sin(h - pi / 2), h - h * sin(pi * (1 - x) / 2) ** 2),
]
POINTS = [
    {"t": t_, "h": h_, "b": b_, "gamma": gamma_, "x": x_}
    for t_, h_, b_, gamma_, x_ in [
        (1, 1e-9, 1 - 2.0**-40, 1 - 2.0**-45, 1e-12),
        (7, 1e-4, 1 - 1e-9, 0.9999999, 1e-9),
        (1000, 0.7, 0.9, 0.5, 0.3),
    ]
]


def number(expression, point):
    """What the printed Python gives."""
    code = CodePrinter(elementwise=False)(expression)
    return eval(code, {**vars(math), "powm1": powm1, **point})  # noqa: S307


def right(expression, point):
    """The same in 100 digits."""
    names = {s: mpmath.mpf(point[s.name]) for s in expression.free_symbols}
    with mpmath.workdps(100):
        free = sorted(names, key=str)
        return lambdify(free, expression, "mpmath")(*(names[s] for s in free))


@pytest.mark.parametrize("value", [plain(exact(value)) for value in CANCELS], ids=str)
def test_no_digits_are_lost(value):
    for point in POINTS:
        exact_value = right(value, point)
        if exact_value != 0:
            assert abs(number(stabilized(value), point) / exact_value - 1) < 2e-14, (stabilized(value), point)
        else:
            assert number(stabilized(value), point) == 0


def test_logarithms_of_what_may_be_negative_are_left_alone():
    a, c = hyper("a", 1), hyper("c", 1)
    assert stabilized(plain(exact(log(a + x) - log(a)))) == log(a + x) - log(a)
    assert stabilized(plain(exact(log(t + a) - log(t + c)))) == log(t + a) - log(t + c)


def test_a_power_of_nothing_is_one():
    assert powm1(0.0, 0.0) == 0
    assert powm1(0.0, 3.0) == -1
    assert stabilized(1 - b ** (t - 1)).has(powm1_node)
    assert number(stabilized(plain(exact(1 - b ** (t - 1)))), {"b": 0.0, "t": 1}) == 0


def test_what_may_be_nothing_to_the_power_of_nothing_is_not_divided_by():
    assert not stabilized(plain(exact(1 / (1 - b**t) - b ** (t - 1) / (1 - b**t)))).has(1 / b)
    assert number(stabilized(plain(exact(b - b**t))), {"b": 0.0, "t": 1}) == 0


SCHEDULES = {
    "a wave that begins": (h * (1 - cos(x * t)), "sin("),
    "a decay that begins": (h * (1 - gamma**t), "expm1("),
    "a decay from the first step": (h * (1 - gamma ** (t - 1)), "expm1("),
    "a root": (h * (1 - sqrt(1 - x)), "x/(1 + sqrt(1 - x))"),
    "a decay that may be nothing": (h * (1 - b ** (t - 1)), "b**(t - 1)"),
    "a decay that is nothing": (h * (1 - b**t), "expm1(t*log(b)) if b > 0 else -1.0"),
    "two of which one is nothing": (2 - 2 * gamma**t * b**t, "expm1("),
    "a product that is nothing": (1 - (b * gamma) ** t, "expm1("),
    "a share that is all": (1 - (1 - whole) ** t, "expm1(t*log1p(-whole)) if 1 - whole > 0 else -1.0"),
}


@pytest.mark.parametrize("what", SCHEDULES)
def test_schedules_keep_their_digits_too(what):
    value, has = SCHEDULES[what]
    text = schedules.source(Schedule("shape", value), Origin("0", "specs/shape.py", "0"))
    names = {"__name__": "shape"}
    exec(compile(text, "shape.py", "exec"), names)  # noqa: S102
    point = {"t": 1, "h": 0.5, "x": 1e-9, "gamma": 1 - 2.0**-45, "b": 0.0, "whole": 1.0}
    given = {s.name: point[s.name] for s in plain(exact(value)).free_symbols}
    assert has in text.split("def value")[1].split("class")[0]
    assert names["value"](**{"t": 1, **given}) == pytest.approx(float(right(plain(exact(value)), point)), rel=1e-14)


@pytest.mark.parametrize(
    "value", [1 - b**t, 1 - b ** (t - 1), 3 - 3 * b ** (2 * t), 1 - (b * gamma) ** t, 1 - (1 - h) ** t], ids=str
)
def test_schedules_keep_their_digits_where_their_logarithms_may_be_of_nothing(value):
    text = schedules.source(Schedule("shape", value), Origin("0", "specs/shape.py", "0"))
    names = {"__name__": "shape"}
    exec(compile(text, "shape.py", "exec"), names)  # noqa: S102
    for given in (
        {"t": 2, "h": 1e-9, "b": 1 - 2.0**-40, "gamma": 1 - 2.0**-45},
        {"t": 1, "h": 0.0, "b": 0.0, "gamma": 1e-300},
        {"t": 3, "h": 1.0, "b": 0.0, "gamma": 0.5},
    ):
        point = {s.name: given[s.name] for s in plain(exact(value)).free_symbols | {t}}
        assert names["value"](**point) == pytest.approx(float(right(plain(exact(value)), point)), rel=1e-14)
