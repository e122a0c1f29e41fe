"""What all wrappers share: what they refuse, how they name what they add, how what comes out is described."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from sympy import Expr

from optgen.errors import Problem, SpecError
from optgen.language.caller import caller
from optgen.language.domains import domain_of
from optgen.language.rules import space_of
from optgen.language.spaces import Space
from optgen.language.spec import Let, Optimizer, assigned
from optgen.language.symbols import UNREADABLE, Hyper, State, exact, hyper, local, state
from optgen.language.text import text

DESCRIBED = ("name", "title", "reference", "description", "properties")
Function = TypeVar("Function", bound=Callable[..., Optimizer])


def wrapper(function: Function) -> Function:
    """Refuse to wrap what is no optimizer, and options that there are not, or of which nothing can be made."""
    parameters = signature(function)

    @wraps(function)
    def checked(optimizer: Any, *arguments: Any, **options: Any) -> Optimizer:
        if not isinstance(optimizer, Optimizer):
            what = f"it wraps no optimizer but what is of type {type(optimizer).__name__}"
            raise refused(function.__name__, optimizer, what, "hand it an Optimizer")
        try:
            for name, value in parameters.bind(optimizer, *arguments, **options).arguments.items():
                default = parameters.parameters[name].default
                if isinstance(default, Hyper) and not is_expression(value):
                    what = f"{name} is {value!r}, no number"
                    raise refused(function.__name__, optimizer, what, "write it in t and hyperparameters")
                domain = domain_of(default) if isinstance(default, Hyper) else None
                if domain is not None and _is_finite(value) and not domain.holds(float(value)):
                    what = f"{name} is {value}, outside of {domain}"
                    raise refused(function.__name__, optimizer, what, f"choose a number in {domain}")
            return function(optimizer, *arguments, **options)
        except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:  # as SymPy raises
            what = f"it can make nothing of its options: {error}"
            fix = "give it hyperparameters, numbers, or expressions in t and these"
            raise refused(function.__name__, optimizer, what, fix) from error

    return checked  # type: ignore[return-value]


def is_expression(value: Any) -> bool:
    """Whether a value is a number, or an expression that stands for one."""
    try:
        return isinstance(exact(value), Expr)
    except UNREADABLE:
        return False


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that float64 holds; what is wrong with others is said of the equations."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def wrapped(
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
    unknown = described.keys() - set(DESCRIBED)
    if unknown:
        raise refused(name, optimizer, f"it has no option {listed(unknown)}", f"use one of {listed(DESCRIBED)}")
    usual = {
        "name": f"{name}_{optimizer.name}",
        "title": f"{title}{optimizer.title}",
        "reference": optimizer.reference,
        "description": f"Around {optimizer.title}: {sentence}",
    }
    return Optimizer(step=tuple(step), evaluation=evaluation, **{**usual, **described})


def with_init(old: State, init: Any) -> State:
    """A state like another that starts from something else."""
    return state(old.name, space=old.space, init=init)  # type: ignore[no-any-return]


def state_named(optimizer: Optimizer, name: str, wrapper: str) -> State:
    """The state of that name."""
    for found in optimizer.states:
        if found.name == name:
            return found
    raise refused(wrapper, optimizer, f"it has no state `{name}`", one_of_its_states(optimizer, wrapper, "of=…"))


def one_of_its_states(optimizer: Optimizer, wrapper: str, option: str) -> str:
    """What to write where a wrapper is about a state that an optimizer does not have."""
    if not optimizer.states:
        return f"it keeps no states: leave {wrapper} out, or wrap a rule that does"
    return f"say which of {listed(optimizer.states)} is meant: {option}"


def _names(optimizer: Optimizer) -> set[str]:
    targets = (getattr(let.target, "of", let.target) for let in optimizer.step)
    return {symbol.name for symbol in (*optimizer.hypers, *optimizer.states, *targets)}


def fresh_name(optimizer: Optimizer, name: str) -> str:
    """A name that is free: this one, or with a number behind it."""
    taken = _names(optimizer)
    return next(x for x in (name, *(f"{name}_{k}" for k in range(2, len(taken) + 3))) if x not in taken)


def new_local(optimizer: Optimizer, name: str) -> Any:
    """A local under a name that is free."""
    return local(fresh_name(optimizer, name))


def new_state(optimizer: Optimizer, name: str, init: Any = 0, space: Space = Space.ELEM) -> Any:
    """A state under a name that is free."""
    return state(fresh_name(optimizer, name), space=space, init=init)


def given(optimizer: Optimizer, value: Any) -> Any:
    """What a wrapper is given for a hyperparameter; one of its own gets a name that is free."""
    if not isinstance(value, Hyper) or value.name not in _names(optimizer):
        return scalar(optimizer, value)
    return hyper(fresh_name(optimizer, value.name), value.default, value.domain, value.meaning, value.tex)


def scalar(optimizer: Optimizer, value: Any) -> Any:
    """An expression that a wrapper is given, which must be one value a step, in the optimizer's own hyperparameters."""
    known = {symbol.name: symbol for symbol in optimizer.hypers}
    expression = exact(value)
    if not isinstance(expression, Expr):
        raise TypeError(f"{value!r} is no number")  # which `wrapper` says of the one that is being applied
    expression = expression.xreplace({symbol: known.get(symbol.name, symbol) for symbol in expression.atoms(Hyper)})
    space = space_of(expression, {})
    if space is not Space.STEP:
        raise ValueError(f"{text(expression)} is one value {space.each}, where one value a step is wanted")
    return expression


def refused(wrapper: str, optimizer: Any, what: str, fix: str) -> SpecError:
    """What is raised when a wrapper can make nothing of what it is given."""
    name = getattr(optimizer, "name", str(optimizer))
    return SpecError([Problem(f"{wrapper}({name}): {what}", fix)], name, caller())


def listed(names: Any) -> str:
    """Names in words, sorted."""
    return ", ".join(map(str, sorted(map(str, names))))
