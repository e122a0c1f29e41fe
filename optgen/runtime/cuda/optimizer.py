"""``FusedOptimizer``: the base class of every optimizer that is generated for GPUs, and ``update_array``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, cast

import numpy as np

from optgen.runtime.core import arrays
from optgen.runtime.core.beginning import fill
from optgen.runtime.core.cohorts import Cohort, Coming, rows_of
from optgen.runtime.core.gradients import absent, in_order
from optgen.runtime.core.groups import as_given
from optgen.runtime.core.optimizer import OptimizerBase
from optgen.runtime.core.program import Array, Arrays, Call, Params, Program, Value, as_step_count
from optgen.runtime.core.reduced import cuts_of
from optgen.runtime.core.storage import FORMATS, stored_as
from optgen.runtime.core.table import Cuts
from optgen.runtime.core.turn import TURN, run
from optgen.runtime.cpu.single import addresses_of, formats_of
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.arrays import DeviceMemory, memory_of
from optgen.runtime.cuda.launch import CHUNK, OnDevice, ReducedOnDevice, allocated_on_device

__all__ = ["FusedOptimizer", "update_array"]

_ANOTHER = "make another optimizer, with the state dict of this one"
"""What to do where a CUDA graph holds what would have to change."""


class FusedOptimizer(OptimizerBase):
    """An optimizer that updates all arrays of a model, in place, on the GPU that they are on, one launch a sweep.

    Generated classes say in their own docstring which rule they follow and which hyperparameters they take.

    A step is put into the current stream of the library that the parameters are of, and nothing waits for it. Any
    thread may call; steps of different threads take turns. A copy or a pickle has parameters and states of its own.

    Parameters
    ----------
    params : list, tuple or dict of array, or list of dict
        The arrays to train, on one GPU: tensors of PyTorch, arrays of CuPy or others with
        ``__cuda_array_interface__``; float32, float64, bfloat16 or float16, C-contiguous, sharing no memory. They are
        updated in place. All is computed in float32, for parameters in float64 in that. Groups of them may have
        hyperparameters of their own: ``[{"params": decayed, "weight_decay": 0.1}, {"params": rest}]``.
    **hypers : float or callable
        Hyperparameters by name, for all groups that say nothing else. A callable is a schedule: it is called with the
        number of each step, 1 at the first, and returns the number to use.
    store, rounding, rounding_seed, master, kahan, as_matrices : optional
        How slots are stored and tensors seen, as `optgen.runtime.cpu.optimizer.FusedOptimizer` takes it, and with the
        same chances.

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
        memory = memory_of(list(as_given(params).arrays))
        with cuda_host.on_gpu(memory.number):
            super().__init__(params, memory, hypers)
            self._layout()

    def _layout(self) -> None:
        self._visit(self._cohorts)
        self._compiled = False
        are_alike = self._as_gradients.dtypes == self._dtypes
        self._watched = self._memory.watched(self._params, self._as_params) if are_alike else None
        self._told = b""
        """Where gradients were that shared no memory with what is written."""

    def _addresses(self, gradients: list[Any], absent: frozenset[int]) -> Array:
        found = self._watched.look(self._params, gradients) if self._watched else None
        if found is None or np.count_nonzero(found[0] > 0) + len(absent) < len(gradients):  # some are odd, or missing
            return super()._addresses(gradients, absent)
        starts, told = found[0], found[0].tobytes()
        if told != self._told:
            if self._written.overlap(starts, self._as_params.bytes):
                return super()._addresses(gradients, absent)
            self._told = told
        return starts

    def _visit(self, taking: Sequence[Cohort]) -> None:
        """Prepare for steps in which some cohorts take part, with a row of scalars for each."""
        groups = rows_of(taking, len(self._params))
        stream, reduced = self._memory.stream(), cast("ReducedOnDevice | None", self._reduced)
        cuts = (reduced.cuts if reduced else cuts_of(self.program, self._shapes, self.chunk)).visiting(groups)
        self._work = OnDevice(
            self.program,
            self._columns,
            self._storages(),
            cuts=cuts,
            reduced=reduced and reduced.visiting(cuts, self._memory, stream),
            memory=self._memory,
            combine=self._combine,
            stream=stream,
            held=[
                array for values in (self._state, self._scratch, self._rest) for its in values.values() for array in its
            ],
        )
        self._members = [cohort.members for cohort in taking]

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> ReducedOnDevice:
        return allocated_on_device(self.program, self._memory, cuts, states, self._memory.stream())

    def step(self, grads: Arrays, *, missing: str = "error", **hypers: float) -> None:
        """Take one step: update every parameter and state in place.

        An interrupt (Ctrl-C) finds the step either not begun or in the stream as a whole.

        Parameters
        ----------
        grads : list, tuple or dict of array
            The gradients, of the shapes, dtypes and library of the parameters, those of all groups in one. They are
            only read, and must stay as they are until the GPU has done the step, as is the case for whatever is put
            into the same stream later.
        missing : {"error", "skip"}
            What a gradient of None is: an error, or a parameter that is left out of the step and of what is added up
            over the model, as if it were not there. Each counts its own steps; schedules go by those of the optimizer.
        **hypers : float
            Values for this step alone and all groups, as from a schedule: ``opt.step(grads, lr=3e-4)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        RuntimeError
            If a CUDA graph is being captured: that takes `launch`.
        """
        checked = self.program.checked(hypers)
        gradients = in_order(self._given, grads)
        left_out = absent(gradients, missing)
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._memory.stream()
            self._refuse_capture(stream, "step")
            starts = self._addresses(gradients, left_out)
            step = self._coming(checked, left_out)
            self._take(step, self._calls(step, stream, starts) if step.taking else [])

    def add_group(self, params: Arrays, **hypers: Value) -> None:
        """Train further parameters too, as a group of their own that has taken no step: see `OptimizerBase.add_group`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as expected; nothing has changed then.
        RuntimeError
            If a CUDA graph has been captured, which would go on without them.
        """
        if self._work.is_captured:
            raise RuntimeError(f"add_group() after a CUDA graph has been captured: {_ANOTHER}")
        super().add_group(params, **hypers)

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
            stream = self._memory.stream()
            self._refuse_capture(stream, "advance")
            step = self._coming(checked)
            self._take(step, self._calls(step, stream, None))

    def launch(self, grads: Arrays) -> None:
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
        gradients = in_order(self._given, grads)
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._memory.stream()
            starts = self._addresses(gradients, frozenset())
            if not self._compiled:
                raise RuntimeError("launch() before any kernel is compiled: call compile(), then advance(), first")
            work = self._work
            pointing = work.pointing_in_graph if cuda_host.is_capturing(stream) else work.pointing
            with self._whole():
                cuda_host.check(run([*pointing(starts, stream), *work.launches(stream)]))

    def compile(self) -> None:
        """Compile and load all kernels, and prepare for the capture of a CUDA graph. Nothing is updated.

        The first step compiles by itself; only a capture needs this before, and each needs it anew.
        """
        with TURN, cuda_host.on_gpu(self._memory.number):
            stream = self._memory.stream()
            self._refuse_capture(stream, "compile")
            self._compile(self._coming({}), stream)
            self._work.prepare_graph()

    def _compile(self, step: Coming, stream: int) -> None:
        if not self._work.has_scalars:  # those of a step that has been counted are left alone
            cuda_host.check(run(self._given_to(step, stream)))
        self._work.launches(stream)
        self._compiled = True

    def _given_to(self, step: Coming, stream: int) -> list[Call]:
        """The copy of what the kernels of a step are given."""
        return self._work.scalars(step.rows, step.keys, (self._t + 1, self._wanted.rounding_seed % 2**64), stream)

    def _take(self, step: Coming, launches: Sequence[Call]) -> None:
        with self._whole():
            cuda_host.check(run([*launches, self._counting(step)]))

    def _whole(self) -> AbstractContextManager[None]:
        """A context in which no interrupt comes between launches: where they are the driver's own, none can."""
        return _uninterrupted() if cuda.SIMULATED or self._combine else nullcontext()

    def _change(self, calls: Iterable[Call], **attributes: Any) -> None:
        with _uninterrupted():
            super()._change(calls, **attributes)

    def _calls(self, step: Coming, stream: int, starts: Array | None) -> list[Call]:
        """What a step puts into the stream: kernels if there are gradients."""
        if [cohort.members for cohort in step.taking] != self._members:
            if self._work.is_captured:
                raise RuntimeError(f"a step of other parameters than a CUDA graph has that was captured: {_ANOTHER}")
            self._visit(step.taking)
        if not self._compiled:
            self._compile(step, stream)
        self._begin(step.hypers, step.taking)
        launches = self._given_to(step, stream)
        if starts is not None:
            launches += [*self._work.pointing(starts, stream), *self._work.launches(stream)]
        return launches

    @staticmethod
    def _refuse_capture(stream: int, what: str) -> None:
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


