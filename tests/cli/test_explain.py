"""`optgen explain` as a person uses it."""

import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from optgen.cli import explain, main, screen, verify
from optgen.explain import speed as measuring
from optgen.verify.candidate import Finding, Verdict
from optgen.verify.run import Verified

ROOT = Path(__file__).parents[2]
SPEC = """
from optgen import Let, Optimizer, g, state, theta
from optgen.hypers import beta1, lr
from optgen.properties import Independent
m = state("m")
mine = Optimizer("mine", title="Mine", description="[red]plain[/red] & <b>",
                 properties=(Independent(m.next, of=theta),),
                 step=(Let(m.next, beta1*m + g), Let(theta.next, theta - lr*m.next)))
"""


@pytest.fixture
def optgen(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder on 80 columns: the exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explain, "console", Console(width=80, highlight=False, force_terminal=False))
    monkeypatch.setattr(screen, "errors", Console(stderr=True, highlight=False, width=200))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optgen", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_page_has_all_there_is_to_know(optgen):
    status, out, _ = optgen("explain", "adamw")
    assert status == 0
    assert "vₜ = β₂ vₜ₋₁ + (1 − β₂) gₜ²" in out
    parts = ["Hyperparameters", "States", "Cost", "Claims", "Certificate", "The same bits", "Variants"]
    assert [line for line in out.splitlines() if line in parts] == parts
    assert re.search(r"f32 +4 B +4 B +8 B +16 B", out)
    assert re.search(r"1 +16 B +12 B +5 fma, 6 ×", out)
    assert "proved  it is adam, bit for bit, given weight_decay = 0" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("view", "begins", "has"),
    [
        ("--markdown", "# AdamW", r"\theta_t &= "),
        ("--latex", r"\section*{AdamW}", r"\begin{tabular}"),
        ("--html", "<!DOCTYPE html>", "<mfrac>"),
        ("--json", "{", '"name": "adamw"'),
    ],
)
def test_other_views(optgen, view, begins, has):
    status, out, _ = optgen("explain", "adamw", view)
    assert (status, out.startswith(begins), has in out) == (0, True, True)


def test_a_difference_has_only_what_changes(optgen):
    status, out, _ = optgen("explain", "adam", "--diff", "adamw")
    assert status == 0
    assert "θₜ of AdamW is that of Adam plus −η γ θₜ₋₁" in out
    assert "The same: mₜ, vₜ, m̂ₜ, v̂ₜ." in out
    hypers = out[out.index("Hyperparameters") : out.index("Cost")]
    assert "weight_decay" in hypers
    assert "beta1" not in hypers
    assert "States" not in out


def test_ones_own_file_and_what_is_in_it_is_text(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    status, out, _ = optgen("explain", "mine.py")
    assert (status, "[red]plain[/red] & <b>" in out) == (0, True)
    assert "proved  m' does not depend on theta" in out
    assert "None for the module as it is: `optgen verify mine` makes one." in " ".join(out.split())
    assert "&lt;b&gt;" in optgen("explain", "mine.py", "--html")[1]
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC)
    assert "−" in optgen("explain", "sgdm", "--diff", "mine")[1]


def test_what_verify_found_out_is_kept_until_the_module_changes(optgen, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SPEC)
    assert optgen("build", "mine.py", "--target", "cuda")[0] == 0
    seen = Finding("translation", "theta", Verdict.PROVED, figures={"stored": True})
    monkeypatch.setattr(verify, "verify", lambda *_: iter([Verified("mine", (seen, seen), "cuda")]))
    assert optgen("verify", "mine.py", "--quick", "--target", "cuda")[0] == 0
    assert json.loads(optgen("explain", "mine.py", "--json")[1])["certificates"]["cuda"]["proved"] == 2
    module = tmp_path / "generated" / "cuda" / "mine.py"
    module.write_text(module.read_text() + "\n")
    assert json.loads(optgen("explain", "mine.py", "--json")[1])["certificates"] == {}


def test_a_measurement_says_what_was_measured(optgen, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "ELEMENTS", 2**10)
    _, out, _ = optgen("explain", "adamw", "--measure")
    told = " ".join(out.split())
    assert re.search(
        r"A step on 1,024 parameters .* must take \d+ µs, for memory moves [\d.]+ GB a second here \(", told
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("adam", "--html", "--latex"), "choose one of --html and --latex"),
        (("adam", "--diff", "noam"), "adam is an optimizer, noam a schedule: compare two of a kind"),
        (("noam", "--measure"), "noam has no kernel whose step could be measured"),
        (("adam", "--diff", "adamw", "--measure"), "--measure is of one rule"),
    ],
)
def test_wrong_use_says_what_to_do(optgen, arguments, complaint):
    status, out, err = optgen("explain", *arguments)
    assert (status, out, complaint in err) == (2, "", True)


def test_the_page_of_the_documentation_is_what_is_printed(optgen):
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"\$ optgen explain adamw\n\n(.*?)\n```", page, re.DOTALL)
    out = optgen("explain", "adamw")[1]
    assert [line.rstrip() for line in out.strip().splitlines()] == shown.splitlines()
