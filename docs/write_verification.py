"""Write docs/verification.md, or the certificates, from what `optgen verify --mutate --sample --json` prints.

optgen verify --mutate --sample --json > .verification.json
python docs/write_verification.py < .verification.json > docs/verification.md
python docs/write_verification.py certificates < .verification.json > generated/certificates.json
"""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from optgen.certificates import certificate, key

HEAD = """\
# Verification

This page is written by `make verification` and never by hand. For every generated module:

- **proved**: the code, read back into algebra, equals the spec in real arithmetic for every input. One value is counted
  for each slot that is stored in each case of the conditions on scalars; what algebra cannot settle is compared at 64
  random points to 42 digits and counted as tested.
  Modules for GPUs are also run as Python by threads that take turns, in float64, with every access to memory counted.
- **f32, f64**: the compiled kernel against the equations in 50 digits: the worst error of one step in units in the last
  place, relative to the magnitude of the terms, over adversarial and random inputs. NaN and infinities come out where
  the equations say so and nowhere else.
- **rest**: after 100,000 steps in float32 without a gradient or with a constant one (2,000 of rules with totals), how
  far what rests in float64 has moved, in units in the last place.
- **noisy**: after as many steps with gradients that scatter around a mean, how far moments are from those in float64,
  relative to their size; sums that grow without end are far off by their nature.
- **memory**: every element is read and written once, and nothing else is touched.
- **claims**: what the spec claims of itself holds, by algebra where it can decide and on the kernel always.

Beside this page the tests hold every rule to independent implementations, of PyTorch, of Optax and written from the
papers: over 100 steps they agree to 1e-12, or differ as they are known to.

[What a failure means, and what to do about it](when-verification-fails.md).
"""


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The page, line by line."""
    entries = report["optimizers"]
    yield HEAD
    proved, stored, cases = (sum(entry[key] for entry in entries) for key in ("proved", "stored", "cases"))
    failed = sum(entry["failed"] for entry in entries)
    yield (
        f"optgen {report['optgen']}, Python {platform.python_version()} on {platform.machine()}:"
        f" {len(entries)} modules, {proved} of {stored} stored values proved, {cases:,} random cases compared,"
        f" {failed} failures."
    )
    yield ""
    yield "| module | target | proved | tested | f32 | f64 | rest | noisy | memory | claims |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for entry in entries:
        ulps = ("-" if value is None else f"{value:.2f}" for value in entry["worst_ulps"].values())
        held = (_held(entry["parts"].get(part, {})) for part in ("memory", "properties"))
        drift = ("-" if value is None else f"{value:.1g}" for value in entry["drift"].values())
        cells = (
            f"`{entry['name']}`",
            entry["target"],
            str(entry["proved"]),
            str(entry["tested"]),
            *ulps,
            *drift,
            *held,
        )
        yield f"| {' | '.join(cells)} |"
    yield from _claims(entries)
    yield from _mutants(report["mutants"])


def _held(verdicts: dict[str, int]) -> str:
    looked = sum(number for verdict, number in verdicts.items() if verdict != "skipped")
    return f"{looked - verdicts.get('failed', 0)} of {looked}"


def _claims(entries: list[dict[str, Any]]) -> Iterator[str]:
    yield from ("", "## Claims", "")
    for entry in entries:
        verdicts: dict[str, list[str]] = {}
        for finding in entry["findings"]:
            if finding["part"] == "properties":
                verdicts.setdefault(finding["subject"], []).append(finding["verdict"])
        yield f"- `{entry['name']}`"
        yield from (f"  - {subject}: {' and '.join(dict.fromkeys(found))}" for subject, found in verdicts.items())


def _mutants(rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    totals = Counter[str]()
    yield from ("", "## The verifier, put to the test", "")
    yield "Each module is broken in every way below, every eighth time there is occasion to and once at least; the part"
    yield "that claims a kind of mistake must notice. `optgen verify --mutate` tries them all, which takes an hour."
    yield ""
    yield "Some changes are no mistakes: either of two addends may come first. That nobody noticed a change does not"
    yield "make it one of these. The module and the changed one are run side by side, kernels for CPUs as compiled,"
    yield "those for GPUs as threads that take turns, on numbers that the verifier tries, on others, and on few and"
    yield "simple ones, of which sums vanish, sides of conditions are equal and whole tensors are 0: hundreds of"
    yield "steps, and sixty on GPUs, with hyperparameters at the ends of their domains. Only what leaves the same bits"
    yield "in all of them counts as no change, and nothing in what a module says of itself does."
    yield from ("", "| mistake | target | claimed by | mistakes | caught | no change |", "|---|---|---|---|---|---|")
    for row in rows:
        totals.update({key: row[key] for key in ("made", "caught", "same")})
        yield f"| {' | '.join(str(row[key]) for key in ('kind', 'target', 'part', 'made', 'caught', 'same'))} |"
    made, caught, same = (f"**{totals[key]}**" for key in ("made", "caught", "same"))
    yield f"| **all** | | | {made} | {caught} | {same} |"


def certificates(report: dict[str, Any]) -> str:
    """A certificate a line, as JSON."""
    made = {key(entry["name"], entry["target"]): certificate(entry) for entry in report["optimizers"]}
    rows = (f'"{name}": {json.dumps(made[name], ensure_ascii=False)}' for name in sorted(made))
    return "{\n" + ",\n".join(rows) + "\n}"


if __name__ == "__main__":
    found = json.load(sys.stdin)
    sys.stdout.write((certificates(found) if "certificates" in sys.argv else "\n".join(lines(found))) + "\n")
