"""What goes through which phases in tiles, and when."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from optgen.generated.cpu.adam_mini import AdamMini
from optgen.generated.cpu.lars import LARS
from optgen.runtime.core.stretches import stretches, unit_of
from optgen.runtime.cpu import launch, tiles

PLANS = {
    "lars": [(4, "tensor")],
    "adam_mini": [(3, "row")],
    "centralized_sgdm": [(1, ""), (3, "row")],
    "adafactor": [(9, "tensor")],
    "clip_global_norm_adamw": [(2, ""), (2, ""), (1, "")],
    "sm3": [(3, "")],
    "adamw": [],
}
"""For each rule how many phases come together, and what can go through them alone."""


@pytest.mark.parametrize("name", PLANS)
def test_what_can_go_alone(name: str) -> None:
    program = import_module(f"optgen.generated.cpu.{name}").PROGRAM
    found = stretches(program.phases, {**program.values, **program.reduced_states})
    assert [(len(stretch.phases), stretch.unit) for stretch in found] == PLANS[name]
    assert unit_of(found) == max((unit for _, unit in PLANS[name]), default="")


def tiled(kind: Any, sizes: list[int], **options: Any) -> list[tuple[set[int], bool]]:
    """For each table its tensors, and whether it has tiles."""
    opt = kind([np.zeros(size, np.float32) for size in sizes], **options)
    visit = opt._visit
    return [({*table.tensor.tolist()}, its is not None) for table, its in zip(visit.tables, visit.tiles, strict=True)]


def test_which_tensors_are_in_tiles() -> None:
    assert tiled(LARS, [1000, 0, *[5000] * 30]) == [({0, *range(2, 32)}, True)]
    assert tiled(LARS, [1000, *[5000] * 30, 10**6]) == [({*range(31)}, True), ({31}, False)]
    assert tiled(LARS, [30_000, 30_000]) == [({0, 1}, False)], "all of it stays in a cache"
    assert tiled(LARS, [60_000, 60_000]) == [({0, 1}, False)], "and here threads would wait for each other"
    assert tiled(AdamMini, [10, 10**6]) == [({0, 1}, True)]
    assert tiled(LARS, [tiles.CACHED // 12, tiles.CACHED // 12 + 1, *[10_000] * 300]) == [
        ({0, *range(2, 302)}, True),
        ({1}, False),
    ]


def test_totals_that_are_shared_are_made_of_all_tensors_at_once() -> None:
    opt = LARS([np.ones(5000, np.float32) for _ in range(30)])
    seen: list[int] = []
    opt.share(lambda total: seen.append(len(total.values)))
    opt.step([np.ones(5000, np.float32) for _ in range(30)])
    assert set(seen) == {30}


def test_a_tile_is_of_whole_tensors_and_of_a_chunks_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "SERIAL_BELOW", 0)
    (visit,) = [LARS([np.zeros(5000, np.float32) for _ in range(60)])._visit]
    (its,) = visit.tiles
    assert its is not None
    assert its.chunks.tolist() == its.units.tolist()
    counts = np.diff(its.units)
    assert set(counts.tolist()) <= {2, 3, 4}
    assert counts.sum() == 60
