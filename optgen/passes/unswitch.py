"""unswitch: a condition on scalars leaves the loop.

Where a Piecewise of elements is decided by scalars alone (``t == 1``, ``rho > 4``), the kernel gets one branch for
each outcome. The host picks the branch; a branch loads and stores only what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sympy import And, Eq, Expr, Integer, Not, Piecewise, Rational, S, cancel, default_sort_key, floor
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanFunction

from optgen.errors import Problem, SpecError
from optgen.ir import BRANCH, Assign, Branch, Kernel, Sweep, symbols
from optgen.language.order import walk
from optgen.language.reductions import Reduction
from optgen.language.sums import plain
from optgen.language.symbols import Named, t

MOST_BRANCHES = 32
"""More would make a module that nobody reads and that takes minutes to compile."""


def unswitch(kernel: Kernel) -> Kernel:
    """The kernel with a branch for every outcome of its scalar conditions.

    Raises
    ------
    SpecError
        If there are more outcomes than anyone can want.
    """
    known = {assign.target: assign.value for assign in kernel.scalars}
    split = [leaf for branch in kernel.branches for leaf in _split(branch, kernel.host, known)]
    if len(split) > MOST_BRANCHES:
        what = f"its conditions on scalars make {len(split)} branches, and {MOST_BRANCHES} are the most there can be"
        raise SpecError([Problem(what, "give a local the choice between scalars, and use the local")], kernel.name)
    *others, last = (replace(b, sweeps=tuple(map(_without_dead_code, b.sweeps))) for b in split)
    branches = (*others, replace(last, when=S.true))
    if len(branches) == 1:
        return replace(kernel, branches=branches)
    choice = Piecewise(*((number, branch.when) for number, branch in enumerate(branches)))
    return replace(kernel, scalars=(*kernel.scalars, Assign(BRANCH, choice)), branches=branches)


def _split(branch: Branch, host: frozenset[Named], known: Mapping[Named, Expr]) -> list[Branch]:
    """The branch itself, or what it becomes for each outcome of the first condition, most special first."""
    condition = next(_conditions(branch, host), None)
    if condition is None:
        return [branch]
    held = Branch(And(branch.when, condition), _given(branch.sweeps, condition, S.true))
    missed = Branch(And(branch.when, Not(condition)), _given(branch.sweeps, condition, S.false))
    halves = [half for half in (held, missed) if _can_hold(half.when, known)]
    return [leaf for half in halves for leaf in _split(half, host, known)]


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


def _can_hold(condition: Boolean, known: Mapping[Named, Expr]) -> bool:
    """Whether a condition can hold, as far as comparisons with numbers decide that.

    Those of t change at a number. Where t must be one, others may come to compare numbers only.
    """
    for part in And.make_args(condition):
        if isinstance(part, Eq) and (step := _number(part)) is not None:
            condition = condition.replace(
                lambda node: isinstance(node, Relational), lambda node: _at(node, step, known)
            )
    if any(_contradicts(part, condition) for part in And.make_args(condition)):
        return False
    compared = [part for part in And.make_args(condition) if isinstance(part, Relational) and _number(part) is not None]
    turns = [int(floor(_number(part))) for part in compared]
    steps = {1, *(turn + near for turn in turns for near in (-1, 0, 1, 2) if turn + near > 0)}
    return condition is not S.false and any(
        all(part.xreplace({t: Integer(step)}) == S.true for part in compared) for step in steps
    )


def _contradicts(part: Boolean, whole: Boolean) -> bool:
    """Whether a part of a condition says that t equals something for which another part cannot hold."""
    if not isinstance(part, Eq) or t not in part.args:
        return False
    (other,) = (side for side in part.args if side != t)
    return any(each.xreplace({t: other}) is S.false for each in And.make_args(whole))


def _at(comparison: Relational, step: Rational, known: Mapping[Named, Expr]) -> Boolean:
    """A comparison at a step, if it is one of numbers then, else as it is."""
    difference = plain(comparison.lhs - comparison.rhs)
    while names := difference.free_symbols & known.keys():
        difference = plain(difference.xreplace({name: known[name] for name in names}))
    there = cancel(difference.xreplace({t: step}))
    return comparison.func(there, 0) if there.is_number and comparison.free_symbols != {t} else comparison


def _number(comparison: Relational) -> Rational | None:
    """The number with which t alone is compared."""
    match comparison.lhs, comparison.rhs:
        case (left, Rational() as number) | (Rational() as number, left) if left == t:
            return number
    return None


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
