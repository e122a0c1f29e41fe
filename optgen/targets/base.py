"""What a target is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.loops.rounds import Lowered


@dataclass(frozen=True)
class Origin:
    """Where a generated module comes from, for its header."""

    version: str  # of optgen
    file: str  # the spec file, relative to where the build ran
    digest: str  # sha256 of the spec file and the options


class Target(Hashable, Protocol):
    """A kind of machine that kernels can be printed for."""

    @property
    def name(self) -> str:
        """What the command line and the folder under ``generated`` call it."""
        ...

    @property
    def lowered(self) -> Callable[[Kernel], Lowered]:
        """What makes of a kernel loops for that machine."""
        ...

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        """The text of the module for a kernel."""
        ...
