"""What was found out about a spec file, kept in the cache until anything changes that it was found from.

Names, sizes and the digests of modules follow from the text of the spec, from that of the files it imports and from
that of the compiler. A digest of all these is the key under which an answer is kept, so one that is stale is not found.
A file that could depend on more than these (it opens files, asks for the time, imports what is not known to be the same
everywhere) has no key, and is executed each time.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from optgen.files import cache, content, write_whole
from optgen.folders import installed_specs, title

_PURE = frozenset(
    """
    __future__ abc cmath collections dataclasses decimal enum fractions functools itertools math mpmath numbers operator
    optgen optgen.combinators optgen.errors optgen.hypers optgen.language optgen.properties string sympy textwrap types
    typing
    """.split()
)
"""Modules whose functions give the same for the same arguments, or that are part of the compiler."""
_IMPURE = frozenset("breakpoint compile eval exec globals hash id input locals open vars".split())
"""Builtins through which a spec could depend on more than its text."""
_INSIDES = frozenset({"generated", "specs"})
"""Parts of optgen that change without the compiler; a spec imports their files by name."""
_HARMLESS = frozenset({"__all__", "__doc__", "__name__"})
_VERSIONS = {"sympy": "release.py", "mpmath": "__init__.py"}
"""Files that hold the versions of what the compiler works with; reading them is faster than importing them."""
_NO_PART_OF_THE_COMPILER = frozenset({"cli", "generated", "plot", "specs", "verify"})


def key_of(path: Path) -> str | None:
    """What all answers about a spec file follow from, as a digest; None if there is no telling."""
    try:
        files = _with_imports(path)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    if files is None:
        return None
    parts = [compiler(), title(path), *(f"{name} {digest}" for name, digest in sorted(files.items()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@lru_cache(1)
def compiler() -> str:
    """A digest of the sources of the compiler and of the versions of what it works with, as they were at the start."""
    root = Path(__file__).parent
    sources = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in _NO_PART_OF_THE_COMPILER]
    found = hashlib.sha256(sys.version.encode())
    for path in [*sorted(sources), *_versions()]:
        found.update(f"\n{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return found.hexdigest()


@lru_cache(1)
def verifier() -> str:
    """A digest of the sources of the verifier, for what it says of a rule."""
    found = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "verify").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _versions() -> Iterator[Path]:
    for name, file in _VERSIONS.items():
        package = find_spec(name)
        if package is not None and package.submodule_search_locations:
            yield Path(package.submodule_search_locations[0]) / file


def _with_imports(path: Path) -> dict[str, str] | None:
    """The digests of a file and of all spec files that it imports; None if it could depend on anything else."""
    found: dict[str, str] = {}
    ahead = [path.resolve()]
    while ahead:
        file = ahead.pop()
        if str(file) in found:
            continue
        data = content(file)
        found[str(file)] = hashlib.sha256(data).hexdigest()
        siblings = _imports(data, file.parent)
        if siblings is None:
            return None
        ahead.extend(siblings)
    return found


@lru_cache(256)
def _imports(data: bytes, folder: Path) -> list[Path] | None:
    """The spec files that a text imports; None if it could depend on what is in no spec file."""
    found: list[Path] = []
    for node in ast.walk(ast.parse(data)):
        files = _needs(node, folder)
        if files is None:
            return None
        found.extend(file.resolve() for file in files)
    return found


def _needs(node: ast.AST, folder: Path) -> list[Path] | None:
    """The spec files that a piece of Python imports; None as above."""
    match node:
        case ast.Import(names):
            return [] if all(_is_pure(name.name) for name in names) else None
        case ast.ImportFrom(None | "optgen.specs", names):
            return _files(folder if node.level else installed_specs(), [name.name for name in names], node.level)
        case ast.ImportFrom(module) if node.level or str(module).startswith("optgen.specs."):
            return _files(
                folder if node.level else installed_specs(), [str(module).removeprefix("optgen.specs.")], node.level
            )
        case ast.ImportFrom("optgen", names):
            return [] if all(_is_pure(f"optgen.{name.name}") for name in names) else None
        case ast.ImportFrom(module):
            return [] if _is_pure(str(module)) else None
        case ast.Name(name) if name in _IMPURE:
            return None
        case ast.Name(name) | ast.Attribute(attr=name):
            return None if name in _INSIDES or (name.startswith("__") and name not in _HARMLESS) else []
    return []


def _files(folder: Path, names: Sequence[str], level: int) -> list[Path] | None:
    """The spec files of names in a folder; None if it is not the folder itself."""
    return [folder / f"{name}.py" for name in names] if level <= 1 else None


def _is_pure(module: str) -> bool:
    """Whether a module is one of those; of optgen, so are names that are no module."""
    first, *inside = module.split(".")
    if first != "optgen" or not inside:
        return first in _PURE
    return f"optgen.{inside[0]}" in _PURE or not _is_module(inside[0])


def _is_module(name: str) -> bool:
    root = Path(__file__).parent
    return (root / f"{name}.py").is_file() or (root / name).is_dir() or name in _INSIDES


def recall(path: Path, key: str | None) -> dict[str, Any]:
    """What was found out about a file from what it is now; nothing if that is not known, or not to be believed."""
    place = _place(path)
    if key is None or place is None:
        return {}
    try:
        seal, _, text = content(place).decode().partition("\n")
        answers = json.loads(text) if seal == _seal(key, text) else {}
    except (OSError, ValueError):
        return {}
    return answers if isinstance(answers, dict) else {}


def keep(path: Path, key: str | None, answers: Mapping[str, Any]) -> None:
    """Keep what was found out about a file, where there is a disk to keep it on and the file has not changed since."""
    place = _place(path)
    if key is None or place is None or key_of(path) != key:
        return
    text = json.dumps(answers)
    try:
        write_whole(place, f"{_seal(key, text)}\n{text}")
    except OSError:
        return


def _place(path: Path) -> Path | None:
    """Where the answers about a file are: one place for each file, so that they do not pile up."""
    folder = cache()
    return folder and folder / "known" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]}.json"


def _seal(key: str, text: str) -> str:
    """Says that a text is whole, and the answer to a key."""
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()
