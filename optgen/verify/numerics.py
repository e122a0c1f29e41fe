"""How far compiled kernels are from their equations, in units in the last place, and what they make of NaN.

A case is one element at one setting: theta, the gradient, the states, t and the hyperparameters. Each is taken one step
by the ``step`` function of the module, in float32 and in float64, and by the reference in 50 digits, on exactly the
same numbers. Nothing cheaper stands in for the 50 digits: an element costs a third of a millisecond.

The *grid* pushes every hyperparameter to the ends of its domain, one at a time and all at once, at t from 1 to 10^7,
with zeros, denormals and numbers from 1e-12 to 1e12 and beyond for gradients, thetas and states. The *random cases* are
drawn from there too, near the ends and between them, ten to a setting. What is drawn is arbitrary, with two limits:

- A state that is never negative in a few steps of the reference (a sum of squares) is drawn as a square of what a
  gradient may be; every other state with both signs. About half are drawn around the gradient of the same element.
- A drawn hyperparameter has 26 bits, so that a product of two is exact in float64 and ``1 - lr*weight_decay`` is wrong
  by its own rounding only. The difference is computed once a step, in float64, and with more bits it has as few good
  digits left as ``lr*weight_decay`` is close to 1: the one place where a scalar cancels.

Cases are left out, and counted, of two kinds. In some a value on the way is too large for the dtype by the order of
operations of the equations: ``v/(1 - beta2**t)`` with a v that no beta2 this close to 1 could have made. Values on the
way that are too small need no such exception: the magnitudes know about denormals. In others the result is NaN but only
as long as a sum cancels to the last bit, 0/0 where a variance is exactly 0, which no rounding hits for certain.

A step is right if no stored value is farther than `BOUND` from the exact one on the scale of its terms
(`optgen.verify.error`). A rounding adds 1/2 at most each time that its result enters. The longest chain, from t to
theta by both bias corrections, has some twenty, half of them under a root that halves them again, so only if nearly all
were at their worst together could the bound be broken; among 300,000 random cases the worst is 2.7. A wrong formula is
off by orders of magnitude.

NaN and the infinities are put into ordinary vectors, one input at a time and at every fifth element. What comes out
must be NaN, an infinity or a number where the reference in float64 says so, with NaN passed on by ``max`` and ``min``,
and comparisons with NaN false, so that a Piecewise goes on to its next branch. All other elements must keep every bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import S

from optgen.language.domains import domain_of
from optgen.language.spec import Optimizer
from optgen.language.symbols import Hyper
from optgen.verify import memory, reference
from optgen.verify.candidate import BrokenError, Candidate, Effort, Finding, Verdict, program_of, running
from optgen.verify.error import LOST, Magnitudes, Measured
from optgen.verify.memory import fenced
from optgen.verify.reference import Float64, Value
from optgen.verify.settings import TIMES, Setting, branches, defaults, ends, numbers_of, one_step, slots_of

Array = NDArray[Any]
Slots = dict[str, Array]
PART = "numerics"
BOUND = 4
"""Units in the last place, on the scale of the terms, that a single step may be wrong."""
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
TOGETHER = 10
"""Random cases at each setting."""
STEPS = 3
"""Steps from the start that the class is taken through."""
_CUT = [5]
"""Where its elements are cut into the arrays of a model: what is drawn depends on the array."""
_EXACT_BITS = 26
_BIGGEST_STEP = 10**7


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Measure the errors of every stored slot in both dtypes, and follow NaN and the infinities.

    Parameters
    ----------
    candidate : Candidate
        The module; it may be wrong in any way.
    effort : Effort
        How many random cases to draw for each dtype, and from which seed.

    Yields
    ------
    Finding
        One about what the module says of itself. For each dtype one about the random cases (``figures["cases"]``
        counts them), one for each slot with the worst error (``ulps`` on the scale of the terms, ``plain`` of the value
        itself) and its input, one for first steps through the class, and one about NaN and the infinities. A dtype is
        given up at the first setting that fails.
    """
    try:
        declared = list(_declared(candidate))
        if declared:
            yield Finding(PART, "declarations", Verdict.FAILED, "; ".join(declared))
            return
        yield Finding(PART, "declarations", Verdict.TESTED, "names, defaults and domains are those of the spec")
        problems = memory.escapes(candidate)
        if problems:
            detail = f"not run, for it would not stay within its arrays: {problems[0]}"
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
    for found, states in ((program.states, optimizer.slots), (program.numbers, optimizer.numbers)):
        names = tuple(state.name for state in states)
        if found != names:
            yield f"its states are {', '.join(found)}, not {', '.join(names)}"
    hypers = {hyper.name: hyper for hyper in optimizer.hypers}
    yield from (f"{name} is no hyperparameter of the spec" for name in program.hypers if name not in hypers)
    yield from (f"{name} is missing" for name in hypers if name not in program.hypers)
    for name in hypers.keys() & program.hypers.keys():
        default, domain = program.hypers[name].default, program.hypers[name].domain
        if default != float(hypers[name].default):
            yield f"{name} has the default {default!r}, not {float(hypers[name].default)!r}"
        if domain != domain_of(hypers[name]):
            yield f"{name} is in {domain}, not {domain_of(hypers[name])}"


