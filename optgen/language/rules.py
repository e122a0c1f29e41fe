"""The rules of the language, one function a rule.

Each looks at the equations of one optimizer and yields what is wrong, with what to write instead. Rules that need the
equations to be well formed run only once those before them have found nothing.
"""

from __future__ import annotations

import difflib
import keyword
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from sympy import Basic, Expr, Piecewise, S
from sympy.logic.boolalg import Boolean

from optgen.errors import Problem
from optgen.language import hypers
from optgen.language.beside import wrong_beside
from optgen.language.constants import fault, numbers_among_elements, wrong_numbers
from optgen.language.domains import domain_of, instead_of_domain
from optgen.language.grammar import misformed, shortened
from optgen.language.noise import STREAMS, normal
from optgen.language.order import named, walk
from optgen.language.parts import is_large
from optgen.language.reductions import REDUCTION, Reduction, n_cols, n_rows, numel
from optgen.language.spaces import Space, join_all
from optgen.language.symbols import Grad, Hyper, Local, Named, Next, Result, State, Stateful, Theta, g, t, theta
from optgen.language.text import text

if TYPE_CHECKING:
    from optgen.language.spec import Let

_LONGEST_NAME = 100
"""In bytes: names of files have room for 255, and those of what is compiled are made of several."""


def broken(name: str, title: str, step: Sequence[Let], kind: str = "optimizer") -> list[Problem]:
    """Everything that is wrong with an optimizer, or a schedule, in the order in which a person would mend it."""
    problems = [*_names_are_identifiers(name, title), *_step_is_lets(step)]
    for group in _GROUPS_OF[kind]:
        problems = problems or [problem for rule in group for problem in rule(step)]
    return problems


def no_text(**prose: Any) -> list[Problem]:
    """What is wrong with what a rule says in words."""
    wrong = {what: value for what, value in prose.items() if not isinstance(value, str)}
    return [Problem(f"the {what} is {value!r}, no text", "write it in quotes") for what, value in wrong.items()]


def cannot_evaluate(step: Sequence[Let], evaluation: Any) -> list[Problem]:
    """What is wrong with what is to be evaluated."""
    states = {state for _, state in _states(step)}
    if not isinstance(evaluation, Expr) or evaluation.has(Reduction, normal):
        what = f"the evaluation is {text(evaluation) if isinstance(evaluation, Basic) else evaluation!r}"
        return [Problem(what, "write an expression of theta and states, without reductions or draws")]
    if wrong := list(wrong_beside(f"the evaluation {shortened(evaluation)}", evaluation)):
        return wrong
    unknown = sorted(evaluation.free_symbols - {theta, *states}, key=str)
    fix = "write it in theta and states as they are after a step; keep what else it needs in a state"
    return [Problem(f"the evaluation {text(evaluation)} has the symbol `{text(x)}`", fix) for x in unknown]


def in_order(step: Sequence[Let]) -> tuple[Let, ...]:
    """The equations so that each comes after those it needs, otherwise as written; a cycle is `graphlib`'s error."""
    position = {let.target: k for k, let in enumerate(step)}
    sorter = TopologicalSorter({let.target: [x for x in named(let.value) if x in position] for let in step})
    sorter.prepare()
    ordered: list[Let] = []
    ready: list[int] = []
    while sorter.is_active():
        for target in sorter.get_ready():
            heappush(ready, position[target])
        ordered.append(step[heappop(ready)])
        sorter.done(ordered[-1].target)
    return tuple(ordered)


def spaces(equations: Sequence[Let]) -> dict[Named, Space]:
    """The space of every target of equations that are in order."""
    found: dict[Named, Space] = {}
    for let in equations:
        found[let.target] = space_of(let.value, found)
    return found


def space_of(expression: Basic, known: Mapping[Named, Space]) -> Space:
    """The space of an expression, given the spaces of the locals in it."""
    return join_all(_spaces_in(expression, known))


def _spaces_in(expression: Basic, known: Mapping[Named, Space]) -> Iterator[Space]:
    """The spaces of what an expression is made of; what stands in several places is looked at once."""
    seen: set[Basic] = set()
    ahead = [expression]
    while ahead:
        node = ahead.pop()
        if isinstance(node, Reduction):
            yield node.to
        elif isinstance(node, normal):
            yield Space.ELEM
        elif isinstance(node, Named):
            yield known.get(node, node.space)
        elif node not in seen:
            seen.add(node)
            ahead.extend(node.args)


