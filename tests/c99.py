"""A third target, as a proof that the seams are where they should be: C99 with OpenMP, for rules of elements.

Nothing outside this file knows of it. Host functions stay where they are: a sweep takes what ``scalars`` returned.
"""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from optgen.loops import vectors
from optgen.loops.layout import INDENT
from optgen.loops.nodes import (
    Assign,
    Binary,
    Call,
    Cast,
    Choose,
    Compute,
    Expression,
    Function,
    Item,
    Loop,
    Name,
    Number,
    Return,
    Statement,
    View,
)
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import name as variable
from optgen.loops.text import ATOM, LoopPrinter
from optgen.pipeline import kernel_of
from optgen.runtime.core.program import Program

COMPILER = shutil.which("cc")
_HEADERS = """
#include <math.h>
#include <tgmath.h>
#include <stdint.h>

typedef struct { const int64_t *at; int64_t length, width; } table;

#define times(a, b) ((a) * (b))
#define where(c, a, b) ((c) ? (a) : (b))
#define sign(x) ((x) != (x) ? (x) : (element)(((x) > 0) - ((x) < 0)))
#define finite_(x) ((element)(isfinite(x) != 0))
"""
_PRELUDE = """
static inline element maximum(element a, element b) { return a > b || a != a ? a : b; }
static inline element minimum(element a, element b) { return a < b || a != a ? a : b; }
"""
_TABLES = ("rows", "tasks")
_MEMORY = {"row": "const int64_t *", "scalars": "const element *"}


class _CPrinter(CodePrinter):
    """Equations of elements in C; `math.h` knows the functions by names of its own."""

    def called(self, name: str, texts: Sequence[str]) -> str:
        return f"{_NAMES.get(name, name)}({', '.join(texts)})"


_NAMES = {"abs": "fabs", "finite": "finite_"}


@dataclass(frozen=True)
class CEmitter(LoopPrinter):
    """Writes functions in C, of which a variable has the type of what it is first given."""

    results: Mapping[str, int] = field(default_factory=dict)
    """How many values the functions return that return several."""
    types: dict[str, str] = field(default_factory=dict)

    def module(self, functions: Sequence[Function]) -> str:
        """The text of those functions that visit elements."""
        found = [function for function in functions if function.kind not in {"host", "between"}]
        returns = {f.name: len(f.body[-1].values) for f in found if isinstance(f.body[-1], Return)}
        return "\n\n".join([_PRELUDE, *(replace(self, results=returns, types={}).function(f) for f in found)])

    def function(self, function: Function) -> str:
        element = function.kind == "element"
        parameters = [name for name in function.parameters if name != "storage"]
        kinds = {name: "table" if name in _TABLES else _MEMORY.get(name, "element") for name in parameters}
        self.types.update(kinds)
        parameters = [f"{kind} {name}" for name, kind in kinds.items()]
        parameters += [f"element *out{k}" for k in range(self.results.get(function.name, 0))]
        linkage = "void" if function.kind == "sweep" else "static inline void"
        code = _CPrinter(elementwise=element)
        lines = [line for statement in function.body for line in self.statement(statement, code)]
        return "\n".join([f"{linkage} {function.name}({', '.join(parameters)}) {{", *(INDENT + x for x in lines), "}"])

    def statement(self, node: Statement, code: CodePrinter) -> Iterator[str]:
        match node:
            case Compute(equation):
                yield f"{self.declared(variable(equation.target), 'element')} = {code(equation.value)};"
            case Assign(targets, Call(function, arguments)) if targets and function in self.results:
                places = [f"&{self(target)}" for target in targets]
                yield f"{function}({', '.join([*map(self, arguments), *places])});"
            case Assign((), Call() as call):
                yield f"{self(replace(call, arguments=tuple(x for x in call.arguments if x != Name('storage'))))};"
            case Assign((Name(name),), value):
                yield f"{self.declared(name, self.type_of(value))} = {self(value)};"
            case Return(values):
                yield from (f"*out{k} = {self(value)};" for k, value in enumerate(values))
            case Loop() | Choose():
                yield from super().statement(node, code)
            case _:
                raise NotImplementedError(node)

    def block(self, body: Sequence[Statement], code: CodePrinter) -> list[str]:
        return [*(INDENT + line for statement in body for line in self.statement(statement, code)), "}"]

    def loop(self, loop: Loop, code: CodePrinter) -> Iterator[str]:
        i = loop.index
        self.types[i] = "int64_t"
        yield from ["#pragma omp parallel for schedule(static, 1)"] * loop.parallel
        yield f"for (int64_t {i} = {self(loop.start)}; {i} < {self(loop.stop)}; {i} += {self(loop.step)}) {{"
        yield from self.block(loop.body, code)

    def cases(self, cases: Any, code: CodePrinter) -> Iterator[str]:
        for number, (condition, body) in enumerate(cases):
            test = f"if ({self(condition)}) " if condition else ""
            yield f"{'else ' * bool(number)}{test}{{"
            yield from self.block(body, code)

    def declared(self, name: str, kind: str) -> str:
        """A variable where it is given a value."""
        known = name in self.types
        self.types[name] = kind
        return name if known else f"{kind} {name}"

    def type_of(self, node: Expression) -> str:
        match node:
            case Name(name):
                return self.types[name]
            case Number(float()) | Cast(_, "float64"):
                return "double"
            case Cast(_, "element"):
                return "element"
            case View():
                return "element *"
            case Item(array):
                return {"const int64_t *": "int64_t", "table": "int64_t"}.get(self.type_of(array), "element")
            case Number() | Binary() | Cast(_, "index"):
                return "int64_t"
        raise NotImplementedError(node)

    def atom(self, node: Expression) -> str:
        match node:
            case Call("len", (array,)):
                return f"{self(array)}.length"
            case Item(Name("scalars"), (_, k)):  # of the only group
                return f"scalars[{self(k)}]"
            case Item(Name("rows"), (row,)):
                return f"(rows.at + rows.width*{self(row)})"
            case Item(Name("tasks"), (task,)):
                return f"tasks.at[{self(task)}]"
        return super().atom(node)

    def cast(self, value: Expression, to: str) -> tuple[str, int]:
        kind = {"element": "element", "float64": "double", "index": "int64_t"}[to]
        return f"({kind})({self(value)})", ATOM

    def view(self, view: View) -> str:
        return f"(element *)(intptr_t){self(view.row)}[{view.column}] + {self(view.begin)}"


