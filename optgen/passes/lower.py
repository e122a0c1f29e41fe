"""lower: from the equations of an optimizer to a kernel of one branch.

STEP equations become host code, those of states that are one number among them, and the others the body of one sweep,
reductions and all: `split` makes several of it where they need that. Sums of elements become `InOrder`, which no pass
takes apart; those of t and hyperparameters alone, which float64 and `stable` are for, are SymPy's. A state whose
``init`` depends on g reads its init in place of its old value at the first step, before which it cannot be known. A
draw becomes a load of no memory, ``z0``, ``z1`` and so on, so that what computes an element is a function of what it is
given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sympy import Add, Basic, Eq, Piecewise, S

from optgen.ir import Branch, Equation, Kernel, Sweep, fresh
from optgen.language.graph import reworded
from optgen.language.noise import Draw, normal
from optgen.language.order import terms
from optgen.language.reductions import Reduction
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer, assigned
from optgen.language.sums import InOrder, plain, replaced
from optgen.language.symbols import Named, Next, Stateful, g, t, theta


def lower(optimizer: Optimizer) -> Kernel:
    """The kernel of an optimizer: one branch, one sweep, nothing moved yet."""
    first = {s: Piecewise((s.init, Eq(t, 1)), (s, True)) for s in optimizer.late}
    names = {x.name for x in (*optimizer.hypers, *optimizer.states, *optimizer.spaces)}
    draws = {node: Draw(name, node) for node, name in zip(optimizer.draws, fresh("z", names), strict=False)}
    sums = _Sums.of(optimizer)
    scalars, body = [], []
    for let in optimizer.equations:
        owner = assigned(let)
        if optimizer.spaces[let.target] is Space.STEP and (owner is None or owner.space is Space.STEP):
            value = sums.ordered(let.value)
            scalars.append(Equation(let.target, value, space=Space.STEP))
        else:
            space = optimizer.spaces[let.target] if owner is None else owner.space
            value = sums.ordered(replaced(let.value, first | draws))
            body.append(Equation(let.target, value, space=space))
    states = tuple(state for state in optimizer.states if state.space is not Space.STEP)
    sweep = Sweep((theta, g, *states, *draws.values()), tuple(body), stores=(theta, *states))
    return Kernel(
        optimizer.name, optimizer.hypers, states, optimizer.numbers, tuple(scalars), (Branch(S.true, (sweep,)),)
    )


_GIVEN, _REMEMBERED, _VARIES = range(3)
"""What a value depends on: t and hyperparameters, what the host keeps from step to step too, or more than that."""


@dataclass(frozen=True)
class _Sums:
    """Puts sums in order, but for those of t and hyperparameters alone."""

    # Which of the three each target and each expression that was looked at is
    kinds: dict[Basic, int] = field(default_factory=dict)

    @classmethod
    def of(cls, optimizer: Optimizer) -> _Sums:
        """For the equations of an optimizer."""
        sums = cls()
        for let in optimizer.equations:
            kind = max(sums.kind(let.value), _GIVEN if optimizer.spaces[let.target] is Space.STEP else _VARIES)
            sums.kinds[let.target] = max(kind, _REMEMBERED) if isinstance(let.target, Next) else kind
        return sums

    def kind(self, value: Basic) -> int:
        """What a value depends on."""
        if value not in self.kinds:
            if isinstance(value, Reduction | normal) or (isinstance(value, Named) and value.space is not Space.STEP):
                self.kinds[value] = _VARIES
            elif isinstance(value, Stateful | Next):
                self.kinds[value] = _REMEMBERED
            else:
                self.kinds[value] = max(map(self.kind, value.args), default=_GIVEN)
        return self.kinds[value]

    def ordered(self, value: Basic, done: dict[Basic, Any] | None = None) -> Any:
        """A value with its sums in order; what stands in several places is looked at once."""
        done = {} if done is None else done
        if value not in done:
            parts = terms(value) if isinstance(value, Add) else value.args
            if self.kind(value) == _GIVEN:
                done[value] = plain(value)
            elif not parts:
                done[value] = value
            else:
                ordered = [self.ordered(part, done) for part in parts]
                if isinstance(value, Add):
                    done[value] = (InOrder if self.kind(value) == _VARIES else Add)(*ordered)
                else:
                    done[value] = reworded(value, ordered)
        return done[value]
