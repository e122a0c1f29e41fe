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
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from pkgutil import iter_modules

from instructions import float64, loads, spills, stores

from optgen import __version__, generated
from optgen.machine_code import MachineCode, listings, machine_code

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


@dataclass(frozen=True)
class Kernel:
    """A kernel for every kind of GPU."""

    module: str
    codes: tuple[MachineCode, ...]
    texts: tuple[str, ...]  # its instructions


def disassembled(optimizers: dict[str, list[tuple[MachineCode, ...]]]) -> list[Kernel]:
    """All kernels of all optimizers."""
    modules = [name for name, its in optimizers.items() for _ in its]
    codes = [codes for its in optimizers.values() for codes in its]
    texts = zip(*map(listings, zip(*codes, strict=True)), strict=True)
    return list(map(Kernel, modules, codes, texts))


def row(kernel: Kernel) -> str:
    """A kernel as a row of the table."""
    last, text = kernel.codes[-1], kernel.texts[-1]
    registers = (str(code.registers) for code in kernel.codes)
    moves = (str(loads(text)), str(stores(text))) if last.over == "element" else ("", "")
    cells = (
        f"`{kernel.module}`",
        f"`{last.kernel}`",
        last.over,
        *registers,
        *moves,
        wide(text),
        str(last.shared_bytes or ""),
    )
    return f"| {' | '.join(cells)} |"


def wide(text: str) -> str:
    """How often each kind of instruction occurs: conversions as they are, others without what modifies them."""
    kinds = Counter[str]()
    for instruction, number in float64(text).items():
        kinds[instruction if re.match("F2F|F2I|I2F", instruction) else instruction.split(".")[0]] += number
    return ", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds))


def lines(kernels: list[Kernel]) -> Iterator[str]:
    """The page, line by line."""
    yield HEAD
    modules = {kernel.module for kernel in kernels}
    sweeps = [kernel for kernel in kernels if kernel.codes[0].over == "element"]
    local = sum(any(code.local_bytes for code in each.codes) or any(map(spills, each.texts)) for each in kernels)
    pure = sum(not any(map(float64, kernel.texts)) for kernel in sweeps)
    most = max(code.registers for kernel in sweeps for code in kernel.codes)
    made = f"numba-cuda {version('numba-cuda')}, nvJitLink {version('nvidia-nvjitlink')}"
    yield f"optgen {__version__}, {made}, Python {platform.python_version()}:"
    yield f"{len(modules)} modules, {len(kernels)} kernels, of which {local} use local memory."
    yield f"Of {len(sweeps)} sweeps over elements {pure} have no float64 at all; none needs more than {most} registers."
    yield ""
    yield "| module | kernel | over | registers, sm_80 | sm_90 | 128-bit loads | stores | float64 | shared |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from map(row, kernels)


if __name__ == "__main__":
    folder = import_module(f"{generated.__name__}.cuda").__path__
    names = sorted(info.name for info in iter_modules(folder))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        page = "\n".join(lines(disassembled(dict(zip(names, pool.map(compiled, names), strict=True)))))
    sys.stdout.write(page + "\n")
