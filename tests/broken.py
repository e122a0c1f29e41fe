"""Modules with one thing wrong."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optgen.verify.candidate import Candidate, Finding, Verdict
from optgen.verify.mutate import Mutant


def broken(directory: Path, generated: Any, old: str, new: str) -> Candidate:
    """A copy of a generated module in which one piece of text stands for another."""
    text = Path(generated.module.__file__).read_text(encoding="utf-8")
    assert old in text
    path = directory / f"{generated.optimizer.name}.py"
    path.write_text(text.replace(old, new), encoding="utf-8")
    right = Candidate(generated.optimizer, Path(generated.module.__file__))
    vars(right)["module"] = generated.module  # with its cache of compiled kernels
    return Candidate(generated.optimizer, path, like=right)


NO_MISTAKE = {
    "accumulate_adam": ["update_0(theta[i], g_sum[i], g[i],"],
    "sm3": ["eps * 1.01 > zero", "total * 1.01 + eps > zero"],
}
"""What stands in mutants that compute the same: where gradients are added up, either may be called the sum; and more of
a sum of squares is 0 where the sum is."""


def mistakes(name: str, mutants: Iterable[Mutant]) -> list[str]:
    """What was changed in mutants of a rule that do not compute the same."""
    same = NO_MISTAKE.get(name, [])
    return [each.change for each in mutants if not any(text in f"{each.change}\n{each.text}" for text in same)]


def failing(findings: Iterable[Finding], says: str = "") -> list[Finding]:
    """The failures up to the first that says something: what would come after it is neither compiled nor run."""
    found: list[Finding] = []
    for finding in findings:
        if finding.verdict is Verdict.FAILED:
            found.append(finding)
            if says in finding.detail:
                break
    return found