# Cases


@dataclass(frozen=True)
class _InRange(Float64):
    """Arithmetic that notes where a dtype would have overflown, and where a sum has cancelled.

    Parameters
    ----------
    dtype : numpy dtype
        Which.
    overflown, cancelled : array of bool
        Where that was; changed in place.
    """

    dtype: Any
    overflown: Array
    cancelled: Array

    def apply(self, operation: str, *operands: Value) -> Value:
        """The operation in float64."""
        result, info = super().apply(operation, *operands), np.finfo(self.dtype)
        sizes = np.absolute(np.broadcast_arrays(*operands))
        by_zero = np.equal(operands[-1], 0) if operation == "Div" else np.False_
        self.overflown[...] |= np.isfinite(sizes).all(0) & ~by_zero & (np.absolute(result) > info.max / 256)
        if operation == "Add":
            self.cancelled[...] |= (np.absolute(result) <= LOST * info.eps * sizes.max(0)) & (sizes.min(0) > 0)
        return result


@dataclass(frozen=True, eq=False)
class Case:
    """Elements that are taken one step at one setting.

    Parameters
    ----------
    optimizer : Optimizer
        By which rule.
    setting : Setting
        When, with which hyperparameters.
    old : dict of str to array
        Every slot before the step, in the dtype of the kernel.
    random : bool
        Whether the elements were drawn, rather than taken from the grid.
    """

    optimizer: Optimizer
    setting: Setting
    old: Slots
    random: bool

    @property
    def dtype(self) -> Any:
        """The dtype of the kernel."""
        return self.old["theta"].dtype

    @cached_property
    def measure(self) -> Magnitudes:
        """The arithmetic of the expected values."""
        return Magnitudes(self.dtype)

    @cached_property
    def expected(self) -> dict[str, Measured]:
        """Every stored slot after the step, to 50 digits and with its magnitude."""
        return one_step(self.optimizer, self.setting, self.old, self.measure)

    @cached_property
    def judged(self) -> Array:
        """The indices of the elements about which the equations say something that a kernel can hold."""
        overflown, cancelled = (np.zeros(self.old["theta"].shape, bool) for _ in range(2))
        one_step(self.optimizer, self.setting, self.old, _InRange(self.dtype, overflown, cancelled))
        undefined = np.any([np.not_equal(slot.value, slot.value) for slot in self.expected.values()], axis=0)
        return np.flatnonzero(~overflown & ~(cancelled & undefined))


