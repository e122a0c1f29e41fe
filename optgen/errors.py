"""What optgen raises when a spec is wrong or cannot be built.

At run time the generated modules raise plain ``ValueError`` and ``TypeError``; the errors here belong to the
compiler. Each says what was wrong, where, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


class OptgenError(Exception):
    """Base class of every error the compiler raises on purpose."""


class UsageError(OptgenError):
    """The request itself is wrong: an optimizer or a file that is not there, say."""


class CompilerError(OptgenError):
    """The compiler could not do what it should: a check between two passes failed, say."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec."""

    what: str  # what was found
    fix: str  # what to write instead
    equation: str | None = None  # the equation that has it, as text

    def __str__(self) -> str:
        lines = [self.what]
        if self.equation is not None:
            lines.append(f"    in   {self.equation}")
        lines.append(f"    fix  {self.fix}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Location:
    """Where an optimizer was declared: a file and a line in it."""

    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.file is None:
            return ""
        path, here = Path(self.file), Path.cwd()
        file = str(path.relative_to(here)) if path.is_relative_to(here) else self.file
        return file if self.line is None else f"{file}:{self.line}"


class SpecError(OptgenError):
    """A spec says something that the language does not allow.

    Parameters
    ----------
    problems : sequence of Problem
        All that was found, in the order of the equations.
    optimizer : str, optional
        Name of the optimizer, or of whatever else has been declared.
    location : Location
        File and line of the declaration.
    kind : str
        What has been declared.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        optimizer: str | None = None,
        location: Location | None = None,
        kind: str = "optimizer",
    ) -> None:
        self.problems = tuple(problems)
        self.optimizer = optimizer
        self.kind = kind
        self.location = location or Location()
        super().__init__(str(self))

    def at(self, location: Location) -> SpecError:
        """The same error with the parts of its location that were not known filled in."""
        known = {key: value for key, value in vars(self.location).items() if value is not None}
        return SpecError(self.problems, self.optimizer, replace(location, **known), self.kind)

    def __str__(self) -> str:
        where = [str(self.location)] if self.location.file else []
        if self.optimizer is not None:
            where.append(f"{self.kind} '{self.optimizer}'")
        head = ": ".join(where)
        return "\n".join(f"{head}: {problem}" if head else str(problem) for problem in self.problems)
