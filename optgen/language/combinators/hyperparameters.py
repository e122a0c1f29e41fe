"""A wrapper that changes hyperparameters with t."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Expr

from optgen.language.combinators.wrapping import (
    DESCRIBED,
    is_expression,
    listed,
    new_local,
    refused,
    scalar,
    with_init,
    wrapped,
    wrapper,
)
from optgen.language.schedules import Schedule
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import Hyper, exact, t


@wrapper
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
    described = {key: others.pop(key) for key in DESCRIBED if key in others and key not in known}
    if not isinstance(schedules, Mapping | None):
        what = f"it is given {type(schedules).__name__}, but not for which hyperparameter"
        raise refused("scheduled", optimizer, what, "name it: lr=…")
    given = {**(schedules or {}), **others}
    for key, value in given.items():
        if key not in known:
            raise refused("scheduled", optimizer, f"it has no hyperparameter `{key}`", f"use one of {listed(known)}")
        if not isinstance(value, Schedule) and not is_expression(value):
            fix = "write it in t and hyperparameters, lr/t say, or hand it a Schedule"
            raise refused("scheduled", optimizer, f"{key} is {value!r}, no expression", fix)
    if not given:
        raise refused("scheduled", optimizer, "it is given no schedule", "name a hyperparameter: lr=…")
    values = {known[key]: scalar(optimizer, v.value if isinstance(v, Schedule) else v) for key, v in given.items()}
    at_first = {symbol: value.xreplace({t: exact(1)}) for symbol, value in values.items()}
    put: dict[Any, Any] = {symbol: new_local(optimizer, f"{symbol}_t") for symbol in values}
    put |= {
        symbol: symbol.with_default(symbol.default.xreplace(at_first))
        for symbol in optimizer.hypers
        if symbol not in put and symbol.default.free_symbols & at_first.keys()
    }
    for old in optimizer.states:
        put[old] = new = with_init(old, old.init.xreplace(at_first))
        put[old.next] = new.next
    used = {symbol for let in optimizer.step for symbol in let.value.free_symbols}
    step = [
        let
        for symbol, value in values.items()
        if symbol in used
        for let in _equations(optimizer, symbol, put[symbol], given[symbol.name], value)
    ]
    step += [Let(put.get(let.target, let.target), let.value.xreplace(put)) for let in optimizer.step]
    description = f"{listed(given)} {'follow schedules' if len(given) > 1 else 'follows a schedule'}."
    return wrapped(optimizer, step, ("scheduled", "Scheduled", description), described)


def _equations(optimizer: Optimizer, symbol: Hyper, target: Any, given: Any, value: Expr) -> list[Let]:
    """The value of a hyperparameter, in the equations of its schedule if it has one."""
    if not isinstance(given, Schedule):
        return [Let(target, value)]
    *where, last = given.equations
    names = {let.target: new_local(optimizer, f"{symbol}_{let.target}") for let in where} | {last.target: target}
    return [Let(names[let.target], scalar(optimizer, let.value.xreplace(names))) for let in given.equations]
