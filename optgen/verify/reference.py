"""An oracle apart from the compiler: optimizers computed straight from their equations.

The evaluator walks the SymPy nodes of each equation and knows nothing of the compiler's passes, printers or kernels.
What it computes with is an `Arithmetic`: float64 (`FLOAT64`), any number of digits (`Digits`), or values that carry
their magnitudes (`optgen.verify.error.Magnitudes`).

A model is a list of tensors, so that reductions over all of them mean what they say:

>>> states = start(adam, thetas)
>>> thetas, states = step(adam, thetas, grads, states, t=1, hypers={"lr": 0.1})
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np
from sympy import And, Basic, Float, Function, Mul, Not, NumberSymbol, Or, Piecewise, Pow, Rational, S
from sympy.core.relational import Relational

from optgen.errors import UsageError
from optgen.language import symbols
from optgen.language.noise import normal
from optgen.language.reductions import EXTENTS, Extent, Reduction, n_cols, n_rows, numel
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.sums import InOrder
from optgen.verify.arithmetic import FLOAT64, Arithmetic, Value

Shape = tuple[int, ...]
_ROOTS = S.Half, Rational(1, 4), Rational(1, 8)
"""Powers that are roots of roots."""


def start(
    optimizer: Optimizer,
    thetas: Sequence[Any],
    *,
    hypers: Mapping[str, float] | None = None,
    arithmetic: Arithmetic = FLOAT64,
) -> dict[str, list[Value]]:
    """What the states hold before the first step: by the name of the state, an array a tensor.

    Hyperparameters that are not given are at their defaults. What depends on the first gradient is NaN until then.
    """
    unknown = [np.full(np.shape(values), np.nan) for values in thetas]
    evaluate = _evaluator(optimizer, {symbols.theta: thetas, symbols.g: unknown}, hypers, arithmetic)
    with np.errstate(all="ignore"):
        return {state.name: evaluate.at(state.space, state.init) for state in optimizer.states}


def step(
    optimizer: Optimizer,
    thetas: Sequence[Any],
    grads: Sequence[Any],
    states: Mapping[str, Sequence[Any]],
    t: int,
    *,
    hypers: Mapping[str, float] | None = None,
    arithmetic: Arithmetic = FLOAT64,
) -> tuple[list[Value], dict[str, list[Value]]]:
    """Take one step, the first of which is t = 1: the new parameters and states.

    Parameters and gradients are floats, or values of the arithmetic, an array a tensor; states are as `start` or the
    step before returned them; hyperparameters that are not given are at their defaults. At the first step a state that
    starts from theta or the gradient is what it starts from. The gradient is not known before, so the equations have
    the one for the other: what has become of it since is 0, as had one written 0.
    """
    evaluate = _evaluator(optimizer, {symbols.theta: thetas, symbols.g: grads}, hypers, arithmetic)
    evaluate.known[symbols.t] = evaluate.everywhere(arithmetic.number(t))
    with np.errstate(all="ignore"):
        for draw in optimizer.draws:
            evaluate.draw(draw, t)
        late = {state: state.init for state in optimizer.states if t == 1 and state.init.has(symbols.g)}
        for state in optimizer.states:
            if t == 1 and state.init.has(symbols.theta) and state not in late:
                evaluate.known[state] = evaluate(state.init)
            elif state not in late:
                held = states[state.name]
                is_plain = state.space is Space.STEP and isinstance(held[0], float)  # known to the host, so exact
                known = (
                    evaluate.everywhere(arithmetic.number(float(held[0]))) if is_plain else map(arithmetic.array, held)
                )
                evaluate.known[state] = list(known)
        for let in optimizer.equations:
            evaluate.known[let.target] = evaluate(let.value.xreplace(late) if late else let.value)
        # What is a mere hyperparameter becomes a value here.
        new = {s.name: list(map(arithmetic.array, evaluate.at(s.space, s.next))) for s in optimizer.states}
        return evaluate.at(Space.ELEM, symbols.theta.next), new


def decided(
    optimizer: Optimizer,
    relations: Sequence[Basic],
    t: int,
    numbers: Mapping[str, float],
    *,
    hypers: Mapping[str, float] | None = None,
    arithmetic: Arithmetic = FLOAT64,
) -> list[bool]:
    """How comparisons in the equations of a rule come out at a step, where data have no part in them."""
    nothing = {symbols.theta: [np.full((), np.nan)]}
    evaluate = _evaluator(optimizer, nothing, hypers, arithmetic)
    known = evaluate.known
    del known[symbols.theta]
    known[symbols.t] = evaluate.everywhere(arithmetic.number(t))
    known |= {state: evaluate.everywhere(arithmetic.number(numbers[state.name])) for state in optimizer.numbers}

    def is_of_scalars(node: Basic) -> bool:
        return node.atoms(symbols.Named) <= known.keys() and not node.has(normal, Reduction)

    for let in optimizer.equations:
        if is_of_scalars(let.value):
            known[let.target] = evaluate(let.value)
    return [bool(evaluate(its)[0]) for its in filter(is_of_scalars, relations)]


def value(expression: Basic, values: Mapping[str, Sequence[Any]], shapes: Sequence[Shape], t: int) -> list[Value]:
    """The value of any expression at step t, in float64: for each tensor an array, or what broadcasts to it.

    By the names of its symbols there are values, an array a tensor.
    """
    extents = {extent.name: [FLOAT64.number(_extent(extent, shape)) for shape in shapes] for extent in EXTENTS}
    named = {**extents, **values}
    known = {symbol: list(named[symbol.name]) for symbol in expression.free_symbols}
    evaluate = _Evaluator(FLOAT64, list(shapes), known)
    for draw in expression.atoms(normal):
        evaluate.draw(draw, t)
    return evaluate(expression)


def evaluated(expression: Basic, known: Mapping[Basic, Value], by: Arithmetic) -> Value:
    """The value of an expression of numbers, given what stands for what, symbols above all.

    No reduction and nothing drawn is left in it that is not known.
    """
    (found,) = _Evaluator(by, [()], {node: [value] for node, value in known.items()})(expression)
    return np.asarray(found)[()]


def deviates(shape: Shape, tensor: int, t: int, stream: int, seed: int, *, by: Arithmetic = FLOAT64) -> Value:
    """Draw for every element of a tensor, as `optgen.language.noise.normal` says, to all the digits of the arithmetic.

    A deviate is a leaf, exact in its own right.
    """
    size = math.prod(shape)
    block = np.arange(-(-size // 4), dtype=np.uint64)
    words = _philox([block, tensor, t, (block >> _HALF) + np.uint64(stream << 16)], seed)
    u1, u2 = (np.repeat(np.stack(words[k::2], axis=-1).ravel(), 2)[:size] for k in (0, 1))
    u1, u2 = (u1 + 0.5) / 2**32, (u2 + 0.5) / 2**32 - np.arange(size) % 2 / 4  # a sine is a cosine a quarter before
    # As numbers: in an array they would carry magnitudes, and a deviate is right only if it is right by its own size.
    first, second = (np.array([by.number(float(u)) for u in us]).reshape(shape) for us in (u1, u2))
    radius = by.apply("sqrt", by.apply("Mul", by.number(-2), by.apply("log", first)))
    angle = by.apply("Mul", by.apply("Mul", by.number(2), by.number(S.Pi)), second)
    return by.array(by.apply("Mul", radius, by.apply("cos", angle)))


_HALF, _WORD = np.uint64(32), np.uint64(2**32 - 1)


def _philox(counter: Sequence[Any], seed: int) -> list[Any]:
    """The words of some counters by Philox4x32-10 (Salmon et al. 2011), of which the lower 32 bits count."""
    words = [np.asarray(each, np.uint64) & _WORD for each in counter]
    keys = [seed % 2**32, (seed >> 32) % 2**32]
    for _ in range(10):
        one, other = np.uint64(0xD2511F53) * words[0], np.uint64(0xCD9E8D57) * words[2]
        first, last = other >> _HALF ^ words[1] ^ np.uint64(keys[0]), one >> _HALF ^ words[3] ^ np.uint64(keys[1])
        words = [first, other & _WORD, last, one & _WORD]
        keys = [(keys[0] + 0x9E3779B9) % 2**32, (keys[1] + 0xBB67AE85) % 2**32]
    return words


def _evaluator(
    optimizer: Optimizer, tensors: Mapping[Any, Sequence[Any]], hypers: Mapping[str, float] | None, by: Arithmetic
) -> _Evaluator:
    given = {symbol: [by.array(values) for values in arrays] for symbol, arrays in tensors.items()}
    evaluate = _Evaluator(by, [np.shape(values) for values in tensors[symbols.theta]], given)
    values = optimizer.values(hypers)
    for extent in EXTENTS:
        evaluate.known[extent] = [by.number(_extent(extent, shape)) for shape in evaluate.shapes]
    for hyper in optimizer.hypers:
        evaluate.known[hyper] = evaluate.everywhere(by.number(values.pop(hyper.name)))
    if values:
        raise UsageError(f"{optimizer.name} has no hyperparameter {', '.join(values)}")
    return evaluate


@dataclass(frozen=True)
class _Evaluator:
    """Computes SymPy nodes; a node's value is a list with an array a tensor, or with what broadcasts to it."""

    arithmetic: Arithmetic
    shapes: list[Shape]
    known: dict[Basic, list[Value]]

    def __call__(self, node: Basic) -> list[Value]:
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = _computation(node)(self)
        return found

    def draw(self, draw: Basic, t: int) -> None:
        """Make what is drawn at a step known."""
        stream, seed = int(draw.stream), int(self(draw.seed)[0])
        self.known[draw] = [
            deviates(shape, tensor, t, stream, seed, by=self.arithmetic) for tensor, shape in enumerate(self.shapes)
        ]

    def at(self, space: Space, node: Basic) -> list[Value]:
        """The values of a node as fresh arrays of the shapes that a space has, of plain numbers too."""
        return [self.arithmetic.array(values) for values in self._spread(self(node), space)]

    def everywhere(self, value: Any) -> list[Any]:
        """One value for all tensors."""
        return [value] * len(self.shapes)

    def each(self, function: Callable[..., Any], *nodes: Basic) -> list[Any]:
        """A function of nodes, tensor by tensor."""
        return [function(*values) for values in zip(*map(self, nodes), strict=True)]

    def product(self, over: Sequence[Basic], under: Sequence[Basic]) -> list[Value]:
        """A product over another."""

        def multiplied(*factors: Value) -> Value:
            return self.arithmetic.product(factors[: len(over)], factors[len(over) :])

        return self.each(multiplied, *over, *under)

    def piecewise(self, branches: Sequence[tuple[Basic, Basic]]) -> list[Value]:
        """The value of the first branch whose condition holds."""
        # Every branch is computed whole, for a reduction in it is over all elements; then masks choose.
        chosen = self.everywhere(self.arithmetic.number(math.nan))
        for value, condition in reversed(branches):
            chosen = list(map(self._where, self(condition), self(value), chosen))
        return chosen

    def _where(self, mask: Any, value: Value, other: Value) -> Value:
        return self.arithmetic.rearrange(lambda a, b: np.where(mask, a, b), value, other)

    def reduced(self, node: Reduction) -> list[Value]:
        """What is made of all values in each whole."""
        by = self.arithmetic
        values = self._spread(self(node.args[0]), Space.ELEM)
        match node.to:
            case Space.MODEL | Space.GROUP:  # there is one group
                whole = by.rearrange(lambda *tensors: np.concatenate([x.ravel() for x in tensors]), *values)
                return self.everywhere(by.rearrange(np.squeeze, self._along(-1, node.how, whole)))
            case Space.TENSOR:
                flat = [self._along(-1, node.how, by.rearrange(np.ravel, value)) for value in values]
                return self._spread([by.rearrange(np.squeeze, value) for value in flat], Space.TENSOR)
        axis = -1 if node.to is Space.ROW else -2
        matrices = [by.rearrange(lambda x: np.reshape(x, (1,) * (2 - x.ndim) + x.shape), value) for value in values]
        reduced = [self._along(axis, node.how, value) for value in matrices]
        shapes = [_shape(node.to, shape) for shape in self.shapes]
        return [
            by.rearrange(lambda x, shape=shape: np.reshape(x, shape), value)
            for value, shape in zip(reduced, shapes, strict=True)
        ]

    def _along(self, axis: int, how: str, value: Value) -> Value:
        by = self.arithmetic
        if how == "norm":
            return by.apply("sqrt", by.reduce("Add", by.apply("Mul", value, value), axis))
        if how == "mean":
            return by.apply("Div", by.reduce("Add", value, axis), by.number(np.shape(value)[axis]))
        return by.reduce({"max": "Max", "sum": "Add"}[how], value, axis)

    def _spread(self, values: list[Value], space: Space) -> list[Value]:
        """The values as fresh arrays of the shapes that a space has."""

        def spread(value: Value, shape: Shape) -> Value:
            return self.arithmetic.rearrange(lambda x: np.array(np.broadcast_to(x, shape)), value)

        return [spread(value, _shape(space, shape)) for value, shape in zip(values, self.shapes, strict=True)]


