"""Wrappers: functions from an optimizer to an optimizer.

Each rewrites equations and so costs no pass over memory of its own: however deep they are nested, what comes out is one
rule, compiled like any other. They nest in any order, and the order means what it says: in ``ema(lookahead(adamw))``
the average is of the weights as Lookahead leaves them, in ``lookahead(ema(adamw))`` of the fast weights.

What a wrapper adds it names so that nothing clashes: a second ``l2`` has its own ``weight_decay_2``. Every wrapper
takes ``name``, ``title``, ``reference``, ``description`` and ``properties`` for the new optimizer by keyword. Claims of
the inner one are not passed on, since few outlive a wrapper; what is to be evaluated is, and the outermost wrapper that
has something to say of that decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from sympy import Add, Eq, Expr, Max, Min, Piecewise, Rational, S, collect, expand_mul, sign

from optgen.errors import Problem, SpecError
from optgen.language import hypers
from optgen.language.caller import caller
from optgen.language.domains import domain_of
from optgen.language.noise import normal
from optgen.language.reductions import ModelNorm, ModelSum, RowMean, RowNorm, TensorMean, finite, n_rows
from optgen.language.rules import space_of
from optgen.language.schedules import Schedule
from optgen.language.signs import sign_of
from optgen.language.spaces import Space
from optgen.language.spec import Let, Optimizer, assigned
from optgen.language.sums import InOrder, is_sum, plain
from optgen.language.symbols import Count, Hyper, State, exact, g, hyper, local, state, t, theta
from optgen.language.text import text
from optgen.runtime.domain import Domain

_DESCRIBED = ("name", "title", "reference", "description", "properties")
Function = TypeVar("Function", bound=Callable[..., Optimizer])


def _wrapper(function: Function) -> Function:
    """Refuse to wrap what is no optimizer, and options that there are not, or of which nothing can be made."""
    parameters = signature(function)

    @wraps(function)
    def checked(optimizer: Any, *arguments: Any, **options: Any) -> Optimizer:
        if not isinstance(optimizer, Optimizer):
            what = f"it wraps no optimizer but a {type(optimizer).__name__}"
            raise _refused(function.__name__, optimizer, what, "hand it an Optimizer")
        try:
            for name, value in parameters.bind(optimizer, *arguments, **options).arguments.items():
                domain = _domain_of_default(parameters.parameters[name].default)
                if domain is not None and _is_finite(value) and not domain.holds(float(value)):
                    what = f"{name} is {value}, outside of {domain}"
                    raise _refused(function.__name__, optimizer, what, f"choose a number in {domain}")
            return function(optimizer, *arguments, **options)
        except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:  # as SymPy raises
            what = f"it can make nothing of its options: {error}"
            fix = "give it hyperparameters, numbers, or expressions in t and these"
            raise _refused(function.__name__, optimizer, what, fix) from error

    return checked  # type: ignore[return-value]


def _domain_of_default(default: Any) -> Domain | None:
    """What a number may be in place of a hyperparameter."""
    return domain_of(default) if isinstance(default, Hyper) else None


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that float64 holds; what is wrong with others is said of the equations."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False


# What changes the gradient -------------------------------------------------------------------------------------------


@_wrapper
def l2(optimizer: Optimizer, weight_decay: Any = hypers.weight_decay, **described: Any) -> Optimizer:
    """Add the gradient of ``½·weight_decay·θ²`` to the gradient: weight decay that passes through the moments.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    weight_decay : Hyper, number or sympy.Expr
        How strongly weights are pulled to zero.
    """
    pull = _free(optimizer, weight_decay)
    description = "the gradient of an L2 penalty joins g."
    return _with_gradient(optimizer, "g_l2", g + pull * theta, ("l2", "L2", description), described)


@_wrapper
def clip_value(optimizer: Optimizer, limit: Any = hypers.clip_limit, **described: Any) -> Optimizer:
    """Hold every element of the gradient between ``-limit`` and ``limit``.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    limit : Hyper, number or sympy.Expr
        The largest size of an element.
    """
    most = _free(optimizer, limit)
    description = "every element of the gradient is clipped first."
    return _with_gradient(
        optimizer, "g_clipped", Max(Min(g, most), -most), ("clip_value", "ClipValue", description), described
    )


@_wrapper
def clip_global_norm(
    optimizer: Optimizer, limit: Any = hypers.norm_limit, margin: Any = 1e-6, **described: Any
) -> Optimizer:
    """Shorten the gradient where it is longer than ``limit``, all tensors taken as one vector (arXiv:1211.5063).

    As in torch.nn.utils.clip_grad_norm_, which adds 1e-6 to the norm before it compares and divides. With ``margin=0``
    as in optax.clip_by_global_norm, which adds nothing. A gradient of zeros stays as it is either way.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    limit : Hyper, number or sympy.Expr
        The largest norm, above 0.
    margin : Hyper, number or sympy.Expr
        What is added to the norm first.
    """
    most, added = _free(optimizer, limit), _free(optimizer, margin)
    shrink = _new_local(optimizer, "shrink")
    # min(1, limit/norm) without a division by zero.
    where = [Let(shrink, most / Max(most, ModelNorm(g) + added))]
    description = "the gradient is shortened first where its norm over all tensors is too large."
    words = ("clip_global_norm", "ClipGlobalNorm", description)
    return _with_gradient(optimizer, "g_clipped", g * shrink, words, described, where=where)


@_wrapper
def clip_unit_norm(
    optimizer: Optimizer, limit: Any = hypers.unit_limit, floor: Any = hypers.unit_floor, **described: Any
) -> Optimizer:
    """Shorten the gradient of each row that is long beside the row's weights (Brock et al. 2021, arXiv:2102.06171).

    This is adaptive gradient clipping. The paper's units are the inputs of one neuron: the rows of a matrix that maps
    its columns to its rows, as PyTorch keeps it. A vector, a bias say, is one unit, as the authors have it.
    optax.adaptive_grad_clip takes matrices to be the other way around, (inputs, outputs), and its units are the columns
    unless it is told ``axis=-1``. Kernels of more dimensions have to be handed over as matrices of a row a neuron: here
    a row is one position in all dimensions but the last. A matrix of one column, a unit each element, optax treats as a
    vector.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    limit : Hyper, number or sympy.Expr
        The largest norm of the gradient of a row, in norms of the row, above 0.
    floor : Hyper, number or sympy.Expr
        What the norm of a row counts as at least, above 0, so that rows of zeros can learn.
    """
    most, shrink = _new_local(optimizer, "most"), _new_local(optimizer, "shrink")
    where = [
        Let(most, _free(optimizer, limit) * Max(RowNorm(theta), _free(optimizer, floor))),
        Let(shrink, most / Max(most, RowNorm(g))),
    ]
    description = "rows of the gradient are shortened first where they are long beside their weights."
    words = ("clip_unit_norm", "ClipUnitNorm", description)
    return _with_gradient(optimizer, "g_clipped", g * shrink, words, described, where=where)


@_wrapper
def centralized(optimizer: Optimizer, **described: Any) -> Optimizer:
    """Take its mean from each row of the gradient of a matrix (Yong et al. 2020, arXiv:2004.01461, eq. 1).

    Rows are what one neuron sees, as in `clip_unit_norm`. Vectors and numbers are left alone, and so is a matrix of a
    single row, which is no different from a vector here; the authors' code and optax.centralize centralize that one.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    """
    central = Piecewise((g - RowMean(g), n_rows > 1), (g, True))
    description = "the mean of each row is taken from the gradients of matrices."
    return _with_gradient(optimizer, "g_central", central, ("centralized", "Centralized", description), described)


