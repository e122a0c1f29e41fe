"""The command line as a person and a program use it: what is printed, and the exit status."""

import importlib.util
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from sympy import Integer

from optgen import pipeline
from optgen.cli import main

SPEC = """
from optgen import Let, Optimizer, g, theta
from optgen.hypers import lr
mine = Optimizer("mine", title="Mine", step=(Let(theta.next, theta - lr * g),))
"""


SCHEDULE = """
from optgen import Schedule, t
from optgen.hypers import lr
falling = Schedule("falling", lr / t, reference="a book")
"""


@pytest.fixture
def optgen(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: the exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optgen", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return run


def test_build_writes_a_module_that_trains(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC)
    status, out, _ = optgen("build")
    assert (status, "built mine") == (0, out[:10])
    spec = importlib.util.spec_from_file_location("built_mine", tmp_path / "generated" / "cpu" / "mine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theta = np.ones(3)
    module.step(theta, np.ones(3), t=1, lr=0.25)
    assert theta.tolist() == [0.75] * 3
    assert optgen("build")[1] == "2 unchanged\n"


def test_build_check_fails_and_names_what_is_stale(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    path = tmp_path / "specs" / "mine.py"
    path.write_text(SPEC)
    assert optgen("build", "--check")[0] == 1
    assert not (tmp_path / "generated").exists()
    optgen("build")
    assert optgen("build", "--check")[0] == 0
    path.write_text(SPEC + "\n# touched\n")
    status, out, err = optgen("build", "--check")
    assert status == 1
    assert "generated/cpu/mine.py is not what specs/mine.py says now (optimizer 'mine')" in err
    assert out == "2 stale\n"
    path.rename(tmp_path / "specs" / "_mine.py")
    assert "is made by no spec" in optgen("build", "--check")[2]


def test_build_takes_names_and_files(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    assert optgen("build", "mine.py", "adamw", "--out", "here")[0] == 0
    assert sorted(path.name for path in (tmp_path / "here" / "cpu").iterdir()) == ["adamw.py", "mine.py"]


def test_a_file_with_an_error_fails_and_the_others_still_build(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC)
    (tmp_path / "specs" / "broken.py").write_text(SPEC.replace("mine", "broken").replace("lr * g", "lr * g * rate"))
    (tmp_path / "specs" / "gamma.py").write_text(
        "from sympy import gamma\n" + SPEC.replace("mine", "special").replace("lr * g", "lr * gamma(g)")
    )
    status, out, err = optgen("build")
    assert status == 1
    assert "built mine" in out
    assert [path.name for path in (tmp_path / "generated" / "cpu").iterdir()] == ["mine.py"]
    assert "specs/broken.py:4: " in err
    assert "name 'rate' is not defined" in err
    assert "specs/gamma.py:5: optimizer 'special': there is no printer for `gamma`" in err
    assert "in   theta' = theta - lr*gamma(g)" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("build",), "there is no folder specs/ here"),
        (("build", "adamm"), "there is no optimizer 'adamm': did you mean adam"),
        (("build", "nothing.py"), "nothing.py: there is no such file"),
        (("build", "adam", "--target", "abacus"), "there is no target 'abacus': choose from cpu"),
        (("show", "zzz"), "there is no optimizer 'zzz': `optgen list` shows what there is"),
        (("show", "adam", "--ir", "--latex"), "choose one of --ir, --source, --latex, --ptx and --sass"),
        (("new", "My-Rule"), "'My-Rule' cannot name a module"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_to_do(optgen, arguments, complaint):
    status, out, err = optgen(*arguments)
    assert status == 2
    assert complaint in err
    assert out == ""


def test_an_unknown_option_exits_with_2(optgen):
    assert optgen("build", "--fast")[0] == 2


def test_list_json_holds_all_there_is_to_know(optgen):
    status, out, _ = optgen("list", "--json")
    assert status == 0
    entries = {entry["name"]: entry for entry in json.loads(out)}
    adamw = entries["adamw"]
    assert (adamw["title"], adamw["file"], adamw["sweeps"]) == ("AdamW", "specs/adamw.py", 1)
    assert (adamw["bytes_read"], adamw["bytes_written"]) == (16, 12)
    assert adamw["states"] == [{"name": name, "space": "ELEM", "init": "0"} for name in ("m", "v")]
    assert {h["name"]: (h["default"], h["domain"]) for h in adamw["hypers"]}["beta1"] == (0.9, "[0, 1)")
    first, later = entries["sgdm"]["branches"]
    assert (first["when"], first["bytes_read"], first["bytes_written"]) == ("t == 1", 8, 8)
    assert (later["when"], later["bytes_read"], later["bytes_written"]) == ("True", 12, 8)
    assert entries["adagrad"]["states"][0]["init"] == "initial_accumulator"


def test_list_names_every_optimizer_and_those_of_the_folder_first(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC)
    lines = optgen("list")[1].splitlines()
    assert lines[1].startswith("mine")
    assert any(line.startswith("rmsprop_centered ") for line in lines)


def test_list_shows_schedules_after_the_optimizers(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "falling.py").write_text(SCHEDULE)
    lines = optgen("list")[1].splitlines()
    after = lines[lines.index("") + 1 :]
    assert after[0].split() == ["schedule", "hyperparameters", "reference"]
    assert after[1].split() == ["falling", "lr", "a", "book"]
    entries = json.loads(optgen("list", "--json")[1])
    kinds = [entry["kind"] for entry in entries]
    assert kinds == sorted(kinds)
    assert entries[kinds.index("schedule")]["name"] == "falling"
    assert entries[-1].keys() < entries[0].keys()


def test_a_schedule_is_built_checked_and_shown(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    path = tmp_path / "specs" / "falling.py"
    path.write_text(SCHEDULE)
    assert optgen("build")[:2] == (0, "built falling  generated/schedules/falling.py\n1 built\n")
    assert optgen("build", "--check")[0] == 0
    assert "    falling = lr/t" in optgen("show", "falling")[1]
    assert optgen("show", "falling", "--source")[1] == (tmp_path / "generated" / "schedules" / "falling.py").read_text()
    assert r"\begin{aligned}" in optgen("show", "falling", "--latex")[1]
    assert "which is not compiled" in optgen("show", "falling", "--ir")[2]
    path.write_text(SCHEDULE + "# touched\n")
    status, _, err = optgen("build", "--check")
    assert status == 1
    assert "generated/schedules/falling.py is not what specs/falling.py says now (schedule 'falling')" in err
    path.unlink()
    assert "is made by no spec" in optgen("build", "--check")[2]


def test_a_schedule_has_nothing_to_verify(optgen):
    status, _, err = optgen("verify", "sgdr")
    assert status == 2
    assert "there is no kernel to verify" in err


def test_list_shows_what_cannot_be_built(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text("from sympy import gamma\n" + SPEC.replace("lr * g", "lr * gamma(g)"))
    entries = {entry["name"]: entry for entry in json.loads(optgen("list", "--json")[1])}
    assert entries["mine"]["sweeps"] is None
    status, _, err = optgen("build")
    assert status == 1
    assert "there is no printer for `gamma`" in err


def test_list_counts_sweeps_over_elements_and_their_bytes(optgen):
    """The first sweep of a global norm reads nothing but the gradient; LAMB reads its new moments again."""
    entries = {entry["name"]: entry for entry in json.loads(optgen("list", "--json")[1])}
    moved = {name: [entries[name][key] for key in ("sweeps", "bytes_read", "bytes_written")] for name in entries
             if entries[name]["kind"] == "optimizer"}  # fmt: skip
    assert moved["adamw"] == [1, 16, 12]
    assert moved["clip_global_norm_adamw"] == [2, 4 + 16, 12]
    assert moved["lamb"] == [2, 16 + 12, 8 + 4]
    assert moved["adafactor"] == [3, 8 + 4 + 8, 4]


def test_show_says_why_the_sweeps_are_what_they_are(optgen):
    out = optgen("show", "lamb", "--ir")[1]
    assert "sweep 2 over every element: 3 loads, 1 stores an element\n    load   theta\n    load   m' v'\n" in out
    assert "40 bytes an element in float32 are moved" in out
    assert re.search(r"m stored by element sweep 0; by 1: 44", out)


def test_show_prints_equations_hyperparameters_and_states(optgen):
    out = optgen("show", "adam")[1]
    assert "    m'     = beta1*m + (1 - beta1)*g" in out
    assert "learning rate" in out
    assert "m: one value an element, from 0" in out


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--ir", "kernel adam"), ("--source", "class Adam(FusedOptimizer):"), ("--latex", r"\begin{aligned}")],
)
def test_show_prints_other_views(optgen, option, expected):
    assert expected in optgen("show", "adam", option)[1]


def test_show_source_is_what_build_writes(optgen, tmp_path):
    optgen("build", "adam")
    assert optgen("show", "adam", "--source")[1] == (tmp_path / "generated" / "cpu" / "adam.py").read_text()


def test_new_writes_a_spec_that_builds_as_it_is(optgen, tmp_path):
    assert optgen("new", "my_rule")[0] == 0
    assert optgen("build", "my_rule.py")[0] == 0
    assert "class MyRule(FusedOptimizer):" in (tmp_path / "generated" / "cpu" / "my_rule.py").read_text()
    before = (tmp_path / "my_rule.py").read_text()
    status, _, err = optgen("new", "my_rule")
    assert (status, (tmp_path / "my_rule.py").read_text()) == (2, before)
    assert "exists already" in err


def test_build_json_says_what_became_of_each(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    result, _ = json.loads(optgen("build", "mine.py", "--json")[1])
    assert (result["name"], result["status"], result["path"]) == ("mine", "built", "generated/cpu/mine.py")


def test_version(optgen):
    assert optgen("--version")[1].startswith("optgen 0.")


def test_verify_prints_a_table_and_json(optgen):
    status, out, _ = optgen("verify", "sgd", "sgd_l2", "--quick")
    assert status == 0
    assert "2 of 2 stored values proved" in out
    status, out, _ = optgen("verify", "adamw", "--quick", "--json")
    report = json.loads(out)
    (entry,) = report["optimizers"]
    assert (status, entry["name"], entry["proved"], entry["failed"]) == (0, "adamw", 3, 0)
    assert entry["worst_ulps"]["float32"] < 4
    assert entry["cases"] > 0


def test_a_wrong_compiler_is_caught_and_the_equation_named(optgen, monkeypatch):
    """`optgen build && optgen verify`, with a pass that drops the weight decay of AdamW."""

    def forgetful(kernel):
        (decay,) = (a.target for a in kernel.scalars if str(a.value) == "-lr*weight_decay + 1")

        def forgotten(sweep):
            return replace(sweep, body=tuple(replace(a, value=a.value.subs(decay, Integer(1))) for a in sweep.body))

        return kernel.map_sweeps(forgotten)

    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, (forgetful, ())))
    assert optgen("build", "adamw")[0] == 0
    status, _, err = optgen("verify", "adamw", "--quick")
    assert status == 1
    assert "adamw, translation: theta' = (1 - lr*weight_decay)*theta - lr*m_hat/(sqrt(v_hat) + eps)" in err
    assert "the code gives" in err


def test_verify_puts_itself_to_the_test(optgen):
    status, out, _ = optgen("verify", "sgd", "--quick", "--mutate")
    assert status == 0
    assert "a sign flipped" in out
    assert "(100.0%)" in out


def test_a_new_rule_is_built_and_verified_as_the_readme_says(optgen):
    for arguments in (("new", "my_rule"), ("build", "my_rule.py"), ("verify", "my_rule.py", "--quick")):
        status, out, err = optgen(*arguments)
        assert (status, err) == (0, "")
    assert "3 of 3 stored values proved" in out


def test_verify_wants_modules_that_are_built(optgen, tmp_path):
    (tmp_path / "generated").mkdir()
    status, _, err = optgen("verify", "adamw")
    assert status == 2
    assert "there is no module for adamw in generated: run `optgen build` first" in err