@lru_cache(maxsize=4096)  # asked at every step of the same equations
def _computation(node: Basic) -> Callable[[_Evaluator], list[Any]]:
    """How a node is computed from those in it."""
    match node:
        case Rational() | Float() | NumberSymbol():
            return lambda by: by.everywhere(by.arithmetic.number(node))
        case S.Infinity | S.NegativeInfinity:
            return lambda by: by.everywhere(by.arithmetic.number(float(node)))
        case S.NaN | S.ComplexInfinity:  # in a branch of a Piecewise that is not taken at the first step
            return lambda by: by.everywhere(by.arithmetic.number(math.nan))
        case S.true | S.false:
            return lambda by: by.everywhere(np.bool_(bool(node)))
        case Relational(rel_op=relation, lhs=left, rhs=right):
            return lambda by: by.each(partial(by.arithmetic.compare, relation), left, right)
        case And() | Or():
            connect = np.logical_and if isinstance(node, And) else np.logical_or
            return lambda by: by.each(lambda *parts: reduce(connect, parts), *node.args)
        case Not():
            return lambda by: by.each(np.logical_not, *node.args)
        case Piecewise():
            return lambda by: by.piecewise(node.args)
        case Reduction():
            return lambda by: by.reduced(node)
        case Mul():
            below = [f for f in node.args if isinstance(f, Pow) and f.exp.is_Rational and f.exp.is_negative]
            over, under = [factor for factor in node.args if factor not in below], [1 / factor for factor in below]
            return lambda by: by.product(over, under)
        case InOrder():
            return _applied("Add", *node.args)
        case Pow(base=base, exp=exponent) if exponent.is_Rational and exponent.is_negative:
            return _applied("Div", S.One, Pow(base, -exponent))
        case Pow(base=base, exp=Rational() as power) if power in _ROOTS:
            return _applied("sqrt", Pow(base, 2 * power))
        case Pow(base=base, exp=Rational() as power) if (root := Rational(1, power.q)) in _ROOTS:
            return _applied("Mul", Pow(base, power - root), Pow(base, root))  # minus infinity has no root
    return _applied(node.func.__name__, *node.args)


