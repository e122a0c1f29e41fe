"""Equations that are much larger as trees than as graphs, or too deep, are cut, and what is made of them is small."""

import numpy as np
import pytest
from sympy import Abs, Expr, Max, Piecewise, cos, sin, tanh

from optgen import Let, Optimizer, Schedule, SpecError, g, local, pipeline, state, t, theta
from optgen.hypers import beta1, lr
from optgen.ir import Kernel
from optgen.language.graph import nodes
from optgen.language.parts import DEEPEST, LARGEST
from optgen.targets import TARGETS, schedules
from optgen.targets.base import Origin
from optgen.verify import reference

m = state("m")


def folded(times: int) -> Expr:
    """An expression that doubles as a tree, and more, each time."""
    value = g
    for _ in range(times):
        value = sin(value) * value + value**2
    return value


def chosen(times: int) -> Expr:
    value = g
    for k in range(times):
        value = Piecewise((sin(value), theta > k), (value / (k + 2) + m, True))
    return value


def nested(times: int) -> Expr:
    value = g
    for _ in range(times):
        value = tanh(value)
    return value


def rule(value: Expr) -> Optimizer:
    return Optimizer("rule", title="Rule", step=(Let(m.next, m + g), Let(theta.next, theta - lr * (value + m.next))))


def size(kernel: Kernel) -> int:
    """Nodes as whoever prints or checks a kernel meets them, as trees."""
    sizes: dict[int, int] = {}
    values = [assign.value for assign in (*kernel.scalars, *(a for sweep in kernel.sweeps for a in sweep.body))]
    for node in nodes(*values):
        sizes[id(node)] = 1 + sum(sizes[id(x)] for x in node.args)
    return sum(sizes[id(value)] for value in values)


@pytest.mark.parametrize("make", [folded, chosen, nested])
def test_what_is_made_of_an_expression_grows_with_it(make):
    few, many = (pipeline.kernel_of(rule(make(times))) for times in (4, 12))
    assert size(many) < 6 * size(few)
    texts = [
        TARGETS["cpu"].source(rule(make(times)), pipeline.kernel_of(rule(make(times))), Origin("", "", ""))
        for times in (4, 12)
    ]
    assert len(texts[1]) < 6 * len(texts[0])


def test_terms_that_are_large_as_trees_are_not_compared_with_what_they_were():
    value = g
    for _ in range(40):  # compared as trees that is 3**40 comparisons
        value = cos(value) * value + value
    assert len(nodes(Let(theta.next, theta - lr * value).value)) < 200


@pytest.mark.parametrize("make", [folded, chosen])
def test_parts_are_what_was_written(make):
    value = make(6)
    whole = Optimizer(
        "whole",
        title="Whole",
        step=(Let(local("u"), value + m), Let(m.next, m), Let(theta.next, theta - lr * local("u"))),
    )
    cut = [let for let in rule(value).step if let.target.name.startswith("part")]
    assert cut
    assert whole.step[-1].value == theta - lr * local("u")
    back = {}
    for let in rule(value).step:
        back[let.target] = let.value.xreplace(back)
    given = {symbol: 0.1 * (k + 3) for k, symbol in enumerate((theta, g, m, lr))}
    written = theta - lr * (value + m + g)
    there = [float(x.xreplace(back).xreplace(given)) for x in (written, back[theta.next])]
    np.testing.assert_allclose(there[1], there[0], rtol=1e-12)


def test_hundreds_of_levels_are_no_more_than_some_equations():
    deep = rule(nested(200))
    assert len(deep.step) < 200 / DEEPEST + 4
    gradient = [np.array([0.5, -2.0])]
    new, _ = reference.step(deep, [np.zeros(2)], gradient, reference.start(deep, [np.zeros(2)]), 1)
    wanted = np.array(gradient[0])
    for _ in range(200):
        wanted = np.tanh(wanted)
    np.testing.assert_allclose(new[0], -0.01 * float(str(deep.hypers[0].default / 0.01)) * (wanted + gradient[0]))


def test_equations_that_a_person_writes_stay_as_they_are():
    step = (Let(m.next, beta1 * m + (1 - beta1) * g), Let(theta.next, theta - lr * (m.next + sin(m.next) * g) ** 2))
    assert Optimizer("rule", title="Rule", step=step).step == step


def test_names_of_parts_are_free():
    part = local("part0")
    step = (Let(part, g), Let(theta.next, theta - lr * (folded(LARGEST // 60) + part)))
    targets = [let.target.name for let in Optimizer("rule", title="Rule", step=step).step]
    assert len(targets) == len(set(targets))


def test_a_maximum_of_many_is_compared_by_nobody_again():
    many = [theta * (k + 2) + g for k in range(60)]
    kernel = pipeline.kernel_of(rule(Max(*many, evaluate=False) + Abs(g)))
    assert size(kernel) < 60 * 20


def test_a_sum_of_a_thousand_terms_is_fused_in_parts_that_python_reads():
    text = pipeline.source(rule(sum(sin(g * k) * theta for k in range(1, 300))), TARGETS["cpu"], Origin("", "", ""))
    assert max(line.count("(") for line in text.splitlines() if "fma" in line) < 200


@pytest.mark.parametrize("times", [63, 64, 400])
def test_a_choice_of_hundreds_of_cases_is_one_of_the_first_and_of_what_the_others_come_to(times):
    many = rule(Piecewise(*((g * (k + 2), theta < k) for k in range(times)), (g, True)))
    assert (len(many.step) > 2) == (times >= 64)
    for target in TARGETS.values():
        compile(pipeline.source(many, target, Origin("0", "a test", "0")), "rule", "exec")
    old, grad = np.linspace(-2, times + 1, 50), np.linspace(-1, 1, 50)
    new, _ = reference.step(many, [old], [grad], reference.start(many, [old]), 1, hypers={"lr": 1})
    factors = [next((k + 2 for k in range(times) if value < k), 1) for value in old]
    np.testing.assert_allclose(new[0], old - grad * (np.array(factors) + 1))


def test_schedules_are_cut_too():
    value = t
    for k in range(125):
        value = tanh(value + k)
    schedule = Schedule("deep", lr * value)
    assert len(schedule.step) > 1
    known = {}
    exec(schedules.source(schedule, Origin("", "", "")), known)  # noqa: S102 - it was just made
    assert known["Deep"](lr=0.5)(1) == pytest.approx(0.5, abs=1e-9)


def test_what_a_state_starts_from_is_not_nested_deep():
    deep = state("m", init=nested(125).xreplace({g: theta}))
    step = (Let(deep.next, deep + g), Let(theta.next, theta - lr * deep.next))
    with pytest.raises(SpecError, match="the init of state `m` is nested too deep"):
        Optimizer("rule", title="Rule", step=step)


def test_a_maximum_of_many_is_nested_as_little_as_need_be():
    largest = Max(*(k * g + theta / (k + 1) for k in range(200)), evaluate=False)
    text = pipeline.source(rule(largest), TARGETS["cpu"], Origin("", "", ""))
    assert "maximum(" * 8 in text
    assert "maximum(" * 9 not in text
