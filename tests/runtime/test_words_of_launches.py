"""What a kernel for GPUs is handed is what numba-cuda itself would hand over; this takes no GPU."""

from types import SimpleNamespace

import numpy as np
import pytest
from numba import types

from optgen.runtime.core.storage import WORD, Handed
from optgen.runtime.cuda import host, primitives

pytestmark = pytest.mark.skipif(primitives.PLAIN, reason="numba-cuda is not there")
SHAPES = [(1,), (5,), (3, 4), (1, 7), (12, 1)]
DTYPES = ["float32", "float64", "int64", "uint64"]


def by_numba(array):
    """The words that numba-cuda makes of an array, as if it were on a GPU."""
    args = pytest.importorskip("numba.cuda.args")
    kernel = pytest.importorskip("numba.cuda.dispatcher")._Kernel
    # An array with one row lies in either order, and its first stride leads nowhere.
    layout = SimpleNamespace(strides_in_bytes=None, is_contiguous_c=True, is_contiguous_f=False)
    there = {name: getattr(array, name) for name in ("size", "dtype", "shape")}

    class Placed(args.ArgHint):
        def to_device(self, *_, **__):
            return SimpleNamespace(**there, ptr=array.ctypes.data, _layout=layout)

    found = []
    kind = types.Array(types.int64, array.ndim, "C")
    kernel._prepare_args(SimpleNamespace(extensions=[]), kind, Placed(array), 0, [], found)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_arrays(monkeypatch, shape, dtype):
    array = np.zeros(shape, dtype)
    monkeypatch.setattr(host, "address_of", lambda array: array.ctypes.data)
    assert host.words_of(array).tolist() == by_numba(array)


def test_a_storage_is_the_word_where_its_chances_are():
    handed = Handed.__new__(Handed)
    vars(handed)[WORD] = 0x7F0000001234
    assert host.words_of(handed).tolist() == [0x7F0000001234]
    assert primitives._Storages.prepare_args(None, handed) == (types.int64, 0x7F0000001234)


def test_what_fails_is_said():
    host.check([None, (0,), (0, 3), "whatever"])
    with pytest.raises(RuntimeError, match="the GPU reports CUDA_ERROR_ILLEGAL_ADDRESS"):
        host.check([(0,), (_Failed(),)])


class _Failed(int):
    name = "CUDA_ERROR_ILLEGAL_ADDRESS"

    def __new__(cls):
        return super().__new__(cls, 700)
