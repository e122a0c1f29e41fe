"""What a GPU would do for one launch of a kernel, counted in its instructions as text; the tests count them too."""

from __future__ import annotations

import re
from collections import Counter

_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@\S+\s+)?([A-Z][\w.]*)")


def instructions(sass: str, pattern: str) -> Counter[str]:
    """How often each instruction occurs whose name, with all modifiers, begins as a pattern says."""
    return Counter(name for name in _INSTRUCTION.findall(sass) if re.match(pattern, name))


def loads(sass: str) -> int:
    """Instructions that load 128 bits from global memory."""
    return instructions(sass, r"LDG\.E\.(.+\.)?128\b").total()


def stores(sass: str) -> int:
    """Instructions that store 128 bits to global memory."""
    return instructions(sass, r"STG\.E\.(.+\.)?128\b").total()


def spills(sass: str) -> int:
    """Instructions that load from local memory or store to it."""
    return instructions(sass, r"(LDL|STL)\b").total()


def float64(sass: str) -> Counter[str]:
    """Instructions that compute in float64, compare, or convert to it or from it."""
    return instructions(sass, r"D(ADD|FMA|MMA|MNMX|MUL|SETP)\b|.*(\.F64|64H)\b")
