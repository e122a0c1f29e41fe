"""What the states of a rule are called in ``optimizer.state``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optgen.runtime.core.program import Program
from optgen.torch.families import Family


@dataclass(frozen=True)
class Spelling:
    """What the states of a rule are called in ``optimizer.state``."""

    title: str  # what the optimizer is called
    family: Family | None = None  # the optimizer of torch that has them; None for a rule that torch does not have

    def state(self, name: str, dimensions: int) -> str:
        """The key of a state of a tensor; empty if it is not kept."""
        if self.family is None:
            return name
        if dimensions < 2 and name in self.family.of_vectors:  # noqa: PLR2004 - a matrix has two
            return self.family.of_vectors[name]
        return self.family.states.get(name, name)

    @property
    def counts(self) -> bool:
        """Whether the number of steps is kept."""
        return self.family is None or self.family.counts

    def numbers(self, program: Program) -> tuple[str, ...]:
        """The keys of what the host keeps as numbers."""
        its = self.family and self.family.numbers
        return its.keys if its else program.numbers

    def theirs(self, t: int, numbers: tuple[float, ...], hypers: Mapping[str, float]) -> tuple[float, ...]:
        """The numbers under these keys, after t steps."""
        its = self.family and self.family.numbers
        return its.theirs(t, numbers, hypers) if its else numbers

    def ours(self, t: int, numbers: tuple[float, ...]) -> tuple[float, ...]:
        """The numbers of the rule."""
        its = self.family and self.family.numbers
        return its.ours(t, numbers) if its else numbers
