"""Translation validation: the text of a generated module, read back into nodes and proved equal to the spec.

Nothing of the compiler takes part but the meaning of its nodes. The text is read (`optgen.verify.reader`) and run
symbol by symbol (`symbolic`): `scalars`, then every kernel of a step in order, each for one element, row, column or
tensor, with memory as a dictionary (`where`, `looking`, `kernels`), for CPUs and for GPUs alike. Each equation of the
spec is compared with what the code computed under its name, in real arithmetic and up to what is true of totals
(`algebra`). A draw is a symbol on both sides: that the runtime draws what the language says is for
`optgen.verify.numerics` to see. Code and spec are compared case by case: one case for each truth assignment of the
conditions that scalars decide. What algebra cannot settle is evaluated at random points to 50 digits and called tested.
Everything around the arithmetic must be exactly what it must be (`frame`).
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product

import sympy
from sympy import Expr, Not, Piecewise, S, cancel
from sympy.core.relational import Relational

from optgen.language.noise import normal
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.sums import plain
from optgen.language.symbols import Hyper, Local, Named, Stateful, algebraic, g, t, theta
from optgen.language.text import text
from optgen.loops.nodes import Function
from optgen.verify import reader
from optgen.verify.candidate import Candidate, Effort, Finding, Verdict
from optgen.verify.reader import Rejected
from optgen.verify.translation import frame
from optgen.verify.translation.algebra import CASES, proved, settled
from optgen.verify.translation.kernels import launch
from optgen.verify.translation.looking import symbol_of
from optgen.verify.translation.meaning import Assumed
from optgen.verify.translation.points import at_random, difference
from optgen.verify.translation.symbolic import SymbolicRun
from optgen.verify.translation.where import EXTENTS, Layout

Functions = Mapping[str, Function]

PART = "translation"


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Compare the text of a module with its spec, equation by equation.

    There is a finding for each stored value in each case, and one for the frame around them.
    """
    try:
        tree = ast.parse(candidate.text)
        functions, program = reader.functions(tree), frame.said(tree)
        layout = frame.layout(candidate.optimizer, program)
        wrong = list(frame.complaints(candidate, tree, program))
        verdict = Verdict.FAILED if wrong else Verdict.PROVED
        yield Finding(PART, "starts, defaults and domains", verdict, "\n".join(wrong))
        for case in _cases(candidate.optimizer, functions):
            yield from _compared(candidate.optimizer, functions, layout, case, random.Random(effort.seed))
    except (Rejected, SyntaxError, KeyError, IndexError, TypeError, ValueError) as error:
        yield Finding(PART, "the module", Verdict.FAILED, f"it cannot be read back: {error}")


def _compared(
    optimizer: Optimizer, functions: Functions, layout: Layout, case: Assumed, draw: random.Random
) -> Iterator[Finding]:
    """Compare what a step stores with the spec in one case."""
    remembered = (theta, *optimizer.slots, *optimizer.reduced_states)
    label = f"  [{case}]" if case.truth else ""
    run = SymbolicRun(functions, {let.target.name: let.target for let in optimizer.equations}, case)
    run.memory.update({x.name: x for x in (g, *remembered)}, **EXTENTS)
    scalars, numbers = run.host(optimizer)
    launch(run, layout, scalars)
    if run.memory["g"] != g:
        yield Finding(PART, f"the gradient{label}", Verdict.FAILED, "it is written to")
    yield from _judged(optimizer, run, {x: run.held(x.name) for x in remembered} | numbers, label, draw)


def _judged(
    optimizer: Optimizer, run: SymbolicRun, values: Mapping[Stateful, Expr], label: str, draw: random.Random
) -> Iterator[Finding]:
    """Compare the new value of each state, and all it was computed from, with the spec."""
    spaces = optimizer.spaces
    said = _said(optimizer, run.case, frozenset(run.computed))
    verdicts = {target: settled(code, said[target], spaces, draw) for target, code in run.computed.items()}
    wrong_so_far = [target for target, (verdict, _) in verdicts.items() if verdict is Verdict.FAILED]
    # Choices keep their names: written into one another they would grow without bound.
    choices = frozenset(x for x, value in run.computed.items() if value.has(Piecewise) or said[x].has(Piecewise))
    for target in wrong_so_far:
        verdicts[target] = _written_out(optimizer, run, target, choices, draw) or verdicts[target]
    for slot, stored in values.items():
        own = (Verdict.PROVED, "") if stored == slot.next else settled(stored, said[slot.next], spaces, draw)
        used = [target for target in verdicts if target in _uses(slot.next, stored, run.computed)]
        worst = max([own[0], *(verdicts[target][0] for target in used)], key=list(Verdict).index)
        let = next(let for let in optimizer.equations if let.target == slot.next)
        wrong = [f"{text(x)} = {text(said[x])}: {verdicts[x][1]}" for x in used if verdicts[x][0] is Verdict.FAILED]
        yield Finding(PART, f"{let}{label}", worst, "\n".join(filter(None, (*wrong, own[1]))), {"stored": 1})


@lru_cache(maxsize=64)  # asked of each module that claims to be the rule
def _said(optimizer: Optimizer, case: Assumed, named: frozenset[Named]) -> Mapping[Named, Expr]:
    """What the spec says of each target, in terms of those that the code has names for."""
    replaced: dict[Named, Expr] = {}
    first = {s: Piecewise((_undrawn(plain(s.init)), sympy.Eq(t, 1)), (s, True)) for s in optimizer.late}
    said: dict[Named, Expr] = {}
    for target, value in _equations(optimizer).items():
        said[target] = case.settle(value.xreplace(first)).xreplace(replaced)
        if target not in named:
            replaced[target] = said[target]
    return said


