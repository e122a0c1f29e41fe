"""`optgen bench` as a person uses it: tables, a file, pictures, a page, and refusals in words."""

import json
import sys

import pytest

from optgen.cli import main


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder: the exit status, what it printed, and what it complained of."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optgen", "bench", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_rules_are_timed_printed_and_written(bench, tmp_path):
    asked = ["adamw", "--quick", "--against", "none", "--shapes", "2^4,3x5", "--threads", "1"]
    status, out, _ = bench(*asked, "--json", "found.json")
    report = json.loads((tmp_path / "found.json").read_text())
    assert status == 0
    assert [(its["rule"], its["stored"], its["threads"], its["model"]) for its in report["results"]] == [
        ("adamw", "float32", 1, model) for model in ("2^4", "3x5")
    ]
    assert report["machine"]["cores"] >= 1
    for words in ("adamw, float32, 1 thread\n", "of loop", "optgen", "Milliseconds a step"):
        assert words in out


def test_convolutions_are_seen_as_matrices_if_so_asked(bench, tmp_path):
    asked = ["sm3", "--quick", "--against", "none", "--shapes", "3x2", "--threads", "1", "--as-matrices"]
    status, out, _ = bench(*asked, "--json", "found.json")
    (its,) = json.loads((tmp_path / "found.json").read_text())["results"]
    assert (status, its["stored"]) == (0, "float32, as_matrices")
    assert "sm3, float32, as_matrices, 1 thread" in out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("adamw --shapes 3x", "'3x' is no model: write 2^20"),
        ("adamw --store q=bf16", "its states are m, v"),
        ("adamw --store m", "as in m=bf16"),
        ("adamw --dtype int8", "--dtype: expected one of 'f32'"),
        ("adamw --threads 0", "expected a number from 1 to"),
        ("adamw --against me", "expected some of fused"),
        ("adamw --all", "leave out adamw"),
        ("adamw --json nowhere/found.json", "there is no folder nowhere"),
        ("adamw --quick --shapes 4 --against none --master", "expected parameters in bfloat16"),
        ("--shapes 4", "say for which rules"),
        ("--as-matrices", "--as-matrices: say for which rules"),
        ("cosine_decay", "no kernel to time"),
        ("mine.py", "there is no such file"),
    ],
)
def test_what_cannot_be_timed_is_refused_in_words(bench, asked, said):
    status, out, err = bench(*asked.split())
    assert status == 2
    assert said in err
    assert not out


def test_own_rules_are_timed_once_they_are_built(bench, tmp_path):
    spec = "from optgen import Let, Optimizer, g, theta\nfrom optgen.hypers import lr\n"
    (tmp_path / "mine.py").write_text(
        spec + 'o = Optimizer("mine", title="Mine", step=(Let(theta.next, theta - lr*g),))\n'
    )
    status, _, err = bench("mine.py", "--quick", "--shapes", "4")
    assert (status, err) == (2, "error: there is no module for mine in generated: run `optgen build` first\n")
