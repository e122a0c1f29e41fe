"""Right kernels of rules that no spec has are accepted, be their formulas never so unlucky in floating point."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import (
    Abs,
    And,
    Eq,
    Interval,
    Max,
    Min,
    Mod,
    Piecewise,
    Rational,
    cos,
    exp,
    log,
    oo,
    pi,
    sign,
    sin,
    sqrt,
    tan,
)

import optgen
from optgen import (
    MODEL,
    ROW,
    STEP,
    TENSOR,
    ColNorm,
    Let,
    ModelMean,
    ModelNorm,
    Norm,
    Optimizer,
    RowMean,
    RowNorm,
    SpecError,
    TensorMax,
    TensorMean,
    TensorSum,
    g,
    hyper,
    local,
    n_cols,
    n_rows,
    numel,
    state,
    t,
    theta,
)
from optgen.combinators import cautious, centralized, lookahead
from optgen.hypers import beta1, beta2, eps, lr
from optgen.specs.lion import lion
from optgen.specs.rprop import rprop
from optgen.specs.sgdw import sgdw_schedule
from optgen.verify import memory, mutate, numerics, reference, settings, translation
from optgen.verify.candidate import Candidate, Effort, Verdict, failures
from optgen.verify.error import Magnitudes

FEW = Effort(draws=20)
m, n, s, v = state("m n s v")
u = local("u")
last_g, last_theta = state("last_g", init=g), state("last_theta", init=theta)
p = hyper("p", Rational(1, 8), Interval(0, Rational(1, 2)), "a power")
steps = hyper("steps", 10_000, Interval.Lopen(0, oo), "how many steps")
vr, vt, vg = state("vr", space=ROW), state("vt", space=TENSOR), state("vg", space=MODEL)
MOMENTUM = Let(m.next, beta1 * m + g)


def candidate_of(*step: Let) -> Candidate:
    """The module of a rule, as it is compiled."""
    rule = Optimizer("rule", title="Rule", step=step)
    return Candidate(rule, Path(str(optgen.compile(rule).__file__)))


@pytest.mark.parametrize(
    "step",
    [
        (MOMENTUM, Let(theta.next, theta - lr * m.next / (Norm(m.next) + eps))),
        (MOMENTUM, Let(theta.next, theta - lr * m.next / (TensorMax(Abs(m.next)) + eps))),
        (MOMENTUM, Let(theta.next, theta - lr * m.next / (ColNorm(m.next) + eps))),
        (MOMENTUM, Let(theta.next, theta - lr * m.next / (ModelNorm(m.next) + eps))),
        (MOMENTUM, Let(vt.next, TensorSum(m.next * m)), Let(theta.next, theta - lr * m.next * sign(vt.next))),
        (MOMENTUM, Let(n.next, n + m.next * Norm(m.next)), Let(theta.next, theta - lr * n.next / (Norm(n.next) + 1))),
        (Let(theta.next, theta - lr * g), Let(s.next, s + g / (Norm(theta.next) + eps))),
        (Let(theta.next, theta - lr * g), Let(vg.next, Max(vg, ModelNorm(theta.next - theta)))),
        (
            MOMENTUM,
            Let(u, m.next**3 + g),  # kept from one sweep to the next, and added up
            Let(theta.next, theta - lr * u * Norm(u / (Norm(u) + eps)) * m.next),
        ),
        (
            Let(vr.next, beta2 * vr + (1 - beta2) * RowMean(g**2)),
            Let(m.next, beta1 * m + (1 - beta1) * g / (sqrt(vr.next) + eps)),
            Let(theta.next, theta - lr * m.next * Norm(theta) / (Norm(m.next) + eps)),
        ),
    ],
    ids=lambda step: str(len(step)),
)
def test_totals_of_what_is_stored_are_made_before_it_is_read_again(step: tuple[Let, ...]) -> None:
    candidate = candidate_of(*step)
    assert memory.escapes(candidate) == []
    assert failures(list(translation.check(candidate, FEW))) == []


def test_what_code_calls_by_the_name_of_an_equal_value_is_proved() -> None:
    """RACS's limit of a norm: at first its state is the norm, and the code divides by the state."""
    norm = local("norm_of_u")
    limited = Piecewise((Norm(u), Eq(t, 1)), (Min(Norm(u), Rational(101, 100) * vt), True))
    for divided, named in ((Norm(u), ()), (norm, (Let(norm, Norm(u)),))):
        candidate = candidate_of(
            Let(u, g / (Abs(theta) + eps)),
            *named,
            Let(vt.next, limited),
            Let(theta.next, theta - lr * u * vt.next / (divided + eps)),
        )
        found = list(translation.check(candidate, FEW))
        assert {finding.verdict for finding in found} == {Verdict.PROVED}


