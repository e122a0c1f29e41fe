"""Stacks of wrappers beside what each wrapper means, done by hand around the equations of what it wraps.

A wrapper takes effect, or its SpecError names it, the optimizer and the reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from sympy import Min

from optgen import Let, Optimizer, g, state, t, theta
from optgen.combinators import (
    accumulate,
    amsgrad,
    cautious,
    centralized,
    clip_global_norm,
    clip_value,
    decoupled_decay,
    ema,
    l2,
    lookahead,
    nesterov,
    scheduled,
    skip_nonfinite,
)
from optgen.errors import SpecError
from optgen.hypers import beta2, lr
from optgen.specs.adam import adam
from optgen.specs.adopt import adopt
from optgen.specs.asgd import asgd
from optgen.specs.lion import lion
from optgen.specs.nadam import nadam
from optgen.specs.sgdm import sgdm, sgdm_ema
from optgen.specs.yogi import yogi
from optgen.verify import reference

Arrays = list[Any]
States = dict[str, Arrays]
SHAPES = ((3, 2), (4,))
STEPS = 7


@dataclass
class Inner:
    """The wrapped optimizer, taken a step at a time by the reference."""

    optimizer: Optimizer
    states: States
    t: int = 0

    def step(self, thetas: Arrays, grads: Arrays, **hypers: float) -> Arrays:
        self.t += 1
        now, self.states = reference.step(self.optimizer, thetas, grads, self.states, self.t, hypers=hypers)
        return now


def started(optimizer: Optimizer, thetas: Arrays) -> Inner:
    return Inner(optimizer, reference.start(optimizer, thetas))


def drawn() -> tuple[Arrays, list[Arrays]]:
    """Parameters and gradients that shrink."""
    rng = np.random.default_rng(0)
    thetas = [rng.normal(size=shape) for shape in SHAPES]
    grads = [[rng.normal(size=shape) * 0.5**k for shape in SHAPES] for k in range(STEPS)]
    return thetas, grads


# What each wrapper means ----------------------------------------------------------------------------------------------

Walk = Iterator[Arrays]
"""The parameters after each step."""


def with_gradients(changed: Callable[[Arrays, Arrays], Arrays]) -> Callable[[Inner, Arrays, list[Arrays]], Walk]:
    def walk(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
        for grad in grads:
            thetas = inner.step(thetas, changed(thetas, grad))
            yield thetas

    return walk


def by_norm(_: Arrays, grads: Arrays) -> Arrays:
    return [x * min(1, 0.1 / np.sqrt(sum(np.sum(y**2) for y in grads))) for x in grads]


def central(_: Arrays, grads: Arrays) -> Arrays:
    return [x - x.mean(-1, keepdims=True) if x.ndim > 1 else x for x in grads]


def accumulated(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
    pending: list[Arrays] = []
    for grad in grads:
        pending.append(grad)
        if len(pending) == 3:
            thetas = inner.step(thetas, [sum(each) / 3 for each in zip(*pending, strict=True)])
            pending = []
        yield thetas


def decayed(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
    for grad in grads:
        thetas = [new - 1e-3 * 0.1 * old for new, old in zip(inner.step(thetas, grad), thetas, strict=True)]
        yield thetas


def careful(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
    for grad in grads:
        moved = [new - old for new, old in zip(inner.step(thetas, grad), thetas, strict=True)]
        agrees = [m * x < 0 for m, x in zip(moved, grad, strict=True)]
        thetas = [o + m * a / max(a.mean(), 1e-3) for o, m, a in zip(thetas, moved, agrees, strict=True)]
        yield thetas


def unchanged(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
    for grad in grads:
        thetas = inner.step(thetas, grad)
        yield thetas


def warmed(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
    rate = float(next(h.default for h in inner.optimizer.hypers if h.name == "lr"))
    for k, grad in enumerate(grads, 1):
        thetas = inner.step(thetas, grad, lr=rate * min(1, k / 4))
        yield thetas


def looking_ahead(manner: str, of: tuple[str, ...]) -> Callable[[Inner, Arrays, list[Arrays]], Walk]:
    def walk(inner: Inner, thetas: Arrays, grads: list[Arrays]) -> Walk:
        names = [name for name in of if name in inner.states]
        slow, held = thetas, {name: inner.states[name] for name in names}
        start = dict(held)
        for k, grad in enumerate(grads, 1):
            thetas = inner.step(thetas, grad)
            if k % 2 == 0:
                slow = thetas = [a / 4 + 3 * b / 4 for a, b in zip(slow, thetas, strict=True)]
                for name in names:
                    pulled = [a / 4 + 3 * b / 4 for a, b in zip(held[name], inner.states[name], strict=True)]
                    held[name] = start[name] if manner == "reset" else pulled
                    inner.states[name] = held[name]
            yield thetas

    return walk


Wrap = Callable[[Optimizer], Optimizer]
MEANT: dict[str, tuple[Wrap, Callable[[Inner, Arrays, list[Arrays]], Walk]]] = {
    "l2": (
        lambda o: l2(o, 0.1),
        with_gradients(lambda x, y: [b + 0.1 * a for a, b in zip(x, y, strict=True)]),
    ),
    "clip_value": (lambda o: clip_value(o, 0.05), with_gradients(lambda _, y: [np.clip(b, -0.05, 0.05) for b in y])),
    "clip_global_norm": (lambda o: clip_global_norm(o, 0.1, margin=0), with_gradients(by_norm)),
    "centralized": (centralized, with_gradients(central)),
    "accumulate": (lambda o: accumulate(o, 3), accumulated),
    "decoupled_decay": (lambda o: decoupled_decay(o, 0.1, rate=1e-3), decayed),
    "cautious": (cautious, careful),
    "ema": (ema, unchanged),
    "skip_nonfinite": (skip_nonfinite, unchanged),
    "scheduled": (lambda o: scheduled(o, lr=lr * Min(1, t / 4)), warmed),
    "lookahead": (lambda o: lookahead(o, 2, 0.75), looking_ahead("keep", ())),
    "lookahead reset": (lambda o: lookahead(o, 2, 0.75, momentum="reset"), looking_ahead("reset", ("m", "b"))),
    "lookahead reset m, v": (
        lambda o: lookahead(o, 2, 0.75, momentum="reset", of=("m", "v")),
        looking_ahead("reset", ("m", "v")),
    ),
    "lookahead pull back": (
        lambda o: lookahead(o, 2, 0.75, momentum="pull back"),
        looking_ahead("pull back", ("m", "b")),
    ),
}
"""Each wrapper, with settings that make a difference, and what it means for a walk of what it wraps."""
MOMENTS: dict[str, Wrap] = {"amsgrad": amsgrad, "nesterov": nesterov, "nesterov of b": lambda o: nesterov(o, of="b")}
EVERY: dict[str, Wrap] = {**{name: wrap for name, (wrap, _) in MEANT.items()}, **MOMENTS}
BASES = {"adam": adam, "sgdm": sgdm, "yogi": yogi, "nadam": nadam, "adopt": adopt, "lion": lion, "sgdm_ema": sgdm_ema}


@cache  # many pairs and stacks have an inner part in common
def applied(name: str, inner: Optimizer) -> Optimizer | SpecError:
    """An optimizer in a wrapper, or why it is refused."""
    try:
        return EVERY[name](inner)
    except SpecError as error:
        return error


def stack(base: str, names: list[str]) -> tuple[Optimizer, list[str]]:
    """A base in as many of the wrappers as it takes; each that is refused is named with the optimizer and why."""
    optimizer, taken = BASES[base], []
    for name in names:
        found = applied(name, optimizer)
        if isinstance(found, Optimizer):
            optimizer = found
            taken.append(name)
            continue
        wrapper = name.split()[0]
        assert f"{wrapper}({optimizer.name}): " in str(found)
        assert "fix  " in str(found)
        assert wrapper in ("amsgrad", "nesterov", "lookahead")
    return optimizer, taken


def assert_meant(outer: str, inner: Optimizer) -> None:
    """That a wrapper around an optimizer does what it means, and, around what moves, makes a difference."""
    optimizer, (_, meaning) = applied(outer, inner), MEANT[outer]
    assert isinstance(optimizer, Optimizer)
    thetas, grads = drawn()
    found = list(unchanged(started(optimizer, thetas), thetas, grads))
    expected = list(meaning(started(inner, thetas), thetas, grads))
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)


PAIRS = [(outer, inner) for outer in MEANT for inner in EVERY]


@pytest.mark.parametrize("outer", MEANT)
@pytest.mark.parametrize("inner", EVERY)
def test_every_ordered_pair_does_what_the_outer_wrapper_means(outer: str, inner: str) -> None:
    base = list(BASES)[PAIRS.index((outer, inner)) % len(BASES)]
    optimizer, _ = stack(base, [inner])
    if isinstance(applied(outer, optimizer), Optimizer):
        assert_meant(outer, optimizer)
    else:
        stack(base, [inner, outer])


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks_do_what_their_last_wrapper_means(seed: int) -> None:
    rng = random.Random(seed)
    optimizer, _ = stack(rng.choice(list(BASES)), rng.choices(list(EVERY), k=rng.randint(2, 4)))
    outer = rng.choice([name for name in MEANT if isinstance(applied(name, optimizer), Optimizer)])
    assert_meant(outer, optimizer)


# What changes the moments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outer", "inner"), [(outer, inner) for outer in MOMENTS for inner in EVERY])
def test_what_changes_a_moment_makes_a_difference_or_says_why_not(outer: str, inner: str) -> None:
    base = list(BASES)[list(EVERY).index(inner) % len(BASES)]
    optimizer, taken = stack(base, [inner])
    optimizer, now = stack(base, [*taken, outer])
    if now == taken:
        return
    thetas, grads = drawn()
    grads = [*grads, *grads[-1:] * 4]
    with_it, without = (list(unchanged(started(o, thetas), thetas, grads)) for o in (optimizer, stack(base, taken)[0]))
    same = all(np.array_equal(a, b) for a, b in zip(with_it[-1], without[-1], strict=True))
    assert same == (outer == "amsgrad" and "amsgrad" in taken)  # the largest of the largest is the largest


def test_a_moment_that_a_wrapper_changes_last_is_not_wrapped_in_silence() -> None:
    reset = lookahead(adam, 2, momentum="reset", of=("m", "v"))
    for wrap, optimizer, name in (
        (amsgrad, reset, "v"),
        (nesterov, lookahead(adam, momentum="pull back"), "m"),
        (lambda o: nesterov(o, of="b"), lookahead(sgdm, momentum="reset"), "b"),
        (amsgrad, skip_nonfinite(reset), "v"),
        (amsgrad, accumulate(reset), "v"),
    ):
        with pytest.raises(SpecError, match=rf"a wrapper inside changes `{name}` last.*\n.*put \w+ into that wrapper"):
            wrap(optimizer)  # type: ignore[operator]
    inside = lookahead(amsgrad(adam), 2, 0.75, momentum="reset", of="m")
    assert "v_max" in {symbol.name for symbol in inside.states}


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda: amsgrad(adopt), "amsgrad(adopt): no other equation uses the new `v`"),
        (lambda: nesterov(lion), "nesterov(lion): no other equation uses the new `m`"),
        (lambda: lookahead(adam, of="m"), 'momentum="keep" leaves them all alone'),
        (lambda: lookahead(adam, momentum="reset", of=("m", "b")), "lookahead(adam): it has no state `b`"),
        (lambda: scheduled(adam), "scheduled(adam): it is given no schedule"),
        (lambda: clip_value(shrink()), "clip_value(shrink): its equations do not use the gradient `g`"),
        (lambda: accumulate(shrink()), "accumulate(shrink): its equations do not use the gradient `g`"),
    ],
)
def test_what_would_do_nothing_says_why(wrap: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        wrap()
    assert message in str(caught.value)


def shrink() -> Optimizer:
    return Optimizer("shrink", "Shrink", (Let(theta.next, (1 - lr) * theta),))


def test_a_momentum_is_reset_to_what_it_started_from() -> None:
    m = state("m", init=beta2)
    rule = Optimizer("rule", "Rule", (Let(m.next, m / 2 + g), Let(theta.next, theta - lr * m.next)))
    assert next(let.value for let in lookahead(rule, momentum="reset").step if let.target == m.next).args[0][0] == beta2


# What is counted ------------------------------------------------------------------------------------------------------


def test_accumulate_divides_by_the_gradients_that_there_are() -> None:
    optimizer, (thetas, grads) = accumulate(adam), drawn()
    inner, now, pending = started(adam, thetas), thetas, []
    wrapped, ours = started(optimizer, thetas), thetas
    asked = [3, 3, 3, 4, 4, 2, 1]  # in the middle of a group fewer are asked for; the last is taken as it is
    updates = [False, False, True, False, False, True, True]
    for grad, steps, due in zip(grads, asked, updates, strict=True):
        ours = wrapped.step(ours, grad, accumulation_steps=steps)
        pending.append(grad)
        if due:
            now = inner.step(now, [sum(each) / len(pending) for each in zip(*pending, strict=True)])
            pending = []
        for a, b in zip(ours, now, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert wrapped.states["updates"][0] == inner.t == 3


def test_lookahead_counts_from_the_last_sync() -> None:
    thetas, grads = drawn()
    wrapped, ours, synced = started(lookahead(sgdm), thetas), thetas, []
    for k, (grad, every) in enumerate(zip(grads, [2, 2, 4, 4, 4, 4, 1], strict=True), 1):
        ours = wrapped.step(ours, grad, sync_period=every)
        synced += [k] if np.array_equal(ours[0], wrapped.states["phi"][0]) else []
    assert synced == [2, 6, 7]


def test_what_is_pending_becomes_a_step_by_its_own_mean() -> None:
    thetas, grads = drawn()
    wrapped, ours = started(accumulate(adam), thetas), thetas
    for grad in grads[:3]:
        ours = wrapped.step(ours, grad)
    mean = [total / wrapped.states["pending"][0] for total in wrapped.states["g_sum"]]
    ours = wrapped.step(ours, mean, accumulation_steps=1)
    expected = started(adam, thetas).step(thetas, [sum(each) / 3 for each in zip(*grads[:3], strict=True)])
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_asgd_averages_the_points_since_it_was_told_to() -> None:
    thetas, grads = drawn()
    inner, now, visited = started(asgd, thetas), thetas, []
    for k, grad in enumerate(grads, 1):  # t0 is far away, then passed, then far away again
        now = inner.step(now, grad, t0=1.0 if 3 <= k < 7 else 1e6)
        visited = [*visited, now] if 4 <= k < 7 else [now]
        for tensor, mean in enumerate(inner.states["ax"]):
            np.testing.assert_allclose(mean, np.mean([point[tensor] for point in visited], axis=0), rtol=1e-12)
