"""A short run for compute-sanitizer: every kind of kernel over tensors of odd shapes, each in memory of its own.

    compute-sanitizer --tool memcheck python tests/gpu/memcheck.py

The arrays are Numba's, which come from the driver one by one: a library that keeps memory to give it out again hides
what lies just behind an array.
"""

from __future__ import annotations

import numpy as np

from optgen.generated.cuda.adafactor import Adafactor
from optgen.generated.cuda.adamw import AdamW
from optgen.generated.cuda.lamb import LAMB
from optgen.runtime.cuda import host as cuda_host

SHAPES = ((), (7,), (3, 5), (2, 4, 6), (0, 3), (4097,), (64, 33), (8191,))
STEPS = 2


def main() -> None:
    """Take a few steps, and look at what came out."""
    rng = np.random.default_rng(0)
    for kind in (AdamW, LAMB, Adafactor):
        for dtype in (np.float32, np.float64):
            drawn = ([rng.standard_normal(shape).astype(dtype) for shape in SHAPES] for _ in range(2))
            params, grads = (list(map(cuda_host.to_device, arrays)) for arrays in drawn)
            optimizer = kind(params)
            for _ in range(STEPS):
                optimizer.step(grads)
            states = [value for name, value in optimizer.state_dict().items() if "." in name]
            assert all(np.isfinite(value).all() for value in states)


if __name__ == "__main__":
    main()
