"""Files that are written whole, and modules made of text."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
from glob import escape
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType


def content(path: Path) -> bytes:
    """What a file holds; an `OSError` for a pipe or a device, which would have whoever reads it wait."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))
    return path.read_bytes()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that under its name there is the whole of it or what was there before.

    The text goes to a file that has no name yet, where the system has such files; what kills the process halfway leaves
    nothing behind, or the whole text beside it for a moment. That is deleted when the file is next written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_left(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    data = text.encode()
    try:
        try:
            _write_unnamed(beside, data)
        except (AttributeError, OSError):  # no such files on this system, or on this file system
            beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _delete_left(path: Path) -> None:
    """Delete what processes that are no more have left beside a file (Linux)."""
    if Path("/proc/self").exists():
        for left in path.parent.glob(f".{escape(path.name)}.*.*"):
            writer = left.name.split(".")[-2]
            if writer.isdecimal() and not Path("/proc", writer).exists():
                left.unlink(missing_ok=True)


def _write_unnamed(path: Path, data: bytes) -> None:
    """Write a file that gets its name only once it is complete (Linux)."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            # The folder's descriptor makes Python call linkat, which follows the link that /proc holds.
            os.link(f"/proc/self/fd/{file.fileno()}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def module_of(name: str, text: str, folder: Path | None = None) -> ModuleType:
    """A module with a text, kept on disk so that Numba can keep its machine code beside it.

    File and module are named after the text too, since Numba looks kernels up by the names of both. They are in the
    cache of this user, or in a folder. Where nothing can be written the module is made in memory, and Numba compiles
    its kernels anew in each process.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module_name = f"optgen_compiled_{name}_{digest}"
    path = _kept(text, folder or cache(), f"{digest}/{name}.py")
    known = sys.modules.get(module_name)
    if known is not None and getattr(known, "__file__", None) == (path and str(path)):
        return known
    spec = spec_from_file_location(module_name, path) if path else spec_from_loader(module_name, _InMemory(text))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[module_name] = module
    return module


def _kept(text: str, folder: Path | None, name: str) -> Path | None:
    """The file of a text in a folder; None where there is none and none can be written."""
    if folder is None:
        return None
    path, data = folder / name, text.encode()
    try:
        if not path.is_file() or path.read_bytes() != data:
            write_whole(path, text)
    except OSError:
        return None
    return path


class _InMemory(InspectLoader):
    """Loads a module that has no file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - as the protocol has it
        return self.text


def cache() -> Path | None:
    """The folder for what can be made again: ``OPTGEN_CACHE_DIR``, or one in the user's cache folder.

    None for a user who has no home.
    """
    chosen = os.environ.get("OPTGEN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optgen"
    except RuntimeError:
        return None
