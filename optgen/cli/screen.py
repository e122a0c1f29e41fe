"""What the commands share: consoles and the specs in reach."""

from pathlib import Path

from rich.console import Console

from optgen.loader import Loaded, installed_specs, load, spec_files

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def complain(message: str) -> None:
    """Print an error to standard error, as it is."""
    errors.print("error", style="bold red", end=": ")
    errors.print(message, markup=False, soft_wrap=True)


def specs_in_reach() -> Loaded:
    """The specs of the folder ``specs`` here, then those that come with optgen unless they are the same."""
    here = Path("specs")
    own = spec_files(here) if here.is_dir() else []
    installed = spec_files(installed_specs())
    if here.is_dir() and here.resolve() == installed_specs().resolve():
        return load(own)
    taken = {path.name for path in own}
    return load([*own, *(path for path in installed if path.name not in taken)])
