"""State dicts, copies and pickles."""

from __future__ import annotations

import copy
import pickle
import zipfile

import numpy as np
import pytest

from optgen.generated.cpu.adamw import AdamW
from optgen.generated.cpu.schedule_free_sgd import ScheduleFreeSGD
from optgen.generated.cpu.sgdm import SGDM


def content(optimizer):
    arrays = [*optimizer._params, *(array for values in optimizer._state.values() for array in values)]
    return optimizer.t, dict(optimizer.hypers), [array.tobytes() for array in arrays]


def named(values):
    return {f"layer/{k}.w": value for k, value in enumerate(values)}


@pytest.mark.parametrize("kind", [AdamW, SGDM])
@pytest.mark.parametrize("contained", [list, named])
def test_a_resumed_run_goes_on_bit_for_bit(arrays, tmp_path, kind, contained):
    params = arrays(0)
    through = kind(contained(params), lr=0.01)
    for seed in (1, 2):
        through.step(contained(arrays(seed)), lr=0.5)
    through.set(lr=0.02)
    np.savez(tmp_path / "state.npz", **through.state_dict())
    np.savez(tmp_path / "params.npz", *params)
    with np.load(tmp_path / "params.npz", allow_pickle=False) as saved:
        resumed = kind(contained([saved[name] for name in saved.files]))
    with np.load(tmp_path / "state.npz", allow_pickle=False) as saved:
        resumed.load_state_dict(saved)
    assert content(resumed) == content(through)
    for seed in (3, 4):
        through.step(contained(arrays(seed)))
        resumed.step(contained(arrays(seed)))
    assert content(resumed) == content(through)


def test_a_state_dict_is_flat_and_a_copy(arrays):
    optimizer = AdamW({"w": np.ones(3)}, lr=0.5)
    saved = optimizer.state_dict()
    assert list(saved) == [
        "t", "hyper.lr", "hyper.beta1", "hyper.beta2", "hyper.weight_decay", "hyper.eps", "m.w", "v.w",
    ]  # fmt: skip
    assert saved["t"] == 0
    assert saved["hyper.lr"] == 0.5
    optimizer.step({"w": np.ones(3)})
    assert not saved["m.w"].any()
    assert set(SGDM([np.ones(3)] * 1).state_dict()) == {"t", "hyper.lr", "hyper.momentum", "hyper.dampening", "b.0"}


def test_loading_keeps_the_arrays_in_use_and_shares_none(arrays):
    source, target = AdamW(arrays(0)), AdamW(arrays(0))
    source.step(arrays(1))
    saved, m = source.state_dict(), target.state["m"][0]
    target.load_state_dict(saved)
    assert target.state["m"][0].ctypes.data == m.ctypes.data
    target.step(arrays(2))
    assert saved["m.0"].tobytes() == source.state["m"][0].tobytes()


def test_a_fresh_state_dict_takes_an_optimizer_back(arrays):
    optimizer = AdamW(arrays(0), lr=0.25)
    fresh = optimizer.state_dict()
    optimizer.step(arrays(1))
    optimizer.set(lr=1)
    optimizer.load_state_dict(fresh)
    assert optimizer.t == 0
    assert optimizer.hypers["lr"] == 0.25
    assert not optimizer.state["v"][0].any()


@pytest.mark.parametrize(
    ("entry", "value", "error"),
    [
        ("t", -1, "'t'.*at least 0"),
        ("t", 1.0, "'t'.*integer"),
        ("t", np.nan, "'t'.*integer"),
        ("t", True, "'t'.*integer"),
        ("t", np.array([1]), "'t'.*integer"),
        ("hyper.lr", np.nan, "lr"),
        ("hyper.lr", -1, "lr"),
        ("hyper.lr", np.array("x"), "lr"),
        ("hyper.beta2", 1.0, "beta2"),
        ("v.4", np.zeros(3, np.float32), "'v.4'.*shape"),
        ("v.4", np.zeros(300), "'v.4'.*dtype float32"),
        ("v.4", np.zeros(300, int), "'v.4'.*dtype float32"),
        ("v.4", None, "'v.4'.*missing"),
        ("v.4", [0.0] * 300, "'v.4'.*numpy.ndarray"),
        ("v.4", np.full(300, np.nan, np.float32), "'v.4'.*NaN"),
        ("v.1", np.array(np.nan), "'v.1'.*NaN"),
        ("extra", 1, r"unexpected \['extra'\]"),
        (3, 1, r"unexpected \['3'\]"),
    ],
)
def test_a_bad_entry_changes_nothing(arrays, unchanged, entry, value, error):
    optimizer, other = AdamW(arrays(0)), AdamW(arrays(0), lr=0.5)
    other.step(arrays(1))
    with unchanged(optimizer), pytest.raises((TypeError, ValueError), match=error):
        optimizer.load_state_dict({**other.state_dict(), entry: value})


def test_numbers_that_a_format_cannot_hold_are_not_rounded_to_infinities(arrays, unchanged):
    optimizer = AdamW(arrays(0))
    optimizer.step(arrays(1))
    saved = optimizer.state_dict()
    with (
        unchanged(optimizer),
        pytest.raises(ValueError, match=r"'v\.4': expected numbers that float32 can hold, got 1e\+300"),
    ):
        optimizer.load_state_dict({**saved, "v.4": np.full(300, 1e300)}, cast=True)
    optimizer.load_state_dict({**saved, "v.4": np.full(300, np.inf)}, cast=True)


