"""Whether a change of a module changes nothing: the same bits, wherever both are run.

That a part of the verifier did not notice a change says nothing here. The module and what has been made of it take the
same steps, and everything that is stored must have the same bits: from what the parts of the verifier try, from many
other numbers, and from few and simple ones, of which sums vanish, sides of conditions are equal and whole tensors 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import lru_cache
from itertools import islice, tee
from typing import Any

import numpy as np

from optgen.verify import cases, numerics, settings, simulation
from optgen.verify.candidate import BrokenError, Candidate, Effort

STEPS = 400
"""From few and simple numbers, on a CPU."""
SIMULATED = 60
"""On a GPU, where threads take turns."""
_EFFORT = Effort(draws=600, seed=1)
_SIMPLE = np.array([-2.0, -1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0])
Case = tuple[settings.Setting, settings.Model]
"""Where a step is taken, and from which numbers."""
Left = Mapping[str, bytes]
"""By name, the bits of what a step leaves."""


def changes_nothing(candidate: Candidate, changed: Candidate) -> bool:
    """Whether a copy of a module leaves the same bits everywhere."""
    if candidate.target == "cuda" and candidate.optimizer.draws:
        return False  # what blocks of threads draw here is no number that was drawn
    tried = copy(_tried(candidate, candidate.text))
    return all(mine is not None and mine == _left(changed, case) for case, mine in tried)


@lru_cache(maxsize=1)  # what is made of a module is compared with it again and again
def _tried(candidate: Candidate, _text: str) -> Iterator[tuple[Case, Left | None]]:
    """What is tried, and what a module leaves, from the first case to the last if it is copied before it is read."""
    of_target = {"cpu": _on_cpus, "cuda": _on_gpus}[candidate.target](candidate)
    (cases_and_left,) = tee(((case, _left(candidate, case)) for case in of_target), 1)
    return cases_and_left


def _on_cpus(candidate: Candidate) -> Iterator[Case]:
    """What compiled kernels are tried on."""
    optimizer = candidate.optimizer
    shapes = [(37,)] if settings.is_of_elements(optimizer) else cases.MODEL
    for dtype in numerics.DTYPES:
        yield from [(case.setting, case.old) for case in cases.cases(optimizer, dtype, _EFFORT)]
        yield from islice(_simple(candidate, shapes, dtype), STEPS)


def _on_gpus(candidate: Candidate) -> Iterator[Case]:
    """What blocks of threads that take turns are tried on."""
    return islice(_simple(candidate, simulation.SHAPES, np.dtype(np.float64)), SIMULATED)


def _left(candidate: Candidate, case: Case) -> Left | None:
    """The bits of everything after a step; nothing of a module that cannot be run."""
    step = {"cpu": numerics.stepped, "cuda": simulation.left}[candidate.target]
    try:
        return _bits(step(candidate, *case))
    except BrokenError:
        return None


def _bits(after: Mapping[str, Any]) -> Left:
    """The bits of numbers, with one NaN for all, by the names of the arrays."""
    one_nan = {name: np.where(np.isnan(values), np.nan, values).astype(values.dtype) for name, values in after.items()}
    return {name: bytes(values.tobytes()) for name, values in one_nan.items()}


def _simple(candidate: Candidate, shapes: Any, dtype: Any) -> Iterator[Case]:
    """Steps from few and simple numbers, in every branch, with hyperparameters at ends, at defaults and between."""
    optimizer, rng = candidate.optimizer, np.random.default_rng(2)
    squares, bases = cases.nonnegative(optimizer), settings.branches(optimizer)
    reduced = {state.name for state in optimizer.reduced_states}
    like = settings.ordinary(optimizer, shapes, np.random.default_rng(0))
    far = {hyper.name: [hyper.usual, *settings.ends(hyper)] for hyper in optimizer.hypers}
    while True:
        if rng.random() < 1 / 2:
            setting = settings.drawn(optimizer, rng)
        else:
            base = bases[rng.integers(len(bases))]
            moved = {name: float(rng.choice(values)) for name, values in far.items() if rng.random() < 1 / 2}
            setting = replace(base, hypers={**base.hypers, **moved})
        old = {}
        for name, arrays in like.items():
            made = [rng.choice(_SIMPLE, np.shape(x)) * (rng.random() < 3 / 4) for x in arrays]
            made = [np.abs(x) if name in squares else x for x in made]
            made = [made[0]] * len(made) if arrays[0] is arrays[-1] and len(arrays) > 1 else made
            old[name] = [np.asarray(x, np.float64 if name in reduced else dtype) for x in made]
        yield setting, old
