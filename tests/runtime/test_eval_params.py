"""What states hold before the first step, and what a rule says to evaluate."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from sympy import Abs, And, Integral, Max, Not, Or, Piecewise, Xor, erf, sqrt

import optgen
from optgen import (
    COL,
    MODEL,
    ROW,
    TENSOR,
    ColMean,
    ColSum,
    Let,
    ModelMean,
    ModelNorm,
    ModelSum,
    Norm,
    Optimizer,
    RowMax,
    RowNorm,
    TensorSum,
    finite,
    g,
    state,
    theta,
)
from optgen.combinators import accumulate, clip_value, ema, lookahead, skip_nonfinite
from optgen.errors import SpecError
from optgen.generated.cpu import ema_adamw as module
from optgen.generated.cpu.ema_adamw import EmaAdamW
from optgen.generated.cpu.schedule_free_adamw import ScheduleFreeAdamW
from optgen.generated.cpu.schedule_free_sgd import ScheduleFreeSGD
from optgen.generated.cpu.swats_at import SWATSAt
from optgen.hypers import lr
from optgen.specs.adam import adam
from optgen.specs.asgd import asgd
from optgen.specs.dog import dog
from optgen.specs.schedule_free import schedule_free_sgd
from optgen.specs.sgd import sgd
from optgen.verify import reference

COPIES = {
    "asgd": "ax", "dog": "theta_0", "dowg": "theta_0", "ema_adamw": "theta_ema", "lookahead_adamw": "phi",
    "lookahead_sgdm": "phi", "prodigy": "theta_0", "schedule_free_adamw": "z", "schedule_free_sgd": "z",
}  # fmt: skip
"""The rules that start a state as theta, and which."""


def kind(name: str) -> Any:
    found = import_module(f"optgen.generated.cpu.{name}")
    return next(x for x in vars(found).values() if isinstance(x, type) and getattr(x, "program", None) is found.PROGRAM)


def model() -> list[Any]:
    return [np.arange(6, dtype=np.float32).reshape(2, 3) - 2, np.arange(4.0) - 1]


@pytest.mark.parametrize("name", COPIES)
def test_a_state_that_starts_as_theta_holds_it_from_construction_on(name: str) -> None:
    params = model()
    optimizer = kind(name)(params)
    held = optimizer._state[COPIES[name]]  # as the kernels see it, without being asked
    for found in (held, optimizer.state[COPIES[name]]):
        assert [x.tobytes() for x in found] == [x.tobytes() for x in params]
    saved = optimizer.state_dict()
    assert saved[f"{COPIES[name]}.1"].tobytes() == params[1].tobytes()
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):  # noqa: S301
        assert twin.state[COPIES[name]][0].tobytes() == params[0].tobytes()
    # What counts is what theta is before the first step.
    params[1][:] = 7
    assert (optimizer.state[COPIES[name]][1] == 7).all()
    assert (optimizer.eval_params()[1] == 7).all()
    first, second = kind(name)([x.copy() for x in params]), optimizer
    for each in (first, second):
        each.step([np.ones_like(x) for x in params])
    assert [x.tobytes() for x in first.params] == [x.tobytes() for x in second.params]
    assert first.state[COPIES[name]][1].tobytes() == second.state[COPIES[name]][1].tobytes()


def test_the_function_of_one_array_prepares_what_starts_as_theta() -> None:
    w, rubbish = np.arange(3.0), np.full(3, np.nan)
    m, v = np.zeros(3), np.zeros(3)
    module.step(w, np.ones(3), m, v, rubbish, t=1)
    optimizer = EmaAdamW([np.arange(3.0)])
    optimizer.step([np.ones(3)])
    assert rubbish.tobytes() == optimizer.state["theta_ema"][0].tobytes()


OTHER: dict[str, tuple[Any, Any]] = {
    "an element": (None, Abs(theta) + lr * theta**2 - sqrt(Max(theta, 0))),
    "a choice": (None, Piecewise((theta, And(theta > 0, Or(theta < 2, Not(theta < 3)))), (erf(theta), True))),
    "not both": (None, Piecewise((theta, Not(And(theta > 0, theta < 2))), (0, True))),
    "what is finite, added up": (None, finite(theta) + finite(1 / theta) - finite(lr * theta) / 4),
    "powers of a choice": (
        None,
        2 ** Piecewise((-1, theta > 0), (-2, True)) + Piecewise((10, theta > 0), (11, True)) ** 20,
    ),
    "a power of a sum": (None, (theta + 1) ** 3 / 7),
    "rows": (ROW, RowMax(theta) + RowNorm(theta) / (1 + ModelNorm(theta))),
    "columns": (COL, ColMean(theta**2) - ColSum(theta)),
    "tensors": (TENSOR, Norm(theta) + TensorSum(RowMax(theta)) + ModelMean(theta - ModelMean(theta))),
    "the model": (MODEL, ModelSum((theta - ModelMean(theta)) ** 2) + ModelNorm(theta * lr)),
}


@pytest.mark.parametrize("name", OTHER)
def test_whatever_is_made_of_theta_is_there_from_construction_on(name: str) -> None:
    space, init = OTHER[name]
    s = state("s", init=init) if space is None else state("s", init=init, space=space)
    rule = Optimizer("rule", "Rule", (Let(s.next, s), Let(theta.next, theta - lr * s * g)))
    params = [np.arange(6.0).reshape(2, 3) - 2, np.arange(4.0) - 1, np.array(0.5), np.zeros((0, 3)), np.ones((2, 2, 2))]
    exact = reference.start(rule, params)["s"]
    optimizer = optgen.compile(rule).Rule([x.copy() for x in params])
    found = optimizer.state["s"] if space is not MODEL else [optimizer.state["s"]] * len(params)
    for ours, theirs, like in zip(found, exact, params, strict=True):
        if like.size:
            np.testing.assert_allclose(
                np.broadcast_to(ours, like.shape), np.broadcast_to(theirs, like.shape), 1e-14, 1e-14
            )
    thetas, _ = reference.step(rule, params, [np.ones_like(x) for x in params], {"s": exact}, 1)
    optimizer.step([np.ones_like(x) for x in params])
    for ours, theirs in zip(optimizer.params, thetas, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-13)


# What to evaluate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_schedule_free_evaluates_the_average_of_all_z_whatever_beta1_was(dtype: type) -> None:
    rng = np.random.default_rng(0)
    w = [rng.normal(size=5).astype(dtype)]
    optimizer = ScheduleFreeSGD(w, lr=0.1)
    visited = []
    for beta1 in (0.9, 0.9, 0.5, 0.95, 0.2, 0.02, 0.9):
        optimizer.set(beta1=beta1)
        optimizer.step([rng.normal(size=5).astype(dtype)])
        visited.append(optimizer.state["z"][0].astype(np.float64))
        average = np.mean(visited, axis=0)
        bound = 1e-14 if dtype is np.float64 else 2e-5
        np.testing.assert_allclose(optimizer.eval_params()[0], average, rtol=bound, atol=bound)
        optimizer.set(beta1=0.001)  # of which no step has been taken
        np.testing.assert_allclose(optimizer.eval_params()[0], average, rtol=bound, atol=bound)
        np.testing.assert_allclose(w[0], beta1 * average + (1 - beta1) * visited[-1], rtol=bound, atol=bound)
    twin = pickle.loads(pickle.dumps(optimizer))  # noqa: S301
    assert twin.eval_params()[0].tobytes() == optimizer.eval_params()[0].tobytes()
    resumed = ScheduleFreeSGD([x.copy() for x in w])
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.eval_params()[0].tobytes() == optimizer.eval_params()[0].tobytes()


def test_a_schedule_free_point_without_gradients_stays_where_it_is() -> None:
    w = [np.array([1.0, -3e-5, 700.1], np.float32)]
    optimizer, start = ScheduleFreeAdamW(w), w[0].tobytes()
    for _ in range(2000):
        optimizer.step([np.zeros(3, np.float32)])
    assert w[0].tobytes() == optimizer.eval_params()[0].tobytes() == start


def test_beta1_must_leave_something_of_the_average() -> None:
    with pytest.raises(ValueError, match=r"beta1 = 0\.0 is outside its domain"):
        ScheduleFreeSGD([np.ones(2)], beta1=0.0)


def test_eval_params_are_new_arrays_like_params() -> None:
    params = {"w": np.ones((2, 2), np.float32), "b": np.zeros(3)}
    optimizer = EmaAdamW(params, lr=0.1)
    optimizer.step({"w": np.ones((2, 2), np.float32), "b": np.ones(3)})
    found = optimizer.eval_params()
    assert list(found) == ["w", "b"]
    assert found["w"].dtype == np.float32
    for key in params:
        assert found[key].tobytes() == optimizer.state["theta_ema"][key].tobytes()
        assert not np.shares_memory(found[key], optimizer.state["theta_ema"][key])
    plain = optgen.compile(sgd).SGD([np.ones(2)])
    plain.step([np.ones(2)])
    assert plain.eval_params()[0].tobytes() == plain.params[0].tobytes()
    assert not np.shares_memory(plain.eval_params()[0], plain.params[0])


def named(optimizer: Optimizer) -> str:
    return str(optimizer.evaluation)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: adam, "theta"),
        (lambda: asgd, "ax"),
        (lambda: dog, "theta"),
        (lambda: ema(asgd), "theta_ema"),
        (lambda: ema(ema(adam)), "theta_ema_2"),
        (lambda: lookahead(ema(adam)), "phi"),
        (lambda: clip_value(accumulate(ema(adam))), "theta_ema"),
        (lambda: skip_nonfinite(asgd), "ax"),
    ],
)
def test_the_outermost_wrapper_with_something_to_say_decides(make: Callable[[], Optimizer], expected: str) -> None:
    assert named(make()) == expected
    assert make().evaluation.free_symbols <= {theta, *make().states}


def test_what_is_kept_for_it_may_change_its_space() -> None:
    inside = skip_nonfinite(schedule_free_sgd)  # whose numbers become one value for the model
    optimizer = optgen.compile(inside).SkipNonfiniteScheduleFreeSGD([np.ones(2)], lr=0.5)
    optimizer.step([np.array([np.nan, 1])])
    assert (optimizer.eval_params()[0] == 1).all()
    optimizer.step([np.ones(2)])
    np.testing.assert_allclose(optimizer.eval_params()[0], 0.5)


def test_what_is_evaluated_may_be_chosen_element_by_element() -> None:
    m = state("m", init=theta)
    chosen = Piecewise((m, Not(And(m > 0, theta > 0))), (theta, Xor(m > 1, theta > 2)), (0, True))
    rule = Optimizer("rule", "Rule", (Let(m.next, -theta - g), Let(theta.next, theta - g)), evaluation=chosen)
    optimizer = optgen.compile(rule).Rule([np.array([-1.5, 1.5, -3.0, 0.25, 3.0])])
    optimizer.step([np.array([1.0, -1.0, 3.5, -0.5, -4.0])])  # theta is -2.5, 2.5, -6.5, 0.75, 7, m is 0.5, -0.5, …
    theta_, m_ = optimizer.params[0], optimizer.state["m"][0]
    expected = np.where(~((m_ > 0) & (theta_ > 0)), m_, np.where((m_ > 1) ^ (theta_ > 2), theta_, 0))
    np.testing.assert_array_equal(optimizer.eval_params()[0], expected)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (lr * theta, "has the symbol `lr`"),
        (theta - g, "has the symbol `g`"),
        (state("q"), "has the symbol `q`"),
        (Norm(theta), "write an expression of theta and states"),
        ("theta", "write an expression of theta and states"),
        (Piecewise((theta, theta > 0)), "end it with (value, True)"),
        (10**400 * theta, "is larger than float64 holds"),
        (Integral(theta, theta), "is not worked out"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(evaluation: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Optimizer("rule", "Rule", (Let(theta.next, theta - lr * g),), evaluation=evaluation)
    assert message in str(caught.value)


# What happens at a step that is past ----------------------------------------------------------------------------------


def test_swats_switches_at_the_next_step_if_the_one_it_is_told_is_past() -> None:
    w = [np.array([3.0, -2.0])]
    optimizer = SWATSAt(w, lr=0.1, switch_step=1000)
    for _ in range(5):
        optimizer.step([w[0].copy()])
    optimizer.set(switch_step=2)
    before = w[0].copy()
    optimizer.step([w[0].copy()])
    assert optimizer.state["switched_at"] == 6
    assert optimizer.state["rate"] != 0
    for _ in range(3):
        optimizer.step([w[0].copy()])
    assert (w[0] != before).all()
    optimizer.set(switch_step=1000)  # what has switched stays so
    v = optimizer.state["v"][0].copy()
    optimizer.step([w[0].copy()])
    assert optimizer.state["v"][0].tobytes() == v.tobytes()
