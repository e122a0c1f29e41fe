"""A total over a parameter group is what a total over a model of that group alone would be."""

from __future__ import annotations

import numpy as np
import pytest

import optgen
from optgen import (
    GROUP,
    GroupMax,
    GroupMean,
    GroupNorm,
    GroupSum,
    Let,
    ModelMax,
    ModelMean,
    ModelNorm,
    ModelSum,
    Optimizer,
    RowMax,
    SpecError,
    g,
    local,
    state,
    theta,
)
from optgen.hypers import beta1, eps, lr

m, scale, a = state("m"), state("scale", space=optgen.TENSOR), local("a")


def rule(name: str, total: type, mean: type, largest: type, norm: type) -> Optimizer:
    """A rule that has every kind of total over something."""
    step = [
        Let(m.next, beta1 * m + g),
        Let(a, norm(m.next)),
        Let(scale.next, scale + mean(g) + largest(theta)),
        Let(theta.next, theta - lr * m.next / (a + eps) - lr * scale.next * total(g * mean(RowMax(g))) / 100),
    ]
    return Optimizer(name, title=name.title(), step=step)


@pytest.fixture(scope="module")
def by_group():
    return optgen.compile(rule("grouped", GroupSum, GroupMean, GroupMax, GroupNorm)).Grouped


@pytest.fixture(scope="module")
def by_model():
    return optgen.compile(rule("modelled", ModelSum, ModelMean, ModelMax, ModelNorm)).Modelled


def arrays(seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).astype(np.float32) for shape in [(4, 5), (7,), (2, 3), (), (0, 2), (3,)]]


def test_each_group_has_its_own(by_group, by_model) -> None:
    mine, alone = arrays(0), arrays(0)
    groups = [{"params": mine[:2], "lr": 0.1}, {"params": mine[2:5]}, {"params": mine[5:], "lr": 0.2}]
    whole = by_group(groups, lr=0.05)
    parts = [by_model(alone[:2], lr=0.1), by_model(alone[2:5], lr=0.05), by_model(alone[5:], lr=0.2)]
    for seed in (1, 2, 3):
        grads = arrays(seed)
        whole.step(grads)
        for part, its in zip(parts, (grads[:2], grads[2:5], grads[5:]), strict=True):
            part.step(its)
    for ours, expected in zip(mine, alone, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_what_is_left_out_is_not_in_the_total(by_group, by_model) -> None:
    mine, alone = arrays(4), arrays(4)
    whole = by_group([{"params": mine[:3]}, {"params": mine[3:]}], lr=0.1)
    grads = arrays(5)
    whole.step([None, *grads[1:]], missing="skip")
    by_model(alone[1:3], lr=0.1).step(grads[1:3])
    for ours, expected in zip(mine[:3], alone[:3], strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_without_groups_it_is_the_model(by_group, by_model) -> None:
    mine, alone = arrays(6), arrays(6)
    by_group(mine, lr=0.1).step(arrays(7))
    by_model(alone, lr=0.1).step(arrays(7))
    for ours, expected in zip(mine, alone, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_no_state_starts_from_a_total_of_the_parameters_of_a_group() -> None:
    s = state("s", space=optgen.TENSOR, init=GroupNorm(theta))
    with pytest.raises(SpecError, match=r"made of GroupNorm\(theta\), before there are groups"):
        Optimizer("wrong", title="Wrong", step=[Let(s.next, s), Let(theta.next, theta - lr * s * g)])


def test_no_state_is_of_a_group() -> None:
    with pytest.raises(TypeError, match="is kept for its tensors: TENSOR"):
        state("s", space=GROUP)
    s = state("s", space=optgen.MODEL)
    with pytest.raises(SpecError, match="one value a model, its update one a group"):
        Optimizer("wrong", title="Wrong", step=[Let(s.next, GroupSum(g)), Let(theta.next, theta - lr * s.next)])
