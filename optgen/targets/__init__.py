"""Targets: each prints a kernel for one kind of machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optgen.errors import UsageError

if TYPE_CHECKING:
    from optgen.targets.base import Target

    TARGETS: dict[str, Target]

NAMES = ("cpu", "cuda")
"""What the command line, and the folder under ``generated``, call them."""


def target_named(name: str) -> Target:
    """A target by its name."""
    target: Target = import_module(f"optgen.targets.{checked(name)}").TARGET
    return target


def checked(name: str) -> str:
    """The name of a target."""
    if name not in NAMES:
        raise UsageError(f"there is no target '{name}': choose from {', '.join(NAMES)}")
    return name


def __getattr__(name: str) -> Any:
    # Their printers need SymPy, and their names do not.
    if name == "TARGETS":
        return {each: target_named(each) for each in NAMES}
    raise AttributeError(f"module 'optgen.targets' has no attribute {name!r}")
