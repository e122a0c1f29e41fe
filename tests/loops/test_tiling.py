"""What sweeps are said to find in a cache, and in what."""

from __future__ import annotations

import pytest

from optgen.loops.tiling import tiling
from optgen.pipeline import kernel_of

SAID = {
    "lars": ["  8 of the 28 bytes come from a CPU's caches: small tensors go through all sweeps one by one"],
    "adam_mini": ["  4 of the 24 bytes come from a CPU's caches: rows go through all sweeps a few at a time"],
    "clip_global_norm_adamw": [],
    "adamw": [],
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_said(generated_by_name, name):
    assert list(tiling(kernel_of(generated_by_name(name).optimizer))) == SAID[name]
