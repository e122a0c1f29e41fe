"""What is verified: a generated module beside the optimizer that it claims to be, and what is found out about it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from optgen.files import module_of
from optgen.language.spec import Optimizer
from optgen.runtime.core.program import Phase, Program
from optgen.verify.alike import on_top_of


@dataclass(frozen=True)
class Candidate:
    """A generated module under suspicion."""

    optimizer: Optimizer  # what it claims to compute
    path: Path  # the file; its text is what is verified
    cache: Path | None = None  # where its kernels are kept; the cache of this user unless given
    target: str = "cpu"  # for what kind of machine it is
    like: Candidate | None = None  # a module that it is a copy of, but for something; what is the same is compiled once

    @cached_property
    def text(self) -> str:
        """The source of the module, with a sign in the place of what is no text; `is_damaged` says why."""
        return self.path.read_text(encoding="utf-8", errors="replace")

    @property
    def is_damaged(self) -> str:
        """Why the file is no source of Python; empty if it is one."""
        try:
            ast.parse(self.path.read_bytes(), self.path.name)
        except (SyntaxError, ValueError) as error:  # of bytes that are 0, before Python 3.12
            return f"it is no module of Python: {error}"
        return ""

    @cached_property
    def module(self) -> ModuleType:
        """The module, compiled from a copy of the text: kernels of a wrong one must not get into anybody's cache."""
        text = on_top_of(self.like.module, self.text) if self.like else self.text
        return module_of(self.optimizer.name, text, self.cache)

    @property
    def kind(self) -> Any:
        """The class of the module."""
        return getattr(self.module, self.optimizer.title)


class BrokenError(Exception):
    """A module that cannot be run."""


@contextmanager
def running() -> Iterator[None]:
    """Where code of a candidate runs: whatever it raises becomes a `BrokenError`, so that no error of ours does."""
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise BrokenError(" ".join([f"it cannot be run: {type(error).__name__}:", *lines[:4]])) from error


def program_of(candidate: Candidate) -> Program:
    """What a module says about itself."""
    with running():
        program: Program = candidate.module.PROGRAM
        return program


def phases_of(program: Program) -> tuple[Any, ...]:
    """What a step of a program launches, in order: its phases, or its one sweep."""
    return program.phases or (Phase((), sweep=program.sweep),)


def resumed_at(optimizer: Any, t: int, numbers: Mapping[str, Any]) -> None:
    """Let an optimizer have taken so many steps, with some numbers of the host; other states can be written in place.

    Theta, and with it what starts from it, may be NaN, which no state dict may hold.
    """
    if t or numbers:
        saved = {entry: np.where(np.isnan(value), 0, value) for entry, value in optimizer.state_dict().items()}
        optimizer.load_state_dict({**saved, **numbers, "t": t})


class Verdict(Enum):
    """How sure one can be of something."""

    PROVED = "proved"
    """By algebra, for every input."""
    TESTED = "tested"
    """At many points, to many digits."""
    FAILED = "failed"
    """There is an input for which it is wrong."""
    SKIPPED = "skipped"
    """It could not be looked at here, for want of a library, say."""


@dataclass(frozen=True)
class Finding:
    """One thing that has been looked at."""

    part: str  # which part of the verifier looked
    subject: str  # at what: an equation, a slot, a property, another library
    verdict: Verdict  # what came of it
    detail: str = ""  # for a failure the equation, the input and both values; else what a reader wants to know
    figures: dict[str, Any] = field(default_factory=dict)  # numbers for tables: ``{"ulps": 1.8}``


@dataclass(frozen=True)
class Effort:
    """How hard to look."""

    draws: int = 1000  # random cases for each kernel and dtype, beside the fixed ones
    seed: int = 0  # from which they are drawn


QUICK = Effort(draws=200)
FULL = Effort(draws=3000)


Check = Callable[[Candidate, Effort], Iterator[Finding]]
"""A part of the verifier: looks at a candidate and yields a finding for each thing it has looked at."""


def failures(findings: Sequence[Finding]) -> list[Finding]:
    """Those that say that something is wrong."""
    return [finding for finding in findings if finding.verdict is Verdict.FAILED]
