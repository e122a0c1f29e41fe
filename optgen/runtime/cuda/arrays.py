"""Arrays in the memory of a GPU: those of PyTorch, of CuPy, and any other that says where it lies.

A kernel sees addresses only, so what could make it read or write where it should not is refused here, as
`optgen.runtime.core.arrays` does for NumPy. States are arrays of the library that the parameters are of.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import attrgetter, or_
from typing import Any

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.memory import Kinds, Memory
from optgen.runtime.core.program import Array, Call
from optgen.runtime.core.storage import FORMATS, dtype_of
from optgen.runtime.cpu.tensors import TensorsSeen, tensors_seen
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda import primitives as cuda

_DTYPE, _SHAPE, _LAYOUT = map(attrgetter, ("dtype", "shape", "layout"))


@dataclass(frozen=True)
class _Seen:
    """What a check looks at."""

    shape: tuple[int, ...]
    dtype: Any
    contiguous: bool
    address: int
    number: int
    writeable: bool = True


class DeviceMemory(Memory):
    """Arrays of one library on one GPU, all checked alike."""

    number: int  # of the GPU
    kind: str  # what they are, in words

    def seen(self, array: Any) -> _Seen | None:
        """What there is to know about an array; None if it is none of the library's."""
        raise NotImplementedError

    def write(self, array: Any, values: Array) -> None:
        """Fill an array with the values of one of NumPy."""
        raise NotImplementedError

    def stream(self) -> int:
        """The handle of the stream that the library uses now."""
        raise NotImplementedError

    def plain(self, array: Any) -> Any:
        """The array."""
        return array

    def writing(self, array: Any, values: Array) -> Call:
        """The call that fills an array with the values of one of NumPy."""
        return partial(self.write, array, values)

    def uploaded(self, values: Array, stream: int) -> Any:
        """A copy of an array of NumPy on the GPU, in memory of the library; nothing waits for it.

        What a library gets back it keeps for what comes later in the stream, so such an array may be let go of while
        kernels that use it have not run yet.
        """
        target = self.full(values.shape, 0, values.dtype)
        if values.size:
            cuda_host.upload(cuda_host.as_device_array(target), values, stream)
        return target

    def used_in(self, stream: int, arrays: Sequence[Any]) -> None:
        """Tell the library that kernels in a stream use arrays, which it may not give out again before they are done.

        Those of CuPy and Numba are to be let go of in the stream that they were made in.
        """

    def check(self, array: Any, name: str, shape: tuple[int, ...] | None, dtype: Any, *, written: bool) -> None:
        """Refuse an array that a kernel must not touch."""
        if array is None:
            raise ValueError(f"{name} is missing (None): expected {self.kind}, zeros where there is nothing to say")
        seen = self.seen(array)
        if seen is None:
            got = type(array).__name__
            raise TypeError(f"{name}: expected {self.kind}, as the parameters are, got {got}")
        if seen.number < 0 <= self.number:
            raise ValueError(
                f"{name}: expected {self.kind}, got one in the memory of the CPU; move it there: {name}.cuda()"
            )
        if seen.number != self.number:
            raise ValueError(
                f"{name}: expected an array on GPU {self.number}, as the parameters are, not {seen.number}"
            )
        names = ("float32", "float64") if dtype is None else dtype if isinstance(dtype, tuple) else (dtype.name,)
        if getattr(seen.dtype, "name", "") not in names:
            expected = " or ".join(names)
            raise TypeError(f"{name}: expected dtype {expected}, got {seen.dtype}")
        if shape is not None and seen.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {seen.shape}")
        if not seen.contiguous:
            raise ValueError(f"{name}: expected a C-contiguous array; copy it first")
        if not seen.address and 0 not in seen.shape:
            raise ValueError(f"{name}: expected an array with memory of its own, a {type(array).__name__} has none")
        if seen.address % seen.dtype.itemsize:
            raise ValueError(f"{name}: expected an aligned array, its memory starts in the middle of an element")
        if written and not seen.writeable:
            raise ValueError(f"{name}: expected a writeable array, it is read-only")

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        """Where each array's first element lies."""
        return [seen.address for array in arrays if (seen := self.seen(array))]

    def addresses_if_plain(
        self, arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]], dtypes: Sequence[np.dtype[Any]]
    ) -> list[int] | None:
        """Where the first elements lie of arrays that `check` would pass; None if any needs a closer look."""
        found = [self.seen(array) for array in arrays]
        kinds = zip(found, shapes, dtypes, strict=True)
        if all(
            seen and seen.shape == shape and seen.dtype == dtype and seen.contiguous and seen.writeable
            and seen.number == self.number and seen.address % dtype.itemsize == 0
            for seen, shape, dtype in kinds
        ):  # fmt: skip
            return [seen.address for seen in found if seen]
        return None

    def are_still_at(
        self,
        starts: Sequence[int],
        arrays: Sequence[Any],
        shapes: Sequence[tuple[int, ...]],  # noqa: ARG002 - memory that has not moved has not been given back
        dtypes: Sequence[np.dtype[Any]],  # noqa: ARG002
    ) -> bool:
        """Whether arrays are where they were."""
        return self.addresses(arrays) == starts

    def watched(self, params: list[Any], params_are: Kinds) -> TensorsSeen | None:  # noqa: ARG002 - of PyTorch alone
        """What tells where gradients like parameters are, in less time; None where nothing does."""
        return None

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        """The dtype of an array, as NumPy has it."""
        dtype: np.dtype[Any] = np.dtype(array.dtype)
        return dtype


