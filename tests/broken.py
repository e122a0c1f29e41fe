"""Modules with one thing wrong."""

from pathlib import Path
from typing import Any

from optgen.verify.candidate import Candidate


def broken(directory: Path, generated: Any, old: str, new: str) -> Candidate:
    """A copy of a generated module in which one piece of text stands for another."""
    text = Path(generated.module.__file__).read_text(encoding="utf-8")
    assert old in text
    path = directory / f"{generated.optimizer.name}.py"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return Candidate(generated.optimizer, path)