def expressions(step: Sequence[Let]) -> Iterator[tuple[Let, Any]]:
    """Every expression that a spec writes, with the equation to name it by: values, and what states start from."""
    yield from ((let, let.value) for let in step)
    yield from ((let, state.init) for let, state in _states(step))


def _states(step: Sequence[Let]) -> Iterator[tuple[Let, State]]:
    """Each state with the first equation that it is in."""
    seen: set[Any] = set()
    for let in step:
        for symbol in (let.target, *named(let.value)):
            owner = getattr(symbol, "of", symbol)
            if isinstance(owner, State) and owner not in seen:
                seen.add(owner)
                yield let, owner


def _is_name(name: Any) -> bool:
    """Whether Python takes a name as it is; it would rewrite one that Unicode has a plainer form of."""
    plain = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    return plain and unicodedata.normalize("NFKC", name) == name and len(name.encode()) <= _LONGEST_NAME


def can_name_a_module(name: Any) -> bool:
    """Whether a name can be that of an optimizer or a schedule, whose module is called so."""
    return _is_name(name) and name == name.lower() and not name.startswith("_")


def can_name_a_class(title: Any) -> bool:
    """Whether a title can be that of a class."""
    return _is_name(title) and title[:1].isupper()


# One function a rule -------------------------------------------------------------------------------------------------

Found = Iterator[Problem]


def _names_are_identifiers(name: str, title: str) -> Found:
    if not can_name_a_module(name):
        fix = f'write a lower-case identifier of at most {_LONGEST_NAME} bytes: name="my_rule"'
        yield Problem(f"the name {shortened(repr(name))} cannot name a module", fix)
    if not can_name_a_class(title):
        yield Problem(f"the title {title!r} cannot name a class", 'write an identifier: title="MyRule"')


def _step_is_lets(step: Sequence[Let]) -> Found:
    if not step:
        yield Problem("it has no equations", "write step=(Let(theta.next, theta - lr*g),)")
    for item in step:
        if isinstance(item, Boolean | bool) and not isinstance(item, Named):
            yield Problem(
                f"the step holds {item}, a SymPy Eq or a truth value, where an equation is wanted",
                "write Let(target, value) in place of Eq(target, value): SymPy folds Eq to True or False",
            )
        elif not (hasattr(item, "target") and hasattr(item, "value")) or isinstance(item, type):
            yield Problem(f"the step holds {item!r}, which is no equation", "write Let(target, value)")


def _targets_can_be_assigned(step: Sequence[Let]) -> Found:
    for let in step:
        target = let.target
        if isinstance(target, Next | Local):
            continue
        if isinstance(target, Stateful):
            what, fix = f"`{target}` is the old value", f"write Let({target}.next, …)"
        else:
            what, fix = f"`{target}` cannot be assigned", "assign a local, a state's .next or theta.next"
        yield Problem(what, fix, str(let))


def _values_are_well_formed(step: Sequence[Let]) -> Found:
    for let in step:
        yield from misformed(text(let.target) if isinstance(let.target, Named) else let.target, let.value)


def _inits_are_well_formed(step: Sequence[Let]) -> Found:
    for let, state in _states(step):
        wrong = list(misformed(state, state.init))
        for problem in wrong:
            yield replace(problem, what=f"the init of state `{state}`: {problem.what}", equation=str(let))
        if not wrong and is_large(state.init):
            fix = f"start from 0, and read Piecewise((…, t <= 1), ({state}, True)): equations are cut into parts"
            what = "is nested too deep, says the same too often, or decides by a Piecewise"
            yield Problem(f"the init of state `{state}` {what}", fix, str(let))


def _targets_are_assigned_once(step: Sequence[Let]) -> Found:
    seen: set[Any] = set()
    for let in step:
        if let.target in seen:
            yield Problem(
                f"`{text(let.target)}` is given twice",
                "keep one of the two equations, or give the other a local of its own",
                str(let),
            )
        seen.add(let.target)


