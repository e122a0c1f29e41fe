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


def test_they_lie_where_numpy_says(many):
    kinds = Kinds(SHAPES, DTYPES)
    assert objects.addresses(many, kinds).tolist() == slowly.addresses(many)
    assert objects.addresses(many[: objects.MANY - 1], kinds) is None  # not worth it
    assert objects.addresses(many[:-1], kinds) is None


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
    many[where] = ODD[what]
    assert objects.addresses(many, Kinds(SHAPES, DTYPES)) is None


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


@pytest.mark.parametrize("field", ["_KIND", "ITEMS", "_DATA", "_NDIM", "_SHAPE", "_DTYPE", "_FLAGS"])
def test_nothing_is_read_where_objects_are_laid_out_otherwise(monkeypatch, many, field):
    monkeypatch.setattr(objects, field, getattr(objects, field) - 8)
    if field in ("ITEMS", "_SHAPE"):  # what is there is no address
        monkeypatch.setattr(objects, "at", lambda _address: 0)
    assert not objects._is_known.__wrapped__()
    monkeypatch.setattr(objects, "_is_known", lambda: False)
    assert objects.addresses(many, Kinds(SHAPES, DTYPES)) is None
    optimizer = AdamW([np.ones(2) for _ in range(100)])
    optimizer.step([np.ones(2) for _ in range(100)])
    assert optimizer.t == 1
