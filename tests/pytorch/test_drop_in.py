"""An optimizer of `optgen.torch` in the place of one of torch.optim: whatever a script does, it goes on doing."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from importlib import import_module
from typing import Any

import pytest

SCHEDULERS = {
    "LambdaLR": {"lr_lambda": lambda k: 0.9**k},
    "MultiplicativeLR": {"lr_lambda": lambda _: 0.9},
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [2, 5]},
    "ConstantLR": {"total_iters": 3},
    "LinearLR": {"total_iters": 5},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 7},
    "CosineAnnealingLR": {"T_max": 4},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "CyclicLR": {"base_lr": 1e-3, "max_lr": 1e-2, "step_size_up": 3},
    "OneCycleLR": {"max_lr": 1e-2, "total_steps": 20},
    "ReduceLROnPlateau": {"patience": 1},
}


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedulers(kind: str, scheduler: str, torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs()
    options = {"lr": 1e-2, **({"momentum": 0.9} if kind == "SGD" else {})}
    optimizers = [getattr(ours, kind)(one, **options), getattr(torch.optim, kind)(other, **options)]
    make = getattr(torch.optim.lr_scheduler, scheduler)
    schedulers = [make(optimizer, **SCHEDULERS[scheduler]) for optimizer in optimizers]
    for k in range(12):
        taught(k, one, other)
        for optimizer, its in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            its.step(*[1.0] * (scheduler == "ReduceLROnPlateau"))
    assert close(one, other)
    assert [g["lr"] for g in optimizers[0].param_groups] == [g["lr"] for g in optimizers[1].param_groups]


def test_sequences_and_chains_of_schedulers(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs()
    schedule = torch.optim.lr_scheduler
    both = []
    for kind, params in ((ours.RAdam, one), (torch.optim.RAdam, other)):
        optimizer = kind(params, lr=0.1)
        warm, fall = schedule.LinearLR(optimizer, total_iters=3), schedule.ExponentialLR(optimizer, 0.8)
        both.append((optimizer, schedule.SequentialLR(optimizer, [warm, fall], milestones=[3])))
    for k in range(8):
        taught(k, one, other)
        for optimizer, scheduler in both:
            optimizer.step()
            scheduler.step()
    assert close(one, other)


def test_groups(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs((3, 4), (5,), (2, 2), (7,))
    optimizers = []
    for kind, params in ((ours.AdamW, one), (torch.optim.AdamW, other)):
        groups = [
            {"params": params[:1], "lr": 0.1, "betas": (0.8, 0.9)},
            {"params": params[1:3], "weight_decay": 0.3, "amsgrad": True},
        ]
        optimizers.append(kind(groups, lr=1e-2))
    for k in range(12):
        taught(k, one, other)
        for optimizer, params in zip(optimizers, (one, other), strict=True):
            if k == 4:
                optimizer.add_param_group({"params": params[3:], "eps": 1e-3, "maximize": True})
            if k == 6:
                optimizer.param_groups[0]["lr"] = torch.tensor(0.05)
                optimizer.param_groups[1]["betas"] = (0.5, 0.99)
            optimizer.step()
    assert close(one, other)


def test_groups_that_follow_different_rules(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs((3, 4), (5,), (2, 2), (7,))
    both = []
    for kind, params in ((ours.SGD, one), (torch.optim.SGD, other)):
        options = [{}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}, {"maximize": True, "weight_decay": 0.1}]
        both.append(kind([{"params": [p], **its} for p, its in zip(params, options, strict=True)], lr=0.1))
    for k in range(6):
        taught(k, one, other)
        for optimizer in both:
            optimizer.step()
    assert close(one, other)


def test_a_decay_or_a_momentum_may_begin_later(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs()
    both = [ours.SGD(one, lr=0.1), torch.optim.SGD(other, lr=0.1)]
    for k in range(9):
        taught(k, one, other)
        for optimizer in both:
            optimizer.param_groups[0].update(weight_decay=0.1 * (k > 2), momentum=0.9 * (k > 5))
            optimizer.step()
    assert close(one, other)


def test_parameters_without_a_gradient_are_left_out(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs((3, 4), (5,), (2, 2), (7,))
    both = [ours.NAdam(one), torch.optim.NAdam(other)]
    for k in range(12):
        taught(k, one, other)
        for params in (one, other):
            params[3].grad = None
            params[2].requires_grad_(requires_grad=False)
            if k % 3 == 0 or k < 2:
                params[1].grad = None
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
    assert close(one, other)
    assert [float(its["step"]) for its in both[0].state.values()] == [12.0, 12.0, 7.0]
    assert one[3] not in both[0].state


def test_no_gradient_at_all(ours: Any, pairs: Any) -> None:
    one, other = pairs()
    ours.AdamW(one).step()
    assert all(a.equal(b) for a, b in zip(one, other, strict=True))


def test_closures_and_hooks(torch: Any, ours: Any, pairs: Any) -> None:
    (one,), (other,) = pairs((3, 4))
    both = [ours.Adagrad([one]), torch.optim.Adagrad([other])]
    seen: list[str] = []
    both[0].register_step_pre_hook(lambda *_: seen.append("before"))
    both[0].register_step_post_hook(lambda *_: seen.append("after"))
    both[0].register_state_dict_post_hook(lambda _, found: {**found, "mine": 1})
    for optimizer, param in zip(both, (one, other), strict=True):
        for _ in range(3):

            def closure(optimizer: Any = optimizer, param: Any = param) -> Any:
                optimizer.zero_grad()
                loss = (param**2).sum()
                loss.backward()
                return loss

            loss = optimizer.step(closure)
    assert torch.allclose(one, other, rtol=1e-12)
    assert loss.item() > 0
    assert seen == ["before", "after"] * 3
    assert both[0].state_dict()["mine"] == 1


def test_what_autograd_has_saved_is_known_to_have_changed(torch: Any, ours: Any) -> None:
    param = torch.nn.Parameter(torch.randn(3))
    optimizer = ours.SGD([param], lr=0.1)
    loss = (param**3).sum()
    param.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("overflows_at", [None, 2])
def test_a_grad_scaler(overflows_at: int | None, torch: Any, ours: Any, pairs: Any, close: Any) -> None:
    one, other = pairs((3, 4))
    for kind, params in ((ours.AdamW, one), (torch.optim.AdamW, other)):
        optimizer, scaler = kind(params, lr=0.1), torch.amp.GradScaler("cpu", init_scale=1024.0)
        for k in range(4):
            optimizer.zero_grad()
            loss = (params[0] ** 2).sum() * (float("inf") if k == overflows_at else 1.0)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            scaler.step(optimizer)
            scaler.update()
    assert close(one, other)
    assert torch.isfinite(one[0]).all()


def test_a_scale_and_an_overflow_are_handed_over(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs()
    both = [ours.AdamW(one), torch.optim.AdamW(other)]
    for k in range(5):
        taught(k, one, other)
        both[0].grad_scale, both[0].found_inf = torch.tensor(8.0), torch.tensor(float(k == 2))
        for param in one:
            param.grad *= 8
        both[0].step()
        if k != 2:
            both[1].step()
    assert close(one, other)


# Tensors of all kinds -------------------------------------------------------------------------------------------------


def layouts(torch: Any) -> dict[str, Any]:
    torch.manual_seed(1)
    base = torch.randn(4, 6, 5, 3)
    return {
        "channels last": base.clone().to(memory_format=torch.channels_last),
        "transposed": torch.randn(5, 7).t(),
        "in pieces": torch.randn(8, 9)[::2, 1:7:3],
        "of six dimensions": torch.randn(2, 1, 3, 2, 2, 2),
        "in the middle": torch.randn(20)[3:11],
        "of one": torch.randn(1, 1, 1).expand(1, 1, 1),
    }


@pytest.mark.parametrize("kind", ["AdamW", "Adafactor", "Rprop"])
def test_tensors_are_updated_in_their_own_strides(kind: str, torch: Any, ours: Any, close: Any) -> None:
    one = [torch.nn.Parameter(tensor) for tensor in layouts(torch).values()]
    other = [torch.nn.Parameter(tensor) for tensor in layouts(torch).values()]
    strides, places = [p.stride() for p in one], [p.data_ptr() for p in one]
    both = [getattr(ours, kind)(one), getattr(torch.optim, kind)(other)]
    for k in range(6):
        for a, b in zip(one, other, strict=True):
            grad = torch.randn(a.shape)
            a.grad, b.grad = grad.clone(), grad.clone()
            if k % 2:  # in an order of its own
                a.grad = grad.permute(*reversed(range(grad.dim()))).contiguous().permute(*reversed(range(grad.dim())))
        for optimizer in both:
            optimizer.step()
    assert close(one, other)
    assert strides == [p.stride() for p in one]
    assert places == [p.data_ptr() for p in one]


def test_gradients_that_repeat_themselves(torch: Any, ours: Any, pairs: Any, close: Any) -> None:
    one, other = pairs((3, 4))
    both = [ours.Adamax(one), torch.optim.Adamax(other)]
    for params, optimizer in zip((one, other), both, strict=True):
        params[0].grad = torch.ones(1, 1).expand(3, 4)
        optimizer.step()
    assert close(one, other)


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "Adadelta", "RMSprop", "Rprop", "ASGD"])
def test_complex_parameters_are_pairs(kind: str, torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs((3, 4), (5,), dtype=torch.complex128)
    options = {"lr": 0.1, **({"momentum": 0.9} if kind == "SGD" else {})}
    both = [getattr(ours, kind)(one, **options), getattr(torch.optim, kind)(other, **options)]
    for k in range(6):
        taught(k, one, other)
        one[1].grad = one[1].grad.conj().resolve_conj().conj()  # the same, said in another way
        for optimizer in both:
            optimizer.step()
    assert close(one, other)
    mine, theirs = (optimizer.state_dict()["state"] for optimizer in both)
    for k, its in theirs.items():
        assert {key: value.dtype for key, value in its.items()} == {key: x.dtype for key, x in mine[k].items()}


def test_what_has_no_kernels_is_refused(torch: Any, ours: Any) -> None:
    dense = torch.nn.Parameter(torch.randn(4, 3))
    optimizer = ours.AdamW([dense])
    dense.grad = torch.ones(4, 3).to_sparse()
    with pytest.raises(RuntimeError, match="AdamW does not support sparse gradients"):
        optimizer.step()
    number = torch.nn.Parameter(torch.ones(3).to(torch.float8_e5m2), requires_grad=False)
    number.grad = torch.ones(3).to(torch.float8_e5m2)
    with pytest.raises(TypeError, match=r"expected one of torch\.float32"):
        ours.AdamW([number]).step()
    wide = torch.nn.Parameter(torch.ones(1, 3).expand(4, 3))
    wide.grad = torch.ones(4, 3)
    with pytest.raises(ValueError, match="several share memory"):
        ours.AdamW([wide]).step()
    same = torch.nn.Parameter(dense.detach()[1:])
    dense.grad, same.grad = torch.ones(4, 3), torch.ones(3, 3)
    with pytest.raises(ValueError, match="overlaps"):
        ours.AdamW([dense, same]).step()
    with pytest.raises(RuntimeError, match="differentiable=True"):
        ours.AdamW([dense], differentiable=True)
    with pytest.raises(RuntimeError, match="capturable=True"):
        ours.AdamW([dense], capturable=True)
    with pytest.raises(ValueError, match="expected it for all groups"):
        ours.AdamW([{"params": [dense], "master": True}])
    with pytest.raises(ValueError, match="master: expected parameters in bfloat16"):
        ours.AdamW([dense], master=True)


# What moves -----------------------------------------------------------------------------------------------------------


def test_parameters_that_move_are_followed(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs((3, 4), (5,))
    both = [ours.AdamW(one, lr=0.1), torch.optim.AdamW(other, lr=0.1)]
    for k in range(12):
        taught(k, one, other)
        for optimizer in both:
            optimizer.step()
        for params in (one, other):
            if k == 2:
                params[0].data = params[0].data.clone()
            if k == 4:
                params[0].data = params[0].data.t().contiguous().t()
            if k == 6:
                params[1].data.mul_(0.5)
            if k == 8:
                params[1].grad = None
                with torch.no_grad():
                    params[1].set_(torch.ones(5))
    assert close(one, other)


def test_a_model_that_is_moved_or_loaded(torch: Any, ours: Any, close: Any) -> None:
    torch.manual_seed(0)
    one = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).float()
    other, saved = deepcopy(one), deepcopy(one.state_dict())
    both = [(one, ours.AdamW(one.parameters(), lr=0.1)), (other, torch.optim.AdamW(other.parameters(), lr=0.1))]
    x = torch.randn(16, 3)
    for model, optimizer in both:
        for k in range(6):
            if k == 2:
                model.load_state_dict(saved)
            if k == 4:
                model.double()
                optimizer.load_state_dict(deepcopy(optimizer.state_dict()))  # torch's own needs that; ours does not
            optimizer.zero_grad()
            model(x.to(next(model.parameters()).dtype)).square().mean().backward()
            optimizer.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_states_that_somebody_writes_to(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    one, other = pairs((3, 4), (5,))
    both = [ours.RAdam(one, lr=0.1), torch.optim.RAdam(other, lr=0.1)]
    for k in range(16):
        taught(k, one, other)
        for optimizer, params in zip(both, (one, other), strict=True):
            its = optimizer.state[params[0]]
            if k == 3:
                its["exp_avg"] = torch.ones(3, 4)
            if k == 5:
                its["step"].fill_(2)
            if k == 7:
                its["exp_avg_sq"].mul_(2)
            if k == 9:
                its["step"] = torch.tensor(100.0)
            if k == 11:
                its["exp_avg"].data = torch.zeros(3, 4)
            if k == 13:
                optimizer.state.clear()
            optimizer.step()
    assert close(one, other)


# Copies and checkpoints -----------------------------------------------------------------------------------------------


def after(torch: Any, kind: Any, steps: int = 3, **options: Any) -> tuple[list[Any], Any]:
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 4), (5,))]
    optimizer = kind(params, **options)
    go_on(torch, params, optimizer, steps)
    return params, optimizer


def go_on(torch: Any, params: list[Any], optimizer: Any, steps: int = 3) -> None:
    for k in range(steps):
        for param in params:
            param.grad = torch.cos(param.detach() + k)
        optimizer.step()


def params_of(optimizer: Any) -> list[Any]:
    return [param for group in optimizer.param_groups for param in group["params"]]


@pytest.mark.parametrize("name", ["AdamW", "SGD", "NAdam", "Adafactor", "LookaheadAdamW", "SWATS", "ScheduleFreeAdamW"])
@pytest.mark.parametrize("how", ["deepcopy", "pickle", "file"])
def test_copies_go_on_bit_for_bit(name: str, how: str, torch: Any, ours: Any) -> None:
    options = {"momentum": 0.9} if name == "SGD" else {}
    params, optimizer = after(torch, getattr(ours, name), lr=0.01, **options)
    if how == "deepcopy":
        copy = deepcopy(optimizer)
    elif how == "pickle":
        copy = pickle.loads(pickle.dumps(optimizer))  # noqa: S301
    else:
        file = io.BytesIO()
        torch.save({"optimizer": optimizer.state_dict(), "params": [p.detach() for p in params]}, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
        copy = getattr(ours, name)([torch.nn.Parameter(p.clone()) for p in loaded["params"]], lr=0.7, **options)
        copy.load_state_dict(loaded["optimizer"])
    go_on(torch, params, optimizer)
    go_on(torch, params_of(copy), copy)
    assert all(a.equal(b) for a, b in zip(params, params_of(copy), strict=True))


@pytest.mark.parametrize("name", ["NAdam", "LookaheadAdamW", "SWATS"])
def test_distributed_checkpoints(name: str, torch: Any, ours: Any, tmp_path: Any) -> None:
    checkpoint = import_module("torch.distributed.checkpoint")
    of = import_module("torch.distributed.checkpoint.state_dict")
    found = []
    for k in range(2):
        torch.manual_seed(k)
        model = torch.nn.Linear(3, 4)
        found.append((model, getattr(ours, name)(model.parameters(), lr=0.01)))
    (model, optimizer), (other, another) = found
    go_on(torch, list(model.parameters()), optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that there is one process
        saved = {"model": model.state_dict(), "opt": of.get_optimizer_state_dict(model, optimizer)}
        checkpoint.save(saved, checkpoint_id=tmp_path)
        loaded = {"model": other.state_dict(), "opt": of.get_optimizer_state_dict(other, another)}
        checkpoint.load(loaded, checkpoint_id=tmp_path)
        other.load_state_dict(loaded["model"])
        of.set_optimizer_state_dict(other, another, loaded["opt"])
    for its, its_optimizer in found:
        go_on(torch, list(its.parameters()), its_optimizer)
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_a_loaded_state_is_a_copy_and_keeps_its_dtype(torch: Any, ours: Any) -> None:
    params, optimizer = after(torch, ours.AdamW, store={"exp_avg": "bf16"})
    saved = optimizer.state_dict()
    assert saved["state"][0]["exp_avg"].dtype == torch.bfloat16
    other = ours.AdamW([torch.nn.Parameter(p.detach().clone()) for p in params])
    other.load_state_dict(saved)
    before = saved["state"][0]["exp_avg"].clone()
    go_on(torch, params_of(other), other)
    assert other.state_dict()["state"][0]["exp_avg"].dtype == torch.bfloat16
    assert before.equal(saved["state"][0]["exp_avg"])
    assert type(saved["state"][0]) is dict


def test_hooks_may_change_what_is_loaded(torch: Any, ours: Any) -> None:
    params, optimizer = after(torch, ours.AdamW)

    def double(_: Any, given: dict[str, Any]) -> dict[str, Any]:
        state = {key: {**its, "exp_avg": 2 * its["exp_avg"]} for key, its in given["state"].items()}
        return {**given, "state": state}

    before = optimizer.state[params[0]]["exp_avg"].clone()
    optimizer.register_load_state_dict_pre_hook(double)
    optimizer.register_load_state_dict_post_hook(lambda its: its.state[params[1]].pop("exp_avg"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[params[0]]["exp_avg"].equal(2 * before)
    assert "exp_avg" not in optimizer.state[params[1]]
    go_on(torch, params, optimizer)


def test_tensors_without_memory_are_refused(torch: Any, ours: Any) -> None:
    param = torch.nn.Parameter(torch.ones(3, device="meta"))
    param.grad = torch.ones(3, device="meta")
    with pytest.raises(RuntimeError, match="on meta"):
        ours.AdamW([param]).step()

    class Elsewhere(torch.Tensor):
        @classmethod
        def __torch_dispatch__(cls, *args: Any, **_: Any) -> Any:
            raise NotImplementedError

    wrapped = torch.Tensor._make_wrapper_subclass(Elsewhere, (3,), requires_grad=True)
    wrapped.grad = torch.ones(3)
    with pytest.raises(TypeError, match="expected a plain tensor, got a Elsewhere"):
        ours.AdamW([wrapped]).step()


def test_a_state_of_another_shape_is_refused(torch: Any, ours: Any) -> None:
    params, optimizer = after(torch, ours.AdamW)
    saved = deepcopy(optimizer.state_dict())
    saved["state"][0]["exp_avg"] = torch.zeros(4, 3)
    optimizer.load_state_dict(saved)
    with pytest.raises(ValueError, match=r"state of params\[0\], 'exp_avg': expected a tensor of shape \(3, 4\)"):
        go_on(torch, params, optimizer)


# Threads --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_of_torch_are_used_and_left_alone(threads: int, torch: Any, ours: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        param = torch.nn.Parameter(torch.randn(100_000))
        optimizer = ours.SGD([param], lr=0.1)
        for _ in range(3):
            param.grad = torch.ones(100_000)
            optimizer.step()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_the_first_step_of_a_process_leaves_the_threads_alone(torch: Any, ours: Any) -> None:
    source = """
import torch
torch.set_num_threads(1)
from optgen.torch import SGD
param = torch.nn.Parameter(torch.ones(100_000))
param.grad = torch.ones(100_000)
SGD([param], lr=0.1).step()
print(torch.get_num_threads())
"""
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout == "1\n"


def test_many_threads_may_step(torch: Any, ours: Any) -> None:
    models = [after(torch, ours.AdamW, steps=1) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: go_on(torch, *model, 20), models))
    assert all(p.equal(q) for model, _ in models for p, q in zip(model, models[0][0], strict=True))