def _symbols_are_declared(step: Sequence[Let]) -> Found:
    for let in step:
        for symbol in sorted((x for x in let.value.free_symbols if not isinstance(x, Named)), key=str):
            yield Problem(f"unknown symbol `{symbol}`", _declare(str(symbol)), str(let))
    for let, state in _states(step):
        for symbol in sorted(state.init.free_symbols, key=str):
            allowed = Hyper if state.space is Space.STEP else Hyper | Theta | Grad
            if not isinstance(symbol, allowed):
                fix = f"write it in hyperparameters{'' if allowed is Hyper else ', theta and g'}"
                yield Problem(f"the init of state `{state}` has the symbol `{symbol}`", fix, str(let))
        of_groups = sorted((x for x in state.init.atoms(Reduction) if x.to is Space.GROUP), key=str)
        if of_groups and not state.init.has(g):  # with g it is computed in the first step, which knows the groups
            what = f"the init of state `{state}` is made of {text(of_groups[0])}, before there are groups"
            model = REDUCTION[of_groups[0].how, Space.MODEL].__name__
            yield Problem(what, f"write {model}(…), or a total of each tensor", str(let))


def _declare(name: str) -> str:
    """What to write where a symbol of a name was made that the language does not know."""
    if name in {symbol.name for symbol in (theta, g, t, numel, n_rows, n_cols)}:
        return f"use optgen's own: from optgen import {name}"
    if name in vars(hypers):
        return f"use the one that is declared: from optgen.hypers import {name}"
    close = difflib.get_close_matches(name, vars(hypers), n=1, cutoff=0.8)
    meant = f"did you mean {close[0]}, of optgen.hypers? Else " if close else ""
    return (
        f'{meant}declare it, {name} = hyper("{name}", default, domain, meaning) or state or local,'
        " or import it from optgen.hypers"
    )


def _locals_are_defined_and_used(step: Sequence[Let]) -> Found:
    defined = {let.target for let in step if isinstance(let.target, Local)}
    used: set[Any] = set()
    for let in step:
        mine = [symbol for symbol in named(let.value) if isinstance(symbol, Local)]
        used.update(mine)
        for symbol in mine:
            if symbol not in defined:
                fix = f"add Let({symbol}, …) to the step"
                yield Problem(f"local `{symbol}` has no equation", fix, str(let))
    for let in step:
        if let.target in defined - used and not isinstance(let.target, Result):
            yield Problem(f"local `{let.target}` is never used", "use it, or take its equation out", str(let))


def _everything_is_updated(step: Sequence[Let]) -> Found:
    updated = {let.target.of for let in step if isinstance(let.target, Next)}
    if theta not in updated:
        yield Problem("theta is never updated: `theta.next` has no equation", "add Let(theta.next, theta - …)")
    if all(isinstance(let.target, Next) and let.value == let.target.of for let in step):
        yield Problem("nothing ever changes: each new value is the old one", "add Let(theta.next, theta - …)")
    seen: set[Any] = set()
    for let in step:
        for symbol in named(let.value):
            owner = getattr(symbol, "of", symbol)
            if isinstance(owner, State) and owner not in updated | seen:
                seen.add(owner)
                fix = f"add Let({owner}.next, …), or take the state out"
                yield Problem(f"state `{owner}` is never updated", fix, str(let))


def _is_known_before_the_step(step: Sequence[Let]) -> Found:
    for let in step:
        if not isinstance(let.target, Local):
            fix = "assign locals only: what changes with the gradients belongs to an Optimizer"
            yield Problem(f"`{text(let.target)}` is given a value, but a schedule keeps nothing", fix, str(let))
        for node in dict.fromkeys(walk(let.value)):
            varies = space_of(node, {}) is not Space.STEP and all(space_of(x, {}) is Space.STEP for x in node.args)
            if varies or isinstance(node, Stateful | Next):
                fix = "write a schedule in t, hyperparameters and locals"
                yield Problem(f"`{text(node)}` is not known before the step", fix, str(let))


def _names_are_free_and_distinct(step: Sequence[Let]) -> Found:
    owners: dict[str, Any] = {symbol.name: symbol for symbol in (theta, theta.next, g, t, numel, n_rows, n_cols)}
    owners |= {owner.next.name: owner.next for _, owner in _states(step)}
    for let, value in expressions(step):
        for symbol in (let.target, *named(value)):
            owner = getattr(symbol, "of", symbol)
            if not isinstance(owner, Hyper | State | Local) or owners.get(owner.name) == owner:
                continue
            name = owner.name
            if isinstance(owners.get(name), Next):
                what = f"the name `{name}` is reserved: generated code calls `{owners[name].of}.next` so"
                yield Problem(what, f"call it `{name}_`, say", str(let))
            elif name in owners:
                yield Problem(
                    f"two different symbols are called `{name}`",
                    "give one of them another name; a hyperparameter has one default in one optimizer",
                    str(let),
                )
            elif not _is_name(name):
                own = isinstance(name, str) and keyword.iskeyword(name)
                fix = f"call it `{name}_`: it is a word of Python's own" if own else "use a Python identifier"
                yield Problem(f"`{name}` cannot name a variable", fix, str(let))
            elif name.startswith("_"):
                fix = f"call it `{name.strip('_') or 'x'}_`, say: Python hides such names in classes"
                yield Problem(f"the name `{name}` is reserved", fix, str(let))
            owners[name] = owner


