"""Parameters of which every process has a part: what several processes do is what one does with all."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest

SAID = {
    "partial": r"params\[0\] is a DTensor of placements \[Partial\(sum\)\]: that is still to be added up; .*",
    "partial gradient": r"grads\[0\]: expected it divided as its parameter, .* \[Replicate\(\)\], got .* \[Partial.*",
    "plain gradient": r"grads\[0\]: expected it divided as its parameter, .* got a plain tensor; redistribute it .*",
    "draws, in a row": "nothing",
    "draws": r"params\[0\] is .* \[Shard\(dim=1\)\], so .* what is drawn depends on where an element stands .*",
    "begun": r"params\[0\] is .* \[Shard\(dim=0\)\], so .* distance starts from what all of theta is, .*",
    "chance": r"params\[0\] is .* \[Shard\(dim=1\)\], so .* what is drawn depends on where an element stands .*",
    "over two": r"params\[0\] is .*: lamb makes totals, which go over one dimension of a mesh; .*",
    "elements over two": "nothing",
    "over one of two": "nothing",
    "draws, of whole ones": "nothing",
    "another mesh": r"params\[0\] is .*: lamb makes totals of all parts, and this process is not in the mesh .*",
    "a part of one row": "nothing",
    "offloaded": r"offload: params\[0\]: expected a plain tensor, got a DTensor; .*CPUOffloadPolicy.*",
}
"""What is said of what, as an expression."""


OF_ELEMENTS = ["AdamW", "Lion"]
OF_TOTALS = ["LAMB", "Adafactor", "SM3", "SWATS", "EmaClipGlobalNormAdamW", "of groups"]
OF_TOTALS += ["Adafactor of matrices", "SM3 of matrices"]
OF_THREE = ["AdamW", "Adafactor", "EmaClipGlobalNormAdamW"]


@pytest.fixture(scope="module")
def shards() -> Any:
    """What processes do."""
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_gloo_available():
        pytest.skip("PyTorch without gloo, through which processes talk here")
    if not hasattr(import_module("torch.distributed.fsdp"), "fully_shard"):
        pytest.skip("PyTorch without fully_shard")
    return import_module("shards")


@pytest.fixture(scope="module")
def alone(shards: Any) -> dict[str, Any]:
    """What one process does."""
    return shards.alone([*OF_ELEMENTS, *OF_TOTALS])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def answers(shards: Any, alone: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Any]]:
    """What two processes return, and three after them, who go on from their checkpoint: by kernels that are there."""
    at = tmp_path_factory.mktemp("shards")
    asked = {2: [*OF_ELEMENTS, *OF_TOTALS], 3: OF_THREE}
    return {count: shards.among(count, shards.work, titles, str(at), at=at) for count, titles in asked.items()}


@pytest.fixture(scope="module")
def refused(shards: Any) -> Any:
    """What is said of what cannot be done."""
    return shards.refused()


@pytest.mark.parametrize("title", [*OF_ELEMENTS, *OF_TOTALS])
def test_tensors_that_are_divided_are_stepped_as_they_are_in_one_process(alone: Any, answers: Any, title: str) -> None:
    of_title = [
        its for each in answers.values() for found, _, _ in each for (of, _), its in found.items() if of == title
    ]
    assert len(of_title) == 4 * (2 + 3 * (title in OF_THREE))
    for found in of_title:
        for one, other in zip(found, alone[title], strict=True):
            if title in OF_ELEMENTS:
                np.testing.assert_array_equal(one, other)
            else:
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("title", ["AdamW", "LAMB", "Adafactor"])
def test_a_script_with_fully_shard_goes_on_with_other_processes(
    torch: Any, shards: Any, answers: Any, title: str
) -> None:
    model, opt = shards.made(title, sharded=False)
    shards.train(model, opt, range(7))
    alone = shards.whole(opt)
    for _, found, _ in answers[3]:
        for one, other in zip(found[title], alone, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("what", ["noise", "chance"])
def test_what_is_drawn_goes_by_where_an_element_stands_in_the_whole(alone: Any, answers: Any, what: str) -> None:
    found = [its for each in answers.values() for found, _, _ in each for (of, _), its in found.items() if of == what]
    assert len(found) == 3 * (2 + 3)
    for each in found:
        for one, other in zip(each, alone[what], strict=True):
            np.testing.assert_array_equal(one, other)


def test_gradients_are_let_go_of_as_they_arrive_in_parts(torch: Any, shards: Any, answers: Any) -> None:
    alone = shards.whole(shards.released(sharded=False, at_once=False))
    for _, _, found in [*answers[2], *answers[3]]:
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("what", SAID)
def test_what_cannot_be_done_with_a_part_is_refused_in_words(torch: Any, refused: dict[str, str], what: str) -> None:
    assert re.fullmatch(SAID[what], refused[what])


@pytest.mark.parametrize("beside", ["master", "kahan"])
def test_what_is_written_to_a_part_of_16_bits_holds(shards: Any, beside: str) -> None:
    whole, part = shards.written(beside)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_elsewhere_is_noticed(shards: Any) -> None:
    whole, part = shards.moved()
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one, other)
