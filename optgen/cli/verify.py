"""``optgen verify``: generated modules against their equations, and the verifier against broken modules."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from optgen import __version__, catalog
from optgen.catalog import Source
from optgen.certificates import KEPT, certificate, key
from optgen.cli.failures import complain_of
from optgen.cli.screen import complain, console, errors, named
from optgen.errors import UsageError
from optgen.folders import HERE, installed_specs, module_folders, spec_files
from optgen.language.spec import Optimizer
from optgen.modules import digest_of
from optgen.targets import NAMES, checked
from optgen.verify.candidate import FULL, QUICK, Candidate, Verdict
from optgen.verify.mutate import CLAIMS, Outcome
from optgen.verify.run import Verified, count_mutants, kills, processes, verify

Item = TypeVar("Item")
MANY = 1000
"""Units in the last place from which on their power of ten is enough."""
SAMPLE = 8
"""A sample of the mutants has every so many-th of a kind, and one of each at least."""


def run(
    names: Sequence[str],
    out: Path | None,
    target: str | None,
    *,
    quick: bool,
    mutants: bool,
    sample: bool,
    as_json: bool,
) -> None:
    """Verify what is named: all of ``specs/`` if nothing is, or all that comes with optgen where there is none."""
    here = spec_files(HERE if HERE.is_dir() else installed_specs())
    choices, not_loaded = named(names) if names else catalog.everything(here)
    for error in not_loaded:
        complain(str(error))
    with_kernels = [(source, each.name) for source, each in choices if each.kind == "optimizer"]
    if choices and not with_kernels:
        raise UsageError("schedules are plain Python: there is no kernel to verify")
    targets = [checked(target)] if target is not None else NAMES
    candidates = _candidates(with_kernels, out, targets)
    effort = QUICK if quick else FULL
    order = {(candidate.optimizer.name, candidate.target): k for k, candidate in enumerate(candidates)}
    stride = SAMPLE if quick or sample else 1
    breaking = count_mutants(candidates, stride) if mutants else 0
    with processes(len(candidates) + breaking) as pool:
        verified = _watched(verify(candidates, effort, pool), len(candidates), "verifying")
        found = sorted(verified, key=lambda each: order[each.name, each.target])
        outcomes: list[tuple[str, Outcome]] = []
        if mutants:
            outcomes = list(_watched(kills(candidates, pool, stride), breaking, "breaking"))
    digests = {key(each.optimizer.name, each.target): digest_of(each.path) or "" for each in candidates}
    entries = [{**_entry(each), "digest": digests[key(each.name, each.target)]} for each in found]
    _keep(with_kernels, entries)
    report = {
        "optgen": __version__,
        "effort": {"draws": effort.draws, "seed": effort.seed},
        "optimizers": entries,
        "mutants": _kill_table(outcomes),
    }
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        _show(report, mutants=mutants)
    complain_of(found, candidates)
    _complain_of_survivors(outcomes)
    survived = any(outcome.survived for _, outcome in outcomes)
    wrong = any(finding.verdict is Verdict.FAILED for each in found for finding in each.findings)
    if wrong or survived or not_loaded:
        raise typer.Exit(1)


def _candidates(choices: Sequence[tuple[Source, str]], out: Path | None, targets: Sequence[str]) -> list[Candidate]:
    """Optimizers with their modules in the folder, or, if none is given, for specs that come with optgen also there."""
    candidates, missing = [], []
    for source, name in choices:
        places = module_folders(source.path, out)
        found = [place for place in places if any((place / each / f"{name}.py").is_file() for each in targets)]
        if not found:
            missing.append(name)
            continue
        optimizer = source.rule(name)
        assert isinstance(optimizer, Optimizer)
        paths = [(found[0] / each / f"{name}.py", each) for each in targets]
        candidates += [Candidate(optimizer, path, target=each) for path, each in paths if path.is_file()]
    if missing:
        raise UsageError(
            f"there is no module for {', '.join(missing)} in {out or 'generated'}: run `optgen build` first"
        )
    return candidates


def _watched(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items, with a bar on a terminal."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield from progress.track(items, total=total)


def _entry(verified: Verified) -> dict[str, Any]:
    stored = [f for f in verified.findings if f.part == "translation" and f.figures.get("stored")]
    measured = [finding.figures for finding in verified.findings if "ulps" in finding.figures]
    return {
        "name": verified.name,
        "target": verified.target,
        "stored": len(stored),
        "proved": sum(finding.verdict is Verdict.PROVED for finding in stored),
        "tested": sum(finding.verdict is Verdict.TESTED for finding in stored),
        "worst_ulps": {
            dtype: max((f["ulps"] for f in measured if f.get("dtype") == dtype and "ulps" in f), default=None)
            for dtype in ("float32", "float64")
        },
        "drift": {
            figure: max((f.figures[figure] for f in verified.findings if figure in f.figures), default=None)
            for figure in ("rest_ulps", "noisy")
        },
        "cases": sum(int(figures.get("cases", 0)) for figures in measured),
        "parts": {
            part: dict(Counter(f.verdict.value for f in verified.findings if f.part == part))
            for part in dict.fromkeys(finding.part for finding in verified.findings)
        },
        "failed": sum(finding.verdict is Verdict.FAILED for finding in verified.findings),
        "findings": [{**vars(finding), "verdict": finding.verdict.value} for finding in verified.findings],
    }


def _keep(choices: Sequence[tuple[Source, str]], entries: Sequence[dict[str, Any]]) -> None:
    """Keep what was found out, for `optgen explain`."""
    for source, name in choices:
        own = {key(name, entry["target"]): certificate(entry) for entry in entries if entry["name"] == name}
        source.learn({KEPT: {**source.remembered.get(KEPT, {}), **own}})


def _kill_table(outcomes: list[tuple[str, Outcome]]) -> list[dict[str, Any]]:
    made = Counter((outcome.target, outcome.mutant.kind) for _, outcome in outcomes)
    caught = Counter((outcome.target, outcome.mutant.kind) for _, outcome in outcomes if outcome.caught)
    same = Counter((outcome.target, outcome.mutant.kind) for _, outcome in outcomes if outcome.same)
    return [
        {
            "target": target,
            "kind": kind,
            "part": part,
            "made": made[target, kind] - same[target, kind],
            "caught": caught[target, kind],
            "same": same[target, kind],
        }
        for target in NAMES
        for kind, part in CLAIMS.items()
        if made[target, kind]
    ]


def _show(report: dict[str, Any], *, mutants: bool) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("target", no_wrap=True)
    for heading in ("proved", "f32", "f64", "rest", "noisy", "memory", "claims"):
        table.add_column(heading, justify="right", no_wrap=True)
    entries = report["optimizers"]
    for entry in entries:
        ulps = [_ulps(value) for value in entry["worst_ulps"].values()]
        ulps += ["-" if value is None else f"{value:.1g}" for value in entry["drift"].values()]
        held = [_held(entry["parts"].get(part, {})) for part in ("memory", "properties")]
        proved = f"{entry['proved']}/{entry['stored']}"
        table.add_row(entry["name"], entry["target"], proved, *ulps, *held, style="red" if entry["failed"] else "")
    console.print(table)
    proved, stored, cases = (sum(entry[key] for entry in entries) for key in ("proved", "stored", "cases"))
    console.print(
        f"\n{len(entries)} modules: {proved} of {stored} stored values proved, {cases:,} random cases compared."
        "\nf32, f64: the worst error in units in the last place, relative to the magnitude of the terms."
        "\nrest, noisy: after 100,000 steps in float32, how far in such units what should rest has moved, and how far"
        "\nmoments of noisy gradients are off, relative to their size."
    )
    if mutants:
        _show_kills(report["mutants"])


def _ulps(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < MANY else f"{value:.0e}"


def _held(verdicts: dict[str, int]) -> str:
    looked = sum(number for verdict, number in verdicts.items() if verdict != Verdict.SKIPPED.value)
    skipped = verdicts.get(Verdict.SKIPPED.value, 0)
    return f"{looked - verdicts.get(Verdict.FAILED.value, 0)}/{looked}" + (f" (-{skipped})" if skipped else "")


def _show_kills(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("mistakes", style="cyan", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("claimed by", no_wrap=True)
    table.add_column("made", justify="right")
    table.add_column("caught", justify="right")
    table.add_column("no change", justify="right")
    for row in rows:
        table.add_row(row["kind"], row["target"], row["part"], *(str(row[key]) for key in ("made", "caught", "same")))
    made, caught, same = (sum(row[key] for row in rows) for key in ("made", "caught", "same"))
    table.add_row("all", "", "", str(made), f"{caught} ({caught / max(made, 1):.1%})", str(same), style="bold")
    console.print()
    console.print(table)
    console.print(
        f"\n{made:,} mistakes, {caught:,} caught; {same:,} changes that change nothing: the same bits are left."
    )


def _complain_of_survivors(outcomes: list[tuple[str, Outcome]]) -> None:
    for name, outcome in outcomes:
        if outcome.survived:
            mutant = outcome.mutant
            part = CLAIMS[mutant.kind] if outcome.target == "cpu" else f"any part for {outcome.target}"
            complain(f"{name}: not caught by {part}: {mutant.kind} in {mutant.place}, {mutant.change}")
