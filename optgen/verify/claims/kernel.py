"""A kernel on trial: inputs for it, what it makes of them, and what it should have made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Dummy, Interval, Piecewise, S, diff, oo

from optgen.language import symbols
from optgen.language.reductions import Reduction
from optgen.language.spec import Optimizer
from optgen.verify import reference
from optgen.verify.candidate import Candidate, Effort, resumed_at
from optgen.verify.claims.rule import Rule, new, plain
from optgen.verify.settings import at_switches

STEPS = 12
"""The length of a trajectory."""
TOLERANCE = 1e-9
"""For what holds in real arithmetic, relative to the largest that a value has been."""

Floats = NDArray[Any]
Values = Mapping[str, Any]
"""By name: theta, g, t, states, hyperparameters, and new values as ``m_next``."""


@dataclass(frozen=True)
class Trial:
    """A kernel, with what is needed to draw inputs for it."""

    candidate: Candidate  # the module
    rule: Rule  # its equations
    given: tuple[tuple[Any, Any], ...]  # hyperparameters that have a value
    effort: Effort  # how much to draw
    rng: np.random.Generator  # from what

    @cached_property
    def kernel(self) -> KernelOnTrial:
        """The kernel, for a model of a matrix, a vector and a stack of matrices."""
        n = max(1, self.effort.draws // 20)
        return KernelOnTrial(self.candidate.optimizer, self.candidate.kind, ((n, 8), (4 * n,), (2, n, 4)))

    def settings(self) -> Iterator[dict[str, float]]:
        """Hyperparameters: the defaults, then others, with what is given."""
        hypers = self.candidate.optimizer.hypers
        for k in range(3 + self.effort.draws // 1000):
            values = {hyper.name: hyper.usual if k == 0 else self.hyper(hyper) for hyper in hypers}
            given = {symbol.name: float(self.kernel.evaluated(plain(value), values)[0]) for symbol, value in self.given}
            yield values | given

    def hyper(self, hyper: Any) -> float:
        """A value inside a domain, away from its ends."""
        domain = hyper.domain
        if not isinstance(domain, Interval) or domain.start == -oo:
            return float(hyper.usual)
        low, high = float(domain.start), float(domain.end)
        if math.isinf(high):
            return low + 10 ** self.rng.uniform(-3, -0.5)
        return low + (high - low) * self.rng.uniform(0.05, 0.95)

    def thetas(self) -> Floats:
        """Parameters of every sign."""
        return self.rng.normal(size=self.kernel.size)

    def grads(self, steps: int = STEPS) -> Floats:
        """Gradients of every size, a step a row; an element's own vary by a few powers of ten."""
        shape = (steps, self.kernel.size)
        scales = 10 ** (self.rng.uniform(-4, 4, shape[1:]) + self.rng.uniform(-1, 1, shape))
        grads: Floats = scales * self.rng.normal(size=shape)
        return grads

    def states(self) -> dict[str, Floats]:
        """States out of the blue: nonnegative, which all may be, on both sides of the rule's switches."""

        def draw(name: str, array: Floats) -> Floats:
            values = self.rng.uniform(0.1, 2 if array.shape else 0.9, array.shape)
            return at_switches(self.candidate.optimizer, name, values, self.rng)

        return self.kernel.states(next(self.settings()), self.thetas(), draw)

    def path(self, hypers: Values) -> Iterator[Values]:
        """Steps for a look at what a step does.

        Each is from theta = 0, to which nothing is lost when it is added, unless the rule asks where the others are.
        """
        return self.kernel.walked(hypers, self.start(), self.grads(), back=not self.rule.reduces)

    def start(self) -> Floats:
        """Parameters for such steps."""
        return self.thetas() if self.rule.reduces else np.zeros(self.kernel.size)


