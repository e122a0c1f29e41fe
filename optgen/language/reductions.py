"""Reductions: the only way from a larger space to a smaller one.

They are atoms of the language: written out in the equation, never implied. SymPy leaves them unevaluated. A tensor is
seen as a stack of matrices, of its last two dimensions; a vector as a matrix of one row, a number as one of one
element. What already varies over less than elements counts once for every element: ``TensorMean(RowMax(g))`` is the
mean over the elements of what each finds in its row. A tensor without elements takes no part.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sympy import Expr, Function

from optgen.language.spaces import Space
from optgen.language.symbols import Named


class Extent(Named):
    """How much of something a tensor has: known from its shape, one value a tensor."""

    __slots__ = ()
    space = Space.TENSOR


numel = Extent("numel")
"""How many elements a tensor has."""
n_rows = Extent("n_rows")
"""How many rows its matrices have: the length of the last dimension but one, 1 for a vector."""
n_cols = Extent("n_cols")
"""How many columns its matrices have: the length of the last dimension."""
EXTENTS = (numel, n_rows, n_cols)


class finite(Function):  # noqa: N801 - SymPy's functions are lower-case
    """1 for a number, 0 for NaN and the infinities."""

    nargs = 1
    is_real = True
    is_number = False


class Reduction(Function):
    """A function of one expression whose value varies over less than its argument."""

    nargs = 1
    is_number = False
    how: ClassVar[str]
    """``"sum"``, ``"mean"``, ``"max"``, or ``"norm"``, the root of the sum of squares."""
    to: ClassVar[Space]
    """The space of the result."""

    @classmethod
    def eval(cls, argument: Expr) -> Any:
        """Nothing is made of nothing."""
        return argument if argument == 0 else None

    def _eval_is_real(self) -> Any:
        return self.args[0].is_real


class TensorSum(Reduction):
    """Sum over the elements of each tensor."""

    how, to = "sum", Space.TENSOR


class TensorMean(Reduction):
    """Mean over the elements of each tensor."""

    how, to = "mean", Space.TENSOR


class TensorMax(Reduction):
    """Largest element of each tensor."""

    how, to = "max", Space.TENSOR


class Norm(Reduction):
    """Euclidean norm of each tensor."""

    how, to = "norm", Space.TENSOR


class RowSum(Reduction):
    """Sum over the elements of each row."""

    how, to = "sum", Space.ROW


class RowMean(Reduction):
    """Mean over the elements of each row."""

    how, to = "mean", Space.ROW


class RowMax(Reduction):
    """Largest element of each row."""

    how, to = "max", Space.ROW


class RowNorm(Reduction):
    """Euclidean norm of each row."""

    how, to = "norm", Space.ROW


class ColSum(Reduction):
    """Sum over the elements of each column."""

    how, to = "sum", Space.COL


class ColMean(Reduction):
    """Mean over the elements of each column."""

    how, to = "mean", Space.COL


class ColMax(Reduction):
    """Largest element of each column."""

    how, to = "max", Space.COL


class ColNorm(Reduction):
    """Euclidean norm of each column."""

    how, to = "norm", Space.COL


class ModelSum(Reduction):
    """Sum over the elements of all tensors."""

    how, to = "sum", Space.MODEL


class ModelMean(Reduction):
    """Mean over the elements of all tensors."""

    how, to = "mean", Space.MODEL


class ModelMax(Reduction):
    """Largest element of all tensors."""

    how, to = "max", Space.MODEL


class ModelNorm(Reduction):
    """Euclidean norm of all tensors taken as one vector."""

    how, to = "norm", Space.MODEL


class GroupSum(Reduction):
    """Sum over the elements of all tensors of each parameter group."""

    how, to = "sum", Space.GROUP


class GroupMean(Reduction):
    """Mean over the elements of all tensors of each parameter group."""

    how, to = "mean", Space.GROUP


class GroupMax(Reduction):
    """Largest element of all tensors of each parameter group."""

    how, to = "max", Space.GROUP


class GroupNorm(Reduction):
    """Euclidean norm of all tensors of each parameter group taken as one vector."""

    how, to = "norm", Space.GROUP
