"""The intermediate representation: what a kernel does, as frozen data.

A `Kernel` computes its scalars once a step on the host, in float64, and then runs the sweeps of one of its branches. A
`Sweep` visits every element, or every row, column or tensor, or the whole model once: it loads values, runs straight-
line assignments, stores new values and adds up totals for the sweeps after it. Right-hand sides are SymPy expressions
over the symbols of the spec and those that passes introduce. ``print(kernel)`` is meant to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

from sympy import Basic, Expr, Function, S

from optgen.language.noise import Draw
from optgen.language.order import named
from optgen.language.spaces import Space
from optgen.language.symbols import Hyper, Named, Next, State, Stateful, t, theta
from optgen.language.text import text


class Scalar(Named):
    """A value that a pass has moved to the host: ``c0``, ``c1`` and so on."""

    __slots__ = ()


class Temporary(Named):
    """A value that a pass has named inside a sweep: ``x0``, ``x1`` and so on."""

    __slots__ = ()
    space = Space.ELEM


class Value(Named):
    """A value that a pass has named and that knows its space.

    ``c0`` and so on are the same for every element of a tensor, ``y0`` are what is added up, ``acc0`` are totals.
    """

    __slots__ = ("space",)


class expm1(Function):  # noqa: N801 - SymPy's functions are lower-case
    """``exp(x) - 1`` without cancellation. SymPy's own turns ``expm1(t*log(b))`` back into ``b**t - 1``."""

    nargs = 1


class log1p(Function):  # noqa: N801
    """``log(1 + x)`` without cancellation."""

    nargs = 1


class powm1(Function):  # noqa: N801
    """``b**x - 1`` without cancellation, and right at ``0**0``."""

    nargs = 2


class mean_age(Function):  # noqa: N801
    """``1/(1 - b) - t*b**t/(1 - b**t) - less`` of t, b and less, without cancellation."""

    nargs = 3


class shrunk(Function):  # noqa: N801
    """``x/2**540`` for what is so large that float64 may not hold its square, 0 for the rest."""

    nargs = 1
    is_real = True


class stretched(Function):  # noqa: N801
    """``x*2**540`` for what is so small that float64 may not hold its square, 0 for the rest."""

    nargs = 1
    is_real = True


class root_of_squares(Function):  # noqa: N801
    """The root of a sum of squares, given that sum, and those of the same numbers `shrunk` and `stretched`."""

    nargs = 3
    is_real = True


class fma(Function):  # noqa: N801
    """``a*b + c``, rounded once."""

    nargs = 3
    is_real = True


class times(Function):  # noqa: N801
    """``a*b``, rounded before anything is added to it."""

    nargs = 2
    is_real = True


class head(Function):  # noqa: N801
    """A number cut to what float32 holds, less than the number in size."""

    nargs = 1
    is_real = True


class tail(Function):  # noqa: N801
    """What the `head` of a number lacks."""

    nargs = 1
    is_real = True


BRANCH = Scalar("branch")
"""The scalar that says which branch runs; there is none where a kernel has one branch only."""


@dataclass(frozen=True)
class Equation:
    """``target = value``."""

    target: Named  # assigned here and nowhere else
    value: Expr  # what it becomes
    origin: str = ""  # the spec's own words for the value, where a pass has rewritten it beyond recognition
    space: Space = Space.ELEM  # over what it varies

    def __str__(self) -> str:
        return f"{text(self.target)} = {text(self.value)}"


@dataclass(frozen=True)
class Reduce:
    """``target`` becomes the sum, or the maximum, of what a sweep computes."""

    target: Value  # the total, in a smaller space than the sweep's
    how: str  # what is made of the values
    factors: tuple[Named, ...]  # one value, or two whose product is taken, in float64

    @property
    def of(self) -> Space:
        """What it is a total of: the space of the values."""
        return self.factors[0].space  # type: ignore[no-any-return]

    @property
    def is_in_parts(self) -> bool:
        """Whether a sweep leaves parts of it, to be combined; a row is whole when it has been visited."""
        return (self.of, self.target.space) != (Space.ELEM, Space.ROW)

    @property
    def is_of_group(self) -> bool:
        """Whether it is over a parameter group, each tensor of which has it."""
        return self.of is self.target.space is Space.TENSOR

    @property
    def what(self) -> str:
        """What it is, in words."""
        product = "*".join(text(factor) for factor in self.factors)
        return f"{self.how} of {product} over the {'group' if self.is_of_group else self.target.space.value}"

    def __str__(self) -> str:
        return f"{text(self.target)} = {self.what}"


