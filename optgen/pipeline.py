"""The compiler as one reads it: the passes in order, from an optimizer to the text of a module."""

from __future__ import annotations

import ast
from collections.abc import Callable

from optgen import checks
from optgen.checks import Rule
from optgen.errors import CompilerError, SpecError
from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.passes.cse import cse
from optgen.passes.hoist import hoist
from optgen.passes.lower import lower
from optgen.passes.signs import signs
from optgen.passes.split import split
from optgen.passes.stable import stable
from optgen.passes.strength import strength
from optgen.passes.unswitch import unswitch
from optgen.targets.base import Origin, Target
from optgen.targets.printer import require_printable

PASSES: tuple[tuple[Callable[[Kernel], Kernel], tuple[Rule, ...]], ...] = (
    (signs, ()),
    (unswitch, (checks.loads_are_used,)),
    (hoist, (checks.sweeps_do_no_scalar_work, checks.sweeps_hold_no_literals)),
    (stable, ()),
    (split, (checks.reductions_are_totals, checks.what_is_loaded_was_made, checks.totals_are_of_what_is_visited)),
    (cse, ()),
    (strength, (checks.product_powers_have_names,)),
)
"""Each pass with the rules that hold from it on."""


def kernel_of(optimizer: Optimizer) -> Kernel:
    """The kernel of an optimizer after all passes, checked after each.

    Raises
    ------
    SpecError
        If the optimizer uses what cannot be compiled.
    CompilerError
        If a pass broke a rule.
    """
    require_printable(optimizer)
    kernel = lower(optimizer)
    rules = checks.ALWAYS
    checks.check(kernel, rules, "lower")
    for run, ensures in PASSES:
        try:
            kernel = run(kernel)
        except SpecError as error:
            raise SpecError(error.problems, optimizer.name, optimizer.location) from None
        except Exception as error:
            what = f"pass '{run.__name__}' of '{optimizer.name}': {type(error).__name__}: {error}"
            raise CompilerError(f"{what}; this is a bug in optgen") from error
        rules = (*rules, *ensures)
        checks.check(kernel, rules, run.__name__)
    return kernel


def source(optimizer: Optimizer, target: Target, origin: Origin) -> str:
    """The text of an optimizer's module for a target."""
    text = target.source(optimizer, kernel_of(optimizer), origin)
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise CompilerError(
            f"the module of '{optimizer.name}' is not Python: {error}; this is a bug in optgen"
        ) from error
    return text
