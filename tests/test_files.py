"""Modules made of text: kept on disk where there is one, and made in memory where there is none."""

import hashlib
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from optgen.files import cache, module_of, write_whole

LINUX = sys.platform == "linux"

TEXT = '''"""A module with a kernel."""

from optgen.runtime.cpu.primitives import on_host


@on_host
def twice(x):
    """Twice a number."""
    return 2 * x
'''


def test_what_a_killed_process_left_is_deleted_when_the_file_is_next_written(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f".a.py.{int(dead.stdout)}.1"
    others = [tmp_path / f".a.py.{os.getpid()}.1", tmp_path / ".b.py.0.1", tmp_path / ".a.py"]
    for path in (left, *others):
        path.write_text("x = 1\n")
    write_whole(tmp_path / "a.py", "x = 2\n")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.py", *others, *([] if LINUX else [left])])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name on this system")
def test_a_pipe_in_the_place_of_a_module_is_replaced(tmp_path):
    text = TEXT + "# beside a pipe\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    (tmp_path / digest).mkdir()
    os.mkfifo(tmp_path / digest / "piped.py")
    assert module_of("piped", text, tmp_path).twice(3.5) == 7
    assert (tmp_path / digest / "piped.py").read_text() == text


def no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "below"


def no_home(tmp_path):
    return None


@pytest.mark.parametrize("place", [no_folder, no_home])
def test_a_module_is_made_in_memory_where_nothing_can_be_written(tmp_path, monkeypatch, place):
    text = TEXT + f"# {place.__name__}\n"
    folder = place(tmp_path)
    if folder is None:
        monkeypatch.setattr("optgen.files.cache", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = module_of("in_memory", text, folder)
        assert module.twice(3.5) == 7
    assert getattr(module, "__file__", None) is None
    assert module_of("in_memory", text, folder) is module
    assert module.__loader__.get_source("in_memory") == text


@pytest.mark.parametrize("held", [b"", b"\xff\xfe", TEXT[:20].encode()])
def test_what_is_broken_in_the_cache_is_written_again(tmp_path, held):
    module = module_of("broken", TEXT + "# broken\n", tmp_path)
    path = next(tmp_path.glob("*/broken.py"))
    assert module.__file__ == str(path)
    path.write_bytes(held)
    assert module_of("broken", TEXT + "# broken\n", tmp_path).twice(2.0) == 4
    assert path.read_text() == TEXT + "# broken\n"


def test_a_disk_that_is_full_is_no_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optgen.files.write_whole", full)
    module = module_of("full", TEXT + "# full\n", tmp_path)
    assert getattr(module, "__file__", None) is None
    assert module.twice(np.float64(1.5)) == 3


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def none(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("OPTGEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", none)
    assert cache() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache()) == "/somewhere/optgen"


def test_compile_works_for_an_account_without_home_and_disk(tmp_path):
    (tmp_path / "file").write_text("")
    script = (
        "import numpy as np, optgen\n"
        "from optgen import Let, Optimizer, g, theta\n"
        "from optgen.hypers import lr\n"
        "rule = Optimizer('bare', title='Bare', step=(Let(theta.next, theta - lr * g),))\n"
        "x = np.ones(3)\n"
        "optgen.compile(rule).step(x, np.ones(3), t=1, lr=0.25)\n"
        "print(*x)\n"
    )
    kept = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    environment = {**kept, "OPTGEN_CACHE_DIR": str(tmp_path / "file"), "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-W", "error", "-c", script]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("0.75 0.75 0.75\n", "")
