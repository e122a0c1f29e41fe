"""What all tests share: the compiled kernels' cache, every optimizer with its module, and which tests run together."""

# ruff: noqa: E402
import gc
import hashlib
import os
from pathlib import Path

# Numba sees edits to a module whose functions it caches, but not to those it inlines into them. It reads the variable
# when it is imported.
ROOT = Path(__file__).parents[1]
RUNTIME = b"".join(path.read_bytes() for path in sorted((ROOT / "optgen" / "runtime").rglob("*.py")))
CACHE = ROOT / ".cache" / hashlib.sha256(RUNTIME).hexdigest()[:16]
os.environ["NUMBA_CACHE_DIR"] = str(CACHE / "numba")
os.environ["OPTGEN_CACHE_DIR"] = str(CACHE / "optgen")
os.environ.setdefault("NUMBA_NUM_THREADS", "3")  # more than two, wherever the tests run
# What the command line prints is looked at as a pipe gets it, whatever the terminal or the CI asks Rich and Typer for.
TERMINAL = "COLUMNS FORCE_COLOR GITHUB_ACTIONS PY_COLORS TERMINAL_WIDTH TTY_COMPATIBLE TTY_INTERACTIVE"
for _name in TERMINAL.split():
    os.environ.pop(_name, None)

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from optgen import specs
from optgen.language.spec import Optimizer
from optgen.verify.settings import is_of_elements


def _optimizer_of(item: pytest.Item) -> str:
    """The optimizer that a test is given by name; empty for any other test, and in files that stay together."""
    given = getattr(item, "callspec", None) if item.path.stem not in _TOGETHER else None
    found = [given.params[key] for key in _GIVEN & given.params.keys()] if given else []
    names = [getattr(each, "name", each) for each in found]
    return names[0] if names and names[0] in OPTIMIZERS else ""


_GIVEN = {"generated", "reducing", "elementwise", "name", "opinion"}
_TOGETHER = {"test_machine_code"}
"""Files of which one process runs all tests, since what optimizers have is looked at in one go."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """One process runs all tests of an optimizer, whose kernels it compiles once, and all others of a file."""
    if item.config.pluginmanager.hasplugin("xdist"):
        item.add_marker(pytest.mark.xdist_group(_optimizer_of(item) or item.path.stem))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Optimizers come last: there are many, none of which takes long, so that no process ends long before another."""
    items.sort(key=lambda item: bool(_optimizer_of(item)))


def pytest_collection_finish() -> None:
    """Garbage is collected less often, and not among what has been imported: that took a tenth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@dataclass(frozen=True)
class Generated:
    """An optimizer and what was generated from it."""

    optimizer: Optimizer
    module: ModuleType

    @property
    def kind(self) -> Any:
        """The generated class."""
        return getattr(self.module, self.optimizer.title)


def _optimizers() -> dict[str, Optimizer]:
    modules = [import_module(f"optgen.specs.{info.name}") for info in iter_modules(specs.__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Optimizer)]
    return {optimizer.name: optimizer for optimizer in found}


OPTIMIZERS = _optimizers()


def _generated(name: str) -> Generated:
    return Generated(OPTIMIZERS[name], import_module(f"optgen.generated.cpu.{name}"))


@pytest.fixture(scope="session")
def generated_by_name() -> Any:
    """From an optimizer's name to the optimizer and its module."""
    return _generated


@pytest.fixture(scope="session", params=sorted(OPTIMIZERS))
def generated(request: pytest.FixtureRequest) -> Generated:
    """Every optimizer of ``specs/`` in turn, with its module."""
    return _generated(request.param)


REDUCING = [name for name in sorted(OPTIMIZERS) if not is_of_elements(OPTIMIZERS[name])]


@pytest.fixture(scope="session", params=REDUCING)
def reducing(request: pytest.FixtureRequest) -> Generated:
    """Every optimizer that adds up or shares states between elements, with its module."""
    return _generated(request.param)


@pytest.fixture(scope="session", params=sorted(OPTIMIZERS.keys() - set(REDUCING)))
def elementwise(request: pytest.FixtureRequest) -> Generated:
    """Every other optimizer, whose elements go their own ways, with its module."""
    return _generated(request.param)


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """The dtypes that kernels take."""
    return np.dtype(request.param)
