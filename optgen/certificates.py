"""What `optgen verify` has found out about modules, kept where it can be looked up.

A certificate belongs to a module as it was, which its digest says. Those of the modules that come with optgen stand
beside them, as ``make verification`` has left them; those of one's own are kept in the cache by ``optgen verify``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from optgen.folders import installed_generated, installed_specs
from optgen.modules import digest_of

FILE = "certificates.json"
KEPT = "certificates"
"""Under what a spec file's own are remembered."""


def certificate(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a module's entry in the report of `optgen verify`."""
    memory = entry["parts"].get("memory", {})
    claims: dict[str, list[str]] = {}
    for finding in entry["findings"]:
        if finding["part"] == "properties" and finding["verdict"] not in claims.setdefault(finding["subject"], []):
            claims[finding["subject"]].append(finding["verdict"])
    return {
        "digest": entry["digest"],
        "stored": entry["stored"],
        "proved": entry["proved"],
        "tested": entry["tested"],
        "ulps": {dtype: None if x is None else round(x, 2) for dtype, x in entry["worst_ulps"].items()},
        "memory": [sum(memory.values()) - memory.get("failed", 0) - memory.get("skipped", 0), sum(memory.values())],
        "failed": entry["failed"],
        "claims": claims,
    }


def key(name: str, target: str) -> str:
    """Under which a certificate is kept."""
    return f"{target}/{name}"


@lru_cache(1)
def shipped() -> Mapping[str, Any]:
    """The certificates that come with optgen, by target and name."""
    try:
        found: dict[str, Any] = json.loads((installed_generated() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def certificates_of(path: Path, remembered: Mapping[str, Any], name: str, targets: tuple[str, ...]) -> dict[str, Any]:
    """The certificates of a rule by target, of those modules that have one and have not changed since.

    ``remembered`` is what is remembered about its spec file.
    """
    is_ours = path.resolve().parent == installed_specs().resolve()
    folders = [Path("generated"), *([installed_generated()] if is_ours else [])]
    found: dict[str, Any] = {}
    for target in targets:
        digests = {digest_of(folder / target / f"{name}.py") for folder in folders} - {None}
        for known in (remembered.get(KEPT, {}), shipped() if is_ours else {}):
            one = known.get(key(name, target))
            if one is not None and one["digest"] in digests:
                found.setdefault(target, one)
    return found
