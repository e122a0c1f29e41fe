"""Write docs/gpu.md from what benchmarks/gpu.py has measured.

python docs/write_gpu.py [FOLDER] > docs/gpu.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
HEAD = """\
# How fast on GPUs

This page is written by `make gpu` on a machine with a GPU, from `benchmarks/results/`, and never by hand. All is in
float32. In every case the contenders take turns; the numbers are medians over the rounds, and ratios are taken within a
round.

- **GPU**: milliseconds of one step between two events, put into the stream while the GPU sleeps, with nothing of the
  model in its caches.
- **host**: until the same call returns; nothing waits in it.
- **wall**: of steps in a row until the GPU is done with them. Here what fits in its caches stays there.
- **of a copy**: the share of the speed of a copy in the GPU's memory that reads and writes as many bytes.
- **of fused**: the multiple of the wall time of PyTorch's fused optimizer; less is better.
"""
NOTHING = "There are no results yet."
_COLUMNS = {
    "GPU": ("gpu_ms", ".3f"),
    "host": ("host_ms", ".3f"),
    "wall": ("wall_ms", ".3f"),
    "GB/s": ("gb_per_s", ",.0f"),
    "of a copy": ("speed_of_copy", ".2f"),
    "of fused": ("time_of_fused", ".2f"),
    "kernels": ("kernels", "d"),
    "copies": ("copies", "d"),
}
_TIMES = ("GPU", "GB/s", "of a copy")
_TITLES = {
    "torch": "Against PyTorch",
    "graphs": "In a CUDA graph",
    "totals": "Rules that add up",
    "chunks": "Elements in a chunk",
}
_GRAPHS = "The graph of optgen is given its scalars anew before each replay, so its learning rate may change."
_ELEMENTS = """\
Every rule whose elements go their own ways, on {title}: how many values a step reads and writes for an element, and
what share of the speed of a copy it has. Those that draw are marked with a star: they compute random numbers beside it.
"""


def page(reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The page, line by line.

    Parameters
    ----------
    reports : sequence of dict
        As benchmarks/gpu.py writes them, one a GPU.
    """
    yield HEAD
    if not reports:
        yield NOTHING
    for report in reports:
        yield from _machine(report)


def _machine(report: dict[str, Any]) -> Iterator[str]:
    its = report["machine"]
    yield from (f"## {its['gpu']}", "")
    rest = ", ".join(f"{key} {value}" for key, value in its.items() if key != "gpu")
    yield f"{report['date']}; {rest}."
    yield from ("", *(f"- {note}" for note in report["notes"]))
    for part, entries in report["parts"].items():
        if not entries:
            continue
        if part == "elements":
            yield from _elements(entries)
            continue
        yield from ("", f"### {_TITLES[part]}")
        if part == "graphs":
            yield from ("", _GRAPHS)
        for entry in entries:
            yield from _case(entry)
    yield ""


def _case(entry: dict[str, Any]) -> Iterator[str]:
    used = {head: how for head, how in _COLUMNS.items() if any(row[how[0]] is not None for row in entry["rows"])}
    yield from ("", f"{entry['step']}, {entry['title']}:", "")
    yield f"| | {' | '.join(used)} |"
    yield f"|---{'|---:' * len(used)}|"
    for row in entry["rows"]:
        cells = ("" if row[key] is None else format(row[key], how) for key, how in used.values())
        yield f"| {row['contender']} | {' | '.join(cells)} |"


def _elements(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    exponent = entries[0]["elements"].bit_length() - 1
    yield from ("", "### Rules of elements", "", _ELEMENTS.format(title=f"one tensor of 2^{exponent} elements"))
    yield f"| optimizer | values | {' | '.join(_TIMES)} |"
    yield "|---|---:|---:|---:|---:|"
    for entry in entries:
        name = f"`{entry['optimizer']}`{'*' if entry['draws'] else ''}"
        numbers = (
            f"{entry['values']:g} | {entry['gpu_ms']:.3f} | {entry['gb_per_s']:,.0f} | {entry['speed_of_copy']:.2f}"
        )
        yield f"| {name} | {numbers} |"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    sys.stdout.write("\n".join(page(found)).rstrip() + "\n")
