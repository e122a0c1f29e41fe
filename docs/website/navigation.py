"""The order in which pages are offered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from website.reference import PAGES

from optgen.errors import UsageError

GROUPS: dict[str, tuple[str, ...]] = {
    "Start": (
        "index.md",
        "tutorial.md",
        "playground.md",
        "contents.md",
        "defaults.md",
        "comparison.md",
        "safety.md",
        "changelog.md",
    ),
    "Write": (
        "writing-a-spec.md",
        "writing-a-wrapper.md",
        "schedules.md",
        "convolutions.md",
        "explain.md",
        "plot.md",
    ),
    "Train": ("pytorch.md", "lightning.md", "transformers.md", "timm.md", "gpu.md", "storage.md", "sharing.md"),
    "Trust": ("verification.md", "when-verification-fails.md", "derivations.md", "same-bits.md"),
    "Performance": ("performance.md", "estimates.md", "machine-code.md", "cost.md"),
    "How it works": ("walk.md", "contributing.md"),
}
"""The pages of each group; one that nobody has written yet is left out."""
TITLES = {"contents.md": "All pages", "contributing.md": "The compiler"}
"""What pages are called here that have another title."""


def navigation(there: Collection[str], families: Mapping[str, Sequence[str]], titles: Mapping[str, str]) -> list[Any]:
    """The navigation as MkDocs has it.

    Raises
    ------
    UsageError
        If a page is in no group.
    """
    listed = {page for pages in GROUPS.values() for page in pages}
    stray = sorted(page for page in there if page.endswith(".md") and "/" not in page and page not in listed)
    if stray:
        raise UsageError(f"{', '.join(stray)}: in no group of the navigation: name it in docs/website/navigation.py")
    groups = [{group: [_entry(page) for page in pages if page in there]} for group, pages in GROUPS.items()]
    shelf = [{family: [{titles[name]: f"gallery/{name}.md"} for name in names]} for family, names in families.items()]
    reference = {"Reference": [f"reference/{name}.md" for name in PAGES]}
    return [*groups, {"Optimizers": ["gallery/index.md", *shelf]}, reference]


def _entry(page: str) -> str | dict[str, str]:
    return {TITLES[page]: page} if page in TITLES else page
