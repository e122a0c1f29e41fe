"""The command line as a person and a program use it: what is printed, and the exit status."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from optgen import catalog, pipeline
from optgen.cli import listing, main, screen
from optgen.hypers import weight_decay

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


def test_whatever_one_file_does_the_others_are_built(optgen, tmp_path, monkeypatch):
    """Files that raise, exit, are no text or no file, that cannot be compiled, and one that the compiler fails on."""
    specs = tmp_path / "specs"
    specs.mkdir()
    wrong = {
        "raises.py": "raise KeyError('this')\n",
        "exits.py": "exit(3)\n",
        "unknown.py": "from optgen.hypers import lr\nx = lrr*2\n",
        "syntax.py": "x = (\n",
        "sibling.py": "from .raises import x\n",
        "deep.py": "def f(x): return f(x)\nf(1)\n",
    }
    for name, wrong_text in wrong.items():
        (specs / name).write_text(wrong_text)
    (specs / "bytes.py").write_bytes(b"x = '\xff'\n")
    (specs / "folder.py").mkdir()
    (specs / "dangling.py").symlink_to(tmp_path / "nothing")
    (specs / "zeta.py").write_text(SPEC)
    (specs / "hard.py").write_text(SPEC.replace("mine", "hard") + SCHEDULE.replace("falling", "rising"))

    def fails(kernel):
        if kernel.name == "hard":
            raise KeyError("STEP")
        return kernel

    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, (fails, ())))
    monkeypatch.setenv("OPTGEN_CACHE_DIR", str(tmp_path / "cache"))
    status, out, err = optgen("build")
    assert status == 1
    built = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "generated").glob("*/*.py"))
    assert built == ["generated/cpu/mine.py", "generated/cuda/mine.py", "generated/schedules/rising.py"]
    assert "3 built, 2 failed, 9 spec files could not be loaded" in out
    for name in (*wrong, "bytes.py", "folder.py", "dangling.py"):
        assert f"specs/{name}" in err
    assert "specs/sibling.py: it imports raises.py, which cannot be loaded" in err
    assert err.count("optimizer 'hard': the compiler cannot handle it: pass 'fails' ends in KeyError: 'STEP'") == 1
    assert "write the equations another way" in err
    assert "Traceback" not in err
    assert optgen("build")[1].startswith("3 unchanged, 2 failed")


def test_a_file_that_is_read_only_is_refused_and_the_others_are_built(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    optgen("build", "mine.py")
    path = tmp_path / "generated" / "cpu" / "mine.py"
    path.chmod(0o444)
    assert optgen("build", "mine.py")[:2] == (0, "2 unchanged\n")
    before = path.read_bytes()
    (tmp_path / "mine.py").write_text(SPEC + "# a word\n")
    status, out, err = optgen("build", "mine.py")
    assert (status, path.read_bytes()) == (1, before)
    assert "generated/cpu/mine.py is not what" in err
    assert "but read-only: make it writable or move it away, then build again" in err
    assert out.endswith("1 built, 1 failed\n")
    path.chmod(0o644)
    assert optgen("build", "mine.py")[0] == 0


@pytest.mark.parametrize("held", [b"\xff\xfe\x00", b"", "caf\u00e9".encode("latin-1")])
def test_a_module_that_is_no_text_is_stale_and_replaced(optgen, tmp_path, held):
    (tmp_path / "mine.py").write_text(SPEC)
    optgen("build", "mine.py")
    path = tmp_path / "generated" / "cpu" / "mine.py"
    whole = path.read_bytes()
    path.write_bytes(held)
    status, _, err = optgen("build", "mine.py", "--check")
    assert status == 1
    assert "generated/cpu/mine.py is not what" in err
    assert optgen("build", "mine.py")[:2] == (0, "built mine  generated/cpu/mine.py\n1 built, 1 unchanged\n")
    assert path.read_bytes() == whole


def test_what_cannot_be_written_is_said_and_the_others_are_built(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    (tmp_path / "generated" / "cpu" / "mine.py").mkdir(parents=True)
    status, out, err = optgen("build", "mine.py")
    assert (status, "generated/cpu/mine.py cannot be written: " in err) == (1, True)
    assert out.endswith("1 built, 1 failed\n")


def test_what_is_not_expected_is_said_without_a_traceback(optgen, monkeypatch):
    monkeypatch.setattr(catalog, "everything", lambda _: {}["missing"])
    status, _, err = optgen("list")
    assert status == 1
    assert "optgen did not expect this: KeyError: 'missing'" in err
    assert "Traceback" not in err
    monkeypatch.setenv("OPTGEN_TRACEBACK", "1")
    assert "Traceback" in optgen("list")[2]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("build",), "there is no folder specs/ here"),
        (("build", "adamm"), "there is no optimizer or schedule 'adamm': did you mean adam"),
        (("build", "nothing.py"), "nothing.py: there is no such file"),
        (("build", "adam", "--target", "abacus"), "there is no target 'abacus': choose from cpu"),
        (("show", "zzz"), "there is no optimizer or schedule 'zzz': `optgen list` shows what there is"),
        (("show", "adam", "--ir", "--latex"), "choose one of --ir and --latex"),
        (("new", "My-Rule"), "'My-Rule' cannot name a module"),
        (("new", "_rule"), "'_rule' cannot name a module"),
        *(
            (("new", name), f"scripts beside {name}.py that import Python's module {name} would get that file")
            for name in ("numpy", "numba", "sympy", "optgen", "random")
        ),
        (("build", ""), "'' is no name: write one that `optgen list` has"),
        (("verify", " "), "' ' is no name: write one that `optgen list` has"),
        (("show", ""), "'' is no name: write one that `optgen list` has"),
        (("explain", "adam", "--diff", ""), "'' is no name: write one that `optgen list` has"),
        (("build", "adam", "--target", ""), "there is no target '': choose from cpu"),
        (("show", "adam", "--target", ""), "there is no target '': choose from cpu"),
        (("verify", "adam", "--target", ""), "there is no target '': choose from cpu"),
        (("show", "AdamW"), "there is no optimizer or schedule 'AdamW': did you mean adamw"),
        (("show", "centered"), "did you mean rmsprop_centered"),
        (("show", "adam", "--target", "abacus"), "there is no target 'abacus': choose from cpu"),
        (("show", "adam", "--sass", "--target", "cpu"), "--sass shows kernels for GPUs: leave out --target cpu"),
        (("show", "sgdr", "--ptx"), "sgdr is a schedule, which has no kernels"),
        (("build", "."), ". is a folder: name spec files"),
        (("show", "."), ". is a folder: name spec files"),
        (("list", "zzz"), "nothing fits 'zzz': `optgen list` shows what there is"),
        (("list", "adammw"), "nothing fits 'adammw': did you mean adamw"),
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


def test_list_shows_the_branch_that_runs_at_most_steps(optgen):
    """RAdam's authors do nothing but average until step 5; most steps of an accumulation only add."""
    entries = {entry["name"]: entry for entry in json.loads(optgen("list", "--json")[1])}
    usual = {
        "radam_authors": ("rho >= 5", 16, 12),
        "swats_at": ("switched_at > 0", 12, 8),
        "accumulate_adam": ("True", 8, 4),
        "lookahead_adamw": ("True", 16, 12),
        "adamw": ("True", 16, 12),
    }
    for name, expected in usual.items():
        (branch,) = (branch for branch in entries[name]["branches"] if branch["usual"])
        assert (branch["when"], branch["bytes_read"], branch["bytes_written"]) == expected
        assert (entries[name]["bytes_read"], entries[name]["bytes_written"]) == expected[1:]
    out = optgen("list", "radam_authors", "adamw_inside")[1]
    assert re.search(r"^radam_authors +1 +16 B\* +12 B\* +m v ", out, re.MULTILINE)
    assert re.search(r"^adamw_inside +1 +16 B +12 B +m v ", out, re.MULTILINE)
    assert "* at most steps; other steps differ" in out
    assert "* at most steps" not in optgen("list", "adamw_inside")[1]


