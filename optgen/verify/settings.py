"""When steps are taken and from what: settings that reach every branch, numbers to start from, the reference's step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count, cycle, islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Basic, S, default_sort_key
from sympy.core.relational import Relational

from optgen.language.domains import domain_of
from optgen.language.reductions import Extent, Reduction
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.sums import plain
from optgen.language.symbols import Hyper, State, g, theta
from optgen.runtime.core.reduced import shape_in
from optgen.verify import reference
from optgen.verify.arithmetic import FLOAT64, Arithmetic, Digits, Value

Array = NDArray[Any]
Shape = tuple[int, ...]
Model = Mapping[str, Sequence[Any]]
"""By name, theta, g and the states of a model: an array a tensor, of a shape that broadcasts against it."""
TIMES = (1, 2, 3, 10, 1000, 10**5, 10**7)
"""Steps at which a kernel is looked at."""
FIRST_STEPS = 5
"""After so many, what the host counts has been through a period."""
_LEAST, _LEAST_SHARED = 1e-30, 1e-9
"""What is next to 0, and what is where a tensor's elements share what is made of it."""
_EXACT_BITS = 26
_BIGGEST_STEP = 10**7


@dataclass(frozen=True)
class Setting:
    """When a step is taken, and with which hyperparameters."""

    t: int  # the number of the step
    hypers: Mapping[str, float]  # every hyperparameter
    # What states that are one number are before the step; those left out are what they start from
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        named = {**self.hypers, **self.numbers}
        return ", ".join([f"t = {self.t}", *(f"{name} = {value!r}" for name, value in named.items())])


def ends(hyper: Hyper, least: float = _LEAST) -> list[float]:
    """The ends of a hyperparameter's domain and numbers next to them: the end itself where it belongs to the domain.

    An infinite end is stood for by 1e6, and nothing is next to it. Next to an end of 0, or to 0, is what is least.
    """
    domain = domain_of(hyper)
    if domain is None:
        return [hyper.usual]
    low, high = max(domain.low, -1e6), min(domain.high, 1e6)
    if domain.integer:
        near = [low + 1, high - 1] if np.isfinite(domain.high) else [low + 1]
    else:
        near = [np.nextafter(x, to) for x, to in ((low, high), (high, low)) if abs(x) < 1e6]  # noqa: PLR2004
        near += [*inside(hyper, least), least, 0.0]
    found = dict.fromkeys(float(value) for value in (low, high, *near) if domain.holds(value))
    denormal = np.finfo(np.float64).smallest_normal
    return [value for value in found if abs(value) >= denormal or value == 0]


def inside(hyper: Hyper, least: float) -> list[float]:
    """Numbers a little inside of an end where something may cancel: 1, or 0 for an exponent.

    A power of what is next to 1 is a number of float64, and what cancels there exact.
    """
    domain, off = domain_of(hyper), 3.0**-19
    if domain is None or domain.integer:
        return []
    found = [1 + off] * (domain.low == 1) + [1 - off] * (domain.high == 1) + [-least]
    return [value for value in found if domain.holds(value)]


@lru_cache
def branches(optimizer: Optimizer) -> tuple[Setting, ...]:
    """Settings that reach every branch: each combination of the outcomes of conditions on scalars that was found.

    They are looked for at several t with the default hyperparameters and with one at a time at the ends of its domain,
    and with states that are numbers as they are at the start and after each of the first steps.
    """
    usual = optimizer.values()
    moved = [{**usual, hyper.name: value} for hyper in optimizer.hypers for value in ends(hyper)]
    late = bool(optimizer.late)  # the first step reads what others do not
    expressions = [*(let.value for let in optimizer.step), *(state.init for state in optimizer.states)]
    relations = sorted(set().union(*(each.atoms(Relational) for each in expressions)), key=default_sort_key)
    chosen = [usual, *moved] if relations else [usual]
    tried = [
        Setting(t, hypers, left)
        for hypers, numbers_left in zip(chosen, _numbers_left(optimizer, chosen, FIRST_STEPS), strict=True)
        for t, left in product(TIMES, [{}, *numbers_left])
        if not left or t > 1
    ]
    t, hypers, numbers = _columns(optimizer, tried)
    # Its digits are enough to decide none wrongly.
    decided = reference.decided(optimizer, relations, t, numbers, hypers=hypers, arithmetic=Digits())
    found: dict[tuple[bool, ...], Setting] = {}
    for setting, outcomes in zip(tried, decided, strict=True):
        found.setdefault((late and setting.t == 1, *outcomes), setting)
    return tuple(found.values())


