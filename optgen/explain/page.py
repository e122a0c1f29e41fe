"""Pages: what is said of a rule, in blocks that any of the renderers can draw.

A line is a sequence of texts and formulas; a formula is a tuple or a list, see `optgen.language.formula`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Line = Sequence[Any]
"""Texts and formulas, one after another."""


@dataclass(frozen=True)
class Title:
    """The name of the page and what stands beside it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Heading:
    """The beginning of a part."""

    text: str


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    line: Line


@dataclass(frozen=True)
class Equations:
    """Equations, one below another."""

    formulas: Sequence[Any]


@dataclass(frozen=True)
class Changes:
    """Equations as they were and as they are: pairs of formulas, of which one may be None, and what one adds."""

    pairs: Sequence[tuple[Any, Any, Line]]


@dataclass(frozen=True)
class Rows:
    """Rows of lines below a row of texts; numbers stand to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[Line]]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Items:
    """Lines of a list, each with a mark that says how sure it is: proved, tested or anything else."""

    rows: Sequence[tuple[str, Line]]


Block = Title | Heading | Prose | Equations | Changes | Rows | Items
Page = Sequence[Block]

_SIGNS = {"times": "×", "plus": "+", "divide": "÷", "root": "√", "compare": "comparison", "choose": "choice"}
_EACH = {"STEP": "for the model", "MODEL": "for the model", "TENSOR": "a tensor", "ROW": "a row", "COL": "a column"}


def page_of(sheet: dict[str, Any], measured: dict[str, Any] | None = None) -> list[Block]:
    """The page of a rule: of its sheet and, where it has been, of what `optgen.explain.speed` has measured."""
    blocks: list[Block] = [Title(sheet["title"], sheet["reference"])]
    blocks += [Prose([sheet["description"]])] if sheet["description"] else []
    blocks.append(Equations(sheet["formulas"]))
    blocks += _hypers(sheet)
    if sheet["kind"] == "optimizer":
        blocks += [*_states(sheet), *_cost(sheet, measured), *_claims(sheet), *_certificate(sheet), *_bits(sheet)]
    return [*blocks, *_kin(sheet)]


def _hypers(sheet: dict[str, Any]) -> Iterator[Block]:
    if sheet["hypers"]:
        yield Heading("Hyperparameters")
        rows = [
            [[sheet["letters"][h["name"]]], [h["name"]], [_number(h["default"])], [h["domain"]], [h["meaning"]]]
            for h in sheet["hypers"]
        ]
        yield Rows(("", "name", "default", "domain", "what it is"), rows, frozenset({2}))


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _states(sheet: dict[str, Any]) -> Iterator[Block]:
    yield Heading("States")
    if not sheet["states"]:
        yield Prose(["None: a step depends on nothing but the parameters and their gradient."])
        return
    rows = [
        [[sheet["letters"][s["name"]]], [s["name"]], [f"one value {_EACH.get(s['space'], 'an element')}"], [s["init"]]]
        for s in sheet["states"]
    ]
    yield Rows(("", "name", "size", "starts from"), rows)


def _cost(sheet: dict[str, Any], measured: dict[str, Any] | None) -> Iterator[Block]:
    yield Heading("Cost")
    rows = [
        [[name], [f"{size['theta']} B"], [f"{size['g']} B"], [f"{size['states']} B"], [f"{sum(size.values())} B"]]
        for name, size in sheet["memory"].items()
    ]
    yield Rows(("memory a parameter", "theta", "gradient", "states", "all"), rows, frozenset({1, 2, 3, 4}))
    small = [f"{s['name']}, one value {_EACH[s['space']]}" for s in sheet["states"] if s["space"] in _EACH]
    if small:
        yield Prose([f"Beside these: {'; '.join(small)}."])
    if sheet["sweeps"] is None:
        yield Prose(["No kernel can be built of it: `optgen build` says why."])
        return
    several = len(sheet["branches"]) > 1
    head = (*(["steps"] if several else []), "sweeps", "reads", "writes", "computes")
    rows = [
        [
            *([[_when(branch)]] if several else []),
            [str(branch["sweeps"])],
            [f"{branch['bytes_read']} B"],
            [f"{branch['bytes_written']} B"],
            [_operations(branch["operations"])],
        ]
        for branch in sheet["branches"]
    ]
    yield Rows(head, rows, frozenset({1, 2, 3} if several else {0, 1, 2}))
    yield Prose(["Each element, in float32."])
    if measured is not None:
        yield Prose([_time(sheet, measured)])


def _when(branch: dict[str, Any]) -> str:
    when = "otherwise" if branch["when"] == "True" else f"if {branch['when']}"
    return f"{when} (most steps)" if branch["usual"] else when


def _operations(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {_SIGNS.get(kind, kind)}" for kind, number in counts.items()) or "none"


def _time(sheet: dict[str, Any], measured: dict[str, Any]) -> str:
    elements, rate = measured["elements"], measured["bytes_a_second"]
    size = (sheet["bytes_read"] + sheet["bytes_written"]) * elements
    return (
        f"A step on {elements:,} parameters in float32 moves {size / 1e6:,.0f} MB. It must take"
        f" {_duration(size / rate)}, for memory moves {rate / 1e9:.1f} GB a second here ({measured['how']}); it took"
        f" {_duration(measured['seconds'])}."
    )


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"  # noqa: PLR2004 - a thousandth


def _claims(sheet: dict[str, Any]) -> Iterator[Block]:
    if sheet["claims"]:
        yield Heading("Claims")
        yield Items([(_status(verdicts), [claim]) for claim, verdicts in sheet["claims"].items()])
        yield Prose(["Proved from the equations, for every input; tested on the kernel."])
        if any(not verdicts for verdicts in sheet["claims"].values()):
            yield Prose([f"What is claimed only is tried by `optgen verify {sheet['name']}`."])


def _status(verdicts: Sequence[str]) -> str:
    return next((word for word in ("failed", "proved", "tested") if word in verdicts), "claimed")


def _certificate(sheet: dict[str, Any]) -> Iterator[Block]:
    yield Heading("Certificate")
    found = sheet["certificates"]
    if not found:
        yield Prose([f"None for the module as it is: `optgen verify {sheet['name']}` makes one."])
        return
    rows = []
    for target, one in found.items():
        ulps = ("-" if error is None else f"{error:.2f}" for error in one["ulps"].values())
        held = f"{one['memory'][0]} of {one['memory'][1]}"
        proved = f"{one['proved']} of {one['stored']}"
        rows.append([[target], [proved], *([ulp] for ulp in ulps), [held], [str(one["failed"] or "none")]])
    head = ("module for", "values proved", "f32", "f64", "memory", "failures")
    yield Rows(head, rows, frozenset({1, 2, 3, 4, 5}))
    yield Prose(["f32, f64: the worst error of a step, in units in the last place."])


def _bits(sheet: dict[str, Any]) -> Iterator[Block]:
    found = sheet["may_differ"]
    if found is None:
        return
    yield Heading("The same bits")
    reasons = []
    if found["elements"]:
        reasons.append(f"elements use {_listed(found['elements'])} of a library")
    if found["scalars"]:
        reasons.append(f"the numbers of a step use {_listed(found['scalars'])} of a library")
    if found["draws"]:
        reasons.append("draws use a library's logarithm, sine and cosine")
    if "sum" in found["totals"]:
        reasons.append("a GPU adds up totals in another order than a CPU")
    if not reasons:
        yield Prose(["On every machine, for any size of array and any number of threads."])
        return
    yield Prose(["On one machine, for any size of array and any number of threads. In last digits others may differ:"])
    yield Items([("", [reason]) for reason in reasons])


def _listed(names: Sequence[str]) -> str:
    """Names as prose lists them; `optgen.language.text.listed` would take SymPy, and a page that is known none."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _kin(sheet: dict[str, Any]) -> Iterator[Block]:
    if not sheet["kin"]:
        return
    yield Heading("Variants")
    rows = []
    for other in sheet["kin"]:
        parts: list[Any] = []
        for target in other["differs"]:
            parts += [*([", "] if parts else []), target]
        rows.append([[other["name"]], parts or ["nothing"], ["; ".join(other["claims"]) or other["description"]]])
    yield Rows(("name", "differs in", "how they are related"), rows)
    command = f"optgen explain {sheet['name']} --diff {sheet['kin'][0]['name']}"
    yield Prose([f"Equation by equation: `{command}`."])
