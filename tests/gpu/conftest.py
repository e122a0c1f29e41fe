"""Tests on a GPU. Each is skipped where there is none, and says why.

They train arrays of PyTorch, CuPy and Numba, whichever are installed. In Numba's simulator NumPy's stand for them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optgen.runtime.cuda import primitives as cuda

HERE = Path(__file__).parent
NAMES = ("numpy",) if cuda.SIMULATED else ("torch", "cupy", "numba")
LONG = ((129,), (9, 33), (300,)) if cuda.SIMULATED else ((4097,), (64, 33), (100_003,))
"""More than a chunk, which is shorter in the simulator."""
SHAPES = ((), (7,), (3, 5), (2, 4, 6), (0, 3), *LONG)
PICKS = (
    "adamw",
    "adafactor",
    "ema_clip_global_norm_adamw",
    "gradient_noise_sgd",
    "lookahead_adamw",
    "schedule_free_adamw",
    "sm3",
    "swats",
)
"""Elements alone, totals of every kind, draws, several branches, states of rows, of the model and on the host."""
SHIFTED = {1, 3, 5}
"""The tensors that begin at the second element of their memory, so that no four elements can be moved at once."""


@dataclass(frozen=True)
class Library:
    """Whose arrays are trained.

    Parameters
    ----------
    name : str
        Of the package.
    module : module
        The package.
    put : callable
        From an array of NumPy to a copy in the memory of the GPU.
    take : callable
        From an array on the GPU to a copy of NumPy's.
    fill : callable
        ``fill(array, values)`` writes values of NumPy's into an array on the GPU.
    other_stream : callable
        A context in which the library uses a stream that does not wait for the default one, if it has any.
    wait : callable
        Returns when the GPU has nothing left to do.
    """

    name: str
    module: Any
    put: Callable[[Any], Any]
    take: Callable[[Any], Any]
    fill: Callable[[Any, Any], None]
    other_stream: Callable[[], AbstractContextManager[Any]] = nullcontext
    wait: Callable[[], None] = lambda: None

    def model(self, values: Any, shifted: Any = SHIFTED) -> list[Any]:
        """Copies of arrays on the GPU, some of which begin at the second element of their memory."""
        return [self._placed(array, int(k in shifted and array.size > 0)) for k, array in enumerate(values)]

    def _placed(self, array: Any, shift: int) -> Any:
        if not shift:
            return self.put(array)
        return self.put(np.concatenate([np.zeros(shift, array.dtype), array.ravel()]))[shift:].reshape(array.shape)

    def bits(self, *optimizers: Any) -> list[bytes]:
        """Every byte of the parameters and states of optimizers, and how many steps each has taken."""
        found = []
        for optimizer in optimizers:
            states = {name: np.asarray(value).tobytes() for name, value in optimizer.state_dict().items()}
            found += [*(self.take(param).tobytes() for param in optimizer.params), *sorted(states.items())]
        return found


def _torch(torch: Any) -> Library:
    def fill(array: Any, values: Any) -> None:
        array.detach().copy_(torch.from_numpy(np.array(values)))

    return Library(
        "torch",
        torch,
        put=lambda values: torch.from_numpy(np.array(values)).cuda(),
        take=lambda array: np.array(array.detach().cpu().numpy()),
        fill=fill,
        other_stream=lambda: torch.cuda.stream(torch.cuda.Stream()),
        wait=torch.cuda.synchronize,
    )


def _cupy(cupy: Any) -> Library:
    return Library(
        "cupy",
        cupy,
        put=lambda values: cupy.array(np.array(values)),
        take=cupy.asnumpy,
        fill=lambda array, values: array.set(np.array(values)),
        other_stream=lambda: cupy.cuda.Stream(non_blocking=True),
        wait=lambda: cupy.cuda.Device().synchronize(),
    )


def _numba(numba_cuda: Any) -> Library:
    return Library(
        "numba",
        numba_cuda,
        put=lambda values: numba_cuda.to_device(np.array(values)),
        take=lambda array: np.array(array.copy_to_host()),
        fill=lambda array, values: array.copy_to_device(np.array(values)),
        wait=numba_cuda.synchronize,
    )


def _numpy(numpy: Any) -> Library:
    def fill(array: Any, values: Any) -> None:
        array[...] = values

    return Library("numpy", numpy, put=numpy.array, take=numpy.array, fill=fill)


_MADE = {"torch": _torch, "cupy": _cupy, "numba": _numba, "numpy": _numpy}
_MODULES = {"numba": "numba.cuda"}


def _found(name: str) -> Library | str:
    """A library, or why its arrays cannot be used."""
    try:
        module = import_module(_MODULES.get(name, name))
    except ImportError:
        return f"{name} is not installed"
    if name in {"torch", "cupy"} and not module.cuda.is_available():
        return f"{name} sees no GPU"
    return _MADE[name](module)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip where there is no GPU. Warnings are shown; those of what we do, and of slow use of kernels, are errors."""
    mine = [item for item in items if HERE in item.path.parents]
    reason = _missing() if mine else ""
    simulated = ["ignore::RuntimeWarning"] if cuda.SIMULATED else []  # a GPU raises no flags
    for item in mine:
        item.add_marker(
            pytest.mark.filterwarnings(
                "default", "error:Host array", "error:Grid size", r"error:::optgen\.", "error:::test_", *simulated
            )
        )
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def _missing() -> str:
    """Why no kernel can run; nothing if it can."""
    try:
        cuda.require_gpu()
    except RuntimeError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def library() -> Library:
    """The first library that is there: any will do."""
    found = [_found(name) for name in NAMES]
    usable = [each for each in found if isinstance(each, Library)]
    if not usable:
        pytest.skip(f"no arrays on a GPU: {', '.join(map(str, found))}")
    return usable[0]


@pytest.fixture(scope="session", params=NAMES)
def each_library(request: pytest.FixtureRequest) -> Library:
    """Every library in turn."""
    found = _found(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def torch_library() -> Library:
    """PyTorch, for what has no like elsewhere."""
    found = _found("torch") if "torch" in NAMES else "the simulator knows nothing of PyTorch"
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def host() -> Library:
    """NumPy, whose arrays modules for CPUs take."""
    return _numpy(np)


@pytest.fixture(scope="session")
def on_gpu(generated_by_name: Any) -> Callable[[str], Any]:
    """From an optimizer's name to its class for GPUs."""

    def kind(name: str) -> Any:
        return getattr(import_module(f"optgen.generated.cuda.{name}"), generated_by_name(name).optimizer.title)

    return kind


@pytest.fixture(scope="session", params=PICKS)
def pick(request: pytest.FixtureRequest) -> str:
    """An optimizer of each kind in turn, for what does not depend on the rule."""
    return request.param


@pytest.fixture(scope="session")
def arrays() -> Callable[..., list[Any]]:
    """Random arrays of odd shapes: ``arrays(seed, dtype, …)``, of one dtype after another."""

    def draw(seed: int, *dtypes: Any) -> list[Any]:
        rng = np.random.default_rng(seed)
        kinds = [dtypes[k % len(dtypes)] for k in range(len(SHAPES))]
        return [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in zip(SHAPES, kinds, strict=True)]

    return draw
