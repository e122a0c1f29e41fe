"""The pages that are there already, the README and docs/*.md: links hold in the site, and formulas are MathML."""

from __future__ import annotations

import re
from os.path import relpath
from pathlib import Path, PurePosixPath

from latex2mathml.converter import convert
from website.files import Files, fenced
from website.notebook import page

from optgen.errors import UsageError

HOMES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/README.md": "contents.md",
    "docs/tutorial.ipynb": "tutorial.md",
}
"""Where pages go whose place is another than in the repository."""
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)")
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
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
        words, target = match[1], relpath(folder / match[2], ".")
        if not (root / target).is_file():
            raise UsageError(f"{path} links to {match[2]}, which is no file: write one that is")
        linked.add(target)
        return f"[{title(root / target) if words.endswith('.md') else words}]({relpath(home(target), start)}"

    text = page(root / path) if path.endswith(".ipynb") else (root / path).read_text(encoding="utf-8")
    parts = _CODE.split(text)
    return "".join(
        part if number % 2 else _LINK.sub(there, _FORMULA.sub(_drawn, part)) for number, part in enumerate(parts)
    )


def title(path: Path) -> str:
    """What a page calls itself, which says more than the name of its file."""
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _drawn(match: re.Match[str]) -> str:
    """A formula in LaTeX as MathML."""
    if match[1]:
        return f'<div class="wide">{convert(match[1].strip(), display="block")}</div>'
    return f"<span>{convert(match[2])}</span>"  # else Markdown takes it for a block where it begins a line


def shown(root: Path, path: str) -> str:
    """A page that shows a file."""
    language = _LANGUAGES.get(PurePosixPath(path).suffix, "text")
    return f"# {path}\n\n{fenced((root / path).read_text(encoding='utf-8'), language)}\n"
