"""What is remembered of a spec is believed only as long as nothing has changed that it follows from."""

import os
import shutil

import pytest

from optgen import known, loader
from optgen.catalog import Source, everything, found
from optgen.errors import SpecError, UsageError
from optgen.folders import installed_specs, spec_files
from optgen.modules import digest_of

SPEC = """
from optgen import Let, Optimizer, g, theta
from optgen.hypers import lr
{name} = Optimizer("{name}", title="Mine", step=(Let(theta.next, theta - lr * g),))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("OPTGEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """A folder with two specs, of which one imports the other."""
    place = tmp_path / "specs"
    place.mkdir()
    (place / "base.py").write_text(SPEC.format(name="base"))
    (place / "child.py").write_text("from .base import lr as rate\n" + SPEC.format(name="child"))
    return place


@pytest.fixture
def executed(monkeypatch):
    """Names of the files that are executed, in order."""
    names = []
    load_file = loader.load_file
    monkeypatch.setattr(loader, "load_file", lambda path: names.append(path.name) or load_file(path))
    return names


def is_executed(path, executed):
    """Whether a file is executed to say what it declares."""
    before = len(executed)
    assert [each.name for each in Source(path).declared]
    return len(executed) > before


def test_a_file_is_executed_once_and_again_when_it_or_what_it_imports_has_changed(folder, executed):
    child, base = folder / "child.py", folder / "base.py"
    assert is_executed(child, executed)
    assert not is_executed(child, executed)
    base.write_text(base.read_text() + "# a word\n")
    assert is_executed(child, executed)
    assert not is_executed(child, executed)
    child.write_text(child.read_text().replace("- lr", "+ lr"))
    assert is_executed(child, executed)


def test_another_compiler_or_another_sympy_is_another_key(folder, tmp_path, monkeypatch):
    before = known.key_of(folder / "base.py")
    assert before == known.key_of(folder / "base.py")
    monkeypatch.setattr(known, "compiler", lambda: "another")
    assert known.key_of(folder / "base.py") != before
    monkeypatch.undo()
    version = tmp_path / "release.py"
    version.write_text("__version__ = '2.0'\n")
    monkeypatch.setattr(known, "_versions", lambda: [version])
    assert known.compiler.__wrapped__() != known.compiler()


def test_a_moved_file_is_another_since_headers_name_its_folder(folder, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert known.key_of(moved / "base.py") != known.key_of(folder / "base.py")


IMPURE = [
    "data = open('rates.txt').read()",
    "import numpy",
    "from pathlib import Path",
    "import os",
    "from os import environ",
    "import time",
    "from random import random",
    "import mine_too",
    "from ..other import x",
    "from .nosuch import x",
    "from . import nosuch",
    "from optgen import specs",
    "from optgen import loader",
    "import optgen.specs.adam",
    "import optgen\nx = optgen.specs",
    "x = __import__('os').environ",
    "x = eval('1')",
    "x = [].__class__.__base__",
    "x = hash('x')",
    "x = (",
]


@pytest.mark.parametrize("text", IMPURE)
def test_what_depends_on_more_than_texts_is_not_remembered(folder, text):
    path = folder / "odd.py"
    path.write_text(text + "\n" + SPEC.format(name="odd"))
    assert known.key_of(path) is None


PURE = [
    "from . import base",
    "from .base import *",
    "from optgen import *",
    "from optgen.specs.adamw import adamw",
    "from optgen.specs import sgd",
    "from sympy import Interval\nx = Interval.open(0, 1)",
    "import sympy as sp\nimport math, itertools",
    "from optgen.combinators import ema\nfrom optgen.properties import Equivalent",
]


@pytest.mark.parametrize("text", PURE)
def test_what_follows_from_texts_is_remembered(folder, text):
    path = folder / "even.py"
    path.write_text(text + "\n" + SPEC.format(name="even"))
    assert known.key_of(path)


def test_every_spec_that_comes_with_optgen_is_remembered():
    assert all(known.key_of(path) for path in spec_files(installed_specs()))


@pytest.mark.parametrize(
    "damage", ["", "x", "{}", "[1]", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")]
)
def test_what_is_damaged_on_the_disk_is_not_believed(folder, cache, executed, damage):
    path = folder / "base.py"
    assert is_executed(path, executed)
    (place,) = (cache / "known").iterdir()
    whole = place.read_text()
    for text in (damage, whole[:-2], whole.replace("base", "best"), whole.split("\n")[1]):
        place.write_text(text)
        assert is_executed(path, executed)
    place.write_bytes(b"\xff\xfe" + whole.encode())
    assert is_executed(path, executed)
    assert not is_executed(path, executed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name on this system")
def test_a_pipe_is_not_waited_for(folder, cache, executed):
    path = folder / "base.py"
    assert is_executed(path, executed)
    (place,) = (cache / "known").iterdir()
    place.unlink()
    os.mkfifo(place)
    assert is_executed(path, executed)
    assert not is_executed(path, executed)
    path.unlink()
    os.mkfifo(path)
    assert digest_of(path) is None
    assert not Source(path).seems_to_declare("child")
    with pytest.raises(SpecError, match="it cannot be read: it is a pipe"):
        Source(path).declared  # noqa: B018


def test_nothing_is_kept_of_a_file_that_changes_while_it_is_looked_at(folder, cache):
    source = Source(folder / "base.py")
    assert source.key
    source.path.write_text(SPEC.format(name="other"))
    assert [each.name for each in source.declared] == ["other"]
    assert not (cache / "known").exists()
    assert [each.name for each in Source(source.path).declared] == ["other"]


def test_without_a_disk_nothing_is_kept(folder, tmp_path, executed, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPTGEN_CACHE_DIR", str(tmp_path / "file"))
    assert is_executed(folder / "base.py", executed)
    assert is_executed(folder / "base.py", executed)


def test_a_name_is_looked_for_in_one_file(folder, executed):
    (folder / "made.py").write_text(SPEC.format(name="x").replace('"x"', '"_".join(("made", "up"))'))
    (folder / "broken.py").write_text("nonsense\n")
    paths = spec_files(folder)
    source, declared = found("child", paths)
    assert (executed, source.path.name, declared.title) == (["child.py"], "child.py", "Mine")
    source, _ = found("made_up", paths)
    assert source.path.name == "made.py"
    with pytest.raises(UsageError, match="did you mean child"):
        found("chidl", paths)
    with pytest.raises(SpecError, match="nonsense"):
        found("broken", paths)


def test_two_files_with_one_name_are_refused_whether_they_are_executed_or_not(folder):
    (folder / "later.py").write_text(SPEC.format(name="base"))
    for _ in range(2):
        choices, (error,) = everything(spec_files(folder))
        assert [each.name for _, each in choices] == ["base", "child"]
        assert "later.py:4: optimizer 'base': " in str(error)
        assert "base.py declares one of this name too" in str(error)
