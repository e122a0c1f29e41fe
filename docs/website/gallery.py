"""The gallery: a page for each optimizer, written from its spec alone, and an index with all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from website.files import Files, fenced
from website.paths import STEPS, SURFACE, Drawn

from optgen.catalog import Choice, everything
from optgen.errors import UsageError
from optgen.explain.as_html import body
from optgen.explain.difference import changes
from optgen.explain.page import Block, Changes, Equations, Heading, Title, page_of
from optgen.explain.sheet import sheet
from optgen.folders import installed_generated, installed_specs, spec_files

TARGETS = {"cpu": "CPUs", "cuda": "NVIDIA GPUs"}
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_FAMILY = re.compile(r"^\| ([^|]+) \| (.*`\w+`.*) \|$", re.MULTILINE)


def rules(kind: str) -> dict[str, Choice]:
    """The optimizers, or the schedules, that come with optgen, by name."""
    choices, errors = everything(spec_files(installed_specs()))
    if errors:
        raise errors[0]
    return {each.name: (source, each) for source, each in choices if each.kind == kind}


def families(root: Path, names: Collection[str]) -> dict[str, list[str]]:
    """The names by family, as the table of the README has them.

    Raises
    ------
    UsageError
        If the table leaves one out.
    """
    readme = (root / "README.md").read_text(encoding="utf-8")
    table = {family: re.findall(r"`(\w+)`", row) for family, row in _FAMILY.findall(readme)}
    left_out = set(names) - {name for row in table.values() for name in row}
    if left_out:
        raise UsageError(f"README.md has no family for {', '.join(sorted(left_out))}: add it to the table")
    kept = {family[0].upper() + family[1:]: [name for name in row if name in names] for family, row in table.items()}
    return {family: row for family, row in kept.items() if row}


def gallery(root: Path, choices: Mapping[str, Choice], drawn: Mapping[str, Drawn]) -> Files:
    """The pages of the optimizers that are drawn, and their index."""
    sheets = {name: sheet(*choices[name]) for name in drawn}
    yield "gallery/index.md", index(families(root, drawn), sheets, drawn)
    for name in drawn:
        yield f"gallery/{name}.md", "\n\n".join(page(name, sheets, choices, drawn[name]))


def index(families: Mapping[str, Sequence[str]], sheets: Mapping[str, Any], drawn: Mapping[str, Drawn]) -> str:
    """All optimizers by family, each with its path."""
    parts = [
        "# All optimizers",
        f"Each with the way it goes in {STEPS} steps on {SURFACE.title}, from the circle to the star, at the learning"
        " rate that suits it best there: a picture of how it moves, not of how good it is. In the"
        " [playground](../playground.md) it moves elsewhere too.",
    ]
    for family, names in families.items():
        cards = "\n".join(_card(name, sheets[name], drawn[name]) for name in names)
        parts += [f"## {family}", f'<div class="cards">\n{cards}\n</div>']
    return "\n\n".join(parts) + "\n"


def _card(name: str, sheet: Mapping[str, Any], drawn: Drawn) -> str:
    picture = f'<img src="paths/{name}.svg" alt="" loading="lazy">' if drawn.svg else "<span>no picture</span>"
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", "<wbr>", escape(sheet["title"]))
    words = f"<b>{title}</b> <code>{name.replace('_', '_<wbr>')}</code>"
    return f'<a href="{name}.html"><span class="surface">{picture}</span>{words}</a>'


def linked(page: str, names: Collection[str]) -> str:
    """The README, in whose table names are links to their pages."""

    def name(match: re.Match[str]) -> str:
        return f"[{match[0]}](gallery/{match[1]}.md)" if match[1] in names else match[0]

    return _FAMILY.sub(lambda row: re.sub(r"`(\w+)`", name, row[0]), page)


def page(name: str, sheets: Mapping[str, Any], choices: Mapping[str, Choice], drawn: Drawn) -> Iterator[str]:
    """The parts of the page of an optimizer."""
    sheet = sheets[name]
    title, *blocks = page_of(sheet)
    yield from _head(title)
    for block in blocks:
        yield _linked(_part(block), sheet, sheets)
        if isinstance(block, Equations):
            yield from _picture(sheet, drawn)
    yield from _difference(sheet, choices)
    yield from _kernels(name)


def _head(title: Block) -> Iterator[str]:
    assert isinstance(title, Title)
    yield f"# {title.text}"
    yield from [source(title.note)] if title.note else []


def source(note: str) -> str:
    """Where a rule comes from, with papers as links."""
    linked = _ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', escape(note))
    return f'<p class="note">{linked}</p>'


def _part(block: Block) -> str:
    return f"## {block.text}" if isinstance(block, Heading) else body([block])


def _linked(text: str, sheet: Mapping[str, Any], names: Collection[str]) -> str:
    """A table of relatives whose names are links."""
    for name in (other["name"] for other in sheet["kin"] if other["name"] in names):
        text = text.replace(f"<td>{name}</td>", f'<td><a href="{name}.html">{name}</a></td>')
    return text


def _picture(sheet: Mapping[str, Any], drawn: Drawn) -> Iterator[str]:
    yield "## Where it goes"
    if drawn.svg:
        picture = f'<img src="paths/{sheet["name"]}.svg" alt="The path of {escape(sheet["title"])}">'
        link = f'<a href="../playground.html#{sheet["name"]}">Move it yourself</a>.'
        said = f"<figcaption>{escape(drawn.said)} {link}</figcaption>"
        yield f'<figure class="path"><span class="surface">{picture}</span>{said}</figure>'
    else:
        yield f"<p>{escape(drawn.said)}</p>"


def _difference(sheet: Mapping[str, Any], choices: Mapping[str, Choice]) -> Iterator[str]:
    """What changes to the relative that has most in common with it."""
    if not sheet["kin"]:
        return
    other = min(sheet["kin"], key=lambda other: len(other["differs"]))["name"]
    mine, theirs = (choices[name][0].rule(name) for name in (sheet["name"], other))
    changed, _ = changes(mine, theirs)
    yield f"## From {sheet['name']} to {other}"
    yield body([Changes([(each.before, each.after, ()) for each in changed])]) if changed else "The same equations."


def _kernels(name: str) -> Iterator[str]:
    yield "## Generated modules { data-search-exclude }"
    for target, machines in TARGETS.items():
        text = (installed_generated() / target / f"{name}.py").read_text(encoding="utf-8")
        block = fenced(text, "python").replace("\n", "\n    ")
        yield f'=== "For {machines}"\n\n    {block}'
