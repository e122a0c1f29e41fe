"""Claims tried on the equations themselves, in float64 and without a kernel: for rules that do not carry them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from optgen.language.properties import Claim, EqualTo, Equivalent, Independent, Movements, NotAlways
from optgen.language.spec import Optimizer
from optgen.language.symbols import g, theta
from optgen.verify import reference
from optgen.verify.candidate import Candidate, Effort
from optgen.verify.claims.proofs import proved
from optgen.verify.claims.trials import tried

PROVED, SHOWN, FAILS, OPEN, FOREIGN = "proved", "shown", "fails", "open", "foreign"
"""What can be said of a claim: proved, found (an input for which another does not hold), refuted, nothing, no sense."""
_LITTLE = Effort(draws=20)


@dataclass(frozen=True)
class _ByEquations(Candidate):
    """A candidate whose steps are those of its equations."""

    @property
    def kind(self) -> Any:
        return partial(_Steps, self.optimizer)


class _Steps:
    """What trials need of an optimizer, by the equations."""

    def __init__(self, optimizer: Optimizer, thetas: Sequence[Any], **hypers: float) -> None:
        self.optimizer, self.thetas, self.hypers, self.t = optimizer, thetas, hypers, 0
        numbers = [state.name for state in optimizer.numbers]
        self.program = SimpleNamespace(numbers=numbers)
        self.state: dict[str, Any] = {
            name: np.array(arrays[0]) if name in numbers else [np.array(array) for array in arrays]
            for name, arrays in reference.start(optimizer, thetas, hypers=hypers).items()
        }

    def step(self, grads: Sequence[Any]) -> None:
        self.t += 1
        held = {name: [it] * len(self.thetas) if isinstance(it, np.ndarray) else it for name, it in self.state.items()}
        thetas, states = reference.step(self.optimizer, self.thetas, grads, held, self.t, hypers=self.hypers)
        for array, values in zip(self.thetas, thetas, strict=True):
            array[...] = values
        for name, it in self.state.items():
            arrays = [it] if isinstance(it, np.ndarray) else it
            for array, values in zip(arrays, states[name], strict=False):
                array[...] = values

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        self.t = int(saved["t"])
        for name in self.program.numbers:
            self.state[name][...] = saved[name]


def verdict(claim: Claim, optimizer: Optimizer) -> tuple[str, str]:
    """What can be said at once of a claim about an optimizer, whoever carries it: one of the words above.

    With it comes, for a claim that fails, an input with both values.
    """
    if isinstance(claim, EqualTo | Equivalent) and claim.other == optimizer:
        return PROVED, ""
    if isinstance(claim, Independent):  # of what there is not, nothing depends
        known = {symbol.name for symbol in (theta, g, *optimizer.states, *optimizer.hypers)}
        claim = replace(claim, of=tuple(symbol for symbol in claim.of if symbol.name in known))
        if not claim.of:
            return PROVED, ""
    if any(claim.misfits(optimizer)):
        return FOREIGN, ""
    if isinstance(claim, NotAlways):
        found, example = verdict(claim.claim, optimizer)
        return {FAILS: (SHOWN, example), PROVED: (FAILS, f"{claim.claim} is proved")}.get(found, (OPEN, ""))
    if proved(claim, optimizer):
        return PROVED, ""
    if isinstance(claim, Movements):  # a hundred thousand steps
        return OPEN, ""
    in_reals = Equivalent(claim.other, steps=claim.steps, given=claim.given) if isinstance(claim, EqualTo) else claim
    try:
        violated = tried(in_reals, _ByEquations(optimizer, Path()), _LITTLE)
    except (ArithmeticError, KeyError, TypeError, ValueError):  # it speaks of what this rule does not have
        return FOREIGN, ""
    return (FAILS, violated) if violated else (OPEN, "")
