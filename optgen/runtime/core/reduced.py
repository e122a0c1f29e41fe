"""What of a model varies over less than elements: reduced states, and what sweeps leave for each other.

All of it is float64, in one flat array a name, in which the values of all tensors stand one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from optgen.runtime.core.program import Array, Program
from optgen.runtime.core.table import CHUNK, Cuts, cut


@dataclass(frozen=True, eq=False)
class Reduced:
    """The reduced values of a model. `allocated` makes one."""

    cuts: Cuts  # how its tensors are cut, and where their values stand
    # Arrays of float64: reduced states, and what sweeps leave for each other
    arrays: Mapping[str, Array]


def cuts_of(program: Program, shapes: Sequence[tuple[int, ...]], chunk: int = CHUNK) -> Cuts:
    """Cut tensors as a program must have them, into chunks of at most so many elements."""
    kinds = set(program.kinds.values())
    return cut(shapes, by_rows=bool(kinds & {"row", "column", "part"}), by_columns="part" in kinds, chunk=chunk)


def allocated(program: Program, cuts: Cuts, states: Mapping[str, Array]) -> Reduced:
    """Room for what the phases of a program leave for each other, beside its reduced states, which are given flat."""
    room = {name: np.zeros(cuts.sizes[kind]) for name, kind in program.values.items() if name not in states}
    return Reduced(cuts, {**cuts.extents, **room, **states})


def filled(kind: str, values: Array, cuts: Cuts) -> Array:
    """A flat array with a value for all that there is of a kind in each tensor; of a model, that of the first."""
    if kind == "model":
        return values[:1].copy()
    counts = {
        "tensor": np.ones(len(values), np.int64),
        "row": np.diff(cuts.at.rows),
        "column": np.diff(cuts.at.columns),
    }
    return np.repeat(values, counts[kind])


def as_matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a tensor of more than two dimensions as a matrix of a row for each place in the first."""
    return (shape[0], prod(shape[1:])) if len(shape) > 2 else shape  # noqa: PLR2004 - those of a matrix


def shape_in(kind: str, shape: tuple[int, ...], *, as_matrices: bool = False) -> tuple[int, ...]:
    """The shape of an array with a tensor's values of a kind, so that it broadcasts against the tensor."""
    if as_matrices and as_matrix(shape) != shape:
        return {"row": (shape[0], *[1] * len(shape[1:])), "column": (1, *shape[1:])}.get(kind, ())
    if kind == "row" and shape:
        return (*shape[:-1], 1)
    if kind == "column" and shape:  # a vector is one row
        return (*shape[:-2], 1, shape[-1]) if len(shape) > 1 else shape
    return ()


def had_otherwise(kind: str, shape: tuple[int, ...], got: tuple[int, ...], *, as_matrices: bool) -> str:
    """What more to say of a tensor's values of a kind in a shape that was not expected, if others have them in that."""
    if got != shape_in(kind, shape, as_matrices=not as_matrices):
        return ""
    return f", as optimizers with as_matrices={not as_matrices} have it; make this one so too, or start anew"


def views(
    kind: str, flat: Array, shapes: Sequence[tuple[int, ...]], cuts: Cuts, *, as_matrices: bool = False
) -> list[Array]:
    """The values of each tensor in a flat array of those of all; of the model it is the same for each."""
    if kind == "model":
        return [flat.reshape(())] * len(shapes)
    bounds, its = cuts.bounds[kind], [shape_in(kind, shape, as_matrices=as_matrices) for shape in shapes]
    return [flat[bounds[j] : bounds[j + 1]].reshape(shape) for j, shape in enumerate(its)]
