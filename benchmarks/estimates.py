"""What AdamW would gain, in cache, from estimates of roots and quotients in place of the processor's own.

    python benchmarks/estimates.py [--sizes 2^14 2^17] [--rounds 41]

One thread, float32, packs as wide as the processor's, written in C by hand and compiled with the system's cc: what a
generated kernel could be at best. The variants take turns; each figure is the median of rounds. ``neither`` computes no
root and no quotient at all, so that its result is wrong: nothing that computes them, however well, is faster.

Errors are the largest of a million numbers from the least that float32 holds in full to the largest, in units in the
last place, beside what becomes of 0 and of infinity.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from optgen.bench.machine import machine

VARIANTS = ("exact", "divisions_by_table", "both_by_table", "divisions_by_bits", "both_by_bits", "neither")
WORK = 2**22
"""Elements that a round updates, again and again if there are fewer."""


def compiled(folder: Path) -> ctypes.CDLL:
    """The kernels as a library.

    Raises
    ------
    SystemExit
        Where there is no C compiler, or the processor is of another kind.
    """
    if shutil.which("cc") is None:
        sys.exit("there is no `cc` here: install a C compiler")
    source, made = Path(__file__).with_suffix(".c"), folder / "estimates.so"
    command = ["cc", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-o", str(made), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        sys.exit(f"cc cannot compile {source.name} for this processor, which has to have AVX2:\n{done.stderr}")
    return ctypes.CDLL(str(made))


def address(array: np.ndarray) -> ctypes.c_void_p:
    """Where an array lies."""
    return ctypes.c_void_p(array.ctypes.data)


def times(library: ctypes.CDLL, size: int, rounds: int) -> dict[str, float]:
    """Nanoseconds an element takes, by variant."""
    drawn = np.random.default_rng(0).standard_normal((4, size), np.float32)
    drawn[3] **= 2
    arrays, taken = [address(each) for each in drawn], {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name in VARIANTS:
            step, often = getattr(library, name), max(1, WORK // size)
            begun = perf_counter()
            for _ in range(often):
                step(*arrays, ctypes.c_int64(size))
            taken[name].append(1e9 * (perf_counter() - begun) / (often * size))
    return {name: median(its) for name, its in taken.items()}


def errors(library: ctypes.CDLL, name: str, exact: np.ufunc) -> tuple[float, list[float]]:
    """The largest error of a function, and what it makes of 0 and of infinity."""
    info = np.finfo(np.float32)
    exponents = np.random.default_rng(1).uniform(np.log2(info.tiny), np.log2(info.max), 2**20)
    x = np.exp2(exponents).astype(np.float32)
    x[:2] = 0, np.inf
    found = np.empty_like(x)
    getattr(library, name)(address(x), address(found), ctypes.c_int64(x.size))
    right = exact(x[2:].astype(np.float64))
    held = right >= info.tiny
    distance = np.abs(found[2:] - right)[held] / np.spacing(right[held].astype(np.float32))
    return float(distance.max()), [float(each) for each in found[:2]]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["2^14", "2^17"], help="elements, as powers of 2")
    parser.add_argument("--rounds", type=int, default=41)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        print(f"{machine()['cpu']}, one thread\n")
        for size in asked.sizes:
            found = times(library, 2 ** int(size.removeprefix("2^")), asked.rounds)
            print(f"{size}: nanoseconds an element, and the speed as a multiple of that of the exact kernel")
            for name, its in found.items():
                print(f"  {name.replace('_', ' '):20} {its:.3f}  {found['exact'] / its:.2f}")
        print("error in units in the last place, and what comes of 0 and of infinity")
        for name, exact in (("roots", np.sqrt), ("reciprocals", np.reciprocal)):
            for way in ("table", "bits"):
                worst, corners = errors(library, f"{name}_by_{way}", exact)
                print(f"  {name} by {way:20} {worst:.2f}  {corners[0]:g} {corners[1]:g}")


if __name__ == "__main__":
    main()
