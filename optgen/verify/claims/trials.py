"""Trials of claims on a kernel, one function a kind of claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sympy import S, Symbol, oo

from optgen.language import properties, symbols
from optgen.language.spec import Optimizer
from optgen.verify import reference
from optgen.verify.candidate import Candidate, Effort
from optgen.verify.claims.kernel import STEPS, TOLERANCE, Floats, Trial, Values, different, observed, shown
from optgen.verify.claims.rule import THETA, G, T, new, plain, rule_of

Violations = Iterator[str | None]
"""What a trial finds as it goes on: the input for which a claim does not hold, None where it does."""


def tried(claim: properties.Claim, candidate: Candidate, effort: Effort) -> str | None:
    """The input for which a kernel violates a claim, with both values; None if none was found."""
    rng = np.random.default_rng(effort.seed)
    trial = Trial(candidate, rule_of(candidate.optimizer), claim.given, effort, rng)
    attempt: Callable[[Any, Trial], Violations] = _TRIALS[type(claim)]
    with np.errstate(all="ignore"):
        return next(filter(None, attempt(claim, trial)), None)


def _monotone_trial(claim: properties.Monotone, trial: Trial) -> Violations:
    value, _ = observed(plain(claim.expression), trial.rule)
    sign = 1 if claim.direction == "increasing" else -1
    varies = trial.rule.expanded(plain(claim.expression)).free_symbols & {THETA, G, *trial.rule.states}
    for hypers in trial.settings():
        last = None
        for values in trial.path(hypers) if varies else _at_times(trial, hypers):
            now = trial.kernel.evaluated(value, values)
            if last is None and varies and not value.has(T):
                before = {f"{symbol.name}_next": values[symbol.name] for symbol in trial.rule.variables}
                last = trial.kernel.evaluated(value, {**values, **before})
            if last is not None and not (sign * (now - last) >= -TOLERANCE * np.abs(last)).all():
                k = int(np.argmin(sign * (now - last)))
                yield f"it goes from {float(last[k])!r} to {float(now[k])!r} for {shown(values, k)}"
            last = now


def _at_times(trial: Trial, hypers: Values) -> Iterator[Values]:
    """Steps from the same values at later and later times."""
    theta, grad, states = np.zeros(trial.kernel.size), trial.grads(1)[0], trial.states()
    for t in (*range(1, STEPS), *(10**k for k in range(2, 8))):
        yield trial.kernel.moved(theta, grad, states, t=t, hypers=hypers)


def _bounded_trial(claim: properties.Bounded, trial: Trial) -> Violations:
    value, low, high = (observed(plain(side), trial.rule)[0] for side in (claim.expression, claim.low, claim.high))
    for hypers in trial.settings():
        for values in trial.path(hypers):
            now, lowest, highest = (trial.kernel.evaluated(side, values) for side in (value, low, high))
            slack = TOLERANCE * np.abs(now)
            outside = ~((now >= lowest - slack) & (now <= highest + slack))
            if outside.any():
                k = int(np.argmax(outside))
                at, *ends = (float(side[k]) for side in (now, lowest, highest))
                yield f"{at!r} is not between {ends[0]!r} and {ends[1]!r} for {shown(values, k)}"


def _first_true_trial(claim: properties.FirstTrue, trial: Trial) -> Violations:
    """At each step the kernel does what the equations say with the condition true or false as claimed."""
    condition = plain(claim.condition)
    step = math.inf if claim.step is None else int(claim.step)
    times = [*range(1, STEPS + (0 if claim.step is None else int(claim.step))), 100, 1000, 10**6]
    stated = trial.rule.expanded(condition)
    new_values = {holds: _new_values(trial, {condition: holds}) for holds in (S.true, S.false)}
    for hypers in trial.settings():
        theta, grad, states = trial.thetas(), trial.grads(1)[0], trial.states()
        for t in times:
            if (trial.kernel.evaluated(stated, {**hypers, "t": float(t)}) != (t >= step)).any():
                yield f"it is {t < step} at t = {t} for {hypers}"
            values = trial.kernel.moved(theta, grad, states, t=t, hypers=hypers)
            yield from _follows(trial, values, new_values[S.true if t >= step else S.false], f"at t = {t}: ")


def _new_values(trial: Trial, replaced: Mapping[Any, Any]) -> dict[Any, Any]:
    """What the equations say of theta and the states with something put in the place of targets or conditions."""
    rule = trial.rule
    return {symbol: rule.expanded(rule.defined(new(symbol)), replaced, new_too=False) for symbol in rule.variables}


def _follows(
    trial: Trial, values: Values, new_values: Mapping[Any, Any], when: str = "", tolerance: float = TOLERANCE
) -> Violations:
    """Whether a kernel's new values are those."""
    for symbol, wanted in new_values.items():
        scale = np.abs(values[symbol.name])
        yield different(
            values,
            f"{when}the new {symbol}",
            values[new(symbol).name],
            trial.kernel.evaluated(wanted, values),
            scale=scale,
            tolerance=tolerance,
        )


