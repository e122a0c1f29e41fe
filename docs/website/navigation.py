"""The order in which pages are offered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from optgen.errors import UsageError

GROUPS: dict[str, tuple[str, ...]] = {
    "Start": ("index.md", "contents.md", "defaults.md", "comparison.md", "safety.md", "changelog.md"),
    "Write": (
        "writing-a-spec.md",
        "writing-a-wrapper.md",
        "schedules.md",
        "convolutions.md",
        "explain.md",
        "plot.md",
    ),
    "Train": ("pytorch.md", "gpu.md", "storage.md", "sharing.md"),
    "Trust": ("verification.md", "when-verification-fails.md", "derivations.md", "same-bits.md"),
    "Performance": ("performance.md", "machine-code.md", "cost.md"),
    "How it works": ("walk.md", "contributing.md"),
}
"""The pages of each group; one that nobody has written yet is left out."""


def navigation(
    there: Collection[str], families: Mapping[str, Sequence[str]], titles: Mapping[str, str], reference: Sequence[str]
) -> list[Any]:
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
    groups = [{name: [page for page in pages if page in there]} for name, pages in GROUPS.items()]
    shelf = [{family: [{titles[name]: f"gallery/{name}.md"} for name in names]} for family, names in families.items()]
    return [*groups, {"Optimizers": ["gallery/index.md", *shelf]}, {"Reference": list(reference)}]
