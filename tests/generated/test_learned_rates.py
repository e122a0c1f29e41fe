"""Rules that learn their rate from how far they have come: what they learn, and what they do before they know."""

from typing import Any

import numpy as np
import pytest

RULES = ("prodigy", "dadapt_adam", "dog", "dowg")
GOAL = [np.array([3.0, -1.0]), np.array([[0.5, 2.0], [-4.0, 0.0]])]
FARTHEST = 4.0
"""The largest coordinate of the goal, which is how far it is from 0 in the norm that Prodigy thinks in."""


def start() -> list[Any]:
    return [np.zeros_like(goal) for goal in GOAL]


def towards_the_goal(thetas: list[Any]) -> list[Any]:
    """The gradient of the sum of distances by coordinate: convex, and its size tells nothing of the distance."""
    return [np.sign(theta - goal) for theta, goal in zip(thetas, GOAL, strict=True)]


@pytest.mark.parametrize("d0", [1e-6, 1e-2])
def test_prodigy_learns_how_far_it_is_and_never_overestimates_it(generated_by_name: Any, d0: float) -> None:
    optimizer = generated_by_name("prodigy").kind(thetas := start(), d0=d0)
    estimates = []
    for _ in range(300):
        optimizer.step(towards_the_goal(thetas))
        estimates.append(float(optimizer.state["d"]))
    assert (np.diff(estimates) >= 0).all()
    assert FARTHEST / 10 < estimates[-1] <= FARTHEST


@pytest.mark.parametrize("name", RULES)
def test_the_goal_comes_nearer_whatever_the_scale_of_the_gradient(generated_by_name: Any, name: str) -> None:
    for scale in (1e-2, 1e3):
        optimizer = generated_by_name(name).kind(thetas := start())
        for _ in range(2000):
            optimizer.step([scale * grad for grad in towards_the_goal(thetas)])
        away = sum(np.abs(theta - goal).sum() for theta, goal in zip(thetas, GOAL, strict=True))
        assert away < 0.5 * sum(np.abs(goal).sum() for goal in GOAL)


@pytest.mark.parametrize("name", RULES)
def test_without_gradients_nothing_moves_and_nothing_is_lost(generated_by_name: Any, name: str) -> None:
    optimizer = generated_by_name(name).kind(thetas := start())
    for _ in range(3):
        optimizer.step(start())
    for theta in thetas:
        np.testing.assert_array_equal(theta, 0)
    optimizer.step(towards_the_goal(thetas))
    assert all(np.isfinite(theta).all() and theta.any() for theta in thetas)


def test_the_first_movement_of_dog_is_as_long_as_it_is_told(generated_by_name: Any) -> None:
    thetas = [goal.copy() for goal in GOAL]
    grads = [10 * goal + 1 for goal in GOAL]
    optimizer = generated_by_name("dog").kind(thetas, reps_rel=1e-2, eps=0.0)
    optimizer.step(grads)
    size, length = (np.sqrt(sum(np.sum(x**2) for x in model)) for model in (GOAL, grads))
    assert optimizer.state["distance"] == pytest.approx(1e-2 * (1 + size))
    for theta, goal, grad in zip(thetas, GOAL, grads, strict=True):
        np.testing.assert_allclose(theta, goal - 1e-2 * (1 + size) * grad / length)


def test_the_distance_is_the_largest_so_far_over_all_tensors(generated_by_name: Any) -> None:
    optimizer = generated_by_name("dog").kind(thetas := start(), reps_rel=0.1)
    away = []
    for k in range(30):
        away.append(np.sqrt(sum(np.sum(theta**2) for theta in thetas)))
        optimizer.step([(-1) ** k * (goal + 1) for goal in GOAL])
        assert optimizer.state["distance"] == pytest.approx(max(0.1, *away))
    assert max(away) > away[-1]
