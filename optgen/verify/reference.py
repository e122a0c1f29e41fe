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
from sympy import ITE, And, Basic, Float, Function, Mul, Not, NumberSymbol, Or, Piecewise, Pow, Rational, S
from sympy.core.relational import Relational

from optgen.errors import UsageError
from optgen.language import symbols
from optgen.language.noise import normal
from optgen.language.powers import roots
from optgen.language.reductions import EXTENTS, Extent, Reduction, n_cols, n_rows, numel
from optgen.language.spaces import Space
from optgen.language.spec import Optimizer
from optgen.language.sums import InOrder, is_sum
from optgen.verify.arithmetic import FLOAT64, Arithmetic, Value

Shape = tuple[int, ...]


def start(
    optimizer: Optimizer,
    thetas: Sequence[Any],
    *,
    hypers: Mapping[str, float | Sequence[float]] | None = None,
    arithmetic: Arithmetic = FLOAT64,
    many: Shape = (),
) -> dict[str, list[Value]]:
    """What the states hold before the first step: by the name of the state, an array a tensor.

    Hyperparameters that are not given are at their defaults. What depends on the first gradient is NaN until then.
    There may be many models, as in `step`: then that is the last axis of all arrays.
    """
    unknown = [np.full(np.shape(values), np.nan) for values in thetas]
    evaluate = _evaluator(optimizer, {symbols.theta: thetas, symbols.g: unknown}, hypers, arithmetic, many)
    with np.errstate(all="ignore"):
        return {state.name: evaluate.at(state.space, state.init) for state in optimizer.states}


def step(
    optimizer: Optimizer,
    thetas: Sequence[Any],
    grads: Sequence[Any],
    states: Mapping[str, Sequence[Any]],
    t: int | Sequence[int],
    *,
    hypers: Mapping[str, float | Sequence[float]] | None = None,
    arithmetic: Arithmetic = FLOAT64,
) -> tuple[list[Value], dict[str, list[Value]]]:
    """Take one step, the first of which is t = 1: the new parameters and states.

    Parameters and gradients are floats, or values of the arithmetic, an array a tensor; states are as `start` or the
    step before returned them; hyperparameters that are not given are at their defaults. At the first step a state that
    starts from theta or the gradient is what it starts from.

    Many models take a step each, of as many tensors of the same shapes, if t is a sequence: of the number of the step
    for each, all of them 1 or none. So is then every hyperparameter and every state that is one number, and all arrays
    have one more axis, the last.
    """
    first = np.all(np.equal(t, 1))
    evaluate = _evaluator(optimizer, {symbols.theta: thetas, symbols.g: grads}, hypers, arithmetic, np.shape(t))
    evaluate.known[symbols.t] = evaluate.everywhere(_plain(arithmetic, t))
    with np.errstate(all="ignore"):
        for draw in optimizer.draws:
            evaluate.draw(draw, t)
        for state in optimizer.states:
            if first and state.init.has(symbols.theta, symbols.g):
                evaluate.known[state] = evaluate(state.init)
            else:
                held = states[state.name]
                # What is known to the host is exact.
                is_plain = state.space is Space.STEP and isinstance(held[0], float | list)
                evaluate.known[state] = (
                    evaluate.everywhere(_plain(arithmetic, held[0])) if is_plain else list(map(arithmetic.array, held))
                )
        for let in optimizer.equations:
            evaluate.known[let.target] = list(map(arithmetic.named, evaluate(let.value)))
        # What is a mere hyperparameter becomes a value here.
        new = {s.name: list(map(arithmetic.array, evaluate.at(s.space, s.next))) for s in optimizer.states}
        return evaluate.at(Space.ELEM, symbols.theta.next), new


