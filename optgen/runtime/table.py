"""The table that lets one launch serve every tensor: a row a chunk, a column a slot.

A row holds a count of elements and, for theta, the gradient and each state, the address of the chunk's first element.
Tensors are cut into chunks of at most `CHUNK` elements, and rows are dealt out in tasks of about equal work, so that a
thousand small tensors and one large one keep all threads busy alike.
"""

from __future__ import annotations

import numpy as np

from optgen.runtime.program import Array

CHUNK = 16_384
"""Elements in a chunk: small enough to balance, large enough that a row costs nothing."""
ROW_COST = 64
"""What starting a row costs, in elements."""


class Table:
    """The chunks of tensors of one dtype.

    Parameters
    ----------
    starts : array of int64, shape (slots, tensors)
        Address of each tensor's first element in each slot.
    sizes : array of int64, shape (tensors,)
        Elements of each tensor.
    itemsize : int
        Bytes of an element.
    """

    def __init__(self, starts: Array, sizes: Array, itemsize: int) -> None:
        chunks = -(-sizes // CHUNK)
        self._tensor = np.repeat(np.arange(len(sizes)), chunks)
        first = np.repeat(np.cumsum(chunks) - chunks, chunks)
        offset = (np.arange(len(self._tensor)) - first) * CHUNK
        self._bytes = offset * itemsize
        self.rows = np.empty((len(self._tensor), 1 + len(starts)), np.int64)
        self.rows[:, 0] = np.minimum(CHUNK, sizes[self._tensor] - offset)
        for slot, column in enumerate(starts):
            self.point(slot, column)
        self.elements = int(sizes.sum())
        self.tasks = _tasks(self.rows[:, 0])

    def point(self, slot: int, starts: Array) -> None:
        """Let a slot's column point at other arrays of the same sizes."""
        self.rows[:, 1 + slot] = starts[self._tensor] + self._bytes


def _tasks(counts: Array) -> Array:
    """Boundaries of runs of rows with about a chunk's work each: int64, ``tasks[k]:tasks[k + 1]`` is run k."""
    work = np.cumsum(counts + ROW_COST)
    total = int(work[-1]) if len(work) else 0
    number = max(1, round(total / (CHUNK + ROW_COST)))
    inner = np.searchsorted(work, np.arange(1, number) * (total / number))
    return np.unique(np.concatenate(([0], inner, [len(counts)]))).astype(np.int64)
