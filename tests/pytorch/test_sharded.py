"""Parameters of which every process has a part: what several processes do is what one does with all."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SAID = {
    "partial": r"params\[0\] is a DTensor of placements \[Partial\(sum\)\]: that is still to be added up; .*",
    "partial gradient": r"grads\[0\]: expected it divided as its parameter, .* \[Replicate\(\)\], got .* \[Partial.*",
    "plain gradient": r"grads\[0\]: expected it divided as its parameter, .* got a plain tensor; redistribute it .*",
    "draws": r"params\[0\] is .* \[Shard\(dim=0\)\], so .* what is drawn depends on where an element stands .*",
    "begun": r"params\[0\] is .* \[Shard\(dim=0\)\], so .* distance starts from what all of theta is, .*",
    "chance": r"params\[0\] is .* \[Shard\(dim=0\)\], so .* what is drawn depends on where an element stands .*",
    "over two": r"params\[0\] is .*: lamb makes totals, which go over one dimension of a mesh; .*",
    "elements over two": "nothing",
    "over one of two": "nothing",
    "draws, of whole ones": "nothing",
    "a part of one row": "nothing",
}
"""What is said of what, as an expression."""


@pytest.fixture
def shards(torch: Any) -> Any:
    """What processes do."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("PyTorch without gloo, through which processes talk here")
    if not hasattr(import_module("torch.distributed.fsdp"), "fully_shard"):
        pytest.skip("PyTorch without fully_shard")
    return import_module("shards")


@pytest.mark.parametrize("count", [2, 3])
def test_tensors_that_are_divided_are_stepped_as_they_are_in_one_process(
    shards: Any, tmp_path: Path, count: int
) -> None:
    of_totals = ["LAMB", "Adafactor", "SM3", "SWATS", "EmaClipGlobalNormAdamW", "of groups"]
    titles = ["AdamW", "Lion", *of_totals]
    alone = {title: shards.whole(shards.trained(title)) for title in titles}
    for found in shards.among(count, shards.all_of, titles, ["first", "last", "some"], at=tmp_path):
        for (title, _), whole in found.items():
            same = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-14)
            if title not in of_totals:
                same = np.testing.assert_array_equal
            for one, other in zip(whole, alone[title], strict=True):
                same(one, other)


def test_a_script_with_fully_shard_goes_on_with_other_processes(shards: Any, tmp_path: Path) -> None:
    titles = ["AdamW", "LAMB", "Adafactor"]
    shards.among(2, shards.up_to_a_checkpoint, titles, str(tmp_path), at=tmp_path)
    found = shards.among(3, shards.from_a_checkpoint, titles, str(tmp_path), at=tmp_path)
    for title in titles:
        model, opt = shards.made(title, sharded=False)
        shards.train(model, opt, range(7))
        alone = shards.whole(opt)
        for each in found:
            for one, other in zip(each[title], alone, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_what_cannot_be_done_with_a_part_is_refused_in_words(shards: Any, tmp_path: Path) -> None:
    for said in shards.among(4, shards.refused, at=tmp_path):
        for what, words in SAID.items():
            assert re.fullmatch(words, said[what]), (what, said[what])
