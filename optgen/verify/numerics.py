"""How far compiled kernels are from their equations, in units in the last place, and what they make of NaN.

A case is one element at one setting: theta, the gradient, the states, t and the hyperparameters. Each is taken one step
by the ``step`` function of the module, in float32 and in float64, and by the reference in 50 digits, on exactly the
same numbers. Nothing cheaper stands in for the 50 digits: an element of Adam costs a fifth of a millisecond. Only which
errors might be larger than the largest so far is found out in float64 first, by a bound that none of them exceeds.

The *grid* pushes every hyperparameter to the ends of its domain, one at a time and all at once, at t from 1 to 10^7,
with zeros, denormals and numbers from 1e-12 to 1e12 and beyond for gradients, thetas and states. The *random cases* are
drawn from there too, near the ends and between them, ten to a setting. What is drawn is arbitrary, with two limits:

- A state that is never negative in a few steps of the reference (a sum of squares) is drawn as a square of what a
  gradient may be; every other state with both signs. About half are drawn around the gradient of the same element.
- A drawn hyperparameter has 26 bits, so that a product of two is exact in float64 and ``1 - lr*weight_decay`` is wrong
  by its own rounding only. The difference is computed once a step, in float64, and with more bits it has as few good
  digits left as ``lr*weight_decay`` is close to 1: the one place where a scalar cancels.

A rule that adds up, or shares states, is given models of a few tensors, which its class takes a step. There are fewer
settings, and each tensor has numbers of a size of its own, among them 1e30 and 1e-30 in float32: norms of those are
neither infinite nor 0, for they are made in float64. Small states of a tensor are of one size, and no hyperparameter is
so far out that what its elements share vanishes. Errors of reduced states are in units of the dtype all the same.

Cases are left out, and counted, of two kinds. In some a value on the way is too large for the dtype by the order of
operations of the equations: ``v/(1 - beta2**t)`` with a v that no beta2 this close to 1 could have made. Values on the
way that are too small need no such exception: the magnitudes know about denormals. In others the result is NaN, of the
equations or of the kernel, after a sum that cancels to less than its rounding errors: 0/0 where a variance is exactly
0, which no rounding hits for certain, or the root of one that may have either sign.

A step is right if no stored value is farther than `BOUND` from the exact one on the scale of its terms
(`optgen.verify.error`). A rounding adds 1/2 at most each time that its result enters. The longest chain, from t to
theta by both bias corrections, has some twenty, half of them under a root that halves them again, so only if nearly all
were at their worst together could the bound be broken; among 300,000 random cases the worst is 2.7. A wrong formula is
off by orders of magnitude.

NaN and the infinities are put into ordinary vectors, one input at a time and at every fifth element (of the
first tensor of a model). What comes out
must be NaN, an infinity or a number where the reference in float64 says so, with NaN passed on by ``max`` and ``min``,
and comparisons with NaN false, so that a Piecewise goes on to its next branch. What the reference
leaves as it was must keep every bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgen.language.domains import domain_of
from optgen.language.spec import Optimizer
from optgen.verify import reference, settings
from optgen.verify.candidate import BrokenError, Candidate, Effort, Finding, Verdict, program_of, resumed_at, running
from optgen.verify.cases import MODEL, Batch, Case, cases, in_range, joined, judged, nonnegative, unsure
from optgen.verify.error import Magnitudes, Measured
from optgen.verify.memory import escapes, fenced
from optgen.verify.range import Ranged

Array = NDArray[Any]
PART = "numerics"
BOUND = 4
"""Units in the last place, on the scale of the terms, that a single step may be wrong."""
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
STEPS = 3
"""Steps from the start that the class is taken through."""
_VECTORS = ((5,), (7,))
"""Shapes of the tensors that it is taken through where elements go their own ways; what is drawn depends on both."""


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Measure the errors of every stored slot in both dtypes, and follow NaN and the infinities.

    There is a finding about what the module says of itself. For each dtype there is one about the random cases
    (``figures["cases"]`` counts them), one for each slot with the worst error (``ulps`` on the scale of the terms,
    ``plain`` of the value itself) and its input, one for first steps through the class, and one about NaN and the
    infinities. A dtype is given up at the first setting that fails.
    """
    try:
        declared = list(_declared(candidate))
        if declared:
            yield Finding(PART, "declarations", Verdict.FAILED, "; ".join(declared))
            return
        yield Finding(PART, "declarations", Verdict.TESTED, "names, defaults and domains are those of the spec")
        problems = escapes(candidate)
        if problems:
            detail = f"not run, for it does not read and write as it should: {problems[0]}"
            yield Finding(PART, "the module", Verdict.FAILED, detail)
            return
        for dtype in DTYPES:
            yield from _accuracy(candidate, effort, dtype)
            yield from _first_steps(candidate, dtype)
            yield from _specials(candidate, effort, dtype)
    except BrokenError as error:
        yield Finding(PART, "the module", Verdict.FAILED, str(error))


