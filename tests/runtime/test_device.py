"""What is asked of arrays on a GPU, tried on tensors that are not on one, and on what only says that it is."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from optgen.runtime.cuda import arrays as device

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


@dataclass
class Elsewhere:
    """An array of a library that nobody knows, by its interface (version 3)."""

    shape: tuple[int, ...] = (2, 3)
    typestr: str = "<f4"
    address: int = 4096
    strides: tuple[int, ...] | None = None
    read_only: bool = False
    __cuda_array_interface__: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.__cuda_array_interface__ = {
            "shape": self.shape,
            "typestr": self.typestr,
            "data": (self.address, self.read_only),
            "strides": self.strides,
            "version": 3,
        }


@pytest.fixture
def tensors() -> Any:
    torch = pytest.importorskip("torch")
    return torch, device._Torch(torch, torch.device("cpu"), -1)


def test_tensors_are_seen_as_they_are(tensors: Any) -> None:
    torch, memory = tensors
    good = [torch.zeros(2, 3), torch.nn.Parameter(torch.ones(4, dtype=torch.float64)), torch.tensor(1.0)]
    shapes, dtypes = [(2, 3), (4,), ()], [FLOAT32, FLOAT64, FLOAT32]
    for tensor, shape, dtype in zip(good, shapes, dtypes, strict=True):
        memory.check(tensor, "it", shape, dtype, written=True)
    assert memory.addresses_if_plain(good, shapes, dtypes) == memory.addresses(good) == [x.data_ptr() for x in good]
    assert memory.addresses_if_plain([*good[:2], good[2].double()], shapes, dtypes) is None
    assert memory.addresses_if_plain([good[0], good[1], torch.ones(1)], shapes, dtypes) is None


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda torch: torch.zeros(3, 2).T, ValueError, "C-contiguous"),
        (lambda torch: torch.zeros(3, 2), ValueError, r"expected shape \(2, 3\), got \(3, 2\)"),
        (
            lambda torch: torch.zeros(2, 3, dtype=torch.bfloat16),
            TypeError,
            r"expected dtype float32, got (torch\.)?bfloat16",
        ),
        (lambda torch: torch.zeros(2, 3).to_sparse(), TypeError, "expected a torch.Tensor on a GPU"),
        (lambda _: np.zeros((2, 3), np.float32), TypeError, "expected a torch.Tensor on a GPU, .* got ndarray"),
        (lambda _: None, ValueError, r"grads\[0\] is missing"),
    ],
    ids=["transposed", "shape", "dtype", "sparse", "an array of NumPy", "none"],
)
def test_other_tensors_are_refused(tensors: Any, make: Any, error: Any, says: str) -> None:
    torch, memory = tensors
    assert memory.addresses_if_plain([make(torch)], [(2, 3)], [FLOAT32]) is None
    with pytest.raises(error, match=says):
        memory.check(make(torch), "grads[0]", (2, 3), FLOAT32, written=False)


def test_tensors_are_made_read_and_filled(tensors: Any) -> None:
    torch, memory = tensors
    made = memory.full((2, 3), 0.5, FLOAT64)
    assert (made.dtype, made.tolist()) == (torch.float64, [[0.5] * 3] * 2)
    parameter = torch.nn.Parameter(torch.zeros(2, 3))
    memory.write(parameter, np.arange(6.0).reshape(2, 3))
    assert memory.read(parameter).tolist() == [[0, 1, 2], [3, 4, 5]]
    memory.copy(parameter, made)
    assert parameter.tolist() == [[0.5] * 3] * 2


def test_what_has_the_interface_is_an_array() -> None:
    memory = device._CudaInterface()
    memory.check(Elsewhere(), "it", (2, 3), FLOAT32, written=True)
    memory.check(Elsewhere(strides=(12, 4)), "it", None, None, written=True)
    shapes = [(2, 3), (2, 3)]
    assert memory.addresses_if_plain([Elsewhere(), Elsewhere(address=64)], shapes, [FLOAT32] * 2) == [4096, 64]


@pytest.mark.parametrize(
    ("array", "error", "says"),
    [
        (Elsewhere(strides=(4, 8)), ValueError, "C-contiguous"),
        (Elsewhere(typestr="<f2"), TypeError, "expected dtype float32 or float64, got float16"),
        (Elsewhere(address=4098), ValueError, "aligned"),
        (Elsewhere(read_only=True), ValueError, "read-only"),
        (np.zeros(3), TypeError, "expected an array with __cuda_array_interface__, .* got ndarray"),
    ],
    ids=["strides", "float16", "in the middle of an element", "read-only", "an array of NumPy"],
)
def test_what_a_kernel_must_not_touch_is_refused(array: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        device._CudaInterface().check(array, "params[0]", None, None, written=True)
