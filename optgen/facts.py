"""What there is to know about an optimizer or a schedule, as plain data: for tables, for programs, and to be kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sympy import Basic, lambdify

from optgen.errors import OptgenError
from optgen.ir import Branch, Kernel
from optgen.language.domains import domain_of
from optgen.language.order import named
from optgen.language.schedules import Schedule
from optgen.language.spec import Optimizer
from optgen.language.sums import plain
from optgen.language.symbols import Hyper, Named, t
from optgen.language.text import text
from optgen.loader import Rule, SpecFile
from optgen.operations import operations
from optgen.pipeline import kernel_of
from optgen.same_bits import may_differ

FLOAT32 = 4
LATER = range(10_001, 10_061)
"""Steps at which an optimizer has settled; 60 has many divisors, for what is done at every so many-th step."""
LONGEST = 60
"""Fewer steps are looked for that recur: who times them takes all of them at once."""


def facts(file: SpecFile, rule: Rule) -> dict[str, Any]:
    """What there is to know about an optimizer or a schedule, as plain data.

    ``bytes_read`` and ``bytes_written`` are for an element in float32 and belong to the branch that runs at most steps
    with the default hyperparameters; ``branches`` has them for each, the usual one marked. They are null where no
    kernel can be built. ``operations`` are counted for an element, ``may_differ`` is what may differ between machines.
    """
    if isinstance(rule, Schedule):
        return _said(file, rule)
    states = [{"name": s.name, "space": s.space.name, "init": text(s.init)} for s in rule.states]
    return {**_said(file, rule), "states": states, **_traffic(rule)}


def _said(file: SpecFile, rule: Rule) -> dict[str, Any]:
    """What the spec of an optimizer or a schedule says."""
    return {
        "name": rule.name,
        "kind": rule.kind,
        "title": rule.title,
        "file": file.title,
        "reference": rule.reference,
        "description": rule.description,
        "hypers": [
            {"name": h.name, "default": _default(h), "domain": str(domain_of(h)), "meaning": h.meaning}
            for h in rule.hypers
        ],
        "equations": [str(let) for let in rule.step],
    }


def _default(hyper: Hyper) -> float | str:
    """The default of a hyperparameter, in words where it follows from others."""
    return hyper.usual if hyper.default.is_number else text(hyper.default)


def _traffic(optimizer: Optimizer) -> dict[str, Any]:
    try:
        kernel = kernel_of(optimizer)
    except OptgenError:
        return {"sweeps": None, "bytes_read": None, "bytes_written": None, "branches": [], "may_differ": None}
    usual = usual_branch(optimizer, kernel)
    branches = [{"when": text(branch.when), "usual": branch is usual, **_moved(branch)} for branch in kernel.branches]
    return {**_moved(usual), "branches": branches, "may_differ": may_differ(kernel)}


def _moved(branch: Branch) -> dict[str, Any]:
    return {
        "sweeps": len(branch.over_elements),
        "bytes_read": FLOAT32 * branch.loads,
        "bytes_written": FLOAT32 * branch.stores,
        "operations": operations(branch),
    }


def usual_branch(optimizer: Optimizer, kernel: Kernel) -> Branch:
    """The branch that runs at most steps with the default hyperparameters, once it has settled.

    It is the last where that depends on more than the host knows: a sum over all elements, say.
    """
    return kernel.branches[_most(_run(optimizer, kernel, LATER))]


def branches_in_turn(optimizer: Optimizer, kernel: Kernel, steps: range) -> tuple[Branch, ...]:
    """The branches that run one after another, again and again, at some steps with the default hyperparameters.

    It is the one that runs at most of them where none recur.
    """
    runs = _run(optimizer, kernel, steps)
    length = next((k for k in range(1, LONGEST) if runs[k:] == runs[:-k]), None)
    return tuple(kernel.branches[k] for k in (runs[:length] if length else [_most(runs)]))


def _most(runs: Sequence[int]) -> int:
    return Counter(runs).most_common(1)[0][0]


def _run(optimizer: Optimizer, kernel: Kernel, steps: range) -> list[int]:
    """The number of the branch that runs at each step; of the last where the host does not know."""
    *chosen, last = range(len(kernel.branches))
    conditions = [kernel.branches[k].when for k in chosen]
    unknown = [last] * len(steps)
    needed = _needed(optimizer, conditions)
    numbers = [number for number in optimizer.numbers if number in needed]
    known: dict[Named, float] = {hyper: hyper.usual for hyper in optimizer.hypers}
    compute = [(let.target, _function(let.value)) for let in optimizer.equations if let.target in needed]
    decide = list(map(_function, conditions))
    if not chosen or not needed <= {t, *known, *numbers, *(target for target, _ in compute)}:
        return unknown
    runs: list[int] = []
    try:
        known.update({number: _function(number.init)(known) for number in numbers})
        for step in range(1 if numbers else steps.start, steps.stop):
            known[t] = float(step)
            for target, value in compute:
                known[target] = value(known)
            if step in steps:
                runs.append(next((number for number, holds in enumerate(decide) if holds(known)), last))
            known.update({number: known[number.next] for number in numbers})
    except (ArithmeticError, NameError, TypeError, ValueError):  # a function or a number that Python does not have
        return unknown
    return runs


def _needed(optimizer: Optimizer, conditions: Sequence[Basic]) -> set[Named]:
    """What conditions depend on, from step to step."""
    needed = {symbol for condition in conditions for symbol in named(condition)}
    before = -1
    while len(needed) > before:
        before = len(needed)
        needed.update(number.next for number in optimizer.numbers if number in needed)
        for let in reversed(optimizer.equations):
            if let.target in needed:
                needed.update(named(let.value))
    return needed


def _function(value: Basic) -> Callable[[Mapping[Named, float]], float]:
    """An expression as a function of what its symbols are, in floats."""
    symbols = named(value)
    function: Callable[..., float] = lambdify(symbols, plain(value), "math", dummify=True)
    return lambda known: function(*(known[symbol] for symbol in symbols))
