"""SWATS switches when its paper says, to the rate that its paper says, and has nothing adaptive left then."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opinions.swats import Point, algorithm_1

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

STEPS = 200


@pytest.fixture
def swats(generated_by_name: Any) -> Any:
    """The generated class."""
    return generated_by_name("swats").kind


# On the digits -------------------------------------------------------------------------------------------------------


class Digits:
    """Training on the digits in float64, at whatever parameters are reached: the same batches every time."""

    def __init__(self) -> None:
        mlp = pytest.importorskip("mlp")  # it needs scikit-learn
        self.mlp, self.data, self.rng = mlp, mlp.load(), np.random.default_rng(0)
        self.params = {name: array.astype(np.float64) for name, array in mlp.initial(self.rng).items()}

    def gradients(self) -> Iterator[dict[str, Any]]:
        while True:
            for batch in self.mlp.batches(len(self.data.train_y), self.rng):
                images = self.data.train_x[batch].astype(np.float64)
                yield self.mlp.loss_and_gradients(self.params, images, self.data.train_y[batch])[1]


def as_written(hypers: dict[str, float]) -> Point:
    digits = Digits()
    grads = (list(gradients.values()) for gradients in digits.gradients())
    for _, point in zip(range(STEPS), algorithm_1(list(digits.params.values()), grads, **hypers), strict=False):
        digits.params = dict(zip(digits.params, point.thetas, strict=True))
    return point


@pytest.mark.parametrize(
    ("hypers", "switched_at"),
    [
        ({"tolerance": 1e-4}, 53),
        ({"tolerance": 3e-5, "beta2": 0.99}, 106),
        ({"tolerance": 1e-3, "lr": 3e-3}, 34),
        ({}, 0),  # the paper's tolerance is not met here
    ],
)
def test_it_switches_on_the_digits_when_algorithm_1_does(
    swats: Any, hypers: dict[str, float], switched_at: int
) -> None:
    expected, digits = as_written(hypers), Digits()
    optimizer = swats(digits.params, **hypers)
    for _, gradients in zip(range(STEPS), digits.gradients(), strict=False):
        optimizer.step(gradients)
    assert expected.switched_at == optimizer.state["switched_at"] == switched_at
    np.testing.assert_allclose(optimizer.state["rate"], expected.rate, rtol=1e-9)
    for ours, theirs in zip(digits.params.values(), expected.thetas, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


# On made-up gradients ------------------------------------------------------------------------------------------------

SIGNS = np.array([1.0, -1.0, 1.0, 1.0])
STRAIGHT = {"lr": 0.1, "beta1": 0.0, "beta2": 0.5, "eps": 0.0}
"""Where all gradients are ±4, Adam without momentum moves along them: by 0.1, so its rate is a fortieth."""


def stepped(optimizer: Any, scales: list[float]) -> list[np.ndarray[Any, Any]]:
    """How far each step moved a model of two tensors with the elements of SIGNS."""
    first, second = optimizer.params
    movements = []
    for scale in scales:
        before = np.append(first, second)
        optimizer.step([scale * SIGNS[:1], scale * SIGNS[1:]])
        movements.append(np.append(first, second) - before)
    return movements


def model() -> list[np.ndarray[Any, Any]]:
    return [np.zeros(1), np.zeros(3)]


def test_a_step_along_the_gradient_gives_its_rate_and_the_second_of_them_switches(swats: Any) -> None:
    optimizer = swats(model(), **STRAIGHT)
    movements = stepped(optimizer, [4.0])
    assert optimizer.state["lam"] == pytest.approx(0.5 * 0.1 / 4)
    assert optimizer.state["switched_at"] == 0  # the first estimate is its own average, and does not count
    movements += stepped(optimizer, [4.0, 8.0])
    assert optimizer.state["switched_at"] == 2
    assert optimizer.state["rate"] == pytest.approx(0.1 / 4)
    np.testing.assert_allclose(movements, [-0.1 * SIGNS, -0.1 * SIGNS, -0.2 * SIGNS])


def test_momentum_starts_anew_at_the_switch(swats: Any) -> None:
    optimizer = swats(model(), **{**STRAIGHT, "beta1": 0.5, "tolerance": 1e9})
    movements = stepped(optimizer, [4.0, 4.0, 4.0, 4.0])
    assert optimizer.state["switched_at"] == 2
    rate = float(optimizer.state["rate"])
    np.testing.assert_allclose(movements[2:], [-0.5 * rate * 4 * SIGNS, -0.5 * rate * 6 * SIGNS])


def test_nothing_adaptive_is_left_after_the_switch(swats: Any) -> None:
    optimizers = [swats(model(), **STRAIGHT) for _ in range(2)]
    for optimizer in optimizers:
        stepped(optimizer, [4.0, 4.0])
        assert optimizer.state["switched_at"] == 2
    for array in optimizers[0].state["v"]:
        array[...] = np.nan
    ours, theirs = (stepped(optimizer, [1.0, -3.0, 0.0, 1e8]) for optimizer in optimizers)
    np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(ours).all()
    assert optimizers[1].state["switched_at"] == 2


def test_without_a_gradient_there_is_no_estimate(swats: Any) -> None:
    optimizer = swats(model(), tolerance=1.0)
    np.testing.assert_array_equal(stepped(optimizer, [0.0, 0.0, 0.0]), np.zeros((3, 4)))
    assert (optimizer.state["lam"], optimizer.state["switched_at"]) == (0, 0)


@pytest.mark.parametrize("switch_step", [1, 3])
def test_it_can_be_told_when_to_switch(generated_by_name: Any, switch_step: int) -> None:
    optimizer = generated_by_name("swats_at").kind(model(), **STRAIGHT, switch_step=switch_step)
    adaptive = stepped(optimizer, [4.0] * switch_step)
    np.testing.assert_allclose(adaptive, [-0.1 * SIGNS] * switch_step)
    np.testing.assert_allclose(stepped(optimizer, [8.0, 2.0]), [-0.2 * SIGNS, -0.05 * SIGNS])
