"""The same on a GPU: the kernels for GPUs, on tensors where they are, in the stream that torch uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from optgen.runtime.core.cohorts import Coming, rows_of
from optgen.runtime.core.program import Array, Call
from optgen.runtime.core.reduced import cuts_of
from optgen.runtime.core.table import Cuts
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.arrays import memory_of
from optgen.runtime.cuda.launch import CHUNK, OnDevice, ReducedOnDevice, allocated_on_device
from optgen.torch.body import Trained
from optgen.torch.share import Share


class GpuShare(Share):
    """The states of some parameters on a GPU that follow one rule, and what steps visit: see `Share`.

    There must be a GPU, a driver and numba-cuda; a step complains if a CUDA graph is being captured.
    """

    chunk: ClassVar[int] = CHUNK
    on_threads: ClassVar[bool] = False
    check = staticmethod(cuda_host.check)

    def __init__(self, program: Any, wanted: Any, named: Any, model: Trained, mine: Any, **given: Any) -> None:
        cuda.require_gpu()
        self._memory = memory_of([model.parts[mine[0]]])
        with cuda_host.on_gpu(self._memory.number):
            super().__init__(program, wanted, named, model, mine, **given)

    def _allocated(self, cuts: Cuts, states: Mapping[str, Array]) -> ReducedOnDevice:
        return allocated_on_device(self.program, self._memory, cuts, states, self._memory.stream())

    def _launched(self, step: Coming, starts: Array, t: int) -> list[Call]:
        with cuda_host.on_gpu(self._memory.number):
            stream = self._memory.stream()
            if cuda_host.is_capturing(stream):
                raise RuntimeError("step() while a CUDA graph is captured: optgen.generated.cuda has launch() for that")
            members = [cohort.members for cohort in step.taking]
            if self._visit is None or self._visit[0] != members:
                self._visit = members, self._on_device(step, stream)
            work = self._visit[1]
            given = work.scalars(step.rows, step.keys, (t, self._wanted.rounding_seed % 2**64), stream)
            calls = [*given, *work.pointing(starts, stream), *work.launches(stream)]
        return cuda_host.calls_on_gpu(self._memory.number, calls)

    def _on_device(self, step: Coming, stream: int) -> OnDevice:
        """The tables of the parameters that take part, on the GPU."""
        groups = rows_of(step.taking, len(self._sizes))
        reduced = cast("ReducedOnDevice | None", self._reduced)
        shapes = [self._shape(k) for k in range(len(self._sizes))]
        cuts = (reduced.cuts if reduced else cuts_of(self.program, shapes, self.chunk)).visiting(groups)
        return OnDevice(
            self.program,
            self._columns,
            self._storages(),
            cuts=cuts,
            reduced=reduced and reduced.visiting(cuts, self._memory, stream),
            memory=self._memory,
            stream=stream,
            held=[its for values in (*self._elements.values(), *self._scratch, self._rest) for its in values.values()],
            combine=self._combine,
        )
