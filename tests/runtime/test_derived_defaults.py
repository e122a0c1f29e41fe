"""Hyperparameters that are what others were when the optimizer was made, unless they are given."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from sympy import Mod, log

import optgen
from optgen import Let, Optimizer, Schedule, g, hyper, t, theta
from optgen.combinators import scheduled
from optgen.errors import SpecError
from optgen.generated.cpu import adabound as module
from optgen.generated.cpu.adabound import AdaBound
from optgen.generated.cpu.ademamix_scheduled import AdEMAMixScheduled
from optgen.generated.cuda import adabound as on_gpu
from optgen.hypers import base_lr, beta1, lr, momentum
from optgen.specs.adabound import adabound
from optgen.verify import reference


def last_rate(optimizer: AdaBound, far: int = 10**9) -> float:
    """The rate that all elements end with: the upper bound, which closes in on it."""
    _, lower, upper, *_ = optimizer.program.scalars(far, *optimizer.hypers.values())
    assert lower == pytest.approx(upper, rel=1e-5)
    return upper


def test_adabound_ends_at_final_lr_whatever_lr_was_at_the_start() -> None:
    for rate in (1e-3, 1e-2, 1.0):
        assert last_rate(AdaBound([np.ones(2)], lr=rate)) == pytest.approx(0.1, rel=1e-5)
    # A new lr is one of a schedule: the end follows it.
    optimizer = AdaBound([np.ones(2)], lr=1e-2)
    optimizer.set(lr=1e-3)
    assert optimizer.hypers["base_lr"] == 1e-2
    assert last_rate(optimizer) == pytest.approx(0.01, rel=1e-5)


def test_what_is_given_counts() -> None:
    assert AdaBound([np.ones(2)], lr=1e-2, base_lr=1e-3).hypers["base_lr"] == 1e-3
    assert last_rate(AdaBound([np.ones(2)], lr=1e-2, base_lr=1e-3)) == pytest.approx(1, rel=1e-5)
    optimizer = AdaBound([np.ones(2)])
    optimizer.set(base_lr=0.5)
    assert optimizer.hypers["base_lr"] == 0.5


def test_of_a_schedule_the_first_value_counts() -> None:
    optimizer = AdaBound([np.ones(2)], lr=lambda k: 0.5 / k)
    optimizer.step([np.ones(2)])
    assert (optimizer.hypers["lr"], optimizer.hypers["base_lr"]) == (0.25, 0.5)
    # The schedule that is part of a rule means the same.
    rule = scheduled(adabound, lr=lr / t)
    assert rule.values({"lr": 0.5})["base_lr"] == 0.5
    warmed = scheduled(adabound, lr=Schedule("halved", lr / 2 ** (2 - t)))
    assert warmed.values({"lr": 0.5})["base_lr"] == 0.25


def test_it_is_kept_in_state_dicts_and_copies() -> None:
    optimizer = AdaBound([np.ones(2)], lr=0.25)
    optimizer.set(lr=0.125)
    other = AdaBound([np.ones(2)])
    other.load_state_dict(optimizer.state_dict())
    for twin in (other, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):  # noqa: S301
        assert (twin.hypers["lr"], twin.hypers["base_lr"]) == (0.125, 0.25)


@pytest.mark.parametrize("given", [{}, {"lr": 0.25}, {"lr": 0.25, "base_lr": 0.5}, {"base_lr": None}])
def test_the_function_of_one_array_and_the_reference_agree(given: dict[str, float]) -> None:
    one, many = np.full(3, 2.0), np.full(3, 2.0)
    m, v = np.zeros(3), np.zeros(3)
    module.step(one, np.ones(3), m, v, t=1, **given)
    AdaBound([many], **given).step([np.ones(3)])
    hypers = {name: value for name, value in given.items() if value is not None}
    (exact,), _ = reference.step(
        adabound, [np.full(3, 2.0)], [np.ones(3)], {"m": [np.zeros(3)], "v": [np.zeros(3)]}, 1, hypers=hypers
    )
    assert one.tobytes() == many.tobytes()
    np.testing.assert_allclose(one, exact, rtol=1e-14)


def test_both_targets_follow() -> None:
    found = [program.PROGRAM.completed({"lr": 0.25})["base_lr"] for program in (module, on_gpu)]
    assert found == [0.25, 0.25]
    assert AdEMAMixScheduled([np.ones(2)], beta1=0.75).hypers["beta_start"] == 0.75


def test_what_follows_must_be_in_its_domain() -> None:
    with pytest.raises(ValueError, match=r"beta_start = 0\.25 is outside its domain.*give beta_start itself"):
        AdEMAMixScheduled([np.ones(2)], beta1=0.25)
    with pytest.raises(TypeError, match="lr: expected a real number"):
        AdaBound([np.ones(2)], lr=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("default", [1 / lr, log(lr), lr**-0.5, (lr - 1e-4) ** momentum, Mod(1, lr)], ids=str)
def test_what_comes_to_no_number_is_to_be_given(default: Any) -> None:
    kappa = hyper("kappa", default)
    rule = Optimizer("rule", "Rule", (Let(theta.next, theta - kappa * (lr + momentum) * g),))
    made = optgen.compile(rule)
    assert made.Rule([np.ones(2)])
    assert made.Rule([np.ones(2)], lr=0, kappa=3).hypers["kappa"] == 3
    with pytest.raises(ValueError, match=r"^kappa = -?(nan|inf) .*, so give kappa itself$"):
        made.Rule([np.ones(2)], lr=0)


def test_any_expression_may_be_a_default() -> None:
    kappa = hyper("kappa", (1 - momentum) * lr)
    rule = Optimizer("rule", "Rule", (Let(theta.next, theta - (kappa + momentum * lr) * g),))
    made = optgen.compile(rule).Rule([np.ones(2)], lr=2, momentum=0.5)
    assert made.hypers["kappa"] == 1
    assert rule.values({"lr": 2, "momentum": 0.5}) == dict(made.hypers)


@pytest.mark.parametrize(
    ("default", "message"),
    [
        (beta1, "goes by `beta1`, which is not in the equations"),
        (lr.with_default(0.5), "goes by `lr`, which is not in the equations, or has another default there"),
        (theta, "goes by `theta`, no hyperparameter"),
        (-lr, "the default -0.001 of `kappa` is outside its own domain"),
        (base_lr, "goes by `base_lr`, whose own default is no number"),
    ],
)
def test_a_default_that_cannot_be_known_is_refused(default: object, message: str) -> None:
    kappa = hyper("kappa", default, base_lr.domain)
    with pytest.raises(SpecError) as caught:
        Optimizer("rule", "Rule", (Let(theta.next, theta - lr / base_lr * kappa * g),))
    assert message in str(caught.value)


def test_a_schedule_has_numbers_for_defaults() -> None:
    with pytest.raises(SpecError, match="is no number"):
        Schedule("rising", base_lr * t)
