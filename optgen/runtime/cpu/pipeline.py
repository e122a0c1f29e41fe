"""Numba's passes before types are known and before code is made, less what they tell each other and nobody asks.

After each Numba finds out anew which variables live where, which objects and generators need, and asks again when it
comes to release what a function holds. That is a tenth of what it takes to compile a kernel.
"""

from __future__ import annotations

from typing import Any

from numba.core.compiler_machinery import register_pass
from numba.core.ir_utils import build_definitions
from numba.core.rewrites import rewrite_registry
from numba.core.ssa import reconstruct_ssa
from numba.core.transforms import canonicalize_cfg
from numba.core.typed_passes import PreLowerStripPhis
from numba.core.untyped_passes import GenericRewrites, IRProcessing, ReconstructSSA

__all__ = ["SSA", "Canonical", "Rewritten", "WithoutPhis"]


@register_pass(mutates_CFG=True, analysis_only=False)
class Canonical(IRProcessing):
    """Have every loop come back to its beginning from one place."""

    _name = "canonical"

    def run_pass(self, state: Any) -> bool:
        """Rewrite a function."""
        state.func_ir.blocks = canonicalize_cfg(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class Rewritten(GenericRewrites):
    """Have what is written out, an index or an exception, be known where it is used."""

    _name = "rewritten"

    def run_pass(self, state: Any) -> bool:
        """Rewrite a function."""
        blocks = state.func_ir.blocks
        for kind in rewrite_registry.rewrites["before-inference"]:
            rewrite = kind(state)
            for key in blocks:
                while rewrite.match(state.func_ir, blocks[key], state.typemap, state.calltypes):
                    blocks[key] = rewrite.apply()
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class SSA(ReconstructSSA):
    """Have every variable be written once."""

    _name = "ssa"

    def run_pass(self, state: Any) -> bool:
        """Rewrite a function."""
        state.func_ir = reconstruct_ssa(state.func_ir)
        return _defined(state)


@register_pass(mutates_CFG=False, analysis_only=False)
class WithoutPhis(PreLowerStripPhis):
    """Have variables be written before blocks meet, as lowering wants it."""

    _name = "without phis"

    def run_pass(self, state: Any) -> bool:
        """Rewrite a function."""
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        return _defined(state)


def _defined(state: Any) -> bool:
    """Have Numba know again where each variable is written."""
    state.func_ir._definitions = build_definitions(state.func_ir.blocks)  # noqa: SLF001 - as its own passes do
    return True
