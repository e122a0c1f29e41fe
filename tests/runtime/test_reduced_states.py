"""States of one value a row, a column, a tensor or a model are saved, copied, checked and shared as all others are."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

from optgen.generated.cpu import adafactor, novograd, prodigy, sm3
from optgen.verify import reference

MATRICES = [
    ((3, 5), np.float32),
    ((), np.float64),
    ((0, 4), np.float32),
    ((2, 3, 4), np.float64),
    ((300,), np.float32),
    ((1, 33), np.float64),
]


def content(optimizer):
    """All that an optimizer has: parameters, states, t, hyperparameters."""
    arrays = [*optimizer._params, *optimizer._entries().values()]
    return optimizer.t, dict(optimizer.hypers), [array.tobytes() for array in arrays]


def begun(generated, arrays, steps=2):
    """An optimizer of a model of both dtypes that has taken a few steps."""
    optimizer = generated.kind(arrays(0, MATRICES))
    for seed in range(1, 1 + steps):
        optimizer.step(arrays(seed, MATRICES))
    return optimizer


def test_every_state_is_in_the_state_dict_in_its_shape(reducing, arrays):
    optimizer = begun(reducing, arrays)
    saved = optimizer.state_dict()
    shapes = {"row": [(3, 1), (), (2, 3, 1), (1,), (1, 1)], "column": [(1, 5), (), (2, 1, 4), (300,), (1, 33)]}
    for state in reducing.optimizer.reduced_states:
        if state.space.value == "model":
            assert saved[state.name].shape == ()
            continue
        found = [saved[f"{state.name}.{k}"] for k in range(len(MATRICES)) if k != 2]
        assert [array.shape for array in found] == shapes.get(state.space.value, [()] * 5)
        assert all(array.dtype == np.float64 for array in found)


def test_a_resumed_run_goes_on_bit_for_bit(reducing, arrays, tmp_path):
    through = begun(reducing, arrays)
    np.savez(tmp_path / "state.npz", **through.state_dict())
    resumed = reducing.kind([array.copy() for array in through.params])
    with np.load(tmp_path / "state.npz", allow_pickle=False) as saved:
        resumed.load_state_dict(saved)
    assert content(resumed) == content(through)
    for seed in (3, 4):
        through.step(arrays(seed, MATRICES))
        resumed.step(arrays(seed, MATRICES))
    assert content(resumed) == content(through)


def pickled(optimizer):
    """What a pickle of an optimizer makes."""
    return pickle.loads(pickle.dumps(optimizer))  # noqa: S301 our own


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_goes_its_own_way(reducing, arrays, copied):
    optimizer = begun(reducing, arrays)
    twin, before = copied(optimizer), content(optimizer)
    assert content(twin) == before
    twin.step(arrays(3, MATRICES))
    assert content(optimizer) == before
    optimizer.step(arrays(3, MATRICES))
    assert content(optimizer) == content(twin)


@pytest.mark.parametrize(
    ("module", "entry", "value", "error"),
    [
        (adafactor, "r.0", np.zeros(3), "'r.0'.*shape"),
        (adafactor, "r.0", np.zeros((3, 1), np.float32), "'r.0'.*dtype float64"),
        (adafactor, "c.3", np.full((2, 1, 4), np.nan), "'c.3'.*NaN"),
        (novograd, "v.4", np.zeros(1), "'v.4'.*shape"),
        (prodigy, "d", np.zeros(1), "'d'.*shape"),
        (prodigy, "d", np.float64(1), "'d'.*numpy.ndarray"),
        (prodigy, "d.0", np.array(1.0), "unexpected"),
        (adafactor, "r.0", None, "'r.0'.*missing"),
    ],
)
def test_a_bad_entry_changes_nothing(arrays, module, entry, value, error):
    kind = type_of(module)
    optimizer, other = kind(arrays(0, MATRICES)), kind(arrays(0, MATRICES))
    before = content(optimizer)
    bad = {**other.state_dict(), entry: value}
    with pytest.raises((TypeError, ValueError), match=error):
        optimizer.load_state_dict(bad)
    assert content(optimizer) == before


def type_of(module):
    """The class of a generated module."""
    return next(kind for kind in vars(module).values() if getattr(kind, "program", None) is module.PROGRAM)


# One array ------------------------------------------------------------------------------------------------------------


def arguments(generated, theta):
    """What ``step`` takes before the first step: theta and the states."""
    optimizer = generated.kind([theta.copy()])
    names = [*optimizer.program.states, *optimizer.program.reduced_states, *optimizer.program.numbers]
    found = {name: optimizer.state[name] for name in names}
    return {"theta": theta} | {name: (its[0] if isinstance(its, tuple) else its).copy() for name, its in found.items()}


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4), (40, 700), (20_000,), (1, 20_000)], ids=str)
def test_step_does_what_the_optimizer_does(reducing, shape, dtype):
    rng = np.random.default_rng(1)
    theta = np.asarray(rng.standard_normal(shape), dtype)
    slots, optimizer = arguments(reducing, theta.copy()), reducing.kind([theta])
    for t in (1, 2, 3):
        g = np.asarray(rng.standard_normal(shape), dtype)
        reducing.module.step(g=g, t=t, **slots)
        optimizer.step([g])
    assert slots.pop("theta").tobytes() == theta.tobytes()
    for name, array in slots.items():
        its = optimizer.state[name]
        assert array.tobytes() == (its[0] if isinstance(its, tuple) else its).tobytes(), name


def read_only(array):
    """A copy that cannot be written."""
    copied = array.copy()
    copied.flags.writeable = False
    return copied


@pytest.mark.parametrize(
    ("module", "name"), [(adafactor, "r"), (adafactor, "c"), (sm3, "r"), (novograd, "v"), (prodigy, "d")]
)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: a.astype(np.float32),
        lambda a: a.astype(np.int64),
        lambda a: a.ravel() if a.ndim else a.reshape(1),
        lambda a: np.resize(a, (*a.shape[:-1], 2)),
        lambda a: a.tolist(),
        read_only,
    ],
    ids=["float32", "int64", "another dimension", "another size", "a list", "read-only"],
)
def test_step_refuses_a_reduced_state_unlike_the_others(generated_by_name, unchanged, module, name, wrong):
    generated = generated_by_name(module.PROGRAM.name)
    slots = {**arguments(generated, np.ones((3, 4), np.float32)), "g": np.ones((3, 4), np.float32)}
    with unchanged(*slots.values()), pytest.raises((TypeError, ValueError), match=rf"^{name}\b.*expected"):
        module.step(**{**slots, name: wrong(slots[name])}, t=1)


def test_step_refuses_a_reduced_state_that_lies_in_another_array(generated_by_name, unchanged):
    slots = arguments(generated_by_name("adafactor"), np.ones((3, 4)))
    slots |= {"g": np.ones((3, 4)), "r": slots["theta"].reshape(-1)[:3].reshape(3, 1)}
    with unchanged(*slots.values()), pytest.raises(ValueError, match="overlaps"):
        adafactor.step(**slots, t=1)


# Models ---------------------------------------------------------------------------------------------------------------


def test_a_tensor_without_elements_makes_no_difference(reducing, arrays):
    shapes = [((0, 4), np.float32), *MATRICES[:2], ((0,), np.float64), *MATRICES[3:], ((2, 0, 3), np.float64)]
    full = [k for k, (shape, _) in enumerate(shapes) if 0 not in shape]
    params, same = arrays(0, shapes), arrays(0, shapes)
    whole, less = reducing.kind(params), reducing.kind([same[k] for k in full])
    for seed in (1, 2, 3):
        grads = arrays(seed, shapes)
        whole.step(grads)
        less.step([grads[k] for k in full])
    assert [array.tobytes() for array in params] == [array.tobytes() for array in same]
    for name, values in less.state.items():
        its = whole.state[name]
        pairs = zip([its[k] for k in full], values, strict=True) if isinstance(its, tuple) else [(its, values)]
        assert all(one.tobytes() == other.tobytes() for one, other in pairs), name


def test_a_model_without_elements_takes_steps(reducing):
    optimizer = reducing.kind([np.ones((0, 3)), np.ones(0, np.float32)])
    optimizer.step([np.ones((0, 3)), np.ones(0, np.float32)])
    assert optimizer.t == 1
    optimizer.load_state_dict(optimizer.state_dict())


def test_tensors_of_both_dtypes_share_what_is_added_up_over_the_model(reducing, arrays):
    optimizer = begun(reducing, arrays, steps=0)
    full = [k for k, (shape, _) in enumerate(MATRICES) if 0 not in shape]
    thetas = [array.astype(np.float64) for array in arrays(0, MATRICES)]
    states = reference.start(reducing.optimizer, thetas)
    for seed in (1, 2, 3):
        grads = arrays(seed, MATRICES)
        optimizer.step(grads)
        thetas, states = reference.step(reducing.optimizer, thetas, grads, states, seed)
    for k in full:
        np.testing.assert_allclose(optimizer.params[k], thetas[k], rtol=1e-5, atol=1e-6)
    for state in reducing.optimizer.reduced_states:
        its = optimizer.state[state.name]
        pairs = [(its, states[state.name][0])]
        if isinstance(its, tuple):
            pairs = [(its[k], states[state.name][k]) for k in full]
        for found, expected in pairs:
            np.testing.assert_allclose(np.ravel(found), np.ravel(expected), rtol=1e-4, atol=1e-7)


def test_two_python_threads(reducing, arrays):
    expected, found = begun(reducing, arrays, steps=20), {}

    def run(k):
        found[k] = content(begun(reducing, arrays, steps=20))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: content(expected), 1: content(expected)}