@lru_cache(maxsize=4)  # what is expected serves every module that claims to be the same optimizer
def cases(optimizer: Optimizer, dtype: Any, effort: Effort) -> tuple[Case, ...]:
    """The grid, then the random cases.

    Parameters
    ----------
    optimizer : Optimizer
        For which rule.
    dtype : numpy dtype
        Of the kernel.
    effort : Effort
        How many to draw, and from which seed.
    """
    rng = np.random.default_rng([effort.seed, np.dtype(dtype).itemsize])
    squares = nonnegative(optimizer)
    usual = defaults(optimizer)
    grid = [
        # Half of it, another half each time, is enough beside hyperparameters at their ends.
        Case(
            optimizer, setting, _from_grid(optimizer, squares, dtype, rng, whole=setting.hypers == usual), random=False
        )
        for setting in _ends(optimizer)
    ]
    sizes = [min(TOGETHER, effort.draws - k) for k in range(0, effort.draws, TOGETHER)]
    drawn = [
        Case(optimizer, _drawn_setting(optimizer, rng), _drawn_slots(optimizer, squares, dtype, size, rng), random=True)
        for size in sizes
    ]
    return (*grid, *drawn)


def nonnegative(optimizer: Optimizer) -> set[str]:
    """The states that are never negative in a few steps of the reference from the start: sums of squares."""
    rng = np.random.default_rng(0)
    thetas = [rng.normal(size=200)]
    states = reference.start(optimizer, thetas)
    found = {state.name for state in optimizer.states}
    for t in range(1, 6):
        thetas, states = reference.step(optimizer, thetas, [rng.normal(size=200)], states, t)
        found -= {name for name, values in states.items() if (values[0] < 0).any()}
    return found


def _ends(optimizer: Optimizer) -> list[Setting]:
    usual = defaults(optimizer)
    settings = [Setting(t, usual) for t in TIMES] + list(branches(optimizer))
    far = {hyper: ends(hyper) for hyper in optimizer.hypers}
    for k, (hyper, values) in enumerate(far.items()):
        for j, value in enumerate(values):
            settings += [Setting(TIMES[(k + j + shift) % len(TIMES)], {**usual, hyper.name: value}) for shift in (0, 3)]
    for which in range(max(map(len, far.values()), default=0)):
        together = {hyper.name: values[which % len(values)] for hyper, values in far.items()}
        settings += [Setting(t, together) for t in (1, TIMES[which % len(TIMES)])]
    return settings


