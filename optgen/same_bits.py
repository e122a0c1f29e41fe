"""What of a rule is the same to the last bit on every machine, and what may differ."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optgen.ir import Equation, Kernel
from optgen.loops.printer import CodePrinter

EXACT = set(
    "abs ceil finite floor fma head maximum minimum root_of_squares shrunk sign sqrt stretched tail times where".split()
)
"""Functions that every machine rounds alike, or that round nothing."""


def may_differ(kernel: Kernel) -> dict[str, Any]:
    """What may differ between machines: nothing where all that is here is empty.

    ``elements`` and ``scalars`` are the functions of a library that are used for an element and for the numbers of a
    step, ``totals`` the kinds of sums over elements, ``draws`` says whether there are any.
    """
    elements = [assign for sweep in kernel.sweeps if not sweep.is_reduced for assign in sweep.body]
    between = [assign for sweep in kernel.sweeps if sweep.is_reduced for assign in sweep.body]
    return {
        "elements": _used(elements, elementwise=True),
        "scalars": _used([*kernel.scalars, *between], elementwise=False),
        "totals": sorted({reduce.how for sweep in kernel.sweeps for reduce in sweep.reduces}),
        "draws": bool(kernel.draws),
    }


def _used(equations: Iterable[Equation], *, elementwise: bool) -> list[str]:
    """The functions of a library in some equations."""
    code = CodePrinter(elementwise=elementwise)
    texts = [code(equation.value) for equation in equations]
    return sorted(code.used - EXACT) + ["**"] * any("**" in text for text in texts)
