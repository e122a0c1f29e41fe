"""Translation validation: the text of a generated module, read back into algebra and proved equal to the spec.

Nothing of the compiler takes part. The source is parsed and run symbol by symbol (`reading`): `scalars`, then every
kernel of a step in order, each for one element, row, column or tensor, with memory as a dictionary (`kernels`). Each
equation of the spec is compared with what the code computed under its name, in real arithmetic and up to what is true
of totals (`algebra`). A draw is a symbol on both sides: that the runtime draws what the language says is for
`optgen.verify.numerics` to see. Code and spec are compared case by case: one case for each truth assignment of the
conditions that scalars decide. What algebra cannot settle is evaluated at random points to 50 digits and called tested.
Everything around the arithmetic must be exactly what it must be (`frame`).
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import sympy
from sympy import Expr, Not, Piecewise, S, cancel
from sympy.core.relational import Relational

from optgen.language.noise import Draw, normal
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.sums import plain
from optgen.language.symbols import Local, Named, Stateful, algebraic, g, t, theta
from optgen.language.text import text
from optgen.verify.candidate import Candidate, Effort, Finding, Verdict
from optgen.verify.reader import Rejected
from optgen.verify.translation import frame
from optgen.verify.translation.algebra import CASES, at_random, proved, settled
from optgen.verify.translation.kernels import launch
from optgen.verify.translation.reading import EXTENTS, Assumed, Layout, SymbolicRun

PART = "translation"

Functions = Mapping[str, ast.FunctionDef]


@dataclass(frozen=True)
class _Code:
    """What is compared with the spec: the functions, what PROGRAM says of memory, and what is drawn."""

    functions: Functions
    layout: Layout
    draws: Mapping[str, Draw]


def check(candidate: Candidate, effort: Effort) -> Iterator[Finding]:
    """Compare a module with its spec, equation by equation.

    Parameters
    ----------
    candidate : Candidate
        The module; only its text is looked at.
    effort : Effort
        Its seed draws the random points.

    Yields
    ------
    Finding
        One for each stored value in each case, and one for the frame around them.
    """
    try:
        tree = ast.parse(candidate.text)
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        layout = frame.layout(candidate.optimizer, tree)
        wrong = list(frame.complaints(candidate, tree, layout))
        verdict = Verdict.FAILED if wrong else Verdict.PROVED
        yield Finding(PART, "sweeps, starts, defaults and domains", verdict, "\n".join(wrong))
        code = _Code(functions, layout, _draws(candidate.optimizer, functions, layout))
        for case in _cases(candidate.optimizer, functions):
            yield from _compared(candidate.optimizer, code, case, random.Random(effort.seed))
    except (Rejected, SyntaxError, KeyError, IndexError, TypeError, ValueError) as error:
        yield Finding(PART, "the module", Verdict.FAILED, f"it cannot be read back: {error}")


def _compared(optimizer: Optimizer, code: _Code, case: Assumed, draw: random.Random) -> Iterator[Finding]:
    """Compare what a step stores, and what `update` returns, with the spec in one case."""
    slots = (theta, *optimizer.slots)
    targets = {let.target.name: let.target for let in optimizer.equations}
    label = f"  [{case}]" if case.truth else ""

    run = SymbolicRun(code.functions, targets, case, code.draws)
    remembered = (*slots, *optimizer.small_states)
    run.memory.update({x.name: x for x in (g, *remembered)} | EXTENTS)
    scalars, numbers = run.host(optimizer)
    launch(run, code.layout, scalars)
    if run.memory["g"] != g:
        yield Finding(PART, f"the gradient{label}", Verdict.FAILED, "it is written to")
    stored = {**{x: run.held(x.name) for x in remembered}, **numbers}
    yield from _judged(optimizer, run, stored, label, draw)

    if "update" not in code.functions or not code.functions.keys() & {"update_0", "update_1"}:
        return  # the chunk has called `update` itself, or there is none of all that happens
    face = SymbolicRun(code.functions, targets, case)
    scalars, _ = face.host(optimizer)
    returned = face.call("update", [theta, g, *optimizer.slots, *code.draws.values(), *scalars])
    for finding in _judged(optimizer, face, dict(zip(slots, returned, strict=True)), label, draw):
        if finding.verdict is Verdict.FAILED:
            yield replace(finding, subject=f"update(): {finding.subject}")


def _judged(
    optimizer: Optimizer, run: SymbolicRun, values: Mapping[Stateful, Expr], label: str, draw: random.Random
) -> Iterator[Finding]:
    """Compare the new value of each state, and all it was computed from, with the spec."""
    spaces = optimizer.spaces
    said = _said(optimizer, run.case, set(run.computed))
    verdicts = {target: settled(code, said[target], spaces, draw) for target, code in run.computed.items()}
    wrong_so_far = [target for target, (verdict, _) in verdicts.items() if verdict is Verdict.FAILED]
    # Choices keep their names: written into one another they would grow without bound.
    choices = {x for x, value in run.computed.items() if value.has(Piecewise) or said[x].has(Piecewise)}
    plain = {x: value for x, value in run.computed.items() if x not in choices}
    all_said = _said(optimizer, run.case, choices) if wrong_so_far else {}
    for target in wrong_so_far:
        sides = _written_out(run.computed[target], plain), all_said[target]
        # One point tells most that differ, and costs less than algebra; what is equal at it must still be proved.
        if at_random(*sides, spaces, draw, points=1)[0] is not Verdict.FAILED and proved(*sides, spaces):
            verdicts[target] = Verdict.PROVED, ""
    for slot, stored in values.items():
        own = (Verdict.PROVED, "") if stored == slot.next else settled(stored, said[slot.next], spaces, draw)
        used = [target for target in verdicts if target in _uses(slot.next, stored, run.computed)]
        worst = max([own[0], *(verdicts[target][0] for target in used)], key=list(Verdict).index)
        let = next(let for let in optimizer.equations if let.target == slot.next)
        wrong = [f"{text(x)} = {text(said[x])}: {verdicts[x][1]}" for x in used if verdicts[x][0] is Verdict.FAILED]
        yield Finding(PART, f"{let}{label}", worst, "\n".join(filter(None, (*wrong, own[1]))), {"stored": 1})


def _said(optimizer: Optimizer, case: Assumed, named: set[Named]) -> dict[Named, Expr]:
    """What the spec says of each target, in terms of those that the code has names for."""
    replaced: dict[Named, Expr] = {}
    late = (state for state in optimizer.states if frame.late(state))
    first = {s: Piecewise((_undrawn(plain(s.init)), sympy.Eq(t, 1)), (s, True)) for s in late}
    said: dict[Named, Expr] = {}
    for let in optimizer.equations:
        said[let.target] = case.settle(_undrawn(plain(let.value)).xreplace(first)).xreplace(replaced)
        if let.target not in named:
            replaced[let.target] = said[let.target]
    return said


def _written_out(code: Expr, computed: Mapping[Named, Expr]) -> Expr:
    """Code without the names of the spec: what is equal under other names, a rho - 4 written out say, is equal."""
    for target, value in reversed(list(computed.items())):
        code = code.xreplace({target: value})
    return code


def _uses(target: Named, stored: Expr, computed: Mapping[Named, Expr]) -> set[Named]:
    """Everything computed under a name of the spec that a stored value depends on."""
    found: set[Named] = set()
    waiting = {s for s in (target, *stored.atoms(Named)) if s in computed}
    while waiting:
        found |= waiting
        waiting = {s for x in waiting for s in computed[x].atoms(Named) if s in computed} - found
    return found


# Draws ---------------------------------------------------------------------------------------------------------------


def _draws(optimizer: Optimizer, functions: Functions, layout: Layout) -> dict[str, Draw]:
    """What a module draws, by the names that its chunks have for it, in the order in which `update` takes them."""
    hypers = {hyper.name: hyper for hyper in optimizer.hypers}
    seeds = [hypers[name] for name in layout.seeds]
    found: dict[str, Draw] = {}
    for node in (node for each in layout.launches for node in ast.walk(functions[each.function])):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="draws"))):
                source = ast.unparse(node.value)
                parts = re.fullmatch(r"draws\(row, keys\[group, 0\], keys\[group, (\d+)\], (\d+), scalars\)", source)
                if parts is None or not 0 < int(parts[1]) <= len(seeds):
                    raise Rejected(f"`{source}` does not count as a draw must: by row, step, seed and stream")
                draw = _symbol(normal(seeds[int(parts[1]) - 1], int(parts[2])))
                if found.setdefault(name, draw) != draw:
                    raise Rejected(f"`{name}` is {text(found[name])} in one place, {text(draw)} in another")
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def _symbol(draw: normal) -> Draw:
    """The symbol that stands for a draw."""
    symbol: Draw = Draw(text(draw), draw)
    return symbol


def _undrawn(expression: Expr) -> Expr:
    """An expression with symbols for its draws."""
    return expression.xreplace({draw: _symbol(draw) for draw in expression.atoms(normal)})


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
    results = run.call("scalars", [t, *optimizer.hypers, *optimizer.numbers])
    expressions = [*results, *run.computed.values(), *(_undrawn(plain(let.value)) for let in optimizer.equations)]
    if any(frame.late(state) for state in optimizer.states):
        expressions.append(Piecewise((1, sympy.Eq(t, 1)), (0, True)))
    conditions: list[Relational] = []
    for expression in expressions:
        for condition in sorted(S(expression).atoms(Relational), key=sympy.default_sort_key):
            known = condition in conditions or Not(condition) in conditions
            if not known and condition.atoms(Named) <= host:
                conditions.append(condition)
    if 2 ** len(conditions) > CASES:
        raise Rejected(f"it has {len(conditions)} conditions on scalars, too many to try every case")
    for truth in product((True, False), repeat=len(conditions)):
        case = Assumed(tuple(zip(conditions, truth, strict=True)))
        if _can_be(case) and _agrees(case, {let.target: plain(let.value) for let in optimizer.equations}):
            yield case


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


def _can_be(case: Assumed) -> bool:
    """Whether there is a step at which what a case says of t alone is true. Thresholds are close to whole numbers."""
    of_t = [(condition, holds) for condition, holds in case.truth if condition.free_symbols == {t}]
    numbers = {int(number) for condition, _ in of_t for number in condition.atoms(sympy.Number)}
    steps = sorted({max(1, number + near) for number in {*numbers, 1} for near in range(-2, 40)})
    return any(all(bool(condition.subs(t, step)) == holds for condition, holds in of_t) for step in steps)
