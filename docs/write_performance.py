"""Write docs/performance.md, and the figures in the README, from what one run of `optgen bench` has measured.

optgen bench --json report.json --pictures docs/performance
python docs/write_performance.py < report.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optgen.bench.heats import AS_MATRICES, BY_ROWS, CONVOLUTIONS, EAGER, LARGE, MATRICES, ROWS, SMALL, TILED
from optgen.bench.machine import PACKAGES
from optgen.bench.models import ALL, COUNTS
from optgen.bench.pictures import pages
from optgen.bench.race import LOOP, MOVED, ONCE, OURS
from optgen.bench.tables import milliseconds, size
from optgen.files import write_whole

HEAD = """\
# How fast

This page is written by `make performance`, from one run of `optgen bench`, and never by hand. All times are of whole
steps, Python included: medians of rounds in which all contenders take turns; ratios are taken within a round.

- **loop** reads and writes what the rule's kernels do, and computes next to nothing: what memory allows.
- **once** reads each value that the rule needs once and writes each new one once, for rules that visit elements twice.
- **other g**: the gradients are other arrays at every other step.
"""
ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures: written by make performance -->\n", "<!-- end of figures -->\n"
"""Around what is written into the README."""
SHORT = ("2^24", "1000x4096", "10000x100", "2^17", "2^10", "gpt2")
"""The models of which the README tells."""
JOINED = "ema_clip_global_norm_adamw"
NOTHING = "not in this run"
HOST = "10000x100"
IN_CACHE = ("2^14", "2^17")
TILED_AIM, LOOP_AIM = 0.9, 0.95


@dataclass(frozen=True)
class Found:
    """What a run has measured.

    Parameters
    ----------
    report : dict
        As `optgen bench --json` writes it.
    """

    report: dict[str, Any]

    @property
    def threads(self) -> int:
        """As many as there are."""
        return int(self.report["machine"]["cores"])

    def rows(self, rule: str, model: str, stored: str = "float32", threads: int | None = None) -> dict[str, Any]:
        """What came out for each contender, and of the first heat if there were several."""
        wanted = (rule, model, stored, threads or self.threads)
        for its in self.report["results"]:
            if (its["rule"], its["model"], its["stored"], its["threads"]) == wanted:
                return {"elements": its["elements"], **{row["contender"]: row for row in its["rows"]}}
        return {}

    def ms(self, contender: str, *what: Any) -> float | None:
        """The time of a contender."""
        row = self.rows(*what).get(contender)
        return None if row is None else row["median_ms"]

    def share(self, other: str, rule: str, model: str, who: str = OURS) -> float | None:
        """How fast ours is, as a share of the speed of another."""
        multiple = self.rows(rule, model).get(who, {}).get(f"time_of_{other}")
        return None if multiple is None else 1 / multiple

    def rules(self, model: str) -> list[str]:
        """The rules that ran on a model in float32 on all threads."""
        return [
            its["rule"]
            for its in self.report["results"]
            if (its["model"], its["stored"], its["threads"]) == (model, "float32", self.threads)
        ]


def shown(value: float | None, unit: str = "") -> str:
    """A number, if there is one."""
    return NOTHING if value is None else (f"{milliseconds(value)} {unit}" if unit else f"{value:.2f}")


def over_loop(found: Found, model: str, rule: str = "adamw") -> float | None:
    """Milliseconds that a step takes beyond its loop."""
    ours, loop = found.ms(OURS, rule, model), found.ms(LOOP, rule, model)
    return None if ours is None or loop is None else ours - loop


def many_small(found: Found) -> tuple[str, str]:
    """10,000 tensors of 100 elements."""
    reached = f"{shown(found.ms(OURS, 'adamw', HOST), 'ms')}; other g {shown(found.ms(MOVED, 'adamw', HOST), 'ms')}"
    rest, loop = over_loop(found, HOST), found.ms(LOOP, "adamw", HOST)
    why = NOTHING if rest is None else f"the loop takes {shown(loop, 'ms')}; beyond that, {100 * rest:.0f} ns a tensor"
    return reached, why


def thousand(found: Found) -> tuple[str, str]:
    """1,000 tensors of 4,096 elements."""
    same, other = (found.share(LOOP, "adamw", SMALL, who) for who in (OURS, MOVED))
    rest = over_loop(found, SMALL)
    return f"{shown(same)}; other g {shown(other)}", NOTHING if rest is None else f"{rest:.2f} ms beyond the loop"


def tiny(found: Found) -> tuple[str, str]:
    """One tensor of 1,024 elements."""
    ours, loop = (found.ms(who, "adamw", "2^10") for who in (OURS, LOOP))
    reached = NOTHING if ours is None else f"{1e3 * ours:.1f} µs"
    return reached, NOTHING if loop is None else f"the host: the loop takes {1e3 * loop:.1f} µs"


def tiled(found: Found) -> tuple[str, str]:
    """Rules that add up rows or tensors, against a loop that moves each value once."""
    shares = {(rule, model): found.share(ONCE, rule, model) for rule in ROWS for model in (TILED, SMALL)}
    known = {key: value for key, value in shares.items() if value is not None}
    if not known:
        return NOTHING, NOTHING
    reached = sum(value >= TILED_AIM for value in known.values())
    words = [f"{rule} {value:.2f} ({model})" for (rule, model), value in known.items() if value < TILED_AIM]
    return f"{reached} of {len(known)}", "below: " + ", ".join(words) if words else "-"


def against_loops(found: Found) -> tuple[str, str]:
    """Every rule on 2^24 elements: of one tensor, of a matrix where the rule is one of rows."""
    models = {rule: TILED if rule in BY_ROWS else LARGE for rule in found.rules(LARGE)}
    shares = {rule: share for rule, model in models.items() if (share := found.share(LOOP, rule, model)) is not None}
    if not shares:
        return NOTHING, NOTHING
    slow = sorted((share, rule) for rule, share in shares.items() if share < LOOP_AIM)
    words = ", ".join(f"{rule} {share:.2f}" for share, rule in slow)
    return f"{len(shares) - len(slow)} of {len(shares)}", f"below, slowest first: {words}" if slow else "-"


def noise(found: Found) -> tuple[str, str]:
    """What drawing a normal number costs."""
    rest = over_loop(found, LARGE, "gradient_noise_sgd")
    each = NOTHING if rest is None else f"{1e6 * rest / 2**24:.2f} ns"
    return each, "time beyond the loop of gradient_noise_sgd at 2^24, all of which is taken for the draw"


def in_cache(found: Found) -> tuple[str, str]:
    """One tensor in cache, on one thread."""
    parts, limits = [], []
    for model in IN_CACHE:
        its = found.rows("adamw", model, "float32", 1)
        if its:
            parts.append(f"{model}: {1e6 * its[OURS]['median_ms'] / its['elements']:.3f} ns an element")
            limits.append(f"{model}: {1e6 * its[LOOP]['median_ms'] / its['elements']:.3f}")
    return "; ".join(parts) or NOTHING, f"arithmetic: the loop takes {'; '.join(limits)}" if limits else NOTHING


def fastest(found: Found) -> tuple[str, str]:
    """AdamW against the fastest of others, model by model."""
    lost, raced = [], 0
    for model in dict.fromkeys((*ALL, *COUNTS)):
        rows = found.rows("adamw", model)
        others = [name for name in rows if name not in (LOOP, ONCE, OURS, MOVED, "elements")]
        if others:
            raced += 1
            best = min(others, key=lambda name: rows[name]["time_of_optgen"])
            lead = rows[best]["time_of_optgen"]
            lost += [f"{model}: {best} takes {lead:.2f} of our time"] * (lead < 1)
    return (f"{raced - len(lost)} of {raced} models", "; ".join(lost) or "-") if raced else (NOTHING, NOTHING)


AIMS: tuple[tuple[str, Callable[[Found], tuple[str, str]]], ...] = (
    ("AdamW, 10,000 × 100: 1.0 ms", many_small),
    ("AdamW, 1,000 × 4,096: 0.9 of the loop", thousand),
    ("AdamW, one tensor of 2^10: 6 µs", tiny),
    ("rules that add up rows or tensors, 4,096² and 1,000 × 4,096: 0.9 of each value once", tiled),
    ("every rule, 2^24, of rows those of rows: 0.95 of its loop", against_loops),
    ("noise: 0.6 ns an element in float32", noise),
    ("AdamW in cache, on one thread: arithmetic at the pace of the core", in_cache),
    ("AdamW: faster than the fastest of others, on every model", fastest),
)
"""What is aimed at, and what a run says of it: how far it has come, and what it is limited by."""


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The page, line by line."""
    found = Found(report)
    yield HEAD
    yield _measured_on(report["machine"])
    yield f"Medians are of {report['pace']['rounds']} rounds at most; 15 unless it was to be quick (`PACE=--quick`)."
    yield from (f"Not installed, so not compared with: {name}." for name in report["missing"])
    yield "\n## Aims\n\n| aim | reached | what limits it, or what is missing |\n|---|---|---|"
    for aim, measured in AIMS:
        reached, why = measured(found)
        yield f"| {aim} | {reached} | {why} |"
    yield "\nThat a step allocates nothing that grows with the elements of a model is a test: bytes are counted."
    yield from _times(found, "AdamW in float32", "adamw", (*ALL, *COUNTS))
    yield from _times(found, "SGD with momentum in float32", "sgdm", ALL)
    yield from _times(found, "Clipping by global norm, AdamW and an average of the weights, in float32", JOINED, ALL)
    yield from _stored(found)
    yield from _limits(found)
    yield from _of_rows(found)
    drawn = pages(report)
    if drawn:
        yield "\n## Pictures\n"
        yield from (f"![{name}](performance/{name})" for name in drawn)


