"""Files of the site, and code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

Content = str | bytes
Files = Iterator[tuple[str, Content]]
"""Files of the site, each with its path there."""


def fenced(text: str, language: str) -> str:
    """A text as a block of code, whatever it holds."""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"^ *(`+)", text, re.MULTILINE)), default=0))
    return f"{fence}{language}\n{text.strip()}\n{fence}"
