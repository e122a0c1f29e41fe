"""What the host does for kernels on NVIDIA GPUs, and for those in Numba's simulator: launches, streams, memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from optgen.runtime.cuda.primitives import SIMULATED, THREADS, numba_cuda


def configured(function: Any, blocks: int, stream: Any) -> Callable[..., None]:
    """A kernel with its grid and stream, to be called with its arguments.

    Parameters
    ----------
    function : callable
        As `kernel` returned it.
    blocks : int
        How many, at least one.
    stream : numba stream
        Where it is put.
    """
    with warnings.catch_warnings():  # a sweep over what is small takes few blocks, as it should
        warnings.filterwarnings("ignore", message="Grid size", category=Warning)
        if not SIMULATED:
            return function[blocks, THREADS, stream]  # type: ignore[no-any-return]

    def simulated_kernel(*arguments: Any) -> None:
        with warnings.catch_warnings():  # a GPU raises no flags
            warnings.simplefilter("ignore", RuntimeWarning)
            function[blocks, THREADS](*arguments)

    return simulated_kernel


def stream_at(handle: int) -> Any:
    """The stream with a handle of CUDA's, 0 for the default one."""
    return numba_cuda.external_stream(handle) if handle else numba_cuda.default_stream()


def is_capturing(stream: Any) -> bool:
    """Whether what is put into a stream becomes a CUDA graph, in place of being run."""
    if SIMULATED:
        return False
    from cuda.bindings import driver  # noqa: PLC0415 - it comes with numba-cuda, and only there

    error, status = driver.cuStreamIsCapturing(int(stream.handle))
    if error == driver.CUresult.CUDA_ERROR_STREAM_CAPTURE_IMPLICIT:  # the default stream while another one is captured
        raise RuntimeError("the default stream cannot be used while a CUDA graph is captured in another one")
    if error != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"the GPU reports {error.name}, maybe of something that was put into the stream before")
    return bool(status != driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE)


def to_device(array: Any) -> Any:
    """A copy of a NumPy array in the memory of the current GPU, as an array of Numba."""
    return array.copy() if SIMULATED else numba_cuda.to_device(array)


def upload(target: Any, host: Any, stream: Any) -> None:
    """Put into a stream a copy of a NumPy array to an array on the GPU.

    The array may change after the call: the driver has read it by then, unless it is `pinned`.
    """
    if SIMULATED:
        target[...] = host
    else:
        target.copy_to_device(host, stream)


def pinned(size: int) -> Any:
    """A NumPy array of int64 that a CUDA graph can copy from."""
    return np.empty(size, np.int64) if SIMULATED else numba_cuda.pinned_array(size, np.int64)


def as_device_array(array: Any) -> Any:
    """An array of another library, or of NumPy in the simulator, as kernels take it; no copy is made."""
    return array if SIMULATED else numba_cuda.as_cuda_array(array, sync=False)


def address_of(array: Any) -> int:
    """Where an array lies, as `as_device_array` returned it."""
    return int(array.ctypes.data if SIMULATED else array.device_ctypes_pointer.value)


def gpu_of(address: int) -> int:
    """The number of the GPU whose memory an address is in; for none, that of the current one."""
    if not address:
        return int(numba_cuda.get_current_device().id)
    from cuda.bindings import driver  # noqa: PLC0415

    with numba_cuda.gpus[0]:  # the question takes any context
        error, number = driver.cuPointerGetAttribute(
            driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address
        )
    if error != driver.CUresult.CUDA_SUCCESS:
        raise ValueError(f"there is no memory of a GPU at address {address:#x} ({error.name})")
    return int(number)


def on_gpu(number: int) -> Any:
    """A context in which a GPU is the current one."""
    return numba_cuda.gpus[number]