# What the module says of itself


def _declared(candidate: Candidate) -> Iterator[str]:
    """What a module says of itself that its spec does not."""
    optimizer, program = candidate.optimizer, program_of(candidate)
    if program.name != optimizer.name:
        yield f"its name is {program.name}, not {optimizer.name}"
    kinds = {state.name: state.space.value for state in optimizer.reduced_states}
    if dict(program.reduced_states) != kinds:
        yield f"its reduced states are {dict(program.reduced_states)}, not {kinds}"
    for found, states in ((program.states, optimizer.slots), (program.numbers, optimizer.numbers)):
        names = tuple(state.name for state in states)
        if found != names:
            yield f"its states are {', '.join(found)}, not {', '.join(names)}"
    hypers = {hyper.name: hyper for hyper in optimizer.hypers}
    yield from (f"{name} is no hyperparameter of the spec" for name in program.hypers if name not in hypers)
    yield from (f"{name} is missing" for name in hypers if name not in program.hypers)
    for name in hypers.keys() & program.hypers.keys():
        default, domain = program.hypers[name].default, program.hypers[name].domain
        if default is not None and default != hypers[name].usual:
            yield f"{name} has the default {default!r}, not {hypers[name].usual!r}"
        if domain != domain_of(hypers[name]):
            yield f"{name} is in {domain}, not {domain_of(hypers[name])}"


# What the kernel makes of them


def stepped(candidate: Candidate, setting: settings.Setting, old: settings.Model) -> dict[str, Array]:
    """Every slot and state after one step of the module, `joined`; hyperparameters at their defaults are left to it."""
    optimizer, usual = candidate.optimizer, candidate.optimizer.values()
    follow = {hyper.name for hyper in optimizer.hypers if not hyper.default.is_number}
    hypers = {name: value for name, value in setting.hypers.items() if value != usual[name] or name in follow}
    numbers = {name: np.array(value) for name, value in settings.numbers_of(optimizer, setting).items()}
    if settings.is_of_elements(optimizer):
        slots = {name: fenced(arrays).arrays[0] for name, arrays in old.items()}
        with running():
            candidate.module.step(**slots, **numbers, t=setting.t, **hypers)
        return joined(optimizer, {name: [array] for name, array in {**slots, **numbers}.items()})
    theta, g = (fenced(old[name]).arrays for name in ("theta", "g"))
    theta, g = ([array.reshape(like.shape) for array, like in zip(its, old["g"], strict=True)] for its in (theta, g))
    with running():
        trained = candidate.kind(theta, **hypers)
        resumed_at(trained, setting.t - 1, numbers)
        for name, arrays in _states_of(trained).items():
            for target, value in zip(arrays, old.get(name, ()), strict=False):  # one array holds the value of them all
                target[...] = value
        trained.step(g)
        return joined(optimizer, {"theta": theta, "g": g, **_states_of(trained)})


def _states_of(trained: Any) -> dict[str, Sequence[Array]]:
    """The states of a class: an array a tensor, or one."""
    return {name: its if isinstance(its, tuple) else [its] for name, its in trained.state.items()}


@dataclass(frozen=True)
class _Worst:
    """The largest error of a slot so far, and where it was."""

    ulps: float = 0.0
    plain: float = 0.0
    where: str = ""


