"""What generated schedules have in common: hyperparameters that are checked once, when one is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from optgen.runtime.core.program import Hyper, as_float, as_step_count


class ScheduleBase:
    """Base class of generated schedules, which are frozen dataclasses whose fields are their hyperparameters.

    Raises
    ------
    TypeError
        If a hyperparameter is no real number.
    ValueError
        If one is NaN, infinite or outside its domain.
    """

    hypers: ClassVar[Mapping[str, Hyper]]

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # those that inherit are dataclasses
            name, domain = field.name, self.hypers[field.name].domain
            number = as_float(name, getattr(self, name))
            if not domain.holds(number):
                raise ValueError(f"{name} = {number!r} is outside its domain: expected a number in {domain}")
            # Whole numbers stay integers, so that what is counted with them is exact.
            object.__setattr__(self, name, int(number) if domain.integer else number)

    @staticmethod
    def step_count(t: Any) -> int:
        """The number of a step, 1 at the first, as an int."""
        return as_step_count("t", t, least=1)
