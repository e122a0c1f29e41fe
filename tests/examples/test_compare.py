from __future__ import annotations

from math import inf

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

import claims
import compare
import numpy as np
import tuning
from claims import FAILS, HOLDS, UNCLEAR, Run

from optgen.generated.cpu.nag_lookahead import NAGLookahead
from optgen.generated.cpu.schedule_free_sgd import ScheduleFreeSGD


def curve(test, losses=(1.0,)):
    return Run(np.resize(losses, len(test) * 10), np.array(test), np.array(test))


STEADY = [curve([0.5, 0.7, 0.9, 0.9, 0.9, 0.9, end]) for end in (0.9, 0.91, 0.92)]
SHAKY = [curve([0.5, 0.9, 0.6, 0.9, 0.7, 0.9, end]) for end in (0.9, 0.91, 0.92)]


def test_steps_are_counted_until_the_mean_of_the_window_is_low_enough():
    fall = np.array([2.0] * 20 + [0.1] * 20)
    # Of eight batches seven must be low: 7/8 * 0.1 + 1/8 * 2 is 0.3375, with six it is 0.575.
    assert claims.steps_to_target(Run(fall, fall, fall)) == 27
    assert claims.steps_to_target(Run(fall[:20], fall, fall)) == inf
    assert claims.steps_to_target(Run(fall * np.nan, fall, fall)) == inf
    assert claims.as_steps(inf) == "never"


def test_what_is_lost_again_is_the_sum_of_the_drops():
    assert claims.lost_again(curve([0.5, 0.9, 0.7, 0.8, 0.75])) == pytest.approx(0.25)
    assert claims.lost_again(curve([0.1, 0.5, 0.9, 0.9])) == 0


def test_accuracy_at_the_end_is_the_mean_of_the_last_epochs():
    assert claims.at_end(np.array([0.0, 0.0, 0.8, 0.8, 0.9, 1.0, 1.0])) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ((3, 4, 5), (0, 1, 2), HOLDS),
        ((0, 1, 2), (3, 4, 5), FAILS),
        ((0, 1, 4), (3, 3, 3), UNCLEAR),
        ((1, 1, 1), (1, 1, 1), UNCLEAR),
        ((inf, inf, inf), (1, 2, 3), HOLDS),
        ((inf, inf, inf), (inf, inf, inf), UNCLEAR),
    ],
)
def test_greater_needs_every_seed(one, other, verdict):
    assert claims.greater(one, other) == verdict
    assert claims.less(other, one) == verdict


@pytest.mark.parametrize(
    ("warmed", "cold", "candidate", "verdict"),
    [
        ((90, 91, 92), (50, 51, 52), (90, 91, 92), HOLDS),
        ((90, 91, 92), (50, 51, 52), (94, 95, 96), HOLDS),
        ((90, 91, 92), (50, 51, 52), (80, 81, 82), FAILS),  # better than nothing, but warm-up does more
        ((90, 91, 92), (50, 51, 52), (40, 41, 42), FAILS),
        ((90, 91, 92), (50, 51, 60), (55, 91, 92), UNCLEAR),
        ((90, 91, 92), (89, 91, 92), (94, 95, 96), UNCLEAR),  # there was nothing to spare
    ],
)
def test_warm_up_is_spared_where_it_would_have_helped(warmed, cold, candidate, verdict):
    assert claims.spared(warmed, cold, candidate) == verdict


def test_claims_1_and_2_on_curves_where_they_hold_and_where_they_do_not():
    early = [curve([0.5, 0.9, 0.6, 0.9, 0.7, 0.9, 0.7], [0.4]) for _ in range(3)]
    late = [curve([0.5, 0.7, 0.9, 0.95, 0.95, 0.95, 0.95], [2.0] * 35 + [0.1] * 35) for _ in range(3)]
    as_said = claims.start_and_end(adam=early, sgdm=late)
    assert [claim.number for claim in as_said] == ["1a", "1b", "2"]
    assert [claim.verdict for claim in as_said] == [HOLDS] * 3
    assert as_said[0].measured == {"Adam": (8.0,) * 3, "SGDM": (42.0,) * 3}
    assert [claim.verdict for claim in claims.start_and_end(adam=late, sgdm=early)] == [FAILS] * 3
    assert [claim.verdict for claim in claims.start_and_end(adam=early, sgdm=early)] == [UNCLEAR] * 3


def test_claim_3_on_made_up_curves():
    low, high = ([curve([end] * 6) for end in (base, base + 0.01, base + 0.02)] for base in (0.5, 0.9))
    assert claims.warm_up(high, low, high).verdict == HOLDS
    assert claims.warm_up(high, low, low).verdict == FAILS
    assert claims.warm_up(high, high, high).verdict == UNCLEAR


