"""Whether a change of a module changes nothing: the same bits, wherever both are run.

That a part of the verifier did not notice a change says nothing here. The module and what has been made of it take the
same steps, and everything that is stored must have the same bits: from what the parts of the verifier try, from many
other numbers, and from few and simple ones, of which sums vanish, sides of conditions are equal and whole tensors 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from optgen.verify import cases, numerics, settings, simulation
from optgen.verify.candidate import BrokenError, Candidate, Effort

STEPS = 400
"""From few and simple numbers, on a CPU."""
SIMULATED = 60
"""On a GPU, where threads take turns."""
_EFFORT = Effort(draws=600, seed=1)
_SIMPLE = (-2.0, -1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0)


def changes_nothing(candidate: Candidate, changed: Candidate) -> bool:
    """Whether a copy of a module leaves the same bits everywhere."""
    compared = {"cpu": _on_cpus, "cuda": _on_gpus}[candidate.target]
    try:
        return all(compared(candidate, changed))
    except BrokenError:
        return False


def _on_cpus(candidate: Candidate, changed: Candidate) -> Iterator[bool]:
    """Whether compiled kernels leave the same, case by case."""
    optimizer = candidate.optimizer
    for dtype in numerics.DTYPES:
        tried = [(case.setting, case.old) for case in cases.cases(optimizer, dtype, _EFFORT)]
        shapes = [(37,)] if settings.is_of_elements(optimizer) else cases.MODEL
        for setting, old in (*tried, *islice(_simple(candidate, shapes, dtype), STEPS)):
            mine, others = (numerics.stepped(each, setting, old) for each in (candidate, changed))
            yield all(_bits(mine[name]) == _bits(others[name]) for name in mine)


def _on_gpus(candidate: Candidate, changed: Candidate) -> Iterator[bool]:
    """Whether blocks of threads that take turns leave the same; what they draw is no number that was drawn."""
    if candidate.optimizer.draws:
        yield False
    shapes, dtype = simulation.SHAPES, np.dtype(np.float64)
    for setting, old in islice(_simple(candidate, shapes, dtype), SIMULATED):
        mine, others = (simulation.left(each, setting, old) for each in (candidate, changed))
        yield all(_bits(mine[name]) == _bits(others[name]) for name in mine)


def _bits(values: Any) -> bytes:
    """The bits of numbers, with one NaN for all."""
    return bytes(np.where(np.isnan(values), np.nan, values).astype(values.dtype).tobytes())


def _simple(candidate: Candidate, shapes: Any, dtype: Any) -> Iterator[tuple[settings.Setting, settings.Model]]:
    """Steps from few and simple numbers, in every branch, with hyperparameters at ends, at defaults and between."""
    optimizer, rng = candidate.optimizer, np.random.default_rng(2)
    squares, bases = cases.nonnegative(optimizer), settings.branches(optimizer)
    reduced = {state.name for state in optimizer.reduced_states}
    while True:
        base = bases[rng.integers(len(bases))]
        hypers = dict(base.hypers)
        for hyper in optimizer.hypers:
            if rng.random() < 1 / 2:
                hypers[hyper.name] = float(rng.choice([hyper.usual, *settings.ends(hyper)]))
        if rng.random() < 1 / 2:
            base = settings.drawn(optimizer, rng)
            hypers = {**base.hypers}
        drawn = settings.ordinary(optimizer, shapes, rng)
        old = {}
        for name, arrays in drawn.items():
            made = [rng.choice(_SIMPLE, np.shape(x)) * (rng.random() < 3 / 4) for x in arrays]
            made = [np.abs(x) if name in squares else x for x in made]
            made = [made[0]] * len(made) if arrays[0] is arrays[-1] and len(arrays) > 1 else made
            old[name] = [np.asarray(x, np.float64 if name in reduced else dtype) for x in made]
        yield replace(base, hypers=hypers), old
