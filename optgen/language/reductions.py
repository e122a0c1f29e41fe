"""Reductions: the only way from a larger space to a smaller one.

They are atoms of the language: written out in the equation, never implied. SymPy leaves them unevaluated.
"""

from __future__ import annotations

from typing import Any

from sympy import Function

from optgen.language.spaces import Space


class Reduction(Function):
    """A function of one expression whose value varies over less than its argument."""

    nargs = 1
    to: Space
    """The space of the result."""
    tex: str
    """LaTeX of the result, with ``%s`` for the argument."""

    def _eval_is_real(self) -> Any:
        return self.args[0].is_real


class TensorSum(Reduction):
    """Sum over the elements of each tensor."""

    to = Space.TENSOR
    tex = r"\sum_{\mathrm{tensor}} %s"


class TensorMean(Reduction):
    """Mean over the elements of each tensor."""

    to = Space.TENSOR
    tex = r"\operatorname{mean}_{\mathrm{tensor}} %s"


class TensorMax(Reduction):
    """Largest element of each tensor."""

    to = Space.TENSOR
    tex = r"\max_{\mathrm{tensor}} %s"


class Norm(Reduction):
    """Euclidean norm of each tensor."""

    to = Space.TENSOR
    tex = r"\left\lVert %s \right\rVert"


class RowMean(Reduction):
    """Mean over the last dimension: one value a row."""

    to = Space.ROW
    tex = r"\operatorname{mean}_{\mathrm{row}} %s"


class ColMean(Reduction):
    """Mean over the last dimension but one: one value a column."""

    to = Space.COL
    tex = r"\operatorname{mean}_{\mathrm{col}} %s"


class GroupSum(Reduction):
    """Sum over the elements of all tensors."""

    to = Space.GROUP
    tex = r"\sum_{\mathrm{all}} %s"


class GroupNorm(Reduction):
    """Euclidean norm of all tensors taken as one vector."""

    to = Space.GROUP
    tex = r"\left\lVert %s \right\rVert_{\mathrm{all}}"


class GroupMax(Reduction):
    """Largest element of all tensors."""

    to = Space.GROUP
    tex = r"\max_{\mathrm{all}} %s"
