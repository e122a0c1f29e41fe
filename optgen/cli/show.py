"""``optgen show``: one rule as equations, as data, or as what the compiler makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from optgen.cli.screen import console, one_named
from optgen.errors import UsageError
from optgen.targets import checked

_OF_GPUS = ("ptx", "sass")


def run(name: str, views: Sequence[str], target: str | None, arch: str) -> None:
    """Show one optimizer or schedule: its equations, or the one view that is asked for."""
    if len(views) > 1:
        raise UsageError(f"choose one of {' and '.join(f'--{view}' for view in views)}")
    view = views[0] if views else ""
    machine = checked(("cuda" if view in _OF_GPUS else "cpu") if target is None else target)
    if view in _OF_GPUS and machine != "cuda":
        raise UsageError(f"--{view} shows kernels for GPUs: leave out --target {machine}")
    source, declared = one_named(name)
    if view == "json":
        (shown,) = (json.dumps(entry, indent=2) for entry in source.facts if entry["name"] == declared.name)
    else:
        from optgen.cli.views import shown_as

        shown = shown_as(view, source.file, source.rule(declared.name), machine, arch)
    console.print(shown, markup=False, emoji=False, soft_wrap=True)