def _accuracy(candidate: Candidate, effort: Effort, dtype: Any) -> Iterator[Finding]:
    stored = ["theta", *(state.name for state in candidate.optimizer.states)]
    worst = dict.fromkeys(stored, _Worst())
    counts = {"cases": 0, "grid": 0, "settings": 0, "left_out": 0}
    for case in cases(candidate.optimizer, dtype, effort):
        new = stepped(candidate, case.setting, case.old)
        judged = case.judged("theta", new["theta"]).size
        counts["cases" if case.random else "grid"] += judged
        counts["left_out"] += new["theta"].size - judged
        counts["settings"] += 1
        worst = {name: _worse(worst[name], case, name, new[name]) for name in stored}
        if max(error.ulps for error in worst.values()) > BOUND:
            break
    largest = max(error.ulps for error in worst.values())
    verdict = Verdict.FAILED if largest > BOUND else Verdict.TESTED
    detail = "given up at the first setting that fails" if largest > BOUND else f"all within {BOUND} ulps"
    yield Finding(PART, f"cases, {dtype}", verdict, detail, {**counts, "ulps": largest, "dtype": str(dtype)})
    for name, error in worst.items():
        verdict = Verdict.FAILED if error.ulps > BOUND else Verdict.TESTED
        figures = {"ulps": error.ulps, "plain": error.plain, "dtype": str(dtype), "slot": name}
        yield Finding(PART, f"{name}, {dtype}", verdict, error.where, figures)


def _worse(before: _Worst, case: Case, name: str, found: Array) -> _Worst:
    """The larger of an error and the largest of a case; of what cannot be larger, the digits are not looked at."""
    optimizer, measure = case.batch.optimizer, case.batch.measure
    judged, expected = case.judged(name, found), case.expected[name]
    near, magnitude = expected.in_float64[judged], expected.magnitude[judged]
    with np.errstate(all="ignore"):
        farthest = _farthest(found[judged], near)
        units = np.spacing(np.abs(near.astype(found.dtype))).astype(np.float64)
        may_be_worse = judged[~(farthest / magnitude / measure.eps <= before.ulps)]
        usual = np.isfinite(found[judged]) & np.isfinite(units)
        may_be_farther = usual & ~(farthest / units <= before.plain)
    numbers, exact = found[judged[may_be_farther]], expected.value[judged[may_be_farther]]
    errors = measure.apart(measure.exact.array(numbers), exact, units[may_be_farther])
    plain = float(np.max(errors, initial=before.plain))
    if not may_be_worse.size:
        return _Worst(before.ulps, plain, before.where)
    picked = Measured(expected.value[may_be_worse], expected.magnitude[may_be_worse])
    ulps = measure.ulps(found[may_be_worse], picked)
    k = int(np.argmax(ulps))
    if not ulps[k] > before.ulps:
        return _Worst(before.ulps, plain, before.where)
    i = int(may_be_worse[k])
    same = {slot: values for slot, values in joined(optimizer, case.old).items() if values.size == found.size}
    given = ", ".join(f"{slot} = {float(values[i])!r}" for slot, values in same.items())
    where = (
        f"{_equation(optimizer, name)}\n{name}[{i}]: the kernel has {float(found[i])!r}, the equations"
        f" {measure.exact.context.nstr(expected.value[i], 20)}, {_apart(float(ulps[k]), expected.magnitude[i])}\n"
        f"at {given}, {case.setting}"
    )
    return _Worst(float(ulps[k]), plain, where)


def _farthest(found: Array, near: Array) -> Array:
    """No less than how far numbers are from values of which float64 has the nearest; NaN where either is."""
    rounded = np.spacing(np.abs(near)) / 2 + np.finfo(np.float64).smallest_subnormal
    return np.asarray((np.abs(found.astype(np.float64) - near) + rounded) * (1 + 2.0**-40))


def _apart(ulps: float, magnitude: Any) -> str:
    """By how much a kernel is wrong, in words."""
    allowed = f", where {BOUND} are allowed" if ulps > BOUND else ""
    return f"{ulps:.3g} units in the last place of {float(magnitude):.3g}, the size of its terms{allowed}"


def _equation(optimizer: Optimizer, name: str) -> str:
    return next(str(let) for let in optimizer.step if getattr(getattr(let.target, "of", None), "name", None) == name)


# First steps