def test_a_condition_that_is_in_part_one_of_the_whole_model_is_proved() -> None:
    last = Let(m.next, beta1 * m + (1 - beta1) * Piecewise((g, And(vg > 0, theta < lr)), (m, True)))
    found = translation.check(candidate_of(last, Let(vg.next, ModelNorm(g)), Let(theta.next, theta - lr * m.next)), FEW)
    assert {finding.verdict for finding in found} == {Verdict.PROVED}


def test_of_many_conditions_on_t_each_step_has_some_that_hold() -> None:
    each = [(g * k, Eq(Mod(t, 20), k)) for k in range(1, 20)]
    found = list(translation.check(candidate_of(Let(theta.next, theta - lr * Piecewise(*each, (0, True)))), FEW))
    assert {finding.verdict for finding in found} == {Verdict.PROVED}


@pytest.mark.parametrize("always", [p >= 0, p <= Rational(1, 2), p < 1, lr >= 0])
def test_what_is_true_in_the_whole_domain_of_a_hyperparameter_is_no_choice(always: Any) -> None:
    chosen = Let(m.next, beta1 * m + p * Piecewise((last_g, always), (last_theta, True)))
    step = (chosen, Let(last_g.next, g), Let(last_theta.next, theta), Let(theta.next, theta - lr * m.next))
    assert {finding.verdict for finding in translation.check(candidate_of(*step), FEW)} == {Verdict.PROVED}


def test_a_state_of_the_model_has_one_value_where_numbers_are_made_special() -> None:
    step = (
        Let(vt.next, vt / 2 + TensorMean(log(vg))),
        Let(vg.next, vg / 2 + ModelMean(g)),
        Let(theta.next, theta - vt),
    )
    assert not failures(list(numerics.check(candidate_of(*step), FEW)))


@pytest.mark.parametrize("turns", [tan(g * theta), sin(g * theta), g * sin(t**t), Mod(g * theta, 3)])
def test_of_a_function_that_turns_within_a_rounding_nothing_is_asked(turns: Any) -> None:
    assert not failures(list(numerics.check(candidate_of(Let(theta.next, theta - lr * turns)), Effort(draws=300))))


@pytest.mark.parametrize(
    ("whole", "value"),
    [
        (vr, RowMean(g * vr) + 1),
        (vt, TensorMean(-g * theta * vt)),
        (vg, ModelMean(g * vg)),
        (vr, RowMean((g + theta) / vr)),
        (vr, RowMean(g / (sqrt(vr) + eps)) ** 2),
    ],
)
def test_an_infinite_factor_of_all_that_is_added_up_may_stand_outside(whole: Any, value: Any) -> None:
    step = Let(whole.next, value), Let(theta.next, theta - lr * g * whole.next)
    assert not failures(list(numerics.check(candidate_of(*step), Effort(draws=100))))


def test_what_has_a_name_is_rounded_before_it_is_added_up() -> None:
    step = Let(u, g * vr), Let(vr.next, RowMean(u) + 1), Let(theta.next, theta - lr * g * vr.next)
    assert not failures(list(numerics.check(candidate_of(*step), Effort(draws=200))))


@pytest.mark.parametrize(
    "step",
    [
        (Let(m.next, m / 2 + g * numel), Let(theta.next, theta - lr * m.next)),
        (Let(m.next, m / 2 + g + n_rows), Let(theta.next, theta - lr * m.next)),
        (Let(m.next, numel), Let(theta.next, theta - lr * g / m.next)),
        (Let(m.next, Piecewise((g, g > n_cols), (m, True))), Let(theta.next, theta - lr * m.next)),
        (Let(theta.next, theta - lr * g * n_cols / (n_rows + 1)),),
    ],
    ids=str,
)
def test_a_shape_is_all_that_a_rule_takes_of_a_tensor(step: tuple[Let, ...]) -> None:
    candidate = candidate_of(*step)
    for part in (translation, memory, numerics):
        assert not failures(list(part.check(candidate, FEW)))


@pytest.mark.parametrize("rule", [centralized(rprop), cautious(centralized(lion))])
def test_a_sign_of_what_is_rounded_to_0_or_has_cancelled_is_not_known(rule: Optimizer) -> None:
    candidate = Candidate(rule, Path(str(optgen.compile(rule).__file__)))
    assert not failures(list(numerics.check(candidate, Effort(draws=100))))


