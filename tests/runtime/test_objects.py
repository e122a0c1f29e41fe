"""Many arrays are found by compiled code, which says nothing of any that is not as it must be."""

import numpy as np
import pytest

from optgen.generated.cpu.adamw import AdamW
from optgen.runtime.core import arrays as slowly
from optgen.runtime.core.memory import Kinds
from optgen.runtime.cpu import objects

SHAPES = [(), (3,), (2, 3), (0, 4), (2, 1, 3, 2)] * 20
DTYPES = [np.dtype(("float32", "float64")[k % 2]) for k in range(len(SHAPES))]


@pytest.fixture
def many():
    return [np.ones(shape, dtype) for shape, dtype in zip(SHAPES, DTYPES, strict=True)]


def watch(params, shapes=SHAPES, dtypes=DTYPES):
    kinds, starts = Kinds(shapes, dtypes), slowly.addresses(params)
    written = slowly.Extents(np.array(starts), kinds.bytes, list(map(str, range(len(params)))))
    return objects.LastSeen(params, starts, kinds, kinds, written)


def looked(watch, gradients, *, may_miss=False):
    found = watch.look(gradients, may_miss=may_miss)
    return None if found is None else found.tolist()


def test_they_lie_where_numpy_says(many):
    params = [array.copy() for array in many]
    seen = watch(params)
    for gradients in (many, [array.copy() for array in many]):
        assert looked(seen, gradients) == slowly.addresses(gradients)
    assert looked(seen, many[:-1]) is None
    many[5] = many[7] = None
    assert looked(seen, many) is None
    there = [0 if array is None else slowly.addresses([array])[0] for array in many]
    assert looked(seen, many, may_miss=True) == there


def test_few_are_looked_at_so_closely_only_where_there_are_many_steps():
    seen, gradients = watch([np.ones(3)], [(3,)], DTYPES[1:2]), [np.ones(3)]
    found = [looked(seen, gradients) for _ in range(objects.MANY)]
    assert found == [None] * (objects.MANY - 1) + [slowly.addresses(gradients)]


def test_what_overlaps_anything_that_is_written_is_noticed():
    memory = np.zeros(1000)
    params = [memory[10 * k : 10 * k + 4] for k in range(1, 65)]
    seen = watch(params, [(4,)] * 64, [memory.dtype] * 64)
    free = [memory[10 * k + 4 : 10 * k + 8] for k in range(1, 65)]
    assert looked(seen, free) == looked(seen, free[::-1])[::-1] == slowly.addresses(free)
    for start in range(5, 700):
        grads = [*free[:30], memory[start : start + 4], *free[31:]]
        overlaps = any(abs(start - 10 * k) < 4 for k in range(1, 65))
        assert (looked(seen, grads) is None) == overlaps, start


class Other(np.ndarray):
    """A class that may say anything of its memory."""


def changed(**how):
    array = np.ones((2, 3), "float32")
    array.flags.writeable = how.get("writeable", True)
    return array.view(how.get("kind", np.ndarray))