def decided(
    optimizer: Optimizer,
    relations: Sequence[Basic],
    t: Sequence[int],
    numbers: Mapping[str, Sequence[float]],
    *,
    hypers: Mapping[str, Sequence[float]],
    arithmetic: Arithmetic = FLOAT64,
) -> list[tuple[bool, ...]]:
    """How comparisons in the equations of a rule come out at each of some steps, where data have no part in them."""
    nothing = {symbols.theta: [np.full(len(t), np.nan)]}
    evaluate = _evaluator(optimizer, nothing, hypers, arithmetic, np.shape(t))
    known = evaluate.known
    del known[symbols.theta]
    known[symbols.t] = evaluate.everywhere(_plain(arithmetic, t))
    known |= {state: evaluate.everywhere(_plain(arithmetic, numbers[state.name])) for state in optimizer.numbers}

    def is_of_scalars(node: Basic) -> bool:
        return node.atoms(symbols.Named) <= known.keys() and not node.has(normal, Reduction)

    for let in optimizer.equations:
        if is_of_scalars(let.value):
            known[let.target] = evaluate(let.value)
    outcomes = [np.broadcast_to(evaluate(its)[0], len(t)).astype(bool) for its in filter(is_of_scalars, relations)]
    return [tuple(bool(outcome[k]) for outcome in outcomes) for k in range(len(t))]


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


def deviates(shape: Shape, tensor: int, t: Any, stream: int, seed: Any, *, by: Arithmetic = FLOAT64) -> Value:
    """Draw for every element of a tensor, as `optgen.language.noise.normal` says, to all the digits of the arithmetic.

    A deviate is a leaf, exact in its own right. Many tensors draw if t and the seed are sequences.
    """
    if np.ndim(t):
        uniforms = [_uniforms(shape, tensor, *each, stream) for each in zip(t, seed, strict=True)]
        u1, u2 = (np.stack(each, axis=-1) for each in zip(*uniforms, strict=True))
    else:
        u1, u2 = _uniforms(shape, tensor, t, seed, stream)
    # As numbers: in an array they would carry magnitudes, and a deviate is right only if it is right by its own size.
    first, second = _plain(by, u1), _plain(by, u2)
    radius = by.apply("sqrt", by.apply("Mul", by.number(-2), by.apply("log", first)))
    angle = by.apply("Mul", by.apply("Mul", by.number(2), by.number(S.Pi)), second)
    return by.array(by.apply("Mul", radius, by.apply("cos", angle)))


