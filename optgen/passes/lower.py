"""lower: from the equations of an optimizer to a kernel of one branch.

STEP equations become host code, those of states that are one number among them, and the others the body of one sweep,
reductions and all: `split` makes several of it where they need that. A state whose ``init`` depends on g reads its init
in place of its old value at the first step, before which it cannot be known. A draw becomes a load
of no memory, ``z0``, ``z1`` and so on, so that what computes an element is a function of what it is given.
"""

from __future__ import annotations

from typing import Any

from sympy import Eq, Expr, Piecewise, S

from optgen.ir import Assign, Branch, Kernel, Sweep
from optgen.language.noise import Draw
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer, assigned
from optgen.language.symbols import State, g, t, theta


def lower(optimizer: Optimizer) -> Kernel:
    """The kernel of an optimizer: one branch, one sweep, nothing moved yet."""
    first = {s: Piecewise((s.init, Eq(t, 1)), (s, True)) for s in optimizer.states if starts_late(s)}
    draws = {node: Draw(f"z{k}", node) for k, node in enumerate(optimizer.draws)}
    scalars, body = [], []
    for let in optimizer.equations:
        owner = assigned(let)
        if optimizer.spaces[let.target] is Space.STEP and (owner is None or owner.space is Space.STEP):
            scalars.append(Assign(let.target, let.value, space=Space.STEP))
        else:
            space = optimizer.spaces[let.target] if owner is None else owner.space
            body.append(Assign(let.target, _substitute(let.value, first | draws), space=space))
    states = tuple(state for state in optimizer.states if state.space is not Space.STEP)
    sweep = Sweep((theta, g, *states, *draws.values()), tuple(body), stores=(theta, *states))
    return Kernel(
        optimizer.name,
        optimizer.hypers,
        states,
        optimizer.numbers,
        tuple(scalars),
        (Branch(S.true, (sweep,)),),
    )


def starts_late(state: State) -> bool:
    """Whether what a state starts from is known only when the first gradient is."""
    return g in state.init.free_symbols


def _substitute(value: Expr, replacements: dict[Any, Expr]) -> Expr:
    return value.xreplace(replacements) if replacements else value
