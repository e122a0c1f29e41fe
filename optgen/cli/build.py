"""``optgen build``: bring generated modules up to date."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from optgen.build import Result, Status, build, orphans, target_named
from optgen.cli.screen import Selection, complain, console, everything_in, named
from optgen.errors import SpecError, UsageError
from optgen.language.spec import Optimizer
from optgen.loader import Rule, SpecFile, load, spec_files
from optgen.targets import TARGETS
from optgen.targets.base import Target

Wanted = Sequence[tuple[SpecFile, Rule]]
_STYLE = {Status.BUILT: "green", Status.UNCHANGED: "dim", Status.STALE: "yellow", Status.FAILED: "red"}


def command(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|FILE]...", help="Optimizers, schedules or spec files; all of specs/ if none."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The kind of machine: cpu or cuda; both unless given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the modules.")] = Path("generated"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything is stale.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Build modules from specs."""
    machines = [target_named(target)] if target else list(TARGETS.values())
    selected, failures = named(wanted) if wanted else _everything()
    results = []
    for result in _with_progress(
        _built(selected, machines, out, check=check), _size(selected, machines), quiet=as_json
    ):
        results.append(result)
        if not as_json:
            _report(result)
    if check and not wanted and not failures:
        stale = list(dict.fromkeys(orphan for machine in machines for orphan in orphans(selected, machine, out)))
        results += stale
        for result in stale:
            _report(result)
    for failure in failures:
        complain(str(failure))
    if as_json:
        print(json.dumps([_as_json(result) for result in results], indent=2))  # noqa: T201
    else:
        _summarize(results, failures)
    if failures or any(result.status in (Status.STALE, Status.FAILED) for result in results):
        raise typer.Exit(1)


def _built(selected: Wanted, machines: Sequence[Target], out: Path, *, check: bool) -> Iterator[Result]:
    """Build for each machine in turn; schedules, which are the same for all, with the first."""
    for machine in machines:
        wanted = [pair for pair in selected if machine is machines[0] or isinstance(pair[1], Optimizer)]
        yield from build(wanted, machine, out, check=check)


def _size(selected: Wanted, machines: Sequence[Target]) -> int:
    """How many modules that makes."""
    return sum(len(machines) if isinstance(rule, Optimizer) else 1 for _, rule in selected)


def _everything() -> Selection:
    if not Path("specs").is_dir():
        raise UsageError("there is no folder specs/ here: name an optimizer or a spec file, or start with `optgen new`")
    return everything_in(load(spec_files(Path("specs"))))


def _with_progress(results: Iterable[Result], total: int, *, quiet: bool) -> Iterable[Result]:
    if quiet or not console.is_terminal:
        return results
    return track(results, "building", total=total, console=console, transient=True)


def _report(result: Result) -> None:
    if result.status is Status.FAILED:
        complain(result.reason)
    elif result.status is Status.STALE:
        complain(f"{result.path} {result.reason}" + (f" ({result.kind} '{result.name}')" if result.spec else ""))
    elif result.status is Status.BUILT:
        console.print(f"[green]built[/] {result.name}  {result.path}", soft_wrap=True)


def _summarize(results: list[Result], failures: tuple[SpecError, ...]) -> None:
    counts = [(status, sum(result.status is status for result in results)) for status in Status]
    parts = [f"[{_STYLE[status]}]{number} {status.value}[/]" for status, number in counts if number]
    if failures:
        parts.append(f"[red]{len(failures)} spec files could not be loaded[/]")
    console.print(", ".join(parts) or "nothing to build")


def _as_json(result: Result) -> dict[str, str]:
    return {
        "name": result.name,
        "kind": result.kind,
        "spec": result.spec,
        "path": str(result.path),
        "status": result.status.value,
        "reason": result.reason,
    }