TENTH = Rational(1, 10)
UPDATED, AVERAGED = Let(m.next, beta1 * m + g), Let(vt.next, beta1 * vt + (1 - beta1) * TensorMean(g**2))
ON_EDGES = {
    "a number of the model": (
        Let(vg.next, Piecewise((vg + ModelMean(g**2), vg <= TENTH), (vg / 2, True))),
        Let(theta.next, theta - lr * g / (1 + vg)),
    ),
    "a number of a tensor": (AVERAGED, Let(theta.next, theta - lr * Piecewise((g, vt > TENTH), (2 * g, True)))),
    "ten of them": (AVERAGED, Let(theta.next, theta - lr * Piecewise((g, 10 * vt > 1), (2 * g, True)))),
    "a third of one": (AVERAGED, Let(theta.next, theta - lr * Piecewise((g, vt / 3 <= TENTH), (2 * g, True)))),
    "an element in a total": (
        UPDATED,
        Let(theta.next, theta - lr * TensorMean(Piecewise((g, m > TENTH), (2 * g, True)))),
    ),
    "what rounding makes 1": (
        UPDATED,
        Let(theta.next, theta - lr * TensorMean(Piecewise((g, Abs(m) / (Abs(m) + eps) < 1), (2 * g, True)))),
    ),
}


@pytest.mark.parametrize("step", ON_EDGES.values(), ids=ON_EDGES)
def test_where_rounding_decides_a_comparison_nothing_is_known_of_what_depends_on_it(step: tuple[Let, ...]) -> None:
    """A tenth is no float64: what is the float64 next to it is larger, and a kernel finds both equal."""
    assert not failures(list(numerics.check(candidate_of(*step), FEW)))


def test_elements_whose_comparison_is_not_known_leave_the_numbers_of_the_host_known() -> None:
    """SPAM counts the steps since its moments were reset, and clips what is large beside them."""
    since = state("since", space=STEP)
    clipped = Piecewise((sign(g) * sqrt(5000 * v), And(v > 0, g**2 > 5000 * v)), (g, True))
    step = (
        Let(since.next, Piecewise((1, since >= 500), (since + 1, True))),
        Let(v.next, beta2 * v + (1 - beta2) * clipped**2),
        Let(theta.next, theta - lr * clipped / (sqrt(v.next / (1 - beta2**since.next)) + eps)),
    )
    assert not failures(list(numerics.check(candidate_of(*step), Effort(draws=40))))


LARGEST = Abs(g) >= TensorMax(Abs(g))


@pytest.mark.parametrize("chosen", [LARGEST, 2 * Abs(g) >= TensorMax(2 * Abs(g)), g + 0 * m >= TensorMax(g)])
def test_what_nothing_has_rounded_decides_a_comparison_of_equals(chosen: Any, tmp_path: Path) -> None:
    candidate = candidate_of(Let(theta.next, theta - lr * Piecewise((g, chosen), (0, True))))
    assert not failures(list(numerics.check(candidate, FEW)))
    path = tmp_path / "rule.py"
    relation = ">=" if " >= " in candidate.text else "<="
    path.write_text(candidate.text.replace(f" {relation} ", f" {relation[0]} "), encoding="utf-8")
    assert failures(list(numerics.check(Candidate(candidate.optimizer, path), FEW)))


w, z = local("w z")
BY_SIGN = {
    "a product of names": (
        Let(w, Piecewise((1, m.next * g > 0), (0, True))),
        Let(z, lr * w * m.next),
        Let(theta.next, theta - Piecewise((z, z * g > 0), (0, True))),
    ),
    "a quotient under a name": (
        Let(z, -lr * m.next / (Abs(m) + eps)),
        Let(theta.next, theta - Piecewise((z, sign(z) * sign(g) > 0), (0, True))),
    ),
    "the sign of a quotient": (Let(z, m.next / (Abs(m) + eps)), Let(theta.next, theta - lr * g * sign(z))),
    "the sign of a quotient of products": (Let(theta.next, theta - lr * sign(g * m.next / (Abs(m) * eps))),),
}


@pytest.mark.parametrize("step", BY_SIGN.values(), ids=BY_SIGN)
def test_what_is_decided_by_signs_of_what_names_stand_for_is_right(step: tuple[Let, ...]) -> None:
    candidate = candidate_of(MOMENTUM, *step)
    assert not failures(list(translation.check(candidate, FEW)))
    assert not failures(list(numerics.check(candidate, FEW)))


