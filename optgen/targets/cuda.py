"""The CUDA target: every sweep is one launch for the whole model, a block of threads for each chunk of a tensor.

What is the same as on CPUs has the same text: `scalars`, and the functions of one position. Around those of elements is
a loop that moves four of them at a time, 128 bits in float32, and one for what is left, or for tensors whose memory
begins in the middle of four. A sweep over what is small is a launch too: a block a tensor, a thread a row or a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optgen import runtime
from optgen.ir import BRANCH, Branch, Kernel, Reduce, Sweep
from optgen.language.noise import Draw
from optgen.language.reductions import Extent
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.symbols import Named, g, theta
from optgen.language.text import text
from optgen.runtime import cuda_totals, places
from optgen.targets import beginning, module, rounds
from optgen.targets.base import Origin
from optgen.targets.module import INDENT, laid_out
from optgen.targets.printer import CodePrinter
from optgen.targets.rounds import OF, Round, Step

_HOME = {
    **dict.fromkeys(cuda_totals.__all__, "optgen.runtime.cuda_totals"),
    **dict.fromkeys(runtime.__all__, "optgen.runtime"),
    **dict.fromkeys(("FusedOptimizer", "update_array"), "optgen.runtime.gpu"),
    "beginning": "optgen.runtime",
    **dict.fromkeys(("draw", "draw4"), "optgen.runtime.cuda_draws"),
    "": "optgen.runtime.cuda",
}
"""Where generated modules find what they use; all else is where nothing is."""
_PTR = "_ptr"
"""``theta_ptr`` is the address of the first element of theta in a run of elements."""
_LANES = ("_i0", "_i1", "_i2", "_i3")
"""``theta_i2`` is element i + 2 of theta, ``theta_i`` element i."""
_PLACES = ("lines", "count", "first_row", "first_column", "matrix_rows", "line_before", "parts_begin")


@dataclass(frozen=True)
class _Cuda:
    name: str = "cuda"

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        """The text of a module: scalars, the functions of one position, the sweeps, step and the class."""
        host, element = CodePrinter(elementwise=False), CodePrinter(elementwise=True)
        scalars, used = module.scalars(kernel, host), {"Launch", "kernel", "on_host", "per_element"}
        code = _simple if rounds.is_simple(kernel) else _in_rounds
        functions, described = code(kernel, element, host, used)
        outside = beginning.functions(optimizer)
        parts = [
            scalars,
            *functions,
            module.initial(optimizer, host),
            *module.derived(optimizer, host),
            *outside,
            module.program(optimizer, kernel, [*described, *beginning.lines(optimizer)]),
            module.step(optimizer),
            module.facade(optimizer, "array in the memory of one GPU"),
        ]
        imports = module.imports(_HOME, {*module.used_outside(outside), *host.used, *element.used, *used})
        return module.assembled(
            [module.header(origin), module.docstring(optimizer), *module.numpy(outside), *imports], parts
        )


TARGET = _Cuda()

Parts = tuple[list[str], list[str]]
"""Functions of a module, and the lines that tell PROGRAM of them."""


def _simple(kernel: Kernel, element: CodePrinter, host: CodePrinter, used: set[str]) -> Parts:  # noqa: ARG001
    """A module of one sweep."""
    several = len(kernel.branches) > 1
    steps = [
        Step(branch.sweeps[0], f"update_{k}" if several else "update") if branch.sweeps[0].stores else None
        for k, branch in enumerate(kernel.branches)
    ]
    round_ = Round(0, ((),) * len(steps), tuple(steps))
    sweep = _ElementSweep(kernel, round_, used).function("sweep", "Update every tensor")
    return [*module.updates(kernel, element), sweep], ['launches=(Launch("element", sweep),),']


def _in_rounds(kernel: Kernel, element: CodePrinter, host: CodePrinter, used: set[str]) -> Parts:
    """A module of several sweeps."""
    functions, launches = rounds.functions(kernel, element, host, "on_device"), []
    if any(step for round_ in rounds.rounds(kernel) for steps in round_.small for step in steps):
        used.add("on_device")
    numbers = dict.fromkeys(Space, 0)
    for round_ in rounds.rounds(kernel):
        for steps in _side_by_side(round_.small):
            small = _SmallSweep(kernel, steps, used)
            name = f"{small.space.value}s_{numbers[small.space]}"
            numbers[small.space] += 1
            where = f"Before sweep {round_.number}" if any(round_.whole) else "After the last sweep"
            functions.append(small.function(name, where))
            launches.append((small.space.value, name))
        if any(round_.whole):
            name = f"sweep_{round_.number}"
            what = f"Sweep {round_.number} over every tensor"
            functions.append(_ElementSweep(kernel, round_, used).function(name, what))
            launches.append(("element", name))
    values = [f'"{array}": "{kind}"' for array, kind in rounds.arrays(kernel).items()]
    kept = rounds.kept(kernel)
    described = [f"scratch={module.names([x.name for x in kept])},"] if kept else []
    described += laid_out("values={", values, "},").splitlines()
    described += ["launches=(", *(f'{INDENT}Launch("{over}", {name}),' for over, name in launches), "),"]
    return functions, described


def _given_names(kernel: Kernel, sweeps: Sequence[Sweep], blocks: Sequence[Sequence[str]]) -> list[str]:
    """Lines that give scalars their names."""
    branch = f"{BRANCH.name} = scalars[0]"
    lines = rounds.scalars_used(kernel, sweeps, blocks)
    return [f"{BRANCH.name} = as_index(scalars[0])" if line == branch else line for line in lines]


def _offsets(kernel: Kernel, arrays: Sequence[str]) -> list[str]:
    """Lines that say where arrays of small values begin."""
    small_states = {state.name: "" for state in kernel.states if state.space is not Space.ELEM}
    order = places.names_of_small(small_states, rounds.arrays(kernel))
    return [f"{array}{OF} = at[{places.SMALL + order.index(array)}]" for array in arrays]


# Sweeps over elements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ElementSweep:
    """Writes the kernel of a sweep over elements: a block of threads visits a chunk."""

    kernel: Kernel
    round_: Round
    used: set[str]

    @property
    def sweeps(self) -> list[Sweep]:
        return [step.sweep for step in self.round_.whole if step]

    @property
    def by_rows(self) -> bool:
        """Whether a chunk is visited one row of its matrices after another."""
        return rounds.is_by_rows(self.sweeps)

    def call(self, function: str) -> str:
        """The name of a function of the runtime, which the module must import."""
        self.used.add(function)
        return function

    def function(self, name: str, what: str) -> str:
        """The kernel as text."""
        steps = [(step,) if step else () for step in self.round_.whole]
        taken = rounds.taken(self.kernel, steps)
        pairs = zip(self.kernel.branches, self.round_.whole, strict=True)
        blocks = [list(self.block(branch, step)) for branch, step in pairs]
        named = _given_names(self.kernel, self.sweeps, blocks)
        if any("as_index" in line for line in named):
            self.call("as_index")
        body = [*self.head(blocks), *named, *_offsets(self.kernel, taken), *rounds.by_branch(blocks)]
        arguments = ["chunks", "addresses", "scalars", *(["keys"] if self.kernel.draws else [])]
        arguments += [] if rounds.is_simple(self.kernel) else ["at", "small"]
        self.used.update({"block", "thread", "THREADS", "load", "load4", "in_fours"})
        return module.function("kernel", name, ", ".join(arguments), f"{what}: a block of threads a chunk.", body)

    def head(self, blocks: Sequence[Sequence[str]]) -> list[str]:
        """Names for the place of the chunk and, unless it is visited row by row, for its memory."""
        lines = ["tensor = chunks[1, block()]", "first_element = chunks[2, block()]"]
        if not self.by_rows:
            return ["count = chunks[0, block()]", *lines, *self.pointers()]
        places_of = [f"{name} = chunks[{k}, block()]" for k, name in enumerate(_PLACES, start=4)]
        return [*lines, *(line for line in places_of if rounds.is_used(line.split()[0], blocks))]

    def pointers(self) -> list[str]:
        """Names for where a run of elements lies."""
        columns = (theta, g, *self.kernel.slots[1:], *rounds.kept(self.kernel))
        offset = "offset = first_element*scalars.itemsize"
        pointers = [
            f"{slot.name}{_PTR} = addresses[{column}, tensor] + offset"
            for column, slot in enumerate(columns)
            if slot in self.touched
        ]
        return [offset, *pointers]

    @property
    def touched(self) -> set[Named]:
        """What is read or written, element by element."""
        return {rounds.slot_of(x) for s in self.sweeps for x in (*s.reads, *s.stores, *s.keeps)}

    def block(self, branch: Branch, step: Step | None) -> Iterator[str]:
        """What one branch does."""
        if step is None:
            yield "pass"
            return
        sweep = step.sweep
        totals = [reduce for reduce in sweep.reduces if reduce.target.space is Space.TENSOR]
        yield from (f"{rounds.name(x)} = {self.held(x, branch)}" for x in sweep.given if x.space <= Space.TENSOR)
        yield from map(self.started, totals)
        run = _Run(self, step, branch)
        yield from (self.lines(sweep, branch, list(run.lines())) if self.by_rows else run.lines())
        for reduce in totals:
            yield from self.finished(reduce, "chunks[3, block()]")

    def lines(self, sweep: Sweep, branch: Branch, run: list[str]) -> Iterator[str]:
        """The loop over the rows of a chunk's matrices, around what is done with the elements of one."""
        reduces = {space: [r for r in sweep.reduces if r.target.space is space] for space in (Space.ROW, Space.COL)}
        given = {space: [x for x in sweep.given if x.space is space] for space in (Space.ROW, Space.COL)}
        inside = []
        if given[Space.COL] or reduces[Space.COL]:
            inside.append("matrix = (line_before + line)//matrix_rows")
        inside += [f"{rounds.name(x)} = {self.held(x, branch)}" for x in given[Space.ROW]]
        for x in given[Space.COL]:
            inside.append(f"{rounds.name(x)}_line = {rounds.holder(x, branch)}{OF} + first_column + matrix*count")
        if reduces[Space.COL]:
            self.used.add("sync")
            yield "parts_count = ((line_before + lines - 1)//matrix_rows - line_before//matrix_rows + 1)*count"
            yield "i = thread()"
            yield "while i < parts_count:"
            for reduce in reduces[Space.COL]:
                empty = "0.0" if reduce.how == "sum" else f"-{self.call('inf')}"
                yield f"{INDENT}small[{reduce.target.name}{OF} + parts_begin + i] = {empty}"
            yield f"{INDENT}i += THREADS"
            yield "sync()"
            inside.append("parts_line = parts_begin + (matrix - line_before//matrix_rows)*count")
            inside += [f"{r.target.name}_line = {r.target.name}{OF} + parts_line" for r in reduces[Space.COL]]
        inside += [*map(self.started, reduces[Space.ROW]), *self.pointers(), *run]
        for reduce in reduces[Space.ROW]:
            inside += self.finished(reduce, "first_row + line")
        if reduces[Space.COL]:  # the next row may be divided among the threads in another way
            inside.append("sync()")
        yield "line = 0"
        yield "while line < lines:"
        yield from (INDENT + each for each in inside)
        yield from (f"{INDENT}first_element += count", f"{INDENT}line += 1")

    def held(self, load: Named, branch: Branch) -> str:
        """A value that varies over less than elements, in the type of the tensors."""
        index = {Space.GROUP: "", Space.TENSOR: " + tensor", Space.ROW: " + first_row + line"}[load.space]
        return f"{self.call('narrow')}(small[{rounds.holder(load, branch)}{OF}{index}], scalars)"

    def started(self, reduce: Reduce) -> str:
        """What a total is before anything is added."""
        empty = "0.0" if reduce.how == "sum" else f"-{self.call('inf')}"
        return f"{reduce.target.name} = {empty}  # {reduce.what}"

    def finished(self, reduce: Reduce, place: str) -> list[str]:
        """What a block leaves of a total."""
        total = reduce.target.name
        made = f"{self.call('sum_of_block' if reduce.how == 'sum' else 'max_of_block')}({total})"
        return [f"{total} = {made}", "if thread() == 0:", f"{INDENT}small[{total}{OF} + {place}] = {total}"]


