"""What the commands share: consoles, and what their arguments name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from optgen import catalog
from optgen.catalog import Choice
from optgen.errors import SpecError, UsageError
from optgen.folders import HERE, in_reach, spec_files

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def complain(message: str) -> None:
    """Print an error to standard error, as it is."""
    errors.print("error", style="bold red", end=": ")
    errors.print(message, markup=False, soft_wrap=True)


def all_here() -> list[Path]:
    """The spec files of the folder ``specs`` here."""
    if not HERE.is_dir():
        raise UsageError("there is no folder specs/ here: name an optimizer or a spec file, or start with `optgen new`")
    return spec_files(HERE)


def named(wanted: Sequence[str]) -> tuple[list[Choice], list[SpecError]]:
    """The optimizers and schedules that arguments name: all of a file, or those in reach of a name.

    With them comes what is wrong with the files that could not be loaded.
    """
    _refuse_no_names(wanted)
    files = [Path(item) for item in wanted if item.endswith(".py")]
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file}: there is no such file")
    choices, failures = catalog.everything(files)
    for file in files:
        if not failures and file.resolve() not in {source.path.resolve() for source, _ in choices}:
            raise UsageError(f"{file} declares no Optimizer and no Schedule at its top level")
    reach = in_reach()
    for name in dict.fromkeys(item for item in wanted if not item.endswith(".py")):
        source, declared = catalog.found(name, reach)
        if (source.path.resolve(), name) not in {(other.path.resolve(), each.name) for other, each in choices}:
            choices.append((source, declared))
    return choices, failures


def one_named(name: str) -> Choice:
    """The optimizer or schedule of a name, or the one that a file declares."""
    _refuse_no_names([name])
    if not name.endswith(".py"):
        return catalog.found(name, in_reach())
    choices, failures = named([name])
    for error in failures:
        raise error
    own = [choice for choice in choices if len(choices) == 1 or choice[1].name == Path(name).stem]
    if not own:
        raise UsageError(f"{name} declares {', '.join(each.name for _, each in choices)}: name one")
    return own[0]


def _refuse_no_names(wanted: Sequence[str]) -> None:
    """Refuse what can name nothing, as a variable of a shell that is not set."""
    for item in wanted:
        if not item.strip():
            raise UsageError(f"{item!r} is no name: write one that `optgen list` has, or that of a spec file")
