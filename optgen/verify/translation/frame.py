"""The frame around the arithmetic: sweeps that visit every chunk once, starts, defaults, domains, what PROGRAM says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sympy import Expr, Integer, Rational, S, Set, cancel

from optgen.language.spec import Optimizer
from optgen.language.symbols import State, algebraic, g, theta
from optgen.language.text import text
from optgen.verify.candidate import Candidate
from optgen.verify.translation.kernels import TOTALS
from optgen.verify.translation.reading import (
    EXTENTS,
    FUNCTIONS,
    Assumed,
    Layout,
    Rejected,
    StepKernel,
    SymbolicRun,
    parameters,
)

_SWEEP = """\
for task in prange(len(tasks) - 1):
    for row in range(tasks[task], tasks[task + 1]):
        %s"""
_SWEEP_SERIAL = """\
for row in range(len(rows)):
    %s"""
_KINDS = {"chunk", "part", "row", "column", "tensor", "model"}
_DECORATORS = {
    r"scalars|prepare(_\d+)+": "on_host",
    r"(tensor|row|column|model)(_\d+)+": "helper",
    r"update(_\d+)*": "per_element",
    r"chunk(_\d+)?": "per_chunk",
    r"sweep(_\d+)?": "parallel_sweep",
    r"sweep(_\d+)?_serial": "serial_sweep",
}
_HOMES = {
    **dict.fromkeys(("LANES", "add_product", "lanes", "view", "prange", "inf"), "optgen.runtime.cpu.primitives"),
    **dict.fromkeys(_DECORATORS.values(), "optgen.runtime.cpu.primitives"),
    **dict.fromkeys(FUNCTIONS.keys() - {"abs"}, "optgen.runtime.cpu.primitives"),
    **dict.fromkeys((*TOTALS, "max_of_lanes", "narrow", "sum_of_lanes", "wide"), "optgen.runtime.cpu.totals"),
    "draws": "optgen.runtime.cpu.draws",
    "Phase": "optgen.runtime",
    "Program": "optgen.runtime",
}
"""Where names of the runtime come from."""


def late(state: State) -> bool:
    """Whether what a state starts from is known at the first step only."""
    return g in state.init.free_symbols


def layout(optimizer: Optimizer, tree: ast.Module) -> Layout:
    """What PROGRAM says of memory, and what a step launches."""
    program = _program(tree)
    slots = ("theta", "g", *(state.name for state in optimizer.slots), *_literal(program, "scratch", ()))
    small = {state.name: state.space.value for state in optimizer.small_states}
    arrays = {**dict.fromkeys(EXTENTS, "tensor"), **small, **_literal(program, "values", {})}
    columns = {slot: column for column, slot in enumerate(slots, start=1)}
    launches = [_launch(phase) for phase in getattr(program.get("phases"), "elts", ())]
    for each in launches:
        if unknown := [name for name in each.takes if name not in arrays]:
            raise Rejected(f"`{each.function}` takes `{unknown[0]}`, of which PROGRAM does not say what it is")
    return Layout(columns, arrays, tuple(launches) or (StepKernel("chunk"),), _literal(program, "seeds", ()))


def complaints(candidate: Candidate, tree: ast.Module, found: Layout) -> Iterator[str]:
    """All that is wrong with everything but the arithmetic."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, function in functions.items():
        expected = next((kind for names, kind in _DECORATORS.items() if re.fullmatch(names, name)), None)
        if [ast.unparse(x) for x in function.decorator_list] != ([expected] if expected else []):
            yield f"`{name}` is not compiled as {expected}"
    yield from _kernels(functions, found)
    origins = {
        a.asname or a.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names
    }
    renamed = {a.asname for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names if a.asname}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    compiled = {ast.unparse(x) for function in functions.values() for x in function.decorator_list}
    for name in sorted((called | compiled | _read(tree) & {"LANES", "inf"}) & _HOMES.keys()):
        if origins.get(name) != _HOMES[name] or name in renamed or name in functions:
            yield f"`{name}` is not the runtime's"
    yield from _starts(candidate, functions["initial"])
    yield from _derived(candidate, functions)
    yield from _data(candidate, tree)