ODD = {
    "nothing": None,
    "no array": [[1.0] * 3] * 2,
    "a number": np.float32(1),
    "another class": changed(kind=Other),
    "read-only": changed(writeable=False),
    "another dtype": np.ones((2, 3), "float64"),
    "another order of bytes": np.ones((2, 3), ">f4"),
    "another shape": np.ones((3, 2), "float32"),
    "more dimensions": np.ones((1, 2, 3), "float32"),
    "fewer": np.ones(6, "float32"),
    "columns": np.ones((3, 2), "float32").T,
    "every second": np.ones((2, 6), "float32")[:, ::2],
    "the middle of an element": np.frombuffer(bytearray(25), "float32", 6, 1).reshape(2, 3),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("where", [2, 62, 92])
def test_nothing_is_said_of_any_that_is_odd(many, what, where):
    seen = watch([array.copy() for array in many])
    many[where] = ODD[what]
    if what == "read-only":  # gradients may be
        assert looked(seen, many) == slowly.addresses(many)
    else:
        assert looked(seen, many) is None


@pytest.mark.parametrize("what", ODD)
def test_a_step_takes_and_refuses_what_it_does_of_few(what):
    few, many = (AdamW([np.ones((2, 3), "float32") for _ in range(count)]) for count in (3, 100))
    told = []
    for optimizer in (few, many):
        grads = [np.ones((2, 3), "float32") for _ in optimizer.params]
        grads[1] = ODD[what]
        try:
            optimizer.step(grads)
        except (TypeError, ValueError) as error:
            told.append(str(error))
            assert all((theta == 1).all() for theta in optimizer.params)
    assert told == told[:1] * len(told)
    assert len(told) == (0 if what in ("read-only", "another class") else 2)
    np.testing.assert_array_equal(few.params[1], many.params[1])


def test_what_is_odd_is_refused_after_many_steps():
    theta, grad = np.ones((2, 3), "float32"), np.ones((2, 3), "float32")
    optimizer = AdamW([theta])
    for _ in range(objects.MANY + 1):
        optimizer.step([grad])
    before = theta.copy()
    for what in ODD.keys() - {"read-only", "another class"}:
        with pytest.raises((TypeError, ValueError), match="grads"):
            optimizer.step([ODD[what]])
    with pytest.raises(ValueError, match=r"grads\[0\] overlaps params\[0\]"):
        optimizer.step([theta])
    for lr, error in (("0.1", TypeError), (True, TypeError), (-1.0, ValueError), (float("nan"), ValueError)):
        with pytest.raises(error, match="lr"):
            optimizer.step([grad], lr=lr)
    with pytest.raises(TypeError, match="grads: expected a list"):
        optimizer.step(grad)
    theta.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step([grad])
    theta.flags.writeable = True
    theta.resize((5, 5), refcheck=False)
    with pytest.raises(ValueError, match=r"expected shape \(2, 3\)"):
        optimizer.step([grad])
    assert optimizer.t == objects.MANY + 1
    np.testing.assert_array_equal(theta.reshape(-1)[:6], before.reshape(-1))


def test_gradients_in_more_bits_than_their_parameter_overlap_what_is_behind_them():
    memory = np.zeros(64, np.float32)
    theta = memory[32:].view(np.float16)
    with pytest.raises(ValueError, match=r"grads\[0\] overlaps params\[0\]"):
        AdamW([theta[:32]]).step([memory[8:40]])


def test_many_that_have_moved_or_are_read_only_now_are_noticed():
    params = [np.ones(8) for _ in range(100)]
    optimizer = AdamW(params)
    params[7].flags.writeable = False
    with pytest.raises(ValueError, match=r"params\[7\]: expected a writeable array"):
        optimizer.step([np.ones(8) for _ in params])
    params[7].flags.writeable = True
    params[9].resize(20_000, refcheck=False)
    with pytest.raises(ValueError, match=r"params\[9\]: expected shape \(8,\), got \(20000,\)"):
        optimizer.step([np.ones(8) for _ in params])
    assert optimizer.t == 0


@pytest.mark.parametrize("field", ["KIND", "ITEMS", "_DATA", "_NDIM", "_SHAPE", "_DTYPE", "_FLAGS"])
def test_nothing_is_read_where_objects_are_laid_out_otherwise(monkeypatch, many, field):
    monkeypatch.setattr(objects, field, getattr(objects, field) - 8)
    if field in ("ITEMS", "_SHAPE"):  # what is there is no address
        monkeypatch.setattr(objects, "at", lambda _address: 0)
    assert not objects._is_known.__wrapped__()
    monkeypatch.setattr(objects, "_is_known", lambda: False)
    assert looked(watch(many), [array.copy() for array in many]) is None
    optimizer = AdamW([np.ones(2) for _ in range(100)])
    optimizer.step([np.ones(2) for _ in range(100)])
    assert optimizer.t == 1