def _columns(
    optimizer: Optimizer, each: Sequence[Setting]
) -> tuple[list[int], dict[str, list[float]], dict[str, list[float]]]:
    """The steps of some settings, their hyperparameters and the states that are one number, before the step."""
    hypers = _side_by_side([setting.hypers for setting in each])
    many = len(each)
    starts = reference.start(optimizer, [np.ones((1, many))], hypers=hypers, many=(many,)) if optimizer.numbers else {}
    numbers = {
        state.name: [
            setting.numbers.get(state.name, float(start))
            for setting, start in zip(each, starts[state.name][0], strict=True)
        ]
        for state in optimizer.numbers
    }
    return [setting.t for setting in each], hypers, numbers


def _side_by_side(each: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """By name, the numbers of all of them."""
    return {name: [numbers[name] for numbers in each] for name in each[0]}


def pushed(optimizer: Optimizer) -> list[Setting]:
    """Settings with every hyperparameter at the ends of its domain, one at a time and all at once, and with all bits.

    What the host counts is as each branch wants it and, in one, beyond what float32 can count. Of a rule that needs
    models there are fewer, in which nothing is so close to 0 that what the elements of a tensor share vanishes.
    """
    usual, few = optimizer.values(), not is_of_elements(optimizer)
    counted = dict.fromkeys(_counts(optimizer), 2.0**24)
    beyond = [Setting(TIMES[-1], usual, counted)] if counted else []
    bases = [*(setting for setting in branches(optimizer) if setting.numbers), *beyond] or [Setting(0, usual)]
    # Beside what cancels no term is left out for a default of 0.
    whole = {hyper.name for hyper in optimizer.hypers if hyper.domain.is_subset(S.Integers)}
    moved = {**usual, **{name: value for name, value in others(optimizer).items() if name not in whole}}
    late = TIMES[1:] if few else TIMES  # much is as at all other times but the first
    settings = [Setting(t, usual) for t in (TIMES[::3] if few else TIMES)] + [*branches(optimizer), *beyond]
    far = {hyper: ends(hyper, _LEAST_SHARED if few else _LEAST) for hyper in optimizer.hypers}
    for k, (hyper, values) in enumerate(far.items()):
        for j, value in enumerate(values):
            cancels = value in inside(hyper, _LEAST_SHARED)
            often = max(3 if cancels else 1 if few else 2, len(bases))
            for base, shift in islice(zip(cycle(bases), count(0, 3)), often):
                t = base.t or late[(k + j + shift) % len(late)]
                near = {**moved, **_changed(base, usual)} if cancels else base.hypers
                settings.append(Setting(t, {**near, hyper.name: value}, base.numbers))
    for which in range(max(map(len, far.values()), default=0)):
        together = {hyper.name: values[which % len(values)] for hyper, values in far.items()}
        first_and_later = (1, late[which % len(late)])
        settings += [Setting(t, together) for t in (first_and_later[which % 2 :][:1] if few else first_and_later)]
    with_all_bits = {hyper.name: _with_all_bits(hyper) for hyper in optimizer.hypers}
    settings += [
        Setting(base.t or TIMES[2], {**with_all_bits, **_changed(base, usual)}, base.numbers) for base in bases
    ]
    return settings


def _changed(setting: Setting, usual: Mapping[str, float]) -> dict[str, float]:
    """The hyperparameters that are not at their defaults."""
    return {name: value for name, value in setting.hypers.items() if value != usual[name]}


def _with_all_bits(hyper: Hyper) -> float:
    """A number close to a default of which float64 needs all bits, and float32 cannot hold what it has rounded away."""
    domain, head = domain_of(hyper), float(np.float32(hyper.usual))
    value = head + float(np.spacing(np.float32(head))) * (2.0**-2 + 2.0**-26 - 2.0**-29)
    return value if head and domain and not domain.integer and domain.holds(value) else hyper.usual


def _counts(optimizer: Optimizer) -> list[str]:
    """The states that are one whole number after each of the first steps."""
    left = _numbers_left(optimizer, [optimizer.values()], FIRST_STEPS)[0]
    return [state.name for state in optimizer.numbers if all(its[state.name].is_integer() for its in left)]


def others(optimizer: Optimizer) -> dict[str, float]:
    """For each hyperparameter that follows from no other, where its domain allows, a value that is not its default."""
    moved = {hyper: hyper.usual * (0.93 - 0.01 * k) or 0.07 for k, hyper in enumerate(optimizer.hypers)}
    whole = {hyper: hyper.usual + k + 1 for k, hyper in enumerate(optimizer.hypers)}
    moved = {hyper: value for hyper, value in moved.items() if hyper.default.is_number}
    domains = {hyper: domain_of(hyper) for hyper in moved}
    chosen = {hyper: whole[hyper] if its and its.integer else moved[hyper] for hyper, its in domains.items()}
    return {hyper.name: value for hyper, value in chosen.items() if (its := domains[hyper]) and its.holds(value)}


def drawn(optimizer: Optimizer, rng: Any) -> Setting:
    """A setting at random, with few bits in each hyperparameter."""
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
    start = {name: _with_few_bits(value) for name, value in numbers_of(optimizer, Setting(1, hypers)).items()}
    return [start, *_numbers_left(optimizer, [hypers], min(t, int(rng.integers(1, 7))) - 1)[0]][-1]


def _numbers_left(
    optimizer: Optimizer, each: Sequence[Mapping[str, float]], steps: int
) -> list[list[dict[str, float]]]:
    """For each of some choices of hyperparameters, the states that are one number, after each of the first steps."""
    left: list[list[dict[str, float]]] = [[] for _ in each]
    if not optimizer.numbers:
        return left
    thetas, hypers = [np.ones((1, len(each)))], _side_by_side(each)
    states = reference.start(optimizer, thetas, hypers=hypers, many=(len(each),))
    for k in range(1, steps + 1):
        _, states = reference.step(optimizer, thetas, thetas, states, [k] * len(each), hypers=hypers)
        for place, its in enumerate(left):
            numbers = {state.name: float(states[state.name][0][place]) for state in optimizer.numbers}
            its.append({name: _with_few_bits(value) for name, value in numbers.items()})
    return left


def _drawn_hyper(hyper: Hyper, rng: Any) -> float:
    """A default, an end, or a number between: anywhere, or close to an end on a scale of powers of ten."""
    domain = domain_of(hyper)
    if domain is None:
        return hyper.usual
    low, high = max(domain.low, -1e4), min(domain.high, 1e4)
    distance = 10 ** rng.uniform(-12, np.log10(high - low))
    below = high - distance if domain.high < np.inf else low + distance
    anywhere = rng.uniform(low, min(high, low + 1))
    # The default and the ends, unless infinity has none, are as likely as each way to be between them.
    end = rng.choice(ends(hyper)[:2] if domain.high < np.inf else ends(hyper)[:1])
    value = rng.choice([hyper.usual, end, low + distance, low + distance, below, anywhere])
    value = float(np.floor(value)) if domain.integer else _with_few_bits(value)
    return value if domain.holds(value) else hyper.usual


def _with_few_bits(value: float) -> float:
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.round(np.ldexp(mantissa, _EXACT_BITS)), exponent - _EXACT_BITS))


