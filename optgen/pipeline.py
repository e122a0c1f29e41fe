"""The compiler as one reads it: the passes in order, from an optimizer to the text of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from inspect import signature

from optgen import checks
from optgen.checks import Rule
from optgen.errors import CompilerError, Problem, SpecError
from optgen.ir import Kernel
from optgen.language.reductions import Norm
from optgen.language.schedules import Schedule
from optgen.language.spaces import Space
from optgen.language.spec import Let, Optimizer
from optgen.language.symbols import g, hyper, state, theta
from optgen.loops.printer import require_printable
from optgen.passes.averages import averages
from optgen.passes.cse import cse
from optgen.passes.fuse import fuse
from optgen.passes.hoist import hoist
from optgen.passes.lower import lower
from optgen.passes.signs import signs
from optgen.passes.split import split
from optgen.passes.stable import stable
from optgen.passes.strength import strength
from optgen.passes.unswitch import unswitch
from optgen.targets import names
from optgen.targets.base import Origin, Target

PASSES: tuple[tuple[Callable[[Kernel], Kernel], tuple[Rule, ...]], ...] = (
    (signs, ()),
    (unswitch, (checks.loads_are_used,)),
    (averages, ()),
    (hoist, (checks.sweeps_do_no_scalar_work, checks.sweeps_hold_no_literals)),
    (stable, ()),
    (split, (checks.reductions_are_totals, checks.what_is_loaded_was_made, checks.totals_are_of_what_is_visited)),
    (cse, ()),
    (strength, (checks.product_powers_have_names,)),
    (fuse, (checks.sums_hold_no_products,)),
)
"""Each pass with the rules that hold from it on."""


def kernel_of(optimizer: Optimizer) -> Kernel:
    """The kernel of an optimizer after all passes, checked after each."""
    with in_words(optimizer, "the first pass"):
        require_printable(optimizer)
        kernel = lower(optimizer)
        rules = checks.ALWAYS
        checks.check(kernel, rules, "lower")
    for run, ensures in PASSES:
        with in_words(optimizer, f"pass '{run.__name__}'"):
            kernel = run(kernel)
            rules = (*rules, *ensures)
            checks.check(kernel, rules, run.__name__)
    return kernel


@contextmanager
def in_words(rule: Optimizer | Schedule, stage: str) -> Iterator[None]:
    """Whatever is raised in a stage of the compiler names the optimizer, and says what to do."""
    try:
        yield
    except SpecError as error:
        raise SpecError(error.problems, rule.name, rule.location, rule.kind) from None
    except Exception as error:
        what = f"the compiler cannot handle it: {stage} ends in {type(error).__name__}: {error}"
        fix = "write the equations another way, in smaller parts with locals, say; and report it with the spec"
        said = SpecError([Problem(what, fix)], rule.name, rule.location, rule.kind)
        raise CompilerError(str(said)) from error


def source(optimizer: Optimizer, target: Target, origin: Origin) -> str:
    """The text of an optimizer's module for a target."""
    return printed(optimizer, kernel_of(optimizer), target, origin)


def printed(optimizer: Optimizer, kernel: Kernel, target: Target, origin: Origin) -> str:
    """The text of the module of an optimizer whose kernel is made."""
    with in_words(optimizer, f"printing for {target.name}"):
        text = target.source(optimizer, names.apart(optimizer, kernel, target, _interface(target)), origin)
        compile(text, optimizer.name, "exec", dont_inherit=True)  # a third of what it takes to make its tree
    return text


@cache
def _interface(target: Target) -> names.Interface:
    """The names that modules for a target use where users have theirs; the rule has all that takes a function."""
    width = hyper("width", 1)
    depth, whole = hyper("depth", width), state("whole", space=Space.STEP, init=width)
    start = state("start", space=Space.TENSOR, init=Norm(theta))
    step = (Let(start.next, start * depth), Let(whole.next, whole + 1), Let(theta.next, theta - start * whole * g))
    rule = Optimizer("rule", title="Rule", step=step, evaluation=theta + start)
    kind = import_module("optgen.runtime.cpu.optimizer").FusedOptimizer
    methods = (kind.__init__, kind.step, kind.set)
    inherited = {name for method in methods for name in signature(method).parameters}
    found = names.interface_of(rule, kernel_of(rule), target)
    return replace(found, names=found.names | inherited)