@dataclass(frozen=True)
class KernelOnTrial:
    """A generated class and a model for it, all of whose elements stand in one flat array.

    Whatever has one value a row, say, or one for the whole model, is shown with it at every element.
    """

    optimizer: Optimizer  # what the class claims to compute
    kind: Any  # the class
    shapes: tuple[tuple[int, ...], ...]  # the tensors of the model

    @cached_property
    def size(self) -> int:
        """How many elements the model has."""
        return sum(map(math.prod, self.shapes))

    @cached_property
    def places(self) -> list[slice]:
        """Where the elements of each tensor are."""
        ends = [0, *accumulate(map(math.prod, self.shapes))]
        return [slice(*pair) for pair in pairwise(ends)]

    def tensors(self, flat: Floats) -> list[Floats]:
        """Views of a flat array, one a tensor."""
        return [flat[place].reshape(shape) for place, shape in zip(self.places, self.shapes, strict=True)]

    def flat(self, tensors: Sequence[Floats]) -> Floats:
        """What has a value a tensor, or a row of it, say, in one array of all elements."""
        whole = np.empty(self.size, np.result_type(*tensors))
        for part, values in zip(self.tensors(whole), tensors, strict=True):
            part[...] = values
        return whole

    def narrowed(self, flat: Floats, like: Sequence[Floats]) -> list[Floats]:
        """The reverse: for each tensor an array as large as another, which broadcasts against it."""
        places = [tuple(map(slice, array.shape)) if array.shape else 0 for array in like]
        wholes = [
            tensor if array.shape else tensor.ravel() for tensor, array in zip(self.tensors(flat), like, strict=True)
        ]
        return [np.array(whole[place]) for whole, place in zip(wholes, places, strict=True)]

    def states(
        self, hypers: Values, theta: Floats, change: Callable[[str, Floats], Floats] = lambda _, array: array
    ) -> dict[str, Floats]:
        """The states before the first step, or what is made of them; some start from theta or g, at the step itself."""
        held = self._arrays(self.kind(self.tensors(theta.copy()), **hypers))
        for name, arrays in held.items():
            for array in arrays:
                array[...] = change(name, array)
        return {name: self.flat(arrays) for name, arrays in held.items()}

    def _arrays(self, optimizer: Any) -> dict[str, Sequence[Floats]]:
        """The states of an optimizer, each with an array a tensor."""
        states = optimizer.state.items()
        return {name: [it] * len(self.shapes) if isinstance(it, np.ndarray) else it for name, it in states}

    def moved(self, theta: Floats, grad: Floats, states: Mapping[str, Floats], *, t: int, hypers: Values) -> Values:
        """One step: what went in and what came out, by name."""
        after = theta.copy()
        optimizer = self.kind(self.tensors(after), **hypers)
        numbers = {name: np.array(states[name].flat[0]) for name in optimizer.program.numbers}
        resumed_at(optimizer, t - 1, numbers)
        for name, arrays in self._arrays(optimizer).items():
            for array, given in zip(arrays, self.narrowed(states[name], arrays), strict=True):
                array[...] = given
        return self._stepped(optimizer, after, {"theta": theta, "g": grad, **states, "t": float(t), **hypers})

    def _stepped(self, optimizer: Any, after: Floats, before: Values) -> Values:
        """What goes into a step, and what comes of it where an optimizer has its parameters."""
        optimizer.step(self.tensors(before["g"]))
        held = self._arrays(optimizer)
        new = {"theta_next": after.copy(), **{f"{name}_next": self.flat(arrays) for name, arrays in held.items()}}
        values = {**before, **new}
        inits = {state.name: state.init for state in self.optimizer.states if before["t"] == 1}
        read = {name: plain(init) for name, init in inits.items() if init.has(symbols.theta, symbols.g)}
        return {**values, **{name: self.evaluated(init, values) for name, init in read.items()}}

    def walked(self, hypers: Values, theta: Floats, grads: Floats, *, back: bool = False) -> Iterator[Values]:
        """Steps one after another; ``back`` puts theta back to where it was after each."""
        after = theta.copy()
        optimizer = self.kind(self.tensors(after), **hypers)
        states = {name: self.flat(arrays) for name, arrays in self._arrays(optimizer).items()}
        for k, grad in enumerate(grads):
            values = self._stepped(optimizer, after, {"theta": theta, "g": grad, **states, "t": k + 1.0, **hypers})
            yield values
            after[:] = theta = theta if back else values["theta_next"]
            states = {name: values[f"{name}_next"] for name in states}

    def evaluated(self, expression: Any, values: Values) -> Floats:
        """The value of an expression in plain symbols for every element, in float64."""
        names = {symbol.name for symbol in expression.free_symbols} & values.keys()
        given = {name: np.asarray(values[name]) for name in names}
        known = {name: self.tensors(its) if its.ndim else [its] * len(self.shapes) for name, its in given.items()}
        return self.flat(reference.value(expression, known, self.shapes, int(values.get("t", 0))))


def observed(expression: Any, rule: Rule) -> tuple[Any, bool]:
    """An expression in what a kernel shows, and whether it shows it: else it comes from the equations alone."""
    result = expression
    for target, _ in reversed(rule.equations):
        if result.has(target) and target not in map(new, rule.variables):
            result = result.xreplace({target: _solved(target, rule)})
    return result, bool(result.free_symbols & set(map(new, rule.variables)))


@lru_cache(maxsize=64)  # asked for every trial of a claim, and to tell where it was tried
def _solved(local: Any, rule: Rule) -> Any:
    """A local from the first new value that it enters linearly; as the equations have it if there is none."""
    for target in map(new, rule.variables):
        value = rule.expanded(rule.defined(target), {local: Dummy("kept")}, new_too=False)
        dummies = [symbol for symbol in value.free_symbols if isinstance(symbol, Dummy)]
        hidden = any(node.has(*dummies) for node in value.atoms(Piecewise, Reduction))
        if dummies and not hidden:
            slope = diff(value, dummies[0])
            if not (slope.has(dummies[0]) and diff(slope, dummies[0])):
                return (target - value.xreplace({dummies[0]: S.Zero})) / slope
    return rule.expanded(rule.defined(local), new_too=False)


def different(
    values: Values, what: str, found: Any, wanted: Any, *, scale: Any = 0.0, tolerance: float = TOLERANCE
) -> str | None:
    """The input with the largest difference between what was found and what was wanted, if that is too large.

    The tolerance is relative to the values and to a scale: how large they have been.
    """
    found, wanted = np.broadcast_arrays(*np.atleast_1d(found, wanted))
    allowed = tolerance * np.maximum(np.abs(wanted), scale)
    fine = (np.abs(found - wanted) <= allowed) | (np.isnan(found) & np.isnan(wanted)) | (found == wanted)
    if fine.all():
        return None
    error = np.where(fine, 0, np.nan_to_num(np.abs(found - wanted) / allowed, nan=np.inf, posinf=np.inf))
    k = int(np.argmax(error))
    return f"{what} is {float(found[k])!r}, should be {float(wanted[k])!r}, for {shown(values, k)}"


def shown(values: Values, k: int) -> str:
    """What went in at one element, for a finding."""
    picked = {name: np.atleast_1d(value) for name, value in values.items() if not name.endswith("_next")}
    return ", ".join(f"{name} = {float(value[k if value.size > 1 else 0])!r}" for name, value in picked.items())