@pytest.mark.parametrize("entry", ["t", "hyper.eps", "m.0", "v.4"])
def test_a_missing_entry_changes_nothing(arrays, unchanged, entry):
    optimizer, other = AdamW(arrays(0)), AdamW(arrays(0), lr=0.5)
    other.step(arrays(1))
    saved = other.state_dict()
    del saved[entry]
    with unchanged(optimizer), pytest.raises(ValueError, match=rf"missing \['{entry}'\], unexpected \[\]"):
        optimizer.load_state_dict(saved)


def test_what_is_no_state_dict_changes_nothing(arrays, unchanged):
    optimizer = AdamW(arrays(0))
    for wrong in (None, [], "t", 1):
        with unchanged(optimizer), pytest.raises(TypeError, match=r"^state dict: expected a mapping"):
            optimizer.load_state_dict(wrong)
    for other in (SGDM(arrays(0)), AdamW(arrays(0)[:3]), AdamW(named(arrays(0)))):
        with unchanged(optimizer), pytest.raises(ValueError, match=r"missing .* unexpected"):
            optimizer.load_state_dict(other.state_dict())


@pytest.mark.parametrize("contained", [list, tuple, named])
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))],  # noqa: S301
)
def test_copies_go_on_alike_and_share_no_memory(arrays, unchanged, contained, copied):
    original = AdamW(contained(arrays(0)), lr=0.1)
    original.step(contained(arrays(1)))
    twin = copied(original)
    assert content(twin) == content(original)
    assert type(twin.params) is type(original.params)
    with unchanged(original):
        twin.step(contained(arrays(2)))
        twin.set(lr=3)
    with unchanged(twin):
        original.step(contained(arrays(2)))
    assert content(twin)[2] == content(original)[2]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])  # noqa: S301
def test_a_model_copied_with_its_optimizer_stays_together(arrays, copied):
    model = arrays(0)
    twin, optimizer = copied((model, AdamW(model)))
    assert all(one is other for one, other in zip(twin, optimizer.params, strict=True))
    before = twin[0].copy()
    optimizer.step(arrays(1))
    assert (twin[0] != before).all()
    assert model[0].tobytes() == before.tobytes()


def test_a_run_that_diverged_can_be_copied(arrays):
    optimizer = AdamW([np.ones(3)])
    optimizer.step([np.full(3, np.nan)])
    assert np.isnan(copy.deepcopy(optimizer).state["m"][0]).all()


def test_a_schedule_is_copied_too():
    class Falling:
        calls = 0

        def __call__(self, t):
            self.calls += 1
            return 1 / t

    optimizer = AdamW([np.ones(3)], lr=Falling())
    twin = copy.copy(optimizer)
    calls = optimizer._groups[0]["lr"].calls
    twin.step([np.ones(3)])
    assert optimizer._groups[0]["lr"].calls == calls
    assert twin.params[0][0] != optimizer.params[0][0]


def test_entries_that_are_the_arrays_in_use_are_read_before_any_is_written(arrays):
    optimizer = AdamW(arrays(0))
    optimizer.step(arrays(1))
    saved, state = optimizer.state_dict(), optimizer.state
    swapped = {**saved, "m.0": state["v"][0], "v.0": state["m"][0], "m.4": state["v"][4][::1], "v.4": state["m"][4]}
    optimizer.load_state_dict(swapped)
    for k in (0, 4):
        assert optimizer.state["m"][k].tobytes() == saved[f"v.{k}"].tobytes()
        assert optimizer.state["v"][k].tobytes() == saved[f"m.{k}"].tobytes()


def test_numbers_of_the_host_are_read_before_any_is_written():
    optimizer = ScheduleFreeSGD([np.ones(3)], lr=0.5)
    optimizer.step([np.ones(3)])
    saved, state, (one, other, *_) = optimizer.state_dict(), optimizer.state, optimizer.program.numbers
    assert saved[one] != saved[other]
    optimizer.load_state_dict({**saved, one: state[other], other: state[one]})
    assert (optimizer.state[one], optimizer.state[other]) == (saved[other], saved[one])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_changes_nothing(arrays, unchanged, tmp_path, compressed):
    optimizer, other, path = AdamW(arrays(0)), AdamW(arrays(0), lr=0.5), tmp_path / "state.npz"
    other.step(arrays(1))
    (np.savez_compressed if compressed else np.savez)(path, **other.state_dict())
    whole, causes = path.read_bytes(), set()
    for k in range(30, len(whole) - 1000, 11):  # what tells NumPy what is in it is not ours to read
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 255]) + whole[k + 1 :])
        with np.load(path) as saved:
            try:
                with unchanged(optimizer):
                    optimizer.load_state_dict(saved)
            except (TypeError, ValueError) as error:
                causes.add(type(error.__cause__))
            except AssertionError:  # a byte that does not matter was hit
                optimizer = AdamW(arrays(0))
    assert zipfile.BadZipFile in causes