def _applied(operation: str, *nodes: Basic) -> Callable[[_Evaluator], list[Value]]:
    """An operation on nodes."""
    if operation == "Add":
        exactly = any(map(_is_transcendental, nodes)) or (len(nodes) <= 2 and all(map(_is_given, nodes)))  # noqa: PLR2004
        return lambda by: by.each(lambda *terms: by.arithmetic.sum(terms, exactly=exactly), *nodes)
    if operation in ("Mul", "Max", "Min"):  # of any number of operands
        return lambda by: by.each(lambda *values: reduce(partial(by.arithmetic.apply, operation), values), *nodes)
    if operation in ("Pow", "exp"):
        given = list(map(_is_given, nodes))
        return lambda by: by.each(lambda *values: by.arithmetic.function(operation, values, given=given), *nodes)
    return lambda by: by.each(partial(by.arithmetic.apply, operation), *nodes)


def _is_given(node: Basic) -> bool:
    """Whether a term has no rounding errors: a sum of two such is rounded once."""
    sign, symbol = node.as_coeff_Mul()
    return node.is_Number or (abs(sign) == 1 and isinstance(symbol, symbols.Hyper | symbols.StepCount))


def _is_transcendental(node: Basic) -> bool:
    """Whether there is a function in an expression, or a power whose exponent varies, as in ``1 - b**t``."""
    return node.has(Function) or any(not power.exp.is_number for power in node.atoms(Pow))


def _shape(space: Space, shape: Shape) -> Shape:
    """The shape of an array that holds a tensor's values in a space, so that it broadcasts against the tensor."""
    match space:
        case Space.ELEM:
            return shape
        case Space.ROW:
            return (*shape[:-1], 1) if shape else ()
        case Space.COL:  # a vector is one row
            return (*shape[:-2], 1, *shape[-1:]) if len(shape) > 1 else shape
        case Space.TENSOR:
            return (1,) * len(shape)
    return ()


def _extent(extent: Extent, shape: Shape) -> int:
    sizes: dict[Extent, int] = {numel: math.prod(shape), n_rows: (1, 1, *shape)[-2], n_cols: (1, 1, *shape)[-1]}
    return sizes[extent]