def _read(tree: ast.Module) -> set[str]:
    """All names that are read."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _program(tree: ast.Module) -> dict[str | None, ast.expr]:
    """What PROGRAM is made of."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="PROGRAM")], value=ast.Call(func=ast.Name(id="Program"), args=[])):
                assert isinstance(node.value, ast.Call)
                return {keyword.arg: keyword.value for keyword in node.value.keywords}
    raise Rejected("there is no PROGRAM")


def _literal(program: Mapping[str | None, ast.expr], part: str, without: Any) -> Any:
    return ast.literal_eval(program[part]) if part in program else without


def _launch(node: ast.expr) -> StepKernel:
    """A phase of PROGRAM."""
    match node:
        case ast.Call(func=ast.Name(id="Phase"), args=[takes], keywords=keywords):
            kernels = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
            match kernels:
                case {"prepare": name, **others} if not others and re.fullmatch(r"prepare_\d+", name):
                    return StepKernel(name, ast.literal_eval(takes), is_sweep=False)
                case {"sweep": name, "sweep_serial": serial, **others} if not others and serial == f"{name}_serial":
                    if re.fullmatch(r"sweep_\d+", name):
                        return StepKernel(name.replace("sweep", "chunk"), ast.literal_eval(takes))
    raise Rejected(f"`{ast.unparse(node)}` is no phase of a generated module")


def _kernels(functions: Mapping[str, ast.FunctionDef], found: Layout) -> Iterator[str]:
    """What is wrong with what kernels are given, and with the sweeps around chunks."""
    numbers = ["storage", "scalars", *(["keys"] if found.seeds else [])]
    for each in found.launches:
        arrays = [f"{name}_of" for name in each.takes]
        if not each.is_sweep:
            if parameters(functions[each.function]) != ["at", "scalars", *arrays]:
                yield f"`{each.function}` does not take what its phase gives it"
            continue
        in_rounds, sweep = each.function != "chunk", each.function.replace("chunk", "sweep")
        places = ["places"] if in_rounds else []
        given = ["rows[row]", *(["places[row]"] if in_rounds else []), *numbers, *arrays]
        call = f"{each.function}({', '.join(given)})"
        for name, body in ((sweep, _SWEEP), (f"{sweep}_serial", _SWEEP_SERIAL)):
            tasks = ["tasks"] if name == sweep else []
            if "\n".join(ast.unparse(x) for x in functions[name].body[1:]) != body % call:
                yield f"`{name}` does not visit every chunk once"
            if parameters(functions[name]) != ["rows", *tasks, *places, *numbers, *arrays]:
                yield f"`{name}` does not take what its phase gives it"
        if parameters(functions[each.function]) != ["row", *(["place"] if in_rounds else []), *numbers, *arrays]:
            yield f"`{each.function}` does not take what `{sweep}` gives it"


def _starts(candidate: Candidate, function: ast.FunctionDef) -> Iterator[str]:
    """What is wrong with the values that states start from."""
    run = SymbolicRun({"initial": function}, {}, Assumed(()))
    states = (*candidate.optimizer.slots, *candidate.optimizer.small_states, *candidate.optimizer.numbers)
    values = run.call("initial", candidate.optimizer.hypers)
    expected = tuple(S.Zero if state.init.has(theta, g) else state.init for state in states)
    for state, value, init in zip(states, values, expected, strict=True):
        if cancel(algebraic(value - init)) != 0:
            yield f"state `{state}` starts from {text(value)} where the spec says {text(init)}"


