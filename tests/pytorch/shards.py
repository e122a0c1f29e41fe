"""What processes do that have a part of a model each, and what starts them."""

from __future__ import annotations

import multiprocessing as mp
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import optgen.torch
from optgen import GroupNorm, Let, Optimizer, g, theta
from optgen.hypers import lr

LIMIT = 240
"""Seconds that processes are given."""
SHAPES = [(5, 4), (7,), (1, 6), (4, 3, 2), (2, 5), (3,)]
"""Those of one row and of two leave processes without elements."""
STEPS = 4
OF_GROUPS = Optimizer("of_groups", "Groups", step=(Let(theta.next, theta - lr * g / (1 + GroupNorm(g))),))


def among(count: int, work: Callable[..., Any], *args: Any, at: Path) -> list[Any]:
    """What each of several processes returns, which can talk to each other while they work."""
    spawn, end = mp.get_context("spawn"), monotonic() + LIMIT
    found = [at / f"of-{rank}" for rank in range(count)]
    each = [spawn.Process(target=_process, args=(rank, found, work, args)) for rank in range(count)]
    for process in each:
        process.start()
    while any(process.is_alive() for process in each) and not any(process.exitcode for process in each):
        if monotonic() > end:
            break
        sleep(0.1)
    for process in each:
        process.kill()
        process.join()
    results = [pickle.loads(path.read_bytes()) for path in found if path.exists()]  # noqa: S301
    for path in [*found, at / "meeting"]:
        path.unlink(missing_ok=True)
    failures = [result for result in results if isinstance(result, str)]
    assert not failures, failures[0]
    assert len(results) == count, f"no answer in {LIMIT} s"
    return results


def _process(rank: int, found: list[Path], work: Callable[..., Any], args: Any) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    meeting = found[0].with_name("meeting").as_uri()
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=len(found))
    try:
        found[rank].write_bytes(pickle.dumps(work(rank, *args)))
    except BaseException:
        found[rank].write_bytes(pickle.dumps(traceback.format_exc()))
        raise
    torch.distributed.destroy_process_group()


# Tensors that are divided in whatever way ----------------------------------------------------------------------------


def _drawn(k: int) -> list[Any]:
    """Numbers for all elements of a model, the same in all processes."""
    torch.manual_seed(k)
    return [torch.randn(shape) for shape in SHAPES]


def _divided(values: list[Any], way: str) -> list[Any]:
    """Tensors as this process has them: cut along the first dimension or the last, or some of them only."""
    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    if way == "first":
        how: list[Any] = [Shard(0)] * len(values)
    elif way == "last":
        how = [Shard(x.dim() - 1) for x in values]
    else:
        how = [Shard(0), None, Shard(0), Replicate(), None, Shard(0)]
    return [x if it is None else distribute_tensor(x, mesh, [it]) for x, it in zip(values, how, strict=True)]


def _kind(title: str) -> Any:
    return optgen.torch.optimizer(OF_GROUPS) if title == "of groups" else getattr(optgen.torch, title)


def trained(title: str, way: str | None = None) -> Any:
    """An optimizer after some steps."""
    params, *grads = [_divided(_drawn(k), way) if way else _drawn(k) for k in range(STEPS + 1)]
    params = list(map(torch.nn.Parameter, params))
    opt = _kind(title)([{"params": params[:4]}, {"params": params[4:], "lr": 0.02}], lr=0.1)
    for each in grads:
        for param, grad in zip(params, each, strict=True):
            param.grad = grad
        opt.step()
    return opt


def whole(opt: Any) -> list[Any]:
    """The parameters and the states of an optimizer, and what to evaluate, whole."""
    params = [param for group in opt.param_groups for param in group["params"]]
    states = [its[key] for _, its in sorted(opt.state_dict()["state"].items()) for key in sorted(its)]
    return [full(x).numpy().copy() for x in [*params, *states, *opt.eval_params()]]


def full(x: Any) -> Any:
    return x.detach().full_tensor() if hasattr(x, "full_tensor") else x.detach()