@lru_cache(maxsize=8)  # the same in every case
def _equations(optimizer: Optimizer) -> Mapping[Named, Expr]:
    """What each target is, with symbols for draws."""
    return {let.target: _undrawn(plain(let.value)) for let in optimizer.equations}


def _written_out(
    optimizer: Optimizer, run: SymbolicRun, target: Named, choices: frozenset[Named], draw: random.Random
) -> tuple[Verdict, str] | None:
    """How code and spec are known to be equal without names, if they are: what is under others, a rho - 4 written out.

    The fewer names are written out, the less there is to prove. Conditions on signs are beyond algebra.
    """
    spaces, names = optimizer.spaces, [x for x in run.computed if x not in choices]

    def sides(out: Sequence[Named]) -> tuple[Expr, Expr]:
        code = run.computed[target]
        for name in reversed(out):
            code = code.xreplace({name: run.computed[name]})
        return code, _said(optimizer, run.case, frozenset(run.computed) - set(out))[target]

    if difference(*sides(names), spaces, draw):
        return None
    if any(proved(*sides(names[k:]), spaces) for k in reversed(range(len(names)))):
        return Verdict.PROVED, ""
    found = at_random(*sides(names), spaces, draw) if any(side.has(sympy.sign) for side in sides(names)) else None
    return found if found and found[0] is not Verdict.FAILED else None


def _uses(target: Named, stored: Expr, computed: Mapping[Named, Expr]) -> set[Named]:
    """Everything computed under a name of the spec that a stored value depends on."""
    found: set[Named] = set()
    waiting = {s for s in (target, *stored.atoms(Named)) if s in computed}
    while waiting:
        found |= waiting
        waiting = {s for x in waiting for s in computed[x].atoms(Named) if s in computed} - found
    return found


def _undrawn(expression: Expr) -> Expr:
    """An expression with symbols for its draws."""
    return expression.xreplace({draw: symbol_of(draw) for draw in expression.atoms(normal)})


# Cases ---------------------------------------------------------------------------------------------------------------


def _cases(optimizer: Optimizer, functions: Functions) -> Iterator[Assumed]:
    """Every truth assignment of the conditions on scalars, in spec and code, that is not absurd."""
    host = {
        t,
        *optimizer.hypers,
        *optimizer.numbers,
        *(x for x, space in optimizer.spaces.items() if isinstance(x, Local) and space is Space.STEP),
        *(state.next for state in optimizer.numbers),
    }
    run = SymbolicRun(functions, {x.name: x for x in optimizer.spaces}, Assumed(()))
    results = run.call("scalars", [t, *optimizer.hypers, *optimizer.numbers], "host")
    expressions = [*results, *run.computed.values(), *_equations(optimizer).values()]
    if optimizer.late:
        expressions.append(Piecewise((1, sympy.Eq(t, 1)), (0, True)))
    conditions: list[Relational] = []
    for expression in expressions:
        for condition in sorted(S(expression).atoms(Relational), key=sympy.default_sort_key):
            known = condition in conditions or Not(condition) in conditions
            if not known and condition.atoms(Named) <= host:
                conditions.append(condition)
    of_steps = _at_steps([condition for condition in conditions if condition.free_symbols == {t}])
    others = [condition for condition in conditions if condition.free_symbols != {t}]
    if len(of_steps) * 2 ** len(others) > CASES:
        raise Rejected(f"it has {len(conditions)} conditions on scalars, too many to try every case")
    for at_step, truth in product(of_steps, product((True, False), repeat=len(others))):
        case = Assumed((*at_step, *zip(others, truth, strict=True)))
        if _is_in_domains(case) and _agrees(case, _equations(optimizer)):
            yield case


def _at_steps(conditions: Sequence[Relational]) -> list[tuple[tuple[Relational, bool], ...]]:
    """What conditions on t alone are at steps, each that comes about once. Thresholds are close to whole numbers."""
    numbers = {int(number) for condition in conditions for number in condition.atoms(sympy.Number)}
    steps = sorted({max(1, number + near) for number in {*numbers, 1} for near in range(-2, 40)})
    return list(dict.fromkeys(tuple((its, bool(its.subs(t, step))) for its in conditions) for step in steps))


def _agrees(case: Assumed, equations: Mapping[Named, Expr]) -> bool:
    """Whether what a case says is not wrong of the step that it is about, if it names one, be it by a symbol."""
    named = [c for c, holds in case.truth if holds and isinstance(c, sympy.Eq) and t in c.args]
    for step in (side for condition in named for side in condition.args if side != t):
        for condition, holds in case.truth:
            difference = plain(condition.lhs - condition.rhs)
            while names := difference.free_symbols & equations.keys():
                difference = difference.xreplace({name: equations[name] for name in names})
            there = cancel(algebraic(difference.xreplace({t: step})))
            if there.is_number and bool(condition.func(there, 0)) != holds:
                return False
    return True


def _is_in_domains(case: Assumed) -> bool:
    """Whether each hyperparameter has a value for which what a case says of it alone is true."""
    for hyper in {
        symbol for condition, _ in case.truth for symbol in condition.free_symbols if isinstance(symbol, Hyper)
    }:
        of_it = [(condition, holds) for condition, holds in case.truth if condition.free_symbols == {hyper}]
        true = sympy.And(*(condition if holds else Not(condition) for condition, holds in of_it))
        try:
            values = true.xreplace({hyper: sympy.Dummy(real=True)}).as_set()
        except NotImplementedError:  # SymPy solves few that are not linear
            continue
        if hyper.domain.intersect(values).is_empty:
            return False
    return True
