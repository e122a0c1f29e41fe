"""Compiled functions on disk: Numba's cache, but that what is broken there is compiled again and replaced.

Numba unpickles whatever it finds. A full disk, a killed process or a failing drive leave files that are cut short, or
whose bytes are others, and a process that is killed at the wrong moment an index beside the machine code of an older
source. So every file begins with a digest: of what follows, and of what it is for. Why something was of no use is
logged, at the level of debugging.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime import rtsys

_DIGEST = sha256().digest_size
_LOG = logging.getLogger(__name__)


def _digest_of(folder: Path) -> bytes:
    found = sha256()
    for path in sorted(folder.glob("*.py")):
        with suppress(OSError):
            found.update(path.read_bytes())
    return found.digest()


_INLINED = _digest_of(Path(__file__).parent)
"""Of the modules whose functions become part of what is compiled elsewhere, where Numba does not look for changes."""


class _Files(IndexDataCacheFile):
    """The index of a function and its machine code, each file with its digest."""

    def load(self, key: Any) -> Any:
        """What was kept under a key; None if it is not there, or is not whole."""
        kept = super().load(key)
        if kept and kept[0] != key:
            _LOG.debug("%s has the code for %s where that for %s was kept", self._index_path, kept[0], key)
        return kept[1] if kept and kept[0] == key else None

    def save(self, key: Any, data: Any) -> None:
        """Keep something under a key."""
        super().save(key, (key, data))

    def _load_index(self) -> Any:
        return self._read(self._index_name) or {}

    def _save_index(self, overloads: Any) -> None:
        self._write(self._index_name, overloads)

    def _load_data(self, name: str) -> Any:
        return self._read(name)

    def _save_data(self, name: str, data: Any) -> None:
        self._write(name, data)

    def _read(self, name: str) -> Any:
        path = Path(self._data_path(name))
        try:
            content = _content(path)
            digest, pickled = content[:_DIGEST], content[_DIGEST:]
            if digest == self._digest(name, pickled):
                return pickle.loads(pickled)  # noqa: S301 - we wrote it
            _LOG.debug("%s is not whole, or not for this source", path)
        except Exception as error:  # noqa: BLE001 - of what was written whole, but where other libraries were installed
            _LOG.debug("%s cannot be read: %r", path, error)
        return None

    def _write(self, name: str, value: Any) -> None:
        pickled = self._dump(value)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(self._digest(name, pickled) + pickled)

    def _digest(self, name: str, pickled: bytes) -> bytes:
        purpose = repr((self._version, self._source_stamp, name)).encode()
        return sha256(sha256(purpose).digest() + pickled).digest()


def _content(path: Path) -> bytes:
    if path.is_fifo():
        raise OSError("it is a pipe, which would have whoever reads it wait")
    return path.read_bytes()


class KeptOnDisk(FunctionCache):
    """Where a function keeps its machine code; it works without a disk as well."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        stamp = (locator.get_source_stamp(), _INLINED)
        self._cache_file = _Files(locator.get_cache_path(), self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature; None if it has to be compiled."""
        try:
            # Numba's own way has it first import all that it can compile, SciPy's linear algebra too: 0.2 s, of which
            # code that is compiled needs what counts references.
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - of what was compiled by other libraries
            _LOG.debug("what is kept of %s%s cannot be loaded: %r", self._name, sig, error)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled function for a signature, if there is room."""
        with suppress(OSError):
            super().save_overload(sig, data)