def _limit_trial(claim: properties.Limit, trial: Trial) -> Violations:
    """Close to the limit the kernel does what the equations say with the limit in the place of the value."""
    variable, target, value = (plain(part) for part in (claim.variable, claim.expression, claim.value))
    far = 2**52 if claim.to == oo else float(claim.to)
    for hypers in trial.settings():
        at = hypers if variable == T else {**hypers, variable.name: float(far)}
        t = far if variable == T else 1
        values = trial.kernel.moved(trial.start(), trial.grads(1)[0], trial.states(), t=int(t), hypers=at)
        found = observed(target, trial.rule)[0]
        yield different(
            values,
            str(claim.expression),
            trial.kernel.evaluated(found, values),
            trial.kernel.evaluated(value, values),
            tolerance=1e-6,
        )
        if target.is_Symbol:
            yield from _follows(trial, values, _new_values(trial, {target: value}), tolerance=1e-6)


def _invariant_trial(claim: properties.Invariant, trial: Trial) -> Violations:
    powers = {symbol.name: int(power) for symbol, power in claim.powers}
    for hypers in trial.settings():
        theta, grads = trial.thetas(), trial.grads()
        for c in (2.0**-10, 3.0, 1e6):
            by = {name: c ** powers.get(name, 0) for name in ("theta", "g", *hypers, *map(str, trial.rule.states))}
            scaled = {name: value * by[name] for name, value in hypers.items()}
            one = trial.kernel.walked(hypers, theta, grads)
            other = trial.kernel.walked(scaled, theta * by["theta"], grads * by["g"])
            largest = {str(symbol): np.zeros(trial.kernel.size) for symbol in trial.rule.variables}
            for values, others in zip(one, other, strict=True):
                for name, scale in largest.items():
                    wanted = values[f"{name}_next"] * by[name]
                    np.fmax(scale, np.abs(wanted), out=scale)
                    yield different(
                        others, f"with c = {c:g} the new {name}", others[f"{name}_next"], wanted, scale=scale
                    )


def _independent_trial(claim: properties.Independent, trial: Trial) -> Violations:
    of = {symbol.name for symbol in claim.of}
    for hypers, others in zip(trial.settings(), list(trial.settings())[::-1], strict=True):
        for t in range(1, 1 + (int(claim.steps) if claim.steps is not None else STEPS)):
            one, two = (
                {"theta": trial.thetas(), "g": trial.grads(1)[0], **trial.states(), **values}
                for values in (hypers, others)
            )
            other = {name: two[name] if name in of else value for name, value in one.items()}
            states, names = [str(state) for state in trial.rule.states], list(hypers)
            first, second = (
                trial.kernel.moved(x["theta"], x["g"], {s: x[s] for s in states}, t=t, hypers={h: x[h] for h in names})
                for x in (one, other)
            )
            for value in claim.values:
                changed = ", ".join(sorted(of))
                what = f"with other {changed} the new {value.of}"
                yield different(first, what, second[value.name], first[value.name], tolerance=0)


def _equal_trial(claim: properties.EqualTo, trial: Trial) -> Violations:
    other = replace(trial.kernel, optimizer=claim.other, kind=_kind(trial.candidate, claim.other))
    theirs = {hyper.name for hyper in claim.other.hypers}
    shared = ["theta", *({state.name for state in claim.other.states} & set(map(str, trial.rule.states)))]
    for hypers in trial.settings():
        for dtype in (np.float32, np.float64):
            theta, grads = trial.thetas().astype(dtype), trial.grads(_steps(claim)).astype(dtype)
            own = {name: value for name, value in hypers.items() if name in theirs}
            walks = (kernel.walked(h, theta, grads) for kernel, h in ((trial.kernel, hypers), (other, own)))
            for mine, others in zip(*walks, strict=True):
                for name in sorted(shared):
                    found, wanted = mine[f"{name}_next"], others[f"{name}_next"]
                    what = f"in {np.dtype(dtype)} the new {name}"
                    if found.tobytes() != wanted.tobytes():
                        yield different(mine, what, found, wanted, tolerance=0)


def _steps(claim: properties.EqualTo | properties.Equivalent) -> int:
    return STEPS if claim.steps is None else int(claim.steps)


def _kind(candidate: Candidate, other: Optimizer) -> Any:
    """The class of another optimizer: from the same folder, else the one that comes with optgen."""
    shipped = Path(import_module("optgen.generated.cpu").__path__[0])
    path = candidate.path.with_name(f"{other.name}.py")
    if path.exists() and not path.parent.samefile(shipped):
        return _imported(other, path, path.stat().st_mtime_ns)
    return getattr(import_module(f"optgen.generated.cpu.{other.name}"), other.title)


