"""Symbols, and what an optimizer finds out from its equations."""

import copy
import pickle

import pytest
from sympy import Rational, S, sqrt

from optgen import ELEM, MODEL, ROW, STEP, TENSOR, Let, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import beta1, beta2, eps, lr
from optgen.language.spaces import Space, join
from optgen.language.symbols import exact

m, v = state("m v")


def test_old_and_new_values_are_different_symbols():
    assert m.next != m
    assert m.next == m.next
    assert m.next.of == m
    assert theta.next.name == "theta_next"


def test_roots_are_not_split():
    assert sqrt(beta1 * v).args[0] == beta1 * v


@pytest.mark.parametrize("symbol", [theta, g, t, m, m.next, lr, beta1, local("a")])
def test_symbols_survive_copies(symbol):
    for twin in (pickle.loads(pickle.dumps(symbol)), copy.deepcopy(symbol)):  # noqa: S301
        assert twin == symbol
        assert hash(twin) == hash(symbol)
        assert twin._details() == symbol._details()


def test_a_default_makes_a_different_hyperparameter():
    assert lr.with_default(0.5) != lr
    assert lr.with_default(0.5).domain == lr.domain
    assert lr.with_default(float(lr.default)) == lr


def test_inits_and_spaces_make_different_states():
    assert len({state("m"), state("m", init=1), state("m", space=TENSOR), state("m")}) == 3
    assert state("m", init=1).next != m.next


def test_a_space_is_no_name():
    with pytest.raises(TypeError, match=r"state\('r'\): expected space to be one of STEP, MODEL, .*, got 'row'"):
        state("r", space="row")


def test_one_name_gives_a_symbol_and_several_a_tuple():
    assert state("m") == m
    assert [s.name for s in state("p, q r")] == ["p", "q", "r"]


@pytest.mark.parametrize(("written", "meant"), [(0.1, Rational(1, 10)), (1e-8, Rational(1, 10**8)), (2, S(2))])
def test_a_float_stands_for_the_decimal_that_was_written(written, meant):
    assert exact(written) == meant
    assert Let(m.next, written * g).value == meant * g


def test_hyperparameters_and_states_are_found_in_order():
    rule = Optimizer(
        "rule",
        title="Rule",
        step=(
            Let(v.next, beta2 * v + (1 - beta2) * g**2),
            Let(m.next, beta1 * m + g),
            Let(theta.next, theta - lr * m.next / (sqrt(v.next) + eps)),
        ),
    )
    assert [h.name for h in rule.hypers] == ["lr", "beta2", "beta1", "eps"]
    assert [s.name for s in rule.states] == ["v", "m"]


def test_a_hyperparameter_of_an_init_is_found():
    start = hyper("start", 0.5)
    w = state("w", init=start)
    rule = Optimizer("rule", title="Rule", step=(Let(w.next, w + g), Let(theta.next, theta - lr * w.next)))
    assert [h.name for h in rule.hypers] == ["lr", "start"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (STEP, STEP, STEP),
        (STEP, MODEL, MODEL),
        (MODEL, TENSOR, TENSOR),
        (TENSOR, ROW, ROW),
        (ROW, Space.COL, ELEM),
        (ROW, ROW, ROW),
        (ELEM, STEP, ELEM),
    ],
)
def test_a_value_varies_over_what_its_parts_vary_over(one, other, both):
    assert join(one, other) is both
    assert join(other, one) is both
    assert one <= both