def test_claim_4_on_made_up_curves():
    titles = ("Lookahead(SGDM)", "SGDM")
    assert claims.smoother("4a", titles, STEADY, SHAKY)[0].verdict == HOLDS
    assert claims.smoother("4a", titles, SHAKY, STEADY)[0].verdict == FAILS
    assert claims.smoother("4a", titles, STEADY, STEADY)[0].verdict == UNCLEAR


@pytest.mark.parametrize(("peak", "asked"), [(0, {-1, 0, 1}), (3, {-1, 0, 1, 2, 3, 4}), (-2, {-3, -2, -1, 0, 1})])
def test_the_search_goes_on_while_it_gets_better(peak, asked):
    scores = {}
    assert tuning.best(lambda k: scores.setdefault(k, -abs(k - peak))) == peak
    assert set(scores) == asked


def test_the_search_keeps_the_default_where_rates_do_not_matter():
    assert tuning.best(lambda _: 1.0) == 0


def test_a_rule_that_learns_its_rate_is_left_to_it():
    assert [each.setting.rate for each in tuning.tuned("dog", seeds=(0,), epochs=1).tried] == [1]
    assert len(tuning.tuned("sgd", seeds=(0,), epochs=1).tried) > 1


def test_every_generated_optimizer_is_compared_or_named_as_left_out(generated_by_name):
    kept = [name for name in tuning.found() if tuning.rate_of(name)]
    assert {"sgdm", "adam", "adamw_schedule"} <= set(kept)
    assert all(tuning.kind(name) is generated_by_name(name).kind for name in tuning.found())


def test_gradients_are_taken_ahead_where_the_rule_asks_for_it():
    params = {"w": np.array([1.0])}
    optimizer = NAGLookahead(params, lr=0.5, momentum=0.5)
    optimizer.step({"w": np.array([2.0])})
    np.testing.assert_allclose(params["w"], 0)
    np.testing.assert_allclose(tuning.where_gradients_are_taken("nag_lookahead", params, optimizer)["w"], -0.5)
    assert tuning.where_gradients_are_taken("sgdm_lecture", params, optimizer) is params


def test_a_schedule_free_rule_is_judged_at_its_average():
    params = {"w": np.array([1.0])}
    optimizer = ScheduleFreeSGD(params, lr=0.5)
    visited = []
    for gradient in (1.0, -3.0, 0.5):
        optimizer.step({"w": np.array([gradient])})
        visited.append(optimizer.state["z"]["w"].copy())
    average = tuning.where_accuracy_is_measured("schedule_free_sgd", params, optimizer)
    np.testing.assert_allclose(average["w"], np.mean(visited, axis=0))


@pytest.mark.parametrize(("name", "used"), [("lookahead_adamw", "phi"), ("ema_adamw", "theta_ema"), ("asgd", "ax")])
def test_a_rule_with_another_point_is_judged_at_that(name, used):
    params = {"w": np.array([1.0])}
    optimizer = tuning.kind(name)(params)
    optimizer.step({"w": np.array([2.0])})
    point = tuning.where_accuracy_is_measured(name, params, optimizer)["w"]
    np.testing.assert_array_equal(point, optimizer.state[used]["w"])


def test_a_run_is_the_same_every_time():
    one, other = (tuning.run(tuning.Setting("adam", 1e-2, warmup=10), seed=3, epochs=1) for _ in range(2))
    np.testing.assert_array_equal(one.losses, other.losses)
    assert len(one.losses) == 36
    assert one.losses[-8:].mean() < one.losses[:8].mean()


def test_a_quick_run_draws_and_reports(tmp_path, capsys):
    comparison = compare.main(["--quick", "--jobs", "1", "--out", str(tmp_path / "docs")])
    page = (tmp_path / "docs" / "comparison.md").read_text(encoding="utf-8")
    picture = (tmp_path / "docs" / "comparison.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
    assert [claim.number for claim in comparison.claims] == ["1a", "1b", "2", "3", "4a", "4b"]
    assert {claim.verdict for claim in comparison.claims} <= {HOLDS, FAILS, UNCLEAR}
    for claim in comparison.claims:
        assert f"| {claim.number}. {claim.text} | {claim.criterion} |" in page
    for name in compare.NEEDED:
        assert f"| `{name}` | {comparison.optimizers[name].setting.rate:g} |" in page
    assert "Numba" in page
    printed = capsys.readouterr().out
    assert "Claims" in printed
    assert "comparison.md" in printed


def test_no_processes_is_wrong_use(capsys):
    with pytest.raises(SystemExit) as exit_:
        compare.main(["--jobs", "0"])
    assert exit_.value.code == 2
    assert "--jobs" in capsys.readouterr().err
