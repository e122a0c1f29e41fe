"""What the README shows is what there is."""

import re
from pathlib import Path

import numpy as np
import pytest

import optgen
from optgen.loader import load, spec_files

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
DOCS = sorted((ROOT / "docs").glob("*.md"))
SPECS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "writing-a-spec.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_spec_compiles_to_the_kernel_that_is_shown():
    names = {}
    exec(BLOCKS[0], names)  # noqa: S102
    for source in (Path(optgen.compile(names["adamw"]).__file__), ROOT / "generated" / "cpu" / "adamw.py"):
        assert BLOCKS[1].strip() in source.read_text(encoding="utf-8")


def test_the_use_that_is_shown_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0).normal
    arrays = {name: draw(size=(3, 2)) for name in ("w1", "b1", "w2", "b2", "dw1", "db1", "dw2", "db2", "theta", "g")}
    names = {"np": np, "optgen": optgen, "m": np.zeros((3, 2)), "v": np.zeros((3, 2)), "schedule": lambda t: 1e-3 / t}
    names |= arrays | {"grads": [arrays[name] for name in ("dw1", "db1", "dw2", "db2")]}
    exec(BLOCKS[2], names)  # noqa: S102
    assert names["opt"].t == 2
    assert (tmp_path / "run.npz").exists()
    spec = {}
    exec(BLOCKS[0], spec)  # noqa: S102
    exec(BLOCKS[3], names | spec)  # noqa: S102


@pytest.fixture(scope="module")
def files():
    """The spec files that come with optgen, loaded."""
    return load(spec_files(ROOT / "specs")).files


def test_the_table_names_every_optimizer(files):
    table = README[README.index("| family |") : README.index("Where a paper, a lecture")]
    listed = set(re.findall(r"`(\w+)`", table))
    there = {optimizer.name for file in files for optimizer in file.optimizers}
    assert listed == there


def test_specs_are_no_longer_than_they_need_to_be(files):
    lines = [line for file in files for line in file.path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) < 11 * sum(len(file.rules) for file in files)


@pytest.fixture(scope="module")
def lesson():
    """What the blocks of docs/writing-a-spec.md define, one after another."""
    names = {}
    for block in SPECS:
        exec(block, names)  # noqa: S102
    return names


@pytest.mark.parametrize(("block", "name", "shipped"), [(0, "belief", "adabelief"), (1, "lion_like", "lion")])
def test_a_rule_costs_less_than_fifteen_lines(block, name, shipped, lesson, generated_by_name):
    assert len([line for line in SPECS[block].splitlines() if line.strip()]) < 15
    mine, own = optgen.compile(lesson[name]), generated_by_name(shipped)
    hypers = {key: hyper.default for key, hyper in mine.PROGRAM.hypers.items()}
    draw = np.random.default_rng(0).normal
    one, other = [draw(size=9)], [np.zeros(9)]
    other[0][:] = one[0]
    first = getattr(mine, lesson[name].title)(one)
    second = own.kind(other, **{key: value for key, value in hypers.items() if key in own.module.PROGRAM.hypers})
    for _ in range(20):
        grad = draw(size=9)
        first.step([grad])
        second.step([grad])
    np.testing.assert_allclose(one[0], other[0], rtol=1e-9)


def test_what_is_wrapped_in_the_lesson_compiles(lesson):
    for name in ("stack", "warmed"):
        assert optgen.compile(lesson[name])


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS], ids=lambda path: path.name
)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
