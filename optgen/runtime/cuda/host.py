"""What the host does for kernels on NVIDIA GPUs, and for those in Numba's simulator: launches, streams, memory."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from math import prod
from typing import Any

import numpy as np

from optgen.runtime.core.program import Array, Call
from optgen.runtime.core.storage import WORD, Handed
from optgen.runtime.cuda.primitives import PLAIN, SIMULATED, THREADS, numba_cuda

if not PLAIN:
    from cuda.bindings import driver  # it comes with numba-cuda, and only there

    # To look a member of an enumeration up takes as long as the question that it answers.
    _IS_IMPLICIT = driver.CUresult.CUDA_ERROR_STREAM_CAPTURE_IMPLICIT
    _IS_NOT_CAPTURED = driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE

_IS_CURRENT = nullcontext()


def prepared(function: Any, blocks: int, arguments: Sequence[Any]) -> Callable[[int], Call]:
    """A kernel with its grid and arguments, compiled and loaded: from a stream to the call that puts it there.

    A launch by numba-cuda looks at each argument anew, which takes longer than most kernels run. Here the words that
    the driver is handed are written down once.
    """
    if SIMULATED:
        return lambda _: partial(_simulated, function, blocks, arguments)
    kernel = function.compile(tuple(map(function.typeof_pyval, arguments)))
    of_library = kernel._codelibrary.get_cufunc().handle  # noqa: SLF001 - numba-cuda has no other way to it
    error, loaded = driver.cuKernelGetFunction(of_library)
    check([(error,), driver.cuFuncLoad(loaded)])
    words = np.concatenate([words_of(argument) for argument in arguments])
    places = words.ctypes.data + words.itemsize * np.arange(len(words), dtype=np.uint64)
    grid, block, shared = (blocks, 1, 1), (THREADS, 1, 1), 0

    def put(stream: int) -> Call:
        call = partial(driver.cuLaunchKernel, int(loaded), *grid, *block, shared, stream, places.ctypes.data, 0)
        call.keeps = words, places, kernel, arguments  # type: ignore[attr-defined] # what the addresses are of
        return call

    return put


def words_of(argument: Any) -> Array:
    """An argument of a kernel as the words of 64 bits that Numba makes of it: an array as its object on the GPU."""
    if isinstance(argument, Handed):
        return np.array([vars(argument)[WORD]], np.int64)
    size, itemsize, shape = argument.size, argument.dtype.itemsize, argument.shape
    strides = [itemsize * prod(shape[k + 1 :]) for k in range(len(shape))]
    owner = parent = 0
    return np.array([owner, parent, size, itemsize, address_of(argument), *shape, *strides], np.int64)


def _simulated(function: Any, blocks: int, arguments: Sequence[Any]) -> None:
    with warnings.catch_warnings():  # a GPU raises no flags
        warnings.simplefilter("ignore", RuntimeWarning)
        function[blocks, THREADS](*arguments)


def check(results: Iterable[Any]) -> None:
    """Complain of what a call of the driver returned, if it, or what was put into the stream before, has failed."""
    for result in results:
        if isinstance(result, tuple) and result[0] != 0:
            error = result[0].name
            raise RuntimeError(f"the GPU reports {error}, maybe of something that was put into a stream before")


def is_capturing(stream: int) -> bool:
    """Whether what is put into a stream becomes a CUDA graph, in place of being run."""
    if SIMULATED:
        return False
    error, status = driver.cuStreamIsCapturing(stream)
    if error == _IS_IMPLICIT:  # the default stream while another one is captured
        raise RuntimeError("the default stream cannot be used while a CUDA graph is captured in another one")
    check([(error,)])
    return bool(status != _IS_NOT_CAPTURED)


def to_device(array: Any) -> Any:
    """A copy of a NumPy array in the memory of the current GPU, as an array of Numba."""
    return array.copy() if SIMULATED else numba_cuda.to_device(array)


def uploading(target: Any, host: Array, stream: int) -> Call:
    """The call that puts into a stream a copy of a NumPy array to an array on the GPU of as many bytes.

    The array may change after the call: the driver has read it by then, unless it is `pinned`.
    """
    if SIMULATED:
        return partial(operator.setitem, target, ..., host)
    call = partial(driver.cuMemcpyHtoDAsync, address_of(target), host.ctypes.data, host.nbytes, stream)
    call.keeps = target, host  # type: ignore[attr-defined]
    return call


def upload(target: Any, host: Array, stream: int) -> None:
    """Put such a copy into a stream."""
    check([uploading(target, np.ascontiguousarray(host), stream)()])


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
    with numba_cuda.gpus[0]:  # the question takes any context
        error, number = driver.cuPointerGetAttribute(
            driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address
        )
    if error != driver.CUresult.CUDA_SUCCESS:
        raise ValueError(f"there is no memory of a GPU at address {address:#x} ({error.name})")
    return int(number)


def on_gpu(number: int) -> AbstractContextManager[Any]:
    """A context in which a GPU is the current one."""
    if not SIMULATED and int(driver.cuCtxGetCurrent()[1]) == _context_of(number):
        return _IS_CURRENT
    return numba_cuda.gpus[number]  # type: ignore[no-any-return]


def calls_on_gpu(number: int, calls: list[Call]) -> list[Call]:
    """Calls of the driver, with others around them that make a GPU the current one, if it is not."""
    if SIMULATED:
        return calls
    there = _context_of(number)
    if int(driver.cuCtxGetCurrent()[1]) == there:
        return calls
    return [partial(driver.cuCtxPushCurrent, there), *calls, partial(driver.cuCtxPopCurrent)]


@cache
def _context_of(number: int) -> int:
    """What the driver calls the context that all libraries share on a GPU."""
    with numba_cuda.gpus[number]:
        return int(driver.cuCtxGetCurrent()[1])
