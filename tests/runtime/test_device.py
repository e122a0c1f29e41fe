"""What is asked of arrays on a GPU, tried on tensors that are not on one, and on what only says that it is."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from optgen.generated.cuda import adamw
from optgen.runtime.core.memory import Kinds
from optgen.runtime.core.optimizer import OptimizerBase
from optgen.runtime.cpu import tensors as objects
from optgen.runtime.cpu.tensors import ODD
from optgen.runtime.cuda import arrays as device
from optgen.runtime.cuda.optimizer import FusedOptimizer

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


SHAPES = [(2, 3), (4,), (), (1, 5, 2)]


@pytest.fixture
def watched(tensors: Any) -> Any:
    """Parameters, and where objects say that gradients are: a list, in which one that is missing is at 0."""
    torch, memory = tensors
    params = [torch.nn.Parameter(torch.zeros(shape)) for shape in SHAPES]
    seen = memory.watched(params, Kinds(SHAPES, [FLOAT32] * len(SHAPES)))
    assert seen is not None

    def look(grads: Any) -> Any:
        found = seen.look(params, grads)
        return None if found is None else found[0].tolist()

    return torch, params, look


def test_gradients_that_are_given_are_where_torch_says(watched: Any) -> None:
    torch, _, look = watched
    for made in (torch.ones, torch.zeros, lambda shape: torch.nn.Parameter(torch.ones(shape))):
        grads = [made(shape) for shape in SHAPES]
        assert look(grads) == [grad.data_ptr() for grad in grads]
    later = torch.zeros(64)[7:]
    grads[1], grads[2] = later[3:7], None
    assert look(grads) == [0 if grad is None else grad.data_ptr() for grad in grads]
    assert look(grads[:3]) is None


ODD_ONES = {
    "transposed": lambda torch: torch.zeros(3, 2).T,
    "another shape": lambda torch: torch.zeros(3, 2),
    "more dimensions": lambda torch: torch.zeros(1, 2, 3),
    "another dtype": lambda torch: torch.zeros(2, 3, dtype=torch.float64),
    "another type of as many bits": lambda torch: torch.zeros(2, 3, dtype=torch.int32),
    "without memory": lambda torch: torch.zeros(2, 3, device="meta"),
    "sparse": lambda torch: torch.zeros(2, 3).to_sparse(),
    "negated": lambda torch: torch._neg_view(torch.zeros(2, 3)),
    "of another class": lambda torch: torch.zeros(2, 3).as_subclass(type("Own", (torch.Tensor,), {})),
    "in the middle of an element": lambda torch: torch.frombuffer(bytearray(28), dtype=torch.float32, offset=1, count=6)
    .reshape(2, 3),
    "of NumPy": lambda _: np.zeros((2, 3), np.float32),
    "a number": lambda _: 1.5,
    "a string": lambda _: "gradient",
    "a list": lambda _: [[0.0] * 3] * 2,
    "a class": lambda torch: torch.Tensor,
}  # fmt: skip


@pytest.mark.parametrize("case", ODD_ONES)
def test_what_is_not_like_its_parameter_needs_a_closer_look(watched: Any, case: str) -> None:
    torch, _, look = watched
    grads = [torch.zeros(shape) for shape in SHAPES]
    places = [grad.data_ptr() for grad in grads]
    grads[0] = ODD_ONES[case](torch)
    assert look(grads) == [ODD, *places[1:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda param: setattr(param, "data", param.data.clone()),
        lambda param: setattr(param, "data", param.data.double()),
        lambda param: param.data.untyped_storage().resize_(64),
        lambda param: setattr(param, "data", param.data.view(3, 2)),
    ],
    ids=["elsewhere", "dtype", "storage", "shape"],
)
def test_a_parameter_that_is_another_is_noticed(watched: Any, change: Any) -> None:
    torch, params, look = watched
    grads = [torch.zeros(shape) for shape in SHAPES]
    assert look(grads) is not None
    with torch.no_grad():
        change(params[0])
    assert look(grads) is None


def test_parameters_that_are_not_as_they_must_be_are_not_watched(tensors: Any) -> None:
    torch, memory = tensors
    kinds = Kinds([(2, 3)], [FLOAT32])
    for param in (torch.zeros(3, 2).T, torch.zeros(2, 3).double(), torch.zeros(2, 3).to_sparse(), torch.zeros(0, 3)):
        assert memory.watched([param], kinds) is None
    assert device._CudaInterface().watched([Elsewhere()], kinds) is None


class Looking(FusedOptimizer):
    """One that looks at gradients and has no kernels."""

    program = adamw.PROGRAM

    def __init__(self, params: Any, memory: Any) -> None:
        OptimizerBase.__init__(self, params, memory, {})
        self._layout()

    def _visit(self, taking: Any) -> None:
        """Prepare nothing."""


NOTHING: frozenset[int] = frozenset()


def test_what_is_known_of_gradients_does_not_hide_what_is_wrong(tensors: Any) -> None:
    torch, memory = tensors
    params = [torch.zeros(shape) for shape in SHAPES]
    optimizer = Looking(params, memory)
    grads = [torch.ones(shape) for shape in SHAPES]
    places = [grad.data_ptr() for grad in grads]
    state = optimizer.state["m"][1]
    for _ in range(2):
        assert optimizer._addresses(grads, NOTHING).tolist() == places
        some = [grads[0], None, *grads[2:]]
        assert optimizer._addresses(some, frozenset({1})).tolist() == [places[0], 0, *places[2:]]
        for given, error, says in (
            (some, ValueError, r"grads\[1\] is missing"),
            ([grads[0], state, *grads[2:]], ValueError, r"grads\[1\] overlaps state"),
            ([grads[0], params[1], *grads[2:]], ValueError, r"grads\[1\] overlaps params\[1\]"),
            ([grads[1], *grads[1:]], ValueError, r"grads\[0\]: expected shape"),
            ([grads[0].numpy(), *grads[1:]], TypeError, r"grads\[0\]: expected a torch.Tensor"),
            ([torch.zeros(3, 2).T, *grads[1:]], ValueError, r"grads\[0\]: expected a C-contiguous"),
        ):
            with pytest.raises(error, match=says):
                optimizer._addresses(given, NOTHING)
    params[0].set_(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"params\[0\]: expected its memory where it was"):
        optimizer._addresses(grads, NOTHING)


def test_gradients_in_other_formats_than_before_get_other_tables(tensors: Any) -> None:
    torch, memory = tensors
    optimizer = Looking([torch.zeros(shape) for shape in SHAPES], memory)
    for dtype in (torch.float32, torch.float16, torch.float32):
        grads = [torch.ones(shape, dtype=dtype) for shape in SHAPES]
        for _ in range(2):
            assert optimizer._addresses(grads, NOTHING).tolist() == [grad.data_ptr() for grad in grads]
            assert {its.name for its in optimizer._as_gradients.dtypes} == {str(dtype).removeprefix("torch.")}


def test_gradients_elsewhere_at_each_step_are_found_there(tensors: Any) -> None:
    torch, memory = tensors
    optimizer = Looking([torch.zeros(shape) for shape in SHAPES], memory)
    both = [[torch.ones(shape) for shape in SHAPES] for _ in range(2)]
    for grads in (*both, *both, *reversed(both)):
        assert optimizer._addresses(grads, NOTHING).tolist() == [grad.data_ptr() for grad in grads]


@pytest.mark.parametrize("word", ["KIND", "_OBJECT"])
def test_nothing_is_read_where_tensors_are_laid_out_otherwise(tensors: Any, monkeypatch: Any, word: str) -> None:
    torch, memory = tensors
    monkeypatch.setattr(objects, word, getattr(objects, word) - 8)
    assert objects.known_layout.__wrapped__(torch) is None
    monkeypatch.setattr(objects, "known_layout", lambda _torch: None)
    optimizer = Looking([torch.zeros(shape) for shape in SHAPES], memory)
    assert optimizer._watched is None
    grads = [torch.ones(shape) for shape in SHAPES]
    assert optimizer._addresses(grads, NOTHING).tolist() == [grad.data_ptr() for grad in grads]


def test_the_stream_is_the_one_that_torch_uses() -> None:
    cuda = SimpleNamespace(current_stream=lambda number: SimpleNamespace(cuda_stream=100 + number))
    for inner, stream in (
        (SimpleNamespace(), 103),
        (SimpleNamespace(_cuda_getCurrentRawStream=lambda n: 200 + n), 203),
    ):
        assert device._Torch(SimpleNamespace(cuda=cuda, _C=inner), None, 3).stream() == stream
