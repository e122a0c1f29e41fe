"""The house: files that one can read, and one name an idea."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "optgen").rglob("*.py"))
LONGEST = 500
SHARED = {
    "FusedOptimizer": "what modules for CPUs and for GPUs build on: they read alike but for what they import",
    "Hyper": "a hyperparameter as a spec declares it, and as a generated module, which has no SymPy, says it",
}
"""Classes that two files have under one name, and why."""


def test_no_file_is_too_long_to_read():
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_two_classes_have_one_name():
    found = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert twice.keys() == SHARED.keys(), twice


def test_processes_that_share_the_tests_see_their_groups(request):
    """Pytest 9.2 hides them from pytest-xdist 3.8, and then processes compile what others have compiled."""
    if not getattr(request.config.option, "loadgroup", None):
        pytest.skip("one process runs all tests, or nobody asked for groups")
    assert request.node.nodeid.endswith("@test_structure")