def all_of(_: int, titles: list[str], ways: list[str]) -> dict[tuple[str, str], Any]:
    return {(title, way): whole(trained(title, way)) for title in titles for way in ways}


# A script with fully_shard -------------------------------------------------------------------------------------------


def made(title: str, *, sharded: bool) -> tuple[Any, Any]:
    """A model and its optimizer, which has groups."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 9), torch.nn.LayerNorm(9), torch.nn.Tanh(), torch.nn.Linear(9, 1)]
    model = torch.nn.Sequential(*layers)
    if sharded:
        for layer in (layers[0], layers[3], model):
            fully_shard(layer)
    flat, others = ([p for p in model.parameters() if (p.dim() < 2) == it] for it in (True, False))
    groups = [{"params": others, "weight_decay": 0.1}, {"params": flat, "lr": 0.02}]
    return model, _kind(title)(groups, lr=0.05)


def train(model: Any, opt: Any, steps: range) -> None:
    for k in steps:
        torch.manual_seed(k)
        opt.zero_grad()
        (model(torch.randn(16, 6)) - torch.randn(16, 1)).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()


def up_to_a_checkpoint(_: int, titles: list[str], folder: str) -> None:
    for title in titles:
        model, opt = made(title, sharded=True)
        train(model, opt, range(3))
        saved = dict(zip(("model", "optim"), get_state_dict(model, opt), strict=True))
        dcp.save(saved, checkpoint_id=f"{folder}/{title}")


def from_a_checkpoint(_: int, titles: list[str], folder: str) -> dict[str, Any]:
    found = {}
    for title in titles:
        model, opt = made(title, sharded=True)
        saved = dict(zip(("model", "optim"), get_state_dict(model, opt), strict=True))
        dcp.load(saved, checkpoint_id=f"{folder}/{title}")
        set_state_dict(model, opt, model_state_dict=saved["model"], optim_state_dict=saved["optim"])
        train(model, opt, range(3, 5))
        options = StateDictOptions(full_state_dict=True)
        of_model, of_opt = get_state_dict(model, opt, options=options)
        model, opt = made(title, sharded=True)
        set_state_dict(model, opt, model_state_dict=of_model, optim_state_dict=of_opt, options=options)
        train(model, opt, range(5, 7))
        found[title] = whole(opt)
    return found


# What cannot be done -------------------------------------------------------------------------------------------------


def refused(_: int) -> dict[str, str]:
    """What is said of what cannot be done."""
    line, square = init_device_mesh("cpu", (4,)), init_device_mesh("cpu", (2, 2))

    def param(mesh: Any, *placements: Any) -> Any:
        return torch.nn.Parameter(distribute_tensor(torch.ones(4, 4), mesh, placements))

    def said(title: str, param: Any, grad: Any = None, **options: Any) -> str:
        try:
            opt = _kind(title)([param], **options)
            param.grad = torch.ones_like(param).detach() if grad is None else grad
            opt.step()
        except ValueError as error:
            return str(error)
        return "nothing"

    still = torch.nn.Parameter(DTensor.from_local(torch.ones(2), line, [Partial()]))
    plain, cut, both = param(line, Replicate()), param(line, Shard(0)), param(square, Shard(0), Shard(0))
    unfinished = DTensor.from_local(torch.ones(4, 4), line, [Partial()])
    return {
        "partial": said("AdamW", still),
        "partial gradient": said("AdamW", plain, unfinished),
        "plain gradient": said("AdamW", cut, torch.ones(4, 4)),
        "draws": said("GradientNoiseSGD", cut),
        "begun": said("DoG", cut),
        "chance": said("AdamW", cut, rounding="stochastic", store={"exp_avg": "bf16"}),
        "over two": said("LAMB", both),
        "elements over two": said("AdamW", both),
        "over one of two": said("LAMB", param(square, Replicate(), Shard(0))),
        "draws, of whole ones": said("GradientNoiseSGD", plain),
        "a part of one row": said("LAMB", torch.nn.Parameter(distribute_tensor(torch.ones(1, 4), line, [Shard(0)]))),
    }
