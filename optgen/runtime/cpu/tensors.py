"""What has been seen of PyTorch's tensors, and whether it still holds, read from the objects by compiled code.

To ask a tensor from Python for its address takes longer than to update a hundred elements, and its shape, strides,
dtype and gradient would have to be asked for too. Here a loop reads what each object keeps of itself. Where that is, is
found out once, in tensors that are known, by looking for what torch says of them; nothing is read through a pointer
that torch has not named. Where it is not found, or where a tensor is unusual, torch is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from optgen.runtime.core.program import Array
from optgen.runtime.cpu.compiled import compiled
from optgen.runtime.cpu.objects import ITEMS, KIND, at, is_usual_python, word

ODD = -1
"""In place of an address: this gradient needs a closer look."""
_OBJECT = 16  # where the own fields of a tensor begin
_INLINE = 5
"""Dimensions of which a tensor keeps sizes and strides in itself."""
_ORDER = 1 + 2 * _INLINE
"""Words: the number of dimensions, sizes and strides."""
_WORDS = _ORDER + 4
"""Then the first element, how many there are, dtype, device and flags, and how torch treats it."""
_TYPE = (1 << 40) - 1  # of that word: dtype and device
_SEARCHED = 30
"""Words of an object of torch that are looked at."""


class Fields(NamedTuple):
    """Where torch keeps what, in bytes from the beginning of an object."""

    # In a tensor's own object: of its storage; of its sizes, strides and what comes after; of what autograd knows
    storage: int
    order: int
    meta: int
    data: int  # in a storage: where its memory is
    grad: int  # in what autograd knows: of the gradient
    table: int  # what every plain tensor begins with
    nothing: int  # what stands in the place of a gradient that is not there


class TensorsSeen:
    """What there was to see of some tensors, and of what stands after them in one list. `tensors_seen` makes one.

    Of others, the placed, only the memory is looked at.
    """

    def __init__(
        self, torch: Any, layout: Fields, tensors: list[Any], others: Sequence[Any], placed: Sequence[Any]
    ) -> None:
        self._held = [*tensors, *others, *placed]
        """While these are alive no other object has their address."""
        self._memory = [tensor.untyped_storage() for tensor in (*tensors, *placed)]
        """While this is held nothing else is where they were."""
        self._layout = np.array([*layout, id(torch.Tensor), id(torch.nn.Parameter)], np.int64)
        self._ids = np.array([*map(id, tensors), *map(id, others)], np.int64)
        self._known = np.array([_row(each, layout) for each in tensors], np.int64).reshape(-1, 3 + _WORDS)
        own = [_row(each, layout)[:3] for each in placed if not each._is_view()]  # noqa: SLF001 - of an array here
        self._places = np.array(own, np.int64).reshape(-1, 3)
        self._sizes = np.array([tensor.element_size() for tensor in tensors], np.int64)
        self._starts = np.zeros(len(tensors), np.int64)
        self._present = np.zeros(len(tensors), np.bool_)

    def look(self, whole: list[Any], grads: list[Any] | None = None) -> tuple[Array, Array] | None:
        """Where the gradients are of the tensors in a list, `ODD` if one needs a closer look, and which there are.

        They are autograd's unless they are given. None if the list has others, or anything is not as it was. The
        arrays are the same at each call.
        """
        if len(whole) != len(self._ids) or (grads is not None and len(grads) != len(self._sizes)):
            return None
        words = id(whole), id(grads) if grads is not None else 0, id(None)
        found, sizes = (self._starts, self._present), self._sizes
        is_known = _read(words, self._ids, self._known, self._places, self._layout, sizes, *found)
        return found if is_known else None


def tensors_seen(
    torch: Any, tensors: list[Any], others: Sequence[Any] = (), placed: Sequence[Any] = ()
) -> TensorsSeen | None:
    """Something that notices changes, in tensors of a torch that has been imported; None where there is no telling."""
    layout, usual, all_of_them = known_layout(torch), {torch.Tensor, torch.nn.Parameter}, [*tensors, *placed]
    if layout is None or not usual.issuperset(map(type, all_of_them)):
        return None
    if any(each.dim() > _INLINE or at(each._cdata) != layout.table for each in all_of_them):  # noqa: SLF001
        return None
    return TensorsSeen(torch, layout, tensors, others, placed)


def _row(tensor: Any, layout: Fields) -> list[int]:
    """Of a tensor torch's own object, its storage, its memory and its words."""
    own = tensor._cdata  # noqa: SLF001 - the address of torch's own object
    storage = at(own + layout.storage)
    return [own, storage, at(storage + layout.data), *(at(own + layout.order + 8 * j) for j in range(_WORDS))]