@_wrapper
def gradient_noise(optimizer: Optimizer, sigma: Any = None, stream: int | None = None, **described: Any) -> Optimizer:
    """Add Gaussian noise to the gradient (Neelakantan et al. 2015, arXiv:1511.06807, eq. 1).

    Its standard deviation is ``noise_scale / t**noise_decay``, the paper's ``sqrt(eta/(1 + t)**gamma)``, which counts
    steps from 0: noise_scale is sqrt(eta), noise_decay is gamma/2. The draws follow from the hyperparameter ``seed``,
    the step, the tensor and the element.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    sigma : Hyper, number or sympy.Expr, optional
        Another standard deviation, in t and hyperparameters.
    stream : int, optional
        Which of the independent sequences of a seed to draw from; unless given, one that the optimizer does not use.
    """
    if sigma is None:
        sigma = _free(optimizer, hypers.noise_scale) / t ** _free(optimizer, hypers.noise_decay)
    if stream is None:
        used = {int(draw.stream) for draw in optimizer.draws}
        stream = next(k for k in range(len(used) + 1) if k not in used)
    description = "noise that fades with t joins the gradient."
    return _with_gradient(
        optimizer,
        "g_noisy",
        g + _scalar(optimizer, sigma) * normal(hypers.seed, stream),
        ("gradient_noise", "GradientNoise", description),
        described,
    )


