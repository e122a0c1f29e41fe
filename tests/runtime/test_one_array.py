"""The ``step`` function of a generated module."""

from __future__ import annotations

import numpy as np
import pytest
from pressing import pressed_everywhere

from optgen.generated.cpu import adafactor, adamw, sgdm
from optgen.generated.cpu.adamw import AdamW
from optgen.runtime.core import table


@pytest.fixture
def slots():
    """Arguments of AdamW's step by name."""
    rng = np.random.default_rng(0)
    return {name: rng.random((3, 4)).astype(np.float32) for name in ("theta", "g", "m", "v")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 1000, table.CHUNK, table.CHUNK + 1, 5 * table.CHUNK])
def test_does_what_the_optimizer_does(dtype, size):
    rng = np.random.default_rng(1)
    theta = rng.standard_normal(size).astype(dtype)
    other, m, v = theta.copy(), np.zeros(size, dtype), np.zeros(size, dtype)
    optimizer = AdamW([other])
    for t in (1, 2, 3):
        g = rng.standard_normal(size).astype(dtype)
        adamw.step(theta, g, m, v, t=t, lr=0.01)
        optimizer.step([g], lr=0.01)
    assert theta.tobytes() == other.tobytes()
    assert m.tobytes() == optimizer.state["m"][0].tobytes()
    assert v.tobytes() == optimizer.state["v"][0].tobytes()


@pytest.mark.parametrize("t", [1, np.int64(1), np.uint8(1), np.array(1)], ids=repr)
def test_t_may_be_any_integer(slots, t):
    adamw.step(**slots, t=t)


@pytest.mark.parametrize("t", [0, -1, np.int64(0), 2**53 + 1, 10**400], ids=lambda t: repr(t)[:20])
def test_t_out_of_range(slots, unchanged, t):
    with unchanged(*slots.values()), pytest.raises(ValueError, match=r"^t = .*expected at least 1"):
        adamw.step(**slots, t=t)


@pytest.mark.parametrize(
    "t",
    [1.0, "1", None, True, np.True_, np.float64(1), np.array([1]), np.array(1.0), np.timedelta64(1, "s"), 1j],
    ids=repr,
)
def test_t_that_is_no_integer(slots, unchanged, t):
    with unchanged(*slots.values()), pytest.raises(TypeError, match=r"^t: expected an integer"):
        adamw.step(**slots, t=t)


def test_t_is_never_forgotten(slots, unchanged):
    with unchanged(*slots.values()), pytest.raises(TypeError, match="t"):
        adamw.step(**slots)


@pytest.mark.parametrize("name", ["theta", "g", "m", "v"])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: None,
        lambda a: a.tolist(),
        lambda a: a.astype(np.int16),
        lambda a: a.astype(object),
        lambda a: a.astype(">f4"),
        np.ma.masked_array,
        lambda a: a.T,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    ],
)
def test_arrays_of_a_wrong_kind(slots, unchanged, name, wrong):
    bad = {**slots, name: wrong(slots[name])}
    with unchanged(*slots.values()), pytest.raises((TypeError, ValueError), match=rf"^{name}\b.*expected"):
        adamw.step(**bad, t=1)


@pytest.mark.parametrize("name", ["g", "m", "v"])
@pytest.mark.parametrize("wrong", [lambda a: a.astype(np.float64), lambda a: a[:2], lambda a: a.ravel()])
def test_arrays_unlike_theta(slots, unchanged, name, wrong):
    with unchanged(*slots.values()), pytest.raises((TypeError, ValueError), match=rf"^{name}: expected"):
        adamw.step(**{**slots, name: wrong(slots[name])}, t=1)


@pytest.mark.parametrize("name", ["theta", "m", "v"])
def test_read_only_arrays(slots, unchanged, name):
    slots[name].flags.writeable = False
    with unchanged(*slots.values()), pytest.raises(ValueError, match=f"^{name}: expected a writeable array"):
        adamw.step(**slots, t=1)


def test_a_read_only_gradient_is_fine(slots):
    slots["g"].flags.writeable = False
    adamw.step(**slots, t=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slot", ["g", "m"])
def test_gradients_and_states_of_fewer_bits(dtype, slot):
    halves, whole = ({name: np.full(5, 0.5, dtype) for name in ("theta", "g", "m", "v")} for _ in range(2))
    halves[slot] = halves[slot].astype(np.float16)
    for slots in (halves, whole):
        adamw.step(**slots, t=2)
    assert halves["theta"].tobytes() == whole["theta"].tobytes()
    assert halves["m"].tobytes() == whole["m"].astype(halves["m"].dtype).tobytes()


@pytest.mark.parametrize(("one", "other"), [("theta", "g"), ("theta", "m"), ("m", "v"), ("g", "v")])
def test_arrays_that_share_memory(slots, unchanged, one, other):
    memory = np.ones(20, np.float32)
    for second in (memory[:12], memory[1:13], memory[8:]):
        bad = {**slots, one: memory[:12].reshape(3, 4), other: second.reshape(3, 4)}
        with unchanged(*slots.values(), memory), pytest.raises(ValueError, match=r"overlaps .* in memory: expected"):
            adamw.step(**bad, t=1)
    memory = np.ones(24, np.float32)
    adamw.step(**{**slots, one: memory[:12].reshape(3, 4), other: memory[12:].reshape(3, 4)}, t=1)


@pytest.mark.parametrize("value", [np.nan, -1, np.inf, None, "1", True])
def test_hyperparameters(slots, unchanged, value):
    with unchanged(*slots.values()), pytest.raises((TypeError, ValueError), match=r"^lr.*expected"):
        adamw.step(**slots, t=1, lr=value)


def test_the_first_step_does_not_read_the_buffer_of_sgdm():
    theta, b = np.ones(3), np.full(3, np.nan)
    sgdm.step(theta, np.ones(3), b, t=1, lr=1.0)
    assert theta.tolist() == [0, 0, 0]
    assert b.tolist() == [1, 1, 1]


def of_adafactor(seed, shape):
    """Arguments of Adafactor's step by name: it has states of rows and of columns."""
    rng = np.random.default_rng(seed)
    shapes = {"theta": shape, "g": shape, "r": (*shape[:-1], 1), "c": (1, shape[-1])}
    return {name: np.abs(rng.standard_normal(its)) for name, its in shapes.items()}


def test_arrays_of_one_shape_have_nothing_to_do_with_each_other():
    shapes = [(3, 4), (3, 4), (4, 3)]
    together, apart = ([of_adafactor(k, shape) for k, shape in enumerate(shapes)] for _ in range(2))
    for t in (1, 2, 3):
        for slots in together:
            adafactor.step(**slots, t=t)
    for slots in apart:
        for t in (1, 2, 3):
            adafactor.step(**slots, t=t)
    for one, other in zip(together, apart, strict=True):
        assert {name: one[name].tobytes() for name in one} == {name: other[name].tobytes() for name in other}


def test_a_signal_handler_may_step_another_array_anywhere_in_a_step():
    expected, slots, others = of_adafactor(0, (3, 4)), of_adafactor(0, (3, 4)), []
    adafactor.step(**expected, t=2)

    def handler(*_):
        others.append(of_adafactor(0, (3, 4)))
        adafactor.step(**others[-1], t=2)

    for _ in pressed_everywhere(lambda: adafactor.step(**slots, t=2), handler):
        for found in (slots, *others):
            assert all(found[name].tobytes() == its.tobytes() for name, its in expected.items())
        for name, its in of_adafactor(0, (3, 4)).items():
            slots[name][...] = its
        del others[:]