@lru_cache(maxsize=64)
def _imported(optimizer: Optimizer, path: Path, _: int) -> Any:
    return Candidate(optimizer, path).kind


def _equivalent_trial(claim: properties.Equivalent, trial: Trial) -> Violations:
    """The kernel's steps after the change of variables, beside those of the other's equations in float64."""
    kernel, other, where = trial.kernel, claim.other, {symbol.name: plain(value) for symbol, value in claim.where}

    def seen(name: str, values: Values, suffix: str = "") -> Floats:
        renamed = {str(s): values[f"{s}{suffix}"] for s in trial.rule.variables}
        return kernel.evaluated(where.get(name, Symbol(name, real=True)), {**values, **renamed})

    for hypers in trial.settings():
        largest: dict[str, Floats] = {}
        thetas: list[Floats] = []
        states: dict[str, list[Floats]] = {}
        for values in kernel.walked(hypers, trial.thetas(), trial.grads(_steps(claim))):
            own = {hyper.name: float(seen(hyper.name, values)[0]) for hyper in other.hypers}
            if not thetas:
                thetas = kernel.tensors(seen("theta", values))
                starts = reference.start(other, thetas, hypers=own)
                states = {name: kernel.narrowed(seen(name, values), start) for name, start in starts.items()}
                known = [state.name for state in other.states if not state.init.has(symbols.g)]
                for name in known:
                    found, wanted = kernel.flat(states[name]), kernel.flat(starts[name])
                    yield different(values, f"at the start {name}", found, wanted)
            t, grads = int(values["t"]), kernel.tensors(values["g"])
            thetas, states = reference.step(other, thetas, grads, states, t, hypers=own)
            for name, theirs in {"theta": thetas, **states}.items():
                found, wanted = seen(name, values, "_next"), kernel.flat(theirs)
                scale = largest[name] = np.fmax(largest.get(name, 0), np.abs(wanted))
                yield different(values, f"the new {name} of {other.name}", found, wanted, scale=scale)


def _constant_trial(claim: properties.ConstantGradient, trial: Trial) -> Violations:
    """Every new value is what the equations say with the claimed values in their places."""
    wanted = {plain(target): plain(value) for target, value in claim.values}
    new_values = _new_values(trial, wanted)
    for hypers in trial.settings():
        grads = np.broadcast_to(trial.grads(1), (STEPS, trial.kernel.size))
        for values in trial.kernel.walked(hypers, trial.thetas(), grads):
            for target, value in wanted.items():
                if target.name in values:
                    what = f"the new {target.name.removesuffix('_next')}"
                    yield different(values, what, values[target.name], trial.kernel.evaluated(value, values))
            yield from _follows(trial, values, new_values)


def _movements_trial(claim: properties.Movements, trial: Trial) -> Violations:
    """From theta = 0 each time, to which no movement is too small to be added."""
    kernel = trial.kernel
    hypers = next(trial.settings())
    theta = np.zeros(kernel.size)
    optimizer = kernel.kind(kernel.tensors(theta), **hypers)
    t, total = 0, sum(int(times) for _, times in claim.gradients)
    for gradient, times in claim.gradients:
        grads = kernel.tensors(np.full(kernel.size, float(gradient)))
        for _ in range(int(times)):
            t += 1
            theta[:] = 0
            optimizer.step(grads)
            which = t - 1 - total + len(claim.last)
            if which >= 0:
                wanted = kernel.evaluated(plain(claim.last[which]), hypers)
                values = {"g": float(gradient), "t": t, **hypers}
                yield different(values, "the movement", -theta, wanted, tolerance=float(claim.within))


def _not_always_trial(claim: properties.NotAlways, trial: Trial) -> Violations:
    inner = Trial(trial.candidate, trial.rule, claim.claim.given, trial.effort, trial.rng)
    attempt: Callable[[Any, Trial], Violations] = _TRIALS[type(claim.claim)]
    if not any(attempt(claim.claim, inner)):
        yield "no input was found for which it does not hold"


_TRIALS: dict[type, Callable[[Any, Trial], Violations]] = {
    properties.Monotone: _monotone_trial,
    properties.Bounded: _bounded_trial,
    properties.FirstTrue: _first_true_trial,
    properties.Limit: _limit_trial,
    properties.Invariant: _invariant_trial,
    properties.Independent: _independent_trial,
    properties.EqualTo: _equal_trial,
    properties.Equivalent: _equivalent_trial,
    properties.ConstantGradient: _constant_trial,
    properties.Movements: _movements_trial,
    properties.NotAlways: _not_always_trial,
}