def update_array(program: Program, slots: Mapping[str, Any], t: int, hypers: Mapping[str, Any]) -> None:
    """Update one array and its states in place, on the GPU that they are on, as `cpu.single.update_array` does.

    All are of one library, but that states which are one number for the host are arrays of NumPy. There must be a GPU,
    a driver and numba-cuda: a RuntimeError says what is missing.
    """
    cuda.require_gpu()
    count, values = as_step_count("t", t, least=1), program.checked(program.completed(hypers))
    theta, memory = slots["theta"], memory_of([slots["theta"]])
    starts = addresses_of(program, slots, memory)[: 2 + len(program.states)]
    numbers = [arrays.plain(slots[name]) for name in program.numbers]
    scalars, new = program.computed(count, values.values(), map(float, numbers))
    shape, storage = tuple(theta.shape), stored_as(program.slots, formats_of(program, slots, memory))
    with TURN, cuda_host.on_gpu(memory.number):
        stream = memory.stream()
        if cuda_host.is_capturing(stream):
            raise RuntimeError("step() while a CUDA graph is captured: the class of this module has launch() for that")
        cuts = cuts_of(program, [shape], CHUNK)
        reduced = allocated_on_device(program, memory, cuts, {}, stream) if program.has_reduced else None
        scratch = [memory.full(shape, 0.0, np.dtype(storage.computed)) for _ in program.scratch]
        columns = np.array([*starts, *memory.addresses(scratch)], np.int64)[:, None]
        work = OnDevice(program, columns, [storage], cuts=cuts, reduced=reduced, memory=memory, stream=stream)
        states = (
            {name: (reduced.arrays[name], slots[name].reshape(-1)) for name in program.reduced_states}
            if reduced
            else {}
        )
        writes = [arrays.writing(number, np.array(value)) for number, value in zip(numbers, new, strict=True)]
        keys = program.keys(count, values)
        given = work.scalars([scalars], keys, (count, 0), stream)
        launches = work.launches(stream)
        with _uninterrupted():
            if count == 1:
                begun = {name: [slots[name]] for name in (*program.copies, *program.begun)}
                fill(program, memory, values, [theta], begun)
            for held, its in states.values():
                memory.copy(held, its)
            cuda_host.check(run([*given, *launches, *writes]))
            for held, its in states.values():
                memory.copy(its, held)
