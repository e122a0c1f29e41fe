"""What fewer bits save: a step of AdamW with states, or everything, in 16 bits, against everything in float32.

The contenders take turns, round after round; ratios are taken within a round, and their median is shown.

    python benchmarks/storage.py            # 2^26 elements
    python benchmarks/storage.py 22         # 2^22
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

from optgen.generated.cpu.adamw import AdamW
from optgen.runtime.core.storage import dtype_of

ROUNDS = 9
BOTH = {"m": "bf16", "v": "bf16"}
CONTENDERS = {
    "all in float32": ("float32", {}, 28),
    "states in bfloat16": ("float32", {"store": BOTH}, 20),
    "states in bfloat16, by chance": ("float32", {"store": BOTH, "rounding": "stochastic"}, 20),
    "all in bfloat16": ("bfloat16", {}, 14),
    "all in bfloat16, a master": ("bfloat16", {"master": True}, 22),
    "all in bfloat16, kahan": ("bfloat16", {"kahan": True}, 18),
    "all in float16": ("float16", {}, 14),
}
"""The format of parameters and gradients, the options, and how many bytes a step moves for an element."""


def step_of(size: int, name: str, options: dict[str, object]) -> Callable[[], None]:
    """A step of a model of one tensor."""
    rng = np.random.default_rng(0)
    params, grads = ([rng.standard_normal(size, np.float32).astype(dtype_of(name))] for _ in range(2))
    optimizer = AdamW(params, **options)
    optimizer.step(grads)
    return lambda: optimizer.step(grads)


def seconds_of(step: Callable[[], None]) -> float:
    """How long a step takes."""
    start = perf_counter()
    step()
    return perf_counter() - start


def main() -> None:
    """Measure, and print a table."""
    power = int(sys.argv[1]) if len(sys.argv) > 1 else 26
    steps = {title: step_of(2**power, name, options) for title, (name, options, _) in CONTENDERS.items()}
    rounds = [{title: seconds_of(step) for title, step in steps.items()} for _ in range(ROUNDS)]
    first = next(iter(steps))
    print(f"AdamW, 2^{power} elements, {os.cpu_count()} cores, {platform.machine()}, NumPy {np.__version__}")
    print(f"{'':32}{'ms':>8}{'of float32':>12}{'bytes, of float32':>20}")
    for title in steps:
        ratio = median(each[title] / each[first] for each in rounds)
        traffic = CONTENDERS[title][2] / CONTENDERS[first][2]
        print(f"{title:32}{1e3 * median(each[title] for each in rounds):8.1f}{ratio:12.2f}{traffic:20.2f}")


if __name__ == "__main__":
    main()
