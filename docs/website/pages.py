"""The pages that are there already, the README and docs/*.md, with links that hold in the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path, PurePosixPath

from optgen.errors import UsageError

Content = str | bytes
Files = Iterator[tuple[str, Content]]
"""Files of the site, each with its path there."""

HOMES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/README.md": "contents.md",
}
"""Where pages go whose place is another than in the repository."""
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "bash"}


def home(path: str) -> str:
    """Where a file of the repository is in the site: code has a page that shows it."""
    if path in HOMES:
        return HOMES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}.md"


def pages(root: Path) -> Files:
    """Every page, and what they link to."""
    linked: set[str] = set()
    written = [*HOMES, *(f"docs/{path.name}" for path in sorted(root.glob("docs/*.md")) if path.name != "README.md")]
    for path in written:
        yield home(path), moved(root, path, linked)
    for path in sorted(linked - {*written}):
        yield home(path), shown(root, path) if home(path).startswith("files/") else (root / path).read_bytes()


def moved(root: Path, path: str, linked: set[str]) -> str:
    """A page whose links lead to where things are in the site; what they lead to is added to what is linked.

    Raises
    ------
    UsageError
        If a link leads nowhere.
    """
    folder, start = PurePosixPath(path).parent, PurePosixPath(home(path)).parent

    def there(match: re.Match[str]) -> str:
        target = relpath(folder / match[1], ".")
        if not (root / target).is_file():
            raise UsageError(f"{path} links to {match[1]}, which is no file: write one that is")
        linked.add(target)
        return relpath(home(target), start)

    parts = _CODE.split((root / path).read_text(encoding="utf-8"))
    return "".join(part if number % 2 else _LINK.sub(there, part) for number, part in enumerate(parts))


def shown(root: Path, path: str) -> str:
    """A page that shows a file."""
    language = _LANGUAGES.get(PurePosixPath(path).suffix, "text")
    return f"# {path}\n\n{fenced((root / path).read_text(encoding='utf-8'), language)}\n"


def fenced(text: str, language: str) -> str:
    """A text as a block of code, whatever it holds."""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"^`+", text, re.MULTILINE)), default=0))
    return f"{fence}{language}\n{text.strip()}\n{fence}"
