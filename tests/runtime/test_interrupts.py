"""Whatever interrupts, and wherever: what changes an optimizer is done whole, or not begun."""

from __future__ import annotations

import copy
import inspect
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba import njit, types
from pressing import pressed_everywhere

from optgen.generated.cpu import adafactor, adamw, lamb, nadam, sgdm
from optgen.runtime.cpu.objects import MANY

RULES = [nadam.NAdam, adafactor.Adafactor]
"""With a number that the host keeps, and with states of rows and columns."""


def model() -> list[np.ndarray]:
    return [np.full((3, 2), 2, np.float32), np.ones(4)]


def bits(values: Any) -> dict[str, bytes]:
    return {name: np.asarray(value).tobytes() for name, value in values.items()}


def content(opt: Any) -> Any:
    return bits(opt.state_dict()), bits(dict(enumerate(opt.params)))


def whole_or_not_begun(
    thing: Any, act: Callable[[Any], Any], restore: Callable[[Any], Any], see: Callable[[Any], Any] = content
) -> None:
    """Interrupt what is done to something everywhere; `see` what comes of it, and `restore` it."""
    before = see(thing)
    act(thing)
    whole, found = [before, see(thing)], []
    restore(thing)
    assert see(thing) == before != whole[1]
    for _ in pressed_everywhere(lambda: act(thing)):
        found.append(see(thing))
        restore(thing)
    assert [k for k, one in enumerate(found) if one not in whole] == []
    assert all(found.count(one) for one in whole)


def back(opt: Any) -> Callable[[Any], None]:
    """What brings an optimizer back to where it is now."""
    saved, params = opt.state_dict(), copy.deepcopy(opt.params)

    def restore(opt: Any) -> None:
        opt.load_state_dict(saved)
        for param, value in zip(opt.params, params, strict=True):
            param[...] = value

    return restore


@pytest.mark.parametrize("kind", RULES)
def test_a_step_is_taken_whole_or_not_at_all(kind: Any) -> None:
    opt, grads = kind(model()), model()
    for _ in range(MANY):  # what looks at many is compiled by then
        opt.step(grads)
    whole_or_not_begun(opt, lambda opt: opt.step(grads), back(opt))


@pytest.mark.parametrize("kind", RULES)
def test_a_state_dict_is_loaded_whole_or_not_at_all(kind: Any) -> None:
    there, here = kind(model(), lr=0.5), kind(model())
    there.step(model())
    saved = there.state_dict()
    whole_or_not_begun(here, lambda opt: opt.load_state_dict(saved), back(here))


def test_hyperparameters_are_set_together_or_not_at_all() -> None:
    opt = nadam.NAdam(model())
    whole_or_not_begun(opt, lambda opt: opt.set(lr=0.5, beta1=0.5), back(opt))


@pytest.mark.parametrize("module", [nadam, adafactor])
def test_an_array_is_updated_whole_or_not_at_all(module: Any) -> None:
    whole, small = dict.fromkeys(["theta", "g", *module.PROGRAM.states], (3, 2)), {"r": (3, 1), "c": (1, 2)}
    shapes = whole | {name: small[name] for name in module.PROGRAM.reduced_states}
    slots = {name: np.ones(shapes.get(name, ())) for name in [*shapes, *module.PROGRAM.numbers]}

    def restore(slots: Any) -> None:
        for array in slots.values():
            array[...] = 1

    whole_or_not_begun(slots, lambda slots: module.step(**slots, t=2), restore, bits)


def test_what_a_signal_handler_saves_anywhere_in_a_step_is_whole() -> None:
    opt, saved = nadam.NAdam(model()[1:]), []
    for _ in range(MANY):
        opt.step(model()[1:])
    restore, before = back(opt), bits(opt.state_dict())
    opt.step(model()[1:])
    whole = [before, bits(opt.state_dict())]
    restore(opt)
    for _ in pressed_everywhere(lambda: opt.step(model()[1:]), lambda *_: saved.append(bits(opt.state_dict()))):
        restore(opt)
        assert all(one in whole for one in saved)
        del saved[:]


