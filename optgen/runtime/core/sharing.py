"""Sharing: totals of a model of which this process has a part only.

A process that has some of the tensors, or a part of each, adds up what it has. Between that and whatever is computed
from a total, all processes must make theirs one: a hook does it, by whatever library they talk through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import index, setitem
from typing import Any

import numpy as np

from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.reduced import Reduced


@dataclass(frozen=True, eq=False)
class SharedTotal:
    """A total as far as it is known here, before anything is made of it.

    Parameters
    ----------
    name : str
        What it is called in the generated module.
    how : str
        How it is made: ``"sum"`` or ``"max"``.
    of : str
        What it is a total of: there is one value for each ``"element"``, ``"row"``, ``"column"`` or ``"tensor"``.
    over : str
        What there is a total for: each ``"row"``, ``"column"`` or ``"tensor"``, each ``"group"`` of parameters, every
        tensor of which has it then, or the ``"model"``.
    values : array of float64, shape (totals,)
        The totals of all tensors, one after another; to be changed in place. On a GPU, an array of the library that the
        parameters are of.
    bounds : array of int64, shape (tensors + 1,)
        Where those of each tensor begin, and where the last end; of a model, ``[0, 1]``.
    """

    name: str
    how: str
    of: str
    over: str
    values: Any
    bounds: Array


Combine = Callable[[SharedTotal], None]
"""Makes a total what it is in all processes together."""


def differs(kind: str, dimensions: int, cut: int, *, as_matrices: bool = False) -> bool:
    """Whether the parts of a tensor that is cut along a dimension have values of a kind of their own.

    A total is to be combined if what it is of differs, and what it is over does not.
    """
    if as_matrices and dimensions > 2:  # noqa: PLR2004 - those of a matrix, whose columns are all the other dimensions
        dimensions, cut = 2, min(cut, 1)
    if kind == "row":
        return cut != dimensions - 1
    if kind == "column":
        return cut != dimensions - 2
    return kind == "element"


def combining(
    totals: Mapping[str, tuple[str, str]], program: Program, reduced: Reduced, combine: Combine
) -> list[Call]:
    """The calls by which totals that are whole here become whole everywhere, in the order of a program."""
    calls = []
    for name, (how, of) in totals.items():
        kind = program.values[name]
        over = "group" if of == kind == "tensor" else kind
        total = SharedTotal(name, how, of, over, reduced.arrays[name], reduced.cuts.bounds[kind])
        if (of, over) == ("element", "row"):
            calls += _emptied(total, reduced)
        calls.append(partial(_combined, combine, total))
    return calls


def _emptied(total: SharedTotal, reduced: Reduced) -> list[Call]:
    """The calls that let totals be those of nothing in rows without elements, which no sweep has visited."""
    bare = np.flatnonzero((np.diff(reduced.cuts.at.chunks) == 0) & (np.diff(total.bounds) > 0))
    nothing = 0.0 if total.how == "sum" else -np.inf
    return [partial(setitem, total.values, slice(*total.bounds[k : k + 2].tolist()), nothing) for k in bare.tolist()]


def _combined(combine: Combine, total: SharedTotal) -> None:
    combine(total)  # which may itself be a partial call, that another would swallow


def refuse(program: Program, *, by_chance: bool, is_placed: bool = False) -> None:
    """Complain of a rule that a process cannot follow with a part of a model.

    It is placed if it is known which elements of a whole a part has, all in a row: what is drawn, or rounded by chance,
    depends on where an element stands.
    """
    if program.begun:
        what = f"{program.begun[0]} starts from what all of theta is, of which there is only a part here"
    elif (program.seeds or by_chance) and not is_placed:
        what = "what is drawn depends on where an element stands in the whole, which is not known here"
    else:
        return
    raise ValueError(f"{program.name} cannot be shared: {what}")


def wholes_of(given: Any, shapes: Sequence[tuple[int, ...]], labels: Sequence[str]) -> list[tuple[int, ...]]:
    """The shapes of tensors of which there are parts here: one for each, in no dimension smaller than here."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence) or len(given) != len(shapes):
        raise TypeError(f"shapes: expected a list of {len(shapes)} shapes, one a parameter, or None")
    wholes = [tuple(map(index, whole)) for whole in given]
    for label, here, whole in zip(labels, shapes, wholes, strict=True):
        if len(here) != len(whole) or any(a > b for a, b in zip(here, whole, strict=True)):
            raise ValueError(f"{label} has shape {here}: that is no part of a tensor of shape {whole}")
    return wholes
