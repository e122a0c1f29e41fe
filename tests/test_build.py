"""Builds: whole files or none, the same bytes every time, and what is stale is named."""

import ast
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest

import optgen
from optgen import Let, Optimizer, Schedule, catalog, g, t, theta
from optgen.build import build
from optgen.cli import main
from optgen.errors import SpecError, UsageError
from optgen.files import write_whole
from optgen.folders import installed_specs, spec_files
from optgen.hypers import lr
from optgen.loader import load_file
from optgen.modules import Status, module_paths, orphans
from optgen.targets import NAMES, target_named

ROOT = Path(__file__).parents[1]
GOOD = """
from optgen import Let, Optimizer, g, theta
from optgen.hypers import lr
{name} = Optimizer("{name}", title="{title}", step=(Let(theta.next, theta - lr * g),))
"""


def write_spec(folder, name, text=GOOD):
    path = folder / f"{name}.py"
    path.write_text(text.format(name=name, title=name.capitalize()))
    return path


def load(paths):
    """Spec files that can be loaded, executed, and what is wrong with the others."""
    choices, errors = catalog.everything(paths)
    files = tuple(source.file for source in dict.fromkeys(source for source, _ in choices))
    return SimpleNamespace(files=files, errors=tuple(errors))


def pairs(loaded):
    return [(file, rule) for file in loaded.files for rule in file.rules]


def made(loaded, targets=NAMES):
    return [path for _, rule in pairs(loaded) for path in module_paths(rule.name, rule.kind, targets)]


def test_no_line_is_longer_than_the_width():
    paths = sorted((ROOT / "generated").rglob("*.py"))
    assert paths
    for path in paths:
        assert [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120] == [], path


def test_builds_under_any_hash_seed_give_the_same_bytes(tmp_path):
    """What is committed, which is what the specs say, and a rule with more branches; the tests have another seed."""
    choices = "".join(
        f" + Piecewise((g, t < {k}), (g**2, True))*Piecewise((m, t > {k + 7}), (g, True))" for k in (2, 5, 9)
    )
    imports = "from sympy import Piecewise\nfrom optgen import state, t\nm = state('m')\n"
    text = GOOD.replace("step=(", "step=(Let(m.next, m + g), ").replace("lr * g)", f"lr * (g{choices}))")
    specs = tmp_path / "specs"
    shutil.copytree(ROOT / "specs", specs, ignore=shutil.ignore_patterns("__pycache__"))
    branching = load([write_spec(specs, "branching", imports + text)])
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    optgen_build = [sys.executable, "-m", "optgen", "build"]
    subprocess.run(optgen_build, check=True, cwd=tmp_path, env=environment, capture_output=True)
    for result in build(pairs(branching), NAMES, tmp_path / "generated", check=True):
        assert result.status is Status.UNCHANGED
        result.path.unlink()
    assert modules(tmp_path / "generated") == modules(ROOT / "generated")


def process_of(folder, *arguments):
    """A process that runs ``optgen`` in a folder, forked from one that has imported it and done nothing else."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["optgen.cli.build", "optgen.targets.cpu", "optgen.targets.cuda"])
    process = context.Process(target=run_command, args=(folder, arguments))
    process.start()
    return process


def run_command(folder, arguments):
    """The command line in a process of its own."""
    os.chdir(folder)
    sys.argv = ["optgen", *arguments]
    with redirect_stdout(StringIO()):
        main()


def modules(folder):
    """The text of each module that builds have left in a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/[!_]*.py")}


def test_a_changed_spec_makes_its_module_stale(tmp_path):
    path = write_spec(tmp_path, "mine")
    out, targets = tmp_path / "generated", ["cpu"]
    (result,) = build(pairs(load([path])), targets, out)
    assert result.status is Status.BUILT
    (result,) = build(pairs(load([path])), targets, out)
    assert result.status is Status.UNCHANGED
    path.write_text(path.read_text() + "# a word more\n")
    (result,) = build(pairs(load([path])), targets, out, check=True)
    assert result.status is Status.STALE
    assert "mine.py says now" in result.reason


