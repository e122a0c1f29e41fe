"""Reductions: the only way from a larger space to a smaller one.

They are atoms of the language: written out in the equation, never implied. SymPy leaves them unevaluated. A tensor is
seen as a stack of matrices, of its last two dimensions, unless an optimizer is told to see it ``as_matrices``; a vector
as a matrix of one row, a number as one of one element. What already varies over less than elements counts once for
every element: ``TensorMean(RowMax(g))`` is the mean over the elements of what each finds in its row. A tensor without
elements takes no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sympy import Expr

from optgen.language.spaces import Space
from optgen.language.symbols import Named, Opaque


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


class finite(Opaque):  # noqa: N801 - SymPy's functions are lower-case
    """1 for a number, 0 for NaN and the infinities."""

    nargs = 1
    is_real = True
    is_number = False


class Reduction(Opaque):
    """A function of one expression whose value varies over less than its argument."""

    nargs = 1
    is_number = False
    how: ClassVar[str]
    """``"sum"``, ``"mean"``, ``"max"``, or ``"norm"``, the root of the sum of squares."""
    to: ClassVar[Space]
    """The space of the result."""

    def __init_subclass__(cls, *, how: str, to: Space) -> None:
        cls.how, cls.to = how, to

    @classmethod
    def eval(cls, argument: Expr) -> Any:
        """Nothing is made of nothing."""
        return argument if argument == 0 else None

    def _eval_is_real(self) -> Any:
        return self.args[0].is_real


class TensorSum(Reduction, how="sum", to=Space.TENSOR):
    """Sum over the elements of each tensor."""


class TensorMean(Reduction, how="mean", to=Space.TENSOR):
    """Mean over the elements of each tensor."""


class TensorMax(Reduction, how="max", to=Space.TENSOR):
    """Largest element of each tensor."""


class Norm(Reduction, how="norm", to=Space.TENSOR):
    """Euclidean norm of each tensor."""


class RowSum(Reduction, how="sum", to=Space.ROW):
    """Sum over the elements of each row."""


class RowMean(Reduction, how="mean", to=Space.ROW):
    """Mean over the elements of each row."""


class RowMax(Reduction, how="max", to=Space.ROW):
    """Largest element of each row."""


class RowNorm(Reduction, how="norm", to=Space.ROW):
    """Euclidean norm of each row."""


class ColSum(Reduction, how="sum", to=Space.COL):
    """Sum over the elements of each column."""


class ColMean(Reduction, how="mean", to=Space.COL):
    """Mean over the elements of each column."""


class ColMax(Reduction, how="max", to=Space.COL):
    """Largest element of each column."""


class ColNorm(Reduction, how="norm", to=Space.COL):
    """Euclidean norm of each column."""


class ModelSum(Reduction, how="sum", to=Space.MODEL):
    """Sum over the elements of all tensors."""


class ModelMean(Reduction, how="mean", to=Space.MODEL):
    """Mean over the elements of all tensors."""


class ModelMax(Reduction, how="max", to=Space.MODEL):
    """Largest element of all tensors."""


class ModelNorm(Reduction, how="norm", to=Space.MODEL):
    """Euclidean norm of all tensors taken as one vector."""


class GroupSum(Reduction, how="sum", to=Space.GROUP):
    """Sum over the elements of all tensors of each parameter group."""


class GroupMean(Reduction, how="mean", to=Space.GROUP):
    """Mean over the elements of all tensors of each parameter group."""


class GroupMax(Reduction, how="max", to=Space.GROUP):
    """Largest element of all tensors of each parameter group."""


class GroupNorm(Reduction, how="norm", to=Space.GROUP):
    """Euclidean norm of all tensors of each parameter group taken as one vector."""


REDUCTION: Mapping[tuple[str, Space], Any] = {(kind.how, kind.to): kind for kind in Reduction.__subclasses__()}
"""Each of them, by what it does and the space that it leads to."""
