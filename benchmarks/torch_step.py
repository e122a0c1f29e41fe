"""What a step of AdamW costs in PyTorch: `optgen.torch`, torch fused and torch foreach take turns in one run.

    python benchmarks/torch_step.py [--threads 1 2] [--models resnet50 gpt2 small] [--rounds 15] [--bf16] [--no-foreach]

Each contender has parameters of its own in the shapes of a model. A round lets each take one step; medians over rounds
are printed, of the time on the wall and of that of the calling thread's processor, which others on the same machine
disturb less, and the medians of the ratios to torch fused within rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter, thread_time

import torch

from optgen.bench.models import NETWORKS
from optgen.torch import AdamW

Shapes = list[tuple[int, ...]]


MODELS: dict[str, Shapes] = {**{name: list(NETWORKS[name]) for name in ("resnet50", "gpt2")}, "small": [(16,)] * 1000}


def step_of(kind: Callable[..., torch.optim.Optimizer], shapes: Shapes, dtype: torch.dtype, **how: bool) -> Callable:
    """A step of an optimizer on a model of its own."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(dtype)
    return kind(params, **how).step


def race(shapes: Shapes, dtype: torch.dtype, rounds: int, *, foreach: bool) -> None:
    """Let all take turns, and print what it took."""
    steps = {
        "optgen": step_of(AdamW, shapes, dtype),
        "torch fused": step_of(torch.optim.AdamW, shapes, dtype, fused=True),
    }
    if foreach:
        steps["torch foreach"] = step_of(torch.optim.AdamW, shapes, dtype, foreach=True)
    walls: dict[str, list[float]] = {name: [] for name in steps}
    own: dict[str, list[float]] = {name: [] for name in steps}
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
            ratio = median(a / b for a, b in zip(times[name], times["torch fused"], strict=True))
            line += f"{median(times[name]) * 1e3:10.3f} ms {what} {ratio:5.2f} of fused"
        print(f"{line}  {median(own[name]) / len(shapes) * 1e6:8.2f} µs a tensor")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--no-foreach", action="store_true")
    asked = parser.parse_args()
    for threads in asked.threads:
        torch.set_num_threads(threads)
        for name in asked.models:
            shapes = MODELS[name]
            elements = sum(torch.Size(shape).numel() for shape in shapes)
            dtype = torch.bfloat16 if asked.bf16 else torch.float32
            print(f"{name}: {len(shapes)} tensors, {elements} elements, {dtype}, {threads} threads")
            race(shapes, dtype, asked.rounds, foreach=not asked.no_foreach)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads at the end")


if __name__ == "__main__":
    main()
