"""Cohorts: parameters that have their group and their history in common, so that a row of scalars holds for all.

A group is one cohort until a step leaves out some of its parameters.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from optgen.runtime.core.program import Array, Program


class Cohort(NamedTuple):
    """Parameters with the same hyperparameters, step count and numbers."""

    group: int  # to which group they belong
    t: int  # how many steps they have taken
    numbers: tuple[float, ...]  # what each state is that is one number for the host
    members: tuple[int, ...]  # which parameters they are


class Coming(NamedTuple):
    """What is known of a step before it is taken."""

    hypers: Sequence[Mapping[str, float]]  # the hyperparameters of each group
    taking: Sequence[Cohort]  # whose parameters take part, before the step
    cohorts: tuple[Cohort, ...]  # all of them after it
    rows: list[tuple[float, ...]]  # the scalars of each that takes part
    keys: tuple[Array, ...]  # what draws are made from, a row for each too; empty if there are none

    @property
    def scalars(self) -> Array:
        """The scalars as an array of float64, a row for each that takes part."""
        return np.array(self.rows, np.float64)


def cohorts_of(
    groups: Sequence[int], counts: Sequence[int], numbers: Sequence[tuple[float, ...]]
) -> tuple[Cohort, ...]:
    """Parameters by what they have in common: of each its group, its step count and its numbers."""
    found: dict[tuple[int, int, tuple[float, ...]], list[int]] = {}
    for k, common in enumerate(zip(groups, counts, numbers, strict=True)):
        found.setdefault(common, []).append(k)
    return tuple(Cohort(group, t, its, tuple(members)) for (group, t, its), members in found.items())


def rows_of(taking: Sequence[Cohort], params: int) -> Array:
    """Of each of so many parameters the row of scalars that holds for it; -1 for those that take no part."""
    rows = np.full(params, -1)
    for row, cohort in enumerate(taking):
        rows[list(cohort.members)] = row
    return rows


def coming(
    program: Program,
    cohorts: Sequence[Cohort],
    hypers: Sequence[Mapping[str, float]],
    absent: Container[int] = (),
) -> Coming:
    """Compute what the host does of a step, which leaves some parameters out: complains as `agree` does."""
    taking, left = (cohorts, ()) if not absent else _parted(cohorts, absent)
    if len(taking) > 1:
        agree(program, taking, hypers)
    rows: list[tuple[float, ...]] = []
    keys: list[Array] = []
    after: list[Cohort] = []
    for group, t, numbers, members in taking:
        now = hypers[group]
        scalars, new = program.computed(t + 1, now.values(), numbers)
        rows.append(scalars)
        if program.seeds:
            keys += program.keys(t + 1, now)
        after.append(Cohort(group, t + 1, new, members))
    drawn = (np.concatenate(keys),) if keys else ()
    return Coming(hypers, taking, (*after, *left), rows, drawn)


def _parted(cohorts: Sequence[Cohort], absent: Container[int]) -> tuple[list[Cohort], list[Cohort]]:
    """The cohorts of those that take part in a step, and of those that are left out."""
    taking, left = [], []
    for cohort in cohorts:
        out = tuple(k for k in cohort.members if k in absent)
        if len(out) < len(cohort.members):
            there = tuple(k for k in cohort.members if k not in absent) if out else cohort.members
            taking.append(cohort._replace(members=there))
        if out:
            left.append(cohort._replace(members=out if len(out) < len(cohort.members) else cohort.members))
    return taking, left


def agree(program: Program, cohorts: Sequence[Cohort], hypers: Sequence[Mapping[str, float]]) -> None:
    """Complain if cohorts differ in what a value of the whole model, of which there is one for all, is made of."""
    for name in program.shared:
        found = [_known(program, cohort, hypers[cohort.group], name) for cohort in cohorts]
        other = next((k for k, value in enumerate(found) if value != found[0]), None)
        if other is None:
            continue
        one, two = cohorts[0], cohorts[other]
        why = f"{program.name} makes of {name} what is one value for the whole model"
        if one.group == two.group or name not in program.hypers:
            what = f"{name} would be {found[0]:g} for params[{one.members[0]}] and {found[other]:g} for"
            raise ValueError(
                f"{what} params[{two.members[0]}]: {why}, so all parameters must take part in the same steps"
            )
        raise ValueError(
            f"{name} = {found[0]:g} in group {one.group} and {found[other]:g} in group {two.group}: {why}; expected "
            "the same in all groups"
        )


def _known(program: Program, cohort: Cohort, hypers: Mapping[str, float], name: str) -> float:
    if name == "t":
        return cohort.t + 1
    return hypers[name] if name in hypers else cohort.numbers[program.numbers.index(name)]
