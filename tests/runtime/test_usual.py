"""A step like the one before is one call of compiled code, and does what the first one did."""

import warnings
from importlib import import_module

import numpy as np
import pytest

from optgen.generated.cpu.adamw import AdamW
from optgen.generated.cpu.ema_adamw import EmaAdamW
from optgen.generated.cpu.lamb import LAMB
from optgen.generated.cpu.sgdm import SGDM
from optgen.runtime.cpu import objects

SHAPES = [(3,), (2, 4), ()]
STEPS = objects.MANY + 5


def arrays(seed, dtype="float32", shapes=SHAPES):
    draw = np.random.default_rng(seed)
    return [np.asarray(draw.standard_normal(shape), dtype) for shape in shapes]


def is_usual(optimizer):
    return optimizer._usual is not None


RULES = {"adamw": True, "lamb": True, "sgdm": True, "nadam": False, "gradient_noise_sgd": False}
"""Rules, and whether their scalars are all that the host computes."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RULES)
def test_many_steps_are_those_of_optimizers_that_take_one_each(name, dtype):
    module = import_module(f"optgen.generated.cpu.{name}")
    (kind,) = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    usual = kind(arrays(0, dtype))
    params, state = arrays(0, dtype), None
    for t in range(STEPS):
        grads = arrays(t + 1, dtype)
        usual.step(grads)
        once = kind(params)
        if state:
            once.load_state_dict(state)
        once.step(grads)
        state = once.state_dict()
        assert not is_usual(once)
    assert is_usual(usual) == RULES[name]
    assert usual.t == STEPS
    for one, other in zip(usual.params, params, strict=True):
        assert one.tobytes() == other.tobytes()
    for entry, value in usual.state_dict().items():
        assert np.asarray(value).tobytes() == np.asarray(state[entry]).tobytes(), entry


def test_groups_schedules_and_values_for_one_step():
    def made(params):
        groups = [{"params": params[:1], "lr": lambda t: 1 / t}, {"params": params[1:], "momentum": 0.5}]
        return SGDM(groups, lr=0.1)

    usual, params, buffers = made(arrays(0)), arrays(0), [np.zeros_like(array) for array in arrays(0)]
    step = import_module("optgen.generated.cpu.sgdm").step
    for t in range(1, STEPS + 1):
        now = {"lr": 0.25} if t % 3 == 0 else {}
        grads = arrays(t)
        usual.step(grads, **now)
        for k, (theta, g, b) in enumerate(zip(params, grads, buffers, strict=True)):
            its = {"lr": 1 / t} if k == 0 else {"lr": 0.1, "momentum": 0.5}
            step(theta, g, b, t=t, **{**its, **now})
    assert is_usual(usual)
    for one, other in zip(usual.params, params, strict=True):
        assert one.tobytes() == other.tobytes()


def after_many_steps(kind=AdamW, **hypers):
    optimizer = kind(arrays(0), **hypers)
    for t in range(STEPS):
        optimizer.step(arrays(t))
    assert is_usual(optimizer)
    return optimizer


def test_states_begin_anew_where_no_step_has_been_taken():
    used, start = after_many_steps(EmaAdamW), EmaAdamW(arrays(0)).state_dict()
    used.load_state_dict(start)
    for theta, other in zip(used.params, arrays(7), strict=True):
        theta[...] = other
    fresh = EmaAdamW(arrays(7))
    for optimizer in (used, fresh):
        optimizer.step(arrays(8))
    assert used.t == fresh.t == 1
    for one, other in zip(used.eval_params(), fresh.eval_params(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_what_float32_cannot_hold_is_warned_of():
    optimizer = after_many_steps()
    before = [array.copy() for array in optimizer.params]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="overflow"):
            optimizer.step(arrays(1), lr=1e39)
    assert optimizer.t == STEPS
    for now, then in zip(optimizer.params, before, strict=True):
        assert now.tobytes() == then.tobytes()
    with pytest.warns(RuntimeWarning, match="overflow"):
        optimizer.step(arrays(1), lr=1e39)
    assert optimizer.t == STEPS + 1


def test_gradients_that_are_not_there_or_stored_otherwise():
    optimizer = after_many_steps()
    grads = arrays(1)
    optimizer.step([grads[0], None, grads[2]], missing="skip")
    optimizer.step(grads)
    optimizer.step([np.asarray(each, "float16") for each in grads])
    optimizer.step(grads)
    assert optimizer.t == STEPS + 4
    with pytest.raises(ValueError, match="missing"):
        optimizer.step([grads[0], None, grads[2]])
    with pytest.raises(ValueError, match="expected 3 arrays"):
        optimizer.step(grads[:2])
    assert optimizer.t == STEPS + 4


def test_what_totals_are_shared_with_may_raise_what_it_likes():
    optimizer, told = after_many_steps(LAMB), []

    def combine(total):
        told.append(total.name)
        raise LookupError(total.name)

    optimizer.share(combine)
    for _ in range(STEPS):
        with pytest.raises(LookupError):
            optimizer.step(arrays(1))
    assert len(told) == STEPS  # and no step was tried twice
    assert optimizer.t == STEPS


def test_a_large_model_is_looked_at_before_its_kernels_run():
    params = arrays(0, shapes=[(300, 301)])
    optimizer = AdamW(params)
    for t in range(STEPS):
        optimizer.step(arrays(t, shapes=[(300, 301)]))
    assert is_usual(optimizer)
    before = params[0].copy()
    with pytest.raises(ValueError, match="overlaps"):
        optimizer.step([params[0]])
    assert params[0].tobytes() == before.tobytes()
