"""Numba's passes, as they are needed here.

Those before types are known and before code is made tell each other what nobody asks: after each Numba finds out anew
which variables live where, which objects and generators need, and asks again when it comes to release what a function
holds. That is a tenth of what it takes to compile a kernel. The last is done by classes of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class Passes(NamedTuple):
    """Passes that do what those of Numba do. `passes_of` makes them."""

    canonical: Any  # for IRProcessing: every loop comes back to its beginning from one place
    rewritten: Any  # for GenericRewrites: an index or an exception that is written out is known where it is used
    ssa: Any  # for ReconstructSSA: every variable is written once
    without_phis: Any  # for PreLowerStripPhis: variables are written before blocks meet


def passes_of(numba: str) -> Passes:
    """Those of a package that has Numba's: ``numba.core`` for CPUs, ``numba.cuda.core`` for GPUs."""
    names = "compiler_machinery ir_utils rewrites ssa transforms typed_passes untyped_passes"
    machinery, ir_utils, rewrites, ssa, transforms, typed, untyped = (
        import_module(f"{numba}.{name}") for name in names.split()
    )

    def canonical(_: Any, state: Any) -> bool:
        state.func_ir.blocks = transforms.canonicalize_cfg(state.func_ir.blocks)
        return True

    def rewritten(_: Any, state: Any) -> bool:
        blocks = state.func_ir.blocks
        for kind in rewrites.rewrite_registry.rewrites["before-inference"]:
            rewrite = kind(state)
            for key in blocks:
                while rewrite.match(state.func_ir, blocks[key], state.typemap, state.calltypes):
                    blocks[key] = rewrite.apply()
        return True

    def in_ssa(_: Any, state: Any) -> bool:
        state.func_ir = ssa.reconstruct_ssa(state.func_ir)
        return defined(state)

    def without_phis(numbas: Any, state: Any) -> bool:
        state.func_ir = numbas._strip_phi_nodes(state.func_ir)  # noqa: SLF001 - what it does
        return defined(state)

    def defined(state: Any) -> bool:
        """Have Numba know again where each variable is written."""
        state.func_ir._definitions = ir_utils.build_definitions(state.func_ir.blocks)  # noqa: SLF001 - as its passes do
        return True

    def made(base: Any, run: Callable[[Any, Any], bool]) -> Any:
        kind = type(base.__name__, (base,), {"_name": run.__name__, "run_pass": run})
        return machinery.register_pass(mutates_CFG=True, analysis_only=False)(kind)

    return Passes(
        made(untyped.IRProcessing, canonical),
        made(untyped.GenericRewrites, rewritten),
        made(untyped.ReconstructSSA, in_ssa),
        made(typed.PreLowerStripPhis, without_phis),
    )


@cache
def lowering(by: Any) -> Any:
    """Numba's last pass for CPUs, done by a class of ours."""
    its = {"_name": by.__name__, "lowering_class": by}
    return register_pass(mutates_CFG=True, analysis_only=False)(type(by.__name__, (NativeLowering,), its))