@lru_cache
def is_of_elements(optimizer: Optimizer) -> bool:
    """Whether each element goes its own way: nothing is added up, no state is shared, and no shape is asked for."""
    return not optimizer.reduced_states and not _found(optimizer, Reduction, Extent)


@lru_cache
def is_of_tensors(optimizer: Optimizer) -> bool:
    """Whether each tensor goes its own way: nothing but the step is shared by the model."""
    totals = {node.to for node in _found(optimizer, Reduction)}
    return not {Space.MODEL, Space.GROUP} & (totals | {state.space for state in optimizer.reduced_states})


def _found(optimizer: Optimizer, *kinds: type[Basic]) -> set[Any]:
    """What of some kinds there is in the equations of a rule, and in what its states start from."""
    written = [*(let.value for let in optimizer.equations), *(state.init for state in optimizer.states)]
    return set().union(*(value.atoms(*kinds) for value in written))


def slots_of(optimizer: Optimizer) -> list[str]:
    """Theta, the gradient and the states, in the order of their columns."""
    return ["theta", "g", *(state.name for state in optimizer.slots)]


def numbers_of(optimizer: Optimizer, setting: Setting) -> dict[str, float]:
    """The states that are one number, before a step."""
    names = [state.name for state in optimizer.numbers]
    if setting.numbers.keys() >= set(names):
        return {name: setting.numbers[name] for name in names}
    starts = reference.start(optimizer, [np.ones(1)], hypers=setting.hypers)
    return {name: setting.numbers.get(name, float(starts[name][0])) for name in names}


def model_step(optimizer: Optimizer, setting: Setting, old: Model, by: Arithmetic = FLOAT64) -> dict[str, list[Value]]:
    """Theta and every state after one step of the reference on a model: by name, an array a tensor."""
    return _stepped(optimizer, (setting.t, setting.hypers, numbers_of(optimizer, setting)), old, by)