@dataclass(frozen=True)
class _Run:
    """Writes what the threads of a block do with a run of elements: four at a time, then one at a time."""

    of: _ElementSweep
    step: Step
    branch: Branch

    @property
    def sweep(self) -> Sweep:
        return self.step.sweep

    @property
    def reads(self) -> list[Named]:
        """What is read for each element."""
        return [load for load in self.sweep.loads if load.space is Space.ELEM and not isinstance(load, Draw)]

    @property
    def stored(self) -> dict[str, str]:
        """What is written for each element, by the name of the value, where it goes."""
        slots = {rounds.name(slot.next): slot.name for slot in self.sweep.stores}
        return slots | {x.name: x.name for x in self.sweep.keeps}

    def lines(self) -> Iterator[str]:
        """Both loops."""
        moved = [*(rounds.slot_of(load).name for load in self.reads), *self.stored.values()]
        pointers = [f"{name}{_PTR}" for name in dict.fromkeys(moved)]
        if self.sweep.draws:  # they come in fours too
            pointers.append("4*first_element")
        yield from laid_out_with(f"fours = {self.of.call('in_fours')}(count, ", " | ", pointers, ")")
        yield "i = 4*thread()"
        yield "while i < fours:"
        yield from (INDENT + line for line in self.by_four())
        yield f"{INDENT}i += 4*THREADS"
        yield "i = fours + thread()"
        yield "while i < count:"
        yield from (INDENT + line for line in self.one_by_one())
        yield f"{INDENT}i += THREADS"

    def by_four(self) -> Iterator[str]:
        for load in self.reads:
            lanes = ", ".join(rounds.name(load) + lane for lane in _LANES)
            yield f"{lanes} = {self.of.call('load4')}({rounds.slot_of(load).name}{_PTR}, i, scalars)"
        for draw in self.sweep.draws:
            yield f"{', '.join(draw.name + lane for lane in _LANES)} = {self.drawn(draw, 'draw4')}"
        for k, lane in enumerate(_LANES):
            yield from self.element(lane, f"i + {k}" if k else "i")
        for value, slot in self.stored.items():
            stored = [f"{slot}{_PTR}", "i", "scalars", *(value + lane for lane in _LANES)]
            yield from laid_out(f"{self.of.call('store4')}(", stored, ")").splitlines()

    def one_by_one(self) -> Iterator[str]:
        for load in self.reads:
            yield f"{rounds.name(load)}_i = {self.of.call('load')}({rounds.slot_of(load).name}{_PTR}, i, scalars)"
        for draw in self.sweep.draws:
            yield f"{draw.name}_i = {self.drawn(draw, 'draw')}"
        yield from self.element("_i", "i")
        for value, slot in self.stored.items():
            yield f"{self.of.call('store')}({slot}{_PTR}, i, scalars, {value}_i)"

    def drawn(self, draw: Draw, function: str) -> str:
        key = 1 + self.of.kernel.seeds.index(draw.node.seed)
        place = "first_element + i, tensor"
        call = f"{self.of.call(function)}({place}, keys[0], keys[{key}], {draw.node.stream}, scalars)"
        return f"{call}  # {text(draw.node)}"

    def element(self, lane: str, index: str) -> Iterator[str]:
        """What is computed and added up for one element."""
        sweep = self.sweep
        if sweep.body:
            targets = ", ".join(rounds.name(x) + lane for x in rounds.results(sweep))
            given = [self.argument(load, lane, index) for load in sweep.loads]
            arguments = [*given, *(a.name for a in module.needed(self.of.kernel, sweep))]
            yield from laid_out(f"{targets} = {self.step.name}(", arguments, ")").splitlines()
        for reduce in sweep.reduces:
            yield self.added(reduce, lane, index)

    def argument(self, load: Named, lane: str, index: str) -> str:
        """A load as an argument of the function of one element."""
        if load.space is Space.COL:
            return f"{self.of.call('narrow')}(small[{rounds.name(load)}_line + {index}], scalars)"
        return rounds.name(load) + (lane if load.space is Space.ELEM or isinstance(load, Draw) else "")

    def added(self, reduce: Reduce, lane: str, index: str) -> str:
        """A total with one more element in it."""
        name = reduce.target.name
        total = f"small[{name}_line + {index}]" if reduce.target.space is Space.COL else name
        value = "*".join(f"{self.of.call('wide')}({rounds.name(x)}{lane})" for x in reduce.factors)
        if reduce.how == "sum":
            return f"{total} += {value}"
        return f"{total} = {self.of.call('maximum')}({total}, {value})"


