"""Hyperparameters that follow a schedule: called with the number of each step, checked like any number."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

from optgen.generated.cpu.adamw import AdamW
from optgen.generated.schedules.sgdr import SGDR

GRAD = np.linspace(-1, 1, 7)


def halving(t: int) -> float:
    return 0.1 * 0.5**t


def test_it_is_what_handing_over_its_numbers_is() -> None:
    one, other = AdamW([np.ones(7)], lr=halving), AdamW([np.ones(7)])
    for t in range(1, 6):
        one.step([GRAD])
        other.step([GRAD], lr=halving(t))
    assert one.params[0].tobytes() == other.params[0].tobytes()


def test_any_hyperparameter_can_follow_one() -> None:
    seen: list[int] = []

    def beta1(t: int) -> float:
        seen.append(t)
        return 0.5

    opt = AdamW([np.ones(7)], beta1=beta1, weight_decay=lambda t: 1 / t)
    seen.clear()
    opt.step([GRAD])
    opt.step([GRAD])
    assert seen == [1, 2]


def test_hypers_are_those_of_the_next_step() -> None:
    opt = AdamW([np.ones(7)], lr=halving)
    assert opt.hypers["lr"] == halving(1)
    opt.step([GRAD])
    assert opt.hypers["lr"] == halving(2)
    assert "lr=<function halving" in repr(opt)


def test_a_number_for_one_step_goes_before_it() -> None:
    opt, other = AdamW([np.ones(7)], lr=halving), AdamW([np.ones(7)])
    opt.step([GRAD], lr=0.3)
    other.step([GRAD], lr=0.3)
    assert opt.params[0].tobytes() == other.params[0].tobytes()
    assert opt.hypers["lr"] == halving(2)


def test_set_takes_and_ends_one() -> None:
    opt = AdamW([np.ones(7)])
    opt.set(lr=halving)
    assert opt.hypers["lr"] == halving(1)
    opt.set(lr=0.2)
    assert opt.hypers["lr"] == 0.2


def test_a_resumed_run_goes_on_along_it() -> None:
    opt = AdamW([np.ones(7)], lr=halving)
    for _ in range(3):
        opt.step([GRAD])
    saved = opt.state_dict()
    assert saved["hyper.lr"] == halving(3)
    again = AdamW([opt.params[0].copy()], lr=halving)
    again.load_state_dict(saved)
    constant = AdamW([opt.params[0].copy()])
    constant.load_state_dict(saved)
    assert again.hypers["lr"] == halving(4)
    assert constant.hypers["lr"] == halving(3)
    for other in (again, copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):  # noqa: S301 - our own
        other.step([GRAD])
        expected = copy.deepcopy(opt)
        expected.step([GRAD])
        assert other.params[0].tobytes() == expected.params[0].tobytes()


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (
            lambda t: -1.0 if t == 2 else 0.1,
            ValueError,
            r"the schedule of lr at t = 2: lr = -1.0 is outside its domain",
        ),
        (lambda t: math.nan if t == 2 else 0.1, ValueError, "the schedule of lr at t = 2: lr = nan"),
        (lambda t: None if t == 2 else 0.1, TypeError, "the schedule of lr at t = 2: lr: expected a real number"),
        *(
            (schedule, ValueError, rf"^adamw: the schedule of lr at t = 2: it has no value there \({kind}.* from t = 1")
            for schedule, kind in (
                (lambda t: 0.1 / abs(t - 2), "ZeroDivisionError"),
                (lambda t: 0.1 * math.exp(1000 * (t - 1)), "OverflowError"),
                (lambda t: 0.1 + math.log(2 - t), "ValueError"),
                (lambda t: max(0.1, (1 - t) ** 0.5), "TypeError"),
                (lambda t: [0.1][t - 1], "IndexError"),
                (lambda t: {1: 0.1}[t], "KeyError"),
            )
        ),
    ],
)
def test_what_it_says_is_checked_before_anything_changes(schedule: Any, error: type[Exception], message: str) -> None:
    opt = AdamW([np.ones(7)], lr=schedule)
    opt.step([GRAD])
    before = opt.state_dict(), opt.params[0].copy()
    with pytest.raises(error, match=message):
        opt.step([GRAD])
    assert opt.t == 1
    assert opt.params[0].tobytes() == before[1].tobytes()
    assert opt.state_dict()["hyper.lr"] == 0.1, "the run can still be saved"


def test_an_error_of_its_own_is_passed_on() -> None:
    def ends(t: int) -> float:
        if t > 1:
            raise RuntimeError("there are no more steps")
        return 0.1

    opt = AdamW([np.ones(7)], lr=ends)
    opt.step([GRAD])
    with pytest.raises(RuntimeError, match="there are no more steps"):
        opt.step([GRAD])
    assert opt.t == 1
    opt.state_dict()


def test_an_unknown_name_is_refused_whatever_it_is_given() -> None:
    with pytest.raises(TypeError, match="adamw has no hyperparameter 'rate'"):
        AdamW([np.ones(7)], rate=halving)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="lr: expected a real number, got function"):
        AdamW([np.ones(7)]).step([GRAD], lr=halving)


class Uncalled:
    """A schedule whose method takes no step."""

    def __call__(self) -> float:
        return 0.1


@pytest.mark.parametrize("schedule", [lambda: 0.1, lambda _, __: 0.1, lambda *, _: 0.1, Uncalled(), SGDR])
def test_what_cannot_be_called_with_a_step_is_refused_at_once(schedule: Any, unchanged: Any) -> None:
    opt = AdamW([np.ones(7)])
    opt.step([GRAD])
    for hand in (
        lambda: AdamW([np.ones(7)], lr=schedule),
        lambda: opt.set(eps=1.0, lr=schedule),
        lambda: opt.add_group([np.ones(7)], lr=schedule),
    ):
        with (
            unchanged(opt),
            pytest.raises(TypeError, match=r"^lr: expected a number, or a schedule that is called with"),
        ):
            hand()


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        (lambda _: None, TypeError, r"^adamw: the schedule of lr at t = 2: lr: expected a real number"),
        (lambda _: -1.0, ValueError, r"^adamw: the schedule of lr at t = 2: lr = -1.0 is outside its domain"),
    ],
)
def test_what_is_set_is_asked_of_the_next_step_first(
    schedule: Any, error: type[Exception], message: str, unchanged: Any
) -> None:
    opt = AdamW([np.ones(7)])
    opt.step([GRAD])
    with unchanged(opt), pytest.raises(error, match=message):
        opt.set(eps=1.0, lr=schedule)
    opt.step([GRAD])
