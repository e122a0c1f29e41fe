"""``FusedOptimizer``: the base class of every optimizer that is generated for GPUs, and ``update_array``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.beginning import fill
from optgen.runtime.core.optimizer import OptimizerBase
from optgen.runtime.core.program import Array, Call, Params, Program, as_step_count
from optgen.runtime.core.small import cuts_of
from optgen.runtime.core.storage import FORMATS, OPTIONS, stored_as
from optgen.runtime.core.table import Cuts
from optgen.runtime.core.turn import TURN, run
from optgen.runtime.cpu.single import addresses_of, formats_of
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.arrays import DeviceMemory, memory_of
from optgen.runtime.cuda.launch import CHUNK, OnDevice, SmallOnDevice, allocated_on_device

__all__ = ["FusedOptimizer", "update_array"]


class FusedOptimizer(OptimizerBase):
    """An optimizer that updates all arrays of a model, in place, on the GPU that they are on, one launch a sweep.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    A step is put into the current stream of the library that the parameters are of, and nothing waits for it. Any
    thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of array
        The arrays to train, on one GPU: tensors of PyTorch, arrays of CuPy or others with
        ``__cuda_array_interface__``; float32 or float64, C-contiguous, sharing no memory. They are updated in place.
    **hypers : float or callable
        Hyperparameters by name. A callable is a schedule: it is called with the number of each step, 1 at the first,
        and returns the number to use.

    Raises
    ------
    RuntimeError
        If there is no GPU, no driver or no numba-cuda: says what is missing.
    TypeError, ValueError
        If an argument is not as expected.

    Notes
    -----
    For a CUDA graph, capture `launch`, and call `advance` before each replay::

        opt.compile()
        with torch.cuda.graph(graph):
            opt.launch(grads)
        for t in range(1, 1001):
            opt.advance(lr=schedule(t))
            graph.replay()
    """

    chunk: ClassVar[int] = CHUNK
    takes = FORMATS
    _memory: DeviceMemory

    def __init__(self, params: Params, **hypers: Any) -> None:
        cuda.require_gpu()
        options = {name: hypers.pop(name) for name in OPTIONS if name in hypers}
        for name in options.keys() - {"store"}:
            raise ValueError(f"{name}: kernels for GPUs round to nearest, and keep nothing beside parameters, so far")
        given = list(params.values() if isinstance(params, Mapping) else params) if _is_model(params) else []
        memory = memory_of(given) if given else cast("DeviceMemory", None)
        self._streams: dict[int, Any] = {}
        self._compiled = False
        with cuda_host.on_gpu(memory.number if memory else 0):
            super().__init__(params, memory, hypers, options)
            self._layout()

    def _layout(self) -> None:
        small, memory, stream = cast("SmallOnDevice | None", self._small), self._memory, self._stream()
        cuts = small.cuts if small else cuts_of(self.program, self._shapes, self.chunk)
        storages = self._storages()
        self._work = OnDevice(
            self.program, self._columns, storages, cuts=cuts, small=small, memory=memory, stream=stream
        )
        self._compiled = False

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> SmallOnDevice:
        return allocated_on_device(self.program, self._memory, cuts, states, self._stream())

    def step(self, grads: Params, **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        An interrupt (Ctrl-C) finds the step either not begun or in the stream as a whole.

        Parameters
        ----------
        grads : list, tuple or dict of array
            The gradients, of the shapes, dtypes and library of the parameters. They are only read, and must stay as
            they are until the GPU has done the step, as is the case for whatever is put into the same stream later.
        **hypers : float
            Values for this step alone, as from a schedule: ``opt.step(grads, lr=3e-4)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        RuntimeError
            If a CUDA graph is being captured: that takes `launch`.
        """
        checked = self.program.checked(hypers)
        gradients = self._in_order(grads)
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._stream()
            self._refuse_capture(stream, "step")
            starts = self._addresses(gradients).tolist()
            self._take(*self._next(checked, stream, starts))

    def advance(self, **hypers: float) -> None:
        """Count a step and give the GPU its scalars, which the next `launch`, or a captured one, works with.

        Parameters
        ----------
        **hypers : float
            Values for this step alone.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        RuntimeError
            If a CUDA graph is being captured: it would have the same scalars for ever.
        """
        checked = self.program.checked(hypers)
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._stream()
            self._refuse_capture(stream, "advance")
            self._take(*self._next(checked, stream, None))

    def launch(self, grads: Params) -> None:
        """Launch the kernels of the step that `advance` has counted. This can be captured as a CUDA graph.

        Parameters
        ----------
        grads : list, tuple or dict of array
            As for `step`. A graph reads the gradients where they are when it is captured.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        RuntimeError
            If the kernels have not been compiled: `compile` does it.
        """
        gradients = self._in_order(grads)
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._stream()
            starts = self._addresses(gradients).tolist()
            if not self._compiled:
                raise RuntimeError("launch() before any kernel is compiled: call compile(), then advance(), first")
            with _uninterrupted():
                run([*self._work.pointing(starts, stream), *self._work.launches(stream)])

    def compile(self) -> None:
        """Compile and load all kernels, and prepare for the capture of a CUDA graph. Nothing is updated.

        The first step compiles by itself; only a capture needs this before, and each needs it anew.
        """
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._stream()
            self._refuse_capture(stream, "compile")
            now = self.program.at(max(self._t, 1), self._hypers)
            scalars, _ = self.program.computed(max(self._t, 1), now.values(), self._numbers)
            self._compile(scalars, self.program.keys(max(self._t, 1), now), stream)
            self._work.prepare_graph()

    def _compile(self, scalars: Sequence[float], keys: Sequence[Array], stream: Any) -> None:
        if not self._work.has_scalars:  # those of a step that has been counted are left alone
            run(self._work.scalars(scalars, keys, stream))
        self._work.compile(stream)
        self._compiled = True

    def _change(self, calls: Iterable[Call], **attributes: Any) -> None:
        with _uninterrupted():
            super()._change(calls, **attributes)

    def _next(
        self, checked: Mapping[str, float], stream: Any, starts: Sequence[int] | None
    ) -> tuple[Sequence[float], list[Call]]:
        """The numbers after the next step, and what it puts into the stream: kernels if there are gradients."""
        t = self._t + 1
        now = self.program.at(t, {**self._hypers, **checked})
        scalars, numbers = self.program.computed(t, now.values(), self._numbers)
        keys = self.program.keys(t, now)
        if not self._compiled:
            self._compile(scalars, keys, stream)
        if self._t == 0:
            self._begin(now)
        launches = self._work.scalars(scalars, keys, stream)
        if starts is not None:
            launches += [*self._work.pointing(starts, stream), *self._work.launches(stream)]
        return numbers, launches

    def _stream(self) -> Any:
        """The stream that the library of the parameters uses now."""
        handle = self._memory.stream()
        if handle not in self._streams:
            self._streams[handle] = cuda_host.stream_at(handle)
        return self._streams[handle]

    @staticmethod
    def _refuse_capture(stream: Any, what: str) -> None:
        if cuda_host.is_capturing(stream):
            raise RuntimeError(
                f"{what}() while a CUDA graph is captured: capture launch(grads) alone, and call advance() before each "
                "replay"
            )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an interrupt wait: a launch is made of many calls of Python, and one that is left out is a step half done."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:  # interrupts go elsewhere
        yield
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda *seen: came.append(seen))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _is_model(params: Any) -> bool:
    """Whether something has arrays to look at; if not, the checks that all optimizers have say what is wrong."""
    return isinstance(params, Mapping | list | tuple) and len(params) > 0


