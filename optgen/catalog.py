"""Spec files as commands see them: what is remembered of a file is believed, and the rest is found by executing it."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optgen import known
from optgen.errors import Location, Problem, SpecError, UsageError
from optgen.files import content
from optgen.folders import HERE, installed_generated, spec_files

if TYPE_CHECKING:
    from optgen.loader import Rule, SpecFile


@dataclass(frozen=True)
class Declared:
    """An optimizer or a schedule, by name."""

    name: str
    kind: str
    title: str
    line: int | None


@dataclass(frozen=True)
class Source:
    """A spec file, which is executed only where what is asked of it is not remembered."""

    path: Path  # the file

    @cached_property
    def key(self) -> str | None:
        """What everything remembered about it follows from."""
        return known.key_of(self.path)

    @cached_property
    def remembered(self) -> dict[str, Any]:
        """What has been found out about it before."""
        return known.recall(self.path, self.key)

    @cached_property
    def file(self) -> SpecFile:
        """The file, executed."""
        from optgen.loader import load_file

        return load_file(self.path)

    @property
    def declared(self) -> list[Declared]:
        """The optimizers and schedules that it declares."""
        found = self.known("declared", lambda: [[x.name, x.kind, x.title, x.location.line] for x in self.file.rules])
        return [Declared(*row) for row in found]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What there is to know about each optimizer and schedule."""
        found: list[dict[str, Any]] = self.known("facts", self._facts)
        return found

    def _facts(self) -> list[Any]:
        from optgen.facts import facts

        return [facts(self.file, rule) for rule in self.file.rules]

    def known(self, question: str, answer: Callable[[], Any]) -> Any:
        """What is remembered as the answer to a question, or what is found now, which is kept."""
        if question not in self.remembered:
            self.learn({question: answer()})
        return self.remembered[question]

    def learn(self, answers: Mapping[str, Any]) -> None:
        """Keep answers."""
        self.remembered.update(answers)
        known.keep(self.path, self.key, self.remembered)

    def rule(self, name: str) -> Rule:
        """The optimizer or schedule of a name."""
        return next(rule for rule in self.file.rules if rule.name == name)

    def seems_to_declare(self, name: str) -> bool:
        """Whether, at first sight, a name could be declared in it."""
        if "declared" in self.remembered:
            return name in (each.name for each in self.declared)
        try:
            tree = ast.parse(content(self.path))
        except (OSError, SyntaxError, ValueError, RecursionError):
            return self.path.stem == name
        return any(
            (isinstance(node, ast.Constant) and node.value == name)
            or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name)
            for node in ast.walk(tree)
        )  # fmt: skip


Choice = tuple[Source, Declared]


def everything(paths: Iterable[Path]) -> tuple[list[Choice], list[SpecError]]:
    """All optimizers and schedules of files, and what is wrong with files; one that fails does not stop the others."""
    from_files: list[Choice] = []
    errors: list[SpecError] = []
    owners: dict[str, Path] = {}
    for path in {path.resolve(): path for path in paths}.values():
        source = Source(path)
        try:
            declared = source.declared
        except SpecError as error:
            errors.append(error)
            continue
        if again := next((each for each in declared if each.name in owners), None):
            problem = Problem(f"{owners[again.name]} declares one of this name too", "rename one of the two")
            errors.append(SpecError([problem], again.name, Location(str(path.resolve()), again.line), again.kind))
            continue
        from_files += [(source, each) for each in declared]
        owners.update({each.name: path for each in declared})
    return from_files, errors


def found(name: str, paths: Sequence[Path]) -> Choice:
    """The optimizer or schedule of a name, from the first file that declares it.

    Files that seem to declare it are executed first, and the others only if it is in none of these.
    """
    sources = [Source(path) for path in paths]
    failed: list[SpecError] = []
    known_names: list[Declared] = []
    for source in sorted(sources, key=lambda source: not source.seems_to_declare(name)):
        try:
            declared = source.declared
        except SpecError as error:
            if name in (error.optimizer, source.path.stem) or source.seems_to_declare(name):
                failed.append(error)
            continue
        for each in declared:
            if each.name == name:
                return source, each
        known_names += declared
    if failed:
        raise failed[0]
    if Path(name).is_dir():
        raise UsageError(f"{name} is a folder: name spec files in it")
    raise UsageError(f"there is no optimizer or schedule '{name}': {suggestion(name, known_names)}")


def suggestion(name: str, known_names: Sequence[Declared]) -> str:
    """What could have been meant by a name that is not there."""
    spellings = {word.lower(): each.name for each in known_names for word in (each.title, each.name)}
    near = difflib.get_close_matches(name.lower(), spellings, n=3)
    inside = [word for word in spellings if len(name) > 2 and name.lower() in word]  # noqa: PLR2004 - two letters are in many
    meant = list(dict.fromkeys(spellings[word] for word in [*near, *inside]))[:3]
    return f"did you mean {' or '.join(meant)}?" if meant else "`optgen list` shows what there is"


def matching(choices: Iterable[Choice], patterns: Sequence[str]) -> list[Choice]:
    """Those of which a pattern fits the name, the title or the family: a part of it, or the whole if it has ``*?[``."""
    wanted = [text.lower() if set(text) & set("*?[") else f"*{text.lower()}*" for text in patterns]
    return [
        (source, each)
        for source, each in choices
        if any(fnmatch(word.lower(), text) for word in (each.name, each.title, source.path.stem) for text in wanted)
    ]


def names() -> list[str]:
    """The names of optimizers and schedules, as far as they are known without executing anything."""
    own = [row[0] for path in spec_files(HERE) for row in Source(path).remembered.get("declared", ())]
    built = [path.stem for folder in (Path("generated"), installed_generated()) for path in folder.glob("*/*.py")]
    return sorted({*own, *built} - {"__init__"})