@pytest.mark.parametrize(
    ("patterns", "some", "others"),
    [
        (["adamw"], {"adamw", "adamw_after", "ema_adamw"}, {"adam", "sgd", "sgdr"}),
        (["AdamW"], {"adamw", "adamw_after"}, {"adam"}),
        (["sgd*"], {"sgd", "sgdm", "sgdr"}, {"asgd", "adam"}),
        (["lecture"], {"adam_lecture", "nag_lecture"}, {"adam"}),
        (["rmsprop", "lion"], {"rmsprop_centered", "lion"}, {"adam"}),
        (["schedules"], {"sgdr", "noam"}, {"adam"}),
        (["[ln]a*"], {"lamb", "nag", "nadam"}, {"adam", "lion"}),
    ],
)
def test_list_takes_parts_and_patterns_of_names_titles_and_families(optgen, patterns, some, others):
    status, out, _ = optgen("list", *patterns, "--json")
    names = {entry["name"] for entry in json.loads(out)}
    assert (status, some <= names, names & others) == (0, True, set())


def test_list_fits_a_terminal_of_80_columns(optgen, monkeypatch):
    monkeypatch.setattr(screen, "console", Console(width=80, force_terminal=True, color_system=None))
    monkeypatch.setattr(listing, "console", screen.console)
    lines = optgen("list")[1].splitlines()
    assert max(map(len, lines)) <= 80
    assert all(re.search(r" B[ *] ", line) for line in lines[1 : lines.index("") - 1])


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
    assert "sweep 3 over every element: 3 loads, 1 stores an element\n    load   theta\n    load   m' v'\n" in out
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