@_wrapper
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
    _require_gradient(optimizer, "accumulate")
    count = _free(optimizer, steps)
    total = _new_state(optimizer, "g_sum")
    pending, updates = (_new_state(optimizer, name, space=Space.STEP) for name in ("pending", "updates"))
    gathered, mean = _new_local(optimizer, "gathered"), _new_local(optimizer, "g_mean")
    update = Count(_fresh(optimizer, "update_t"))
    due = gathered >= count
    step = [
        Let(gathered, pending + 1),
        Let(pending.next, Piecewise((0, due), (gathered, True))),
        Let(mean, (total + g) / gathered),
        Let(total.next, Piecewise((0, due), (total + g, True))),
        Let(update, updates + 1),
        Let(updates.next, Piecewise((update, due), (updates, True))),
    ]
    for let in _handed(optimizer, mean, first=Eq(update, 1)):
        value, owner = let.value.xreplace({t: update}), assigned(let)
        step.append(Let(let.target, value if owner is None else Piecewise((value, due), (owner, True))))
    description = "gradients are summed up, and a step is taken with their mean."
    return _wrapped(optimizer, step, ("accumulate", "Accumulate", description), described)


@_wrapper
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
    taken, bad = _new_state(optimizer, "taken", space=Space.MODEL), _new_local(optimizer, "bad")
    good = Eq(bad, 0)
    step = [Let(bad, ModelSum(1 - finite(g))), Let(taken.next, Piecewise((taken + 1, good), (taken, True)))]
    # What was one number a step and kept on the host depends on the gradient now.
    kept = {s: state(s.name, space=Space.MODEL, init=s.init) for s in optimizer.numbers}
    put = {t: taken.next, **kept, **{s.next: new.next for s, new in kept.items()}}
    for let in _handed(optimizer, g, first=Eq(taken.next, 1)):
        target, value = put.get(let.target, let.target), let.value.xreplace(put)
        owner = getattr(target, "of", None)
        step.append(Let(target, value if owner is None else Piecewise((value, good), (owner, True))))
    description = "a step is left out if its gradient is not finite."
    return _wrapped(optimizer, step, ("skip_nonfinite", "SkipNonfinite", description), described)


# What changes the moments --------------------------------------------------------------------------------------------


@_wrapper
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
    largest = _new_state(optimizer, f"{moment}_max", space=moment.space)
    step = []
    for let in optimizer.step:
        if let.target == moment.next:
            step += [let, Let(largest.next, Max(largest, moment.next))]
        else:
            step.append(Let(let.target, let.value.xreplace({moment.next: largest.next})))
    description = f"the largest {moment} so far takes the place of {moment}."
    return _wrapped(optimizer, step, ("amsgrad", "AMSGrad", description), described)


@_wrapper
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
    ahead = _new_local(optimizer, f"{momentum}_ahead")
    step = []
    for let in optimizer.step:
        if let.target == momentum.next:
            step += [let, Let(ahead, _once_more(let.value, momentum))]
        else:
            step.append(Let(let.target, let.value.xreplace({momentum.next: ahead})))
    description = f"the update looks ahead along {momentum}."
    return _wrapped(optimizer, step, ("nesterov", "Nesterov", description), described)


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


# What changes the parameters -----------------------------------------------------------------------------------------


@_wrapper
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
            raise _refused("decoupled_decay", optimizer, "it has no learning rate `lr`", "pass rate=…, 1 say")
        (rate,) = rates
    pull = rate * _free(optimizer, weight_decay)
    step = [Let(let.target, let.value - pull * theta) if assigned(let) == theta else let for let in optimizer.step]
    description = "the weights decay beside the update."
    return _wrapped(optimizer, step, ("decoupled_decay", "DecoupledDecay", description), described)


