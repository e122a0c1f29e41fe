"""Kernels are as exact as they claim, and modules that are not are caught with the input that shows it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken import broken, failing

from optgen.verify import cases, numerics, reference, settings
from optgen.verify.candidate import QUICK, Candidate, Effort, Verdict, failures
from optgen.verify.settings import is_of_elements

GENERATED = Path(__file__).parents[2] / "generated" / "cpu"
FEW = Effort(draws=20)


def test_no_kernel_is_wrong_by_more_than_the_bound(generated: Any) -> None:
    optimizer = generated.optimizer
    candidate = Candidate(optimizer, GENERATED / f"{optimizer.name}.py")
    vars(candidate)["module"] = generated.module  # with its cache of compiled kernels
    findings = list(numerics.check(candidate, QUICK))
    assert all(finding.part == "numerics" for finding in findings)
    found = failures(findings)
    assert found == []
    assert all(finding.verdict is Verdict.TESTED for finding in findings)
    slots = [finding.figures for finding in findings if "slot" in finding.figures]
    assert len(slots) == 2 * (1 + len(optimizer.states))
    assert all(figures["ulps"] <= numerics.BOUND for figures in slots)
    assert all(figures["ulps"] > 0 for figures in slots if figures["slot"] == "theta")  # some states are only copied
    counts = [finding.figures["cases"] for finding in findings if "cases" in finding.figures]
    assert len(counts) == 2
    least = 0.9 if is_of_elements(optimizer) else 0.4  # one element may spoil a total for all
    assert all(least * QUICK.draws <= count <= QUICK.draws for count in counts)


@pytest.mark.parametrize(
    ("name", "states"),
    [("adafactor", "r c"), ("adafactor_paper", "r c"), ("novograd", "v"), ("adam_mini", "v"), ("dog", "squares")],
)
@pytest.mark.parametrize("scale", [1, 1e30, 1e-30])
def test_what_is_added_up_is_right_to_float64(generated_by_name: Any, name: str, states: str, scale: float) -> None:
    generated, rng = generated_by_name(name), np.random.default_rng(0)
    theta, g = (np.float32(rng.normal(size=(400, 700)) * size) for size in (1, scale))
    before = reference.start(generated.optimizer, [theta])
    _, expected = reference.step(generated.optimizer, [theta], [g], before, 1)
    taken = generated.kind([theta])
    taken.step([g])
    for state in states.split():
        found = taken.state[state][0] if isinstance(taken.state[state], tuple) else taken.state[state]
        assert (found > 0).all()
        np.testing.assert_allclose(np.ravel(found), np.ravel(expected[state][0]), rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("adafactor", "line_parts : line_parts + count]", "parts_begin : parts_begin + count]"),
        ("adafactor", "c1*acc0/n_cols", "c1*acc0"),
        ("adafactor", "total2/n_rows", "total2"),
        ("adafactor", "rows_in_columns(r_of, at, j,", "rows_in_columns(acc0_of, at, j,"),
        ("lamb", "size/length", "length/size"),
        ("lamb", "+= float64(u)*float64(u)", "+= float64(u)"),
        ("lamb", "+= float64(u)*float64(u)", "+= float64(u*u)"),
        ("lamb", "sum_of(acc0_of, at.chunks[j], at.", "sum_of(acc0_of, at.chunks[0], at."),
        ("clip_global_norm_adamw", "sum_over(total0_of, at.tensors)", "sum_over(total0_of, at.tensors[1:])"),
        ("novograd", '"tensor"', '"model"'),
    ],
)
def test_wrong_totals_are_caught(generated_by_name: Any, tmp_path: Path, name: str, old: str, new: str) -> None:
    assert failing(numerics.check(broken(tmp_path, generated_by_name(name), old, new), FEW))


@pytest.mark.parametrize(
    ("name", "old", "new", "slot"),
    [
        ("adam", "theta_next = theta - lr", "theta_next = theta + lr", "theta"),
        ("adam", "fma(beta1_tail, m, c0*g)", "fma(beta1_tail, m, -c0*g)", "m"),
        ("adam", "c1*(g*g)", "c1*g", "v"),
        ("adam", "m_hat = c2*m_next", "m_hat = m_next", "theta"),
        ("adam", "expm1(t*log(beta2))", "expm1((t - 1)*log(beta2))", "theta"),
        ("adam", "-1/expm1(t*log(beta1))", "1/(1 - beta1**t)", "theta"),
        ("adam", "(sqrt(v_hat) + eps)", "sqrt(v_hat + eps)", "theta"),
        ("adam", "c1 = 1 - beta2", "c1 = 1.01*(1 - beta2)", "v"),
        ("adam", "fma(beta1_head, m,", "fma(beta2_head, m,", "m"),
        ("adam", "return theta_next, m_next, v_next", "return theta_next, v_next, m_next", "v"),
        ("adagrad", "lr_decay*(t - 1)", "lr_decay*t", "theta"),
        ("rmsprop_centered", "maximum", "minimum", "theta"),
        ("sgdm", "0 if t == 1 else 1", "0 if t <= 2 else 1", "b"),
        ("sgdm", "0 if t == 1 else 1", "1 if t == 1 else 0", "b"),
        ("rmsprop_lecture", "v_next = g*g", "v_next = c0*(g*g)", None),
        ("sgd", '"theta": theta, "g": g}', '"theta": g, "g": theta}', "theta"),
        ("sgd", "lr: float = 0.01", "lr: float = 0.02", "theta"),
    ],
)
def test_wrong_arithmetic_is_caught(
    generated_by_name: Any, tmp_path: Path, name: str, old: str, new: str, slot: str | None
) -> None:
    found = failures(list(numerics.check(broken(tmp_path, generated_by_name(name), old, new), FEW)))
    assert found
    for finding in found:
        if "slot" in finding.figures:
            assert f"{finding.figures['slot']}' = " in finding.detail
            assert all(part in finding.detail for part in ("theta = ", "g = ", "t = ", "lr = ", "the kernel has"))
    assert slot is None or slot in {finding.figures.get("slot") for finding in found}


def test_scalars_in_float32_are_caught_in_both_dtypes(generated_by_name: Any, tmp_path: Path) -> None:
    generated = generated_by_name("adamw")
    path = broken(tmp_path, generated, "c1 = 1 - beta2", "c1 = float32(1) - float32(beta2)").path
    path.write_text("from numba import float32\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    found = failures(list(numerics.check(Candidate(generated.optimizer, path), FEW)))
    assert {"v, float32", "v, float64"} <= {finding.subject for finding in found}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(params, lr=lr, beta1=beta1, beta2=beta2", "(params, lr=lr, beta1=beta2, beta2=beta1"),
        ("self, params: Params, *, lr: Value = 0.001", "self, params: Params, *, lr: Value = 0.002"),
        ("return 0.0, 0.0", "return 0.0, 1e-3"),
    ],
)
def test_a_wrong_class_is_caught(generated_by_name: Any, tmp_path: Path, old: str, new: str) -> None:
    found = failures(list(numerics.check(broken(tmp_path, generated_by_name("adam"), old, new), FEW)))
    assert {finding.subject for finding in found} == {"first 3 steps, float32", "first 3 steps, float64"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"eps": Hyper(1e-8', '"eps": Hyper(1e-7', "eps has the default 1e-07, not 1e-08"),
        (
            '"lr": Hyper(0.001, Domain(low=0.0))',
            '"lr": Hyper(0.001, Domain(low=1.0))',
            "lr is in [1, inf), not [0, inf)",
        ),
        ('"lr": Hyper(0.001, Domain(low=0.0))', '"l": Hyper(0.001, Domain(low=0.0))', "l is no hyperparameter"),
        ('name="adam"', 'name="adamw"', "its name is adamw, not adam"),
        ('states=("m", "v")', 'states=("v", "m")', "its states are v, m, not m, v"),
    ],
)
def test_wrong_declarations_are_caught(generated_by_name: Any, tmp_path: Path, old: str, new: str, says: str) -> None:
    found = failing(numerics.check(broken(tmp_path, generated_by_name("adam"), old, new), FEW), says)
    assert any(says in finding.detail for finding in found), found


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sgd", {"fma(-lr, g, theta)\n": "fma(-lr, g, theta) if g == g else theta\n"}),
        (
            "sgdm",
            {
                "update_0(theta, g, lr)": "update_0(theta, g, b, lr)",
                "update_0(theta[i], g[i], lr)": "update_0(theta[i], g[i], b[i], lr)",
                "b_next = g\n": "b_next = g + (b - b)\n",
            },
        ),
        (
            "rmsprop_centered",
            {
                "maximum(fma(-g_bar_next, g_bar_next, v_next), zero)": "fma(-g_bar_next, g_bar_next, v_next)",
                "sqrt(variance)": "sqrt(max(zero, variance))",
            },
        ),
    ],
)
def test_wrong_ways_with_nan_are_caught(
    generated_by_name: Any, tmp_path: Path, name: str, changes: dict[str, str]
) -> None:
    generated = generated_by_name(name)
    path = tmp_path / f"{name}.py"
    text = (GENERATED / f"{name}.py").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    found = failures(list(numerics.check(Candidate(generated.optimizer, path), FEW)))
    assert {finding.subject for finding in found} == {"NaN and infinities, float32", "NaN and infinities, float64"}


def test_a_module_that_would_write_elsewhere_is_not_run(generated_by_name: Any, tmp_path: Path) -> None:
    candidate = broken(tmp_path, generated_by_name("sgd"), "theta = view(row, 1", "theta = view(row, 0")
    [*_, finding] = numerics.check(candidate, FEW)
    assert finding.verdict is Verdict.FAILED
    assert "not run" in finding.detail


def test_errors_of_our_own_are_no_failures_of_the_module(generated_by_name: Any, monkeypatch: Any) -> None:
    generated = generated_by_name("sgd")
    candidate = Candidate(generated.optimizer, GENERATED / "sgd.py")
    vars(candidate)["module"] = generated.module
    monkeypatch.setattr(numerics, "cases", None)
    with pytest.raises(TypeError):
        list(numerics.check(candidate, FEW))


def test_cases_are_the_same_each_time_and_differ_with_the_seed(generated_by_name: Any) -> None:
    optimizer = generated_by_name("rmsprop_momentum").optimizer
    once = cases.cases(optimizer, np.dtype(np.float32), Effort(30, seed=1))
    cases.cases.cache_clear()
    again, other = (cases.cases(optimizer, np.dtype(np.float32), Effort(30, seed=seed)) for seed in (1, 2))
    assert [case.setting for case in once] == [case.setting for case in again] != [case.setting for case in other]
    for one, two in zip(once, again, strict=True):
        assert all(one.old[name][0].tobytes() == two.old[name][0].tobytes() for name in one.old)
    assert sum(case.old["g"][0].size for case in once if case.random) == 30


@pytest.mark.parametrize("name", ["adamw", "sgdm", "radam", "gradient_noise_sgd", "swats", "prodigy", "sm3"])
def test_many_models_at_once_become_what_each_does_alone(generated_by_name: Any, name: str) -> None:
    optimizer = generated_by_name(name).optimizer
    for case in cases.cases(optimizer, np.dtype(np.float32), FEW)[::5]:
        stepped = settings.model_step(optimizer, case.setting, case.old, case.batch.measure)
        for slot, alone in cases.joined(optimizer, stepped, case.batch.measure).items():
            beside = case.expected[slot]
            defined = np.equal(alone.value, alone.value)
            assert (np.equal(beside.value, beside.value) == defined).all()
            assert (beside.value[defined] == alone.value[defined]).all()
            np.testing.assert_allclose(beside.magnitude, alone.magnitude, rtol=1e-14)


def test_states_that_are_sums_of_squares_are_drawn_without_a_sign(generated_by_name: Any) -> None:
    optimizer = generated_by_name("rmsprop_centered_momentum").optimizer
    assert cases.nonnegative(optimizer) == {"v"}
    drawn = cases.cases(optimizer, np.dtype(np.float64), QUICK)
    assert all((case.old["v"][0] >= 0).all() for case in drawn)
    assert any((case.old["g_bar"][0] < 0).any() for case in drawn)


def test_the_grid_reaches_the_ends(generated_by_name: Any) -> None:
    optimizer = generated_by_name("adamw").optimizer
    grid = [case for case in cases.cases(optimizer, np.dtype(np.float32), FEW) if not case.random]
    assert {1, 2, 3, 10, 1000, 10**7} <= {case.setting.t for case in grid}
    seen = {name: {case.setting.hypers[name] for case in grid} for name in ("lr", "beta2", "eps")}
    assert {0.0, np.nextafter(1, 0)} <= seen["beta2"]
    assert {0.0, 1e-30, 1e6} <= seen["eps"] & seen["lr"]
    gradients = np.concatenate([case.old["g"][0] for case in grid])
    assert {0.0, 2.0**-149, -(2.0**-126)} <= set(gradients.astype(float))
    assert np.abs(gradients).max() > 1e12