def test_show_json_is_what_list_has_of_it(optgen):
    entry = json.loads(optgen("show", "adamw", "--json")[1])
    assert entry in json.loads(optgen("list", "adamw", "--json")[1])
    assert entry["equations"][-1] == "theta' = (1 - lr*weight_decay)*theta - lr*m_hat/(sqrt(v_hat) + eps)"


def test_ptx_and_sass_are_of_cuda(optgen, monkeypatch):
    monkeypatch.setattr("optgen.machine_code.ptx", lambda program, _: [PtxOf("k", "elements", program.name)])
    assert optgen("show", "sgd", "--ptx")[1] == "// k (elements)\n\nsgd\n"
    assert optgen("show", "sgd", "--ptx", "--target", "cuda")[1] == "// k (elements)\n\nsgd\n"


PtxOf = namedtuple("PtxOf", "kernel over text")


def test_the_shell_completes_names_and_targets(optgen, tmp_path, monkeypatch):
    def completed(words):
        monkeypatch.setenv("_OPTGEN_COMPLETE", "complete_zsh")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", words)
        out = optgen()[1]
        monkeypatch.delenv("_OPTGEN_COMPLETE")
        return set(re.findall(r'"(\w+)"', out))

    assert {"adamw", "adamw_after"} <= completed("optgen show adam") <= completed("optgen list a")
    assert completed("optgen verify rprop") == {"rprop"}
    assert completed("optgen build --target cu") == {"cuda"}
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC.replace("mine", "zz_mine"))
    optgen("list", "zz_mine")
    assert completed("optgen build zz") == {"zz_mine"}


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


@pytest.mark.parametrize("name", ["none", "m", "theta"])
def test_a_new_spec_builds_whatever_it_is_called(optgen, name):
    assert optgen("new", name)[0] == 0
    assert optgen("build", f"{name}.py")[::2] == (0, "")


