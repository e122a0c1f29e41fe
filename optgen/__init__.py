"""optgen compiles optimizers: from update equations in SymPy to fused Numba kernels.

What a spec file needs is here: `Let`, `Optimizer`, `Schedule`, `theta`, `g`, `t`, `state`, `local`, `hyper`, the
reductions, the draws of `normal`, and `Max`, `Min` and `Piecewise`, SymPy's, as they are written. The shared
hyperparameters are in `optgen.hypers`, the wrappers in `optgen.combinators`, the claims that a spec can carry in
`optgen.properties`. `compile` turns an `Optimizer` into a module, and `lr_range_test` finds a learning rate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optgen.build import compile
    from optgen.errors import OptgenError, SpecError
    from optgen.language.choices import Max, Min, Piecewise
    from optgen.language.noise import normal
    from optgen.language.reductions import (
        ColMax,
        ColMean,
        ColNorm,
        ColSum,
        GroupMax,
        GroupMean,
        GroupNorm,
        GroupSum,
        ModelMax,
        ModelMean,
        ModelNorm,
        ModelSum,
        Norm,
        RowMax,
        RowMean,
        RowNorm,
        RowSum,
        TensorMax,
        TensorMean,
        TensorSum,
        finite,
        n_cols,
        n_rows,
        numel,
    )
    from optgen.language.schedules import Schedule
    from optgen.language.spaces import COL, ELEM, GROUP, MODEL, ROW, STEP, TENSOR, Space
    from optgen.language.spec import Let, Optimizer
    from optgen.language.sums import InOrder
    from optgen.language.symbols import g, hyper, local, state, t, theta
    from optgen.lr_range import lr_range_test

__version__ = "0.1.0"

_HOME = {
    "build": "compile",
    "errors": "OptgenError SpecError",
    "language.choices": "Max Min Piecewise",
    "language.noise": "normal",
    "language.reductions": """
        ColMax ColMean ColNorm ColSum GroupMax GroupMean GroupNorm GroupSum ModelMax ModelMean ModelNorm ModelSum Norm
        RowMax RowMean RowNorm RowSum TensorMax TensorMean TensorSum finite n_cols n_rows numel
    """,
    "language.schedules": "Schedule",
    "language.spaces": "COL ELEM GROUP MODEL ROW STEP TENSOR Space",
    "language.spec": "Let Optimizer",
    "language.sums": "InOrder",
    "language.symbols": "g hyper local state t theta",
    "lr_range": "lr_range_test",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "COL", "ELEM", "GROUP", "MODEL", "ROW", "STEP", "TENSOR", "ColMax", "ColMean", "ColNorm", "ColSum", "GroupMax",
    "GroupMean", "GroupNorm", "GroupSum", "InOrder", "Let", "Max", "Min", "ModelMax", "ModelMean", "ModelNorm",
    "ModelSum", "Norm", "OptgenError", "Optimizer", "Piecewise", "RowMax", "RowMean", "RowNorm", "RowSum", "Schedule",
    "Space", "SpecError", "TensorMax", "TensorMean", "TensorSum", "compile", "finite", "g", "hyper", "local",
    "lr_range_test", "n_cols", "n_rows", "normal", "numel", "state", "t", "theta",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Generated modules live below this package and must not load SymPy, so the language is imported when first used.
    if name in _MODULE_OF:
        return getattr(import_module(f"optgen.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'optgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
