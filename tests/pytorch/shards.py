"""What processes do that have a part of a model each, and what starts them."""

from __future__ import annotations

import multiprocessing as mp
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

import optgen.torch
from optgen import GroupNorm, Let, Optimizer, g, theta
from optgen.hypers import lr
from optgen.torch.sharded import here

LIMIT = 300
"""Seconds that processes are given."""
SHAPES = [(5, 4), (7,), (1, 6), (4, 3, 2), (2, 5), (3,)]
"""Those of one row and of two leave processes without elements."""
STEPS = 4
WAYS = ["first", "last", "meshes", "some"]
"""How tensors are divided."""
SCRIPTS = ["AdamW", "LAMB", "Adafactor"]
"""With which optimizers."""
DRAWS: dict[str, tuple[str, dict[str, Any]]] = {
    "noise": ("GradientNoiseSGD", {}),
    "chance": ("AdamW", {"rounding": "stochastic", "store": {"exp_avg": "bf16", "exp_avg_sq": "bf16"}}),
}
"""What depends on where an element stands in the whole."""
AS_MATRICES = {"Adafactor of matrices": "Adafactor", "SM3 of matrices": "SM3"}
"""Rules whose rows are those of the first dimension."""
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
    """Tensors as this process has them: cut along the first dimension or the last, on two meshes, or some only."""
    count = torch.distributed.get_world_size()
    mesh, other = init_device_mesh("cpu", (count,)), init_device_mesh("cpu", (1, count))
    how: list[Any] = [(mesh, Shard(x.dim() - 1 if way == "last" else 0)) for x in values]
    if way == "meshes":
        how[::2] = [(other, Replicate(), Shard(0))] * len(how[::2])
    if way == "some":
        how[1:5] = None, how[2], (mesh, Replicate()), None
    return [distribute_tensor(x, it[0], it[1:]) if it else x for x, it in zip(values, how, strict=True)]


def _kind(title: str) -> Any:
    return optgen.torch.optimizer(OF_GROUPS) if title == "of groups" else getattr(optgen.torch, title)


def trained(title: str, way: str | None = None, **options: Any) -> Any:
    """An optimizer after some steps."""
    if title in AS_MATRICES:
        title, options = AS_MATRICES[title], {**options, "as_matrices": True}
    params, *grads = [_divided(_drawn(k), way) if way else _drawn(k) for k in range(STEPS + 1)]
    params = list(map(torch.nn.Parameter, params))
    opt = _kind(title)([{"params": params[:4]}, {"params": params[4:], "lr": 0.02}], lr=0.1, **options)
    for each in grads:
        for param, grad in zip(params, each, strict=True):
            param.grad = grad
        opt.step()
    return opt


def whole(opt: Any) -> list[Any]:
    """The parameters and the states of an optimizer, and what to evaluate, whole."""
    params = [param for group in opt.param_groups for param in group["params"]]
    states = [its[key] for _, its in sorted(opt.state_dict()["state"].items()) for key in sorted(its)]
    return [full(x).double().numpy().copy() for x in [*params, *states, *opt.eval_params()]]


def full(x: Any) -> Any:
    return x.detach().full_tensor() if hasattr(x, "full_tensor") else x.detach()


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


def _up_to_a_checkpoint(folder: str) -> None:
    for title in SCRIPTS:
        model, opt = made(title, sharded=True)
        train(model, opt, range(3))
        saved = dict(zip(("model", "optim"), get_state_dict(model, opt), strict=True))
        dcp.save(saved, checkpoint_id=f"{folder}/{title}")


def _from_a_checkpoint(folder: str) -> dict[str, Any]:
    found = {}
    for title in SCRIPTS:
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


def released(*, sharded: bool, at_once: bool) -> Any:
    """An optimizer after some steps of each parameter as soon as its gradient is there, or of all at once."""
    model, opt = made("AdamW", sharded=sharded)
    if at_once:
        optgen.torch.release_gradients(opt)
    for k in range(STEPS):
        torch.manual_seed(k)
        (model(torch.randn(16, 6)) - torch.randn(16, 1)).square().mean().backward()
        assert not at_once or all(param.grad is None for param in model.parameters())
        opt.step()
        opt.zero_grad()
    return opt


# All that they do ----------------------------------------------------------------------------------------------------


def work(_: int, titles: list[str], folder: str) -> tuple[dict[tuple[str, str], Any], dict[str, Any] | None, Any]:
    """What becomes of tensors, divided in each way, and of scripts, one of which writes a checkpoint after half."""
    of_tensors = {(title, way): whole(trained(title, way)) for title in titles for way in WAYS}
    is_first = torch.distributed.get_world_size() == 2
    for what, (title, options) in DRAWS.items():
        of_tensors |= {(what, way): whole(trained(title, way, **options)) for way in WAYS if way != "last"}
    half = _up_to_a_checkpoint(folder) if is_first else _from_a_checkpoint(folder)
    return of_tensors, half, whole(released(sharded=True, at_once=True))