@_wrapper
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
    movement, agrees = _new_local(optimizer, "movement"), _new_local(optimizer, "agrees")
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
    return _wrapped(optimizer, step, ("cautious", "Cautious", description), described)


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


@_wrapper
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
    kept = _free(optimizer, decay)
    average = _new_state(optimizer, "theta_ema", init=theta)
    step = (*optimizer.step, Let(average.next, kept * average + (1 - kept) * theta.next))
    description = "theta_ema is a moving average of the parameters."
    return _wrapped(optimizer, step, ("ema", "Ema", description), described, average)


@_wrapper
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
    every, part = _free(optimizer, period), _free(optimizer, step_size)
    since = _new_state(optimizer, "since_sync", space=Space.STEP)
    sync = since + 1 >= every
    slow = _new_state(optimizer, "phi", init=theta)
    fast = {theta.next: _new_local(optimizer, "fast")}
    synced = [
        Let(since.next, Piecewise((0, sync), (since + 1, True))),
        Let(slow.next, Piecewise(((1 - part) * slow + part * fast[theta.next], sync), (slow, True))),
        Let(theta.next, Piecewise((slow.next, sync), (fast[theta.next], True))),
    ]
    for moment in momenta:
        fast[moment.next] = new = _new_local(optimizer, f"{moment}_fast")
        if momentum == "reset":
            anew = 0 if moment.init.has(theta, g) else moment.init
            synced.append(Let(moment.next, Piecewise((anew, sync), (new, True))))
        else:
            last = _new_state(optimizer, f"{moment}_slow", init=moment.init, space=moment.space)
            synced.append(Let(last.next, Piecewise(((1 - part) * last + part * new, sync), (last, True))))
            synced.append(Let(moment.next, Piecewise((last.next, sync), (new, True))))
    step = [Let(fast.get(let.target, let.target), let.value.xreplace(fast)) for let in optimizer.step]
    manner = {"keep": "", "reset": "; the momentum starts anew", "pull back": "; the momentum is pulled back too"}
    description = (
        f"every {every} steps the weights return to slow ones that have moved part of the way{manner[momentum]}."
    )
    return _wrapped(optimizer, [*step, *synced], ("lookahead", "Lookahead", description), described, slow)


# What changes hyperparameters ----------------------------------------------------------------------------------------


@_wrapper
def scheduled(optimizer: Optimizer, schedules: Mapping[str, Any] | None = None, **others: Any) -> Optimizer:
    """Put an expression of t in the place of hyperparameters: ``scheduled(adamw, lr=sgdr)``.

    Parameters
    ----------
    optimizer : Optimizer
        What to wrap.
    schedules : mapping of str to Schedule or sympy.Expr, optional
        By the name of the hyperparameter, where that is no keyword argument of this function.
    **others : Schedule or sympy.Expr
        By the name of the hyperparameter. It may occur in its own schedule, as the rate at the peak, say. What is no
        hyperparameter is name, title, reference, description or properties of the new optimizer.
    """
    known = {symbol.name: symbol for symbol in optimizer.hypers}
    described = {key: others.pop(key) for key in _DESCRIBED if key in others and key not in known}
    given = {**(schedules or {}), **others}
    for key in given:
        if key not in known:
            raise _refused("scheduled", optimizer, f"it has no hyperparameter `{key}`", f"use one of {_listed(known)}")
    if not given:
        raise _refused("scheduled", optimizer, "it is given no schedule", "name a hyperparameter: lr=…")
    values = {known[key]: _scalar(optimizer, v.value if isinstance(v, Schedule) else v) for key, v in given.items()}
    at_first = {symbol: value.xreplace({t: exact(1)}) for symbol, value in values.items()}
    put: dict[Any, Any] = {symbol: _new_local(optimizer, f"{symbol}_t") for symbol in values}
    put |= {
        symbol: symbol.with_default(symbol.default.xreplace(at_first))
        for symbol in optimizer.hypers
        if symbol not in put and symbol.default.free_symbols & at_first.keys()
    }
    for old in optimizer.states:
        put[old] = new = _with_init(old, old.init.xreplace(at_first))
        put[old.next] = new.next
    used = {symbol for let in optimizer.step for symbol in let.value.free_symbols}
    step = [
        let
        for symbol, value in values.items()
        if symbol in used
        for let in _equations(optimizer, symbol, put[symbol], given[symbol.name], value)
    ]
    step += [Let(put.get(let.target, let.target), let.value.xreplace(put)) for let in optimizer.step]
    description = f"{_listed(given)} {'follow schedules' if len(given) > 1 else 'follows a schedule'}."
    return _wrapped(optimizer, step, ("scheduled", "Scheduled", description), described)


