"""Before anything else: a step of AdamW on a GPU, and what went wrong if something does.

python tests/gpu/first_step.py
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

import optgen
import optgen.specs.adam
from optgen.generated.cpu.adamw import AdamW as OnCPU
from optgen.generated.cuda.adamw import AdamW
from optgen.runtime.cuda import host as cuda_host


def main() -> None:
    """Take it, and compare it with one on the CPU."""
    print(optgen.__file__, optgen.specs.adam.__file__)  # noqa: T201
    theta, g = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    held = cuda_host.to_device(theta)
    start = perf_counter()
    AdamW([held], lr=0.01).step([cuda_host.to_device(g)])
    found = held.copy_to_host()
    print(f"the first step took {perf_counter() - start:.2f} s, compiled anew")  # noqa: T201
    OnCPU([theta], lr=0.01).step([g])
    np.testing.assert_allclose(found, theta, rtol=1e-6)


if __name__ == "__main__":
    main()
