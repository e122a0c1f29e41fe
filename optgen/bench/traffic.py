"""What memory allows: loops that read and write what a kernel does, and compute next to nothing.

They are made from the compiled kernel: the loads and stores of each of its sweeps over elements. All is done with the
bits of elements, as integers, which stay what they are; so the loops can run on the arrays of an optimizer itself, and
speed depends on where arrays lie. A sweep that only reads adds up what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from optgen.files import module_of
from optgen.ir import Branch
from optgen.language.symbols import Grad, Named, Next, Stateful
from optgen.runtime.core.program import Array
from optgen.runtime.cpu.launch import SERIAL_BELOW

SCRATCH = "kept "
"""What the names of values that one sweep keeps for another begin with."""


@dataclass(frozen=True)
class Moving:
    """What a loop over elements reads and writes: names of slots, ``theta``, ``g`` and states, and of kept values."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """All that it touches, each once."""
        return tuple(dict.fromkeys((*self.reads, *self.writes)))


def sweeps_of(branch: Branch) -> list[Moving]:
    """What each sweep over elements reads and writes."""
    return [
        Moving(
            tuple(dict.fromkeys(map(_slot, sweep.reads))),
            (*(slot.name for slot in sweep.stores), *(_slot(value) for value in sweep.keeps)),
        )
        for sweep in branch.over_elements
    ]


def once(branch: Branch) -> Moving:
    """Each value that comes from before the step once, and each new one once."""
    begun: set[str] = set()
    reads: list[str] = []
    for sweep in sweeps_of(branch):
        reads += [name for name in sweep.reads if name not in begun and not name.startswith(SCRATCH)]
        begun |= set(sweep.writes)
    writes = [name for sweep in sweeps_of(branch) for name in sweep.writes if not name.startswith(SCRATCH)]
    return Moving(tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes)))


def _slot(value: Named) -> str:
    if isinstance(value, Next):
        return str(value.of.name)
    return str(value.name) if isinstance(value, Stateful | Grad) else f"{SCRATCH}{value.name}"


def loop(moved: Sequence[Moving], arrays: Mapping[str, Array]) -> Callable[[], None]:
    """A function that moves what some sweeps do, one after another, in flat arrays of one length: one a slot."""
    nothing = np.uint64(0)
    bits = {name: array.view(f"u{array.itemsize}") for name, array in arrays.items()}
    calls: list[tuple[Any, list[Any]]] = []
    for each in moved:
        if each.writes:
            calls.append((_writing(each), [nothing, *(bits[name] for name in each.slots)]))
        else:
            calls.append((_reading(len(each.reads)), [_wide(arrays[name]) for name in each.reads]))
    is_small = all(array.size < SERIAL_BELOW for array in arrays.values())
    ready = [((serial if is_small else parallel), given) for (parallel, serial), given in calls]

    def run() -> None:
        for function, given in ready:
            function(*given)

    return run


def _wide(array: Array) -> Array:
    """The same memory as float32, of which vector units add up as fast as they read; one left over is left out."""
    bits = array.view(np.uint8)
    return bits[: len(bits) // 4 * 4].view(np.float32)


def _writing(moving: Moving) -> tuple[Any, Any]:
    """The function of a sweep that writes, on all threads and on one: it takes a zero, then the slots in order."""
    place = {name: k for k, name in enumerate(moving.slots)}
    return _functions(tuple(_lines(moving, place)), len(place), "nothing, ")


def _lines(moving: Moving, place: Mapping[str, int]) -> Iterator[str]:
    """What is done for element i: all that is read becomes part of all that is written and was read too."""
    read = " ^ ".join(f"x{place[name]}[i]" for name in moving.reads) or "nothing"
    yield f"seen = nothing & ({read})"
    for name in moving.writes:
        own = f"x{place[name]}[i]"
        # What was not read is about to be overwritten by the rule too, before it reads it.
        first = f"x{place[moving.reads[0]]}[i]" if moving.reads else "nothing"
        yield f"{own} = ({own if name in moving.reads else first}) ^ seen"


def _reading(number: int) -> tuple[Any, Any]:
    return _functions((), number, "")


@cache
def _functions(lines: tuple[str, ...], arrays: int, first: str) -> tuple[Any, Any]:
    names = [f"x{k}" for k in range(arrays)]
    body = ["for i in prange(len(x0)):", *(f"    {line}" for line in lines)]
    if not lines:
        loops = [(f"for i in prange(len({name})):", f"    total += {name}[i]") for name in names]
        body = ["total = float32(0)", *(line for each in loops for line in each), "return total"]
    head = f"def {{}}({first}{', '.join(names)}):"
    one = [head.format("serial"), *(f"    {line.replace('prange', 'range')}" for line in body)]
    all_threads = [head.format("parallel"), *(f"    {line}" for line in body)]
    how = "@njit(cache=True, fastmath=True, error_model='numpy'{})"
    text = "\n".join(
        [
            "from numba import float32, njit, prange",
            how.format(", parallel=True"),
            *all_threads,
            how.format(""),
            *one,
            "",
        ]
    )
    module = module_of("traffic", text)
    return module.parallel, module.serial
