"""Claims are true of the equations and of the kernels; false ones and broken modules are caught."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broken import broken
from sympy import Abs, Max, Min, Piecewise, exp, sign, sqrt

from optgen import COL, ROW, Let, ModelNorm, Norm, Optimizer, RowMean, TensorSum, g, local, n_cols, state, t, theta
from optgen.hypers import beta2, eps, lr, momentum, weight_decay
from optgen.language import properties as language
from optgen.properties import (
    Bounded,
    ConstantGradient,
    EqualTo,
    Equivalent,
    FirstTrue,
    Independent,
    Invariant,
    Limit,
    Monotone,
    Movements,
    NotAlways,
)
from optgen.verify.candidate import QUICK, Candidate, Verdict
from optgen.verify.claims import check, proved
from optgen.verify.claims.algebra import degree
from optgen.verify.claims.rule import T, plain

m, v, b, s, lam, distance, switched_at = state("m v b s lam distance switched_at")
r, c = state("r", space=ROW), state("c", space=COL)
m_hat, v_hat, lr_t = local("m_hat v_hat lr_t")


def imported(optimizer: Optimizer, module: Any) -> Candidate:
    """A candidate whose module the tests have imported already."""
    candidate = Candidate(optimizer, Path(module.__file__))
    vars(candidate)["module"] = module
    return candidate


def verdicts(candidate: Candidate) -> dict[str, set[Verdict]]:
    """By claim, what was found."""
    found: dict[str, set[Verdict]] = {}
    for finding in check(candidate, QUICK):
        assert finding.part == "properties"
        found.setdefault(finding.subject, set()).add(finding.verdict)
    return found


def test_every_claim_is_true(generated: Any) -> None:
    findings = list(check(imported(generated.optimizer, generated.module), QUICK))
    assert [finding.detail for finding in findings if finding.verdict is Verdict.FAILED] == []
    for claim in generated.optimizer.properties:
        mine = {finding.verdict for finding in findings if finding.subject == str(claim)}
        assert Verdict.TESTED in mine, claim


def test_claims_on_the_founders_are_proved_too(generated_by_name: Any) -> None:
    """For other rules a proof is welcome and not asked for."""
    for name in (
        "sgd",
        "sgdm",
        "sgdm_lecture",
        "nag_lecture",
        "adagrad",
        "rmsprop",
        "adam",
        "adamw",
        "amsgrad",
        "radam",
    ):
        optimizer = generated_by_name(name).optimizer
        for claim in optimizer.properties:
            # What there is a witness for, and what is a matter of numbers, is shown by the kernel.
            assert proved(claim, optimizer) or isinstance(claim, NotAlways | Movements), (name, claim)


def test_every_optimizer_claims_something(generated: Any) -> None:
    assert generated.optimizer.properties


FALSE = [
    ("rmsprop", Monotone(v.next)),
    ("rmsprop", Monotone(sqrt(v.next), "decreasing")),
    ("adagrad", Monotone(lr_t)),
    ("adam", Bounded(m.next, low=0)),
    ("adam", Bounded(theta.next - theta, -lr, lr)),
    ("rmsprop_lecture", FirstTrue(t > 1, 3)),
    ("adam_eps_hat", Limit(lr_t, 2 * lr)),
    ("adam", Invariant({g: 1, m: 1, v: 2})),
    ("adam", Invariant({g: 1, m: 1, v: 1, eps: 1})),
    ("adagrad", Invariant({g: 1, v: 2, eps: 1})),
    ("adam_l2", Independent(m.next, of=theta)),
    ("adam", Independent(theta.next, of=v)),
    ("sgdm_ema", ConstantGradient({m.next: g})),
    ("adam", ConstantGradient({m_hat: g, v_hat: 2 * g**2})),
    ("adam", Movements(((1, 10), (100, 1)), (lr, lr))),
    ("sgd", NotAlways(Invariant({g: 1, lr: -1}))),
    ("lion", Bounded(theta.next - theta, 0, lr, given={weight_decay: 0})),
    ("lion", Bounded(theta.next - theta, -lr, lr / 2, given={weight_decay: 0})),
    ("rprop", Bounded(theta.next - theta, -lr, lr)),
    ("rmsprop_centered", Bounded(v.next, high=1)),
    ("novograd", ConstantGradient({v.next: g**2})),
    ("novograd", ConstantGradient({v.next: 2 * TensorSum(g**2)})),
    ("adam_mini", ConstantGradient({v_hat: g**2})),
    ("adam_mini", ConstantGradient({v_hat: RowMean(g) ** 2})),
    ("adam_mini", Bounded(v.next, high=RowMean(g**2) / n_cols)),
    ("adafactor", Independent(c.next, of=g)),
    ("sm3", Monotone(r.next, "decreasing")),
    ("dog", Monotone(distance.next, "decreasing")),
    ("dog", Bounded(ModelNorm(theta.next - theta), high=lr * distance.next / 2)),
    ("lamb_paper", Bounded(Norm(theta.next - theta), high=lr)),
    ("lamb", Invariant({theta: 1})),
    ("prodigy", Monotone(s.next)),
    ("swats", Independent(lam.next, of=v)),
    ("swats_at", Independent(theta.next, of=switched_at)),
]


M, V, B = plain(m), plain(v), plain(b)  # which grow with the first and second power, and not at all
DEGREES = [
    (M * sqrt(V) / B, 2),
    (Max(M, 0) + Abs(Min(M, sqrt(V))), 1),
    (sign(M) * B**T, 0),
    (Piecewise((M**2, (M > 0) & (V > M**2)), (V, True)), 2),
    (exp(M / sqrt(V)) * V, 2),
    (M + V, None),
    (Max(M, 1), None),
    (Piecewise((M, M > 1), (2 * M, True)), None),
    (sign(M - 1), None),
    (B**M, None),
    (exp(M), None),
]


@pytest.mark.parametrize(("expression", "expected"), DEGREES, ids=str)
def test_how_an_expression_grows_is_read_off(expression: Any, expected: int | None) -> None:
    assert degree(expression, {M: 1, V: 2}) == expected


@pytest.mark.parametrize(("name", "claim"), FALSE, ids=str)
def test_a_false_claim_is_found_out(name: str, claim: Any, generated_by_name: Any) -> None:
    generated = generated_by_name(name)
    false = replace(generated.optimizer, properties=(claim,))
    assert not proved(claim, false)
    assert verdicts(imported(false, generated.module)) == {str(claim): {Verdict.FAILED}}


def test_a_false_equality_is_found_out(generated_by_name: Any) -> None:
    of = {name: generated_by_name(name) for name in ("adam", "adamw", "adam_lecture", "sgdm_lecture", "sgd", "sgdm")}
    false = [
        ("adamw", EqualTo(of["adam"].optimizer)),
        ("adam_lecture", EqualTo(of["adam"].optimizer)),
        ("adam_lecture", Equivalent(of["adam"].optimizer, {eps: sqrt(eps)})),
        ("adamw", Equivalent(of["adam"].optimizer, given={weight_decay: 0.1})),
        ("sgdm_lecture", EqualTo(of["sgd"].optimizer)),
        ("sgdm_lecture", EqualTo(of["sgd"].optimizer, steps=2)),
    ]
    for name, claim in false:
        optimizer = replace(of[name].optimizer, properties=(claim,))
        assert not proved(claim, optimizer)
        assert verdicts(imported(optimizer, of[name].module)) == {str(claim): {Verdict.FAILED}}
    first = EqualTo(of["sgd"].optimizer, steps=1)
    optimizer = replace(of["sgdm"].optimizer, properties=(first,))
    assert verdicts(imported(optimizer, of["sgdm"].module)) == {str(first): {Verdict.PROVED, Verdict.TESTED}}


BROKEN = [
    (language.Monotone, "adagrad", "fma(g, g, v)", "fma(-g, g, v)"),
    (language.Monotone, "adagrad", "lr_t = lr/(1 + lr_decay*(t - 1))", "lr_t = lr*(1 + lr_decay*(t - 1))"),
    (language.Bounded, "rmsprop", "fma(alpha_tail, v, c0*(g*g))", "fma(alpha_tail, v, -c0*(g*g))"),
    (language.Limit, "adam_eps_hat", "expm1(t*log(beta1))  #", "expm1(-t*log(beta1))  #"),
    (language.Invariant, "adam", "sqrt(v_hat) + eps", "v_hat + eps"),
    (language.Independent, "adamw", "fma(beta1_tail, m, c0*g)", "fma(beta1_tail, m, c0*(g + theta))"),
    (language.Independent, "adamw", "fma(beta2_tail, v, c1*(g*g))", "fma(beta2_tail, v, c1*(g*theta))"),
    (language.EqualTo, "sgd_l2", "fma(weight_decay, theta, g)", "(theta + g)"),
    (language.Equivalent, "adamw_inside", "fma(weight_decay, theta,", "fma(weight_decay, m,"),
    (language.ConstantGradient, "adam", "m_hat = c2*m_next", "m_hat = m_next"),
    (language.ConstantGradient, "adam", "v_hat = c3*v_next", "v_hat = v_next"),
    (language.ConstantGradient, "adam", "c2 = -1/expm1(t*log(beta1))", "c2 = -1/expm1((t + 1)*log(beta1))"),
    (language.Movements, "adam", "fma(beta2_head, v,", "fma(beta1_head, v,"),
    (language.NotAlways, "rmsprop", "fma(alpha_head, v, fma(alpha_tail, v, c0*(g*g)))", "fma(c0, g*g, v)"),
    (language.Independent, "adamw", "theta_next = ", "theta_next = nowhere + "),
    (language.ConstantGradient, "novograd", "v_next = fma(beta2, total0, c0*total0)", "v_next = c0*total0"),
    (language.ConstantGradient, "adam_mini", "c2*acc0/n_cols", "c2*acc0"),
    (language.ConstantGradient, "centralized_sgdm", "g_central = where(c1 > zero, g - c0, g)", "g_central = g - c0"),
    (language.Bounded, "lamb_paper", "norm_max)/root_of_squares(total3,\n        total4, total5)", "norm_max)"),
    (language.Bounded, "dog", "sqrt(squares_next + eps)", "sqrt(total3/4 + eps)"),
    (
        language.Monotone,
        "dog",
        "maximum(distance, root_of_squares(total1, total3, total5))",
        "root_of_squares(total1, total3, total5)",
    ),
    (language.Movements, "swats", "switched_at > 0 else lam_hat if", "switched_at > 0 else lam_next if"),
]


@pytest.mark.parametrize(("kind", "name", "right", "wrong"), BROKEN)
def test_a_broken_module_violates_a_claim(
    kind: type, name: str, right: str, wrong: str, generated_by_name: Any, tmp_path: Path
) -> None:
    generated = generated_by_name(name)
    claims = tuple(claim for claim in generated.optimizer.properties if isinstance(claim, kind))
    optimizer = replace(generated.optimizer, properties=claims)
    candidate = replace(broken(tmp_path, generated, right, wrong), optimizer=optimizer)
    failed = [f for f in check(candidate, QUICK) if f.verdict is Verdict.FAILED]
    assert failed
    assert all(name in finding.detail for finding in failed)


def test_a_failure_says_for_what_input(generated_by_name: Any) -> None:
    rmsprop = generated_by_name("rmsprop")
    false = replace(rmsprop.optimizer, properties=(ConstantGradient({v.next: g**2}),))
    (finding,) = check(imported(false, rmsprop.module), QUICK)
    assert "the new v is" in finding.detail
    assert "should be" in finding.detail
    for name in ("g =", "v =", "t =", "alpha ="):
        assert name in finding.detail


def test_a_module_that_does_not_even_import_is_a_failure(generated_by_name: Any, tmp_path: Path) -> None:
    path = tmp_path / "adam.py"
    path.write_text("def step(:", encoding="utf-8")
    optimizer = generated_by_name("adam").optimizer
    failed = [f for f in check(Candidate(optimizer, path), QUICK) if f.verdict is Verdict.FAILED]
    assert len(failed) == len(optimizer.properties)
    assert "SyntaxError" in failed[0].detail


# RAdam, which changes its mind at a step (Liu et al. 2020, arXiv:1908.03265) -----------------------------------------


def test_radam_that_switches_a_step_late_is_found_out(generated_by_name: Any, tmp_path: Path) -> None:
    radam = generated_by_name("radam_lecture")
    text = Path(radam.module.__file__).read_text(encoding="utf-8")
    assert text.count("rho > 4") > 1
    (tmp_path / "radam_lecture.py").write_text(text.replace("rho > 4", "rho > 5"), encoding="utf-8")
    findings = check(Candidate(radam.optimizer, tmp_path / "radam_lecture.py"), QUICK)
    failed = {finding.subject for finding in findings if finding.verdict is Verdict.FAILED}
    assert {str(claim) for claim in radam.optimizer.properties if isinstance(claim, FirstTrue) and claim.step} <= failed


rho, r = local("rho r")
limit = 2 / (1 - beta2) - 1
grows = Let(rho, limit - 2 * t * beta2**t / (1 - beta2**t))


@pytest.mark.parametrize(
    ("value", "claim"),
    [
        (rho - 4, Monotone(rho, "decreasing")),
        (Piecewise((sqrt(rho - 4), rho > 4), (1, True)), Monotone(r)),  # falls from 1 to 0 at the switch
        (Piecewise((1 / (rho - 3), rho > 4), (0, True)), Monotone(r)),
        (Piecewise((rho, rho > 4), (0, True)), Limit(r, 5, given={beta2: 0.9})),
        (Piecewise((rho, rho > 4), (0, True)), Limit(r, limit, given={beta2: 0.5})),
        (Piecewise((rho, rho > 4), (0, True)), FirstTrue(rho > 4, None, given={beta2: 0.601})),
        (Piecewise((rho, rho >= 4), (0, True)), FirstTrue(rho >= 1, None, given={beta2: 0})),
        (Max(rho, g), Limit(r, limit)),
    ],
    ids=str,
)
def test_what_is_false_of_a_length_is_not_proved(value: Any, claim: Any) -> None:
    optimizer = Optimizer("false", title="False_", step=(grows, Let(r, value), Let(theta.next, theta - r * g)))
    assert not proved(claim, optimizer)


# The two forms of Nesterov's rule visit the same points, after a change of variables ---------------------------------

ahead = Optimizer(
    "ahead",
    title="Ahead",
    step=(Let(m.next, momentum * m + lr * g), Let(theta.next, theta - m.next)),
)
rearranged = Optimizer(
    "rearranged",
    title="Rearranged",
    step=(Let(m.next, momentum * m + lr * g), Let(theta.next, theta - momentum * m.next - lr * g)),
)


def test_a_change_of_variables_can_move_theta() -> None:
    assert proved(Equivalent(ahead, {theta: theta + momentum * m}), rearranged)
    assert not proved(Equivalent(ahead), rearranged)
    assert not proved(Equivalent(ahead, {theta: theta - momentum * m}), rearranged)