def test_a_rule_is_found_beside_a_folder_of_its_name(optgen, tmp_path):
    (tmp_path / "adam").mkdir()
    assert optgen("build", "adam")[::2] == (0, "")
    assert optgen("show", "adam")[::2] == (0, "")


def test_build_json_says_what_became_of_each(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    result, _ = json.loads(optgen("build", "mine.py", "--json")[1])
    assert (result["name"], result["status"], result["path"]) == ("mine", "built", "generated/cpu/mine.py")


def test_version(optgen):
    assert optgen("--version")[1].startswith("optgen 0.")


def test_verify_prints_a_table_and_json(optgen):
    status, out, _ = optgen("verify", "sgd", "--quick")
    assert status == 0
    assert "2 of 2 stored values proved" in out
    assert re.search(r"^sgd +cuda +1/1", out, re.MULTILINE)
    status, out, _ = optgen("verify", "sgdm", "--quick", "--json")
    report = json.loads(out)
    entry, of_gpus = report["optimizers"]
    assert (status, entry["name"], entry["proved"], entry["failed"]) == (0, "sgdm", 4, 0)
    assert (of_gpus["target"], of_gpus["failed"], of_gpus["proved"]) == ("cuda", 0, 4)
    assert entry["worst_ulps"]["float32"] < 4
    assert entry["cases"] > 0


def test_a_wrong_compiler_is_caught_and_the_equation_named(optgen, tmp_path, monkeypatch):
    """`optgen build && optgen verify`, with a pass that drops the weight decay of AdamW."""

    def forgetful(kernel):
        def forgotten(sweep):
            return replace(sweep, body=tuple(replace(a, value=a.value.subs(weight_decay, 0)) for a in sweep.body))

        return kernel.map_sweeps(forgotten)

    monkeypatch.setattr(pipeline, "PASSES", ((forgetful, ()), *pipeline.PASSES))
    monkeypatch.setenv("OPTGEN_CACHE_DIR", str(tmp_path / "cache"))  # what is found now is wrong elsewhere
    assert optgen("build", "adamw", "--target", "cpu")[0] == 0
    status, _, err = optgen("verify", "adamw", "--quick", "--target", "cpu")
    assert status == 1
    told = " ".join(err.split())
    assert "adamw, translation: theta' = (1 - lr*weight_decay)*theta - lr*m_hat/(sqrt(v_hat) + eps)" in told
    assert "the code gives" in told
    assert "a bug in optgen, not in your rule" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "it is no module of Python"),
        (b"x = '\xff'\n", "it is no module of Python"),
        (b"x = (", "it is no module of Python: '(' was never closed"),
        (b"x = 1\0", "it is no module of Python"),
        (b"raise SystemExit(3)\n", "it ends the program that imports it"),
    ],
)
def test_verify_names_modules_that_are_damaged_and_looks_at_the_others(optgen, tmp_path, content, said):
    for name in ("lion", "sgd"):
        (tmp_path / "cpu").mkdir(exist_ok=True)
        shutil.copy(Path(__file__).parents[2] / "generated" / "cpu" / f"{name}.py", tmp_path / "cpu")
    (tmp_path / "cpu" / "lion.py").write_bytes(content)
    status, out, err = optgen("verify", "lion", "sgd", "--quick", "--target", "cpu", "--out", str(tmp_path))
    assert status == 1
    told = " ".join(err.split())
    assert f"lion, translation: the module {said}" in told
    assert "this is not what optgen writes for the spec now" in told
    assert "error: sgd" not in err
    assert re.search(r"^sgd +cpu +1/1", out, re.MULTILINE)


def test_verify_puts_itself_to_the_test(optgen):
    status, out, _ = optgen("verify", "sgd", "--quick", "--mutate", "--target", "cpu")
    assert status == 0
    assert "cuda" not in out
    assert "a sign flipped" in out
    assert "(100.0%)" in out
    assert re.search(r"(\d+) mistakes, \1 caught; 0 changes that change nothing", out)


