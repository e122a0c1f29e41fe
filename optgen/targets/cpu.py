"""The CPU target: sweeps over chunks, in parallel, each a loop that LLVM vectorizes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from optgen import runtime
from optgen.ir import Branch, Kernel, Reduce, Sweep
from optgen.language.noise import Draw
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.symbols import Named, g, theta
from optgen.language.text import text
from optgen.runtime import totals
from optgen.targets import beginning, module, rounds
from optgen.targets.base import Origin
from optgen.targets.module import INDENT
from optgen.targets.printer import CodePrinter
from optgen.targets.rounds import OF, Round, Step

_HOME = {
    **dict.fromkeys(totals.__all__, "optgen.runtime.totals"),
    **dict.fromkeys(runtime.__all__, "optgen.runtime"),
    "beginning": "optgen.runtime",
    "draws": "optgen.runtime.philox",
    "": "optgen.runtime.cpu",
}
"""Where generated modules find what they use; all else is where nothing is."""


@dataclass(frozen=True)
class _Cpu:
    name: str = "cpu"

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        """The text of a module: scalars, update, chunk, sweeps, step and the class."""
        host, element = CodePrinter(elementwise=False), CodePrinter(elementwise=True)
        scalars, code = module.scalars(kernel, host), _simple if rounds.is_simple(kernel) else _in_rounds
        sweeps, phases, helpers = code(kernel, element, host)
        outside = beginning.functions(optimizer)
        parts = [
            scalars,
            *sweeps,
            module.initial(optimizer, host),
            *module.derived(optimizer, host),
            *outside,
            module.program(optimizer, kernel, [*phases, *beginning.lines(optimizer)]),
            module.step(optimizer),
            module.facade(optimizer, "numpy.ndarray"),
        ]
        names = {
            *module.used_outside(outside),
            *host.used,
            *element.used,
            *helpers,
            *("on_host", "parallel_sweep", "per_element", "prange"),
        }
        imports = module.imports(_HOME, names | {"serial_sweep", "view"})
        return module.assembled(
            [module.header(origin), module.docstring(optimizer), *module.numpy(outside), *imports], parts
        )


TARGET = _Cpu()


Parts = tuple[list[str], list[str], set[str]]
"""Functions of a module, the lines that tell PROGRAM of them, and what they use of the runtime."""

# Modules of one sweep ------------------------------------------------------------------------------------------------


def _simple(kernel: Kernel, element: CodePrinter, host: CodePrinter) -> Parts:  # noqa: ARG001 - there is no other code
    functions = [*module.updates(kernel, element), _chunk(kernel), _SWEEPS.replace("scalars)", f"{_numbers(kernel)})")]
    return functions, ["sweep=sweep,", "sweep_serial=sweep_serial,"], {"per_chunk", *_drawing(kernel)}


def _drawing(kernel: Kernel) -> set[str]:
    """What draws take of the runtime."""
    return {"draws"} if kernel.draws else set()


def _chunk(kernel: Kernel) -> str:
    slots = (*kernel.slots[:1], g, *kernel.slots[1:])
    touched = {s for sweep in kernel.sweeps for s in (*sweep.loads, *sweep.stores)}
    views = [
        f"{slot.name} = view(row[{column}], count, scalars)"
        for column, slot in enumerate(slots, start=1)
        if slot in touched
    ]
    names = [f"{argument.name} = scalars[{k}]" for k, argument in enumerate(kernel.arguments)]
    blocks = [_loop(f"update_{k}", kernel, branch.sweeps[0]) for k, branch in enumerate(kernel.branches)]
    if len(blocks) == 1:
        blocks = [_loop("update", kernel, kernel.branches[0].sweeps[0])]
    what = "Load, update and store each element of one chunk, which a row of the table describes."
    body = ["count = row[0]", *views, *names, *rounds.by_branch(blocks)]
    return module.function("per_chunk", "chunk", f"row, {_numbers(kernel)}", what, body)


def _numbers(kernel: Kernel) -> str:
    """What a sweep takes beside memory."""
    return "scalars, keys" if kernel.draws else "scalars"


def _loop(update: str, kernel: Kernel, sweep: Sweep) -> list[str]:
    if not sweep.stores:
        return ["pass"]
    results = ", ".join(f"{slot.name}[i]" for slot in sweep.stores)
    loads = [f"{slot.name}[i]" for slot in sweep.loads]
    call = module.laid_out(f"{results} = {update}(", [*loads, *(a.name for a in module.needed(kernel, sweep))], ")")
    drawn = [_drawn(kernel, draw) for draw in sweep.draws]
    return [*drawn, "for i in range(count):", *textwrap.indent(call, INDENT).splitlines()]


def _drawn(kernel: Kernel, draw: Draw) -> str:
    key = 1 + kernel.seeds.index(draw.node.seed)
    return f"{draw.name} = draws(row, keys[0], keys[{key}], {draw.node.stream}, scalars)  # {text(draw.node)}"


# Modules of several sweeps -------------------------------------------------------------------------------------------


def _in_rounds(kernel: Kernel, element: CodePrinter, host: CodePrinter) -> Parts:
    functions, phases = rounds.functions(kernel, element, host, "helper"), ["phases=("]
    used = {"Phase", *(["helper"] if any(text.startswith("@helper") for text in functions) else []), *_drawing(kernel)}
    for round_ in rounds.rounds(kernel):
        prepare = rounds.prepare(kernel, round_, used)
        if prepare:
            functions.append(prepare)
            phases += _phase(rounds.taken(kernel, round_.small), f"prepare={rounds.prepare_name(round_)}")
        if any(round_.whole):
            steps = [(step,) if step else () for step in round_.whole]
            taken = rounds.taken(kernel, steps)
            functions += [_summing_chunk(kernel, round_, taken, used), *_sweeps(kernel, round_.number, taken)]
            name = f"sweep_{round_.number}"
            phases += _phase(taken, f"sweep={name}", f"sweep_serial={name}_serial")
    values = [f'"{array}": "{kind}"' for array, kind in rounds.arrays(kernel).items()]
    lines = [*module.laid_out("values={", values, "},").splitlines(), *phases, "),"]
    kept = rounds.kept(kernel)
    return functions, [*([f"scratch={module.names([x.name for x in kept])},"] if kept else []), *lines], used


def _phase(taken: Sequence[str], *does: str) -> list[str]:
    """A phase among those of PROGRAM."""
    names = module.names(taken)
    line = f"Phase({', '.join([names, *does])}),"
    if len(2 * INDENT + line) <= module.WIDTH:
        return [INDENT + line]
    laid_out = module.laid_out("Phase((", [f'"{name}"' for name in taken], f"), {', '.join(does)}),")
    return textwrap.indent(laid_out, INDENT).splitlines()


def _sweeps(kernel: Kernel, number: int, taken: Sequence[str]) -> list[str]:
    """The sweep over the chunks of all tensors, on all threads and on one."""
    arguments = ", ".join(["rows", "tasks", "places", _numbers(kernel), *(array + OF for array in taken)])
    given = ["rows[row]", "places[row]", *_numbers(kernel).split(", "), *(array + OF for array in taken)]
    call = module.laid_out(f"chunk_{number}(", given, ")")
    parallel = [
        "for task in prange(len(tasks) - 1):",
        f"{INDENT}for row in range(tasks[task], tasks[task + 1]):",
        *textwrap.indent(call, 2 * INDENT).splitlines(),
    ]
    serial = ["for row in range(len(rows)):", *textwrap.indent(call, INDENT).splitlines()]
    name, what = f"sweep_{number}", f"Sweep {number} over every tensor, on"
    on_one = arguments.replace("tasks, ", "")
    return [
        module.function("parallel_sweep", name, arguments, f"{what} all threads.", parallel),
        module.function("serial_sweep", f"{name}_serial", on_one, f"{what} the calling thread.", serial),
    ]


def _summing_chunk(kernel: Kernel, round_: Round, taken: Sequence[str], used: set[str]) -> str:
    """The loop over one chunk in a module of several sweeps."""
    steps = [step for step in round_.whole if step]
    sweeps = [step.sweep for step in steps]
    columns = {slot: column for column, slot in enumerate((theta, g, *kernel.slots[1:], *rounds.kept(kernel)), start=1)}
    touched = {rounds.slot_of(x) for sweep in sweeps for x in (*sweep.reads, *sweep.stores, *sweep.keeps)}
    viewed = [(slot, column) for slot, column in columns.items() if slot in touched]
    chunk = _Chunk(kernel, rounds.is_by_rows(sweeps), viewed, used)
    blocks = [chunk.block(branch, step) for branch, step in zip(kernel.branches, round_.whole, strict=True)]
    place = [line for line in chunk.head() if rounds.is_used(line.split()[0], blocks) or not chunk.by_rows]
    body = [*place, *rounds.scalars_used(kernel, sweeps, blocks), *rounds.by_branch(blocks)]
    arguments = ", ".join(["row", "place", _numbers(kernel), *(array + OF for array in taken)])
    decorator = "summing_chunk" if any(sweep.reduces for sweep in sweeps) else "per_chunk"
    used.add(decorator)
    what = f"Sweep {round_.number} over one chunk, which a row of the table describes."
    return module.function(decorator, f"chunk_{round_.number}", arguments, what, body)


@dataclass(frozen=True)
class _Chunk:
    """Writes the loop over a chunk: all of it at once, or one row of its matrices after another."""

    kernel: Kernel
    by_rows: bool
    viewed: list[tuple[Named, int]]
    used: set[str]

    def head(self) -> list[str]:
        """Names for the memory and for the place of the chunk."""
        if not self.by_rows:
            return ["count = row[0]", *self.views("")]
        names = ("lines", "count", "first_row", "first_column", "matrix_rows", "line_before", "parts_begin")
        return [f"{name} = place[{k}]" for k, name in enumerate(names, start=1)]

    def views(self, begin: str) -> list[str]:
        return [f"{slot.name} = view(row[{column}]{begin}, count, scalars)" for slot, column in self.viewed]

    def block(self, branch: Branch, step: Step | None) -> list[str]:
        """The loop of one branch."""
        if step is None:
            return ["pass"]
        sweep = step.sweep
        drawn = [_drawn(self.kernel, draw) for draw in sweep.draws]
        totals = [reduce for reduce in sweep.reduces if reduce.target.space is Space.TENSOR]
        before = [f"{x.name} = {self.cast(self.held(x, branch))}" for x in sweep.given if x.space <= Space.TENSOR]
        before += [self.started(reduce) for reduce in totals]
        after = [f"{reduce.target.name}{OF}[place[0]] = {reduce.target.name}" for reduce in totals]
        loop = self.loop(step)
        if self.by_rows:
            loop = self.lines(sweep, branch, loop)
        return [*drawn, *before, *loop, *after]

    def lines(self, sweep: Sweep, branch: Branch, loop: list[str]) -> list[str]:
        """The loop over the rows of a chunk's matrices, around the loop over the elements of one."""
        reduces = {space: [r for r in sweep.reduces if r.target.space is space] for space in (Space.ROW, Space.COL)}
        given = {space: [x for x in sweep.given if x.space is space] for space in (Space.ROW, Space.COL)}
        inside = ["begin = line*count", *self.views(" + begin*scalars.itemsize")]
        inside += [f"{draw.name}_line = {draw.name}[begin : begin + count]" for draw in sweep.draws]
        inside += [f"{x.name} = {self.cast(self.held(x, branch))}" for x in given[Space.ROW]]
        if given[Space.COL] or reduces[Space.COL]:
            inside.append("matrix = (line_before + line)//matrix_rows")
        if given[Space.COL]:
            inside.append("column = first_column + matrix*count")
        inside += [f"{x.name} = {rounds.holder(x, branch)}{OF}[column : column + count]" for x in given[Space.COL]]
        before = []
        if reduces[Space.COL]:
            before = ["parts_count = ((line_before + lines - 1)//matrix_rows - line_before//matrix_rows + 1)*count"]
            inside.append("line_parts = parts_begin + (matrix - line_before//matrix_rows)*count")
        for reduce in reduces[Space.COL]:
            array, empty = reduce.target.name + OF, "0.0" if reduce.how == "sum" else "-inf"
            before.append(f"{array}[parts_begin : parts_begin + parts_count] = {empty}")
            inside.append(f"{reduce.target.name} = {array}[line_parts : line_parts + count]")
        inside += [self.started(reduce) for reduce in reduces[Space.ROW]]
        inside += loop
        inside += [f"{r.target.name}{OF}[first_row + line] = {r.target.name}" for r in reduces[Space.ROW]]
        if any(r.how == "max" for r in sweep.reduces):
            self.used.add("inf")
        return [*before, "for line in range(lines):", *(INDENT + line for line in inside)]

    def loop(self, step: Step) -> list[str]:
        """The loop over elements."""
        sweep = step.sweep
        stored = {slot.next: f"{slot.name}[i]" for slot in sweep.stores} | {x: f"{x.name}[i]" for x in sweep.keeps}
        added = {x for reduce in sweep.reduces for x in reduce.factors}
        overwritten = {x for x in sweep.loads if x in added and rounds.slot_of(x) in sweep.stores}
        # What is both stored and added up has a name: nothing that a sweep has stored is loaded by it again.
        both = {x: f"{rounds.slot_of(x).name}_next" for x in rounds.results(sweep) if x in added and x in stored}
        body = [f"{x.name}_before = {self.element(x)}" for x in sweep.loads if x in overwritten]
        if sweep.body:
            targets = ", ".join(both.get(x, stored.get(x, rounds.name(x))) for x in rounds.results(sweep))
            given = [self.element(load) for load in sweep.loads]
            arguments = [*given, *(a.name for a in module.needed(self.kernel, sweep))]
            body += module.laid_out(f"{targets} = {step.name}(", arguments, ")").splitlines()
        body += [f"{stored[x]} = {new}" for x, new in both.items()]
        names = (
            {x: self.element(x) for x in sweep.loads if x in added}
            | {x: f"{x.name}_before" for x in overwritten}
            | both
        )
        body += [self.added(reduce, [names.get(x, rounds.name(x)) for x in reduce.factors]) for reduce in sweep.reduces]
        return ["for i in range(count):", *(INDENT + line for line in body)]

    def element(self, load: Named) -> str:
        """A load as an argument of the function of one element."""
        if isinstance(load, Draw):
            return f"{load.name}_line[i]" if self.by_rows else f"{load.name}[i]"
        if load.space is Space.ELEM:
            return f"{rounds.slot_of(load).name}[i]"
        return self.cast(f"{rounds.name(load)}[i]") if load.space is Space.COL else rounds.name(load)

    def held(self, load: Named, branch: Branch) -> str:
        """Where a value is found that varies over less than elements."""
        index = {Space.GROUP: "0", Space.TENSOR: "row[-2]", Space.ROW: "first_row + line"}[load.space]
        return f"{rounds.holder(load, branch)}{OF}[{index}]"

    def cast(self, value: str) -> str:
        self.used.add("narrow")
        return f"narrow({value}, scalars)"

    def started(self, reduce: Reduce) -> str:
        """What a total is before anything is added."""
        if reduce.how == "max":
            self.used.add("inf")
        return f"{reduce.target.name} = {'0.0' if reduce.how == 'sum' else '-inf'}  # {reduce.what}"

    def added(self, reduce: Reduce, factors: Sequence[str]) -> str:
        """A total with one more element in it."""
        total = f"{reduce.target.name}[i]" if reduce.target.space is Space.COL else reduce.target.name
        value = "*".join(f"wide({factor})" for factor in factors)
        self.used.add("wide")
        if reduce.how == "sum":
            return f"{total} += {value}"
        self.used.add("maximum")
        return f"{total} = maximum({total}, {value})"


_SWEEPS = '''@parallel_sweep
def sweep(rows, tasks, scalars):
    """Update every tensor, on all threads: a task is a run of rows of about equal work."""
    for task in prange(len(tasks) - 1):
        for row in range(tasks[task], tasks[task + 1]):
            chunk(rows[row], scalars)


@serial_sweep
def sweep_serial(rows, scalars):
    """Update every tensor, on the calling thread."""
    for row in range(len(rows)):
        chunk(rows[row], scalars)'''
