"""Whether the claims of a spec are true: of its equations, by algebra, and of the compiled kernel, by trying.

A proof is attempted only where its cost is small and known beforehand: signs that SymPy can read off, and rational
functions that cancel. A claim that is not proved is no failure; one that the kernel violates is, and the finding holds
the input and both values.

A kernel shows only theta and the states. What a claim says of a local is therefore looked at where the local goes: an
equality is put in the place of the local, and the kernel must follow what comes of that; for an inequality the local
is solved for from the new theta, where it enters that linearly.
"""

from __future__ import annotations

from collections.abc import Iterator

from optgen.language.properties import Bounded, Claim, FirstTrue, Monotone
from optgen.language.spec import Optimizer
from optgen.verify.candidate import Candidate, Effort, Finding, Verdict
from optgen.verify.claims.kernel import observed
from optgen.verify.claims.proofs import proved
from optgen.verify.claims.rule import plain, rule_of
from optgen.verify.claims.trials import tried

PART = "properties"


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Look at every claim of a spec: at the equations if it can be proved of them, and at the kernel."""
    for claim in candidate.optimizer.properties:
        if proved(claim, candidate.optimizer):
            yield Finding(PART, str(claim), Verdict.PROVED, "from the equations")
        try:
            violation = tried(claim, candidate, effort)
        except Exception as error:  # noqa: BLE001 - whatever a broken module does is a finding
            violation = f"the module cannot be run: {type(error).__name__}: {error}"
        if violation is None:
            yield Finding(PART, str(claim), Verdict.TESTED, _where(claim, candidate.optimizer))
        else:
            detail = f"{claim} of {candidate.optimizer.name} does not hold\n{violation}"
            yield Finding(PART, str(claim), Verdict.FAILED, detail)


def _where(claim: Claim, optimizer: Optimizer) -> str:
    """Where a claim was tried."""
    rule = rule_of(optimizer)
    unseen = (isinstance(claim, Monotone | Bounded) and not observed(plain(claim.expression), rule)[1]) or (
        isinstance(claim, FirstTrue) and not any(value.has(plain(claim.condition)) for _, value in rule.equations)
    )
    if unseen:
        return "in float64; no new value shows it"
    return "on the kernel"