def laid_out_with(opening: str, between: str, items: Sequence[str], closing: str) -> list[str]:
    """Items that an operator joins, on one line where they fit, else one below the other."""
    line = opening + between.join(items) + closing
    if len(line) <= module.WIDTH:
        return [line]
    first, *others = items
    return [opening, *(INDENT + item for item in [first, *(f"{between.strip()} {item}" for item in others)]), closing]


# Sweeps over less than elements --------------------------------------------------------------------------------------


def _side_by_side(small: Sequence[Sequence[Step]]) -> Iterator[tuple[Step | None, ...]]:
    """The small sweeps of all branches as few launches: in one are sweeps over the same space.

    A sweep that only says of what something is a total computes nothing: whoever loads the total makes it.
    """
    left = [[step for step in steps if step.sweep.body or step.sweep.stores] for steps in small]
    while any(left):
        space = next(steps[0].sweep.space for steps in left if steps)
        yield tuple(steps.pop(0) if steps and steps[0].sweep.space is space else None for steps in left)


_PLACE = {Space.GROUP: "", Space.TENSOR: " + j", Space.ROW: " + i", Space.COL: " + i"}
_TOTAL = {
    (Space.TENSOR, Space.GROUP): ("sum_over_tensors", "max_over_tensors"),
    (Space.ELEM, Space.COL): ("column_sum", "column_max"),
    (Space.ROW, Space.COL): ("sum_down", "max_down"),
    (Space.COL, Space.ROW): ("sum_along", "max_along"),
}
"""What makes the total of values of one space over what another has one value for."""
_THESE = {Space.ELEM: "CHUNKS", Space.ROW: "ROWS", Space.COL: "COLUMNS"}
"""Over what the totals of a tensor are made of values of a space."""


