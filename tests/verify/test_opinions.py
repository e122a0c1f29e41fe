"""Others compute what our kernels do, but where they are known not to; and a wrong kernel is not agreed with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broken import broken
from opinions import ask
from opinions.ask import TABLE, asked, check
from opinions.base import Opinion

from optgen.verify.candidate import QUICK, Candidate, Verdict


def imported(generated: Any) -> Candidate:
    candidate = Candidate(generated.optimizer, Path(generated.module.__file__))
    vars(candidate)["module"] = generated.module
    return candidate


@pytest.mark.parametrize("opinion", TABLE, ids=lambda opinion: f"{opinion.name}: {opinion.whose}")
def test_an_opinion(opinion: Opinion, generated_by_name: Any) -> None:
    finding = asked(opinion, imported(generated_by_name(opinion.name)), QUICK)
    if finding.verdict is Verdict.SKIPPED:
        pytest.skip(finding.detail)
    assert finding.verdict is Verdict.TESTED, finding.detail


def test_somebody_agrees_with_every_optimizer(generated: Any) -> None:
    assert any(opinion.name == generated.optimizer.name and opinion.differs is None for opinion in TABLE)


def test_a_missing_library_is_not_passed_over(generated_by_name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "find_spec", lambda _: None)
    findings = list(check(imported(generated_by_name("adamw")), QUICK))
    skipped = [finding for finding in findings if finding.verdict is Verdict.SKIPPED]
    assert [(finding.subject, finding.detail) for finding in skipped] == [
        ("torch.optim.AdamW", "torch is not installed"),
        ("optax.adamw", "optax is not installed"),
        ("torch.optim.Adam(weight_decay)", "torch is not installed"),
    ]


def find(name: str, whose: str) -> Opinion:
    return next(opinion for opinion in TABLE if (opinion.name, opinion.whose) == (name, whose))


def test_disagreement_fails_with_the_input_and_both_values(generated_by_name: Any) -> None:
    agrees = replace(find("adam", "keras Adam"), differs=None)
    finding = asked(agrees, imported(generated_by_name("adam")), QUICK)
    assert finding.verdict is Verdict.FAILED
    assert "of keras Adam" in finding.detail
    assert "'g':" in finding.detail


def test_an_expected_difference_that_does_not_show_fails(generated_by_name: Any) -> None:
    differs = replace(find("adam_eps_hat", "keras Adam"), differs=(0.1, 1.0), why="they say so")
    finding = asked(differs, imported(generated_by_name("adam_eps_hat")), QUICK)
    assert finding.verdict is Verdict.FAILED
    assert "expected to differ from keras Adam by 0.1 to 1, for they say so" in finding.detail


def test_nobody_agrees_with_a_broken_module(generated_by_name: Any, tmp_path: Path) -> None:
    adam, agrees = generated_by_name("adam_eps_hat"), find("adam_eps_hat", "keras Adam")
    assert agrees.differs is None
    assert asked(agrees, imported(adam), QUICK).verdict is Verdict.TESTED
    for wrong in ("return theta_next, v_next, m_next", "return nothing, m_next, v_next"):
        candidate = broken(tmp_path, adam, "return theta_next, m_next, v_next", wrong)
        assert asked(agrees, candidate, QUICK).verdict is Verdict.FAILED