@partial(compiled, nogil=False)
def _read(  # noqa: PLR0917
    words: tuple[int, int, int],
    ids: Array,
    known: Array,
    places: Array,
    layout: Array,
    sizes: Array,
    starts: Array,
    present: Array,
) -> bool:
    """Write where each gradient is; false if an object is another, or is not as it was.

    The words are where a list is of what is looked at, where one of gradients is, 0 if these are autograd's, and None.
    """
    whole, grads, none = words
    items, params = word(whole + ITEMS), len(sizes)
    given_here = word(grads + ITEMS) if grads != 0 else 0
    storage, order, meta, data, grad, table, nothing, plain, parameter = layout
    for k in range(len(ids)):
        if word(items + 8 * k) != ids[k]:
            return False
    for k in range(len(places)):
        own, held, there = places[k]
        if word(own + storage) != held or (held != 0 and word(held + data) != there):
            return False
    for k in range(params):
        own, held = known[k, 0], known[k, 1]
        if word(ids[k] + _OBJECT) != own or word(own + storage) != held:
            return False
        if held != 0 and word(held + data) != known[k, 2]:
            return False
        for j in range(_WORDS):
            if word(own + order + 8 * j) != known[k, 3 + j]:
                return False
        if grads != 0:
            each = word(given_here + 8 * k)
            is_tensor = word(each + KIND) in (plain, parameter)
            given = word(each + _OBJECT) if is_tensor else nothing if each == none else 0
        else:
            about = word(own + meta)
            given = nothing if about == 0 else word(about + grad)
        present[k] = given != nothing
        starts[k] = 0
        if given == nothing:
            continue
        is_plain = given != 0 and word(given) == table and word(given + storage) != 0
        for j in range(_ORDER):
            is_plain = is_plain and word(given + order + 8 * j) == known[k, 3 + j]
        kind = order + 8 * (_WORDS - 2)
        is_plain = is_plain and (word(given + kind) ^ known[k, 1 + _WORDS]) & _TYPE == 0
        is_plain = is_plain and word(given + kind + 8) == known[k, 2 + _WORDS]
        starts[k] = ODD
        if is_plain:
            memory = word(word(given + storage) + data)
            start = memory + word(given + order + 8 * _ORDER) * sizes[k]
            if memory != 0 and start & (sizes[k] - 1) == 0:  # not in the middle of an element
                starts[k] = start
    return True


@cache
def known_layout(torch: Any) -> Fields | None:
    """Where torch keeps what; None if it is not found."""
    if not is_usual_python():
        return None
    probes = [
        torch.zeros(3, 5, 7)[1:, :, 2],
        torch.zeros(2, 3, 4, 5, 6),
        torch.zeros(()),
        torch.from_numpy(np.ones(11)),
    ]
    probes += [torch.zeros(11, dtype=torch.float64)[3:], torch.zeros(6, 4, dtype=torch.bfloat16).t()]
    begins = [(at(id(probe) + KIND), at(id(probe) + _OBJECT)) for probe in probes]
    if begins != [(id(torch.Tensor), probe._cdata) for probe in probes]:  # noqa: SLF001
        return None
    storage = _only([_places(probe._cdata, _SEARCHED, probe.untyped_storage()._cdata) for probe in probes])  # noqa: SLF001
    data = _only([_places(p.untyped_storage()._cdata, 8, p.untyped_storage().data_ptr()) for p in probes])  # noqa: SLF001
    order = _only([_ordered(probe) for probe in probes])
    leaf = torch.zeros(3)
    before = _words(leaf._cdata, int(order or 0) // 8)  # noqa: SLF001
    leaf.requires_grad_()
    leaf.grad = torch.ones(3)
    now = zip(before, _words(leaf._cdata, len(before)), strict=True)  # noqa: SLF001
    meta = _only([{8 * j for j, (old, new) in enumerate(now) if old == 0 and new != 0}])
    tables = {at(probe._cdata) for probe in probes}  # noqa: SLF001
    if None in (storage, data, order, meta) or len(tables) > 1:
        return None
    about = at(leaf._cdata + int(meta or 0))  # noqa: SLF001
    grad = _only([_places(about, 16, leaf.grad._cdata)])  # noqa: SLF001
    if grad is None:
        return None
    leaf.grad = None
    found = (storage, order, meta, data, grad, *tables, at(about + grad))
    return Fields(*map(int, found))  # type: ignore[arg-type]


def _words(address: int, count: int) -> list[int]:
    return [at(address + 8 * j) for j in range(count)]


def _places(address: int, count: int, value: int) -> set[int]:
    """Where an object has a word."""
    return {8 * j for j, word in enumerate(_words(address, count)) if word == value}


def _ordered(probe: Any) -> set[int]:
    """Where an object says of which sizes and strides it is."""
    sizes, strides, words = list(probe.shape), list(probe.stride()), _words(probe._cdata, _SEARCHED)  # noqa: SLF001
    rest, count = [probe.storage_offset(), probe.numel()], len(sizes)
    return {
        8 * j
        for j in range(2, _SEARCHED - _WORDS)
        if words[j : j + 1 + count] == [count, *sizes]
        and words[j + 1 + _INLINE : j + 1 + _INLINE + count] == strides
        and words[j + _ORDER : j + _ORDER + 2] == rest
    }


def _only(found: Sequence[set[int]]) -> int | None:
    """The one place in which all agree."""
    common = set.intersection(*found)
    return common.pop() if len(common) == 1 else None
