"""A program with its tables in the memory of a GPU, ready to be launched on the arrays of a model.

Nothing here waits for the GPU, but that a driver may when a copy is of more than 64 KiB: of the addresses of more than
8,192 tensors. What a step needs beside the arrays lies in GPU memory: the addresses, which are copied there when one
has changed, and the scalars of the step, in one copy. Copies and kernels are put into one stream, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.sharing import Combine, combining
from optgen.runtime.core.small import Small
from optgen.runtime.core.storage import Handed, Storage
from optgen.runtime.core.table import Cuts
from optgen.runtime.core.turn import run
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.arrays import DeviceMemory
from optgen.runtime.cuda.places import names_of_small, placed_on_device, those

CHUNK = 64 if cuda.SIMULATED else 4096
"""Elements in a chunk, which a block of threads visits: a few moves of 128 bits for each of them."""
_WORD = 8
"""Bytes that a number of whatever type is given."""


@dataclass(frozen=True, eq=False)
class SmallOnDevice(Small):
    """The small values of a model on a GPU. `allocated_on_device` makes one.

    Parameters
    ----------
    flat : array of float64
        All of them, one name after another; `arrays` are its parts.
    at : array of int64
        Where they stand; see `optgen.runtime.cuda.places`.
    """

    flat: Any
    at: Any

    def visiting(self, cuts: Cuts, memory: DeviceMemory, stream: Any) -> SmallOnDevice:
        """The same for a step in which some tensors take part; see `Cuts.visiting`."""
        sizes = [len(part) for part in self.arrays.values()]
        return replace(self, cuts=cuts, at=memory.placed(placed_on_device(cuts, sizes), stream))


def allocated_on_device(
    program: Program, memory: DeviceMemory, cuts: Cuts, states: Mapping[str, Array], stream: Any
) -> SmallOnDevice:
    """Make room for the small values of a program.

    Parameters
    ----------
    program : Program
        Whose launches.
    memory : DeviceMemory
        Of what library the arrays are to be.
    cuts : Cuts
        How the tensors are cut.
    states : mapping of str to array of float64
        What small states begin with.
    stream : numba stream
        Where copies are put.
    """
    kinds = {**program.values, **program.small_states}
    begun = {**cuts.extents, **states}
    names = names_of_small(program.small_states, program.values)
    values = [np.asarray(begun[name]) if name in begun else np.zeros(cuts.sizes[kinds[name]]) for name in names]
    flat = memory.full((sum(map(len, values)),), 0.0, np.dtype(np.float64))
    cuda_host.upload(cuda_host.as_device_array(flat), np.concatenate(values), stream)
    ends = np.cumsum([len(value) for value in values])
    parts = {name: flat[int(end) - len(value) : int(end)] for name, end, value in zip(names, ends, values, strict=True)}
    at = memory.placed(placed_on_device(cuts, [len(value) for value in values]), stream)
    return SmallOnDevice(cuts, parts, flat, at)


class OnDevice:
    """The launches of a program for the arrays of a model.

    Parameters
    ----------
    program : Program
        Whose launches.
    columns : array of int64, shape (slots, tensors)
        The address of each tensor's first element in theta, the gradient, each state and each scratch value.
    storages : sequence of Storage
        How the slots of each tensor are stored.
    cuts : Cuts
        How they are cut.
    small : SmallOnDevice or None
        What varies over less than elements.
    memory : DeviceMemory
        What the arrays are.
    stream : numba stream
        Where copies are put.
    combine : callable, optional
        What makes totals those of a model of which there is only a part here.
    """

    def __init__(
        self,
        program: Program,
        columns: Array,
        storages: Sequence[Storage],
        *,
        cuts: Cuts,
        small: SmallOnDevice | None,
        memory: DeviceMemory,
        stream: Any,
        combine: Combine | None = None,
    ) -> None:
        self._program, self._small, self._memory, self._combine = program, small, memory, combine
        self._addresses = memory.placed(np.ascontiguousarray(columns, np.int64), stream)
        self._gradients = self._addresses[1]
        self._pointed: list[int] | None = None
        self._graphs: list[Array] = []
        self._pinned: Array | None = None
        groups = cuts.at.groups[cuts.tensor]
        table = np.stack([cuts.count, cuts.tensor, cuts.begin, groups]).astype(np.int64)
        table = np.concatenate([table, cuts.places.T]) if small else table
        kinds = list(dict.fromkeys(storages))
        of = np.array(list(map(kinds.index, storages)))
        mine = {its: np.flatnonzero((of[cuts.tensor] == k) & (groups >= 0)) for k, its in enumerate(kinds)}
        tables = {its: np.ascontiguousarray(table[:, some]) for its, some in mine.items() if len(some)}
        self._chunks = {its: memory.placed(rows, stream) for its, rows in tables.items()}
        self._counts = {its: rows.shape[1] for its, rows in tables.items()}
        self._nothing = memory.placed(np.zeros((len(table), 1), np.int64), stream)
        self._blocks = {
            "model": 1,
            "tensor": len(cuts.at.tensors),
            "row": -(-len(those(cuts.at.rows, cuts.at.tensors)) // cuda.THREADS),
            "column": -(-len(those(cuts.at.columns, cuts.at.tensors)) // cuda.THREADS),
        }
        self._given: Any = None
        self._views: dict[str, Any] = {}
        self._launches: dict[Any, list[Call]] = {}

    @property
    def is_captured(self) -> bool:
        """Whether a CUDA graph has its launches."""
        return bool(self._graphs)

    @property
    def has_scalars(self) -> bool:
        """Whether the kernels have been given scalars."""
        return self._given is not None

    def scalars(self, scalars: Array, keys: Sequence[Array], chances: Array, stream: Any) -> list[Call]:
        """The copy that gives the kernels the scalars of a step, a row a cohort, and what chance follows from."""
        parts = {"wide": scalars, "chances": chances[None]}
        parts |= {name: scalars.astype(name) for name in {its.computed for its in self._chunks}}
        parts |= dict(zip(["keys"], keys, strict=False))
        words = {name: np.zeros(max(part.size, 1), np.int64) for name, part in parts.items()}
        for name, part in parts.items():
            words[name].view(part.dtype)[: part.size] = part.ravel()
        host = np.concatenate(list(words.values()))
        if self._given is None:
            given, begin = self._memory.placed(host, stream), 0
            for name, word in words.items():
                its = given[begin : begin + len(word)].view(parts[name].dtype)
                self._views[name] = its[: max(parts[name].size, 1)].reshape(len(parts[name]), -1)
                begin += len(word)
            self._given = given
        return [partial(cuda_host.upload, self._given, host, stream)]

    def pointing(self, starts: Sequence[int], stream: Any) -> list[Call]:
        """The copy that tells the kernels where the gradients are; none if they know.

        What a CUDA graph copies it reads whenever it is replayed, so a graph has a copy of its own, and after one has
        been captured nobody can say any more what the kernels know.
        """
        if cuda_host.is_capturing(stream):
            if self._pinned is None:
                raise RuntimeError("compile() prepares an optimizer for one CUDA graph: call it before each capture")
            host, self._pinned = self._pinned, None
            host[:] = starts
            self._graphs.append(host)
            return [partial(self._point, host, stream)]
        if self._pointed == list(starts):
            return []
        return [partial(self._point, np.array(starts, np.int64), stream)]

    def _point(self, starts: Array, stream: Any) -> None:
        self._pointed = None
        cuda_host.upload(self._gradients, starts, stream)
        if not self._graphs:
            self._pointed = starts.tolist()

    def launches(self, stream: Any) -> list[Call]:
        """The kernels of a step, in order. The scalars have been given before."""
        if stream not in self._launches:
            self._launches[stream] = list(self._made(stream, self._chunks, self._counts, self._small))
        return self._launches[stream]

    def prepare_graph(self) -> None:
        """Make room for what a CUDA graph copies, which cannot be done while one is captured."""
        if self._pinned is None:
            self._pinned = cuda_host.pinned(self._addresses.shape[1])

    def compile(self, stream: Any) -> None:
        """Launch over nothing at all, so that all kernels are compiled and loaded."""
        small = self._small
        if small:  # what is one value for the model is computed all the same, but elsewhere
            flat = self._memory.full(small.flat.shape, 0.0, np.dtype(np.float64))
            self._memory.copy(flat, small.flat)
            small = SmallOnDevice(small.cuts, {}, flat, small.at)
        run(self._made(stream, dict.fromkeys(self._chunks, self._nothing), None, small))

    def _made(
        self,
        stream: Any,
        chunks: Mapping[Storage, Any],
        counts: Mapping[Storage, int] | None,
        small: SmallOnDevice | None,
    ) -> Iterator[Call]:
        """The launches over some chunks; over nothing if it is not said how many there are."""
        flat = cuda_host.as_device_array(small.flat) if small else None
        keys, chances = [self._views["keys"]] if self._program.seeds else [], self._views["chances"]
        for launch in self._program.launches:
            if launch.over == "element":
                shared = [*keys, *([small.at, flat] if small else [])]
                for storage, rows in chunks.items():
                    kernel = cuda_host.configured(launch.kernel, 1 if counts is None else counts[storage], stream)
                    handed = Handed(storage, chances, cuda_host.address_of(chances))
                    yield partial(kernel, rows, self._addresses, handed, self._views[storage.computed], *shared)
            elif small and self._blocks[launch.over]:
                blocks = 1 if counts is None else self._blocks[launch.over]
                kernel = cuda_host.configured(launch.kernel, blocks, stream)
                yield partial(kernel, small.at, self._views["wide"], flat)
            if small and counts is not None and self._combine:
                yield from combining(launch.totals, self._program, small, self._combine)