@lru_cache(maxsize=8)
def _start(
    optimizer: Optimizer, dtype: Any
) -> tuple[list[Array], list[list[Array]], list[tuple[dict[str, Measured], dict[str, Ranged]]]]:
    """Thetas and gradients, and what every slot should be after each of the first steps, with where a dtype follows.

    There are two models: with defaults, and with all hyperparameters moved.
    """
    rng, shapes = np.random.default_rng(1), _VECTORS if settings.is_of_elements(optimizer) else MODEL
    thetas = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    drawn = ([rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6, shape) for shape in shapes] for _ in range(STEPS))
    grads = [[np.asarray(gradient, dtype) for gradient in model] for model in drawn]
    values = [optimizer.values(hypers) for hypers in ({}, settings.others(optimizer))]
    both, many = {name: [each[name] for each in values] for name in values[0]}, len(values)
    found: list[list[Any]] = []
    by = in_range(optimizer, dtype)
    apart = bool(optimizer.draws) or not settings.is_of_elements(optimizer)  # else vectors are one, for the reference

    def side_by_side(tensors: Sequence[Array]) -> list[Any]:
        return [np.stack([one] * many, axis=-1) for one in (tensors if apart else [np.concatenate(tensors)])]

    for arithmetic in (Magnitudes(dtype), by):
        how: dict[str, Any] = {"hypers": both, "arithmetic": arithmetic}
        after = side_by_side(thetas)
        states = reference.start(optimizer, after, **how, many=(many,))
        found.append([])
        for k, grad in enumerate(grads):
            after, states = reference.step(optimizer, after, side_by_side(grad), states, [k + 1] * many, **how)
            found[-1].append(joined(optimizer, {"theta": after, **states}, arithmetic, many=many))
    return thetas, grads, [(expected, unsure(ranged, by, many)) for expected, ranged in zip(*found, strict=True)]


def _first_steps(candidate: Candidate, dtype: Any) -> Iterator[Finding]:
    """The first steps from the start by way of the class, with defaults and with all hyperparameters moved."""
    optimizer, measure = candidate.optimizer, Magnitudes(dtype)
    subject, largest = f"first {STEPS} steps, {dtype}", 0.0
    thetas, grads, steps = _start(optimizer, dtype)
    for place, hypers in enumerate(({}, settings.others(optimizer))):
        params = [theta.copy() for theta in thetas]
        with running():
            trained = candidate.kind(params, **hypers)
        for k, grad in enumerate(grads):
            with running():
                trained.step(grad)
                after = joined(optimizer, {"theta": params, **_states_of(trained)})
            for name, found in after.items():
                expected, ranged = steps[k][0][name].of_model(place), steps[k][1][name].of_model(place)
                kept = judged(ranged, expected, found)
                ulps = measure.ulps(found, expected)
                ulps[np.setdiff1d(np.arange(ulps.size), kept)] = 0
                i = int(np.argmax(ulps))
                largest = max(largest, float(ulps[i]))
                if ulps[i] > BOUND:
                    exact = measure.exact.context.nstr(expected.value[i], 20)
                    detail = (
                        f"{_equation(optimizer, name)}\n{name}[{i}] after step {k + 1}: the class has"
                        f" {float(found[i])!r}, the equations {exact},"
                        f" {_apart(float(ulps[i]), expected.magnitude[i])}\n"
                        f"with {hypers or 'defaults'}, {_story(optimizer, i, thetas, grads[: k + 1])}"
                    )
                    yield Finding(PART, subject, Verdict.FAILED, detail, {"ulps": largest})
                    return
    yield Finding(PART, subject, Verdict.TESTED, f"through {optimizer.title}", {"ulps": largest})


def _story(optimizer: Optimizer, i: int, thetas: Sequence[Array], grads: Sequence[Sequence[Array]]) -> str:
    """What theta was and which gradients came: of one element where each goes its own way, else of the model."""
    if settings.is_of_elements(optimizer):
        start, *rest = (float(np.concatenate(arrays)[i]) for arrays in (thetas, *grads))
        return f"theta[{i}] = {start!r}, its gradients {', '.join(map(repr, rest))}"
    model = [str([array.tolist() for array in arrays]) for arrays in (thetas, *grads)]
    return f"theta = {model[0]}, its gradients {', '.join(model[1:])}"