def test_a_module_that_no_spec_makes_is_an_orphan(tmp_path):
    path = write_spec(tmp_path, "mine")
    out, targets = tmp_path / "generated", ["cpu"]
    list(build(pairs(load([path])), targets, out))
    assert orphans(made(load([path]), targets), targets, out) == []
    (orphan,) = orphans([], targets, out)
    assert orphan.name == "mine"


SCHEDULE = """
from optgen import Schedule, t
from optgen.hypers import lr
{name} = Schedule("{name}", lr / t)
"""


def test_schedules_are_built_beside_the_targets_and_go_stale(tmp_path):
    path = write_spec(tmp_path, "mine", GOOD + SCHEDULE.format(name="falling"))
    out, targets = tmp_path / "generated", ["cpu"]
    first, second = build(pairs(load([path])), targets, out)
    assert (first.kind, second.kind) == ("optimizer", "schedule")
    assert second.path == out / "schedules" / "falling.py"
    assert orphans(made(load([path]), targets), targets, out) == []
    path.write_text(path.read_text().replace("lr / t", "lr / t**2"))
    _, changed = build(pairs(load([path])), targets, out, check=True)
    assert (changed.status, changed.reason) == (Status.STALE, f"is not what {tmp_path.name}/mine.py says now")
    path.write_text(GOOD.format(name="mine", title="Mine"))
    (orphan,) = orphans(made(load([path]), targets), targets, out)
    assert orphan.path == second.path


def test_a_schedule_and_an_optimizer_of_one_name_are_refused(tmp_path):
    twice = write_spec(tmp_path, "same", GOOD + SCHEDULE.replace("{name} =", "other ="))
    (error,) = load([twice]).errors
    assert "optimizer 'same': this file gives this name twice" in str(error)
    others = [write_spec(tmp_path, "same"), write_spec(tmp_path, "other", SCHEDULE.replace('"{name}"', '"same"'))]
    (error,) = load(others).errors
    assert "other.py:4: schedule 'same': " in str(error)
    assert "same.py declares one of this name too" in str(error)


def test_a_file_that_fails_does_not_keep_the_others_from_loading(tmp_path):
    bad = write_spec(tmp_path, "bad", "from optgen import Lett\n")
    good = write_spec(tmp_path, "good")
    loaded = load([bad, good])
    assert [file.path for file in loaded.files] == [good]
    (error,) = loaded.errors
    assert "bad.py:1: ImportError: cannot import name 'Lett'" in str(error)
    assert "did you mean Let?" in str(error)


def test_a_file_that_is_not_python_is_named_with_its_line(tmp_path):
    (error,) = load([write_spec(tmp_path, "bad", "x = 1\ny = (\n")]).errors
    assert "bad.py:2: it is not Python" in str(error)


def test_an_error_names_file_line_optimizer_and_equation(tmp_path):
    text = GOOD.replace("theta - lr * g", "theta - lr * g * theta.next")
    (error,) = load([write_spec(tmp_path, "bad", text)]).errors
    assert "bad.py:4: optimizer 'bad': the equations need each other" in str(error)
    assert "in   theta' = theta - lr*g*theta'" in str(error)


def test_a_spec_may_import_its_siblings_and_owns_only_what_it_declares(tmp_path):
    write_spec(tmp_path, "base")
    child = write_spec(tmp_path, "child", "from .base import base\n" + GOOD)
    loaded = load([child, tmp_path / "base.py"])
    assert [[o.name for o in file.optimizers] for file in loaded.files] == [["child"], ["base"]]


def test_a_file_whose_sibling_fails_says_so(tmp_path):
    write_spec(tmp_path, "base", "1 / 0\n")
    child = write_spec(tmp_path, "child", "from .base import base\n" + GOOD)
    errors = [str(error) for error in load([child]).errors]
    assert "child.py: it imports base.py, which cannot be loaded: ZeroDivisionError: division by zero" in errors[0]
    write_spec(tmp_path, "base", GOOD.replace("- lr * g", "- lr * g * theta.next"))
    errors = [str(error) for error in load([child]).errors]
    assert "child.py: it imports base.py, which cannot be loaded: the equations need each other" in errors[0]


def test_an_edit_within_the_same_second_is_seen(tmp_path):
    path = write_spec(tmp_path, "mine")
    first = load([path]).files[0].optimizers[0]
    path.write_text(path.read_text().replace("theta - lr", "theta + lr"))
    second = load([path]).files[0].optimizers[0]
    assert str(first) != str(second)


