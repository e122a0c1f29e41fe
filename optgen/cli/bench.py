"""``optgen bench``: how long steps take, beside what memory allows and what the optimizers of others need."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from optgen import catalog
from optgen.bench import peers
from optgen.bench.heats import Heat, StoredAs, every, standard
from optgen.bench.machine import machine
from optgen.bench.models import ALL, USUAL, chosen
from optgen.bench.race import FULL, QUICK, TIMED, Pace, Subject, outcome
from optgen.bench.tables import printed
from optgen.catalog import Choice
from optgen.cli.screen import complain, console, errors, named
from optgen.errors import UsageError
from optgen.facts import branches_in_turn
from optgen.files import module_of, write_whole
from optgen.folders import in_reach, installed_generated, module_folders
from optgen.language.spec import Optimizer
from optgen.pipeline import kernel_of
from optgen.runtime.core.storage import dtype_of, format_of

WORDS = {
    "fused": "torch fused",
    "foreach": "torch foreach",
    "single": "torch single",
    "compiled": "torch compiled",
    "optax": "optax jit",
    "deepspeed": "DeepSpeed",
}
"""How contenders are asked for."""
INTERRUPTED = 130
"""The exit status of what Ctrl-C has stopped."""


@dataclass(frozen=True)
class Options:
    """What the options say that choose what is timed, as they are written; empty is what is not said."""

    shapes: str = ""
    dtype: str = ""
    store: str = ""
    rounding: str = ""
    master: bool = False
    kahan: bool = False
    as_matrices: bool = False
    threads: str = ""
    against: str = ""

    @property
    def said(self) -> list[str]:
        """The options that are used."""
        return [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value]


def run(
    names: Sequence[str], asked: Options, out: Path | None, pictures: Path | None, *, quick: bool, of_all: bool
) -> None:
    """Time rules, print a table for each, and write what is asked for."""
    _refuse(names, asked, out, pictures, of_all=of_all)
    found = _rules(names)
    if names or of_all:
        heats = [heat for choice in found.values() for heat in _heats(choice, asked, of_all=of_all)]
    else:
        heats = standard(list(found), numba.config.NUMBA_NUM_THREADS)
    pace = QUICK if quick else FULL
    results: list[dict[str, Any]] = []
    interrupted = False
    try:
        results.extend(_results(heats, found, pace))  # one by one, so that an interrupt leaves those that are there
    except KeyboardInterrupt:
        if not results:
            raise
        interrupted = True
    report = {
        "machine": machine(),
        "pace": {"rounds": pace.rounds, "seconds": pace.seconds},
        "missing": peers.missing(),
        "results": results,
    }
    for piece in printed(report):
        console.print(piece)
    if out:
        write_whole(out, json.dumps(report, indent=1) + "\n")
    if pictures:
        from optgen.bench.pictures import draw

        for path in draw(report, pictures):
            console.print(f"wrote {path}", markup=False)
    if interrupted:
        complain(f"interrupted after {len(results)} of {len(heats)} races, which are shown")
        raise typer.Exit(INTERRUPTED)


def _refuse(names: Sequence[str], asked: Options, out: Path | None, pictures: Path | None, *, of_all: bool) -> None:
    """Complain of what cannot be done before anything is timed."""
    if of_all and names:
        raise UsageError(f"--all is every rule: leave out {', '.join(names)}, or --all")
    if asked.said and not names and not of_all:
        raise UsageError(f"{' and '.join(asked.said)}: say for which rules, or --all for every rule")
    if out and not out.parent.is_dir():
        raise UsageError(f"--json {out}: there is no folder {out.parent}")
    if pictures and find_spec("matplotlib") is None:
        raise UsageError("--pictures needs matplotlib: pip install 'optgen[plot]'")


def _rules(names: Sequence[str]) -> dict[str, Choice]:
    """The optimizers that are named, or all in reach."""
    choices, failures = named(names) if names else catalog.everything(in_reach())
    for error in failures:
        if names:
            raise error
        complain(str(error))
    found = {each.name: (source, each) for source, each in choices if each.kind == "optimizer"}
    if not found:
        raise UsageError("schedules are plain Python: there is no kernel to time")
    for choice in found.values():
        _module_file(choice)
    return found


def _module_file(choice: Choice) -> Path:
    """The module of an optimizer."""
    source, declared = choice
    folders = module_folders(source.path)
    for folder in folders:
        path = folder / "cpu" / f"{declared.name}.py"
        if path.is_file():
            return path
    raise UsageError(f"there is no module for {declared.name} in {folders[0]}: run `optgen build` first")


def _subject(choice: Choice) -> Subject:
    """An optimizer, loaded, with what its compiler makes of it."""
    source, declared = choice
    path, rule = _module_file(choice), source.rule(declared.name)
    assert isinstance(rule, Optimizer)
    if path.resolve().is_relative_to(installed_generated().resolve()):  # its kernels may have been compiled already
        module = import_module(f"optgen.generated.cpu.{rule.name}")
    else:
        module = module_of(rule.name, path.read_text(encoding="utf-8"))
    return Subject(rule.name, getattr(module, rule.title), branches_in_turn(rule, kernel_of(rule), TIMED))


def _heats(choice: Choice, asked: Options, *, of_all: bool) -> list[Heat]:
    """What is timed of one rule."""
    most = numba.config.NUMBA_NUM_THREADS
    models = chosen(_words(asked.shapes) or (ALL if of_all else USUAL))
    threads = [_threads(word, most) for word in _words(asked.threads)] or ([1, most] if of_all else [most])
    kept = _kept(choice, asked, of_all=of_all)
    return every(choice[1].name, models, kept, sorted(set(threads)), _against(asked.against))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _threads(word: str, most: int) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= most:
        raise UsageError(f"--threads {word}: expected a number from 1 to {most}, which is all that Numba has here")
    return int(word)


def _against(text: str) -> tuple[str, ...]:
    words = _words(text)
    for word in words:
        if word not in {*WORDS, "none"}:
            raise UsageError(f"--against {word}: expected some of {', '.join(WORDS)}, or none")
    return tuple(WORDS[word] for word in words if word != "none") if words else peers.PEERS


def _kept(choice: Choice, asked: Options, *, of_all: bool) -> list[StoredAs]:
    """In which ways the slots of a rule are stored."""
    states = _states(choice)
    store = dict(_stored(word, states, choice[1].name) for word in _words(asked.store))
    plain = {name: getattr(asked, name) for name in ("rounding", "master", "kahan", "as_matrices")}
    options = {"store": store, **plain}
    options = {name: value for name, value in options.items() if value}
    formats = [_format(word, "--dtype") for word in _words(asked.dtype)]
    if not of_all or formats or options:
        return [StoredAs(its, options) for its in formats or ["float32"]]
    every_format = [StoredAs("float32"), StoredAs("float64")]
    if find_spec("ml_dtypes"):
        every_format += [
            StoredAs("bfloat16"),
            *([StoredAs(options={"store": dict.fromkeys(states, "bfloat16")})] * bool(states)),
        ]
    return every_format


def _states(choice: Choice) -> list[str]:
    """The states of a rule that have a value for each element."""
    source, declared = choice
    (facts,) = (entry for entry in source.facts if entry["name"] == declared.name)
    return [state["name"] for state in facts["states"] if state["space"] == "ELEM"]


def _stored(word: str, states: Sequence[str], rule: str) -> tuple[str, str]:
    """A state and its format, as ``m=bf16`` says it."""
    state, _, its = word.partition("=")
    if state not in states or not its:
        have = f"its states are {', '.join(states)}" if states else "it has none"
        raise UsageError(f"--store {word}: expected a state of {rule} and a format, as in m=bf16; {have}")
    return state, _format(its, f"--store {word}")


def _format(word: str, what: str) -> str:
    try:
        name = format_of(word, what)
        dtype_of(name)
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from None
    return name


def _results(heats: Sequence[Heat], found: Mapping[str, Choice], pace: Pace) -> Iterator[dict[str, Any]]:
    """What came out of each heat, with a bar on a terminal."""
    subject = cache(lambda name: _subject(found[name]))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=len(heats))
        for heat in heats:
            progress.update(task, description=f"{heat.rule}, {heat.model.name}")
            try:
                yield outcome(subject(heat.rule), heat, pace)
            except (TypeError, ValueError) as error:  # an option that this optimizer does not take
                raise UsageError(f"{heat.rule}, {heat.kept}: {error}") from error
            progress.advance(task)
