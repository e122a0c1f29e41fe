"""Optimizers whose states lie in the memory of the host; here the device is the host too."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import pytest

RULES = {
    "AdamW": {"master": True, "store": {"exp_avg": "float32", "exp_avg_sq": "float32"}},
    "Lion": {"kahan": True},
    "LAMB": {"master": True},
    "NAdam": {},
    "ScheduleFreeAdamW": {},
    "LookaheadAdamW": {},
    "Adafactor": {},
    "ClipGlobalNormAdamW": {},
    "GradientNoiseSGD": {},
}
"""Of elements, of totals, with numbers of the host, with states that start from theta, with draws."""


def models(torch: Any, options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    one = torch.nn.Sequential(torch.nn.Linear(30, 40), torch.nn.Tanh(), torch.nn.Linear(40, 2))
    one.to(torch.bfloat16 if options.keys() & {"master", "kahan"} else torch.float32)
    return one, deepcopy(one)


def taught(torch: Any, k: int, *given: Any) -> None:
    for model in given:
        torch.manual_seed(k)
        x = torch.randn(8, 30, dtype=model[0].weight.dtype)
        model.zero_grad()
        model(x).float().square().mean().backward()


def same(one: Any, other: Any) -> bool:
    return all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", RULES)
def test_it_is_what_a_step_would_have_been(name: str, torch: Any, ours: Any) -> None:
    one, other = models(torch, RULES[name])
    kind = getattr(ours, name)
    optimizers = [kind(model.parameters(), lr=0.01, **RULES[name]) for model in (one, other)]
    assert ours.offload(optimizers[0]) is optimizers[0]
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9) for optimizer in optimizers]
    for k in range(8):
        taught(torch, k, one, other)
        if k == 3:  # somebody writes to a parameter
            with torch.no_grad():
                for model in (one, other):
                    model[0].weight[0] = 0.125
        if k == 5:  # a parameter has no gradient
            one[2].bias.grad = other[2].bias.grad = None
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
        assert same(one, other)
    for found, expected in zip(*(optimizer.eval_params() for optimizer in optimizers), strict=True):
        assert found.equal(expected)


def test_what_was_begun_on_the_device_goes_on(torch: Any, ours: Any) -> None:
    options: Any = RULES["AdamW"]
    one, other = models(torch, options)
    optimizers = [ours.AdamW(model.parameters(), lr=0.01, **options) for model in (one, other)]
    for k in range(6):
        if k == 2:
            ours.offload(optimizers[0])
        if k == 4:  # and goes on from a checkpoint
            file = io.BytesIO()
            torch.save(optimizers[0].state_dict(), file)
            file.seek(0)
            optimizers[0] = ours.offload(ours.AdamW(one.parameters(), lr=0.01, **options))
            optimizers[0].load_state_dict(torch.load(file, weights_only=True))
        taught(torch, k, one, other)
        for optimizer in optimizers:
            optimizer.step()
        assert same(one, other)


def test_a_copy_is_offloaded_too(torch: Any, ours: Any) -> None:
    one, other = models(torch, {})
    both = deepcopy((one, ours.offload(ours.Lion(one.parameters(), lr=0.01))))
    expected = ours.Lion(other.parameters(), lr=0.01)
    assert both[1].steps_on_host
    assert not expected.steps_on_host
    for k in range(3):
        taught(torch, k, both[0], other)
        both[1].step()
        expected.step()
    assert same(both[0], other)


def test_parameters_are_fetched_once_and_gradients_to_the_same_place(torch: Any, ours: Any) -> None:
    # In another order than the parameter, so that gradients have to be brought.
    param = torch.nn.Parameter(torch.ones(4, 6))
    opt = ours.offload(ours.SGD([param], lr=0.5, momentum=0.5))
    places = set()
    for k in range(3):
        param.grad = torch.full((6, 4), float(k)).t()
        opt.step()
        (share,) = opt._watched.shares
        places.add(share._room[0].data_ptr())
        assert share._bodies[0].numbers.data_ptr() != param.data_ptr()
    assert len(places) == 1
    # Momenta 0, 1 and 2.5, half of each.
    assert param.detach().unique().tolist() == [1 - 1.75]


def test_gradients_are_let_go_of_as_they_arrive(torch: Any, ours: Any) -> None:
    one, other = models(torch, {})
    opt, expected = ours.offload(ours.AdamW(one.parameters(), lr=0.01)), ours.AdamW(other.parameters(), lr=0.01)
    releasing = ours.release_gradients(opt)
    for k in range(3):
        taught(torch, k, one, other)
        assert all(param.grad is None for param in one.parameters())
        expected.step()
    releasing.remove()
    assert same(one, other)


def test_what_a_step_refuses_changes_nothing(torch: Any, ours: Any) -> None:
    one, _ = models(torch, {})
    before = deepcopy(one)
    opt = ours.offload(ours.AdamW(one.parameters(), lr=0.01))
    taught(torch, 0, one)
    one[0].weight.grad = one[0].weight.grad.to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        opt.step()
    assert same(one, before)
