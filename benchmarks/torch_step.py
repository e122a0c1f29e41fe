"""What a step of AdamW costs in PyTorch: `optgen.torch`, and torch's fused, foreach and, if asked, compiled steps.

    python benchmarks/torch_step.py [--threads 1 2] [--models resnet50 small] [--rounds 15] [--bf16] [--compiled]
    python benchmarks/torch_step.py --offload  # parameters of 16 bits, weights and states of 32: DeepSpeed's CPUAdam
    python benchmarks/torch_step.py --parts --models squares  # the parameters are DTensors, of which all is here

Each contender has parameters of its own in the shapes of a model. A round lets each take one step; medians over rounds
are printed, of the time on the wall and of that of the calling thread's processor, which others on the same machine
disturb less, and the medians of the ratios to the second within rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter, thread_time

import torch

from optgen.bench.models import NETWORKS
from optgen.torch import AdamW, offload

Shapes = list[tuple[int, ...]]


MODELS: dict[str, Shapes] = {
    **{name: list(shapes) for name, shapes in NETWORKS.items()},
    "small": [(16,)] * 1000,
    "squares": [(32, 32)] * 200,
}


def model_of(shapes: Shapes, dtype: torch.dtype) -> list[torch.nn.Parameter]:
    """Parameters of a model, with gradients."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(dtype)
    return params


def in_parts(params: list[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    """The same as DTensors of a mesh of one process, as their gradients are."""
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415 - seconds
    from torch.distributed.tensor import Shard, distribute_tensor  # noqa: PLC0415

    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    mesh, found = init_device_mesh("cpu", (1,)), []
    for param in params:
        found.append(torch.nn.Parameter(distribute_tensor(param.detach(), mesh, [Shard(0)])))
        found[-1].grad = distribute_tensor(param.grad, mesh, [Shard(0)])
    return found


def divided(shapes: Shapes, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """A step of each contender on DTensors, and of ours on plain tensors."""
    return {
        "optgen": AdamW(in_parts(model_of(shapes, dtype))).step,
        "torch fused": torch.optim.AdamW(in_parts(model_of(shapes, dtype)), fused=True).step,
        "torch foreach": torch.optim.AdamW(in_parts(model_of(shapes, dtype)), foreach=True).step,
        "optgen, plain": AdamW(model_of(shapes, dtype)).step,
    }


def steps(shapes: Shapes, dtype: torch.dtype, *, compiled: bool) -> dict[str, Callable[[], object]]:
    """A step of each contender, on a model of its own."""
    found = {
        "optgen": AdamW(model_of(shapes, dtype)).step,
        "torch fused": torch.optim.AdamW(model_of(shapes, dtype), fused=True).step,
        "torch foreach": torch.optim.AdamW(model_of(shapes, dtype), foreach=True).step,
    }
    if compiled:  # which takes minutes for a thousand tensors
        found["torch compiled"] = torch.compile(torch.optim.AdamW(model_of(shapes, dtype)).step)
    return found


def offloaded(shapes: Shapes) -> dict[str, Callable[[], object]]:
    """A step of parameters of 16 bits whose weights and states of 32 bits are on the host, as all here is."""
    from deepspeed.ops.adam import DeepSpeedCPUAdam  # noqa: PLC0415 - which most do not have

    store = {"exp_avg": "float32", "exp_avg_sq": "float32"}
    ours = offload(AdamW(model_of(shapes, torch.bfloat16), master=True, store=store))
    params = model_of(shapes, torch.bfloat16)
    masters = [torch.nn.Parameter(param.detach().float()) for param in params]
    for master in masters:
        master.grad = torch.empty_like(master)
    theirs = DeepSpeedCPUAdam(masters, adamw_mode=True, weight_decay=0.01)

    def step() -> None:
        """As ZeRO-Offload does: gradients to 32 bits, the step, weights to 16."""
        for master, param in zip(masters, params, strict=True):
            master.grad.copy_(param.grad)
        theirs.step()
        with torch.no_grad():
            for master, param in zip(masters, params, strict=True):
                param.copy_(master)

    return {"optgen": ours.step, "DeepSpeed": step}


def race(steps: dict[str, Callable[[], object]], tensors: int, rounds: int) -> None:
    """Let all take turns, and print what it took."""
    walls: dict[str, list[float]] = {name: [] for name in steps}
    own: dict[str, list[float]] = {name: [] for name in steps}
    beside = list(steps)[1]
    for turn in range(rounds + 3):
        for name, step in steps.items():
            start, cpu = perf_counter(), thread_time()
            step()
            if turn > 2:  # kernels are compiled, states are made
                own[name].append(thread_time() - cpu)
                walls[name].append(perf_counter() - start)
    for name in steps:
        line = f"    {name:14s}"
        for what, times in (("wall", walls), ("thread", own)):
            ratio = median(a / b for a, b in zip(times[name], times[beside], strict=True))
            line += f"{median(times[name]) * 1e3:10.3f} ms {what} {ratio:5.2f} of {beside}"
        print(f"{line}  {median(own[name]) / tensors * 1e6:8.2f} µs a tensor")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--parts", action="store_true")
    asked = parser.parse_args()
    for threads in asked.threads:
        torch.set_num_threads(threads)
        for name in asked.models:
            shapes = MODELS[name]
            elements = sum(torch.Size(shape).numel() for shape in shapes)
            dtype = torch.bfloat16 if asked.bf16 or asked.offload else torch.float32
            print(f"{name}: {len(shapes)} tensors, {elements} elements, {dtype}, {threads} threads")
            if asked.offload or asked.parts:
                found = offloaded(shapes) if asked.offload else divided(shapes, dtype)
            else:
                found = steps(shapes, dtype, compiled=asked.compiled)
            race(found, len(shapes), asked.rounds)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads at the end")


if __name__ == "__main__":
    main()
