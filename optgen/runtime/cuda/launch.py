"""A program with its tables in the memory of a GPU, ready to be launched on the arrays of a model.

Nothing here waits for the GPU, but that a driver may when a copy is of more than 64 KiB: of the addresses of more than
8,192 tensors. What a step needs beside the arrays lies in GPU memory: the addresses, which are copied there when one
has changed, and the scalars of the step, in one copy. Copies and kernels are put into one stream, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from optgen.runtime.core.program import Array, Call, Program
from optgen.runtime.core.reduced import Reduced
from optgen.runtime.core.sharing import Combine, combining
from optgen.runtime.core.storage import Handed, Storage
from optgen.runtime.core.table import Cuts
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda import primitives as cuda
from optgen.runtime.cuda.arrays import DeviceMemory
from optgen.runtime.cuda.lookup import column_blocks, lookup_table, names_of_reduced, row_blocks

CHUNK = 64 if cuda.SIMULATED else 4096
"""Elements in a chunk, which a block of threads visits: a few moves of 128 bits for each of them."""
_WORD = 8
"""Bytes that a number of whatever type is given."""


@dataclass(frozen=True, eq=False)
class ReducedOnDevice(Reduced):
    """The reduced values of a model on a GPU. `allocated_on_device` makes one."""

    flat: Any  # float64: all of them, one name after another; `arrays` are its parts
    at: Any  # int64: where they stand; see `optgen.runtime.cuda.lookup`

    def visiting(self, cuts: Cuts, memory: DeviceMemory, stream: int) -> ReducedOnDevice:
        """The same for a step in which some tensors take part; see `Cuts.visiting`."""
        sizes = [len(part) for part in self.arrays.values()]
        return replace(self, cuts=cuts, at=_lookup(cuts, sizes, memory, stream))


def allocated_on_device(
    program: Program, memory: DeviceMemory, cuts: Cuts, states: Mapping[str, Array], stream: int
) -> ReducedOnDevice:
    """Make room for the reduced values of a program, its states filled, by copies that are put into a stream."""
    begun = {**cuts.extents, **states}
    names = names_of_reduced(program.reduced_states, program.values)
    values = [np.asarray(begun[name]) if name in begun else np.zeros(cuts.sizes[program.kinds[name]]) for name in names]
    flat = memory.full((sum(map(len, values)),), 0.0, np.dtype(np.float64))
    cuda_host.upload(cuda_host.as_device_array(flat), np.concatenate(values), stream)
    ends = np.cumsum([len(value) for value in values])
    parts = {name: flat[int(end) - len(value) : int(end)] for name, end, value in zip(names, ends, values, strict=True)}
    at = _lookup(cuts, [len(value) for value in values], memory, stream)
    return ReducedOnDevice(cuts, parts, flat, at)


def _lookup(cuts: Cuts, sizes: Sequence[int], memory: DeviceMemory, stream: int) -> Any:
    """Where reduced values stand, on the GPU."""
    return memory.uploaded(lookup_table(cuts, sizes, cuda.THREADS, cuda.EACH), stream)


def _blocks_over(cuts: Cuts) -> dict[str, int]:
    """How many blocks of threads a launch over less than elements has, by what it is over."""
    lines = {"row": row_blocks, "column": column_blocks}
    of_lines = {kind: len(blocks(cuts.at, cuda.THREADS, cuda.EACH)) for kind, blocks in lines.items()}
    return {"model": 1, "tensor": len(cuts.at.tensors), **of_lines}


class OnDevice:
    """The launches of a program for the arrays of a model.

    Each column has, of a slot, where each tensor begins: theta, the gradient, each state, each scratch value. Held is
    what else kernels work with: states, and whatever there is beside them. Copies are put into the stream.
    """

    def __init__(
        self,
        program: Program,
        columns: Array,
        storages: Sequence[Storage],
        *,
        cuts: Cuts,
        reduced: ReducedOnDevice | None,
        memory: DeviceMemory,
        stream: int,
        held: Sequence[Any] = (),
        combine: Combine | None = None,
    ) -> None:
        self._program, self._reduced, self._memory, self._combine = program, reduced, memory, combine
        self._addresses = memory.uploaded(np.ascontiguousarray(columns, np.int64), stream)
        self._gradients = cuda_host.as_device_array(self._addresses)[1]
        self._pointed = b""
        self._graphs: list[Array] = []
        self._pinned: Array | None = None
        groups = cuts.at.groups[cuts.tensor]
        table = np.stack([cuts.count, cuts.tensor, cuts.begin, groups]).astype(np.int64)
        table = np.concatenate([table, cuts.spans.T]) if reduced else table
        kinds = list(dict.fromkeys(storages))
        of = np.array(list(map(kinds.index, storages)))
        mine = {its: np.flatnonzero((of[cuts.tensor] == k) & (groups >= 0)) for k, its in enumerate(kinds)}
        tables = {its: np.ascontiguousarray(table[:, some]) for its, some in mine.items() if len(some)}
        self._chunks = {its: memory.uploaded(rows, stream) for its, rows in tables.items()}
        self._counts = {its: rows.shape[1] for its, rows in tables.items()}
        self._blocks = _blocks_over(cuts) if reduced else {}
        self._held = [self._addresses, *self._chunks.values(), *([reduced.at, reduced.flat] if reduced else []), *held]
        self._given: _Handover | None = None
        self._prepared: list[Callable[[int], Call]] | None = None
        self._launches: dict[int, list[Call]] = {}

    @property
    def is_captured(self) -> bool:
        """Whether a CUDA graph has its launches."""
        return bool(self._graphs)

    @property
    def has_scalars(self) -> bool:
        """Whether the kernels have been given scalars."""
        return self._given is not None

    def scalars(
        self, rows: Sequence[tuple[float, ...]], keys: Sequence[Array], chances: tuple[int, int], stream: int
    ) -> list[Call]:
        """The copy that gives the kernels the scalars of a step, a row a cohort, and what chance follows from."""
        of_keys = dict(zip(["keys"], keys, strict=False))
        if self._given is None:
            shape = len(rows), len(rows[0])
            kinds = {"in_float64": (np.dtype(np.float64), shape), "chances": (np.dtype(np.uint64), (1, len(chances)))}
            kinds |= {name: (its.dtype, its.shape) for name, its in of_keys.items()}
            kinds |= {name: (np.dtype(name), shape) for name in {its.computed for its in self._chunks}}
            self._given = _room_for(kinds, self._memory, stream)
            self._held.append(self._given.held)
        parts, host = {"in_float64": rows, "chances": chances, **of_keys}, self._given.host
        for name, view in host.items():
            view[...] = parts.get(name, host["in_float64"])  # which is the first
        return [self._given.copying(stream)]

    def pointing(self, starts: Array, stream: int) -> list[Call]:
        """The copy that tells the kernels where the gradients are; none if they know."""
        told = starts.tobytes()
        if told == self._pointed:
            return []
        copying = cuda_host.uploading(self._gradients, starts.copy(), stream)
        return [self._pointing_at(b""), copying, self._pointing_at(b"" if self._graphs else told)]

    def pointing_in_graph(self, starts: Array, stream: int) -> list[Call]:
        """The same copy, in a stream that is being captured.

        What a CUDA graph copies it reads whenever it is replayed, so a graph has a copy of its own, and after one has
        been captured nobody can say any more what the kernels know.
        """
        if self._pinned is None:
            raise RuntimeError("compile() prepares an optimizer for one CUDA graph: call it before each capture")
        host, self._pinned = self._pinned, None
        host[:] = starts
        self._graphs.append(host)
        self._pointed = b""
        return [cuda_host.uploading(self._gradients, host, stream)]

    def _pointing_at(self, told: bytes) -> Call:
        """The call that notes what the kernels know."""
        return partial(object.__setattr__, self, "_pointed", told)

    def launches(self, stream: int) -> list[Call]:
        """The kernels of a step, in order, compiled and loaded. The scalars have been given before."""
        if self._prepared is None:
            self._prepared = list(self._made())
        if stream not in self._launches:
            self._memory.used_in(stream, self._held)
            self._launches[stream] = [put(stream) for put in self._prepared]
        return self._launches[stream]

    def prepare_graph(self) -> None:
        """Make room for what a CUDA graph copies, which cannot be done while one is captured."""
        if self._pinned is None:
            self._pinned = cuda_host.pinned(self._addresses.shape[1])

    def _made(self) -> Iterator[Callable[[int], Call]]:
        reduced, given, there = self._reduced, self._given, cuda_host.as_device_array
        assert given is not None, "kernels are compiled for scalars that are there"
        of_reduced = [there(reduced.at), there(reduced.flat)] if reduced else []
        keys, chances = [given.views["keys"]] if self._program.seeds else [], given.views["chances"]
        for launch in self._program.launches:
            if launch.over == "element":
                for storage, rows in self._chunks.items():
                    handed = Handed(storage, chances, cuda_host.address_of(chances))
                    arguments = [there(rows), there(self._addresses), handed, given.views[storage.computed], *keys]
                    yield cuda_host.prepared(launch.kernel, self._counts[storage], [*arguments, *of_reduced])
            elif reduced and self._blocks[launch.over]:
                arguments = [of_reduced[0], given.views["in_float64"], of_reduced[1]]
                yield cuda_host.prepared(launch.kernel, self._blocks[launch.over], arguments)
            if reduced and self._combine:
                for call in combining(launch.totals, self._program, reduced, self._combine):
                    yield partial(_anywhere, call)


def _anywhere(call: Call, _: int) -> Call:
    """A call that is the same in all streams."""
    return call


@dataclass(frozen=True, eq=False)
class _Handover:
    """What the kernels are given in every step, in one copy."""

    words: Array  # int64 on the host: all of it
    host: Mapping[str, Array]  # its parts, by name
    held: Any  # what the library has for it on the GPU
    device: Any  # int64 on the GPU: the same there
    views: Mapping[str, Any]  # its parts there
    copies: dict[int, Call] = field(default_factory=dict)  # the calls that copy it to the GPU, by their stream

    def copying(self, stream: int) -> Call:
        """The call that copies it to the GPU."""
        if stream not in self.copies:
            self.copies[stream] = cuda_host.uploading(self.device, self.words, stream)
        return self.copies[stream]


_Kinds = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]


def _room_for(kinds: _Kinds, memory: DeviceMemory, stream: int) -> _Handover:
    """Room for parts of some dtypes and shapes, each of which begins at a word of 64 bits."""
    sizes = {name: prod(shape) for name, (_, shape) in kinds.items()}
    counts = [max(-(-sizes[name] * dtype.itemsize // _WORD), 1) for name, (dtype, _) in kinds.items()]
    words = np.zeros(sum(counts), np.int64)
    held = memory.uploaded(words, stream)
    device, ends = cuda_host.as_device_array(held), np.cumsum(counts).tolist()
    host, views = {}, {}
    for (name, (dtype, shape)), end, count in zip(kinds.items(), ends, counts, strict=True):
        host[name], its = (whole[end - count : end].view(dtype) for whole in (words, device))
        host[name] = host[name][: sizes[name]].reshape(shape)
        views[name] = its[: max(sizes[name], 1)].reshape(shape[0], -1)  # no array on a GPU is empty
    return _Handover(words, host, held, device, views)