def _equations(optimizer: Optimizer, symbol: Hyper, target: Any, given: Any, value: Expr) -> list[Let]:
    """The value of a hyperparameter, in the equations of its schedule if it has one."""
    if not isinstance(given, Schedule):
        return [Let(target, value)]
    *where, last = given.equations
    names = {let.target: _new_local(optimizer, f"{symbol}_{let.target}") for let in where} | {last.target: target}
    return [Let(names[let.target], _scalar(optimizer, let.value.xreplace(names))) for let in given.equations]


# What wrappers are made of -------------------------------------------------------------------------------------------


def _with_gradient(
    optimizer: Optimizer,
    name: str,
    value: Expr,
    words: tuple[str, str, str],
    described: Mapping[str, Any],
    *,
    where: Sequence[Let] = (),
) -> Optimizer:
    """An optimizer that is handed another gradient; what its states start from is handed it too."""
    _require_gradient(optimizer, words[0])
    gradient = _new_local(optimizer, name)
    step = (*where, Let(gradient, value), *_handed(optimizer, gradient, first=Eq(t, 1)))
    return _wrapped(optimizer, step, words, described)


def _require_gradient(optimizer: Optimizer, wrapper: str) -> None:
    """Refuse to change the gradient of a rule that has none."""
    if not any(value.has(g) for let in optimizer.step for value in (let.value, *_inits(let))):
        raise _refused(wrapper, optimizer, "its equations do not use the gradient `g`", "wrap a rule that does")


def _inits(let: Let) -> list[Expr]:
    owner = assigned(let)
    return [owner.init] if isinstance(owner, State) else []


def _handed(optimizer: Optimizer, gradient: Any, first: Any) -> list[Let]:
    """The equations of an optimizer with another gradient, which is also what its states start from."""
    late = {s: _with_init(s, 0) for s in optimizer.states if s.init.has(g)}
    new = {s: Piecewise((s.init.xreplace({g: gradient}), first), (late[s], True)) for s in late}
    new |= {s.next: late[s].next for s in late} | {g: gradient}
    return [Let(new.get(let.target, let.target), let.value.xreplace(new)) for let in optimizer.step]


def _wrapped(
    optimizer: Optimizer,
    step: Sequence[Let],
    words: tuple[str, str, str],
    described: Mapping[str, Any],
    evaluation: Any = None,
) -> Optimizer:
    """The new optimizer; what to evaluate stays what it was, in states of the same names, unless it is given."""
    name, title, sentence = words
    now = {state.name: state for state in map(assigned, step) if state is not None}
    if evaluation is None:
        evaluation = optimizer.evaluation.xreplace({s: now[s.name] for s in optimizer.evaluation.free_symbols})
    unknown = described.keys() - set(_DESCRIBED)
    if unknown:
        raise _refused(name, optimizer, f"it has no option {_listed(unknown)}", f"use one of {_listed(_DESCRIBED)}")
    usual = {
        "name": f"{name}_{optimizer.name}",
        "title": f"{title}{optimizer.title}",
        "reference": optimizer.reference,
        "description": f"Around {optimizer.title}: {sentence}",
    }
    return Optimizer(step=tuple(step), evaluation=evaluation, **{**usual, **described})


def _with_init(old: State, init: Any) -> State:
    return state(old.name, space=old.space, init=init)  # type: ignore[no-any-return]


def _state(optimizer: Optimizer, name: str, wrapper: str) -> State:
    for found in optimizer.states:
        if found.name == name:
            return found
    raise _refused(wrapper, optimizer, f"it has no state `{name}`", f"say which of {_listed(optimizer.states)}: of=…")


