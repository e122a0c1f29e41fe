"""Write docs/same-bits.md: what of each rule is the same to the last bit on every machine.

python docs/write_same_bits.py > docs/same-bits.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from optgen import specs
from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.pipeline import kernel_of
from optgen.same_bits import may_differ

HEAD = """\
# The same bits

This page is written by `make same-bits` and never by hand.

The compiler writes every fused product and sum itself, `fma`, and LLVM may contract or reorder nothing in what computes
an element. So the new values of one element depend on its old values, its gradient and the scalars of the step, and on
nothing else: not on the size of the array, on where the element lies, on chunks or threads, nor on how wide the vector
unit is. `+ - * /`, `sqrt`, `fma`, comparisons and choices are rounded as IEEE 754 says, on every CPU. (On GPUs the same
text is compiled, and no sum of it has a product in it that NVIDIA's compilers could fuse: `fma` and `times` say which
is rounded where. That is seen in the PTX of every kernel, and tests/gpu has found it so on an H200.)

What may differ between machines:

- **elements use**: functions of a library in the formula of an element. Its last digits are the library's.
- **scalars use**: functions of a library in the numbers of a step, which the host computes once in float64. Where two
  libraries differ in a last digit, a scalar may, and then every element. `**` is the library's power.
- **totals**: sums over elements. On every CPU they are the same for any number of threads and any order of tensors;
  inside a chunk a sum has 16 parts, however wide the vector unit is. On GPUs a sum has a part a thread: another order.
  A maximum is a maximum everywhere.
- **draws** are integers until they become normal. In float32 that takes polynomials, which have the same bits on every
  CPU and GPU; in float64 the logarithm, sine and cosine are a library's.

A rule with four dashes has the same bits on every machine; one that has only totals, on every CPU.
"""


def row(kernel: Kernel) -> str:
    """What is said of one rule."""
    found = may_differ(kernel)
    listed = (", ".join(found[what]).replace("*", r"\*") or "-" for what in ("elements", "scalars", "totals"))
    return f"| `{kernel.name}` | {' | '.join(listed)} | {'yes' if found['draws'] else '-'} |"


def lines() -> Iterator[str]:
    """The page, line by line."""
    modules = (import_module(f"{specs.__name__}.{info.name}") for info in iter_modules(specs.__path__))
    rules = {rule.name: rule for module in modules for rule in vars(module).values() if isinstance(rule, Optimizer)}
    rows = [row(kernel_of(rules[name])) for name in sorted(rules)]
    yield HEAD
    alike = sum(each.endswith("| - | - | - | - |") for each in rows)
    yield f"{alike} of {len(rows)} rules have the same bits on every machine."
    yield ""
    yield "| rule | elements use | scalars use | totals | draws |"
    yield "|---|---|---|---|---|"
    yield from rows


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
