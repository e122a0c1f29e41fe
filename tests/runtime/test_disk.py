"""What is broken in Numba's cache is compiled again, and replaced."""

from __future__ import annotations

import errno
import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core import config
from numba.core.caching import IndexDataCacheFile

SOURCE = """
from optgen.runtime.cpu.primitives import on_host

@on_host
def one(x):
    return x + {number}

@on_host
def two(x):
    return x + 2
"""


class Kernels:
    """A module of two kernels, loaded as a new process would."""

    def __init__(self, folder: Path) -> None:
        self.path, self.cache = folder / "kernels.py", folder / "cache"
        self.write(1)

    def write(self, number: int) -> None:
        self.path.write_text(SOURCE.format(number=number))

    def __call__(self, name: str = "one", x: float = 1.0) -> tuple[float, int]:
        """What a kernel returns, and how often it was found on disk."""
        spec = importlib.util.spec_from_file_location("kernels", self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        kernel = getattr(module, name)
        return kernel(x), sum(kernel.stats.cache_hits.values())

    def file(self, ending: str, name: str = "one") -> Path:
        (found,) = self.cache.rglob(f"kernels.{name}-*.{ending}")
        return found


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Kernels:
    caplog.set_level("DEBUG", "optgen.runtime.cpu.disk")  # why something was not found is shown with what fails
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    return Kernels(tmp_path)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 100)


def another_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


def a_changed_byte(path: Path) -> None:
    """In the machine code, or in the index: it can be unpickled all the same."""
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    path.write_bytes(content)


def missing(path: Path) -> None:
    path.unlink()


def unreadable(path: Path) -> None:
    path.chmod(0)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


WAYS = [
    half,
    without_end,
    empty,
    zeros,
    garbage,
    another_pickle,
    a_changed_byte,
    missing,
    unreadable,
    *([a_pipe] if hasattr(os, "mkfifo") else []),
]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("broken", WAYS, ids=lambda way: way.__name__)
def test_a_broken_file_is_replaced(
    kernels: Kernels, ending: str, broken: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    assert kernels() == (2, 0)
    assert kernels() == (2, 1)
    broken(kernels.file(ending))
    caplog.clear()
    if broken is not unreadable or not os.access(kernels.file(ending), os.R_OK):  # for root nothing is
        assert kernels() == (2, 0)
        assert str(kernels.cache) in caplog.messages[0]
    assert kernels() == (2, 1)


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_the_file_of_another_kernel_is_replaced(kernels: Kernels, ending: str) -> None:
    assert (kernels("one"), kernels("two")) == ((2, 0), (3, 0))
    kernels.file(ending).write_bytes(kernels.file(ending, "two").read_bytes())
    assert kernels("one") == (2, 0)
    assert (kernels("one"), kernels("two")) == ((2, 1), (3, 1))


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_where_a_folder_is_in_the_way_nothing_is_kept(kernels: Kernels, ending: str) -> None:
    kernels()
    path = kernels.file(ending)
    path.unlink()
    path.mkdir()
    assert kernels() == kernels() == (2, 0)


def test_machine_code_of_an_older_source_is_not_taken(kernels: Kernels) -> None:
    """A process that is killed has written the index, but not yet what it points to."""
    kernels()
    old = kernels.file("nbc").read_bytes()
    kernels.write(76)
    assert kernels() == (77, 0)
    kernels.file("nbc").write_bytes(old)
    assert kernels() == (77, 0)
    assert kernels() == (77, 1)


def test_machine_code_for_other_types_is_not_taken(kernels: Kernels) -> None:
    kernels(x=1.0)
    of_floats = kernels.file("nbc").read_bytes()
    kernels.file("nbi").unlink()
    assert kernels(x=1) == (2, 0)
    kernels.file("nbc").write_bytes(of_floats)
    assert kernels(x=1) == (2, 0)
    assert kernels(x=1) == (2, 1)


def test_a_change_of_what_is_inlined_is_noticed(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels()
    monkeypatch.setattr("optgen.runtime.cpu.disk._INLINED", b"another")
    assert kernels() == (2, 0)
    assert kernels() == (2, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_takes_nothing_is_done_without(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as full:
        full.setattr(IndexDataCacheFile, "_open_for_write", failing)
        assert kernels() == kernels() == (2, 0)
    assert kernels() == (2, 0)
    assert kernels() == (2, 1)


def test_without_a_place_nothing_is_kept(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    (kernels.cache).write_text("a file where the folder would be")
    monkeypatch.setattr("numba.core.caching.tempfile.TemporaryFile", lambda **_: open("/nowhere/file"))  # noqa: SIM115, PTH123
    assert kernels() == kernels() == (2, 0)


STEPS = """
import sys
import numpy as np
from optgen.generated.cpu import lars
from optgen.runtime.cpu.disk import KeptOnDisk
for options in ({}, {"rounding": "stochastic", "store": {"m": "float16"}}):
    opt = lars.LARS([np.ones((3, 4), np.float32)], **options)
    opt.step([np.ones((3, 4), np.float32)])
found = [each.stats for each in vars(lars).values() if isinstance(getattr(each, "_cache", None), KeptOnDisk)]
print(sum(sum(its.cache_hits.values()) for its in found), sum(sum(its.cache_misses.values()) for its in found))
print("numba.np.arraymath" in sys.modules)
"""


def test_another_process_compiles_nothing_again(tmp_path: Path) -> None:
    def steps() -> tuple[int, int, bool]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", STEPS], env=environment, check=True, capture_output=True, text=True
        )
        hits, misses, has_all = done.stdout.split()
        return int(hits), int(misses), has_all == "True"

    hits, misses, _ = steps()
    assert (hits, misses > 4) == (0, True)
    assert steps() == (misses, 0, False)  # nor does it import all that Numba compiles with, which takes 0.2 s