def _derived(candidate: Candidate, functions: Mapping[str, ast.FunctionDef]) -> Iterator[str]:
    """What is wrong with what hyperparameters are that follow from others."""
    hypers = candidate.optimizer.hypers
    follow = [hyper for hyper in hypers if not hyper.default.is_number]
    if ("derived" in functions) != bool(follow):
        yield "there is `derived` exactly where a hyperparameter follows from others, but not here"
        return
    run = SymbolicRun({"derived": functions["derived"]}, {}, Assumed(())) if follow else None
    values = run.call("derived", [hyper for hyper in hypers if hyper not in follow]) if run else ()
    for hyper, value in zip(follow, values, strict=True):
        if cancel(value - hyper.default) != 0:
            yield f"`{hyper}` is {text(value)} unless given, where the spec says {text(hyper.default)}"


def _data(candidate: Candidate, tree: ast.Module) -> Iterator[str]:
    """What is wrong with the defaults, the domains and the order of the states."""
    optimizer = candidate.optimizer
    defaults = {h.name: h.usual if h.default.is_number else None for h in optimizer.hypers}
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(
                name="step" | "__init__" as name, args=ast.arguments(kwonlyargs=given, kw_defaults=values)
            ):
                pairs = zip(given, values, strict=True)
                found = {a.arg: ast.literal_eval(value) for a, value in pairs if value is not None}
                if found != defaults:
                    yield f"`{name}` has the defaults {found} where the spec has {defaults}"
    program = _program(tree)
    for part, expected in (("states", optimizer.slots), ("numbers", optimizer.numbers)):
        names = _literal(program, part, ())
        if names != tuple(state.name for state in expected):
            yield f"the {part} are {names} in PROGRAM"
    yield from _memory(optimizer, program)
    functions = ("initial", "scalars", *(program.keys() & {"derived"}))
    for part in (*functions, *(() if "phases" in program else ("sweep", "sweep_serial"))):
        if ast.unparse(program[part]) != part:
            yield f"PROGRAM takes `{ast.unparse(program[part])}` for {part}"
    if "phases" in program and program.keys() & {"sweep", "sweep_serial"}:
        yield "PROGRAM has both phases and one sweep"
    yield from _hypers(candidate, program["hypers"])


def _memory(optimizer: Optimizer, program: Mapping[str | None, ast.expr]) -> Iterator[str]:
    """What is wrong with what PROGRAM says of small states and of what sweeps leave for each other."""
    small, values = _literal(program, "small_states", {}), _literal(program, "values", {})
    expected = {state.name: state.space.value for state in optimizer.small_states}
    if list(small.items()) != list(expected.items()):
        yield f"the small states are {small} in PROGRAM where the spec has {expected}"
    slots = ("theta", "g", *_literal(program, "states", ()), *_literal(program, "scratch", ()))
    names = [*slots, *EXTENTS, *small, *values, *_literal(program, "numbers", ())]
    yield from (f"PROGRAM has `{name}` twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"PROGRAM has `{name}` for each {kind}" for name, kind in values.items() if kind not in _KINDS)


def _hypers(candidate: Candidate, node: ast.expr) -> Iterator[str]:
    program = candidate.module.PROGRAM
    if not isinstance(node, ast.Dict) or list(program.hypers) != [h.name for h in candidate.optimizer.hypers]:
        yield "the hyperparameters of PROGRAM are not those of the spec, in its order"
        return
    for h in candidate.optimizer.hypers:
        known = program.hypers[h.name]
        if known.default != (h.usual if h.default.is_number else None):
            yield f"`{h}` has the default {known.default} in PROGRAM"
        for end, belongs in _around(h.domain):
            if known.domain.holds(float(end)) != belongs:
                yield f"the domain of `{h}` in PROGRAM is wrong at {end}"


@cache
def _around(domain: Set) -> list[tuple[Expr, bool]]:
    """Numbers on both sides of each end of a domain, near and far, whole and not; and whether they belong."""
    ends = [end for end in (domain.inf, domain.sup) if end.is_finite]
    steps = [sign * step for step in (Rational(1, 1000), Rational(1, 4), Integer(1), Integer(1000)) for sign in (-1, 1)]
    numbers = [end + step for end in ends or [S.Zero] for step in (S.Zero, *steps)]
    return [(number, bool(domain.contains(number))) for number in numbers]
