"""The frame around the arithmetic: what PROGRAM says, where names come from, starts, defaults, domains."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from sympy import Expr, Integer, Rational, S, Set, cancel

from optgen.language.spec import Optimizer
from optgen.language.symbols import algebraic, g, theta
from optgen.language.text import text
from optgen.runtime.core.domain import Domain
from optgen.runtime.core.program import Hyper
from optgen.verify import reader
from optgen.verify.candidate import Candidate
from optgen.verify.reader import Rejected
from optgen.verify.translation.meaning import Assumed
from optgen.verify.translation.symbolic import SymbolicRun
from optgen.verify.translation.where import EXTENTS, Layout, StepKernel

_KINDS = {"chunk", "part", "row", "column", "tensor", "model"}
_OWN = frozenset({"abs", "int", "len", "range", "super"})
"""What modules call that is Python's."""


def said(tree: ast.Module) -> Mapping[str, Any]:
    """What PROGRAM is made of, with the names of functions for functions."""
    known: dict[str, Any] = {node.name: node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    phase = lambda takes, totals=None, **does: SimpleNamespace(takes=takes, totals=totals or {}, does=does)  # noqa: E731
    launch = lambda over, kernel, totals=None: SimpleNamespace(over=over, kernel=kernel, totals=totals or {})  # noqa: E731
    known |= {"Program": dict, "Phase": phase, "Launch": launch, "Hyper": Hyper, "Domain": Domain}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="PROGRAM")], value=ast.Call(func=ast.Name(id="Program"), args=[])):
                code = compile(ast.Expression(node.value), "PROGRAM", "eval")
                found: dict[str, Any] = eval(code, {"__builtins__": {}}, known)  # noqa: S307 - it is run anyway
                return found
    raise Rejected("there is no PROGRAM")


def layout(optimizer: Optimizer, program: Mapping[str, Any]) -> Layout:
    """What PROGRAM says of memory, and what a step launches."""
    reduced = {state.name: state.space.value for state in optimizer.reduced_states}
    kinds = {**dict.fromkeys(EXTENTS, "tensor"), **reduced, **program.get("values", {})}
    launches = [StepKernel(each.over, each.kernel, totals=each.totals) for each in program.get("launches", ())]
    launches += [_phase(phase) for phase in program.get("phases", ())]
    if "sweep" in program:
        launches.append(StepKernel("element", program["sweep"], ()))
    for each in launches:
        if unknown := [name for name in each.takes or () if name not in kinds]:
            raise Rejected(f"`{each.function}` takes `{unknown[0]}`, of which PROGRAM does not say what it is")
    totals = Counter(name for each in launches for name in each.totals)
    if wrong := [name for name, times in totals.items() if times > 1 or name not in program.get("values", {})]:
        raise Rejected(f"`{wrong[0]}` is a total of several phases, or kept from step to step")
    slots = ("theta", "g", *(state.name for state in optimizer.slots), *program.get("scratch", ()))
    hypers = {hyper.name: hyper for hyper in optimizer.hypers}
    seeds = tuple(hypers[name] for name in program.get("seeds", ()))
    in_rounds = len(launches) > 1 or "phases" in program or "values" in program or "reduced_states" in program
    return Layout(slots, kinds, tuple(launches), seeds, in_rounds)


def _phase(phase: Any) -> StepKernel:
    match phase.does:
        case {"between": name, **others} if not others:
            return StepKernel("reduced", name, phase.takes, phase.totals)
        case {"sweep": name, **others} if not others:
            return StepKernel("element", name, phase.takes, phase.totals)
    raise Rejected(f"a phase does {phase.does}")


