"""Verification of many modules, and of the verifier: who looks at what, on how many processes."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from typing import ParamSpec, TypeVar

from optgen.verify import claims, drift, memory, mutate, numerics, simulation, translation
from optgen.verify.candidate import Candidate, Check, Effort, Finding, Verdict, failures
from optgen.verify.mutate import Mutant, Outcome

P = ParamSpec("P")
T = TypeVar("T")

PARTS: dict[str, dict[str, Check]] = {
    "cpu": {
        "translation": translation.check,
        "memory": memory.check,
        "numerics": numerics.check,
        "drift": drift.check,
        "properties": claims.check,
    },
    "cuda": {"translation": translation.check, "memory": simulation.check, "numerics": simulation.rounding},
}
"""The parts of the verifier for each kind of machine, in the order in which a reader wants them."""


ADVICE: dict[str, str] = {
    "translation": "The code says something else than the equations, and it is as optgen wrote it: a bug in optgen, not"
    " in your rule. Please report it with the spec.",
    "memory": "The equations have no part in this: a bug in optgen, not in your rule. Please report it with the spec.",
    "numerics": "The code is proved equal to the equations, so this is about rounding. If the kernel loses digits that"
    " your formula loses too, the formula is where to look: at differences of what is nearly equal, at a division by"
    " what may vanish, at numbers that no run has. If the formula is harmless at these numbers, it is a bug in optgen.",
    "drift": "Each step is right to its last digits, and many of them go astray. If float32 cannot hold what your rule"
    " adds up, keep what is rounded away in a state, as compensated sums do. If it is an average or a fixed point of"
    " the equations that moves, it is a bug in optgen.",
    "properties": "A claim does not hold at these numbers. If your equations do not have the property, the claim or the"
    " equations are wrong; if they do, the kernel does not keep it in floating point: claim less, or report a bug.",
}
"""What a failure of each part means for the author of a spec; docs/when-verification-fails.md says more."""


@dataclass(frozen=True)
class Verified:
    """One module and everything found out about it."""

    name: str
    findings: tuple[Finding, ...]
    target: str = "cpu"

    def _repr_markdown_(self) -> str:
        """A row for each part of the verifier, and what failed."""
        rows = [f"| {part} | {self._counted(part)} |" for part in PARTS[self.target] if self._counted(part)]
        failed = [f"- {each.subject}: {each.detail}" for each in failures(self.findings)]
        return "\n".join([f"| {self.name}, {self.target} | |", "|---|---|", *rows, "", *failed])

    def _counted(self, part: str) -> str:
        verdicts = Counter(each.verdict.value for each in self.findings if each.part == part)
        worst = max((each.figures.get("ulps") or 0 for each in self.findings if each.part == part), default=0)
        units = f"; at most {worst:.2g} units in the last place off" if worst else ""
        return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) + units


class _Here(Executor):
    """Does what is submitted at once, in this process, and raises what it raises."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def processes(work: int) -> Executor:
    """Who does that many things: others, as many as there are processors, or, if few, this process.

    Others are begun afresh, since Numba's threads do not survive a fork, and import everything before they begin.
    """
    if work <= _FEW:
        return _Here()
    return ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn"))


_FEW = 2
"""The modules of one rule."""


def verify(candidates: Sequence[Candidate], effort: Effort, executor: Executor) -> Iterator[Verified]:
    """Look at modules with every part of the verifier, in the order in which they get done."""
    futures = [executor.submit(_looked_at, candidate, effort) for candidate in candidates]
    for future in as_completed(futures):
        yield future.result()


def kills(candidates: Sequence[Candidate], executor: Executor, stride: int = 1) -> Iterator[tuple[str, Outcome]]:
    """Break modules, which should be right, in every way there is and see whether the verifier notices.

    With a stride, every so many-th mutant of each kind and module is taken only. What becomes of each comes with the
    name of its module, in the order in which they get done.
    """
    work = [(c, m) for c in candidates for m in _every(stride, list(mutate.mutants(c.text)))]
    futures = {
        executor.submit(mutate.outcome, candidate, mutant): candidate.optimizer.name for candidate, mutant in work
    }
    for future in as_completed(futures):
        yield futures[future], future.result()


def count_mutants(candidates: Sequence[Candidate], stride: int = 1) -> int:
    """How many mutants `kills` will make."""
    return sum(len(_every(stride, list(mutate.mutants(candidate.text)))) for candidate in candidates)


def _every(stride: int, mutants: list[Mutant]) -> list[Mutant]:
    kinds = [[mutant for mutant in mutants if mutant.kind == kind] for kind in mutate.CLAIMS]
    return list(chain.from_iterable(kind[::stride] for kind in kinds))


def _looked_at(candidate: Candidate, effort: Effort) -> Verified:
    why = candidate.is_damaged
    try:
        checks = [] if why else PARTS[candidate.target].values()
        findings = tuple(finding for check in checks for finding in check(candidate, effort))
    except SystemExit:
        why = "it ends the program that imports it"
    if why:
        findings = (Finding(next(iter(PARTS[candidate.target])), "the module", Verdict.FAILED, why),)
    return Verified(candidate.optimizer.name, findings, candidate.target)
