"""Wrappers that change what becomes of the parameters in a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Add, Expr, Max, Piecewise, Rational, S, collect, expand_mul, sign

from optgen.language import hypers
from optgen.language.combinators.wrapping import (
    given,
    new_local,
    new_state,
    one_of_its_states,
    refused,
    state_named,
    wrapped,
    wrapper,
)
from optgen.language.reductions import TensorMean
from optgen.language.signs import sign_of
from optgen.language.spaces import Space
from optgen.language.spec import Let, Optimizer, assigned
from optgen.language.sums import InOrder, is_sum, plain
from optgen.language.symbols import State, g, theta


@wrapper
def decoupled_decay(
    optimizer: Optimizer, weight_decay: Any = hypers.weight_decay, rate: Any = None, **described: Any
) -> Optimizer:
    """Let weights decay beside the update, not through the moments (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    weight_decay : Hyper, number or sympy.Expr
        How strongly weights are pulled to zero.
    rate : Hyper, number or sympy.Expr, optional
        What the decay is multiplied by: the learning rate of the optimizer unless given.
    """
    if rate is None:
        rates = [symbol for symbol in optimizer.hypers if symbol.name == "lr"]
        if not rates:
            raise refused("decoupled_decay", optimizer, "it has no learning rate `lr`", "pass rate=…, 1 say")
        (rate,) = rates
    pull = rate * given(optimizer, weight_decay)
    step = [Let(let.target, let.value - pull * theta) if assigned(let) == theta else let for let in optimizer.step]
    description = "the weights decay beside the update."
    return wrapped(optimizer, step, ("decoupled_decay", "DecoupledDecay", description), described)


@wrapper
def ema(optimizer: Optimizer, decay: Any = hypers.ema_decay, **described: Any) -> Optimizer:
    """Keep an exponential moving average of the parameters, in a state ``theta_ema`` (Polyak & Juditsky 1992).

    It is what to evaluate: ``opt.eval_params()``.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    decay : Hyper, number or sympy.Expr
        How much of the average is kept at a step.
    """
    kept = given(optimizer, decay)
    average = new_state(optimizer, "theta_ema", init=theta)
    step = (*optimizer.step, Let(average.next, kept * average + (1 - kept) * theta.next))
    description = "theta_ema is a moving average of the parameters."
    return wrapped(optimizer, step, ("ema", "Ema", description), described, average)


@wrapper
def cautious(optimizer: Optimizer, **described: Any) -> Optimizer:
    """Move only where the update goes down the gradient (Liang et al. 2024, arXiv:2411.16085, Algorithm 1).

    What is left of a tensor's update is divided by the share of its elements that move, as in the authors' code. The
    update is all that the optimizer does to theta: for weights that decay everywhere, as the authors' do, let them
    decay outside, ``decoupled_decay(cautious(adam))``.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    """
    movement, agrees = new_local(optimizer, "movement"), new_local(optimizer, "agrees")
    locals_ = {let.target: let.value for let in optimizer.step if assigned(let) is None}
    step = []
    for let in optimizer.step:
        if assigned(let) != theta:
            step.append(let)
            continue
        # One in a thousand is what the share counts as at least.
        share = Max(TensorMean(agrees), Rational(1, 1000))
        moved = _less_theta(let.value, locals_)
        step += [
            Let(movement, moved),
            # Signs, for the product of what is small can be 0, and so can a movement.
            Let(agrees, Piecewise((1, sign_of(moved) * sign(g) < 0), (0, True))),
            Let(theta.next, theta + movement * agrees / share),
        ]
    step = _without_unused(step)
    description = "the parameters move only where the update goes down the gradient."
    return wrapped(optimizer, step, ("cautious", "Cautious", description), described)


def _less_theta(value: Expr, locals_: Mapping[Any, Expr]) -> Expr:
    """How far a new value is from theta, taken case by case and written out, so that theta cancels where it can."""
    if isinstance(value, Piecewise):
        return Piecewise(*((_less_theta(case, locals_), condition) for case, condition in value.args))
    inside = {x: locals_[x] for x in value.free_symbols & locals_.keys() if locals_[x].has(theta)}
    if inside and theta not in value.free_symbols:
        written_out = value.xreplace(inside)
        return _less_theta(written_out, locals_) if value in inside or not written_out.has(Piecewise) else value - theta
    terms = value.args if is_sum(value) else (value,)
    with_theta = plain(Add(*(term for term in terms if term.has(theta))))
    parts = collect(expand_mul(with_theta), theta, evaluate=False)
    rest = parts.pop(S.One, S.Zero)
    if parts.keys() != {theta} or rest.has(theta):
        return value - theta
    kept = plain(parts[theta] - 1) * theta
    return InOrder(kept, rest, *(term for term in terms if not term.has(theta)))


def _without_unused(step: list[Let]) -> list[Let]:
    """Equations without those of locals that no other uses any more."""
    used = {symbol for let in step for symbol in let.value.free_symbols}
    kept = [let for let in step if assigned(let) is not None or let.target in used]
    return step if len(kept) == len(step) else _without_unused(kept)


@wrapper
def lookahead(
    optimizer: Optimizer,
    period: Any = hypers.sync_period,
    step_size: Any = hypers.slow_step_size,
    *,
    momentum: str = "keep",
    of: str | Sequence[str] | None = None,
    **described: Any,
) -> Optimizer:
    """Every few steps go back to slow weights that have moved part of the way (Zhang et al. 2019, arXiv:1907.08610).

    The slow weights ``phi`` start as the parameters before the first step, and from then on are read and written at a
    sync only; they are what to evaluate, ``opt.eval_params()``. The steps since the last sync are counted in a state
    ``since_sync``, so a new ``period`` counts from there.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    period : Hyper, number or sympy.Expr
        Every how many steps there is a sync.
    step_size : Hyper, number or sympy.Expr
        How far the slow weights move towards the fast ones.
    momentum : {"keep", "reset", "pull back"}
        What becomes of the inner momentum at a sync: nothing, it becomes what it started from (0 where that was the
        gradient or theta), or it moves like the weights, from what it was after the last sync.
    of : str or sequence of str, optional
        Which states are the momentum; ``m`` and ``b`` unless given, those of them that the optimizer has.
    """
    momenta = _momenta(optimizer, momentum, of)
    every, part = given(optimizer, period), given(optimizer, step_size)
    since = new_state(optimizer, "since_sync", space=Space.STEP)
    sync = since + 1 >= every
    slow = new_state(optimizer, "phi", init=theta)
    fast = {theta.next: new_local(optimizer, "fast")}
    synced = [
        Let(since.next, Piecewise((0, sync), (since + 1, True))),
        Let(slow.next, Piecewise(((1 - part) * slow + part * fast[theta.next], sync), (slow, True))),
        Let(theta.next, Piecewise((slow.next, sync), (fast[theta.next], True))),
    ]
    for moment in momenta:
        fast[moment.next] = new = new_local(optimizer, f"{moment}_fast")
        if momentum == "reset":
            anew = 0 if moment.init.has(theta, g) else moment.init
            synced.append(Let(moment.next, Piecewise((anew, sync), (new, True))))
        else:
            last = new_state(optimizer, f"{moment}_slow", init=moment.init, space=moment.space)
            synced.append(Let(last.next, Piecewise(((1 - part) * last + part * new, sync), (last, True))))
            synced.append(Let(moment.next, Piecewise((last.next, sync), (new, True))))
    step = [Let(fast.get(let.target, let.target), let.value.xreplace(fast)) for let in optimizer.step]
    manner = {"keep": "", "reset": "; the momentum starts anew", "pull back": "; the momentum is pulled back too"}
    description = (
        f"every {every} steps the weights return to slow ones that have moved part of the way{manner[momentum]}."
    )
    return wrapped(optimizer, [*step, *synced], ("lookahead", "Lookahead", description), described, slow)


def _momenta(optimizer: Optimizer, manner: str, of: str | Sequence[str] | None) -> list[State]:
    """The states that lookahead resets or pulls back."""
    if manner not in ("keep", "reset", "pull back"):
        fix = 'write momentum="keep", "reset" or "pull back"'
        raise refused("lookahead", optimizer, f"it cannot treat momentum like {manner!r}", fix)
    if manner == "keep":
        if of is not None:
            what = 'of says which states to reset or to pull back, but momentum="keep" leaves them all alone'
            raise refused("lookahead", optimizer, what, 'write momentum="reset" or "pull back", or leave of out')
        return []
    if of is not None:
        names = [of] if isinstance(of, str) else list(of)
        found = [state_named(optimizer, name, "lookahead") for name in names]
    else:
        names = ["m", "b"]
        found = [state for state in optimizer.states if state.name in names]
    if not found:
        what = f"it has none of the states {', '.join(names)} to {manner}"
        raise refused("lookahead", optimizer, what, one_of_its_states(optimizer, f'momentum="{manner}"', "of=(…,)"))
    return list(dict.fromkeys(found))
