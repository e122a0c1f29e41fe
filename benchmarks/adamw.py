"""How fast is a step of the generated AdamW? Against what memory allows, and against PyTorch, in one run.

    python benchmarks/adamw.py [--quick] [--json FILE]

The loop with the same traffic is over the optimizer's own arrays where there is one tensor, since speed depends on
where arrays lie, else over one long array of each kind.
"""

from __future__ import annotations

from itertools import cycle

import numba
import numpy as np
from race import FOREACH, FUSED, LOOP, OURS, Array, Case, Race, Step, normal, run, torch

from optgen.generated.cpu.adamw import AdamW


@numba.njit(parallel=True)
def same_traffic(theta: Array, g: Array, m: Array, v: Array) -> None:
    """Read and write what AdamW does; every second call brings the old values back, and v stays what v can be."""
    for i in numba.prange(len(theta)):
        theta[i] = g[i] - theta[i]
        m[i] = g[i] - m[i]
        v[i] = abs(v[i])


def torch_step(case: Case, rng: np.random.Generator, **how: bool) -> Step:
    """A step of PyTorch's AdamW."""
    params = [torch.nn.Parameter(torch.from_numpy(array).clone()) for array in normal(case, rng)]
    for param, gradient in zip(params, normal(case, rng), strict=True):
        param.grad = torch.from_numpy(gradient).clone()
    return torch.optim.AdamW(params, weight_decay=0.01, **how).step


def contenders(case: Case) -> dict[str, Step]:
    """Who competes: the yardstick, the generated AdamW with gradients that stay or move, and PyTorch."""
    rng = np.random.default_rng(0)
    params, gradients, others = (normal(case, rng) for _ in range(3))
    optimizer = AdamW(params)
    slots = (params, gradients, optimizer.state["m"], optimizer.state["v"])
    if case.tensors == 1:
        yardstick = [slot[0] for slot in slots]
    else:
        yardstick = [rng.standard_normal(case.tensors * case.size, np.float32) for _ in slots]
    turns = cycle((gradients, others))
    steps = {
        LOOP: lambda: same_traffic(*yardstick),
        OURS: lambda: optimizer.step(gradients),
        "optgen, moving g": lambda: optimizer.step(next(turns)),
    }
    if torch is not None:
        steps[FUSED] = torch_step(case, rng, fused=True)
        steps[FOREACH] = torch_step(case, rng, foreach=True)
    return steps


RACE = Race("AdamW", 7, contenders)  # it reads theta, g, m and v and writes theta, m and v

if __name__ == "__main__":
    run(RACE)