@dataclass(frozen=True)
class Sweep:
    """One pass over all positions of a space: the elements of all tensors, unless it says otherwise."""

    # What it starts from: the old values it reads from memory, of theta, states and the gradient, the draws, new values
    # that an earlier sweep has stored, and values of this space or a smaller one that it kept
    loads: tuple[Named, ...]
    body: tuple[Equation, ...]  # straight-line code for one position, in order
    stores: tuple[Stateful, ...]  # the slots that get their new values, ``slot.next``, after the body
    keeps: tuple[Named, ...] = ()  # other values that later sweeps load
    reduces: tuple[Reduce, ...] = ()  # the totals it makes
    space: Space = Space.ELEM  # what it visits

    @property
    def reads(self) -> tuple[Named, ...]:
        """The loads that memory is read for, position by position."""
        return tuple(x for x in self.loads if not isinstance(x, Draw) and (x.space is self.space or self.is_reduced))

    @property
    def given(self) -> tuple[Named, ...]:
        """The loads of an element sweep that vary over less than elements."""
        reads = set(self.reads)
        return tuple(x for x in self.loads if x not in reads and not isinstance(x, Draw))

    @property
    def draws(self) -> tuple[Draw, ...]:
        """The loads that are drawn."""
        return tuple(load for load in self.loads if isinstance(load, Draw))

    @cached_property
    def uses(self) -> frozenset[Named]:
        """The symbols that its code reads."""
        return frozenset(symbol for assign in self.body for symbol in symbols(assign.value))

    @property
    def results(self) -> tuple[Named, ...]:
        """What its code hands over: new values, values that are kept, and what totals are made of."""
        factors = (factor for reduce in self.reduces for factor in reduce.factors)
        return tuple(dict.fromkeys((*(slot.next for slot in self.stores), *self.keeps, *factors)))

    @property
    def is_reduced(self) -> bool:
        """Whether it visits less than elements."""
        return self.space is not Space.ELEM


@dataclass(frozen=True)
class Branch:
    """What runs when a condition on scalars holds."""

    when: Basic  # the condition, in STEP values; ``true`` for the branch that runs when no other does
    sweeps: tuple[Sweep, ...]  # run one after another
    notes: tuple[str, ...] = ()  # why the sweeps are what they are

    @property
    def over_elements(self) -> tuple[Sweep, ...]:
        """The sweeps over every element, which are what takes time."""
        return tuple(sweep for sweep in self.sweeps if not sweep.is_reduced)

    @property
    def loads(self) -> int:
        """Values read from memory for each element."""
        return sum(len(sweep.reads) for sweep in self.over_elements)

    @property
    def stores(self) -> int:
        """Values written to memory for each element."""
        return sum(len(sweep.stores) + len(sweep.keeps) for sweep in self.over_elements)