def _no_cycle(step: Sequence[Let]) -> Found:
    try:
        in_order(step)
    except CycleError as error:
        ring = [text(symbol) for symbol in reversed(error.args[1])]
        yield Problem(
            f"the equations need each other: {' needs '.join(ring)}",
            "use the old value (without .next) in one of them",
            next(str(let) for let in step if let.target == error.args[1][0]),
        )


def _piecewise_ends_in_true(step: Sequence[Let]) -> Found:
    for let, value in expressions(step):
        for piecewise in value.atoms(Piecewise):
            if piecewise.args[-1].args[1] is not S.true:
                fix = "end it with (value, True), so that it has a value always"
                yield Problem("a Piecewise does not end in True", fix, str(let))


def _numbers_are_real_and_finite(step: Sequence[Let]) -> Found:
    for let in step:
        yield from (Problem(*wrong, shortened(let)) for wrong in wrong_numbers(let.value))
    for let, state in _states(step):
        for what, fix in wrong_numbers(state.init):
            yield Problem(f"the init of state `{state}`: {what}", fix, shortened(let))


def _first_values_are_finite(step: Sequence[Let]) -> Found:
    """At the first step a state that starts from theta or the gradient is that, and what becomes of both may cancel."""
    late = {state: state.init for _, state in _states(step) if state.init.has(theta, g)}
    for let in step if late else ():
        usual, first = (let.value.xreplace({t: S.One, **known}) for known in ({}, late))
        if first.has(S.NaN, S.ComplexInfinity) and not usual.has(S.NaN, S.ComplexInfinity):
            names = [symbol for symbol in named(let.value) if symbol in late]
            where = " and ".join(f"`{symbol}` is `{text(late[symbol])}`" for symbol in names)
            what = f"at the first step, where {where}, the value is divided by 0"
            yield Problem(what, "say what it is then, Piecewise((0, t <= 1), (…, True))", str(let))


def _draws_have_seeds_and_streams(step: Sequence[Let]) -> Found:
    for let in step:
        for draw in sorted(let.value.atoms(normal), key=text):
            domain = domain_of(draw.seed) if isinstance(draw.seed, Hyper) else None
            if domain is None or not domain.integer:
                what = f"the seed of `{text(draw)}` is `{text(draw.seed)}`, no hyperparameter of whole numbers"
                yield Problem(what, "write normal(seed), with seed from optgen.hypers", str(let))
            if not (draw.stream.is_Integer and 0 <= draw.stream < STREAMS):
                what = f"the stream of `{text(draw)}` is `{text(draw.stream)}`, no whole number from 0 to {STREAMS - 1}"
                yield Problem(what, f"write a literal number: normal({text(draw.seed)}, 1)", str(let))
    for let, state in _states(step):
        if state.init.has(normal):
            what = f"the init of state `{state}` has a draw, which belongs to a step"
            yield Problem(what, "draw in an update", str(let))


def _unknown_in_default(symbol: Hyper, hypers: set[Hyper]) -> str:
    """What a default must not go by, in words; empty if there is nothing."""
    if not isinstance(symbol.default, Expr):
        return "what is no number"
    for other in sorted(symbol.default.free_symbols, key=str):
        if not isinstance(other, Hyper):
            return f"`{other}`, no hyperparameter"
        if other not in hypers:
            return f"`{other}`, which is not in the equations, or has another default there"
        if not other.default.is_number:
            return f"`{other}`, whose own default is no number"
    return "" if symbol.default.free_symbols or symbol.default.is_number else "what is no number"