@dataclass(frozen=True)
class _SmallSweep:
    """Writes the kernel of a sweep over less than elements, of one step of every branch that has one."""

    kernel: Kernel
    steps: tuple[Step | None, ...]
    used: set[str]

    @property
    def space(self) -> Space:
        return next(step.sweep.space for step in self.steps if step)

    def function(self, name: str, where: str) -> str:
        """The kernel as text."""
        pairs = zip(self.kernel.branches, self.steps, strict=True)
        blocks = [list(_Position(self, branch, step).lines()) if step else ["pass"] for branch, step in pairs]
        sweeps = [step.sweep for step in self.steps if step]
        named = _given_names(self.kernel, sweeps, blocks)
        if any("as_index" in line for line in named):
            self.used.add("as_index")
        arrays = rounds.taken(self.kernel, [(step,) if step else () for step in self.steps])
        taken = [array for array in arrays if rounds.is_used(array + OF, blocks)]
        body = [*named, *_offsets(self.kernel, taken), *self.place(), *rounds.by_branch(blocks)]
        of_blocks = {Space.GROUP: "one block", Space.TENSOR: "a block a tensor"}
        who = of_blocks.get(self.space, f"a thread a {self.space.value}")
        return module.function("kernel", name, "at, scalars, small", f"{where}: {who}.", body)

    def place(self) -> list[str]:
        """Names for what a block, or a thread, is for."""
        self.used.update({"thread"})
        if self.space is Space.GROUP:
            return []
        if self.space is Space.TENSOR:
            self.used.update({"tensor_of_block"})
            return ["j = tensor_of_block(at)"]
        self.used.update({"block", "THREADS"})
        return ["i = block()*THREADS + thread()"]


