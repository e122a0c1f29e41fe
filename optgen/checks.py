"""What must be true of a kernel: one function a rule, run after every pass.

A rule that fails is a bug in the pass before it, never in the spec.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from sympy import Add, Expr, Number, Pow, S
from sympy.logic.boolalg import Boolean

from optgen.errors import CompilerError
from optgen.ir import Kernel, symbols
from optgen.language.order import walk
from optgen.language.reductions import Reduction, n_cols, n_rows, numel
from optgen.language.spaces import Space
from optgen.language.sums import InOrder
from optgen.language.symbols import g
from optgen.passes.fuse import halves, named_products
from optgen.passes.hoist import is_product_power

Rule = Callable[[Kernel], Iterator[str]]


def every_name_is_assigned_once(kernel: Kernel) -> Iterator[str]:
    """No sweep assigns a name twice, nor one that it loads or that is a scalar."""
    host = [assign.target for assign in kernel.scalars]
    for sweep in kernel.sweeps:
        targets = [assign.target for assign in sweep.body]
        names = [symbol.name for symbol in (*kernel.hypers, *host, *sweep.loads, *targets)]
        yield from (f"`{name}` is assigned twice" for name, times in Counter(names).items() if times > 1)


def names_are_defined_before_use(kernel: Kernel) -> Iterator[str]:
    """Host code uses host values alone; a sweep uses what it loads, what is on the host and what it has computed."""
    known = {*kernel.host, numel, n_rows, n_cols} - {assign.target for assign in kernel.scalars}
    for assign in kernel.scalars:
        yield from (f"`{assign}` uses `{s}` too early" for s in _sorted(symbols(assign.value) - known))
        known.add(assign.target)
    for sweep in kernel.sweeps:
        defined = known | set(sweep.loads)
        for assign in sweep.body:
            yield from (f"`{assign}` uses `{s}`, which is not loaded" for s in _sorted(symbols(assign.value) - defined))
            defined.add(assign.target)
        yield from (f"`{result}` is handed on, never computed" for result in sweep.results if result not in defined)
    yield from (f"`{number}` is never computed" for number in kernel.numbers if number.next not in known)


def loads_are_used(kernel: Kernel) -> Iterator[str]:
    """No sweep reads memory for nothing."""
    for sweep in kernel.sweeps:
        used = sweep.uses | set(sweep.results)
        yield from (f"`{slot}` is loaded, never used" for slot in sweep.loads if slot not in used)


def every_slot_is_stored_once(kernel: Kernel) -> Iterator[str]:
    """No branch stores a slot twice. That a slot left out keeps its value is for the pass that left it out to show."""
    for branch in kernel.branches:
        stored = Counter(slot for sweep in branch.sweeps for slot in sweep.stores)
        yield from (f"`{slot}` is stored twice" for slot, times in stored.items() if times > 1)


def no_old_value_is_read_after_its_store(kernel: Kernel) -> Iterator[str]:
    """A later sweep must not load a slot that an earlier one of its branch has stored."""
    for branch in kernel.branches:
        stored: set[object] = set()
        for sweep in branch.sweeps:
            yield from (f"`{slot}` is read after it was stored" for slot in sweep.loads if slot in stored)
            stored |= set(sweep.stores)


def what_is_loaded_was_made(kernel: Kernel) -> Iterator[str]:
    """What a sweep loads beside old values, the gradient and draws, an earlier one of its branch has handed on."""
    for branch in kernel.branches:
        known: set[object] = {*kernel.slots, *kernel.states, g, numel, n_rows, n_cols}
        for sweep in branch.sweeps:
            yield from (f"`{x}` is loaded, never made" for x in sweep.reads + sweep.given if x not in known)
            known |= {*(slot.next for slot in sweep.stores), *sweep.keeps, *(r.target for r in sweep.reduces)}


def reductions_are_totals(kernel: Kernel) -> Iterator[str]:
    """No reduction is left inside an expression."""
    for sweep in kernel.sweeps:
        yield from (f"`{assign}` reduces in the middle" for assign in sweep.body if assign.value.has(Reduction))


def totals_are_of_what_is_visited(kernel: Kernel) -> Iterator[str]:
    """What a total is made of has one value for each position of the sweep that makes it, no less."""
    for sweep in kernel.sweeps:
        made = ((reduce, factor) for reduce in sweep.reduces for factor in reduce.factors)
        yield from (f"`{reduce}`: `{x}` is one a {x.space.value}" for reduce, x in made if x.space is not sweep.space)


def branches_end_in_otherwise(kernel: Kernel) -> Iterator[str]:
    """The last branch runs whenever no other does."""
    if not kernel.branches or kernel.branches[-1].when is not S.true:
        yield "the last branch has a condition"


def sweeps_do_no_scalar_work(kernel: Kernel) -> Iterator[str]:
    """No operation in a sweep is on scalars alone, but for a minus sign."""
    host = kernel.host
    for node in _nodes(kernel):
        work = isinstance(node, Expr | Boolean) and bool(node.args) and symbols(node) and symbols(node) <= host
        if work and not (isinstance(node, Expr) and (-node).is_Symbol):
            yield f"`{node}` is computed for every element"


def sweeps_hold_no_literals(kernel: Kernel) -> Iterator[str]:
    """A number in a sweep would be a float64; only signs and the exponents of products are left."""
    for node in _nodes(kernel):
        numbers = [argument for argument in node.args if isinstance(argument, Number)]
        if isinstance(node, Pow) and is_product_power(node.exp):
            numbers = [argument for argument in numbers if argument is not node.exp]
        yield from (f"`{node}` holds the number {number}" for number in numbers if number != -1)


def product_powers_have_names(kernel: Kernel) -> Iterator[str]:
    """The base of a power that is written as a product is a name."""
    for node in _nodes(kernel):
        product = isinstance(node, Pow) and is_product_power(node.exp) and abs(node.exp) not in (S.Half, S.One)
        if product and not node.base.is_Symbol:
            yield f"`{node}` would compute its base more than once"


def sums_hold_no_products(kernel: Kernel) -> Iterator[str]:
    """No sum has a product in it, by name or not: compilers would fuse them where they like."""
    for sweep in kernel.sweeps:
        yield from (f"`{node}` adds the product `{term}`" for node, term in named_products(sweep))
        for node in (node for assign in sweep.body for node in walk(assign.value) if isinstance(node, Add | InOrder)):
            yield from (f"`{node}` adds the product `{term}`" for term in node.args if halves(term))


ALWAYS: tuple[Rule, ...] = (
    every_name_is_assigned_once,
    names_are_defined_before_use,
    every_slot_is_stored_once,
    no_old_value_is_read_after_its_store,
    branches_end_in_otherwise,
)
"""Rules that hold from the first pass on."""


def check(kernel: Kernel, rules: tuple[Rule, ...], after: str) -> None:
    """Hold a kernel against rules: if any are broken, an error names the kernel, the pass and everything found."""
    found = [f"{rule.__name__}: {complaint}" for rule in rules for complaint in rule(kernel)]
    if found:
        raise CompilerError(f"after pass '{after}' of '{kernel.name}':\n  " + "\n  ".join(found))


def _nodes(kernel: Kernel) -> Iterator[Any]:
    """The nodes of the code for elements."""
    of_elements = (a for sweep in kernel.sweeps if not sweep.is_reduced for a in sweep.body if a.space is Space.ELEM)
    return (node for assign in of_elements for node in walk(assign.value))


def _sorted(found: set[Any]) -> list[Any]:
    return sorted(found, key=str)
