"""Parameters that step in ``backward`` and let go of their gradients."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest


def models(torch: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    one = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    return one, deepcopy(one)


def loss_of(torch: Any, model: Any, k: int) -> Any:
    torch.manual_seed(k)
    return model(torch.randn(8, 3)).square().mean()


@pytest.mark.parametrize("name", ["AdamW", "Lion", "LAMB", "NAdam"])
def test_it_is_what_a_step_would_have_been(name: str, torch: Any, ours: Any) -> None:
    one, other = models(torch)
    kind = getattr(ours, name)
    optimizers = []
    for model in (one, other):
        first, second = list(model[0].parameters()), list(model[2].parameters())
        optimizers.append(kind([{"params": first}, {"params": second, "lr": 0.02}], lr=0.01))
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9) for optimizer in optimizers]
    releasing = ours.release_gradients(optimizers[0])
    for k in range(10):
        if k == 4:
            saved = deepcopy(optimizers[0].state_dict())
            optimizers[0].load_state_dict(saved)
        if k == 7:
            releasing.remove()
        for model, optimizer, scheduler in zip((one, other), optimizers, schedulers, strict=True):
            loss_of(torch, model, k).backward()
            if model is one and k < 7:
                assert all(param.grad is None for param in one.parameters())
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert [float(its["step"]) for its in optimizers[0].state_dict()["state"].values()] == [10.0] * 4


@pytest.mark.parametrize("name", ["ClipGlobalNormAdamW", "GradientNoiseSGD"])
def test_what_needs_the_whole_model_is_refused(name: str, torch: Any, ours: Any) -> None:
    model, _ = models(torch)
    with pytest.raises(ValueError, match=f"release_gradients: {name}"):
        ours.release_gradients(getattr(ours, name)(model.parameters()))
