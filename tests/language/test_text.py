"""Expressions as text and LaTeX, in the order a person would write them."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from sympy import Abs, And, Eq, Integer, Max, Min, Mod, Ne, Or, Piecewise, Rational, exp, log, pi, sign, sqrt

from optgen import Let, Norm, Optimizer, RowMean, g, local, normal, state, t, theta
from optgen.hypers import beta1, beta2, eps, lr, seed, weight_decay
from optgen.language.latex import tex
from optgen.language.symbols import exact
from optgen.language.text import text

m, v = state("m v")
m_hat, v_hat = local("m_hat v_hat")

TEXT = [
    (theta - lr * g, "theta - lr*g"),
    (beta1 * m + (1 - beta1) * g, "beta1*m + (1 - beta1)*g"),
    ((1 - beta1) * g + beta1 * m, "beta1*m + (1 - beta1)*g"),
    (m.next / (1 - beta1**t), "m'/(1 - beta1**t)"),
    (theta - lr * m_hat / (sqrt(v_hat) + eps), "theta - lr*m_hat/(sqrt(v_hat) + eps)"),
    ((1 - lr * weight_decay) * theta - lr * g, "(1 - lr*weight_decay)*theta - lr*g"),
    (g + weight_decay * theta, "g + weight_decay*theta"),
    (lr / (1 + (t - 1) * eps), "lr/(1 + eps*(t - 1))"),
    (g / (m * v), "g/(m*v)"),
    (g / m**2, "g/m**2"),
    (1 / g, "1/g"),
    (-g / 2, "-g/2"),
    (2 * g / 3, "2*g/3"),
    (theta - (m + g) / 3, "theta - (m + g)/3"),
    (-theta, "-theta"),
    (theta * (m - g), "theta*(m - g)"),
    ((m + g) ** 2, "(m + g)**2"),
    (2**g, "2**g"),
    ((-g) ** m, "(-g)**m"),
    (g ** Rational(1, 3), "g**(1/3)"),
    (g ** Rational(-3, 2), "1/g**(3/2)"),
    (sign(g) * Abs(m) + exp(-t), "Abs(m)*sign(g) + exp(-t)"),
    (Max(v, m, 0), "max(m, v, 0)"),
    (Min(1, t / 10), "min(t/10, 1)"),
    (Mod(t, 5), "t % 5"),
    (pi * g, "pi*g"),
    (log(1 + g), "log(g + 1)"),
    (Piecewise((g, Eq(t, 1)), (m, True)), "g if t == 1 else m"),
    (Piecewise((g, t < 2), (m, t < 4), (v, True)) + m, "m + (g if t < 2 else m if t < 4 else v)"),
    (
        Piecewise((g, And(g > 0, m < v)), (m, Or(g > 1, Ne(m, 2))), (v, True)),
        "g if g > 0 and m < v else m if g > 1 or m != 2 else v",
    ),
    (Norm(g) * g, "g*Norm(g)"),
    (beta1 * m + (1 - beta1) * (g + m_hat * normal(seed)), "beta1*m + (1 - beta1)*(g + m_hat*normal(seed))"),
    (theta - lr * normal(seed, 2) + lr * normal(seed), "theta - lr*normal(seed, 2) + lr*normal(seed)"),
]


@pytest.mark.parametrize(("expression", "written"), TEXT)
def test_text(expression, written):
    assert text(expression) == written


@pytest.mark.parametrize(
    "expression", [case[0] for case in TEXT if not case[0].has(Norm, Piecewise, Max, Min, sign, Abs, normal)]
)
def test_text_means_the_expression(expression):
    """Python reads the text back as the same value."""
    symbols = sorted(expression.free_symbols, key=str)
    values = {symbol: 2.0 + 0.3 * k for k, symbol in enumerate(symbols)}
    names = {text(symbol).replace("'", "_next"): value for symbol, value in values.items()}
    functions = {name: getattr(math, name) for name in ("sqrt", "exp", "log", "pi")}
    wanted = complex(expression.subs(values).evalf())
    assert eval(text(expression).replace("'", "_next"), functions | names) == pytest.approx(wanted, rel=1e-12)  # noqa: S307


LATEX = [
    (m.next, "m_t"),
    (m, "m_{t-1}"),
    (m_hat, r"\hat{m}_t"),
    (theta - lr * g, r"\theta_{t-1} - \eta \, g_t"),
    (beta1 * m + (1 - beta1) * g, r"\beta_1 \, m_{t-1} + \left( 1 - \beta_1 \right) \, g_t"),
    (m_hat / (sqrt(v_hat) + eps), r"\frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \epsilon}"),
    (-g / 2, r"-\frac{g_t}{2}"),
    (RowMean(g**2), r"\operatorname{mean}_{\mathrm{row}}\left(g_t^2\right)"),
    (Norm(m + g) ** 2, r"\left(\left\Vert m_{t-1} + g_t \right\Vert\right)^2"),
]


@pytest.mark.parametrize(("expression", "typeset"), LATEX)
def test_latex(expression, typeset):
    assert tex(expression) == typeset


def test_a_notebook_shows_an_optimizer_as_aligned_equations():
    rule = Optimizer("rule", title="Rule", step=(Let(m.next, beta2 * m + g), Let(theta.next, theta - lr * m.next)))
    shown = rule._repr_latex_()
    assert shown.startswith(r"$\displaystyle \begin{aligned}")
    assert r"m_t &= \beta_2 \, m_{t-1} + g_t \\" in shown
    assert Let(theta.next, theta - lr * g)._repr_latex_() == r"$\displaystyle \theta_t = \theta_{t-1} - \eta \, g_t$"


a, b, c = local("a b c")
LEAVES = st.sampled_from([a, b, c, *map(Integer, (-2, -1, 0, 1, 3)), Rational(1, 2), Rational(-5, 3)])


def connected(pair):
    """A choice by connected conditions. SymPy moves choices out of conditions, which here takes it up to minutes."""
    x, y = (a if part.has(Piecewise) else part for part in pair)
    return Piecewise((pair[0], Or(And(x > y, y >= 0), Ne(x, 1))), (1, True))


def combined(parts: st.SearchStrategy) -> st.SearchStrategy:
    """Expressions one level deeper."""
    pairs = st.tuples(parts, parts)
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] - p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        pairs.map(lambda p: p[0] / (p[1] ** 2 + 1)),
        pairs.map(if_sympy_can(lambda p: Mod(p[0], p[1] ** 2 + 1))),
        st.tuples(parts, st.integers(-3, 3)).map(lambda p: (p[0] ** 2 + 1) ** p[1]),
        st.tuples(parts, parts, parts).map(if_sympy_can(lambda p: Piecewise((p[0], p[1] < p[2]), (p[1], True)))),
        pairs.map(if_sympy_can(connected)),
        pairs.map(if_sympy_can(lambda p: Max(p[0], p[1], 0) - Min(p[1], 2))),
    )


def if_sympy_can(build):
    """The same, but that what SymPy recurses on without end, as on some choices in conditions, is no example."""

    def built(parts):
        try:
            return build(parts)
        except RecursionError:
            reject()

    return built


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.recursive(LEAVES, combined, max_leaves=8))
def test_python_reads_every_text_as_the_expression_that_was_printed(expression):
    """Exactly: Python's fractions do the same arithmetic as SymPy's rationals."""
    expression = exact(expression)  # as Let does
    values = {"a": Fraction(7, 3), "b": Fraction(-2, 5), "c": Fraction(1, 7)}
    meant = expression.subs(
        {local(name): Rational(value.numerator, value.denominator) for name, value in values.items()}
    )
    spelled = re.sub(r"\d+", r"Fraction(\g<0>)", text(expression))
    found = eval(spelled, {"Fraction": Fraction, **values})  # noqa: S307
    assert Fraction(found) == Fraction(int(meant.p), int(meant.q))
