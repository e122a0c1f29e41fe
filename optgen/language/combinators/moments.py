"""Wrappers that change the moments."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Max, Piecewise

from optgen.language.combinators.wrapping import new_local, new_state, refused, state_named, wrapped, wrapper
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import State


@wrapper
def amsgrad(optimizer: Optimizer, of: str = "v", **described: Any) -> Optimizer:
    """Use the largest second moment so far in place of the present one (Reddi et al. 2018, arXiv:1904.09237).

    The maximum is of the state itself, so that a bias correction follows it, as in PyTorch.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    of : str
        Which state is the second moment.

    Raises
    ------
    SpecError
        If no other equation uses the new value of that state: there is nothing to put the largest in place of.
    """
    moment = _moment(optimizer, of, "amsgrad")
    largest = new_state(optimizer, f"{moment}_max", space=moment.space)
    step = []
    for let in optimizer.step:
        if let.target == moment.next:
            step += [let, Let(largest.next, Max(largest, moment.next))]
        else:
            step.append(Let(let.target, let.value.xreplace({moment.next: largest.next})))
    description = f"the largest {moment} so far takes the place of {moment}."
    return wrapped(optimizer, step, ("amsgrad", "AMSGrad", description), described)


@wrapper
def nesterov(optimizer: Optimizer, of: str = "m", **described: Any) -> Optimizer:
    """Look ahead along the momentum (Nesterov 1983): use what it would be after the same gradient once more.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    of : str
        Which state is the momentum.

    Raises
    ------
    SpecError
        If no other equation uses the new value of that state: there is nothing that could look ahead.
    """
    momentum = _moment(optimizer, of, "nesterov")
    ahead = new_local(optimizer, f"{momentum}_ahead")
    step = []
    for let in optimizer.step:
        if let.target == momentum.next:
            step += [let, Let(ahead, _once_more(let.value, momentum))]
        else:
            step.append(Let(let.target, let.value.xreplace({momentum.next: ahead})))
    description = f"the update looks ahead along {momentum}."
    return wrapped(optimizer, step, ("nesterov", "Nesterov", description), described)


def _once_more(value: Expr, momentum: State) -> Expr:
    """What a momentum would be after the same gradient once more, given the equation of its new value."""
    if not isinstance(value, Piecewise):
        return value.xreplace({momentum: momentum.next})
    *others, (last, _) = value.args
    if last != momentum:  # what comes before is how it starts
        return _once_more(last, momentum)
    # It may rest, as in `accumulate`.
    moving = ((_once_more(other, momentum), condition) for other, condition in others)
    return Piecewise(*moving, (momentum.next, True))


def _moment(optimizer: Optimizer, name: str, wrapper: str) -> State:
    """A state whose new value other equations go by, so that another in its place makes a difference."""
    found = state_named(optimizer, name, wrapper)
    if any(let.value.has(found.next) for let in optimizer.step if let.target != found.next):
        return found
    own = next(let.value for let in optimizer.step if let.target == found.next)
    if any(let.target in own.free_symbols and let.value.has(found) for let in optimizer.step):
        what = f"a wrapper inside changes `{name}` last, and the equations go by what it was before that"
        raise refused(wrapper, optimizer, what, f"put {wrapper} into that wrapper: lookahead({wrapper}(…)), say")
    what = f"no other equation uses the new `{name}`, so nothing would change"
    raise refused(wrapper, optimizer, what, f"say which other state it is about, of=…, or leave {wrapper} out")
