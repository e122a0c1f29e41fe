"""How two rules differ: what is written otherwise, and what comes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sympy import Basic, Expr, Mul, Piecewise, expand, factor_terms

from optgen.language import order
from optgen.language.formula import Formula, Formulas, equation
from optgen.language.properties import Claim, EqualTo, Equivalent, Invariant, NotAlways
from optgen.language.reductions import Reduction
from optgen.language.schedules import Schedule
from optgen.language.spec import Let, Optimizer
from optgen.language.sums import is_sum, plain
from optgen.language.symbols import Hyper, algebraic

Rule = Optimizer | Schedule


@dataclass(frozen=True)
class Change:
    """An equation that two rules do not share."""

    target: Formula  # of what
    # How each has it, with what has changed marked; None where one has it not
    before: Formula | None
    after: Formula | None
    by: Formula | None = None  # what is added to the first value to make the second, where that is less than either


@dataclass(frozen=True)
class Held:
    """What becomes of a claim in each of two rules: words of `optgen.verify.claims.equations`, and why one fails."""

    claim: str
    before: str
    after: str
    example: str = ""


def changes(one: Rule, other: Rule) -> tuple[list[Change], list[Formula]]:
    """The equations in which two rules differ, in the order of the second, and the targets of those that they share."""
    write_one, write_other = Formulas(one.hypers), Formulas(other.hypers)
    found: list[Change] = []
    differ, shared = _compared(one, other)
    for target, before, after in differ:
        if before and after:
            marks = (set(_changed(before.value, after.value)), set(_changed(after.value, before.value)))
            was, now = (
                equation(each.target, each.value, write, marked)
                for each, write, marked in zip((before, after), (write_one, write_other), marks, strict=True)
            )
            found.append(Change(target, was, now, _added(before, after, other, write_other)))
        elif after:
            found.append(Change(target, None, equation(after.target, after.value, write_other)))
        elif before:
            found.append(Change(target, equation(before.target, before.value, write_one), None))
    return found, shared


def _compared(one: Rule, other: Rule) -> tuple[list[tuple[Formula, Let | None, Let | None]], list[Formula]]:
    """The targets in which two rules differ, each with the equations of both, and the targets of those they share."""
    mine, theirs = ({let.target.name: let for let in rule.step} for rule in (one, other))
    write_one, write_other = Formulas(one.hypers), Formulas(other.hypers)
    differ: list[tuple[Formula, Let | None, Let | None]] = []
    shared: list[Formula] = []
    for name, let in theirs.items():
        before, target = mine.get(name), write_other.symbol(let.target)
        if before and _same(before.value, let.value):
            shared.append(target)
        else:
            differ.append((target, before, let))
    differ += [(write_one.symbol(let.target), let, None) for name, let in mine.items() if name not in theirs]
    return differ, shared


def claims_that_differ(
    one: Optimizer, other: Optimizer, known: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType({})
) -> list[Held]:
    """The claims of either rule that hold for one and not for the other, as far as that can be told at once.

    What is known, by the name of a rule and by its claims as `said` has them, the verifier has found out: it is
    believed.
    """
    every = {str(claim): (claim, carrier) for carrier in (other, one) for claim in carrier.properties}
    rows = []
    for claim, carrier in every.values():
        (before, why), (after, also) = (
            _status(claim, carrier, rule, known.get(rule.name, {}).get(said(claim), ())) for rule in (one, other)
        )
        if before != after:
            rows.append(Held(said(claim), before, after, _short(why or also)))
    return rows


def said(claim: Claim) -> str:
    """A claim as a sentence about the rule that carries it."""
    if isinstance(claim, NotAlways):
        return f"not always: {said(claim.claim)}"
    return f"it is {claim}" if isinstance(claim, EqualTo | Equivalent | Invariant) else str(claim)


def _short(example: str) -> str:
    """An example whose numbers have no more digits than a reader wants."""
    return re.sub(r"-?\d+\.\d{6,}(e-?\d+)?", lambda found: f"{float(found[0]):.8g}", example)


def _status(claim: Claim, carrier: Optimizer, rule: Optimizer, verdicts: Sequence[str]) -> tuple[str, str]:
    from optgen.verify.claims.equations import FOREIGN, OPEN, PROVED, SHOWN, verdict  # noqa: PLC0415 - takes Numba

    if "proved" in verdicts or "tested" in verdicts:
        by_example = SHOWN if isinstance(claim, NotAlways) else "tested"
        return (PROVED if "proved" in verdicts else by_example), ""
    if isinstance(claim, Invariant) and {s.name for s in rule.states} - {s.name for s in carrier.states}:
        return FOREIGN, ""  # it does not say in which units these states are
    found, example = verdict(claim, rule)
    return ("claimed", "") if found == OPEN and claim in rule.properties else (found, example)


def _same(one: Basic, other: Basic) -> bool:
    return bool(algebraic(one) == algebraic(other))


def _changed(one: Basic, other: Basic) -> Iterator[Basic]:
    """The parts of an expression that another has not, as small as they can be told."""
    if _same(one, other):
        return
    mine, theirs = order.parts(one), order.parts(other)
    if not mine or not theirs or (type(one) is not type(other) and not (is_sum(one) and is_sum(other))):
        yield one
        return
    left, right = _unmatched(mine, theirs), _unmatched(theirs, mine)
    if len(left) == len(right) == 1 and len(mine) > 1:
        inner = list(_changed(left[0], right[0]))
        yield from [one] if any(part.is_number for part in inner) else inner  # the same number may stand elsewhere
    elif len(left) < len(mine) or len(right) < len(theirs):
        yield from left
    elif len(mine) == len(theirs) and not is_sum(one) and not isinstance(one, Mul):
        for a, b in zip(mine, theirs, strict=True):
            yield from _changed(a, b)
    else:
        yield one


def _unmatched(mine: Sequence[Basic], theirs: Sequence[Basic]) -> list[Basic]:
    known = [algebraic(part) for part in theirs]
    return [part for part in mine if algebraic(part) not in known]


def _added(before: Let, after: Let, other: Rule, write: Formulas) -> Formula | None:
    """What a value has more than another, where that is a simple thing to say."""
    if any(value.has(Piecewise, Reduction) for value in (before.value, after.value)):
        return None
    hypers: dict[Hyper, Hyper] = {hyper: hyper for hyper in other.hypers}
    named = {hyper.name: hyper for hyper in hypers}
    renamed = {hyper: named.get(hyper.name, hyper) for hyper in before.value.atoms(Hyper)}
    difference: Expr = factor_terms(expand(plain(after.value) - plain(before.value).xreplace(renamed)))
    if difference.count_ops() >= min(after.value.count_ops(), before.value.count_ops()):
        return None
    return write(difference)


def kin(rule: Rule, others: Sequence[Rule]) -> list[dict[str, Any]]:
    """The other optimizers of a file, and those that claims name: where they differ, and what is claimed of both."""
    if isinstance(rule, Schedule):
        return []
    named = [claim.other for claim in getattr(rule, "properties", ()) if isinstance(claim, EqualTo | Equivalent)]
    found = []
    for other in {other.name: other for other in (*named, *others)}.values():
        if other.name == rule.name or other.kind != rule.kind:
            continue
        differ, shared = _compared(rule, other)
        claims = in_common(rule, other)
        if not claims and len(differ) > len(shared):
            continue
        found.append(
            {
                "name": other.name,
                "differs": [target for target, _, _ in differ],
                "claims": claims,
                "description": other.description,
            }
        )
    return found


def in_common(one: Rule, other: Rule) -> list[str]:
    """What either of two rules claims to have in common with the other."""
    return [*_of(one, other), *_of(other, one)]


def _of(rule: Rule, other: Rule) -> list[str]:
    claims = (claim for claim in getattr(rule, "properties", ()) if isinstance(claim, EqualTo | Equivalent))
    return [f"{rule.name} is {claim}" for claim in claims if claim.other.name == other.name]
