"""Many steps in float32: what rests stays, what is compensated arrives, and the verifier sees where it does not."""

from pathlib import Path

import numpy as np
import pytest
from sympy import Eq, Mod, Piecewise, sqrt

from optgen import Let, Optimizer, RowMean, RowNorm, g, local, state, t, theta
from optgen.build import target_named
from optgen.combinators import accumulate
from optgen.hypers import eps, lr
from optgen.pipeline import source
from optgen.specs.adam import adam
from optgen.targets.base import Origin
from optgen.verify import drift
from optgen.verify.candidate import QUICK, Candidate, Verdict, failures

lost = state("lost")
ROUNDED = {"head(far)": "far", "tail(far)": "0*far"}
y = local("y")
KAHAN = Optimizer(
    "kahan",
    "Kahan",
    step=(
        Let(y, -lr * g - lost),
        Let(theta.next, theta + y),
        Let(lost.next, (theta.next - theta) - y),
    ),
)


def kahan(folder, before, after):
    """The rule, with one piece of its text changed."""
    text = source(KAHAN, target_named("cpu"), Origin("0", "specs/kahan.py", "0"))
    assert before in text
    path = folder / "kahan.py"
    path.write_text(text.replace(before, after, 1) if before else text, encoding="utf-8")
    return Candidate(KAHAN, path)


def findings(candidate):
    return {finding.subject: finding for finding in drift.check(candidate, QUICK)}


@pytest.fixture
def few_steps(monkeypatch):
    """Enough to tell right from wrong."""
    monkeypatch.setattr(drift, "STEPS", 20_000)
    monkeypatch.setattr(drift, "AGAIN", 10_080)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("steps", [3, 7, 32])
def test_a_cycle_that_is_no_part_of_half_a_run_goes_on_where_it_is(steps, tmp_path):
    rule = accumulate(adam, steps=steps)
    path = tmp_path / "rule.py"
    path.write_text(source(rule, target_named("cpu"), Origin("0", "specs/rule.py", "0")), encoding="utf-8")
    assert not failures(list(findings(Candidate(rule, path)).values()))


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    "name",
    [
        *("schedule_free_adamw", "ema_adamw", "lookahead_sgdm", "adafactor"),
        "rmsprop_centered_momentum",  # where float32 decides what rests
        *("swats_at", "prodigy"),  # which keep numbers of the whole model, and where theta overflows
    ],
)
def test_nothing_drifts(name, generated_by_name):
    generated = generated_by_name(name)
    candidate = Candidate(generated.optimizer, Path(generated.module.__file__))
    vars(candidate)["module"] = generated.module  # with its cache of compiled kernels
    found = findings(candidate)
    assert not [finding for finding in found.values() if finding.verdict is not Verdict.TESTED]
    assert found["a noisy average"].figures["noisy"] < 1e-4


x = state("x", init=theta)
share, far = local("share far")
AVERAGES = Optimizer(
    "averages",
    "Averages",
    step=(
        Let(share, 1 / t),
        Let(far, 1 + share),
        Let(x.next, x - lr * g),
        Let(theta.next, far * theta - share * x.next),
    ),
)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(("parts", "verdict"), [({}, Verdict.TESTED), (ROUNDED, Verdict.FAILED)])
def test_factors_that_are_rounded_are_seen(parts, verdict, tmp_path):
    """Two points that are equal must stay so: the factors of their average add up to 1."""
    text = source(AVERAGES, target_named("cpu"), Origin("0", "specs/averages.py", "0"))
    for whole, rounded in parts.items():
        assert whole in text
        text = text.replace(whole, rounded)
    (tmp_path / "averages.py").write_text(text, encoding="utf-8")
    found = findings(Candidate(AVERAGES, tmp_path / "averages.py"))["fixed points under no gradient"]
    assert found.verdict is verdict
    assert (verdict is Verdict.TESTED) or "are the factors of an average rounded" in found.detail


ahead = local("ahead")
CENTRED = Optimizer(
    "centred",
    "Centred",
    step=(
        Let(ahead, (theta - lr * g) - RowMean(theta - lr * g)),
        Let(theta.next, ahead / (RowNorm(ahead) + eps)),
    ),
)


def test_a_small_difference_rests_as_its_terms_do(tmp_path):
    """Nero takes its mean from a row: what is left of an element next to the mean has no more digits than that."""
    text = source(CENTRED, target_named("cpu"), Origin("0", "specs/centred.py", "0"))
    (tmp_path / "centred.py").write_text(text, encoding="utf-8")
    found = findings(Candidate(CENTRED, tmp_path / "centred.py"))["fixed points under no gradient"]
    assert found.verdict is Verdict.TESTED
    assert 0 < found.figures["rest_ulps"] < 1


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("", "", Verdict.TESTED),
        ("theta_next - theta - y", "theta_next - (theta + y)", Verdict.FAILED),
        ("fma(-lr, g, -lost)", "fma(-lr, g, lost)", Verdict.FAILED),
    ],
)
def test_a_compensation_must_compensate(before, after, verdict, tmp_path):
    assert findings(kahan(tmp_path, before, after))["compensation by lost"].verdict is verdict


def test_what_is_reset_every_so_often_does_not_rest(tmp_path):
    """SPAM's moments, which are 0 at every 500th step; what they come to by then has its rounding errors."""
    m, v = state("m v")
    kept = [Piecewise((0, Eq(Mod(t - 1, 500), 0)), (x, True)) for x in (m, v)]
    averages = Let(m.next, 0.9 * kept[0] + 0.1 * g), Let(v.next, 0.999 * kept[1] + 0.001 * g**2)
    rule = Optimizer("reset", "Reset", step=(*averages, Let(theta.next, theta - lr * m.next / (sqrt(v.next) + eps))))
    path = tmp_path / "reset.py"
    path.write_text(source(rule, target_named("cpu"), Origin("0", "specs/reset.py", "0")), encoding="utf-8")
    assert {finding.verdict for finding in findings(Candidate(rule, path)).values()} == {Verdict.TESTED}


def test_what_is_0_whatever_is_rounded_compensates_for_nothing(tmp_path):
    scaled = Let(lost.next, lost * theta / (1 + theta**2))
    rule = Optimizer("scaled", "Scaled", step=(scaled, Let(theta.next, theta - lr * (g + lost.next))))
    path = tmp_path / "scaled.py"
    path.write_text(source(rule, target_named("cpu"), Origin("0", "specs/scaled.py", "0")), encoding="utf-8")
    found = findings(Candidate(rule, path))
    assert "compensation by lost" not in found
    assert {finding.verdict for finding in found.values()} == {Verdict.TESTED}


def test_schedule_free_weights_stay_where_they_are(generated_by_name):
    """The average of equal points is that point, bit for bit, for 20,000 steps; factors in float32 move it by 1e-4."""
    kind = generated_by_name("schedule_free_adamw").module.ScheduleFreeAdamW
    start = np.random.default_rng(0).normal(size=37).astype(np.float32)
    taken = kind([start.copy()])
    for _ in range(20_000):
        taken.step([np.zeros_like(start)])
    np.testing.assert_array_equal(taken.params[0], start)