def test_a_new_rule_is_built_and_verified_as_the_readme_says(optgen):
    for arguments in (("new", "my_rule"), ("build", "my_rule.py"), ("verify", "my_rule.py", "--quick")):
        status, out, err = optgen(*arguments)
        assert (status, err) == (0, "")
    assert "6 of 6 stored values proved" in out


def test_verify_wants_modules_that_are_built(optgen, tmp_path):
    (tmp_path / "mine.py").write_text(SPEC)
    status, _, err = optgen("verify", "mine.py")
    assert status == 2
    assert "there is no module for mine in generated: run `optgen build` first" in err
    status, _, err = optgen("verify", "adamw", "--out", "elsewhere")
    assert status == 2
    assert "there is no module for adamw in elsewhere: run `optgen build` first" in err


def test_verify_without_names_verifies_those_of_the_folder(optgen, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC)
    status, _, err = optgen("verify", "--quick")
    assert (status, "there is no module for mine in generated: run `optgen build` first" in err) == (2, True)
    optgen("build", "--target", "cpu")
    status, out, _ = optgen("verify", "--quick")
    assert (status, "1 modules: 1 of 1 stored values proved" in out) == (0, True)


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("list", "adam"), ("show", "adamz"), ("explain", "mine"), ("build",)]
)
def test_what_is_known_takes_no_sympy(optgen, tmp_path, arguments):
    """A second time, by another process, nothing is executed, and neither SymPy nor Numba is imported."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.py").write_text(SPEC)
    told = "import sys, atexit; atexit.register(lambda: print(*{'sympy', 'numba', 'numpy'} & set(sys.modules)))\n"
    command = [sys.executable, "-c", f"{told}from optgen.cli import main\nmain()", *arguments]
    status, _, _ = optgen(*arguments)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == status
    assert again.stdout.splitlines()[-1] == ""


def test_a_failure_says_whether_the_module_is_old_or_the_rule_is_wrong(optgen, tmp_path):
    """What was edited is built again; what optgen wrote for the spec as it is fails for a reason of the part's own."""
    lines = "from optgen.properties import Bounded\nfrom optgen import state\nfrom optgen.hypers import beta1\n"
    rule = 'Optimizer("mine", title="Mine", step=(Let(m.next, beta1*m + g), Let(theta.next, theta - lr*m.next)), {})'
    lines += "from optgen import Let, Optimizer, g, theta\nfrom optgen.hypers import lr\nm = state('m')\n"
    text = f"{lines}mine = {rule}\n"
    (tmp_path / "mine.py").write_text(text.format("properties=(Bounded(m.next, low=0),)"))
    assert optgen("build", "mine.py")[0] == 0
    status, _, err = optgen("verify", "mine.py", "--quick", "--target", "cpu")
    told = " ".join(err.split())
    assert status == 1
    assert "0 <= m' of mine does not hold" in told
    assert "np.float64" not in told
    assert "from mine.py:7. A claim does not hold at these numbers." in told
    assert "docs/when-verification-fails.md#properties" in told

    module = tmp_path / "generated" / "cpu" / "mine.py"
    module.write_text(module.read_text().replace("fma(-lr, m_next, theta)", "fma(-lr, m_next + m_next, theta)"))
    status, _, err = optgen("verify", "mine.py", "--quick", "--target", "cpu")
    told = " ".join(err.split())
    assert status == 1
    assert "the kernel has" in told
    assert "not what optgen writes for the spec now" in told
    assert "Run `optgen build mine.py` and verify again" in told
    assert "A claim does not hold at these numbers" not in told


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that a process runs in may be deleted there")
@pytest.mark.parametrize("command", [["new", "mine"], ["show", "adam"], ["build", "adam"], ["verify", "adam"]])
def test_in_a_folder_that_is_no_more_commands_say_so(optgen, tmp_path, monkeypatch, command):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert optgen(*command) == (2, "", "error: the folder that this runs in is no more: change to another\n")
