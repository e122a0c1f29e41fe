"""Write docs/machine-code.md: what every kernel needs of two kinds of GPU, compiled without one.

python docs/write_machine_code.py > docs/machine-code.md
"""

from __future__ import annotations

import platform
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from pkgutil import iter_modules

from instructions import float64, loads, spills, stores

from optgen import __version__, generated
from optgen.machine_code import MachineCode, machine_code

HEAD = """\
# Machine code

This page is written by `make machine-code` and never by hand. Every kernel for GPUs is compiled for float32 and for two
kinds of GPU; none is needed. `optgen show NAME --sass` prints what is counted here.

- **over**: what a sweep visits. Sweeps over less than elements work on reduced values, in float64.
- **registers**: of a thread, on sm_80 and sm_90. A multiprocessor has 65,536, and blocks have 256 threads: 32 let eight
  blocks work side by side, 64 let four, 80 let three, 128 let two.
- **128-bit loads, stores**: instructions that move four elements, on sm_90. They are more than arrays where loops are
  unrolled or a condition on scalars has a loop of its own.
- **float64**: instructions that compute in float64, compare or convert (F2F), on sm_90. In a sweep over elements they
  belong to totals, whose terms are widened, and to reduced values, which are narrowed.
- **shared**: bytes of memory that a block shares, on sm_90.
"""
CAPABILITIES = (8, 0), (9, 0)


def compiled(name: str) -> list[tuple[MachineCode, ...]]:
    """The kernels of an optimizer, each for every kind of GPU, in the order of their launches."""
    program = import_module(f"optgen.generated.cuda.{name}").PROGRAM
    return list(zip(*(machine_code(program, capability) for capability in CAPABILITIES), strict=True))


def row(name: str, kernel: tuple[MachineCode, ...]) -> str:
    """A kernel as a row of the table."""
    last = kernel[-1]
    registers = (str(code.registers) for code in kernel)
    moves = (str(loads(last)), str(stores(last))) if last.over == "element" else ("", "")
    cells = (
        f"`{name}`",
        f"`{last.kernel}`",
        last.over,
        *registers,
        *moves,
        wide(last),
        str(last.shared_bytes or ""),
    )
    return f"| {' | '.join(cells)} |"


def wide(code: MachineCode) -> str:
    """How often each kind of instruction occurs: conversions as they are, others without what modifies them."""
    kinds = Counter[str]()
    for instruction, number in float64(code).items():
        kinds[instruction if re.match("F2F|F2I|I2F", instruction) else instruction.split(".")[0]] += number
    return ", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds))


def lines(optimizers: dict[str, list[tuple[MachineCode, ...]]]) -> Iterator[str]:
    """The page, line by line."""
    yield HEAD
    kernels = [kernel for every in optimizers.values() for kernel in every]
    sweeps = [kernel for kernel in kernels if kernel[0].over == "element"]
    local = sum(any(code.local_bytes or spills(code) for code in kernel) for kernel in kernels)
    pure = sum(not any(float64(code) for code in kernel) for kernel in sweeps)
    most = max(code.registers for kernel in sweeps for code in kernel)
    made = f"numba-cuda {version('numba-cuda')}, nvJitLink {version('nvidia-nvjitlink')}"
    yield f"optgen {__version__}, {made}, Python {platform.python_version()}:"
    yield f"{len(optimizers)} modules, {len(kernels)} kernels, of which {local} use local memory."
    yield f"Of {len(sweeps)} sweeps over elements {pure} have no float64 at all; none needs more than {most} registers."
    yield ""
    yield "| module | kernel | over | registers, sm_80 | sm_90 | 128-bit loads | stores | float64 | shared |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, every in optimizers.items():
        yield from (row(name, kernel) for kernel in every)


if __name__ == "__main__":
    folder = import_module(f"{generated.__name__}.cuda").__path__
    names = sorted(info.name for info in iter_modules(folder))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        page = "\n".join(lines(dict(zip(names, pool.map(compiled, names), strict=True))))
    sys.stdout.write(page + "\n")
