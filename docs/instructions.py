"""What a GPU would do for one launch of a kernel, counted: for docs/machine-code.md, and for the tests."""

from __future__ import annotations

import re
from collections import Counter

from optgen.machine_code import MachineCode

_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@\S+\s+)?([A-Z][\w.]*)")


def instructions(code: MachineCode, pattern: str) -> Counter[str]:
    """How often each instruction occurs whose name, with all modifiers, begins as a pattern says."""
    return Counter(name for name in _INSTRUCTION.findall(code.sass) if re.match(pattern, name))


def loads(code: MachineCode) -> int:
    """Instructions that load 128 bits from global memory."""
    return instructions(code, r"LDG\.E\.(.+\.)?128\b").total()


def stores(code: MachineCode) -> int:
    """Instructions that store 128 bits to global memory."""
    return instructions(code, r"STG\.E\.(.+\.)?128\b").total()


def spills(code: MachineCode) -> int:
    """Instructions that load from local memory or store to it."""
    return instructions(code, r"(LDL|STL)\b").total()


def float64(code: MachineCode) -> Counter[str]:
    """Instructions that compute in float64, compare, or convert to it or from it."""
    return instructions(code, r"D(ADD|FMA|MMA|MNMX|MUL|SETP)\b|.*(\.F64|64H)\b")
