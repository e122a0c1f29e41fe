"""Where spec files and modules are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from optgen.errors import UsageError

HERE = Path("specs")
"""The folder of one's own specs, where a command runs."""


def installed_specs() -> Path:
    """The folder of the specs that come with optgen."""
    return _installed("optgen.specs")


def installed_generated() -> Path:
    """The folder of the modules that come with optgen."""
    return _installed("optgen.generated")


def _installed(name: str) -> Path:
    package = find_spec(name)
    if package is None or not package.submodule_search_locations:
        raise UsageError("optgen is not installed: run `pip install` on it, also to work on its sources")
    return Path(package.submodule_search_locations[0])


def module_folders(spec: Path, out: Path | None = None) -> list[Path]:
    """Where modules of a spec file may be, the likeliest first.

    That is the folder that is named, or ``generated`` here and, for specs that come with optgen, what it brings.
    """
    if out is None and spec.resolve().parent == installed_specs().resolve():
        return [Path("generated"), installed_generated()]
    return [out or Path("generated")]


def spec_files(folder: Path) -> list[Path]:
    """The spec files of a folder, sorted."""
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def in_reach() -> list[Path]:
    """The spec files of the folder ``specs`` here, then those that come with optgen, but for those of the same name."""
    own = spec_files(HERE) if HERE.is_dir() else []
    if HERE.is_dir() and HERE.resolve() == installed_specs().resolve():
        return own
    own_names = {path.name for path in own}
    return [*own, *(path for path in spec_files(installed_specs()) if path.name not in own_names)]


def title(path: Path) -> str:
    """A spec file as headers and tables name it: its folder and its name, whatever the working directory is."""
    return f"{path.resolve().parent.name}/{path.name}"