def test_a_sign_of_what_names_stand_for_that_is_wrong_is_found(tmp_path: Path) -> None:
    candidate = candidate_of(MOMENTUM, *BY_SIGN["a quotient under a name"])
    path = tmp_path / "rule.py"
    for right, wrong in ((" > zero", " >= zero"), ("sign(m_next)", "sign(m)"), ("-c0*", "c0*")):
        path.write_text(candidate.text.replace(right, wrong), encoding="utf-8")
        assert (right in candidate.text) == bool(
            failures(list(translation.check(Candidate(candidate.optimizer, path), FEW)))
        )


@pytest.mark.parametrize("rule", [cautious(lookahead(sgdw_schedule)), cautious(centralized(lion))])
def test_a_value_that_two_sweeps_write_in_other_names_is_one(rule: Optimizer) -> None:
    """What is added up in one sweep and used in the next, where it is made of what the first has no use for."""
    candidate = Candidate(rule, Path(str(optgen.compile(rule).__file__)))
    assert not failures(list(translation.check(candidate, FEW)))


def test_what_is_wrong_under_the_name_of_another_value_is_found(tmp_path: Path) -> None:
    candidate = candidate_of(
        Let(u, g / (Abs(theta) + eps)),
        Let(vt.next, Piecewise((Norm(u), Eq(t, 1)), (Min(Norm(u), 2 * vt), True))),
        Let(theta.next, theta - lr * u * vt.next / (Norm(u) + eps)),
    )
    path = tmp_path / "rule.py"
    path.write_text(
        candidate.text.replace("lr*vt_next/(vt_next + eps)", "lr*vt_next/(vt_next - eps)"), encoding="utf-8"
    )
    assert path.read_text(encoding="utf-8") != candidate.text
    wrong = failures(list(translation.check(Candidate(candidate.optimizer, path), FEW)))
    assert [finding.subject.partition(" = ")[0] for finding in wrong] == ["theta'"]


def test_a_store_by_itself_that_is_left_out_is_missed() -> None:
    candidate = candidate_of(MOMENTUM, Let(theta.next, theta - lr * m.next / (Norm(m.next) + eps)))
    found = [mutant for mutant in mutate.mutants(candidate.text) if mutant.kind == "a store left out"]
    assert any(mutant.change.startswith("m[i]") for mutant in found)
    assert all(mutate.outcome(candidate, mutant).caught for mutant in found)