@dataclass(frozen=True)
class _Position:
    """Writes what is done for one position of a small sweep."""

    of: _SmallSweep
    branch: Branch
    step: Step

    @property
    def sweep(self) -> Sweep:
        return self.step.sweep

    @property
    def known(self) -> dict[Named, Reduce]:
        return rounds.totals(self.branch)

    def lines(self) -> Iterator[str]:
        """Totals, which take all threads of a block where it is for one tensor or the model, then the position."""
        space = self.sweep.space
        made = [load for load in self.sweep.reads if self.is_made_here(load)]
        model = [load for load in made if load.space is Space.GROUP]
        rest = [self.total(load) for load in made if load.space is not Space.GROUP]
        yield from map(self.total, model)
        if space in (Space.GROUP, Space.TENSOR):
            yield from rest
            yield "if thread() == 0:"
            yield from (INDENT + line for line in self.call())
            return
        all_of_them, its_tensor = f"{space.value}s_in_all", f"tensor_of_{space.value}"
        self.of.used.update({all_of_them, its_tensor})
        yield f"if i < {all_of_them}(at):"
        yield f"{INDENT}j = {its_tensor}(at, i)"
        yield from (INDENT + line for line in (*rest, *self.call()))

    def is_made_here(self, load: Named) -> bool:
        """Whether a load is a total that has yet to be made of what it is a total of."""
        reduce = self.known.get(load)
        return reduce is not None and (reduce.factors[0].space, load.space) != (Space.ELEM, Space.ROW)

    def total(self, load: Named) -> str:
        """The line that makes a total."""
        reduce = self.known[load]
        source, most = reduce.factors[0].space, reduce.how == "max"
        array = (rounds.holder(reduce.factors[0], self.branch) if source is not Space.ELEM else rounds.name(load)) + OF
        if load.space is Space.TENSOR:
            by_all = self.sweep.space is Space.TENSOR  # elsewhere the threads of a block are for several tensors
            function = f"{reduce.how}_{'over' if by_all else 'by_one'}"
            self.of.used.update({function, _THESE[source]})
            return f"{rounds.name(load)} = {function}(small, {array}, at, {_THESE[source]}, j)"
        function = _TOTAL[source, load.space][most]
        place = "at" if load.space is Space.GROUP else "at, j, i"
        self.of.used.add(function)
        return f"{rounds.name(load)} = {function}(small, {array}, {place})"

    def call(self) -> list[str]:
        """The position: its results become those of its function."""
        sweep = self.sweep
        places_of = {result: rounds.holder(result, self.branch) for result in sweep.keeps}
        places_of |= {slot.next: slot.name for slot in sweep.stores}
        stored = {x: f"small[{array}{OF}{_PLACE[sweep.space]}]" for x, array in places_of.items()}
        if rounds.is_copying(sweep):
            values = {slot.next: slot.next for slot in sweep.stores} | {a.target: a.value for a in sweep.body}
            return [f"{stored[target]} = {self.argument(value)}" for target, value in values.items()]
        targets = ", ".join(stored.get(result, rounds.name(result)) for result in rounds.results(sweep))
        arguments = [*map(self.argument, sweep.loads), *(a.name for a in module.needed(self.of.kernel, sweep))]
        return laid_out(f"{targets} = {self.step.name}(", arguments, ")").splitlines()

    def argument(self, load: Named) -> str:
        """A load as an argument of the function of one position."""
        if isinstance(load, Extent):
            return f"small[{load.name}{OF} + j]"
        if self.is_made_here(load):
            return rounds.name(load)
        return f"small[{rounds.holder(load, self.branch)}{OF}{_PLACE[load.space]}]"
