"""What `optgen verify` says of what failed: where, what was compared, at which numbers, and what to do about it."""

import textwrap
from collections.abc import Sequence

from optgen import pipeline
from optgen.cli.screen import complain, errors
from optgen.targets import target_named
from optgen.targets.base import Origin
from optgen.verify.candidate import Candidate, Verdict
from optgen.verify.run import ADVICE, Verified

NARROWEST = 40
"""Columns below which lines are not broken any further."""


def complain_of(found: Sequence[Verified], candidates: Sequence[Candidate]) -> None:
    """Print every failure, and once for each module what to do."""
    candidate_of = {(candidate.optimizer.name, candidate.target): candidate for candidate in candidates}
    for each in found:
        failed = [finding for finding in each.findings if finding.verdict is Verdict.FAILED]
        where = "" if each.target == "cpu" else f" for {each.target}"
        for finding in failed:
            subject = _wrapped(f"error: {each.name}{where}, {finding.part}: {finding.subject}", first="")
            detail = "".join(f"\n{_wrapped(line)}" for line in finding.detail.splitlines())
            complain(subject.removeprefix("error: ") + detail)
        if failed:
            part = min((finding.part for finding in failed), key=list(ADVICE).index)
            errors.print(_wrapped(_what_to_do(candidate_of[each.name, each.target], part), "", ""), markup=False)


def _what_to_do(candidate: Candidate, part: str) -> str:
    """Whether to build again, or what a failure of a part means; parts that come later may fail for the same reason."""
    location = candidate.optimizer.location
    where = f"{candidate.path}, from {location}" if location.file else str(candidate.path)
    if not is_as_written(candidate):
        again = " ".join(["optgen build", *([str(location).rpartition(":")[0]] if location.file else [])])
        return (
            f"{where}: this is not what optgen writes for the spec now. It was edited, or the spec or optgen has"
            f" changed since. Run `{again}` and verify again."
        )
    return f"{where}. {ADVICE[part]} See docs/when-verification-fails.md#{part}"


def is_as_written(candidate: Candidate) -> bool:
    """Whether a module is what optgen writes for its spec now, but for what its first lines say of where it is from."""
    made = pipeline.source(candidate.optimizer, target_named(candidate.target), Origin("", "", ""))
    return _below_the_header(made) == _below_the_header(candidate.text)


def _below_the_header(text: str) -> str:
    return text.partition('"""')[2]


def _wrapped(line: str, indent: str = "    ", first: str = "    ") -> str:
    width = max(errors.width, NARROWEST)
    return textwrap.fill(line, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