DIFFERENCE = Let(s.next, s + theta - last_theta)
SUM = Let(s.next, s + g**2)
RIGHT = {
    "what has become of theta, which is nothing at first": (
        DIFFERENCE,
        Let(last_theta.next, theta),
        Let(theta.next, theta - lr * g - lr * s.next),
    ),
    "the change of the gradient, as PID has it": (
        Let(s.next, beta1 * s + (g - last_g)),
        Let(last_g.next, g),
        Let(theta.next, theta - lr * g - lr * s.next),
    ),
    "the change of the gradient in a product, as Adan has it": (
        Let(s.next, (1 - beta1) * s + beta1 * (g - last_g)),
        Let(v.next, v + (g + beta2 * (g - last_g)) ** 2),
        Let(last_g.next, g),
        Let(theta.next, theta - lr * g - lr * s.next),
    ),
    "the change of both, guarded at first": (
        Let(s.next, Piecewise((0, t <= 1), (Abs(theta - last_theta) / (Abs(g - last_g) + eps), True))),
        Let(last_theta.next, theta),
        Let(last_g.next, g),
        Let(theta.next, theta - lr * g * (1 + s.next)),
    ),
    "KATE, whose lr*g may vanish on the way": (
        SUM,
        Let(m.next, m + eps * g**2 + g**2 / s.next),
        Let(theta.next, theta - lr * g * sqrt(m.next) / s.next),
    ),
    "a negative power of what may vanish, as Padam has it": (
        Let(v.next, Max(v, beta2 * v + (1 - beta2) * g**2)),
        Let(theta.next, theta - lr * g * (v.next + eps) ** -p),
    ),
    "the root of a variance that may come out negative": (
        Let(v.next, beta1 * v + (1 - beta1) * g**2),
        Let(n.next, beta1 * n + (1 - beta1) * g),
        Let(theta.next, theta - lr * g / (sqrt(v.next - n.next**2) + eps)),
    ),
    "a choice by what has cancelled, as FTRL has it": (
        SUM,
        Let(m.next, m + g - theta * (sqrt(s.next) - sqrt(s)) / lr),
        Let(theta.next, Piecewise((0, Abs(m.next) <= eps), (-(m.next - sign(m.next) * eps) * lr, True))),
    ),
    "an exponential that overflows in three steps": (
        Let(s.next, s * exp(last_theta - theta) + g),
        Let(last_theta.next, theta),
        Let(theta.next, theta - lr * s.next - lr * g),
    ),
    "a power of 3/2, which has no value at minus infinity": (
        SUM,
        Let(theta.next, theta - lr * g**3 / (s.next ** Rational(3, 2) + eps)),
    ),
    "powers by quarters and eighths, above and below": (
        SUM,
        Let(
            theta.next,
            theta
            - lr * g**3 / (s.next ** Rational(3, 4) + eps)
            - lr * Abs(g) ** Rational(21, 8) * t ** Rational(-1, 8)
            - lr * (1 + Abs(theta)) ** Rational(-5, 4),
        ),
    ),
    "a remainder by what may be 0": (Let(theta.next, theta - lr * Mod(g, theta)),),
    "a quotient of the host that is infinite at first": (
        Let(s.next, s / (t - 1) + g),
        Let(theta.next, theta - lr * g),
    ),
    "a power of what float64 has rounded, too small for float32 at first": (
        Let(theta.next, theta - lr * (1 - t / steps) ** 10**6 * g),
    ),
    "a wave of what float64 has rounded, after many waves, as PowerSign has it": (
        Let(theta.next, theta - lr * exp((1 + cos(pi * t / 1000)) / 2 * sign(g)) * g),
    ),
    "averages that are corrected as they go, as StableAdamW has them": (
        Let(v.next, (beta2 - beta2**t) / (1 - beta2**t) * v + (1 - (beta2 - beta2**t) / (1 - beta2**t)) * g**2),
        Let(theta.next, theta - lr * g / (sqrt(v.next) + eps)),
    ),
    "an exponential of what float64 has rounded": (Let(theta.next, theta - lr * exp(-t / 3) * g),),
}
"""Each by what is unlucky about it."""


@pytest.mark.parametrize("step", RIGHT.values(), ids=RIGHT)
def test_what_no_kernel_can_follow_is_not_held_against_one(step: tuple[Let, ...]) -> None:
    candidate = candidate_of(*step)
    assert memory.escapes(candidate) == []
    found = list(numerics.check(candidate, FEW))
    assert failures(found) == []
    counts = [finding.figures["cases"] for finding in found if "cases" in finding.figures]
    assert min(counts) >= FEW.draws / 2


def test_squares_that_overflow_in_python_do_not_end_the_rehearsal() -> None:
    """Of a norm of norms, on numbers of Python, the stretched squares are infinite, as in the kernel."""
    candidate = candidate_of(Let(theta.next, theta - lr * g / (1 + ModelNorm(RowNorm(g) - 1))))
    assert memory.escapes(candidate) == []
    assert failures(list(memory.check(candidate, FEW))) == []


def test_a_state_that_starts_from_something_is_that_at_the_first_step() -> None:
    rule = Optimizer("rule", title="Rule", step=RIGHT["what has become of theta, which is nothing at first"])
    old = {"theta": np.array([np.nan, 0.1]), "g": np.ones(2), "s": np.array([2.0, 0.3]), "last_theta": np.zeros(2)}
    after = settings.model_step(rule, settings.Setting(1, {"lr": 0.5}), {name: [its] for name, its in old.items()})
    np.testing.assert_array_equal(after["s"], [[np.nan, 0.3 + 0.1 - 0.1]])  # it holds what theta is, be that NaN
    assert np.isnan(after["theta"][0][0])