_raise = types.ExternalFunction("raise", types.int32(types.int32))  # the one of C: Python handles its signal later


def interrupting(kernel: Any) -> Any:
    """A kernel that is interrupted when it is done."""
    given = ", ".join(inspect.signature(kernel.py_func).parameters)
    names = {"kernel": kernel, "interrupt": _raise, "number": int(signal.SIGINT)}
    exec(f"def interrupted({given}):\n    kernel({given})\n    interrupt(number)", names)  # noqa: S102
    return njit(names["interrupted"])


def test_interrupts_in_kernels_are_raised_after_the_whole_step() -> None:
    roles = ("between", "sweep")
    phases = tuple(
        replace(phase, **{role: interrupting(getattr(phase, role)) for role in roles if getattr(phase, role)})
        for phase in adafactor.PROGRAM.phases
    )
    kind = type("Interrupted", (adafactor.Adafactor,), {"program": replace(adafactor.PROGRAM, phases=phases)})
    opt, expected = kind(model()[:1]), adafactor.Adafactor(model()[:1])
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        opt.step(model()[:1])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            opt.step(model()[:1])
    finally:
        signal.signal(signal.SIGINT, former)
    for _ in range(2):
        expected.step(model()[:1])
    assert content(opt) == content(expected)


def test_a_step_is_of_what_was_compiled_before_it() -> None:
    grads, seen = [np.ones(3, np.float32)], []

    class Sweep:
        def __call__(self, *_: Any) -> None:
            pytest.fail("what is compiled is called itself")

        def compile(self, kinds: Any) -> Callable[..., None]:
            seen.append("compiled")
            code = sgdm.PROGRAM.sweep.compile(kinds)  # type: ignore[union-attr]
            return lambda *given: (seen.append("run"), code(*given))

    kind = type("Watched", (sgdm.SGDM,), {"program": replace(sgdm.PROGRAM, sweep=Sweep())})
    opt, expected = kind([np.ones(3, np.float32)]), sgdm.SGDM([np.ones(3, np.float32)])
    for _ in range(2):
        opt.step(grads)
        expected.step(grads)
    assert seen == ["compiled", "run", "run"]
    assert content(opt) == content(expected)


@pytest.mark.parametrize("module", [adamw, nadam, lamb], ids=lambda its: its.PROGRAM.name)
@pytest.mark.parametrize("size", [3, 70_000])
def test_a_step_in_the_middle_of_a_step_comes_before_it(module, size):
    """As a signal handler takes one; here a schedule does, which is called while a step is prepared."""
    (kind,) = [its for its in vars(module).values() if getattr(its, "program", None) is module.PROGRAM]
    grads = [np.linspace(-1, 1, size)]
    due = {3, 6, 40}

    def rate(_: int) -> float:
        if due and optimizer.t + 1 == min(due):
            due.remove(min(due))
            optimizer.step(grads)
        return 0.01

    optimizer, other = (kind([np.ones(size)], lr=0.01) for _ in range(2))
    optimizer.set(lr=rate)
    for _ in range(50):
        optimizer.step(grads)
    for _ in range(53):
        other.step(grads)
    assert not due
    assert optimizer.t == other.t
    assert optimizer.params[0].tobytes() == other.params[0].tobytes()


def test_what_is_loaded_in_the_middle_of_a_step_is_what_it_goes_on_from():
    grads = [np.ones(3)]
    saved: list[dict[str, object]] = []

    def rate(t: int) -> float:
        if t == 5 and saved:
            optimizer.load_state_dict(saved.pop())
        return 0.01

    optimizer = adamw.AdamW([np.ones(3)], lr=rate)
    optimizer.step(grads)
    saved.append(optimizer.state_dict())
    for _ in range(4):
        optimizer.step(grads)
    assert optimizer.t == 2
    assert "t.each" not in optimizer.state_dict()
    assert optimizer.state["m"][0] == pytest.approx(0.19)