def _moment(optimizer: Optimizer, name: str, wrapper: str) -> State:
    """A state whose new value other equations go by, so that another in its place makes a difference."""
    found = _state(optimizer, name, wrapper)
    if any(let.value.has(found.next) for let in optimizer.step if let.target != found.next):
        return found
    own = next(let.value for let in optimizer.step if let.target == found.next)
    if any(let.target in own.free_symbols and let.value.has(found) for let in optimizer.step):
        what = f"a wrapper inside changes `{name}` last, and the equations go by what it was before that"
        raise _refused(wrapper, optimizer, what, f"put {wrapper} into that wrapper: lookahead({wrapper}(…)), say")
    what = f"no other equation uses the new `{name}`, so nothing would change"
    raise _refused(wrapper, optimizer, what, f"say which other state it is about, of=…, or leave {wrapper} out")


def _momenta(optimizer: Optimizer, manner: str, of: str | Sequence[str] | None) -> list[State]:
    """The states that lookahead resets or pulls back."""
    if manner not in ("keep", "reset", "pull back"):
        fix = 'write momentum="keep", "reset" or "pull back"'
        raise _refused("lookahead", optimizer, f"it cannot treat momentum like {manner!r}", fix)
    if manner == "keep":
        if of is not None:
            what = 'of says which states to reset or to pull back, but momentum="keep" leaves them all alone'
            raise _refused("lookahead", optimizer, what, 'write momentum="reset" or "pull back", or leave of out')
        return []
    if of is not None:
        names = [of] if isinstance(of, str) else list(of)
        found = [_state(optimizer, name, "lookahead") for name in names]
    else:
        names = ["m", "b"]
        found = [state for state in optimizer.states if state.name in names]
    if not found:
        what = f"it has none of the states {', '.join(names)} to {manner}"
        raise _refused("lookahead", optimizer, what, f"say which of {_listed(optimizer.states)} is: of=(…,)")
    return list(dict.fromkeys(found))


def _without_unused(step: list[Let]) -> list[Let]:
    """Equations without those of locals that no other uses any more."""
    used = {symbol for let in step for symbol in let.value.free_symbols}
    kept = [let for let in step if assigned(let) is not None or let.target in used]
    return step if len(kept) == len(step) else _without_unused(kept)


def _names(optimizer: Optimizer) -> set[str]:
    targets = (getattr(let.target, "of", let.target) for let in optimizer.step)
    return {symbol.name for symbol in (*optimizer.hypers, *optimizer.states, *targets)}


def _fresh(optimizer: Optimizer, name: str) -> str:
    taken = _names(optimizer)
    return next(x for x in (name, *(f"{name}_{k}" for k in range(2, len(taken) + 3))) if x not in taken)


def _new_local(optimizer: Optimizer, name: str) -> Any:
    return local(_fresh(optimizer, name))


def _new_state(optimizer: Optimizer, name: str, init: Any = 0, space: Space = Space.ELEM) -> Any:
    return state(_fresh(optimizer, name), space=space, init=init)


def _free(optimizer: Optimizer, value: Any) -> Any:
    """What a wrapper is given for a hyperparameter; one of its own gets a name that is free."""
    if not isinstance(value, Hyper) or value.name not in _names(optimizer):
        return _scalar(optimizer, value)
    return hyper(_fresh(optimizer, value.name), value.default, value.domain, value.meaning, value.tex)


def _scalar(optimizer: Optimizer, value: Any) -> Any:
    """An expression that a wrapper is given, which must be one value a step, in the optimizer's own hyperparameters."""
    known = {symbol.name: symbol for symbol in optimizer.hypers}
    expression = exact(value)
    if not isinstance(expression, Expr):
        raise _refused("a wrapper", optimizer, f"it is given {value!r}, no number", "write it in t and hyperparameters")
    expression = expression.xreplace({symbol: known.get(symbol.name, symbol) for symbol in expression.atoms(Hyper)})
    space = space_of(expression, {})
    if space is not Space.STEP:
        what = f"it is given {text(expression)}, one value {space.each}, for what is one value a step"
        raise _refused("a wrapper", optimizer, what, "write it in t and hyperparameters")
    return expression


def _refused(wrapper: str, optimizer: Any, what: str, fix: str) -> SpecError:
    name = getattr(optimizer, "name", str(optimizer))
    return SpecError([Problem(f"{wrapper}({name}): {what}", fix)], name, caller())


def _listed(names: Any) -> str:
    return ", ".join(map(str, sorted(map(str, names))))