@pytest.mark.parametrize("names", [("one", "one"), ("one", "two")])
def test_two_optimizers_of_one_name_are_refused(tmp_path, names):
    text = GOOD.replace('Optimizer("{name}"', 'Optimizer("same"')
    paths = [write_spec(tmp_path, name, text) for name in dict.fromkeys(names)]
    if len(paths) == 1:
        paths[0].write_text(
            paths[0].read_text() + paths[0].read_text().replace("one =", "other =").replace("- lr", "+ lr")
        )
    errors = load(paths).errors
    assert len(errors) == 1
    assert "optimizer 'same'" in str(errors[0])


def test_there_is_no_such_target():
    with pytest.raises(UsageError, match="there is no target 'abacus': choose from cpu"):
        target_named("abacus")


def test_specs_are_found_where_optgen_is_installed():
    assert installed_specs().samefile(ROOT / "specs")


def test_compile_returns_the_module_and_keeps_it_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTGEN_CACHE_DIR", str(tmp_path))
    rule = Optimizer("on_disk", title="OnDisk", step=(Let(theta.next, theta - lr * g),))
    module = optgen.compile(rule)
    assert Path(module.__file__).is_relative_to(tmp_path)
    assert module.OnDisk.__name__ == "OnDisk"
    assert optgen.compile(rule) is module


def test_a_build_that_is_killed_leaves_whole_files_only(tmp_path):
    """Kill builds at random moments with SIGKILL: what is there afterwards is complete."""
    (tmp_path / "specs").mkdir()
    for k in range(40):
        write_spec(tmp_path / "specs", f"rule{k}")
    loaded = load(spec_files(tmp_path / "specs"))
    list(build(pairs(loaded), ["cpu"], tmp_path / "wanted"))
    whole = modules(tmp_path / "wanted")
    draw = random.Random(1)
    seen = 0
    for attempt in range(8):
        out = tmp_path / f"killed{attempt}"
        process = process_of(tmp_path, "build", "--target", "cpu", "--out", str(out))
        deadline = time.monotonic() + 60
        while not any(out.glob("cpu/*.py")) and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.5))
        process.kill()
        process.join()
        left = modules(out)
        seen += len(left)
        assert all(whole[name] == text for name, text in left.items())
        assert {path.read_bytes() for path in out.glob("cpu/*")} <= set(whole.values())
        if sys.platform == "linux" and (attempt == 7 or any(out.glob("cpu/.*"))):
            list(build(pairs(loaded), ["cpu"], out))
            assert {path.name for path in out.glob("cpu/*")} == {
                path.name for path in (tmp_path / "wanted/cpu").iterdir()
            }
    assert seen > 0


def test_a_file_is_replaced_whole_and_keeps_the_umask(tmp_path):
    path = tmp_path / "deep" / "file.py"
    write_whole(path, "one\n")
    write_whole(path, "two\n")
    assert path.read_text() == "two\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.py"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_threads_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "file.py"
    texts = [str(k) * 100_000 for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: write_whole(path, texts[k % 4]), range(200)))
    assert path.read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.py"]


def test_an_optimizer_imported_from_elsewhere_belongs_there(tmp_path):
    path = write_spec(tmp_path, "wrap", "from optgen.specs.adamw import adamw\n" + GOOD)
    assert [optimizer.name for optimizer in load([path]).files[0].optimizers] == ["wrap"]


def test_a_file_given_twice_is_loaded_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_spec(tmp_path, "mine")
    loaded = load([path, Path("mine.py")])
    assert (len(loaded.files), loaded.errors) == (1, ())


@pytest.mark.parametrize("end", ["", "raise KeyError\n"])
def test_a_spec_that_goes_to_another_folder_takes_nobody_with_it(tmp_path, monkeypatch, end):
    (tmp_path / "specs").mkdir()
    monkeypatch.chdir(tmp_path)
    write_spec(Path("specs"), "away", f"import os\nos.chdir('/')\n{GOOD}{end}")
    write_spec(Path("specs"), "mine")
    loaded = load(spec_files(Path("specs")))
    assert [rule.name for _, rule in pairs(loaded)] == ["away", "mine"][bool(end) :]
    assert all("away.py:7: KeyError" in str(error) for error in loaded.errors)
    assert Path.cwd() == tmp_path


