"""The wheel: complete, working from anywhere, and one name in site-packages."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUIETLY = ("--quiet", "--disable-pip-version-check")
USE = """
import numpy as np, optgen, sys
from pathlib import Path
from optgen.generated.cpu.adamw import AdamW
assert Path(optgen.__file__).is_relative_to(sys.argv[1]), optgen.__file__
w = np.ones(3)
AdamW([w]).step([w.copy()])
assert w[0] < 1
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the sources, built from a copy: setuptools leaves a folder behind that it would trust later."""
    for needed in ("pip", "setuptools"):  # not imported: setuptools minds what was before it
        if find_spec(needed) is None:
            pytest.skip(f"builds with {needed}, which is not installed")
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("sources")
    for name in ("optgen", "specs", "generated"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", *QUIETLY, "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(copy)], check=True)
    return next(folder.glob("*.whl"))


def test_it_holds_every_module(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("optgen", "specs", "generated"):
        for path in (ROOT / folder).rglob("*.py"):
            inside = path.relative_to(ROOT) if folder == "optgen" else Path("optgen") / path.relative_to(ROOT)
            assert str(inside) in names
    assert names >= {"optgen/py.typed", "optgen/generated/certificates.json"}


def test_it_adds_one_name_to_site_packages(wheel):
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"optgen"}


def test_it_works_from_another_folder(wheel, tmp_path):
    site = tmp_path / "site"
    options = ("--no-deps", "--no-index", "--no-compile", "--target", str(site))  # Python compiles what is imported
    subprocess.run([sys.executable, "-m", "pip", "install", *QUIETLY, *options, str(wheel)], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", USE, str(site)], check=True, cwd=elsewhere, env=environment)
    built = [sys.executable, "-m", "optgen", "build", "adam"]
    subprocess.run(built, check=True, cwd=elsewhere, env=environment, capture_output=True)
    assert (elsewhere / "generated" / "cpu" / "adam.py").exists()
