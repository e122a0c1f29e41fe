"""unswitch: a condition on scalars leaves the loop.

Where a Piecewise of elements is decided by scalars alone (``t == 1``, ``rho > 4``), the kernel gets one branch for
each outcome. The host picks the branch; a branch loads and stores only what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sympy import And, Not, Piecewise, S
from sympy.logic.boolalg import Boolean, BooleanFunction

from optgen.ir import BRANCH, Assign, Branch, Kernel, Sweep, symbols
from optgen.language.symbols import Named


def unswitch(kernel: Kernel) -> Kernel:
    """The kernel with a branch for every outcome of its scalar conditions."""
    split = [leaf for branch in kernel.branches for leaf in _split(branch, kernel.host)]
    branches = tuple(replace(b, sweeps=tuple(map(_without_dead_code, b.sweeps))) for b in split)
    if len(branches) == 1:
        return replace(kernel, branches=branches)
    choice = Piecewise(*((number, branch.when) for number, branch in enumerate(branches)))
    return replace(kernel, scalars=(*kernel.scalars, Assign(BRANCH, choice)), branches=branches)


def _split(branch: Branch, host: frozenset[Named]) -> list[Branch]:
    """The branch itself, or what it becomes for each outcome of the first condition, most special first."""
    condition = next(_conditions(branch, host), None)
    if condition is None:
        return [branch]
    held = Branch(And(branch.when, condition), _given(branch.sweeps, condition, S.true))
    missed = Branch(branch.when, _given(branch.sweeps, condition, S.false))
    return [leaf for half in (held, missed) if half.when is not S.false for leaf in _split(half, host)]


def _conditions(branch: Branch, host: frozenset[Named]) -> Iterator[Boolean]:
    """The conditions that the host can decide, of choices that it cannot make."""
    for sweep in branch.sweeps:
        for assign in sweep.body:
            for choice in assign.value.atoms(Piecewise):
                if symbols(choice) <= host:
                    continue
                for _, condition in choice.args:
                    parts = condition.args if isinstance(condition, BooleanFunction) else (condition,)
                    yield from (part for part in parts if part is not S.true and symbols(part) <= host)


def _given(sweeps: tuple[Sweep, ...], condition: Boolean, truth: Boolean) -> tuple[Sweep, ...]:
    known = {condition: truth, Not(condition): Not(truth)}

    def settle(assign: Assign) -> Assign:
        return replace(assign, value=assign.value.xreplace(known))

    return tuple(replace(sweep, body=tuple(map(settle, sweep.body))) for sweep in sweeps)


def _without_dead_code(sweep: Sweep) -> Sweep:
    """The sweep without stores that change nothing, values that nobody uses, and loads for those."""
    values = {assign.target: assign.value for assign in sweep.body}
    stores = tuple(slot for slot in sweep.stores if values[slot.next] != slot)
    needed: set[Named] = {slot.next for slot in stores}
    body: list[Assign] = []
    for assign in reversed(sweep.body):
        if assign.target in needed:
            needed |= assign.value.atoms(Named)
            body.insert(0, assign)
    return Sweep(tuple(slot for slot in sweep.loads if slot in needed), tuple(body), stores)
