"""Generated modules as files: where each belongs, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SCHEDULES = "schedules"
"""The folder of the modules of schedules, which are the same for every target."""


class Status(Enum):
    """What became of one optimizer or schedule in a build."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True)
class Built:
    """What became of one optimizer or schedule, or of one file that no spec makes."""

    name: str  # the optimizer or schedule
    spec: str  # its spec file; empty for a module that no spec makes
    path: Path  # the module
    status: Status  # what became of it
    reason: str = ""  # why, where it is stale or failed
    kind: str = "optimizer"  # ``"optimizer"`` or ``"schedule"``
    digest: str = ""  # that of the module as it should be; empty where that is not known


def module_paths(name: str, kind: str, targets: Iterable[str]) -> list[str]:
    """Where the modules of an optimizer or a schedule belong, below the folder for all modules."""
    folders = [SCHEDULES] if kind == "schedule" else list(targets)
    return [f"{folder}/{name}.py" for folder in folders]


def digest_of(path: Path) -> str | None:
    """sha256 of what a file holds, whatever that is; None if there is no file that can be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None


def orphans(made: Iterable[str], targets: Iterable[str], out: Path) -> list[Built]:
    """Modules in the folders of targets, and in that of the schedules, that no spec makes any more.

    Those that specs make are named as `module_paths` has them; ``out`` is the folder for all modules.
    """
    wanted = {out / path for path in made}
    there = [path for folder in (*targets, SCHEDULES) for path in sorted((out / folder).glob("*.py"))]
    return [
        Built(path.stem, "", path, Status.STALE, "is made by no spec: delete it")
        for path in there
        if path.stem != "__init__" and path not in wanted
    ]