def _from_grid(optimizer: Optimizer, squares: set[str], dtype: Any, rng: Any, *, whole: bool) -> Slots:
    """Elements of the grid, the gradients in a random order; the states are 0 in every third."""
    least, normal, large = _limits(dtype)
    sizes = [0, least, 5 * least, normal, 1e-12, 1e-6, 1e-3, 1, 1e3, 1e6, 1e12, large]
    grid = np.array(sizes + [-size for size in sizes[1:]])
    picked = slice(None) if whole else slice(len(grid) // 2)
    old = {"theta": rng.permutation(grid), "g": rng.permutation(grid)}
    for state in optimizer.slots:
        values = rng.permutation(grid)
        values = np.minimum(values**2, large) if state.name in squares else values
        old[state.name] = np.where(np.arange(len(grid)) % 3, values, 0)
    return _rounded({name: values[picked] for name, values in old.items()}, dtype)


def _limits(dtype: Any) -> tuple[float, float, float]:
    """The smallest denormal, the smallest normal number, and one whose square is in reach."""
    info = np.finfo(dtype)
    return float(info.smallest_subnormal), float(info.smallest_normal), float(2.0 ** (info.maxexp // 2 - 8))


def _drawn_setting(optimizer: Optimizer, rng: Any) -> Setting:
    t = int(rng.integers(1, 5)) if rng.random() < 1 / 3 else int(10 ** rng.uniform(0, np.log10(_BIGGEST_STEP)))
    hypers = {hyper.name: _drawn_hyper(hyper, rng) for hyper in optimizer.hypers}
    for hyper in optimizer.hypers:  # what happens every so many steps, happens often enough
        period = hypers[hyper.name] if hyper.domain.is_subset(S.Naturals) else 0
        if 0 < period <= _BIGGEST_STEP / 4 and rng.random() < 1 / 2:
            t = int(period * rng.integers(1, 4))
    return Setting(t, hypers, _drawn_numbers(optimizer, t, hypers, rng))


def _drawn_numbers(optimizer: Optimizer, t: int, hypers: dict[str, float], rng: Any) -> dict[str, float]:
    """States that are one number as a few steps leave them, with few bits, as hyperparameters have."""
    if not optimizer.numbers:
        return {}
    thetas = [np.ones(1)]
    states = reference.start(optimizer, thetas, hypers=hypers)
    for k in range(1, min(t, int(rng.integers(1, 7)))):
        _, states = reference.step(optimizer, thetas, thetas, states, k, hypers=hypers)
    return {state.name: _with_few_bits(float(states[state.name][0])) for state in optimizer.numbers}


def _drawn_hyper(hyper: Hyper, rng: Any) -> float:
    """A default, an end, or a number between: anywhere, or close to an end on a scale of powers of ten."""
    domain = domain_of(hyper)
    if domain is None:
        return float(hyper.default)
    low, high = max(domain.low, -1e4), min(domain.high, 1e4)
    distance = 10 ** rng.uniform(-12, np.log10(high - low))
    below = high - distance if domain.high < np.inf else low + distance
    anywhere = rng.uniform(low, min(high, low + 1))
    # The default and the ends, unless infinity has none, are as likely as each way to be between them.
    end = rng.choice(ends(hyper)[:2] if domain.high < np.inf else ends(hyper)[:1])
    value = rng.choice([float(hyper.default), end, low + distance, low + distance, below, anywhere])
    value = float(np.floor(value)) if domain.integer else _with_few_bits(value)
    return value if domain.holds(value) else float(hyper.default)


def _with_few_bits(value: float) -> float:
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.round(np.ldexp(mantissa, _EXACT_BITS)), exponent - _EXACT_BITS))


def _drawn_slots(optimizer: Optimizer, squares: set[str], dtype: Any, size: int, rng: Any) -> Slots:
    def signed() -> Array:
        return np.asarray(rng.choice([-1.0, 1.0], size) * rng.uniform(1, 10, size))

    g = signed() * 10.0 ** rng.integers(-13, 12, size)
    g[rng.random(size) < 1 / 20] = 0
    near = rng.random(size) < 1 / 2
    old = {"theta": signed() * np.where(near, np.abs(g) + 1e-12, 10.0 ** rng.integers(-7, 6, size)), "g": g}
    for state in optimizer.slots:
        around = signed() * np.where(
            near, np.abs(g) * 10.0 ** rng.integers(-2, 2, size), 10.0 ** rng.integers(-9, 9, size)
        )
        around[rng.random(size) < 1 / 20] = 0
        old[state.name] = around**2 if state.name in squares else around
    return _rounded(old, dtype)


def _rounded(slots: Slots, dtype: Any) -> Slots:
    return {name: values.astype(dtype) for name, values in slots.items()}


# What the kernel makes of them


def _stepped(candidate: Candidate, setting: Setting, old: Slots) -> Slots:
    """Every slot after one step of the module; hyperparameters at their defaults are left to it."""
    slots = {name: fenced([values]).arrays[0] for name, values in old.items()}
    usual = defaults(candidate.optimizer)
    hypers = {name: value for name, value in setting.hypers.items() if value != usual[name]}
    numbers = {name: np.array(value) for name, value in numbers_of(candidate.optimizer, setting).items()}
    with running():
        candidate.module.step(**slots, **numbers, t=setting.t, **hypers)
    return slots | {name: np.full(old["theta"].shape, number) for name, number in numbers.items()}


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
        new = _stepped(candidate, case.setting, case.old)
        counts["cases" if case.random else "grid"] += case.judged.size
        counts["left_out"] += case.old["theta"].size - case.judged.size
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
    """The larger of an error and the largest of a case."""
    judged = case.judged
    if not judged.size:
        return before
    expected = case.expected[name]
    picked = Measured(expected.value[judged], expected.magnitude[judged])
    ulps = case.measure.ulps(found[judged], picked)
    plain = max(before.plain, *_plain(case.measure, found[judged], picked))
    k = int(np.argmax(ulps))
    if not ulps[k] > before.ulps:
        return _Worst(before.ulps, plain, before.where)
    i = int(judged[k])
    given = ", ".join(f"{slot} = {float(values[i])!r}" for slot, values in case.old.items())
    exact = case.measure.exact.context.nstr(expected.value[i], 20)
    where = (
        f"{_equation(case.optimizer, name)}, at {given}, {case.setting}: the kernel has {float(found[i])!r}, the"
        f" equations {exact}, {ulps[k]:.3g} ulps of {float(expected.magnitude[i]):.3g}"
    )
    return _Worst(float(ulps[k]), plain, where)


def _plain(measure: Magnitudes, found: Array, expected: Measured) -> list[float]:
    """The errors in units in the last place of the exact values, those that are finite and so have such units."""
    errors = []
    with np.errstate(over="ignore"):
        units = np.spacing(np.abs(expected.value.astype(np.float64).astype(found.dtype)))
    for number, value, unit in zip(found, expected.value, units, strict=True):
        if np.isfinite(number) and np.isfinite(unit):
            errors.append(float(abs(measure.exact.number(float(number)) - value) / measure.exact.number(float(unit))))
    return errors or [0.0]


def _equation(optimizer: Optimizer, name: str) -> str:
    return next(str(let) for let in optimizer.step if getattr(getattr(let.target, "of", None), "name", None) == name)


# First steps


@lru_cache(maxsize=8)
def _start(optimizer: Optimizer, dtype: Any, hypers: tuple[tuple[str, float], ...]) -> tuple[Array, Array, list[Any]]:
    """Thetas and gradients, and what every slot should be after each of the first steps."""
    rng = np.random.default_rng(1)
    theta = rng.normal(size=12).astype(dtype)
    grads = (rng.normal(size=(STEPS, 12)) * 10.0 ** rng.integers(-6, 6, 12)).astype(dtype)
    measure = Magnitudes(dtype)
    thetas = np.split(theta, _CUT)
    states = reference.start(optimizer, thetas, hypers=dict(hypers), arithmetic=measure)
    expected = []
    for k, grad in enumerate(grads):
        thetas, states = reference.step(
            optimizer, thetas, np.split(grad, _CUT), states, k + 1, hypers=dict(hypers), arithmetic=measure
        )
        slots = {"theta": thetas, **states}
        expected.append({name: _joined(measure, values) for name, values in slots.items()})
    return theta, grads, expected


def _joined(measure: Magnitudes, values: list[Any]) -> Any:
    """The values of a slot in both tensors, or in a list of one what is one number."""
    if not values[0].shape:
        return measure.rearrange(np.atleast_1d, values[0])
    return measure.rearrange(lambda *parts: np.concatenate(parts), *values)


def _others(optimizer: Optimizer) -> dict[str, float]:
    """For every hyperparameter, where its domain allows, a value of its own that is not its default."""
    moved = {hyper: float(hyper.default) * (0.93 - 0.01 * k) or 0.07 for k, hyper in enumerate(optimizer.hypers)}
    whole = {hyper: float(hyper.default) + k + 1 for k, hyper in enumerate(optimizer.hypers)}
    domains = {hyper: domain_of(hyper) for hyper in moved}
    chosen = {hyper: whole[hyper] if its and its.integer else moved[hyper] for hyper, its in domains.items()}
    return {hyper.name: value for hyper, value in chosen.items() if (its := domains[hyper]) and its.holds(value)}


def _first_steps(candidate: Candidate, dtype: Any) -> Iterator[Finding]:
    """The first steps from the start by way of the class, with defaults and with all hyperparameters moved."""
    optimizer, measure = candidate.optimizer, Magnitudes(dtype)
    subject, largest = f"first {STEPS} steps, {dtype}", 0.0
    for hypers in ({}, _others(optimizer)):
        theta, grads, expected = _start(optimizer, dtype, tuple(hypers.items()))
        params = np.split(theta.copy(), _CUT)
        with running():
            taken = candidate.kind(params, **hypers)
        for k, grad in enumerate(grads):
            with running():
                taken.step(np.split(grad, _CUT))
                after = {
                    "theta": params,
                    **{state.name: taken.state[state.name] for state in optimizer.slots},
                    **{state.name: [np.atleast_1d(taken.state[state.name])] for state in optimizer.numbers},
                }
            for name, arrays in after.items():
                found = np.concatenate(arrays)
                ulps = measure.ulps(found, expected[k][name])
                i = int(np.argmax(ulps))
                largest = max(largest, float(ulps[i]))
                if ulps[i] > BOUND:
                    exact = measure.exact.context.nstr(expected[k][name].value[i], 20)
                    detail = (
                        f"{_equation(optimizer, name)}, at theta = {float(theta[i])!r},"
                        f" g = {grads[: k + 1, i].tolist()}, t = {k + 1}, {hypers or 'defaults'}: the class has"
                        f" {float(found[i])!r}, the equations {exact}, {ulps[i]:.3g} ulps"
                    )
                    yield Finding(PART, subject, Verdict.FAILED, detail, {"ulps": largest})
                    return
    yield Finding(PART, subject, Verdict.TESTED, f"through {optimizer.title}", {"ulps": largest})


# NaN and the infinities

_SPECIALS = (np.nan, np.inf, -np.inf)
_LENGTH, _EVERY = 37, 5


def _specials(candidate: Candidate, effort: Effort, dtype: Any) -> Iterator[Finding]:
    optimizer = candidate.optimizer
    subject, count = f"NaN and infinities, {dtype}", 0
    rng = np.random.default_rng(effort.seed)
    for setting in _ordinary(optimizer):
        old = _rounded(_ordinary_slots(optimizer, rng), dtype)
        plain = _stepped(candidate, setting, old)
        for name in old:
            for special in _SPECIALS:
                given = {**old, name: old[name].copy()}
                given[name][::_EVERY] = special
                problem = _misled(optimizer, setting, given, plain, _stepped(candidate, setting, given))
                if problem:
                    yield Finding(PART, subject, Verdict.FAILED, f"{special} in {name}: {problem} (at {setting})")
                    return
                count += 1
    detail = "come out where the equations say so and change nothing else"
    yield Finding(PART, subject, Verdict.TESTED, detail, {"vectors": count})


def _ordinary(optimizer: Optimizer) -> Sequence[Setting]:
    """A setting for each branch, and one late enough that no first step is special."""
    return [*branches(optimizer), Setting(10, defaults(optimizer))]


def _ordinary_slots(optimizer: Optimizer, rng: Any) -> Slots:
    """Numbers far from all ends, so that float64 and the dtype agree on what is NaN and what is infinite."""
    squares = nonnegative(optimizer)
    old = {name: rng.uniform(0.5, 2, _LENGTH) * rng.choice([-1.0, 1.0], _LENGTH) for name in slots_of(optimizer)}
    return {name: values**2 if name in squares else values for name, values in old.items()}


def _misled(optimizer: Optimizer, setting: Setting, given: Slots, plain: Slots, new: Mapping[str, Array]) -> str:
    """What came out wrong; empty if nothing did."""
    exact = one_step(optimizer, setting, given, reference.FLOAT64)
    for name, values in new.items():
        neighbours = np.ones(_LENGTH, bool)
        neighbours[::_EVERY] = False
        bits = f"u{values.itemsize}"
        changed = neighbours & (values.view(bits) != plain[name].view(bits))
        if changed.any():
            i = int(np.argmax(changed))
            return f"{name}[{i}], a neighbour, became {float(values[i])!r} instead of {float(plain[name][i])!r}"
        if name == "g":
            continue
        for i in range(0, _LENGTH, _EVERY):
            found, expected = float(values[i]), float(exact[name][i])
            alike = found == expected or (np.isnan(found) and np.isnan(expected))
            if not alike and not (np.isfinite(found) and np.isfinite(expected)):
                return f"{_equation(optimizer, name)}: the kernel has {found!r}, the equations {expected!r}"
    return ""
