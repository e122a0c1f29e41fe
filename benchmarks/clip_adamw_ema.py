"""How fast are clipping by global norm, AdamW and an average of the weights in one step? Against PyTorch's three calls.

    python benchmarks/clip_adamw_ema.py [--quick] [--json FILE]

PyTorch's are clip_grad_norm_, the fused AdamW and _foreach_lerp_. Together they move 13 values an element: the norm
reads g, clipping reads and writes it, AdamW moves 7 and the average 3. Here it is 10, of which the first sweep reads
one.
"""

from __future__ import annotations

import numba
import numpy as np
from race import FUSED, LOOP, OURS, Array, Case, Race, Step, normal, run, torch

from optgen.generated.cpu.ema_clip_global_norm_adamw import EmaClipGlobalNormAdamW


@numba.njit(parallel=True, fastmath=True)
def same_traffic(theta: Array, g: Array, m: Array, v: Array, average: Array) -> float:
    """Read and write what the two sweeps do; every second call brings the old values back."""
    total = np.float32(0)
    for i in numba.prange(len(g)):
        total += g[i]
    for i in numba.prange(len(theta)):
        theta[i] = g[i] - theta[i]
        m[i] = g[i] - m[i]
        v[i] = abs(v[i])
        average[i] = g[i] - average[i]
    return total


def torch_step(case: Case, rng: np.random.Generator) -> Step:
    """The three calls of PyTorch."""
    params = [torch.nn.Parameter(torch.from_numpy(array).clone()) for array in normal(case, rng)]
    for param, gradient in zip(params, normal(case, rng), strict=True):
        param.grad = torch.from_numpy(gradient).clone()
    optimizer = torch.optim.AdamW(params, weight_decay=0.01, fused=True)
    weights = [param.detach() for param in params]
    averages = [weight.clone() for weight in weights]

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        torch._foreach_lerp_(averages, weights, 1e-3)

    return step


def contenders(case: Case) -> dict[str, Step]:
    """Who competes: the yardstick, the generated optimizer, and PyTorch."""
    rng = np.random.default_rng(0)
    params, gradients = normal(case, rng), normal(case, rng)
    optimizer = EmaClipGlobalNormAdamW(params)
    states = [optimizer.state[name] for name in ("m", "v", "theta_ema")]
    if case.tensors == 1:
        yardstick = [slot[0] for slot in (params, gradients, *states)]
    else:
        yardstick = [rng.standard_normal(case.tensors * case.size, np.float32) for _ in range(5)]
    steps = {LOOP: lambda: same_traffic(*yardstick), OURS: lambda: optimizer.step(gradients)}
    if torch is not None:
        steps[FUSED] = torch_step(case, rng)
    return steps


RACE = Race("Clip, AdamW, average", 10, contenders)

if __name__ == "__main__":
    run(RACE)
