"""What spec files import from optgen for SymPy's `Max`, `Min` and `Piecewise` is SymPy's, as it is written."""

import numpy as np
import pytest
import sympy
from sympy import Float, Rational, S, oo

from optgen import Let, Max, Min, Optimizer, Piecewise, Schedule, SpecError, g, pipeline, state, t, theta
from optgen.hypers import lr
from optgen.language.graph import nodes
from optgen.targets import TARGETS
from optgen.targets.base import Origin
from optgen.verify import reference


def nested(times, value=g, other=theta):
    for k in range(times):
        value = Piecewise((value / 2, value > k), (value + other, True))
    return value


def rule(value):
    return Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * value),))


@pytest.mark.parametrize(("own", "kind"), [(Max, sympy.Max), (Min, sympy.Min)])
def test_extremes_are_those_of_sympy(own, kind):
    assert type(own(g, theta)) is kind
    assert own(g, theta) == kind(g, theta)
    assert own(g, g) == own(g) == g
    assert own(1, 2, Float(0.5)) == kind(1, 2, Float(0.5))
    assert own(g, 1, 2) == kind(g, 1, 2)
    assert own(own(g, 1), own(theta, 2)) == kind(g, theta, 1, 2)
    assert own(g, kind.identity) == g
    assert own() == kind()


def test_arguments_of_an_extreme_are_not_compared():
    many = [k * g + theta / (k + 1) for k in range(300)]
    assert set(Max(*many).args) == set(many)
    assert Min(g, g + 1).args == (g, g + 1)


def test_choices_are_those_of_sympy():
    cases = ((g, g > 0), (theta, theta > 1), (0, True))
    assert Piecewise(*cases) == sympy.Piecewise(*cases)
    assert type(Piecewise(*cases)) is sympy.Piecewise
    assert Piecewise((g, True)) == g
    assert Piecewise((theta, False), (g, g > 0), (1, True), (2, g > 1)) == sympy.Piecewise((g, g > 0), (1, True))
    assert Piecewise((g, False)) is S.NaN
    assert Piecewise((g, -g < -1), (0, True)).args[0].args[1] == (-g < -1)


@pytest.mark.parametrize("wrong", [(), (g, g > 0), ((g, 1.5),)])
def test_what_is_no_choice_is_refused_as_sympy_does(wrong):
    said = []
    for kind in (sympy.Piecewise, Piecewise):
        with pytest.raises((TypeError, AttributeError)) as caught:
            kind(*wrong)
        said.append(type(caught.value))
    assert said[0] is said[1]


def test_choices_that_decide_by_choices_are_cut():
    deep = rule(nested(40))
    conditions = [pair.args[1] for let in deep.step for x in let.value.atoms(sympy.Piecewise) for pair in x.args]
    assert not any(condition.has(sympy.Piecewise) for condition in conditions)
    few, many = (TARGETS["cpu"].source(r, pipeline.kernel_of(r), Origin("", "", "")) for r in (rule(nested(10)), deep))
    assert len(many) < 5 * len(few)


def test_choices_that_decide_by_choices_mean_what_is_written():
    made = rule(nested(5))
    parameters, gradient = [np.array([0.5, -2.0, 3.0])], [np.array([0.25, 9.0, -1.0])]
    new, _ = reference.step(made, parameters, gradient, reference.start(made, parameters), 1)
    wanted = gradient[0]
    for k in range(5):
        wanted = np.where(wanted > k, wanted / 2, wanted + parameters[0])
    rate = float(made.hypers[0].default)
    np.testing.assert_allclose(new[0], parameters[0] - rate * wanted, rtol=1e-12)


def test_schedules_that_decide_by_choices_are_cut():
    schedule = Schedule("rate", lr * nested(8, t, Rational(1, 2)))
    assert len(schedule.step) >= 8
    assert len(nodes(*(let.value for let in schedule.step))) < 8 * 30


def test_what_a_state_starts_from_does_not_decide_by_a_choice():
    m = state("m", init=nested(3, theta, theta))
    step = (Let(m.next, m + g), Let(theta.next, theta - lr * m.next))
    with pytest.raises(SpecError, match="decides by a Piecewise"):
        Optimizer("rule", title="Rule", step=step)


def test_infinite_extremes_are_refused():
    with pytest.raises(SpecError, match="not a finite real number"):
        rule(Max(g, oo))


def test_a_maximum_of_what_stands_in_many_places_visits_it_once():
    """As a tree this has 2**60 nodes, which SymPy counts to sort the arguments."""
    value = g
    for _ in range(60):
        value = Max(value, theta) * Min(value, g)
    assert len(nodes(value)) < 250


@pytest.mark.parametrize("values", [(g, theta), (g**2 + 1, theta, 3), (g, sympy.exp(g), theta * g, t), (t, 5, g, 2)])
@pytest.mark.parametrize(("own", "kind"), [(Max, sympy.Max), (Min, sympy.Min)])
def test_arguments_are_in_the_order_of_sympy(own, kind, values):
    assert own(*values).args == kind(*values).args
    assert own(*values) == kind(*reversed(values))
