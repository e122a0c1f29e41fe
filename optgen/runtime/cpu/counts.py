"""Integers in kernels: they count or say where something is, and are never negative."""

from __future__ import annotations

from operator import floordiv
from typing import Any

from numba import types
from numba.core.lowering import Lower


class LowerOfCounts(Lower):
    """Divides integers as what they are: Numba's quotient asks after signs and after 0, for every row of a matrix."""

    def lower_binop(self, kind: Any, expression: Any, operator: Any) -> Any:
        """Write an operation of two values."""
        terms = expression.lhs, expression.rhs
        kinds = [self.typeof(term.name) for term in terms]
        if operator is not floordiv or not all(isinstance(its, types.Integer) for its in kinds):
            return super().lower_binop(kind, expression, operator)
        values = [self.loadvar(term.name) for term in terms]
        return self.builder.udiv(
            *(self.context.cast(self.builder, x, its, kind) for x, its in zip(values, kinds, strict=True))
        )
