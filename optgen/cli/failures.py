"""What `optgen verify` says of what failed: where, what was compared, at which numbers, and what to do about it."""

import textwrap
from collections.abc import Mapping, Sequence

from optgen.build import source
from optgen.cli.screen import complain, errors
from optgen.language.spec import Optimizer
from optgen.loader import SpecFile
from optgen.verify.candidate import Candidate, Verdict
from optgen.verify.run import ADVICE, PARTS, Verified

NARROWEST = 40
"""Columns below which lines are not broken any further."""


def complain_of(found: Sequence[Verified], candidates: Sequence[Candidate], files: Mapping[str, SpecFile]) -> None:
    """Print every failure, and once for each module what to do.

    Parameters
    ----------
    found : sequence of Verified
        What was found out.
    candidates : sequence of Candidate
        About which modules.
    files : mapping of str to SpecFile
        The files of their specs, by the names of the optimizers.
    """
    candidate_of = {candidate.optimizer.name: candidate for candidate in candidates}
    for each in found:
        failed = [finding for finding in each.findings if finding.verdict is Verdict.FAILED]
        for finding in failed:
            detail = "".join(f"\n{_wrapped(line)}" for line in finding.detail.splitlines())
            subject = _wrapped(f"error: {each.name}, {finding.part}: {finding.subject}", first="")
            complain(subject.removeprefix("error: ") + detail)
        if failed:
            part = min((finding.part for finding in failed), key=list(PARTS).index)
            errors.print(_wrapped(_what_to_do(candidate_of[each.name], files[each.name], part), "", ""), markup=False)


def _what_to_do(candidate: Candidate, file: SpecFile, part: str) -> str:
    """Whether to build again, or what a failure of a part means; parts that come later may fail for the same reason."""
    where = f"{candidate.path}, from {candidate.optimizer.location or file.title}"
    if not is_as_written(candidate, file):
        return (
            f"{where}: this is not what optgen writes for the spec now. It was edited, or the spec or optgen has"
            f" changed since. Run `optgen build {file.path}` and verify again."
        )
    return f"{where}. {ADVICE[part]} See docs/when-verification-fails.md#{part}"


def is_as_written(candidate: Candidate, file: SpecFile) -> bool:
    """Whether a module is, to the letter, what optgen writes for its spec now."""
    optimizer: Optimizer = candidate.optimizer
    return source(file, optimizer, "cpu") == candidate.text


def _wrapped(line: str, indent: str = "    ", first: str = "    ") -> str:
    width = max(errors.width, NARROWEST)
    return textwrap.fill(line, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