def figures(report: dict[str, Any]) -> Iterator[str]:
    """What the README has of it, line by line."""
    found = Found(report)
    yield _measured_on(report["machine"])
    yield "\nAdamW, milliseconds a step:\n"
    yield from _table(found, "adamw", SHORT)
    yield "\nClipping by global norm, AdamW and an average of the weights, which are three calls elsewhere:\n"
    yield from _table(found, JOINED, SHORT)
    yield ""


def with_figures(text: str, report: dict[str, Any]) -> str:
    """The README with the figures of a report in the place of those that it has."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "".join((before, BEGIN, "\n".join(figures(report)), END, after))


def _measured_on(machine: dict[str, Any]) -> str:
    """Where, in a sentence."""
    caches = ", ".join(f"L{its['level']} {size(its['bytes'])}{' a core' * its['own']}" for its in machine["caches"])
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", *PACKAGES) if name in machine)
    return f"Measured on {machine['cpu']}, {machine['cores']} threads, {caches or 'unknown caches'}; {versions}."


def _times(found: Found, title: str, rule: str, models: tuple[str, ...]) -> Iterator[str]:
    """Milliseconds of all contenders, if there are any."""
    rows = list(_table(found, rule, models))
    if rows:
        yield f"\n## {title}\n\nMilliseconds a step.\n"
        yield from rows


def _table(found: Found, rule: str, models: tuple[str, ...]) -> Iterator[str]:
    """Milliseconds of all contenders, a row a model."""
    tables = {model: rows for model in models if (rows := found.rows(rule, model))}
    names = [name for name in dict.fromkeys(n for rows in tables.values() for n in rows) if name != "elements"]
    if not tables:
        return
    yield f"| model | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}"
    for model, rows in tables.items():
        cells = [milliseconds(rows[name]["median_ms"]) if name in rows else "–" for name in names]
        yield f"| {model} | {' | '.join(cells)} |"


def _stored(found: Found) -> Iterator[str]:
    """AdamW in other formats, and on fewer threads."""
    yield "\n## AdamW in other formats, and on one thread\n\nMilliseconds a step.\n"
    yield "| stored | threads | model | loop | optgen | of loop |\n|---|---|---|---|---|---|"
    for its in found.report["results"]:
        if its["rule"] == "adamw" and (its["stored"], its["threads"]) != ("float32", found.threads):
            rows = {row["contender"]: row for row in its["rows"]}
            times = " | ".join(milliseconds(rows[name]["median_ms"]) for name in (LOOP, OURS))
            share = 1 / rows[OURS]["time_of_loop"]
            yield f"| {its['stored']} | {its['threads']} | {its['model']} | {times} | {share:.2f} |"


def _limits(found: Found) -> Iterator[str]:
    """Every rule against its limits."""
    yield "\n## Every rule against memory\n\nThe speed of each as a share of that of its loops, one tensor of 2^24.\n"
    yield "| rule | ms | of loop | of once |\n|---|---|---|---|"
    for rule in sorted(set(found.rules(LARGE))):
        shares = [found.share(other, rule, LARGE) for other in (LOOP, ONCE)]
        cells = ["–" if value is None else f"{value:.2f}" for value in shares]
        yield f"| `{rule}` | {shown(found.ms(OURS, rule, LARGE), 'ms')} | {' | '.join(cells)} |"


def _of_rows(found: Found) -> Iterator[str]:
    """Rules of rows and columns on networks: on long rows, and on those of convolutions."""
    seen = str(AS_MATRICES)
    ways = ((MATRICES, "float32"), (CONVOLUTIONS, "float32"), (CONVOLUTIONS, seen))
    tables = [(*way, rule, rows) for way in ways for rule in BY_ROWS if (rows := found.rows(rule, *way))]
    if not tables:
        return
    yield "\n## Rules of rows and columns on networks\n"
    yield "A row is one of the last dimension: hundreds of elements in gpt2, in resnet50 1, 3 or 7; but `as_matrices`"
    yield "all that an output is computed from ([what is meant](convolutions.md)). Milliseconds a step.\n"
    yield f"| model | rule | loop | optgen | of loop | {' | '.join(EAGER)} |\n|---|---|---|---|---|---|---|"
    for model, kept, rule, rows in tables:
        times = [milliseconds(rows[name]["median_ms"]) if name in rows else "–" for name in (LOOP, OURS, *EAGER)]
        times.insert(2, f"{1 / rows[OURS]['time_of_loop']:.2f}")
        yield f"| {model}{', as matrices' * (kept == seen)} | `{rule}` | {' | '.join(times)} |"


if __name__ == "__main__":
    measured, readme = json.load(sys.stdin), ROOT / "README.md"
    write_whole(ROOT / "docs" / "performance.md", "\n".join(lines(measured)) + "\n")
    write_whole(readme, with_figures(readme.read_text(encoding="utf-8"), measured))
