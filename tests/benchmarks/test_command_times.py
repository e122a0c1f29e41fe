"""The benchmark of commands: it measures what it is asked for, of any checkout, and stops what takes too long."""

import json
from pathlib import Path

import commands
import pytest

ROOT = Path(__file__).parents[2]


def test_a_small_selection_is_measured_printed_and_written(tmp_path, capsys):
    selection = ["--only", "commands: --version", "many states, 50", "--rounds", "0", "--root", str(ROOT)]
    commands.main([*selection, "--json", str(tmp_path / "report.json")])
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["root"] == str(ROOT)
    assert [(row["part"], row["name"], row["status"]) for row in report["rows"]] == [
        ("commands", "--version", 0),
        ("growth", "many states, 50", 0),
    ]
    for row in report["rows"]:
        assert row["cpu"] > 0
        assert row["runs"] == 1
        assert row["name"] in printed


@pytest.mark.parametrize(
    ("arguments", "limit", "status", "said"),
    [
        (("-c", "import optgen, sys; sys.exit(f'it is {optgen.MARK}')"), 60, 1, "it is mine"),
        (("-c", "while True: pass"), 0.5, -9, ""),
    ],
    ids=["another checkout", "too long"],
)
def test_a_run_is_of_the_checkout_and_of_limited_length(tmp_path, arguments, limit, status, said):
    root = tmp_path / "root"
    for name in ("optgen", "specs", "generated"):
        (root / name).mkdir(parents=True)
    (root / "optgen" / "__init__.py").write_text("MARK = 'mine'\n")
    its = commands.Checkout(root, tmp_path / "site")
    its.link()
    run = its.run(arguments, tmp_path, limit)
    assert (run.status, run.said) == (status, said)


def test_growth_is_a_power_of_the_number_of_equations_beyond_what_one_costs():
    rows = [
        commands.Row("growth", f"many states, {n}", 0.0, 1 + 0.001 * (n - 1) ** 2, 1, 0, "") for n in commands.GROWN
    ]
    (one, other) = commands.powers(rows)
    assert one.startswith("many states: from 50 to 200 equations")
    assert one.endswith("to the 2.02")
    assert other.endswith("to the 2.00")


def test_what_is_no_checkout_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        commands.main(["--root", str(tmp_path)])
    assert "is no checkout of optgen" in capsys.readouterr().err
