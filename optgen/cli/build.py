"""``optgen build``: bring generated modules up to date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import typer

from optgen import catalog, folders
from optgen.catalog import Choice, Declared, Source
from optgen.cli.screen import all_here, complain, console, named
from optgen.errors import SpecError
from optgen.modules import Built, Status, digest_of, module_paths, orphans
from optgen.targets import NAMES, checked

_STYLE = {Status.BUILT: "green", Status.UNCHANGED: "dim", Status.STALE: "yellow", Status.FAILED: "red"}


def run(wanted: Sequence[str], target: str | None, out: Path, *, check: bool, as_json: bool) -> None:
    """Build, or compare, what is named; all of ``specs/`` if nothing is."""
    targets = [checked(target)] if target is not None else list(NAMES)
    choices, failures = named(wanted) if wanted else catalog.everything(all_here())
    results: list[Built] = []
    total = sum(len(module_paths(each.name, each.kind, targets)) for _, each in choices)
    for result in _with_progress(_built(choices, targets, out, failures, check=check), total, quiet=as_json):
        results.append(result)
        if result.status is Status.BUILT and not as_json:
            console.print(f"[green]built[/] {result.name}  {result.path}", soft_wrap=True)
    if check and not wanted and not failures:
        made = [path for _, each in choices for path in module_paths(each.name, each.kind, targets)]
        results += orphans(made, targets, out)
    said = [_said(result) for result in results if result.status in (Status.FAILED, Status.STALE)]
    for line in dict.fromkeys([*said, *map(str, failures)]):  # targets may fail for one reason
        complain(line)
    if as_json:
        print(json.dumps([_as_json(result) for result in results], indent=2))
    else:
        _summarize(results, failures)
    if said or failures:
        raise typer.Exit(1)


def _built(
    choices: Iterable[Choice], targets: Sequence[str], out: Path, failures: list[SpecError], *, check: bool
) -> Iterator[Built]:
    """What becomes of each module; a file that cannot be loaded after all joins the failures."""
    for source, group in groupby(choices, key=lambda choice: choice[0]):
        wanted = [declared for _, declared in group]
        current = None if check else _current(source, wanted, targets, out)
        if current is not None:
            yield from current
            continue
        try:
            pairs = [(source.file, source.rule(declared.name)) for declared in wanted]
        except SpecError as error:
            failures.append(error)
            continue
        from optgen.build import build

        results = []
        for result in build(pairs, targets, out, check=check):
            results.append(result)
            yield result
        digests = {str(result.path.relative_to(out)): result.digest for result in results if result.digest}
        source.learn({"modules": {**source.remembered.get("modules", {}), **digests}})


def _current(source: Source, wanted: Sequence[Declared], targets: Sequence[str], out: Path) -> list[Built] | None:
    """The modules of a spec file, if they are what is remembered that was made of it; None if there is work to do."""
    known = source.remembered.get("modules", {})
    title = folders.title(source.path)
    results = [
        Built(each.name, title, out / path, Status.UNCHANGED, kind=each.kind, digest=known.get(path, ""))
        for each in wanted
        for path in module_paths(each.name, each.kind, targets)
    ]
    return results if all(result.digest and digest_of(result.path) == result.digest for result in results) else None


def _with_progress(results: Iterable[Built], total: int, *, quiet: bool) -> Iterable[Built]:
    if quiet or not console.is_terminal:
        return results
    from rich.progress import track

    return track(results, "building", total=total, console=console, transient=True)


def _said(result: Built) -> str:
    if result.status is Status.FAILED:
        return result.reason
    return f"{result.path} {result.reason}" + (f" ({result.kind} '{result.name}')" if result.spec else "")


def _summarize(results: Sequence[Built], failures: Sequence[SpecError]) -> None:
    counts = [(status, sum(result.status is status for result in results)) for status in Status]
    parts = [f"[{_STYLE[status]}]{number} {status.value}[/]" for status, number in counts if number]
    if failures:
        parts.append(f"[red]{len(failures)} spec files could not be loaded[/]")
    console.print(", ".join(parts) or "nothing to build")


def _as_json(result: Built) -> dict[str, str]:
    return {
        "name": result.name,
        "kind": result.kind,
        "spec": result.spec,
        "path": str(result.path),
        "status": result.status.value,
        "reason": result.reason,
    }
