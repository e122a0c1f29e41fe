"""From optimizers and schedules to files: a folder of modules, or one module in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from stat import S_IWUSR
from types import ModuleType
from typing import Any, TypeVar

from optgen import __version__, pipeline
from optgen.errors import OptgenError, UsageError
from optgen.files import module_of, write_whole
from optgen.ir import Kernel
from optgen.language.schedules import Schedule
from optgen.language.spec import Optimizer
from optgen.loader import Rule, SpecFile
from optgen.modules import SCHEDULES, Built, Status, digest_of, module_paths
from optgen.targets import schedules, target_named
from optgen.targets.base import Origin


def build(
    wanted: Sequence[tuple[SpecFile, Rule]], targets: Sequence[str], out: Path, *, check: bool = False
) -> Iterator[Built]:
    """Bring the modules of optimizers and schedules up to date, in a folder with one for each target.

    A module is written whole or not at all, and only where it differs, so that its compiled kernels stay cached. What
    cannot be built, or written, does not stop the others. A check compares only: what differs is `Status.STALE`.
    """
    for file, rule in wanted:
        for name, made in sources(file, rule, targets).items():
            result = Built(rule.name, file.title, out / name, Status.FAILED, kind=rule.kind)
            if isinstance(made, OptgenError):
                yield replace(result, reason=str(made))
            else:
                yield _made(result, made, check=check)


def _made(result: Built, text: str, *, check: bool) -> Built:
    """What became of a module of which this is the text now."""
    path, digest = result.path, hashlib.sha256(text.encode()).hexdigest()
    if digest_of(path) == digest:
        return replace(result, status=Status.UNCHANGED, digest=digest)
    if check:
        reason = f"is not what {result.spec} says now" if path.exists() else "does not exist"
        return replace(result, status=Status.STALE, reason=reason, digest=digest)
    try:
        if path.exists() and not path.stat().st_mode & S_IWUSR:
            return replace(result, reason=f"{path} is not what {result.spec} says now, but read-only: {_RELEASE}")
        write_whole(path, text)
    except OSError as error:
        return replace(result, reason=f"{path} cannot be written: {error.strerror}")
    return replace(result, status=Status.BUILT, digest=digest)


_RELEASE = "make it writable or move it away, then build again"


def sources(file: SpecFile, rule: Rule, targets: Sequence[str]) -> dict[str, str | OptgenError]:
    """The texts of the modules of an optimizer or a schedule by where they belong, or what keeps them from being made.

    The kernel is made once for all targets.
    """
    paths = module_paths(rule.name, rule.kind, targets)
    if isinstance(rule, Schedule):
        return {paths[0]: _tried(partial(_printed_schedule, file, rule))}
    kernel = _tried(lambda: pipeline.kernel_of(rule))
    if isinstance(kernel, OptgenError):
        return dict.fromkeys(paths, kernel)
    made = (_tried(partial(_printed, file, rule, kernel, target)) for target in targets)
    return dict(zip(paths, made, strict=True))


def _printed(file: SpecFile, optimizer: Optimizer, kernel: Kernel, target: str) -> str:
    return pipeline.printed(optimizer, kernel, target_named(target), _origin(file, f"target={target}"))


def _printed_schedule(file: SpecFile, schedule: Schedule) -> str:
    with pipeline.in_words(schedule, "printing"):
        return schedules.source(schedule, _origin(file, SCHEDULES))


Made = TypeVar("Made")


def _tried(make: Callable[[], Made]) -> Made | OptgenError:
    """What is made of a rule, or the error that keeps it from being made."""
    try:
        return make()
    except OptgenError as error:
        return error


def source(file: SpecFile, rule: Rule, target: str) -> str:
    """The text of the module of an optimizer for a target, or of a schedule; a `SpecError` if it cannot be compiled."""
    (text,) = sources(file, rule, [target]).values()
    if isinstance(text, OptgenError):
        raise text
    return text


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
        starts at once. Where nothing can be written there it is made in memory, and compiled by each process anew.

    Raises
    ------
    SpecError
        If the rule uses what cannot be compiled.
    UsageError
        If it is no optimizer, or there is no such target.
    """
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"compile: expected an Optimizer, got {_said_of(optimizer)}")
    described = hashlib.sha256(f"{optimizer} target={target}".encode()).hexdigest()
    text = pipeline.source(optimizer, target_named(target), Origin(__version__, "a Python session", described))
    return module_of(optimizer.name, text)


def _said_of(given: Any) -> str:
    """What was given in the place of an optimizer, and what to do with it."""
    kind = type(given).__name__
    if isinstance(given, Schedule):
        return f"{kind}; put it into a rule, scheduled(rule, lr={given.name}), or write its module with `optgen build`"
    if isinstance(given, ModuleType):
        return f"{kind}; name a rule of it: compile({given.__name__.rpartition('.')[2]}.my_rule)"
    if isinstance(given, list | tuple):
        return f"{kind}; compile each rule by itself"
    if isinstance(given, type):
        return f"{kind}; what is generated is compiled already"
    return f"{kind}; load_file of optgen.loader finds the rules of a file" if isinstance(given, str | Path) else kind


def _origin(file: SpecFile, options: str) -> Origin:
    """What the header of a module says of the spec it comes from."""
    return Origin(__version__, file.title, hashlib.sha256(f"{file.digest} {options}".encode()).hexdigest())