def _uniforms(shape: Shape, tensor: int, t: int, seed: int, stream: int) -> tuple[Any, Any]:
    """What two deviates are made of, for every element of a tensor."""
    size = math.prod(shape)
    block = np.arange(-(-size // 4), dtype=np.uint64)
    words = _philox([block, tensor, t, (block >> _HALF) + np.uint64(stream << 16)], seed)
    u1, u2 = (np.repeat(np.stack(words[k::2], axis=-1).ravel(), 2)[:size] for k in (0, 1))
    u1, u2 = (u1 + 0.5) / 2**32, (u2 + 0.5) / 2**32 - np.arange(size) % 2 / 4  # a sine is a cosine a quarter before
    return u1.reshape(shape), u2.reshape(shape)


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


def _plain(by: Arithmetic, numbers: Any) -> Value:
    """Numbers as they are, not as leaves: one, or an array of them."""
    if not np.shape(numbers):
        return by.number(numbers[()] if isinstance(numbers, np.ndarray) else numbers)
    made = [by.number(number) for number in np.ravel(numbers).tolist()]
    return np.array(made).reshape(np.shape(numbers))


def _evaluator(
    optimizer: Optimizer,
    tensors: Mapping[Any, Sequence[Any]],
    hypers: Mapping[str, Any] | None,
    by: Arithmetic,
    many: Shape = (),
) -> _Evaluator:
    given = {symbol: [by.array(values) for values in arrays] for symbol, arrays in tensors.items()}
    full = map(np.shape, given[symbols.theta])
    shapes = [shape[: len(shape) - len(many)] for shape in full]
    evaluate = _Evaluator(by, shapes, given, many)
    values = optimizer.values(hypers)
    for extent in EXTENTS:
        evaluate.known[extent] = [by.number(_extent(extent, shape)) for shape in evaluate.shapes]
    for hyper in optimizer.hypers:
        evaluate.known[hyper] = evaluate.everywhere(_plain(by, values.pop(hyper.name)))
    if values:
        raise UsageError(f"{optimizer.name} has no hyperparameter {', '.join(values)}")
    return evaluate


@dataclass(frozen=True)
class _Evaluator:
    """Computes SymPy nodes; a node's value is a list with an array a tensor, or with what broadcasts to it."""

    arithmetic: Arithmetic
    shapes: list[Shape]
    known: dict[Basic, list[Value]]
    many: Shape = ()  # the last axis of all arrays, if there are many models

    def __call__(self, node: Basic) -> list[Value]:
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = _computation(node)(self)
        return found

    def draw(self, draw: Basic, t: int | Sequence[int]) -> None:
        """Make what is drawn at a step known."""
        drawn = np.broadcast_to(self(draw.seed)[0], self.many)
        stream, seed = int(draw.stream), [int(each) for each in drawn] if self.many else int(drawn[()])
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
                whole = by.rearrange(lambda *tensors: np.concatenate(list(map(self._flat, tensors))), *values)
                return self.everywhere(self._shaped(self._along(0, node, whole), ()))
            case Space.TENSOR:
                flat = [self._along(0, node, by.rearrange(self._flat, value)) for value in values]
                return self._spread([self._shaped(value, ()) for value in flat], Space.TENSOR)
        axis = (-1 if node.to is Space.ROW else -2) - len(self.many)
        pairs = zip(values, self.shapes, strict=True)
        matrices = [self._shaped(value, (1,) * (2 - len(shape)) + shape) for value, shape in pairs]
        reduced = [self._along(axis, node, value) for value in matrices]
        shapes = [_shape(node.to, shape) for shape in self.shapes]
        return [self._shaped(value, shape) for value, shape in zip(reduced, shapes, strict=True)]

    def _flat(self, array: Any) -> Any:
        """The elements of each model in a line."""
        return np.reshape(array, (math.prod(np.shape(array)[: np.ndim(array) - len(self.many)]), *self.many))

    def _shaped(self, value: Value, shape: Shape) -> Value:
        return self.arithmetic.rearrange(lambda x: np.reshape(x, shape + self.many), value)

    def _along(self, axis: int, node: Reduction, value: Value) -> Value:
        by, how, to = self.arithmetic, node.how, node.to
        if how == "norm":
            return by.apply("sqrt", by.reduce("Add", by.apply("Mul", value, value), axis, to))
        if how == "mean":
            return by.apply("Div", by.reduce("Add", value, axis, to), by.number(np.shape(value)[axis]))
        return by.reduce({"max": "Max", "sum": "Add"}[how], value, axis, to)

    def _spread(self, values: list[Value], space: Space) -> list[Value]:
        """The values as fresh arrays of the shapes that a space has."""

        def spread(value: Value, shape: Shape) -> Value:
            return self.arithmetic.rearrange(lambda x: np.array(np.broadcast_to(x, shape + self.many)), value)

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
        case ITE():  # a condition that a condition chooses
            return lambda by: by.each(np.where, *node.args)
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
        case Pow(base=base, exp=Rational(p=1) as power) if roots(power):
            return _applied("sqrt", Pow(base, 2 * power))
        case Pow(base=base, exp=Rational() as power) if roots(power):  # minus infinity has no root
            root = Rational(1, power.q)
            return _applied("Mul", Pow(base, power - root), Pow(base, root))
    return _applied(node.func.__name__, *node.args)


def _applied(operation: str, *nodes: Basic) -> Callable[[_Evaluator], list[Value]]:
    """An operation on nodes."""
    if operation == "Add":
        exactly = any(map(_is_transcendental, nodes)) and not any(map(_has_difference, nodes))
        exactly = exactly or (len(nodes) <= 2 and all(map(_is_given, nodes)))  # noqa: PLR2004
        return lambda by: by.each(lambda *terms: by.arithmetic.sum(terms, exactly=exactly), *nodes)
    if operation in ("Mul", "Max", "Min"):  # of any number of operands
        return lambda by: by.each(lambda *values: reduce(partial(by.arithmetic.apply, operation), values), *nodes)
    if operation in ("Pow", "exp", "sin", "cos", "tan"):
        given = list(map(_is_given, nodes))
        return lambda by: by.each(lambda *values: by.arithmetic.function(operation, values, given=given), *nodes)
    return lambda by: by.each(partial(by.arithmetic.apply, operation), *nodes)


def _is_given(node: Basic) -> bool:
    """Whether a term has no rounding errors: a sum of two such is rounded once."""
    sign, symbol = node.as_coeff_Mul()
    return node.is_Number or (abs(sign) == 1 and isinstance(symbol, symbols.Hyper | symbols.StepCount))


def _has_difference(node: Basic) -> bool:
    """Whether a term is a product with a sum that varies, ``(lr - lr_min)*cos(t)``: no form of it is any closer."""
    return isinstance(node, Mul) and any(is_sum(factor) and not factor.is_number for factor in node.args)


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