def update_array(program: Program, slots: Mapping[str, Any], t: int, hypers: Mapping[str, Any]) -> None:
    """Update one array and its states in place, on the GPU that they are on.

    Parameters
    ----------
    program : Program
        By which rule.
    slots : mapping of str to array
        ``theta``, ``g`` and each state of elements, all of one shape and library, each stored as it is; then each other
        state, float64: one of rows or columns in the shape that broadcasts against theta, any other in shape (). States
        that are one number for the host are arrays of NumPy.
    t : int
        The number of the step, 1 at the first.
    hypers : mapping of str to float
        Every hyperparameter.

    Raises
    ------
    RuntimeError
        If there is no GPU, no driver or no numba-cuda: says what is missing.
    TypeError, ValueError
        If an argument is not as expected; nothing has changed then.
    """
    cuda.require_gpu()
    count, values = as_step_count("t", t, least=1), program.checked(program.completed(hypers))
    theta, memory = slots["theta"], memory_of([slots["theta"]])
    starts = addresses_of(program, slots, memory)[: 2 + len(program.states)]
    numbers = [arrays.plain(slots[name]) for name in program.numbers]
    scalars, new = program.computed(count, values.values(), map(float, numbers))
    shape, storage = tuple(theta.shape), stored_as(program.slots, formats_of(program, slots, memory))
    with TURN, cuda_host.on_gpu(memory.number):
        stream = cuda_host.stream_at(memory.stream())
        if cuda_host.is_capturing(stream):
            raise RuntimeError("step() while a CUDA graph is captured: the class of this module has launch() for that")
        cuts = cuts_of(program, [shape], CHUNK)
        small = allocated_on_device(program, memory, cuts, {}, stream) if program.has_small else None
        scratch = [memory.full(shape, 0.0, np.dtype(storage.computed)) for _ in program.scratch]
        columns = np.array([*starts, *memory.addresses(scratch)], np.int64)[:, None]
        work = OnDevice(program, columns, [storage], cuts=cuts, small=small, memory=memory, stream=stream)
        states = {name: (small.arrays[name], slots[name].reshape(-1)) for name in program.small_states} if small else {}
        writes = [arrays.writing(number, np.array(value)) for number, value in zip(numbers, new, strict=True)]
        with _uninterrupted():
            if count == 1:
                begun = {name: [slots[name]] for name in (*program.copies, *program.begun)}
                fill(program, memory, values, [theta], begun)
            for held, given in states.values():
                memory.copy(held, given)
            run([*work.scalars(scalars, program.keys(count, values), stream), *work.launches(stream), *writes])
            for held, given in states.values():
                memory.copy(given, held)