@dataclass(frozen=True)
class Kernel:
    """One optimizer, on its way from equations to code."""

    name: str  # name of the optimizer
    hypers: tuple[Hyper, ...]  # run-time arguments
    states: tuple[State, ...]  # what it remembers beside theta, in arrays
    # States that are one number for the whole model: host code reads them and makes their new values
    numbers: tuple[State, ...] = ()
    scalars: tuple[Equation, ...] = ()  # host code, in order
    # One that always runs, or several of which the first whose condition holds runs
    branches: tuple[Branch, ...] = field(default=())

    def map_sweeps(self, function: Callable[[Sweep], Sweep]) -> Kernel:
        """The kernel with every sweep replaced by what a function makes of it."""
        branches = tuple(replace(b, sweeps=tuple(map(function, b.sweeps))) for b in self.branches)
        return replace(self, branches=branches)

    @property
    def slots(self) -> tuple[Stateful, ...]:
        """What the elements of the model keep from step to step."""
        return (theta, *(state for state in self.states if state.space is Space.ELEM))

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The sweeps of all branches."""
        return tuple(sweep for branch in self.branches for sweep in branch.sweeps)

    @property
    def draws(self) -> tuple[Draw, ...]:
        """What the sweeps of all branches draw, in the order of their names."""
        draws = {draw for sweep in self.sweeps for draw in sweep.draws}
        return tuple(sorted(draws, key=lambda draw: (len(draw.name), draw.name)))

    @property
    def seeds(self) -> tuple[Hyper, ...]:
        """The hyperparameters that key draws."""
        return tuple(dict.fromkeys(draw.node.seed for draw in self.draws))

    @property
    def host(self) -> frozenset[Named]:
        """Everything that is known before memory is touched."""
        return frozenset((t, *self.hypers, *self.numbers, *(assign.target for assign in self.scalars)))

    @property
    def shared(self) -> frozenset[Named]:
        """The hyperparameters, numbers and t of which values of the whole model are made: all tensors share them.

        Where something is done for the model between sweeps, what says which branch runs is among them.
        """
        reduced = [tuple(sweep for sweep in branch.sweeps if sweep.is_reduced) for branch in self.branches]
        of_model = [sweep for sweeps in reduced for sweep in sweeps if sweep.space is Space.MODEL]
        inits = [state.init for state in self.states if state.space is Space.MODEL]
        left = {symbol for sweep in of_model for symbol in sweep.uses}
        left |= {symbol for init in inits for symbol in symbols(init)}
        reads = {load.space for sweeps in reduced for sweep in sweeps for load in sweep.reads}
        of_groups = any(reduce.is_of_group for sweeps in reduced for sweep in sweeps for reduce in sweep.reduces)
        left |= {BRANCH} if len(set(reduced)) > 1 and (of_model or of_groups or Space.MODEL in reads) else set()
        made = {equation.target: equation.value for equation in self.scalars}
        found: set[Named] = set()
        while left:
            symbol = left.pop()
            if symbol not in found:
                found.add(symbol)
                left |= symbols(made[symbol]) if symbol in made else set()
        return frozenset(found & {t, *self.hypers, *self.numbers})

    @property
    def names(self) -> frozenset[str]:
        """What anything in it is called, so that nothing else should be."""
        host = (t, *self.hypers, *self.states, *self.numbers, *(assign.target for assign in self.scalars))
        made = (x for sweep in self.sweeps for x in (*sweep.loads, *(assign.target for assign in sweep.body)))
        return frozenset(x.name for x in (*host, *made))

    @cached_property
    def arguments(self) -> tuple[Named, ...]:
        """The scalars that the sweeps take: which branch runs, and the hyperparameters and scalars it uses."""
        used = {symbol for sweep in self.sweeps for symbol in sweep.uses}
        made = [assign.target for assign in self.scalars if assign.target != BRANCH]
        branch = [BRANCH] if len(self.branches) > 1 else []
        return (*branch, *(symbol for symbol in (t, *self.hypers, *self.numbers, *made) if symbol in used))

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(kernel: Kernel) -> Iterator[str]:
    yield f"kernel {kernel.name}"
    yield f"  hypers   {' '.join(h.name for h in kernel.hypers)}"
    yield f"  states   {' '.join(s.name for s in kernel.states) or '-'}"
    if kernel.numbers:
        yield f"  numbers  {' '.join(s.name for s in kernel.numbers)}"
    yield "  scalars, once a step on the host, float64"
    yield from (f"    {assign}" for assign in kernel.scalars)
    for number, branch in enumerate(kernel.branches):
        if len(kernel.branches) > 1:
            yield f"  branch {number}, {f'when {text(branch.when)}' if branch.when != S.true else 'otherwise'}"
        for place, sweep in enumerate(branch.sweeps):
            yield from _lines_of(place, sweep)
        yield from (f"  {note}" for note in branch.notes)


def _lines_of(count: int, sweep: Sweep) -> Iterator[str]:
    stored = (*sweep.stores, *sweep.keeps)
    traffic = "" if sweep.is_reduced else f": {len(sweep.reads)} loads, {len(stored)} stores an element"
    yield f"  sweep {count} over every {sweep.space.value}{traffic}"
    old, new = ([x for x in sweep.reads if isinstance(x, Next) is is_new] for is_new in (False, True))
    yield from (f"    load   {' '.join(text(x) for x in reads)}" for reads in (old, new) if reads)
    yield from (f"    with   {' '.join(text(x) for x in sweep.given)}" for _ in sweep.given[:1])
    yield from (f"    draw   {draw} = {text(draw.node)}" for draw in sweep.draws)
    yield from (f"    {assign}" for assign in sweep.body)
    yield from (f"    reduce {reduce}" for reduce in sweep.reduces)
    yield from (f"    keep   {' '.join(text(x) for x in sweep.keeps)}" for _ in sweep.keeps[:1])
    yield from (f"    store  {' '.join(s.name for s in sweep.stores)}" for _ in sweep.stores[:1])


def fresh(letters: str, taken: Container[str]) -> Iterator[str]:
    """Names that are free: ``c0``, ``c1`` and so on."""
    return (name for name in (f"{letters}{k}" for k in count()) if name not in taken)


def symbols(expression: Basic) -> set[Named]:
    """The named symbols of an expression."""
    return set(named(expression))
