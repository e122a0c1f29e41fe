"""Rules in which the host knows a value of a tensor, a row, a column or the model, always or in a branch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sympy import Eq, Expr, Integer, Piecewise, Rational

from optgen import COL, ELEM, MODEL, ROW, STEP, TENSOR, Let, Optimizer, g, hyper, local, state, t, theta
from optgen.hypers import beta1, lr
from optgen.language.reductions import ColMean, ModelMax, ModelMean, Reduction, RowMean, TensorMean, TensorSum
from optgen.language.spaces import Space
from optgen.verify import reference

h = hyper("h", 0.5)
a, b = local("a b")
FIRST = Eq(t, 1)
_MEAN = {MODEL: ModelMean, TENSOR: TensorMean, ROW: RowMean, COL: ColMean, ELEM: lambda x: x}


def _states(space: Space) -> Iterator[tuple[str, list[Let]]]:
    """A state that becomes what the host knows."""
    s, from_h = state("s", space=space), state("s", space=space, init=h)
    for name, value in {"hyper": h, "number": Rational(1, 3), "zero": Integer(0), "computed": lr * t}.items():
        yield f"always_{name}", [Let(s.next, value), Let(theta.next, theta - lr * g * s.next)]
        yield f"first_{name}", [Let(s.next, Piecewise((value, FIRST), (s, True))), Let(theta.next, theta - g * s.next)]
    yield "starts_from_it", [Let(from_h.next, from_h * beta1 + h), Let(theta.next, theta - lr * g * from_h)]
    yield "starts_from_it_and_stays", [Let(from_h.next, from_h), Let(theta.next, theta - lr * g * from_h)]
    if space is not STEP:
        mean = _MEAN[space](g)
        late = state("s", space=space, init=mean)
        yield "at_first", [Let(s.next, Piecewise((h, FIRST), (s + mean, True))), Let(theta.next, theta - g * s.next)]
        yield "later", [Let(s.next, Piecewise((s + mean, FIRST), (h, True))), Let(theta.next, theta - lr * g * s)]
        yield "starts_late", [Let(late.next, h), Let(theta.next, theta - lr * g * late * late.next)]


def _reductions(kind: type[Reduction]) -> Iterator[tuple[str, list[Let]]]:
    """A reduction of what the host knows, or in its place in some branch."""
    for name, value in {"hyper": -h, "number": Integer(2), "step": t}.items():
        yield f"of_a_{name}", [Let(theta.next, theta - lr * g * kind(value))]
    yield "local", [Let(a, kind(h)), Let(theta.next, theta - lr * g - a / 100)]
    yield "in_a_total", [Let(theta.next, theta - lr * g * TensorSum(g * kind(h)))]
    yield "as_argument", [Let(theta.next, theta - lr * g * kind(Piecewise((h, FIRST), (g, True))))]
    yield "as_rate", [Let(a, Piecewise((lr, FIRST), (1 / (1 + kind(g**2)), True))), Let(theta.next, theta - a * g)]
    yield (
        "as_schedule",
        [Let(a, Piecewise((kind(g), t < 2), (lr * t, t < 3), (1, True))), Let(theta.next, theta - a * g)],
    )
    yield "as_condition", [Let(theta.next, Piecewise((theta - lr * g, kind(h) > 1), (theta + g, True)))]
    chosen = Let(a, Piecewise((h, FIRST), (kind(g), True)))
    yield "in_a_condition", [chosen, Let(theta.next, Piecewise((theta - lr * g, a > h / 2), (theta + g, True)))]
    yield "reduced_again", [chosen, Let(b, ModelMax(a) + TensorSum(a * g)), Let(theta.next, theta - lr * g * b)]


def _both(kind: type[Reduction], space: Space) -> Iterator[tuple[str, list[Let]]]:
    """A reduction of a reduced state that the host knows in some branch."""
    s = state("s", space=space)
    mean: Expr = _MEAN[space](g)
    yield "new", [Let(s.next, Piecewise((h, FIRST), (s + mean, True))), Let(theta.next, theta - lr * g * kind(s.next))]
    yield "old", [Let(s.next, Piecewise((s + mean, FIRST), (h, True))), Let(theta.next, theta - lr * g * kind(s))]
    if kind.to <= space:
        chosen = Let(a, Piecewise((h, FIRST), (kind(g), True)))
        yield "kept", [chosen, Let(s.next, a), Let(theta.next, theta - lr * g * s.next)]


KINDS = sorted(Reduction.__subclasses__(), key=lambda kind: kind.__name__)
RULES = {
    **{f"{space.name}_{name}": step for space in Space if space is not Space.GROUP for name, step in _states(space)},
    **{f"{kind.__name__}_{name}": step for kind in KINDS for name, step in _reductions(kind)},
    **{
        f"{kind.__name__}_{space.name}_{name}": step
        for kind in KINDS
        for space in (MODEL, TENSOR, ROW, COL)
        for name, step in _both(kind, space)
    },
    "theta_first": [Let(theta.next, Piecewise((h, FIRST), (theta - g, True)))],
    "theta_later": [Let(theta.next, Piecewise((TensorMean(theta), FIRST), (h * t, True)))],
}
FEW = [
    *("TENSOR_always_hyper", "ROW_always_number", "COL_at_first", "MODEL_later", "TENSOR_starts_late"),
    *("TensorMean_of_a_hyper", "ColNorm_of_a_number", "RowMax_in_a_total", "ModelSum_as_rate", "Norm_as_schedule"),
    *("RowMean_reduced_again", "ColSum_in_a_condition", "ModelMax_TENSOR_old", "TensorSum_ROW_new", "RowSum_ROW_kept"),
]
"""Rules that between them have every way in which a reduced sweep is given what the host knows."""

SHAPES = ((2, 3), (3,), (), (0, 4), (2, 1, 2))
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def assert_computes(kind: Any, rule: Optimizer) -> None:
    """Take steps with a class and with the equations."""
    for dtype, tolerance in TOLERANCE.items():
        draw = np.random.default_rng(7)
        trained = [np.array(draw.normal(size=shape), dtype) for shape in SHAPES]
        wanted, optimizer = [theta.astype(float) for theta in trained], kind(trained)
        states = reference.start(rule, wanted)
        for number in range(1, 4):
            grads = [np.array(draw.normal(size=shape), dtype) for shape in SHAPES]
            optimizer.step(grads)
            wanted, states = reference.step(rule, wanted, [x.astype(float) for x in grads], states, number)
        for mine, theirs in zip(trained, wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
        for key, values in optimizer.state.items():
            found = values if isinstance(values, tuple) else [values] * len(SHAPES)  # one value for the model
            for mine, theirs, shape in zip(found, states[key], SHAPES, strict=True):
                if 0 not in shape:  # what has no elements takes no part
                    np.testing.assert_allclose(np.squeeze(mine), np.squeeze(theirs), rtol=tolerance, atol=tolerance)