# NaN and the infinities

_SPECIALS = (np.nan, np.inf, -np.inf)
_LENGTH, _EVERY = 37, 5


def _specials(candidate: Candidate, effort: Effort, dtype: Any) -> Iterator[Finding]:
    optimizer = candidate.optimizer
    subject, count = f"NaN and infinities, {dtype}", 0
    rng = np.random.default_rng(effort.seed)
    # A setting for each branch, and one late enough that no first step is special.
    for setting in (*settings.branches(optimizer), settings.Setting(10, optimizer.values())):
        old = _ordinary_model(optimizer, dtype, rng)
        spoilt = [(name, special) for name in old for special in _SPECIALS]
        given = [old, *({**old, name: _spoilt(old[name], special)} for name, special in spoilt)]
        batch = Batch(optimizer, [setting] * len(given), given)
        usual = _made(candidate, batch, 0)
        for place, (name, special) in enumerate(spoilt, start=1):
            problem = _misled(Case(batch, place, random=False), usual, _made(candidate, batch, place))
            if problem:
                where = f"{special} in every {_EVERY}th {name} of otherwise ordinary numbers"
                yield Finding(PART, subject, Verdict.FAILED, f"{problem}\nwith {where}, at {setting}")
                return
            count += 1
    detail = "come out where the equations say so and change nothing else"
    yield Finding(PART, subject, Verdict.TESTED, detail, {"vectors": count})


@dataclass(frozen=True)
class _Made:
    """What a step made of every slot and state, `joined`: the kernel, and the reference in float64."""

    found: Mapping[str, Array]
    exact: Mapping[str, Array]


def _ordinary_model(optimizer: Optimizer, dtype: Any, rng: Any) -> settings.Model:
    """Numbers far from all ends, so that float64 and the dtype agree on what is NaN and what is infinite."""
    squares, reduced = nonnegative(optimizer), {state.name for state in optimizer.reduced_states}
    drawn = settings.ordinary(optimizer, [(_LENGTH,)] if settings.is_of_elements(optimizer) else MODEL, rng)
    # What there is one of for the whole model has one sign, too.
    flipped = {id(x): x * rng.choice([-1.0, 1.0], x.shape) for its in drawn.values() for x in its}
    signed = {name: [flipped[id(x)] for x in its] for name, its in drawn.items()}
    old = {name: drawn[name] if name in squares else signed[name] for name in drawn}
    return {name: [x if name in reduced else x.astype(dtype) for x in its] for name, its in old.items()}


def _spoilt(arrays: Sequence[Array], special: float) -> list[Array]:
    """Every fifth element of the first tensor made special."""
    first = arrays[0].copy()
    first.reshape(-1)[::_EVERY] = special
    return [first, *([first] * (len(arrays) - 1) if arrays[0] is arrays[-1] else arrays[1:])]


def _made(candidate: Candidate, batch: Batch, place: int) -> _Made:
    exact = {name: values[..., place] for name, values in batch.in_float64.items()}
    return _Made(stepped(candidate, batch.at[place], batch.old[place]), exact)


def _misled(case: Case, usual: _Made, outcome: _Made) -> str:
    """What came out wrong; empty if nothing did, or only where the dtype cannot follow."""
    for name, values in outcome.found.items():
        bits, exact = f"u{values.itemsize}", outcome.exact[name]
        known = np.True_ if name == "g" else ~case.ranged[name].out_of_range
        same = (exact == usual.exact[name]) & known
        changed = same & (values.view(bits) != usual.found[name].view(bits))
        if changed.any():
            i = int(np.argmax(changed))
            there = float(usual.found[name][i])
            return f"{name}[{i}], a neighbour, became {float(values[i])!r} instead of {there!r}"
        alike = (values == exact) | (np.isnan(values) & np.isnan(exact)) | (np.isfinite(values) & np.isfinite(exact))
        if not (alike := alike | ~known).all():
            i = int(np.argmin(alike))
            kernel, equations = float(values[i]), float(exact[i])
            return f"{_equation(case.batch.optimizer, name)}: the kernel has {kernel!r}, the equations {equations!r}"
    return ""
