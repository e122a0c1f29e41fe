"""Names: what a module calls the variables of a rule, where it has such names of its own.

A module imports functions, and has variables beside those of the rule. Which they are is read off the module itself: of
one in which everything that the rule has named is called what nothing else is. So what a target comes to import or to
write is known here at once. In kernels, hyperparameters and locals give way; what the user calls by its name cannot.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from optgen.errors import Problem, SpecError
from optgen.ir import Equation, Kernel, Sweep
from optgen.language.graph import nodes, replaced
from optgen.language.noise import Draw
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.symbols import Named, Next, State
from optgen.runtime.core.program import OPTIONS
from optgen.targets.base import Origin, Target

_MARK = re.compile(r"symbol_of_the_rule_(\d+)_end")
_OF_SAVEZ = ("file", "allow_pickle")
_OF_METHODS = ("grads", "group", "missing")


@dataclass(frozen=True)
class _Identifiers:
    """The identifiers of a function or a class."""

    name: str  # what it is called
    own: frozenset[str]  # those of the module
    marked: Mapping[int, set[str]]  # those made of names of the rule, by the number of the symbol
    called: frozenset[str]  # those of functions that it calls

    @classmethod
    def of(cls, node: ast.FunctionDef | ast.ClassDef) -> _Identifiers:
        """Those of a definition."""
        found = list(ast.walk(node))
        names = {x.id for x in found if isinstance(x, ast.Name)} | {x.arg for x in found if isinstance(x, ast.arg)}
        called = {x.func.id for x in found if isinstance(x, ast.Call) and isinstance(x.func, ast.Name)}
        marked: dict[int, set[str]] = {}
        for name in names:
            if mark := _MARK.search(name):
                marked.setdefault(int(mark[1]), set()).add(name)
        return cls(node.name, frozenset(names.difference(*marked.values())), marked, frozenset(called))

    def spelled(self, number: int, name: str) -> set[str]:
        """What is made of the name of a symbol."""
        return {_MARK.sub(name, each) for each in self.marked.get(number, ())}


@dataclass(frozen=True)
class Interface:
    """What a user reads and calls in modules for a target, whatever the rule."""

    names: frozenset[str]  # those that it has for itself
    functions: frozenset[str]  # the functions that take what the user has named


def apart(optimizer: Optimizer, kernel: Kernel, target: Target, interface: Interface) -> Kernel:
    """The kernel with names that its module for a target does not use itself.

    Complains if one that the user gives or reads, of a state, of an argument or of the class, is one of the module's
    own.
    """
    named = _named(optimizer)
    tree, parts = _marked(optimizer, kernel, target)
    used = {part.name: set(part.own) for part in parts}
    names: dict[str, str] = {}
    problems = list(_taken_from_the_user(optimizer, tree, parts, target, interface))
    for number, symbol in enumerate(named):
        name = symbol.name
        while (where := _clash(parts, used, number, name)) and not _is_reduced(symbol):
            name += "_"
        if where:
            problems.append(_reserved(symbol.name, f"a name in `{where}` of the module for {target.name}"))
        names[symbol.name] = name
        for part in parts:
            used[part.name] |= part.spelled(number, name)
    if problems:
        raise SpecError(list(dict.fromkeys(problems)), optimizer.name, optimizer.location)
    return called(kernel, {old: new for old, new in names.items() if new != old})


def interface_of(rule: Optimizer, kernel: Kernel, target: Target) -> Interface:
    """The interface of modules for a target, as that of a rule shows it which has all that there can be."""
    users = {symbol.name for symbol in _named(rule)}
    _, parts = _marked(rule, kernel, target)
    found = [part for part in parts if part.own & users]
    return Interface(frozenset().union(*(part.own for part in found)) - users, frozenset(part.name for part in found))


def _is_reduced(symbol: Named) -> bool:
    """Whether memory is known to the runtime by the name of a symbol."""
    return isinstance(symbol, State) and symbol.space not in (Space.STEP, Space.ELEM)


def _named(optimizer: Optimizer) -> list[Named]:
    """What a rule has named, first what keeps its name."""
    return [*optimizer.states, *optimizer.hypers, *(x for x in optimizer.spaces if not isinstance(x, Next))]


def _marked(optimizer: Optimizer, kernel: Kernel, target: Target) -> tuple[ast.Module, list[_Identifiers]]:
    """The module with marks for the names in its kernels, and its parts."""
    marks = {symbol.name: f"symbol_of_the_rule_{number}_end" for number, symbol in enumerate(_named(optimizer))}
    tree = ast.parse(target.source(optimizer, called(kernel, marks), Origin("", "", "")))
    return tree, [_Identifiers.of(node) for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _clash(parts: Iterable[_Identifiers], used: Mapping[str, set[str]], number: int, name: str) -> str | None:
    """The part in which the name of a symbol cannot be told from another."""
    return next((part.name for part in parts if used[part.name] & part.spelled(number, name)), None)


def _reserved(name: str, what: str) -> Problem:
    return Problem(f"the name `{name}` is reserved: it is {what}", f"call it `{name}_`, say")


def _taken_from_the_user(
    optimizer: Optimizer, tree: ast.Module, parts: Iterable[_Identifiers], target: Target, interface: Interface
) -> Iterator[Problem]:
    """Names that the user would give to something and the module has for something else."""
    users = {symbol.name for symbol in (*optimizer.states, *optimizer.hypers)}
    in_use = interface.names.union(OPTIONS, *(part.called for part in parts if part.name in interface.functions))
    for name in sorted(users & in_use):
        yield _reserved(name, f"a name in the class or in a function of the module for {target.name}")
    for hyper in optimizer.hypers:
        if hyper.name in _OF_METHODS:
            yield _reserved(hyper.name, "an argument of a method of the class, beside hyperparameters by their names")
    for state in optimizer.states:
        if state.name in _OF_SAVEZ and state.space in (Space.STEP, Space.MODEL):
            yield _reserved(state.name, "an argument of numpy.savez, which is given such states by their names")
    imported = {alias.asname or alias.name for x in tree.body if isinstance(x, ast.ImportFrom) for alias in x.names}
    if optimizer.title in imported or _is_assigned(optimizer.title, tree, parts):
        what = f"the title {optimizer.title!r} is taken by the module for {target.name}"
        yield Problem(what, f'write title="{optimizer.title}Rule", say')


def _is_assigned(name: str, tree: ast.Module, parts: Iterable[_Identifiers]) -> bool:
    """Whether a name is given a value anywhere; to look at each node takes long, so parts without it are left out."""
    without = {part.name for part in parts if name not in part.own}
    places = [x for x in tree.body if not (isinstance(x, ast.FunctionDef | ast.ClassDef) and x.name in without)]
    found = (x for place in places for x in ast.walk(place) if isinstance(x, ast.Name) and x.id == name)
    return any(isinstance(x.ctx, ast.Store) for x in found)


# Renaming ------------------------------------------------------------------------------------------------------------


def called(kernel: Kernel, names: Mapping[str, str]) -> Kernel:
    """The kernel with other names for symbols, by the names that they have."""
    if not names:
        return kernel

    def symbol(x: Named) -> Named:
        if isinstance(x, Next):
            return x if x.of.name not in names else symbol(x.of).next
        return x if isinstance(x, Draw) or x.name not in names else x.called(names[x.name])

    def assign(a: Equation) -> Equation:
        known = {x: symbol(x) for x in nodes(a.value) if isinstance(x, Named)}
        return replace(a, target=symbol(a.target), value=replaced(a.value, known))

    def sweep(s: Sweep) -> Sweep:
        totals = (replace(r, target=symbol(r.target), factors=tuple(map(symbol, r.factors))) for r in s.reduces)
        loads, stores, keeps = (tuple(map(symbol, each)) for each in (s.loads, s.stores, s.keeps))
        return Sweep(loads, tuple(map(assign, s.body)), stores, keeps, tuple(totals), s.space)

    hypers, states, numbers = (tuple(map(symbol, each)) for each in (kernel.hypers, kernel.states, kernel.numbers))
    renamed = replace(kernel, hypers=hypers, states=states, numbers=numbers)
    return replace(renamed, scalars=tuple(map(assign, kernel.scalars))).map_sweeps(sweep)