class _Table(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("length", ctypes.c_int64), ("width", ctypes.c_int64)]

    @classmethod
    def of(cls, array: Any) -> "_Table":
        return cls(array.ctypes.data, len(array), array[:1].size)


@dataclass(frozen=True)
class _Sweep:
    """The sweeps of a shared library, one for tensors of either type."""

    functions: Mapping[int, Callable[..., None]]

    def __call__(self, *arrays: Any) -> None:
        *tables, _, scalars = arrays
        self.functions[scalars.itemsize](*map(_Table.of, tables), ctypes.c_void_p(scalars.ctypes.data))


def program_of(optimizer: Any, program: Program, folder: Path) -> Program:
    """The program of a rule of elements with its sweep in C."""
    library = _library(_for_both(CEmitter().module(vectors.lowered(kernel_of(optimizer)).functions)), folder)
    return replace(program, sweep=_Sweep({size: library[f"sweep_{kind}"] for kind, size in _TYPES.items()}))


_TYPES = {"float": 4, "double": 8}


def _for_both(text: str) -> str:
    """The text of a module for each type, in one file: to start a compiler takes as long as to compile it."""
    names = {"element", *_DEFINED.findall(text)}
    parts = [_HEADERS]
    for kind in _TYPES:
        parts += [f"typedef {kind} element_{kind};", *(f"#define {name} {name}_{kind}" for name in names)]
        parts += [text, *(f"#undef {name}" for name in names)]
    return "\n".join(parts)


_DEFINED = re.compile(r"^(?:static inline )?(?:void|element) (\w+)\(", re.MULTILINE)


def _library(text: str, folder: Path) -> ctypes.CDLL:
    path = folder / sha256(text.encode()).hexdigest()[:16]
    path.with_suffix(".c").write_text(text, encoding="utf-8")
    options = ["-std=gnu99", "-O2", "-ffp-contract=off", "-fopenmp", "-shared", "-fPIC", "-lm"]
    subprocess.run([COMPILER, path.with_suffix(".c"), "-o", path.with_suffix(".so"), *options], check=True)
    return ctypes.CDLL(str(path.with_suffix(".so")))
