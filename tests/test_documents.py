"""What the README shows is what there is."""

import importlib
import inspect
import re
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

import optgen
from optgen.folders import spec_files
from optgen.loader import load_file
from optgen.pipeline import kernel_of
from optgen.verify import claims, memory, numerics, translation
from optgen.verify.candidate import Candidate, Effort, failures
from optgen.verify.run import ADVICE, PARTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
DOCS = sorted((ROOT / "docs").glob("*.md"))
SPECS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "writing-a-spec.md").read_text(encoding="utf-8"), re.DOTALL)
NEEDS = {
    "pytorch.md": ["torch"],
    "lightning.md": ["torch", "lightning"],
    "timm.md": ["torch", "timm"],
    "transformers.md": ["torch", "transformers", "accelerate"],
}
"""What the blocks of a page take beside this package."""
OF_OTHERS = pytest.mark.filterwarnings("default")  # what others warn of is theirs


def test_the_spec_compiles_to_the_kernel_that_is_shown():
    names = {}
    exec(BLOCKS[0], names)  # noqa: S102
    for source in (Path(optgen.compile(names["adamw"]).__file__), ROOT / "generated" / "cpu" / "adamw.py"):
        assert BLOCKS[1].strip() in source.read_text(encoding="utf-8")


def test_the_use_that_is_shown_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0).normal
    arrays = {
        name: draw(size=(3, 2)) for name in ("w1", "b1", "w2", "b2", "w3", "dw1", "db1", "dw2", "db2", "theta", "g")
    }
    names = {"np": np, "optgen": optgen, "m": np.zeros((3, 2)), "v": np.zeros((3, 2)), "schedule": lambda t: 1e-3 / t}
    names |= arrays | {"grads": [arrays[name] for name in ("dw1", "db1", "dw2", "db2")]}
    exec(BLOCKS[2], names)  # noqa: S102
    assert names["opt"].t == 2
    assert (tmp_path / "run.npz").exists()
    exec(BLOCKS[3], names)  # noqa: S102
    assert [group["lr"] for group in names["opt"].groups] == [3e-4, 1e-4, 1e-3]
    spec = {}
    exec(BLOCKS[0], spec)  # noqa: S102
    exec(BLOCKS[4], names | spec)  # noqa: S102


@pytest.fixture(scope="module")
def files():
    """The spec files that come with optgen, loaded."""
    return list(map(load_file, spec_files(ROOT / "specs")))


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


@pytest.mark.parametrize("name", ["belief", "lion_like", "tame", "stack", "warmed"])
def test_the_rules_of_the_lesson_are_verified(name, lesson):
    """By all that `optgen verify` does, but that memory is looked at without compiling for all threads."""
    candidate = Candidate(lesson[name], Path(optgen.compile(lesson[name]).__file__))
    assert memory.escapes(candidate) == []
    for part in (translation, numerics, claims):
        assert failures(list(part.check(candidate, Effort(draws=20)))) == []


def test_the_page_on_failures_has_what_each_part_of_the_verifier_says():
    page = (ROOT / "docs" / "when-verification-fails.md").read_text(encoding="utf-8")
    assert [part for part in re.findall(r"^## (\w+)$", page, re.MULTILINE) if part in ADVICE] == list(ADVICE)
    assert list(ADVICE) == list(dict.fromkeys(part for parts in PARTS.values() for part in parts))


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("convolutions.md", ""),
        pytest.param("lightning.md", "8\n", marks=OF_OTHERS),
        ("pytorch.md", "2\n"),
        pytest.param("timm.md", "optgen.torch [0.0, 0.05]", marks=OF_OTHERS),
        pytest.param("transformers.md", "8\n", marks=OF_OTHERS),
        ("sharing.md", "sum of each tensor over each model: [60.]"),
        ("storage.md", "float16\nfloat32"),
        ("writing-a-wrapper.md", "rate_now"),
    ],
)
def test_the_blocks_of_a_page_run(page, says, capsys, tmp_path, monkeypatch):
    for library in NEEDS.get(page, ()):
        pytest.importorskip(library, exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)  # noqa: S102
    assert says in capsys.readouterr().out


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in DOCS} - {"README.md"} == set(re.findall(r"\]\((\w[\w-]*\.md)\)", index))


def test_defaults_that_differ_are_those_of_the_specs_and_of_the_libraries():
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (\S+) \| (\S+) \| `([\w.]+)` \|$",
        (ROOT / "docs" / "defaults.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(rows) > 20
    rules = {rule.name: rule for file in map(load_file, spec_files(ROOT / "specs")) for rule in file.optimizers}
    spelled = {"beta1": "b1", "beta2": "b2"}
    for name, hyper, here, there, library in rows:
        default = float(next(h.default for h in rules[name].hypers if h.name == hyper))
        assert float(here) == default, (name, hyper)
        assert there == "none" or float(there) != default, (name, hyper)
        module, _, function = library.rpartition(".")
        assert library in rules[name].reference or name.startswith(("l2_", "sgd", "adam")), (name, library)
        try:
            parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
        except ImportError:
            continue
        own = "learning_rate" if (module, hyper) == ("optax", "lr") else hyper
        own = spelled.get(own, own) if module == "optax" else own
        given = parameters[own].default
        assert there == "none" if given is inspect.Parameter.empty else float(given or 0) == float(there), (name, hyper)


@pytest.mark.parametrize("name", ["sgd", "sgdm", "nag", "lion", "novograd", "lamb", "lars"])
def test_what_differs_is_in_the_docstring_too(name, generated_by_name):
    assert re.search(r"defaults? of .* in (torch|optax)", " ".join(generated_by_name(name).module.__doc__.split()))


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS], ids=lambda path: path.name
)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link


SAME_BITS = run_path(str(ROOT / "docs" / "write_same_bits.py"))


def test_the_page_on_the_same_bits_is_as_it_is_written_now(generated):
    page = (ROOT / "docs" / "same-bits.md").read_text(encoding="utf-8")
    assert f"\n{SAME_BITS['row'](kernel_of(generated.optimizer))}\n" in page
    assert page.startswith(SAME_BITS["HEAD"])