def memory_of(params: Sequence[Any]) -> DeviceMemory:
    """What the arrays of a model are, judged by the first."""
    first = params[0]
    if cuda.SIMULATED:
        return _Simulated()
    library = type(first).__module__.split(".")[0]
    if _is_tensor(first):
        if not first.is_cuda:
            raise TypeError(f"params: expected tensors on a GPU, got one on {first.device}; move them there: .cuda()")
        return _Torch(sys.modules["torch"], first.device, int(first.device.index))
    if library == "cupy":
        return _CuPy(sys.modules["cupy"], int(first.device.id))
    if hasattr(first, "__cuda_array_interface__"):
        return _CudaInterface(cuda_host.gpu_of(int(first.__cuda_array_interface__["data"][0] or 0)))
    raise TypeError(
        f"params: expected arrays in the memory of a GPU, as PyTorch, CuPy and Numba have them, got "
        f"{type(first).__name__}; for NumPy's there is optgen.generated.cpu"
    )


def _is_tensor(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


@dataclass(frozen=True)
class _Torch(DeviceMemory):
    """Tensors of PyTorch."""

    torch: Any
    device: Any
    number: int
    kind: str = "a torch.Tensor on a GPU"

    def seen(self, array: Any) -> _Seen | None:
        if not isinstance(array, self.torch.Tensor) or array.layout != self.torch.strided:
            return None
        dtype = self._dtypes.get(array.dtype, array.dtype)
        number = -1 if array.device.index is None else array.device.index
        return _Seen(tuple(array.shape), dtype, array.is_contiguous(), array.data_ptr(), number)

    @cached_property
    def _dtypes(self) -> dict[Any, np.dtype[Any]]:
        found = {}
        for name in FORMATS:
            with suppress(ImportError):  # of ml_dtypes, without which bfloat16 is refused as any other dtype is
                found[getattr(self.torch, name)] = dtype_of(name)
        return found

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        return list(map(self.torch.Tensor.data_ptr, arrays))

    def addresses_if_plain(
        self, arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]], dtypes: Sequence[np.dtype[Any]]
    ) -> list[int] | None:
        # What is asked of every tensor is asked by `map`: a loop of Python takes longer than the tensors do.
        tensor = self.torch.Tensor
        if not {tensor, self.torch.nn.Parameter}.issuperset(map(type, arrays)):
            return None
        if list(map(self._dtypes.get, map(_DTYPE, arrays))) != dtypes or list(map(_SHAPE, arrays)) != shapes:
            return None
        if {self.number} != set(map(tensor.get_device, arrays)) or {self.torch.strided} != set(map(_LAYOUT, arrays)):
            return None
        if not all(map(tensor.is_contiguous, arrays)):
            return None
        starts = self.addresses(arrays)
        if 0 in starts or (reduce(or_, starts, 0) & 7 and any(map(self._is_odd, arrays))):
            return None
        return starts

    @staticmethod
    def _is_odd(array: Any) -> bool:
        return bool(array.data_ptr() % array.element_size())

    def watched(self, params: list[Any], params_are: Kinds) -> TensorsSeen | None:
        is_plain = self.addresses_if_plain(params, params_are.shapes, params_are.dtypes) is not None
        return tensors_seen(self.torch, params) if is_plain else None

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        return self._dtypes[array.dtype]

    def full(self, shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Any:
        return self.torch.full(shape, value, dtype=getattr(self.torch, dtype.name), device=self.device)

    def read(self, array: Any) -> Array:
        there = array.detach().cpu()
        if array.dtype == self.torch.bfloat16:  # which NumPy must be told of
            return np.array(there.view(self.torch.int16).numpy()).view(dtype_of("bfloat16"))
        return np.array(there.numpy())

    def write(self, array: Any, values: Array) -> None:
        if values.dtype.name == "bfloat16":
            array.detach().copy_(self.torch.from_numpy(np.array(values).view(np.int16)).view(self.torch.bfloat16))
        else:
            array.detach().copy_(self.torch.from_numpy(np.array(values)))

    def copy(self, target: Any, source: Any) -> None:
        target.detach().copy_(source.detach())

    def used_in(self, stream: int, arrays: Sequence[Any]) -> None:
        cuda_of = self.torch.cuda
        its = cuda_of.ExternalStream(stream, self.device) if stream else cuda_of.default_stream(self.device)
        for array in arrays:
            array.record_stream(its)

    def stream(self) -> int:
        return int(self._stream_of(self.number))

    @cached_property
    def _stream_of(self) -> Callable[[int], int]:
        """From the number of a GPU to its stream: torch's own way, where it is there, takes a tenth of the time."""
        ask = self.torch.cuda.current_stream
        return getattr(self.torch._C, "_cuda_getCurrentRawStream", lambda number: ask(number).cuda_stream)  # noqa: SLF001


@dataclass(frozen=True)
class _CuPy(DeviceMemory):
    """Arrays of CuPy."""

    cupy: Any
    number: int
    kind: str = "a cupy.ndarray"

    def seen(self, array: Any) -> _Seen | None:
        if not isinstance(array, self.cupy.ndarray):
            return None
        contiguous = bool(array.flags.c_contiguous)
        return _Seen(array.shape, array.dtype, contiguous, int(array.data.ptr), int(array.device.id))

    def full(self, shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Any:
        with self.cupy.cuda.Device(self.number):
            return self.cupy.full(shape, value, dtype)

    def read(self, array: Any) -> Array:
        return np.array(self.cupy.asnumpy(array))

    def write(self, array: Any, values: Array) -> None:
        array.set(np.ascontiguousarray(values).reshape(array.shape))

    def copy(self, target: Any, source: Any) -> None:
        target[...] = source

    def stream(self) -> int:
        return int(self.cupy.cuda.get_current_stream().ptr)


@dataclass(frozen=True)
class _CudaInterface(DeviceMemory):
    """Arrays that have ``__cuda_array_interface__`` (version 2 or 3).

    States are arrays of Numba, which are made and copied in the default stream, and waited for.
    """

    number: int = 0
    kind: str = "an array with __cuda_array_interface__"

    def seen(self, array: Any) -> _Seen | None:
        its = getattr(array, "__cuda_array_interface__", None)
        if its is None or isinstance(array, np.ndarray):
            return None
        address, read_only = its["data"]
        shape, dtype = tuple(its["shape"]), np.dtype(its["typestr"])
        plain = np.lib.stride_tricks.as_strided(np.empty(0, dtype), shape, its.get("strides") or None, writeable=False)
        contiguous = its.get("strides") is None or bool(plain.flags.c_contiguous)
        return _Seen(shape, dtype, contiguous, int(address or 0), self.number, not read_only)

    def full(self, shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Any:
        with cuda_host.on_gpu(self.number):
            return cuda_host.to_device(np.full(shape, value, dtype))

    def read(self, array: Any) -> Array:
        with cuda_host.on_gpu(self.number):
            return np.array(cuda_host.as_device_array(array).copy_to_host())

    def write(self, array: Any, values: Array) -> None:
        with cuda_host.on_gpu(self.number):
            cuda_host.as_device_array(array).copy_to_device(np.ascontiguousarray(values).reshape(array.shape))

    def copy(self, target: Any, source: Any) -> None:
        if target.dtype != source.dtype:  # which Numba does not convert
            self.write(target, self.read(source).astype(target.dtype))
            return
        with cuda_host.on_gpu(self.number):
            cuda_host.as_device_array(target).copy_to_device(cuda_host.as_device_array(source))

    def stream(self) -> int:
        return 0  # the default stream, which is the one that Numba uses


class _Simulated(DeviceMemory):
    """Arrays of NumPy, which are on the simulated GPU too."""

    kind = "a numpy.ndarray, since NUMBA_ENABLE_CUDASIM simulates the GPU"
    number = 0

    def seen(self, array: Any) -> _Seen | None:
        if not isinstance(array, np.ndarray):
            return None
        its = arrays.plain(array)
        return _Seen(its.shape, its.dtype, its.flags.c_contiguous, its.ctypes.data, self.number, its.flags.writeable)

    plain = staticmethod(arrays.plain)
    full = staticmethod(arrays.full)
    read = staticmethod(arrays.read)
    writing = staticmethod(arrays.writing)
    copy = staticmethod(arrays.copy)

    def stream(self) -> int:
        return 0
