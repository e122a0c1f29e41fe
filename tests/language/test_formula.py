"""Formulas, and how they are drawn as text and in MathML."""

import re
from xml.dom.minidom import parseString

import pytest
from sympy import Rational, sqrt

from optgen import Let, Norm, Piecewise, RowMean, g, hyper, local, state, t, theta
from optgen.hypers import beta1, beta2, eps, final_lr, lr, unit_floor
from optgen.language.formula import Formulas, equation
from optgen.language.mathml import mathml
from optgen.language.typeset import AS_BEFORE, CHANGED, typeset, width

m, v, v_max = state("m v v_max")
m_hat, rho_inf, clipped = local("m_hat rho_inf clipped")


def drawn(let, columns=80, changed=()):
    return typeset(equation(let.target, let.value, Formulas(), changed), columns)


@pytest.mark.parametrize(
    ("let", "line"),
    [
        (Let(m.next, beta1 * m + (1 - beta1) * g), "mₜ = β₁ mₜ₋₁ + (1 − β₁) gₜ"),
        (Let(v.next, beta2 * v + (1 - beta2) * g**2), "vₜ = β₂ vₜ₋₁ + (1 − β₂) gₜ²"),
        (Let(theta.next, theta - lr * g), "θₜ = θₜ₋₁ − η gₜ"),
        (Let(clipped, g + Rational(1, 10)), "clippedₜ = gₜ + 0.1"),
        (Let(rho_inf, 2 - beta2**t), "ρ∞ₜ = 2 − β₂ᵗ"),
        (Let(v_max.next, sqrt(v.next + eps) + final_lr), "v_maxₜ = √(vₜ + ε) + η∞"),
        (Let(clipped, sqrt(RowMean(g**2)) + unit_floor), "clippedₜ = √mean_row(gₜ²) + ε_row"),
        (Let(clipped, Norm(theta)), "clippedₜ = ‖θₜ₋₁‖"),
    ],
)
def test_an_equation_on_one_line(let, line):
    assert drawn(let) == [line]


def test_a_fraction_stands_over_and_below_its_bar():
    assert drawn(Let(m_hat, m.next / (1 - beta1**t))) == ["        mₜ", "m̂ₜ = ─────────", "      1 − β₁ᵗ"]


def test_cases_stand_behind_a_brace():
    lines = drawn(Let(theta.next, Piecewise((theta, g > 0), (theta - lr * g / m.next, t > 5), (g, True))))
    assert [line[5] for line in lines] == list("⎧⎪⎪⎨⎪⎪⎩")
    assert lines[0].endswith("if gₜ > 0")
    assert lines[-1].endswith("otherwise")


@pytest.mark.parametrize("columns", [60, 40])
def test_a_long_equation_is_broken_between_terms_and_a_fraction_is_not(columns):
    terms = [lr * m.next / (sqrt(v.next) + eps * k) for k in range(1, 7)]
    total = theta
    for term in terms:
        total = total - term
    lines = drawn(Let(theta.next, total), columns)
    assert max(map(width, lines)) <= columns
    assert sum(line.count("√vₜ") for line in lines) == sum(line.count("η mₜ") for line in lines) == len(terms)
    assert sum(len(re.findall("─+", line)) for line in lines) == len(terms)


def test_of_two_letters_that_are_the_same_the_names_are_written():
    one, other = hyper("alpha", 0, tex=r"\alpha"), hyper("step_size", 0, tex=r"\alpha")
    write = Formulas((one, other))
    assert [write(symbol)[1] for symbol in (one, other)] == ["α", "step_size"]
    assert Formulas((other,))(other)[1] == "α"


def test_latex_of_ones_own_is_kept_for_latex():
    odd = hyper("odd", 0, tex=r"\mathcal{O}_1")
    assert Formulas()(odd) == ("tex", r"\mathcal{O}_1", ("letter", "odd", "", "", "", ""))


def test_what_has_changed_is_marked():
    (line,) = drawn(Let(theta.next, theta - lr * g), changed={theta})
    assert line == f"θₜ = {CHANGED}θₜ₋₁{AS_BEFORE} − η gₜ"
    assert width(line) == len("θₜ = θₜ₋₁ − η gₜ")


def test_mathml_is_well_formed():
    lets = [Let(m_hat, m.next / (1 - beta1**t)), Let(theta.next, Piecewise((theta, g < 0), (sqrt(Norm(g)), True)))]
    root = parseString(mathml([equation(let.target, let.value, Formulas()) for let in lets]).replace("&nbsp;", "\xa0"))  # noqa: S318 - our own
    assert len(root.getElementsByTagName("mfrac")) == len(root.getElementsByTagName("msqrt")) == 1
    assert [row.firstChild.nodeValue for row in root.getElementsByTagName("mo")].count("<") == 1