def test_a_spec_that_exits_is_an_error_of_that_file(tmp_path):
    (error,) = load([write_spec(tmp_path, "bad", "import sys\nsys.exit(3)\n")]).errors
    assert "bad.py:2: SystemExit: 3" in str(error)


@pytest.mark.parametrize("what", ["GeneratorExit", "BaseException", "type('Odd', (BaseException,), {})", "EOFError"])
def test_whatever_a_spec_raises_is_an_error_of_that_file(tmp_path, what):
    loaded = load(
        [
            write_spec(tmp_path, "bad", f"raise {what.replace('{', '{{').replace('}', '}}')}\n"),
            write_spec(tmp_path, "mine"),
        ]
    )
    assert "bad.py:1: " in str(loaded.errors[0])
    assert len(loaded.files) == 1


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("rules = [{}]", "bad.py: `rules` has rules in it"),
        ("rules = dict(one={})", "bad.py: `rules` has rules in it"),
        ("\n{}", "bad.py:5: this Optimizer is made and forgotten"),
    ],
)
def test_rules_without_names_are_refused(tmp_path, made, said):
    rule = GOOD.partition(" = ")[2].strip()
    head = GOOD.partition("{name}")[0]
    with pytest.raises(SpecError, match="give each a name: my_rule = Optimizer") as error:
        load_file(write_spec(tmp_path, "bad", head + made.format(rule)))
    assert said in str(error.value)
    load_file(write_spec(tmp_path, "good", f"{GOOD}rules = [{{name}}]\n"))


def test_files_that_import_from_each_other_say_so(tmp_path):
    one = write_spec(tmp_path, "one", "from .other import x\n")
    write_spec(tmp_path, "other", "from .one import y\n")
    (error,) = load([one]).errors
    assert "it imports other.py, which cannot be loaded: ImportError: cannot import name 'y' from '.one'" in str(error)


@pytest.mark.parametrize("prose", ["a \\N{dash} b", 'quotes """ inside', "ends in a backslash \\", "Grüße, 2·θ"])
def test_prose_of_any_kind_makes_a_module_that_says_it(tmp_path, prose):
    text = GOOD.replace('title="', "description=" + repr(prose).replace("{", "{{").replace("}", "}}") + ', title="')
    out = tmp_path / "generated"
    (result,) = build(pairs(load([write_spec(tmp_path, "mine", text)])), ["cpu"], out)
    assert result.status is Status.BUILT
    docstring = ast.get_docstring(ast.parse(result.path.read_text(encoding="utf-8")))
    assert prose.replace('"""', "'''") in docstring


def test_builds_of_the_same_folder_at_once_do_not_meet(tmp_path):
    (tmp_path / "specs").mkdir()
    for k in range(12):
        write_spec(tmp_path / "specs", f"rule{k}")
    command = ["build", *(f"specs/rule{k}.py" for k in range(12)), "--out", "together"]
    builds = [process_of(tmp_path, *command) for _ in range(4)]
    assert [(build.join(), build.exitcode)[1] for build in builds] == [0] * 4
    list(build(pairs(load(spec_files(tmp_path / "specs"))), NAMES, tmp_path / "alone"))
    together, alone = (
        {path.relative_to(tmp_path / folder): path.read_bytes() for path in (tmp_path / folder).glob("*/*")}
        for folder in ("together", "alone")
    )
    assert len(alone) >= 12
    assert together == alone  # no more files, and none of them partial


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "got NoneType"),
        ("adam", "got str; load_file of optgen.loader finds the rules of a file"),
        (Path("specs/adam.py"), "; load_file of optgen.loader finds the rules of a file"),
        ([], "got list; compile each rule by itself"),
        (Optimizer, "got type; what is generated is compiled already"),
        (pytest, "got module; name a rule of it: compile(pytest.my_rule)"),
        (Schedule("halved", lr / t), r"got Schedule; put it into a rule, scheduled(rule, lr=halved), or write its"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_optimizer_is_not_compiled(given, said):
    with pytest.raises(UsageError) as refusal:
        optgen.compile(given)
    assert str(refusal.value).startswith("compile: expected an Optimizer, got ")
    assert said in str(refusal.value)
