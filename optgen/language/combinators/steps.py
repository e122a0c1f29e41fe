"""Wrappers that choose at which steps an optimizer does anything."""

from __future__ import annotations

from typing import Any

from sympy import Eq, Piecewise

from optgen.language import hypers
from optgen.language.combinators.handed import handed, require_gradient
from optgen.language.combinators.wrapping import fresh_name, given, new_local, new_state, wrapped, wrapper
from optgen.language.reductions import ModelSum, finite
from optgen.language.spaces import Space
from optgen.language.spec import Let, Optimizer, assigned
from optgen.language.symbols import Count, g, state, t


@wrapper
def accumulate(optimizer: Optimizer, steps: Any = hypers.accumulation_steps, **described: Any) -> Optimizer:
    """Take one step of an optimizer for several gradients: with their mean, at the last of them.

    On all other steps the gradient is added to a sum and nothing else is touched. How many gradients the sum holds, and
    how many steps the inner optimizer has taken, is counted in the states ``pending`` and ``updates``: so ``steps`` may
    change at any time, even below what is pending, and the mean is of the gradients that there were. What is left at
    the end of a run becomes a step with its last gradient, ``opt.step(grads, accumulation_steps=1)``; or, after that,
    with the mean of what is pending, ``s / opt.state["pending"] for s in opt.state["g_sum"]``, in place of one. The
    inner optimizer counts its own steps; wrappers inside count with it, wrappers around count gradients.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    steps : Hyper, number or sympy.Expr
        How many gradients make a step.
    """
    require_gradient(optimizer, "accumulate")
    count = given(optimizer, steps)
    total = new_state(optimizer, "g_sum")
    pending, updates = (new_state(optimizer, name, space=Space.STEP) for name in ("pending", "updates"))
    gathered, mean = new_local(optimizer, "gathered"), new_local(optimizer, "g_mean")
    update = Count(fresh_name(optimizer, "update_t"))
    due = gathered >= count
    step = [
        Let(gathered, pending + 1),
        Let(pending.next, Piecewise((0, due), (gathered, True))),
        Let(mean, (total + g) / gathered),
        Let(total.next, Piecewise((0, due), (total + g, True))),
        Let(update, updates + 1),
        Let(updates.next, Piecewise((update, due), (updates, True))),
    ]
    for let in handed(optimizer, mean, first=Eq(update, 1)):
        value, owner = let.value.xreplace({t: update}), assigned(let)
        step.append(Let(let.target, value if owner is None else Piecewise((value, due), (owner, True))))
    description = "gradients are summed up, and a step is taken with their mean."
    return wrapped(optimizer, step, ("accumulate", "Accumulate", description), described)


@wrapper
def skip_nonfinite(optimizer: Optimizer, **described: Any) -> Optimizer:
    """Leave a step out whose gradient has a NaN or an infinity in any element of any tensor.

    The parameters and all states of the optimizer keep their values then. The optimizer counts the steps that are
    taken, in a state ``taken``; what its states start from is read at the first of these. Wrappers around go by the
    steps that there are, and so do draws.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    """
    taken, bad = new_state(optimizer, "taken", space=Space.MODEL), new_local(optimizer, "bad")
    good = Eq(bad, 0)
    step = [Let(bad, ModelSum(1 - finite(g))), Let(taken.next, Piecewise((taken + 1, good), (taken, True)))]
    # What was one number a step and kept on the host depends on the gradient now.
    kept = {s: state(s.name, space=Space.MODEL, init=s.init) for s in optimizer.numbers}
    put = {t: taken.next, **kept, **{s.next: new.next for s, new in kept.items()}}
    for let in handed(optimizer, g, first=Eq(taken.next, 1)):
        target, value = put.get(let.target, let.target), let.value.xreplace(put)
        owner = getattr(target, "of", None)
        step.append(Let(target, value if owner is None else Piecewise((value, good), (owner, True))))
    description = "a step is left out if its gradient is not finite."
    return wrapped(optimizer, step, ("skip_nonfinite", "SkipNonfinite", description), described)