def model_steps(
    optimizer: Optimizer, each: Sequence[Setting], old: Model, by: Arithmetic = FLOAT64
) -> dict[str, list[Value]]:
    """The same of many models at once, one at each setting, all of them at the first step or none.

    Arrays have one more axis, the last.
    """
    return _stepped(optimizer, _columns(optimizer, each), old, by)


def _stepped(optimizer: Optimizer, when: tuple[Any, Any, Any], old: Model, by: Arithmetic) -> dict[str, list[Value]]:
    t, hypers, numbers = when
    states = {name: list(values) for name, values in old.items() if name not in ("theta", "g")}
    states |= {name: [value] * len(old["theta"]) for name, value in numbers.items()}
    thetas, new = reference.step(optimizer, old["theta"], old["g"], states, t, hypers=hypers, arithmetic=by)
    return {"theta": thetas, **new}


def ordinary(optimizer: Optimizer, shapes: Sequence[Shape], rng: Any) -> dict[str, list[Array]]:
    """Ordinary numbers for a model; those of states are positive, so that no root of them is NaN, or at a switch."""
    drawn = {name: [_signed(shape, rng) for shape in shapes] for name in ("theta", "g")}
    for state in optimizer.slots:
        drawn[state.name] = [at_switches(optimizer, state.name, rng.uniform(4, 8, shape), rng) for shape in shapes]
    for state in optimizer.reduced_states:
        values = [rng.uniform(4, 8, shape_of(state, shape)) for shape in shapes]
        drawn[state.name] = spread(state, [at_switches(optimizer, state.name, array, rng) for array in values])
    return drawn


def at_switches(optimizer: Optimizer, name: str, values: Any, rng: Any) -> Array:
    """The values of a state; half of them, at random, on either side of what a condition compares the state with."""
    numbers, shape = _switches(optimizer).get(name), np.shape(values)
    return np.asarray(np.where(rng.random(shape) < 1 / 2, rng.choice(numbers, shape), values) if numbers else values)


@lru_cache
def _switches(optimizer: Optimizer) -> Mapping[str, list[float]]:
    """By state, the numbers at which a condition changes, and 1 more and less, but below 0 only beside one that is.

    They may depend on hyperparameters, which are at their defaults.
    """
    values = optimizer.values()
    usual = {hyper: values[hyper.name] for hyper in optimizer.hypers}
    relations = {relation for let in optimizer.equations for relation in let.value.atoms(Relational)}
    found: dict[str, list[float]] = {}
    for relation in sorted(relations, key=default_sort_key):
        difference = plain(relation.lhs - relation.rhs).xreplace(usual)
        for state in difference.free_symbols if len(difference.free_symbols) == 1 else ():
            slope = difference.diff(state)
            if isinstance(state, State) and slope.is_number and slope != 0:
                edge = float(-difference.xreplace({state: S.Zero}) / slope)
                around = [x for x in (edge - 1, edge, edge + 1) if x >= 0 or edge < 0]
                found.setdefault(state.name, []).extend(around)
    return found


def begun(optimizer: Optimizer, setting: Setting, old: Mapping[str, list[Array]]) -> dict[str, list[Array]]:
    """The same model as a step finds it: before the first, states that start from theta hold what it makes of them."""
    if setting.t > 1:
        return dict(old)
    starts = reference.start(optimizer, old["theta"], hypers=setting.hypers)
    made = {state.name for state in optimizer.states if state.init.has(theta) and not state.init.has(g)}
    dtypes = {name: old[name][0].dtype for name in made}
    return {**old, **{name: [np.asarray(x, dtypes[name]) for x in starts[name]] for name in made}}


def _signed(shape: Shape, rng: Any) -> Array:
    return np.asarray(rng.uniform(0.5, 2, shape) * rng.choice([-1.0, 1.0], shape))


def shape_of(state: State, shape: Shape) -> Shape:
    """The shape of an array that holds a tensor's values of a state."""
    return shape if state.space is Space.ELEM else shape_in(state.space.value, shape)


def spread(state: State, values: Sequence[Array]) -> list[Array]:
    """The same, but the first value for all tensors if the state has one for the model."""
    return [np.asarray(values[0])] * len(values) if state.space is Space.MODEL else [np.asarray(v) for v in values]


def flat(kind: str, values: Sequence[Array]) -> Array:
    """The values of a reduced state one after another, as programs take them."""
    return np.concatenate(list(map(np.ravel, values[:1] if kind == "model" else values)))
