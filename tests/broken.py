"""Modules with one thing wrong."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optgen.verify.candidate import Candidate, Finding, Verdict


def broken(directory: Path, generated: Any, old: str, new: str) -> Candidate:
    """A copy of a generated module in which one piece of text stands for another."""
    text = Path(generated.module.__file__).read_text(encoding="utf-8")
    assert old in text
    path = directory / f"{generated.optimizer.name}.py"
    path.write_text(text.replace(old, new), encoding="utf-8")
    right = Candidate(generated.optimizer, Path(generated.module.__file__))
    vars(right)["module"] = generated.module  # with its cache of compiled kernels
    return Candidate(generated.optimizer, path, like=right)


def failing(findings: Iterable[Finding], says: str = "") -> list[Finding]:
    """The failures up to the first that says something: what would come after it is neither compiled nor run."""
    found: list[Finding] = []
    for finding in findings:
        if finding.verdict is Verdict.FAILED:
            found.append(finding)
            if says in finding.detail:
                break
    return found
