"""unswitch: a condition on scalars leaves the loop.

Where a Piecewise of elements is decided by scalars alone (``t == 1``, ``rho > 4``), the kernel gets one branch for
each outcome. The host picks the branch; a branch loads and stores only what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from sympy import And, Expr, Not, Piecewise, S, default_sort_key
from sympy.logic.boolalg import Boolean, BooleanFunction

from optgen.errors import Problem, SpecError
from optgen.ir import BRANCH, Branch, Equation, Kernel, Sweep, symbols
from optgen.language.graph import replaced
from optgen.language.order import walk
from optgen.language.reductions import Reduction
from optgen.language.symbols import Named
from optgen.passes.conditions import can_hold

MOST_BRANCHES = 32
"""More would make a module that nobody reads and that takes minutes to compile."""


def unswitch(kernel: Kernel) -> Kernel:
    """The kernel with a branch for every outcome of its scalar conditions, of which there must be few."""
    known = {assign.target: assign.value for assign in kernel.scalars}
    leaves = (leaf for branch in kernel.branches for leaf in _split(branch, kernel.host, known))
    split = list(islice(leaves, MOST_BRANCHES + 1))
    if len(split) > MOST_BRANCHES:
        what = f"its conditions on scalars make more than {MOST_BRANCHES} branches, as many as there can be"
        raise SpecError([Problem(what, "give a local the choice between scalars, and use the local")], kernel.name)
    *others, last = (replace(b, sweeps=tuple(map(_without_dead_code, b.sweeps))) for b in split)
    branches = (*others, replace(last, when=S.true))
    if len(branches) == 1:
        return replace(kernel, branches=branches)
    choice = Piecewise(*((number, branch.when) for number, branch in enumerate(branches)))
    return replace(kernel, scalars=(*kernel.scalars, Equation(BRANCH, choice)), branches=branches)


def _split(branch: Branch, host: frozenset[Named], known: Mapping[Named, Expr]) -> Iterator[Branch]:
    """The branch itself, or what it becomes for each outcome of the first condition, most special first."""
    condition = next(_conditions(branch, host), None)
    if condition is None:
        yield branch
        return
    for outcome, truth in ((condition, S.true), (Not(condition), S.false)):
        when = And(branch.when, outcome)
        if can_hold(when, known):
            yield from _split(Branch(when, _given(branch.sweeps, condition, truth)), host, known)


def _conditions(branch: Branch, host: frozenset[Named]) -> Iterator[Boolean]:
    """The conditions that the host can decide, of choices that it cannot make."""
    for sweep in branch.sweeps:
        for assign in sweep.body:
            for choice in walk(assign.value):
                if isinstance(choice, Piecewise) and not symbols(choice) <= host:
                    for _, condition in choice.args:
                        yield from _decided(condition, host)


def _decided(condition: Boolean, host: frozenset[Named]) -> Iterator[Boolean]:
    """The largest parts of a condition that the host can decide."""
    if symbols(condition) <= host and not condition.has(Reduction):
        yield from () if condition in (S.true, S.false) else (condition,)
    elif isinstance(condition, BooleanFunction):
        for part in sorted(condition.args, key=default_sort_key):
            yield from _decided(part, host)


def _given(sweeps: tuple[Sweep, ...], condition: Boolean, truth: Boolean) -> tuple[Sweep, ...]:
    known = {condition: truth, Not(condition): Not(truth)}

    def settle(assign: Equation) -> Equation:
        return replace(assign, value=replaced(assign.value, known))

    return tuple(replace(sweep, body=tuple(map(settle, sweep.body))) for sweep in sweeps)


def _without_dead_code(sweep: Sweep) -> Sweep:
    """The sweep without stores that change nothing, values that nobody uses, and loads for those."""
    values = {assign.target: assign.value for assign in sweep.body}
    stores = tuple(slot for slot in sweep.stores if values[slot.next] != slot)
    needed: set[Named] = {slot.next for slot in stores}
    body: list[Equation] = []
    for assign in reversed(sweep.body):
        if assign.target in needed:
            needed |= symbols(assign.value)
            body.append(assign)
    return Sweep(tuple(slot for slot in sweep.loads if slot in needed), tuple(reversed(body)), stores)
