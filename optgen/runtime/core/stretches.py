"""Stretches: phases that a part of a model can go through before the next part begins.

A total over a tensor is known once all of it has been visited, so what is made of it takes a second sweep. A total
over more, over a parameter group or the model, parts what comes before from what comes after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from optgen.runtime.core.program import Phase


class Stretch(NamedTuple):
    """Phases that come one after another."""

    phases: Sequence[Phase]  # which
    # What can go through all of them alone: a ``"row"`` or a ``"tensor"``; nothing if only all there is can, or where
    # that would save nothing
    unit: str


def stretches(phases: Sequence[Phase], kinds: Mapping[str, str]) -> list[Stretch]:
    """Phases in order, those together that can be.

    ``kinds`` says what there is a value for of each of the values and reduced states that they take.
    """
    found: list[Stretch] = []
    for is_whole, run in groupby(phases, lambda phase: _is_whole(phase, kinds)):
        its = tuple(run)
        first, *others = [k for k, phase in enumerate(its) if phase.sweep is not None] or [0]
        if is_whole or not others:
            found.append(Stretch(its, ""))
            continue
        end = others[-1] + 1
        met = {kinds[name] for phase in its[first:end] if phase.between for name in phase.takes if name in kinds}
        unit = "row" if met <= {"row"} else "tensor"
        parts = Stretch(its[:first], ""), Stretch(its[first:end], unit), Stretch(its[end:], "")
        found += [part for part in parts if part.phases]
    return found


def _is_whole(phase: Phase, kinds: Mapping[str, str]) -> bool:
    """Whether something is made of all tensors, or of all of a group, together."""
    of_groups = any(of == kinds[name] == "tensor" for name, (_, of) in phase.totals.items())
    return phase.between is not None and (of_groups or any(kinds.get(name) == "model" for name in phase.takes))


def unit_of(found: Sequence[Stretch]) -> str:
    """What goes through stretches alone: a ``"tensor"`` where a row cannot in all; nothing if nothing does."""
    return max((stretch.unit for stretch in found), default="")  # as these words happen to be ordered
