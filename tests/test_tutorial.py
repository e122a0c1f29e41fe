"""The notebook runs from its first cell to its last, and shows what it is kept with."""

import json
from pathlib import Path

import pytest
from website.notebook import executed, page

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def run():
    for needed in ("sklearn", "matplotlib"):
        pytest.importorskip(needed, reason=f"the tutorial takes {needed}: pip install 'optgen[examples]'")
    return executed(TUTORIAL)


def outputs(notebook):
    return [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_equations_and_kernel_are_those_that_are_kept(run):
    kept = json.loads(TUTORIAL.read_text(encoding="utf-8"))
    assert outputs(run)[:2] == outputs(kept)[:2]
    assert [[o["output_type"] for o in cell] for cell in outputs(run)] == [
        [o["output_type"] for o in cell] for cell in outputs(kept)
    ]


def test_the_rule_is_verified_and_has_learned(run):
    _, _, (verified,), (learned,), (drawn,) = outputs(run)
    table = "".join(verified["data"]["text/markdown"])
    assert "proved" in table
    assert "failed" not in table
    shares = [float(line.split("%")[0].split()[-1]) for line in learned["text"]]
    assert min(shares) > 90
    assert "image/png" in drawn["data"]


def test_the_page_has_all_of_it():
    shown = page(TUTORIAL)
    assert all(part in shown for part in ("def update", "| translation |", "data:image/png;base64,", "align*"))
