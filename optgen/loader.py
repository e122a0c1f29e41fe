"""From spec files to optimizers and schedules.

The files of a folder are loaded as one package, so that a spec may say ``from .adam import moments``. Every load reads
the sources anew: neither bytecode nor an earlier load can be stale.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import optgen
from optgen import advice, folders
from optgen.errors import Location, Problem, SpecError
from optgen.files import content
from optgen.language.folded import refuse_folded_in
from optgen.language.schedules import Schedule
from optgen.language.spec import Optimizer

Rule = Optimizer | Schedule
"""What a spec file declares."""
_SESSION = count()


@dataclass(frozen=True)
class SpecFile:
    """A spec file and what it declares."""

    path: Path  # the file
    # Those declared in it, in order; those it imports belong to the files they come from
    optimizers: tuple[Optimizer, ...]
    digest: str  # sha256 of its bytes
    schedules: tuple[Schedule, ...] = ()  # the same of schedules

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All that it declares."""
        return (*self.optimizers, *self.schedules)

    @property
    def title(self) -> str:
        """The file as headers and tables name it."""
        return folders.title(self.path)


def load_file(path: Path) -> SpecFile:
    """Load one spec file; a `SpecError` if it cannot be loaded, whatever the reason."""
    try:
        return _load(path)
    except OSError as error:
        problem = Problem(f"it cannot be read: {error.strerror}", "name a file that is there and may be read")
        raise SpecError([problem], location=Location(str(path.absolute()))) from None
    except SpecError as error:
        own = error.location.file == str(path.resolve())
        raise error if own else _needs(path, Path(error.location.file or ""), error.problems[0].what) from None


def _load(path: Path) -> SpecFile:
    digest = hashlib.sha256(content(path)).hexdigest()
    with _package(path.parent) as package:
        module = _execute(f"{package}.{path.stem}", path)
        others = [other for other in list(sys.modules.values()) if other is not module]
    declared = [value for value in vars(module).values() if isinstance(value, Rule)]
    # There are a million values in all modules, so none of them is looked at but by its address.
    addresses, found = set(map(id, declared)), (list(getattr(other, "__dict__", {}).values()) for other in others)
    imported = {address for values in found for address in addresses.intersection(map(id, values))}
    own = [rule for rule in dict.fromkeys(declared) if id(rule) not in imported]
    _refuse_double_names(own, path)
    if not own:
        _refuse_rules_without_names(module, path)
    optimizers = tuple(rule for rule in own if isinstance(rule, Optimizer))
    return SpecFile(path, optimizers, digest, tuple(rule for rule in own if isinstance(rule, Schedule)))


def _execute(name: str, path: Path) -> ModuleType:
    loader = _Fresh(name, str(path.resolve()))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        # What a command prints may be for a program to read, and what it writes belongs where it was started.
        with redirect_stdout(sys.stderr), _same_folder():
            loader.exec_module(module)
        refuse_folded_in(loader.get_source(name) or "", vars(module), str(path.resolve()))
    except SpecError as error:
        raise error.at(Location(str(path.resolve()))) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever else ends a program, or a class of its own that would
        raise _as_spec_error(error, path) from error
    return module


@contextmanager
def _same_folder() -> Iterator[None]:
    """Come back to the folder in which the program runs, from wherever a file has gone."""
    here = Path.cwd()
    try:
        yield
    finally:
        os.chdir(here)


def _as_spec_error(error: BaseException, path: Path) -> SpecError:
    """What went wrong while a file ran, at the line of the file that had to do with it."""
    file, known = str(path.resolve()), set(optgen.__all__)
    number, line = None, ""
    frames = list(traceback.walk_tb(error.__traceback__))
    broken = [frame.f_code.co_filename for frame, _ in frames if frame.f_code.co_name == "<module>"]
    if isinstance(error, SyntaxError):
        number, line = error.lineno, error.text or ""
        broken.append(error.filename or file)
    siblings = [Path(name) for name in broken if name != file and Path(name).parent == path.resolve().parent]
    if siblings:
        return _needs(path, siblings[-1], advice.problem(error, "").what)
    linecache.checkcache(file)
    for frame, at in frames:
        if frame.f_code.co_filename == file:
            number, line = at, linecache.getline(file, at)
            known.update(frame.f_globals, frame.f_locals)
    return SpecError([advice.problem(error, line.strip(), known)], location=Location(file, number))


def _needs(path: Path, sibling: Path, why: str) -> SpecError:
    """The error of a file whose sibling is at fault; what to write instead is said with the sibling."""
    problem = Problem(f"it imports {sibling.name}, which cannot be loaded: {why}", "mend that one first")
    return SpecError([problem], location=Location(str(path.resolve())))


def _refuse_double_names(rules: Sequence[Rule], path: Path) -> None:
    names = [rule.name for rule in rules]
    for rule in rules:
        if names.count(rule.name) > 1:
            problem = Problem("this file gives this name twice", "give each a name of its own")
            raise SpecError([problem], rule.name, Location(str(path.resolve())), rule.kind)


def _refuse_rules_without_names(module: ModuleType, path: Path) -> None:
    """Refuse a file whose rules are made, but in lists, in dicts or for nobody: a rule is found by its name."""
    for name, value in vars(module).items():
        held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        if not name.startswith("_") and any(isinstance(each, Rule) for each in held):
            what = f"`{name}` has rules in it, which have no name in this file"
            raise SpecError([Problem(what, _NAME_IT)], location=Location(str(path.resolve())))
    for node in ast.parse(path.read_bytes()).body:
        called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Name) and getattr(module, called.id, None) in (Optimizer, Schedule):
            what = f"this {called.id} is made and forgotten"
            raise SpecError([Problem(what, _NAME_IT)], location=Location(str(path.resolve()), node.lineno))


_NAME_IT = 'give each a name: my_rule = Optimizer("my_rule", …)'


class _Fresh(SourceFileLoader):
    """Compiles the source as it is now; Python's own loader may take bytecode from within the same second."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


@dataclass(frozen=True)
class _Siblings(MetaPathFinder):
    """Finds the files of one folder as the modules of one package."""

    package: str
    folder: Path

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        parent, _, stem = fullname.rpartition(".")
        file = self.folder / f"{stem}.py"
        if parent != self.package or not file.is_file():
            return None
        return spec_from_file_location(fullname, file, loader=_Fresh(fullname, str(file.resolve())))


@contextmanager
def _package(folder: Path) -> Iterator[str]:
    """A package of the files in a folder that exists as long as one file is being loaded."""
    name = f"optgen_specs_{next(_SESSION)}"
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    finder = _Siblings(name, folder)
    sys.modules[name] = package
    sys.meta_path.insert(0, finder)
    try:
        yield name
    finally:
        sys.meta_path.remove(finder)
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[loaded]
