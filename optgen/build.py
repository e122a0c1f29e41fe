"""From optimizers to files: a folder of modules, or one module in the cache."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from optgen import __version__, pipeline
from optgen.errors import OptgenError, UsageError
from optgen.language.spec import Optimizer
from optgen.loader import SpecFile
from optgen.targets import TARGETS
from optgen.targets.base import Origin, Target


class Status(Enum):
    """What became of one optimizer in a build."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """What became of one optimizer, or of one file that no spec makes.

    Parameters
    ----------
    name : str
        The optimizer.
    spec : str
        Its spec file; empty for a module that no spec makes.
    path : Path
        The module.
    status : Status
        What became of it.
    reason : str
        Why, where it is stale or failed.
    """

    name: str
    spec: str
    path: Path
    status: Status
    reason: str = ""


def target_named(name: str) -> Target:
    """A target by its name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in TARGETS:
        raise UsageError(f"there is no target '{name}': choose from {', '.join(TARGETS)}")
    return TARGETS[name]


def build(
    wanted: Sequence[tuple[SpecFile, Optimizer]], target: Target, out: Path, *, check: bool = False
) -> Iterator[Result]:
    """Bring the modules of optimizers up to date, one after another.

    A module is written whole or not at all, and only where it differs, so that its compiled kernels stay cached.

    Parameters
    ----------
    wanted : sequence of (SpecFile, Optimizer)
        What to build.
    target : Target
        For what machine.
    out : Path
        The folder that has a folder for each target.
    check : bool
        Compare only: what differs is `Status.STALE`, and nothing is written.

    Yields
    ------
    Result
        For each optimizer, in order.
    """
    for file, optimizer in wanted:
        path = out / target.name / f"{optimizer.name}.py"
        try:
            text = pipeline.source(optimizer, target, origin(file, target))
        except OptgenError as error:
            yield Result(optimizer.name, file.title, path, Status.FAILED, str(error))
            continue
        present = path.read_text(encoding="utf-8") if path.exists() else None
        if present == text:
            yield Result(optimizer.name, file.title, path, Status.UNCHANGED)
        elif check:
            reason = "does not exist" if present is None else f"is not what {file.title} says now"
            yield Result(optimizer.name, file.title, path, Status.STALE, reason)
        else:
            write_whole(path, text)
            yield Result(optimizer.name, file.title, path, Status.BUILT)


def orphans(wanted: Sequence[tuple[SpecFile, Optimizer]], target: Target, out: Path) -> list[Result]:
    """Modules in a target's folder that no spec makes any more."""
    made = {optimizer.name for _, optimizer in wanted} | {"__init__"}
    paths = sorted((out / target.name).glob("*.py"))
    return [
        Result(path.stem, "", path, Status.STALE, "is made by no spec: delete it")
        for path in paths
        if path.stem not in made
    ]


def compile(optimizer: Optimizer, target: str = "cpu") -> ModuleType:
    """Compile an optimizer from Python or a notebook.

    Parameters
    ----------
    optimizer : Optimizer
        The rule.
    target : str
        Name of a target.

    Returns
    -------
    module
        What `optgen build` would have written, imported: ``compile(rule).MyRule(params)``. It is kept in a cache on
        disk (``OPTGEN_CACHE_DIR``, else the user's cache folder) with its machine code, so that the next process
        starts at once.

    Raises
    ------
    SpecError
        If the rule uses what cannot be compiled.
    UsageError
        If there is no such target.
    """
    described = hashlib.sha256(f"{optimizer} target={target}".encode()).hexdigest()
    text = pipeline.source(optimizer, target_named(target), Origin(__version__, "a Python session", described))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    name = f"optgen_compiled_{optimizer.name}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    path = _cache() / digest / f"{optimizer.name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return sys.modules.setdefault(name, module)  # Numba finds cached kernels by the module's name


def write_whole(path: Path, text: str) -> None:
    """Write a file so that under its name there is the whole of it or what was there before.

    The text goes to a file that has no name yet, where the system has such files; what kills the process halfway leaves
    nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    data = text.encode()
    try:
        _write_unnamed(beside, data)
    except (AttributeError, OSError):  # no such files on this system, or on this file system
        beside.write_bytes(data)
    beside.replace(path)


def _write_unnamed(path: Path, data: bytes) -> None:
    """Write a file that gets its name only once it is complete (Linux)."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            # The folder's descriptor makes Python call linkat, which follows the link that /proc holds.
            os.link(f"/proc/self/fd/{file.fileno()}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def origin(file: SpecFile, target: Target) -> Origin:
    """What the header of a module says of the spec it comes from."""
    options = f"target={target.name}"
    return Origin(__version__, file.title, hashlib.sha256(f"{file.digest} {options}".encode()).hexdigest())


def _cache() -> Path:
    chosen = os.environ.get("OPTGEN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optgen"
