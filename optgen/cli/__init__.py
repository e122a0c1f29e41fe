"""The command line: one command a file."""

import sys

import typer

from optgen import __version__
from optgen.cli import build, listing, new, show, verify
from optgen.cli.screen import complain
from optgen.errors import OptgenError, UsageError

app = typer.Typer(
    name="optgen",
    help="Compile optimizers: from update equations in SymPy to fused Numba kernels.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("build")(build.command)
app.command("list")(listing.command)
app.command("show")(show.command)
app.command("verify")(verify.command)
app.command("new")(new.command)


def _print_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        print(f"optgen {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),  # noqa: FBT001, FBT003
) -> None:
    del version


def main() -> None:
    """Run the command line. Exit status: 0 all well, 1 a check or a spec failed, 2 wrong use."""
    try:
        app()
    except (UsageError, OSError) as error:
        complain(str(error))
        sys.exit(2)
    except OptgenError as error:
        complain(str(error))
        sys.exit(1)