def complaints(candidate: Candidate, tree: ast.Module, program: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with everything but the arithmetic."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    everything = list(ast.walk(tree))
    yield from _origins(candidate.target, functions, tree.body, everything)
    yield from _starts(candidate, functions["initial"])
    yield from _derived(candidate, functions)
    yield from _data(candidate, everything, program)


def _origins(
    target: str, functions: Mapping[str, ast.FunctionDef], body: Sequence[ast.stmt], everything: Sequence[ast.AST]
) -> Iterator[str]:
    """What is wrong with where names come from: the runtime, for the machine that the module is for."""
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    homes = {a.asname or a.name: str(node.module) for node in imports for a in node.names if a.asname in (None, a.name)}
    called = {node.func.id for node in everything if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    compiled = {ast.unparse(x) for function in functions.values() for x in function.decorator_list}
    for name in sorted((called - functions.keys() - _OWN) | compiled):
        home = homes.get(name, "")
        if name in functions or not (home == "optgen.runtime" or home.startswith(f"optgen.runtime.{target}.")):
            yield f"`{name}` is not the runtime's"


def _starts(candidate: Candidate, function: ast.FunctionDef) -> Iterator[str]:
    """What is wrong with the values that states start from."""
    run = SymbolicRun({"initial": reader.function(function, "host")}, {}, Assumed(()))
    states = (*candidate.optimizer.slots, *candidate.optimizer.reduced_states, *candidate.optimizer.numbers)
    values = run.call("initial", candidate.optimizer.hypers, "host")
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
    if not follow:
        return
    run = SymbolicRun({"derived": reader.function(functions["derived"], "host")}, {}, Assumed(()))
    values = run.call("derived", [hyper for hyper in hypers if hyper not in follow], "host")
    for hyper, value in zip(follow, values, strict=True):
        if cancel(value - hyper.default) != 0:
            yield f"`{hyper}` is {text(value)} unless given, where the spec says {text(hyper.default)}"


def _data(candidate: Candidate, everything: Sequence[ast.AST], program: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the defaults, the domains and the order of the states."""
    optimizer = candidate.optimizer
    defaults = {h.name: h.usual if h.default.is_number else None for h in optimizer.hypers}
    for node in everything:
        match node:
            case ast.FunctionDef(
                name="step" | "__init__" as name, args=ast.arguments(kwonlyargs=given, kw_defaults=values)
            ):
                pairs = zip(given, values, strict=True)
                found = {a.arg: ast.literal_eval(value) for a, value in pairs if value is not None}
                if found != defaults:
                    yield f"`{name}` has the defaults {found} where the spec has {defaults}"
                if not _is_handing_on(node):
                    yield f"`{name}` does not hand on what it is given under the same names"
    reduced = {state.name: state.space.value for state in optimizer.reduced_states}
    expected = {
        "states": [x.name for x in optimizer.slots],
        "numbers": [x.name for x in optimizer.numbers],
        "reduced_states": [*reduced],
    }
    for part, its in expected.items():
        if [*program.get(part, ())] != its:
            yield f"the {part.replace('_', ' ')} are {program.get(part)} in PROGRAM"
    if dict(program.get("reduced_states", {})) != reduced:
        yield f"the reduced states are {program.get('reduced_states')} in PROGRAM where the spec has {reduced}"
    values = program.get("values", {})
    slots = ("theta", "g", *program["states"], *program.get("scratch", ()))
    names = [*slots, *EXTENTS, *reduced, *values, *program.get("numbers", ())]
    yield from (f"PROGRAM has `{name}` twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"PROGRAM has `{name}` for each {kind}" for name, kind in values.items() if kind not in _KINDS)
    for part in ("initial", "scalars", *(program.keys() & {"derived"})):
        if program[part] != part:
            yield f"PROGRAM takes `{program[part]}` for {part}"
    if sum((bool(program.keys() & its)) for its in ({"sweep"}, {"phases"}, {"launches"})) != 1:
        yield "PROGRAM has none or several of phases, launches and one sweep"
    yield from _hypers(candidate, program["hypers"])


def _is_handing_on(function: ast.FunctionDef) -> bool:
    """Whether all that a function makes dictionaries of, or passes by name, is called by its own name."""
    for node in ast.walk(function):
        match node:
            case ast.Dict(keys=keys, values=values):
                pairs = [
                    (ast.literal_eval(key or ast.Constant(None)), its) for key, its in zip(keys, values, strict=True)
                ]
            case ast.Call(keywords=keywords):
                pairs = [(keyword.arg or "options", keyword.value) for keyword in keywords]
            case _:
                continue
        if any(ast.unparse(value) != name for name, value in pairs):
            return False
    return True


def _hypers(candidate: Candidate, hypers: Mapping[str, Hyper]) -> Iterator[str]:
    """What is wrong with what PROGRAM says of hyperparameters."""
    if list(hypers) != [h.name for h in candidate.optimizer.hypers]:
        yield "the hyperparameters of PROGRAM are not those of the spec, in its order"
        return
    for h in candidate.optimizer.hypers:
        known = hypers[h.name]
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
