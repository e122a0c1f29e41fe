"""A training script of which nothing but an import changes."""

from __future__ import annotations

from typing import Any

IMPORT = "from torch.optim import RAdam"
SCRIPT = f"""
import io
import torch
{IMPORT}
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(0)
x, y = torch.randn(64, 8), torch.randn(64, 2)


def made():
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() < 2]
    decay = {{"weight_decay": 0.1, "decoupled_weight_decay": True}}
    groups = [{{"params": decayed, **decay}}, {{"params": plain, "lr": 0.03}}]
    optimizer = RAdam(groups, lr=0.01, betas=(0.8, 0.95))
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    return model, optimizer, CosineAnnealingLR(optimizer, 30), torch.amp.GradScaler("cpu", init_scale=64.0), ema


def train(parts, steps):
    model, optimizer, scheduler, scaler, ema = parts
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        ema.update_parameters(model)


parts = made()
train(parts, 10)
file = io.BytesIO()
torch.save([part.state_dict() for part in parts], file)
file.seek(0)
parts = made()
for part, saved in zip(parts, torch.load(file, weights_only=True)):
    part.load_state_dict(saved)
train(parts, 10)
model, optimizer, scheduler, scaler, ema = parts
"""


def test_a_script_goes_on_as_before(torch: Any, ours: Any) -> None:
    before, after = {}, {}  # type: dict[str, Any], dict[str, Any]
    exec(SCRIPT, before)  # noqa: S102
    exec(SCRIPT.replace(IMPORT, IMPORT.replace("torch.optim", ours.__name__)), after)  # noqa: S102
    assert type(after["optimizer"]).__module__ == "optgen.torch"
    for name in ("model", "ema"):
        one, other = before[name].state_dict(), after[name].state_dict()
        assert all(torch.allclose(one[key], other[key], rtol=1e-12, atol=1e-12) for key in one)
    assert before["scheduler"].get_last_lr() == after["scheduler"].get_last_lr()
    assert before["scaler"].state_dict() == after["scaler"].state_dict()