def alone(titles: list[str]) -> dict[str, Any]:
    """What becomes of the same tensors in one process."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        asked = {**{title: (title, {}) for title in titles}, **DRAWS}
        return {what: whole(trained(title, **options)) for what, (title, options) in asked.items()}
    finally:
        torch.set_default_dtype(before)


# What takes one process -----------------------------------------------------------------------------------------------


@contextmanager
def last_of_four() -> Iterator[None]:
    """Be the last of four processes, of which there is no other."""
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=3, world_size=4)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def moved() -> list[list[Any]]:
    """Parameters, whole and as a part, that are elsewhere between steps, as what is kept of them and gradients are."""
    with last_of_four():
        mesh, found = init_device_mesh("cpu", (4,)), []
        for kind in (torch.Tensor.clone, lambda x: DTensor.from_local(x, mesh, [Shard(0)])):
            torch.manual_seed(0)
            param = torch.nn.Parameter(kind(torch.randn(3, 4)))
            opt = optgen.torch.AdamW([param], lr=0.01)
            for k in range(8):
                grad: Any = torch.randn(3, 4)
                if k == 2:
                    _move(param)
                if k == 4:
                    _move(opt.state[param]["exp_avg"])
                if k == 5:
                    grad = grad.t().contiguous().t()
                param.grad = None if k == 3 else kind(grad)
                opt.step()
            found.append([here(its).detach().clone().numpy() for its in (param, *opt.state[param].values())])
        return found


def _move(tensor: Any) -> None:
    """Let a tensor, or the part that is here, be in other memory, and be written there."""
    new = here(tensor.detach()).clone().mul_(0.5)
    if isinstance(tensor, DTensor):
        tensor._local_tensor = new  # as fully_shard does
    else:
        tensor.data = new


def written(beside: str) -> list[list[Any]]:
    """Parameters of 16 bits, whole and as a part, that have been written to between steps, and what is beside them."""
    with last_of_four():
        mesh, found = init_device_mesh("cpu", (4,)), []
        for kind in (torch.Tensor.clone, lambda x: DTensor.from_local(x.clone(), mesh, [Shard(0)])):
            torch.manual_seed(0)
            param = torch.nn.Parameter(kind(torch.randn(3, 4, dtype=torch.bfloat16)))
            opt = optgen.torch.AdamW([param], lr=0.01, **{beside: True})
            for k in range(6):
                with torch.no_grad():
                    if k == 2:
                        param.copy_(kind(torch.ones(3, 4)))
                    if k == 4:
                        here(param).mul_(0.3)
                param.grad = kind(torch.randn(3, 4, dtype=torch.bfloat16))
                opt.step()
            found.append([here(x.detach()).float().numpy() for x in (param, opt.state[param][beside])])
        return found


def refused() -> dict[str, str]:
    """What is said of what cannot be done."""
    with last_of_four():
        return _refused(init_device_mesh("cpu", (4,)), init_device_mesh("cpu", (2, 2)))


def _param(mesh: Any, *placements: Any, rows: int = 1) -> Any:
    part = torch.ones(rows, 4)
    return torch.nn.Parameter(DTensor.from_local(part, mesh, placements, shape=torch.Size((4, 4)), stride=(4, 1)))


def _said(title: str, param: Any, grad: Any = None, *, to: Any = None, **options: Any) -> str:
    try:
        opt = _kind(title)([param], **options)
        if to is not None:
            to(opt)
        param.grad = torch.ones_like(param).detach() if grad is None else grad
        opt.step()
    except ValueError as error:
        return str(error)
    return "nothing"


def _refused(line: Any, square: Any) -> dict[str, str]:
    whole, cut, both = _param(line, Replicate(), rows=4), _param(line, Shard(0)), _param(square, Shard(0), Shard(0))
    last = torch.nn.Parameter(distribute_tensor(torch.ones(4, 4), line, [Shard(1)]))
    row = DTensor.from_local(torch.ones(0, 4), line, [Shard(0)], shape=torch.Size((1, 4)), stride=(4, 1))
    return {
        "partial": _said("AdamW", _param(line, Partial(), rows=4)),
        "partial gradient": _said("AdamW", whole, _param(line, Partial(), rows=4).detach()),
        "plain gradient": _said("AdamW", cut, torch.ones(4, 4)),
        "draws": _said("GradientNoiseSGD", last),
        "draws, in a row": _said("GradientNoiseSGD", cut),
        "begun": _said("DoG", cut),
        "chance": _said("AdamW", last, rounding="stochastic", store={"exp_avg": "bf16"}),
        "over two": _said("LAMB", both),
        "elements over two": _said("AdamW", both),
        "over one of two": _said("LAMB", _param(square, Replicate(), Shard(0), rows=2)),
        "draws, of whole ones": _said("GradientNoiseSGD", whole),
        "another mesh": _said("LAMB", _param(DeviceMesh("cpu", [0, 1]), Shard(0), rows=0)),
        "a part of one row": _said("LAMB", torch.nn.Parameter(row)),
        "offloaded": _said("AdamW", cut, to=optgen.torch.offload),
    }
