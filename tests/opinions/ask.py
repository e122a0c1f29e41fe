"""Asking others: those who agree must do so to 1e-12 over 100 steps in float64.

A row that ``differs`` says by how much at least and at most, over 15 steps of 64 elements with gradients from 1e-9 to
10: the largest distance between the parameters, divided by the farthest that ours have come from the start. A
difference that does not show is a failure too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import numpy as np

from opinions import (
    adabelief,
    adabound,
    adadelta,
    adafactor,
    adagrad,
    adam,
    adam_mini,
    adamax,
    adamp,
    ademamix,
    adopt,
    amsgrad,
    asgd,
    dog,
    fromage,
    lamb,
    lars,
    lion,
    nadam,
    nag,
    novograd,
    prodigy,
    radam,
    rmsprop,
    rprop,
    schedule_free,
    sgd,
    sgdw,
    sm3,
    swats,
    wrapped,
    yogi,
)
from opinions.base import STEPS, Floats, Numbers, Opinion, at
from optgen.verify.candidate import Candidate, Effort, Finding, Verdict

PART = "opinions"
AGREEMENT = 1e-12
DIFFERENT_STEPS = 15
FAMILIES = (
    *(sgd, nag, sgdw, asgd, rprop, lion, adagrad, adadelta, rmsprop),
    *(adam, adamax, nadam, amsgrad, adabound, radam),
    *(adabelief, yogi, ademamix, adopt, schedule_free),
    *(lamb, lars, novograd, fromage, adafactor, sm3, adam_mini, adamp),
    *(swats, prodigy, dog),
    wrapped,
)
TABLE: tuple[Opinion, ...] = tuple(opinion for family in FAMILIES for opinion in family.OPINIONS)
"""Every opinion."""


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Ask everybody in the table who has the rule.

    Parameters
    ----------
    candidate : Candidate
        The module.
    effort : Effort
        From whose seed starts and gradients are drawn.

    Yields
    ------
    Finding
        For each row: tested, skipped where its package is not installed, or failed with the input and both values.
    """
    for opinion in TABLE:
        if opinion.name == candidate.optimizer.name:
            yield asked(opinion, candidate, effort)


def asked(opinion: Opinion, candidate: Candidate, effort: Effort) -> Finding:
    """What comes of one row of the table."""
    if opinion.needs and find_spec(opinion.needs) is None:
        return Finding(PART, opinion.whose, Verdict.SKIPPED, f"{opinion.needs} is not installed")
    compare = _agreement if opinion.differs is None else _difference
    try:
        with np.errstate(all="ignore"):
            return compare(opinion, candidate, effort)
    except Exception as error:  # noqa: BLE001 - whatever a broken module does is a finding
        detail = f"{candidate.optimizer.name} could not be compared: {type(error).__name__}: {error}"
        return Finding(PART, opinion.whose, Verdict.FAILED, detail)


def _agreement(opinion: Opinion, candidate: Candidate, effort: Effort) -> Finding:
    worst = 0.0
    for setting in opinion.settings:
        rng = np.random.default_rng(effort.seed + 1)
        starts = [np.asarray(rng.normal(size=shape)) for shape in opinion.shapes]
        scales = 10 ** rng.uniform(-3, 3, STEPS)
        grads = _spoiled(
            opinion, [np.stack([scale * rng.normal(size=shape) for scale in scales]) for shape in opinion.shapes]
        )
        ours = _ours(candidate, starts, grads, setting, opinion.slot)
        largest = [np.asarray(np.maximum(np.abs(start), np.finfo(float).tiny)) for start in starts]
        for k, (mine, theirs) in enumerate(zip(ours, _theirs(opinion, starts, grads, setting), strict=True)):
            for a, b, size, start, grad in zip(mine, theirs, largest, starts, grads, strict=True):
                np.fmax(size, np.abs(a), out=size)
                error = np.nan_to_num(np.abs(a - b) / size, nan=np.inf)
                worst = max(worst, float(error.max()))
                if worst > AGREEMENT:
                    i = np.unravel_index(int(np.argmax(error)), error.shape)
                    given = {"theta": float(start[i]), "g": float(grad[k][i]), **_now(setting, k)}
                    detail = (
                        f"{candidate.optimizer.name}: {opinion.slot} after step {k + 1} is {float(a[i])!r},"
                        f" of {opinion.whose} {float(b[i])!r}, from {given}"
                    )
                    return Finding(PART, opinion.whose, Verdict.FAILED, detail, {"difference": worst})
    return Finding(PART, opinion.whose, Verdict.TESTED, "agrees", {"difference": worst})


def _difference(opinion: Opinion, candidate: Candidate, effort: Effort) -> Finding:
    assert opinion.differs is not None
    low, high = opinion.differs
    for setting in opinion.settings:
        rng = np.random.default_rng(effort.seed + 2)
        start = rng.normal(size=64)
        grads = _spoiled(opinion, [10 ** rng.uniform(-9, 1, 64) * rng.normal(size=(DIFFERENT_STEPS, 64))])
        (ours,) = zip(*_ours(candidate, [start], grads, setting, opinion.slot), strict=True)
        (theirs,) = zip(*_theirs(opinion, [start], grads, setting), strict=True)
        apart = max(float(np.abs(mine - other).max()) for mine, other in zip(ours, theirs, strict=True))
        found = apart / max(float(np.abs(mine - start).max()) for mine in ours)
        if not low <= found <= high:
            detail = (
                f"{candidate.optimizer.name}: expected to differ from {opinion.whose} by {low:g} to {high:g}, for"
                f" {opinion.why}; differs by {found:.3g} with {_now(setting, 0)}:"
                f" {opinion.slot} is {float(ours[-1][0])!r}, there {float(theirs[-1][0])!r}"
            )
            return Finding(PART, opinion.whose, Verdict.FAILED, detail, {"difference": found})
    return Finding(PART, opinion.whose, Verdict.TESTED, f"differs: {opinion.why}", {"difference": found})


def _spoiled(opinion: Opinion, grads: list[Floats]) -> list[Floats]:
    return grads if opinion.spoiled is None else opinion.spoiled(grads)


def _theirs(
    opinion: Opinion, starts: list[Floats], grads: list[Floats], setting: Numbers
) -> Iterator[Sequence[Floats]]:
    words = opinion.theirs(setting)
    if opinion.whole:
        return opinion.function(starts, grads, **words)
    return zip(*(opinion.function(*each, **words) for each in zip(starts, grads, strict=True)), strict=True)


def _ours(
    candidate: Candidate, starts: list[Floats], grads: list[Floats], setting: Numbers, slot: str
) -> Iterator[list[Floats]]:
    params = [start.copy() for start in starts]
    optimizer = candidate.kind(params, **_now(setting, 0))
    for k in range(len(grads[0])):
        optimizer.set(**_now(setting, k))
        optimizer.step([np.asarray(grad[k]) for grad in grads])
        yield [array.copy() for array in (params if slot == "theta" else optimizer.state[slot])]


def _now(setting: Numbers, k: int) -> dict[str, float]:
    """Hyperparameters at a step, 0 the first."""
    return {name: at(value, k) for name, value in setting.items()}