def _defaults_are_in_their_domains(step: Sequence[Let]) -> Found:
    seen: set[Any] = set()
    hypers = {x for _, value in expressions(step) for x in named(value) if isinstance(x, Hyper)}
    for let, value in expressions(step):
        for symbol in named(value):
            if not isinstance(symbol, Hyper) or symbol in seen:
                continue
            seen.add(symbol)
            domain = domain_of(symbol)
            if domain is None:
                what = f"the domain {symbol.domain} of `{symbol}` is not supported"
                yield Problem(what, instead_of_domain(symbol), str(let))
            elif unknown := _unknown_in_default(symbol, hypers):
                fix = "write a number, or an expression in hyperparameters of the equations whose defaults are numbers"
                what = f"the default {text(symbol.default)} of `{symbol}` goes by {unknown}"
                yield Problem(what, fix, str(let))
            elif found := symbol.default.free_symbols and [*wrong_beside(f"the default of `{symbol}`", symbol.default)]:
                yield from (replace(problem, equation=str(let)) for problem in found)
            elif wrong := fault(symbol.usual_number):
                yield Problem(f"the default of `{symbol}`: {wrong[0]}", f"choose a default in {domain}", str(let))
            elif not domain.holds(symbol.usual):
                yield Problem(
                    f"the default {symbol.usual:g} of `{symbol}` is outside its own domain {domain}",
                    f"choose a default in {domain}, or a larger domain",
                    str(let),
                )


def _elements_meet_numbers_of_float32(step: Sequence[Let]) -> Found:
    known = spaces(in_order(step))
    of_states = ((let, state.init, state.space) for let, state in _states(step))
    of_targets = ((let, let.value, getattr(let.target, "of", let.target)) for let in step)
    for let, value, space in (*((let, x, known.get(y, y.space)) for let, x, y in of_targets), *of_states):
        wrong = numbers_among_elements(value, space, lambda x: space_of(x, known))
        yield from (Problem(*each, shortened(let)) for each in wrong)


def _defaults_are_numbers(step: Sequence[Let]) -> Found:
    for let in step:
        for symbol in named(let.value):
            if isinstance(symbol, Hyper) and not symbol.default.is_number:
                fix = f"write a number: {symbol}.with_default(…)"
                yield Problem(f"the default {text(symbol.default)} of `{symbol}` is no number", fix, str(let))


def _states_hold_their_updates(step: Sequence[Let]) -> Found:
    found = spaces(in_order(step))
    for let, state in _states(step):
        starts = space_of(state.init, found)
        if not starts <= state.space:
            what = f"state `{state}` has one value {state.space.each}, what it starts from one {starts.each}"
            yield Problem(what, _reduce("init", state, starts), str(let))
    for let in step:
        owner = getattr(let.target, "of", None)
        if isinstance(owner, Stateful) and not found[let.target] <= owner.space:
            yield Problem(
                f"state `{owner}` has one value {owner.space.each}, its update one {found[let.target].each}",
                _reduce("update", owner, found[let.target]),
                str(let),
            )


def _reduce(what: str, state: Stateful, space: Space) -> str:
    """What to write where a state is given more values than it has."""
    enough = join_all((state.space, space))
    name = repr(str(state))
    declare = (
        f"declare state({name}) without a space" if enough is Space.ELEM else f"declare state({name}, space={enough!r})"
    )
    mean = REDUCTION.get(("mean", state.space))
    return f"reduce the {what}, with {mean.__name__} say, or {declare}" if mean else declare


_GROUPS = (
    (_values_are_well_formed,),
    (_targets_can_be_assigned,),
    (_inits_are_well_formed,),
    (_targets_are_assigned_once, _symbols_are_declared),
    (
        _locals_are_defined_and_used,
        _everything_is_updated,
        _names_are_free_and_distinct,
        _no_cycle,
        _piecewise_ends_in_true,
        _numbers_are_real_and_finite,
        _first_values_are_finite,
        _draws_have_seeds_and_streams,
        _defaults_are_in_their_domains,
    ),
    (_states_hold_their_updates, _elements_meet_numbers_of_float32),
)

_GROUPS_OF_A_SCHEDULE = (
    (_values_are_well_formed,),
    (_targets_can_be_assigned,),
    (_is_known_before_the_step,),
    (_targets_are_assigned_once, _symbols_are_declared),
    (
        _locals_are_defined_and_used,
        _names_are_free_and_distinct,
        _no_cycle,
        _piecewise_ends_in_true,
        _numbers_are_real_and_finite,
        _defaults_are_numbers,
    ),
    (_defaults_are_in_their_domains,),
)
_GROUPS_OF = {"optimizer": _GROUPS, "schedule": _GROUPS_OF_A_SCHEDULE}
