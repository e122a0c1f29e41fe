"""Write the sources of the documentation site, for MkDocs: pages, a gallery from the specs, the reference.

python docs/write_site.py build/site [NAME ...]

Where optimizers are named the gallery has only these.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from website import gallery, navigation, pages, paths, playground, reference, walk

from optgen.errors import UsageError
from optgen.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
WEBSITE = ROOT / "docs" / "website"


def write(out: Path, wanted: Sequence[str]) -> None:
    """Write the sources into ``out/pages``, and the configuration beside them."""
    choices = gallery.rules("optimizer")
    unknown = sorted(set(wanted) - choices.keys())
    if unknown:
        raise UsageError(f"there is no optimizer {', '.join(unknown)}: `optgen list` shows what there is")
    drawn = {name: paths.drawn(choices[name]) for name in wanted or choices}
    shelves = gallery.families(ROOT, drawn)
    files = {
        **dict(pages.pages(ROOT)),
        **dict(playground.playground(WEBSITE, shelves, choices)),
        **dict(gallery.gallery(ROOT, choices, drawn)),
        **dict(reference.reference()),
        "walk.md": "\n\n".join(walk.walk(choices[walk.NAME])),
        **{f"gallery/paths/{name}.svg": each.svg for name, each in drawn.items() if each.svg},
        "gallery/paths/surface.svg": paths.surface_svg(),
        "site.css": (WEBSITE / "site.css").read_bytes(),
    }
    files["index.md"] = gallery.linked(str(files["index.md"]), drawn)
    shutil.rmtree(out / "pages", ignore_errors=True)
    for path, content in files.items():
        place = out / "pages" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    titles = {name: choices[name][1].title for name in drawn}
    nav = navigation.navigation(files, shelves, titles)
    settings = (WEBSITE / "mkdocs.yml").read_text(encoding="utf-8")
    write_whole(out / "mkdocs.yml", f"{settings}\nnav: {json.dumps(nav)}\n")  # JSON is YAML


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