def test_a_first_step_that_divides_by_nothing_is_refused() -> None:
    quotient = (theta - last_theta) / (g - last_g)
    starts = Let(last_theta.next, theta), Let(last_g.next, g)
    with pytest.raises(SpecError, match="at the first step, where `last_theta` is `theta` and `last_g` is `g`"):
        Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * quotient), *starts))
    guarded = Piecewise((g, t <= 1), (quotient, True))
    Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * guarded), *starts))
    later = Piecewise((quotient, t > 1), (g, True))
    Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * later), *starts))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_known_to_what_its_partial_products_leave(dtype: Any) -> None:
    """Of ``a*b*c`` with ``a*b`` below the normal numbers, in the order that loses most; and no less than that."""
    by, tiny = Magnitudes(np.dtype(dtype)), float(np.finfo(dtype).smallest_normal)
    a, b, c = (by.array(np.array([x])) for x in (np.sqrt(tiny) / 8, np.sqrt(tiny) / 16, 1e12))
    for over in ([a, b, c], [c, a, b], [b, c, a]):
        assert float(by.product(over, []).magnitude[0]) == pytest.approx(1e12 * tiny)
    d = by.array(np.array([1e-12]))
    assert float(by.product([a, b], [d]).magnitude[0]) == pytest.approx(1e12 * tiny)
    ordinary = [by.array(np.array([x])) for x in (2.0, 3.0, 5.0)]
    assert float(by.product(ordinary, []).magnitude[0]) == 30
    assert float(by.product([a, b], []).magnitude[0]) == tiny
    assert float(by.product([by.number(-1), a, b], []).magnitude[0]) == tiny


def test_a_wrong_product_is_caught_beside_what_vanishes(tmp_path: Path) -> None:
    """KATE with the root of the wrong sum."""
    right = candidate_of(*RIGHT["KATE, whose lr*g may vanish on the way"])
    assert "sqrt(m_next)" in right.text
    path = tmp_path / "rule.py"
    path.write_text(right.text.replace("sqrt(m_next)", "sqrt(s_next)"), encoding="utf-8")
    wrong = failures(list(numerics.check(Candidate(right.optimizer, path), FEW)))
    assert any(finding.subject == "theta, float32" for finding in wrong)
    (detail,) = (finding.detail for finding in wrong if finding.subject == "theta, float32")
    assert detail.splitlines()[0].startswith("theta' = theta - lr*g*sqrt(m')/s'")
    assert "where 4 are allowed" in detail.splitlines()[1]
    assert detail.splitlines()[2].startswith("at theta = ")


def test_the_reference_multiplies_in_any_order() -> None:
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - 3 * lr * g**2 * theta / (1 + g**2)),))
    (after,), _ = reference.step(rule, [np.array([2.0])], [np.array([3.0])], {}, 1, hypers={"lr": 0.5})
    assert after[0] == pytest.approx(2 - 3 * 0.5 * 9 * 2 / 10)


def test_a_scalar_that_cancels_is_as_wrong_as_float64_leaves_it() -> None:
    """``1 - t/T`` late, say; a sum that has a form that does not cancel, ``1 - b**t``, is held to its own size."""
    for dtype, magnitude in ((np.float64, 2), (np.float32, 2**-20)):
        by = Magnitudes(np.dtype(dtype))
        terms = by.number(1), by.number(-(1 - 2**-20))
        found = by.sum(terms, exactly=False)
        met = by.apply("Mul", found, by.array(np.ones(1)))
        assert float(met.magnitude[0]) == pytest.approx(magnitude, rel=1e-3)
        assert by.sum(terms, exactly=True) == by.exact.number(2**-20)
        assert by.sum([by.number(1), by.number(-0.5)], exactly=False) == by.exact.number(0.5)
    late = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - (1 - t * beta1 / 10) * g),))
    decayed = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - (1 - beta1**t) * g),))
    for rule, b, size in ((late, 1 - 2**-30, 2), (decayed, 1 - 2**-30, 2**-30 * 10)):
        by = Magnitudes(np.dtype(np.float64))
        (after,), _ = reference.step(rule, [np.zeros(1)], [np.ones(1)], {}, 10, hypers={"beta1": b}, arithmetic=by)
        assert float(after.magnitude[0]) == pytest.approx(size, rel=1e-6)


def test_a_power_of_a_scalar_is_as_wrong_as_float64_leaves_it() -> None:
    """Of one that was computed; a power of what is given, ``b**t``, has no error but its own."""
    computed = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - (1 - t / steps) ** 1000 * g),))
    of_given = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - beta1**t * g),))
    for rule, hypers, sizes in (
        (computed, {"steps": 2**20}, {np.float32: 1, np.float64: 1000}),
        (of_given, {"beta1": 1 - 2**-20}, {np.float32: 1, np.float64: 1}),
    ):
        for dtype, size in sizes.items():
            by = Magnitudes(np.dtype(dtype))
            (after,), _ = reference.step(rule, [np.zeros(1)], [np.ones(1)], {}, 900, hypers=hypers, arithmetic=by)
            assert float(after.magnitude[0] / abs(after.value[0])) == pytest.approx(size, rel=1e-2)
