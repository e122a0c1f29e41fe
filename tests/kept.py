"""What takes long to make and follows from texts alone, kept beside the compiled kernels until one of them changes."""

import gzip
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import TypeVar

FOLDER = Path(os.environ["OPTGEN_CACHE_DIR"]).parent / "made"  # of these sources of the runtime, as `conftest` has it
T = TypeVar("T")


def kept(make: Callable[[], T], *follows_from: object) -> T:
    """What a function makes, as it was made when all that it follows from, and all that is installed, was the same."""
    path = FOLDER / sha256(repr((follows_from, _installed())).encode()).hexdigest()[:32]
    with suppress(FileNotFoundError):
        return pickle.loads(gzip.decompress(path.read_bytes()))  # noqa: S301 - we wrote it
    made = make()
    beside = path.with_suffix(f".{os.getpid()}")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(gzip.compress(pickle.dumps(made), 1))
    beside.replace(path)
    return made


@cache
def _installed() -> list[str]:
    return sorted(f"{each.name} {each.version}" for each in distributions())
