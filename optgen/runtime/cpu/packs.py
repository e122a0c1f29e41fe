"""How many elements of a loop go through one instruction, where totals would have it be fewer than the processor takes.

LLVM counts by the widest number that a loop keeps. Totals are float64; beside one, elements of float32 would go through
roots and divisions in packs of half the width.

Who says how a loop is packed lets LLVM reorder its sums as well. These have none: each lane is added to once a run.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.ir import Jump

from optgen.runtime.cpu.counts import LowerOfCounts

__all__ = ["LowerOfRuns"]

_TOTALS = "lanes"
"""What a function calls that keeps totals."""


class LowerOfRuns(LowerOfCounts):
    """Has LLVM pack the loops that add to totals by what elements are, not by what totals are."""

    @cached_property
    def _ends(self) -> list[Jump]:
        """Where the loops over one run go back to their beginning, if elements are narrower than the totals kept."""
        narrower = types.float32 in self.fndesc.typemap.values()
        keeping = narrower and _TOTALS in self.func_ir.func_id.code.co_names
        loops = compute_cfg_from_blocks(self.blocks).loops() if keeping else {}
        innermost = {head for head, its in loops.items() if loops.keys() & its.body == {head}}
        held = [innermost & its.body for head, its in loops.items() if head not in innermost]
        runs = {head for heads in held if len(heads) == 1 for head in heads}  # what is left over follows such a loop
        ends = [(head, self.blocks[label].terminator) for head in runs for label in loops[head].body]
        return [end for head, end in ends if isinstance(end, Jump) and end.target == head]

    def lower_inst(self, inst: Any) -> None:
        """Write a statement; where it ends such a loop, say how that is to be packed."""
        super().lower_inst(inst)
        if any(inst is end for end in self._ends):
            features = self.context.codegen()._tm_features  # noqa: SLF001 - what LLVM is told of the processor
            width = 16 if "+avx512f" in features else 8
            self.builder.block.terminator.set_metadata("llvm.loop", _packed(self.module, width))


def _packed(module: Any, elements: int) -> Any:
    """What is said of a loop of which so many elements, of float32, go through an instruction of AVX-512 or AVX.

    Where packs are narrower or elements wider, LLVM makes several of them. The loop names itself first: LLVM takes two
    that say the same for one.
    """
    width = module.add_metadata(["llvm.loop.vectorize.width", ir.IntType(32)(elements)])
    loop = module.add_metadata([width, str(len(module.metadata))])
    loop.operands = (loop, width)
    return loop
