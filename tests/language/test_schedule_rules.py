"""Schedules: what they know of themselves, and what the language refuses."""

from dataclasses import replace

import pytest
from sympy import (
    Abs,
    Eq,
    Interval,
    Max,
    Min,
    Piecewise,
    Symbol,
    atan2,
    ceiling,
    cos,
    erf,
    exp,
    floor,
    gamma,
    log,
    pi,
    sign,
    sin,
    sqrt,
    tan,
    tanh,
)

from optgen import Let, Norm, Schedule, SpecError, finite, g, hyper, local, state, t, theta
from optgen.errors import Location
from optgen.hypers import beta2, eps, lr
from optgen.targets.base import Origin
from optgen.targets.schedules import source
from optgen.verify.arithmetic import FLOAT64
from optgen.verify.reference import evaluated

a, b = local("a b")
m = state("m")
period = hyper("period", 10, Interval.Lopen(0, 100))


def module(schedule):
    names = {}
    exec(source(schedule, Origin("0", "f", "d")), names)  # noqa: S102
    return names


def test_locals_are_replaced_in_the_value():
    schedule = Schedule("wave", lr * a, where=(Let(a, b + 1), Let(b, t / period)))
    assert schedule.value == lr * (t / period + 1)
    assert str(schedule) == "a = b + 1\nb = t/period\nwave = lr*a"
    assert schedule._repr_latex_().startswith("$\\displaystyle \\begin{aligned}")
    assert module(schedule)["Wave"](lr=2, period=4)(6) == 5


def test_hyperparameters_are_found_the_learning_rate_first():
    assert [h.name for h in Schedule("rule", Min(t / period, beta2) * lr).hypers] == ["lr", "beta2", "period"]


def test_a_title_is_made_from_the_name_unless_given():
    assert Schedule("step_by_step", lr).title == "StepByStep"
    assert Schedule("sgdr", lr, title="SGDR").title == "SGDR"


def test_schedules_with_the_same_equations_are_equal_and_can_be_changed():
    one, other = (Schedule("rule", lr * a, where=(Let(a, t),)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert replace(one, name="other").value == lr * t


def test_every_function_prints_as_plain_python():
    value = Max(lr, sign(t - 3), 1 / sqrt(t)) * pi + Piecewise((lr, Eq(t, 2)), (eps, t > 3), (0, True))
    made = module(Schedule("rule", value))["Rule"](lr=0.5, eps=0.25)
    assert [made(k) / 3.141592653589793 for k in (1, 3)] == pytest.approx([1, 3**-0.5])
    assert made(2) == pytest.approx(3.141592653589793 / 2**0.5 + 0.5)
    assert made(4) == pytest.approx(3.141592653589793 + 0.25)


FUNCTIONS = (Abs, ceiling, cos, erf, exp, finite, floor, log, sign, sin, tan, tanh, lambda x: atan2(x, period))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_of_the_language_prints_as_plain_python(function):
    written = function(t / 2 - period) + function(t)
    known = {t: FLOAT64.number(7), period: FLOAT64.number(2)}
    found = module(Schedule("rule", written))["Rule"](period=2)(7)
    assert found == pytest.approx(float(evaluated(written, known, FLOAT64)), rel=1e-15)


def test_one_without_hyperparameters_is_a_schedule_too():
    assert module(Schedule("rule", 1 / t))["Rule"]()(4) == 0.25


REFUSED = {
    "a gradient": (lr * g, (), "`g` is not known before the step", "t, hyperparameters and locals"),
    "the parameters": (lr * theta.next, (), "`theta'` is not known before the step", "t, hyperparameters and locals"),
    "a state": (lr * m, (), "`m` is not known before the step", "t, hyperparameters and locals"),
    "a reduction": (lr * Norm(t), (), "`Norm(t)` is not known before the step", "t, hyperparameters and locals"),
    "a state that is given": (
        lr,
        (Let(m.next, t),),
        "`m'` is given a value, but a schedule keeps",
        "assign locals only",
    ),
    "an unknown symbol": (lr * Symbol("rate"), (), "unknown symbol `rate`", 'rate = hyper("rate"'),
    "an unused local": (lr, (Let(a, t),), "local `a` is never used", "take its equation out"),
    "a local without equation": (lr * a, (), "local `a` has no equation", "add Let(a, …)"),
    "a cycle": (a, (Let(a, b), Let(b, a)), "the equations need each other", "use the old value"),
    "a Piecewise without a final True": (Piecewise((lr, t < 3)), (), "does not end in True", "(value, True)"),
    "a truth value": (t < 3, (), "the value is a truth value", "write Piecewise"),
    "a default outside its domain": (lr.with_default(-1), (), "the default -1 of `lr` is outside", "choose a default"),
    "two defaults": (lr + lr.with_default(1), (), "two different symbols are called `lr`", "another name"),
    "its own name": (hyper("rule", 1.0) * t, (), "two different symbols are called `rule`", "another name"),
    "an infinite value": (lr / (t - t), (), "the value is not a finite real number", "look for 0/0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    value, where, what, fix = REFUSED[case]
    with pytest.raises(SpecError) as refusal:
        Schedule("rule", value, where=where)
    assert f"test_schedule_rules.py:{refusal.value.location.line}: schedule 'rule': " in str(refusal.value)
    assert what in str(refusal.value)
    assert fix in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"name": "Rule"}, "the name 'Rule' cannot name a module"),
        ({"name": "rule", "title": "rule"}, "the title 'rule' cannot name a class"),
        ({"name": "rule", "where": Let(a, t)}, "where is one Let, not a tuple"),
    ],
)
def test_names_and_shapes_that_are_refused(arguments, what):
    with pytest.raises(SpecError, match=what):
        Schedule(value=lr, **arguments)


@pytest.mark.parametrize("name", ["max", "self"])
def test_names_that_the_module_uses_are_refused_when_it_is_built(name):
    with pytest.raises(SpecError, match=f"the name `{name}` is reserved") as refusal:
        source(Schedule("rule", Max(hyper(name, 1.0), t), location=Location()), Origin("0", "f", "d"))
    assert f"call it `{name}_`" in str(refusal.value)


def test_what_cannot_be_printed_is_refused_when_it_is_built():
    with pytest.raises(SpecError, match="schedule 'rule': there is no printer for `gamma`"):
        source(Schedule("rule", gamma(t), location=Location()), Origin("0", "f", "d"))
