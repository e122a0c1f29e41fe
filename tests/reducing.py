"""Rules that no spec has, which add up: between them, every reduction of every space, and whatever may be between."""

from sympy import Abs, Max, Min, Piecewise, Rational, sqrt

from optgen import (
    COL,
    MODEL,
    ROW,
    TENSOR,
    ColMax,
    ColMean,
    Let,
    ModelNorm,
    ModelSum,
    Norm,
    RowMax,
    RowMean,
    RowSum,
    TensorMax,
    TensorMean,
    TensorSum,
    finite,
    g,
    local,
    n_cols,
    n_rows,
    numel,
    state,
    t,
    theta,
)
from optgen.hypers import beta1, beta2, eps, lr, seed
from optgen.language.noise import normal
from optgen.language.reductions import Reduction

m, v, w, u, x = *state("m v w"), *local("u x")
r, c, scale, whole = (
    state("r", space=ROW),
    state("c", space=COL),
    state("scale", space=TENSOR),
    state("whole", space=MODEL),
)
first = state("first", space=TENSOR, init=TensorMean(g) + Norm(theta))


def everything_reduced(how: str) -> list[Let]:
    """Each reduction of a kind, of elements and of states in every space."""
    kinds = sorted((kind for kind in Reduction.__subclasses__() if kind.how == how), key=lambda kind: kind.__name__)
    values = (g * theta, Abs(g) + theta**2, r, c, scale, whole, r * scale + 1, beta1)
    found = [kind(value) for kind in kinds for value in values]
    weights = [Rational((7 * k) % 11 - 5, 10) for k in range(len(found))]
    total = sum(weight * node / (1 + Abs(node)) for weight, node in zip(weights, found, strict=True))
    return [
        Let(r.next, beta1 * r + RowMean(g) + 1),
        Let(c.next, beta1 * c + ColMean(g) - 1),
        Let(scale.next, beta1 * scale + TensorMean(g * theta)),
        Let(whole.next, beta1 * whole + ModelSum(g) / 1000),
        Let(theta.next, theta - lr * total),
    ]


RULES = {
    **{f"each_{how}": everything_reduced(how) for how in ("sum", "mean", "max", "norm")},
    "totals_of_totals": [
        Let(u, g / (Norm(g) + eps)),
        Let(theta.next, theta - lr * u * TensorMax(u) / (1 + ModelNorm(u))),
    ],
    "old_states_read_late": [
        Let(scale.next, scale + TensorSum(g)),
        Let(whole.next, whole + ModelNorm(g)),
        Let(r.next, (r + RowMean(theta)) / 2),
        Let(theta.next, theta - lr * (scale + whole * r) * g / (1 + Abs(scale.next) + Norm(r.next * g))),
    ],
    "kept_in_memory": [
        Let(m.next, beta1 * m + g),
        Let(v.next, beta2 * v + g**2),
        Let(w.next, beta2 * w + theta),
        Let(u, m.next / (sqrt(v.next) + 1) + w.next),
        Let(theta.next, theta - lr * u / (1 + Norm(u))),
    ],
    "stored_late": [
        Let(m.next, m + g * Norm(g)),
        Let(v.next, v + theta),
        Let(u, v - v.next * Norm(m.next)),
        Let(theta.next, theta - lr * u),
    ],
    "conditions": [
        Let(x, Piecewise((g, ModelNorm(g) > 5), (theta, RowMean(g) > 0), (2 * g, True))),
        Let(whole.next, Piecewise((whole + 1, ModelNorm(g) > 5), (whole, True))),
        Let(m.next, Piecewise((m + x, t > 2), (x - m, True))),
        Let(theta.next, Piecewise((theta - lr * m.next, whole < 2), (theta + lr * Norm(m.next), True))),
    ],
    "draws_added_up": [
        Let(u, g + normal(seed)),
        Let(r.next, RowMean(u)),
        Let(theta.next, theta - lr * (u - r.next) / (1 + Norm(u))),
    ],
    "extents": [Let(theta.next, theta - lr * (g * n_rows - numel / n_cols) / (numel + RowMean(finite(g))))],
    "starts_from_a_total": [Let(first.next, beta1 * first), Let(theta.next, theta - lr * first.next * g)],
    "nothing_but_a_total": [Let(theta.next, theta - lr * TensorMean(g))],
    "totals_in_totals": [
        Let(u, RowMax(g) * g - TensorMean(g / Norm(g))),
        Let(theta.next, theta - lr * TensorMean(u * Norm(u / (1 + Norm(g)))) * RowSum(theta / (1 + ModelNorm(u)))),
    ],
    "products_with_what_varies_over_less": [
        Let(u, normal(seed) * g),
        Let(c.next, c + ColMax(r * g) + 1),
        Let(r.next, r + RowMean(u * c) + TensorSum(g * scale) - 1),
        Let(scale.next, Norm(r * c) + ModelSum(r * c) - ModelSum(g * scale)),
        Let(theta.next, theta - lr * u / (1 + Norm(scale * g) + Norm(lr * theta * g))),
    ],
    "a_branch_in_which_nothing_changes": [Let(theta.next, Piecewise((theta, t < 3), (theta - lr * g * Norm(g), True)))],
    "totals_of_what_no_element_has_a_part_in": [
        Let(r.next, RowMean(g)),
        Let(c.next, ColMean(g)),
        Let(theta.next, theta - lr * g * TensorMax(r.next * c.next) / (1 + TensorSum(r.next * c.next) ** 2)),
    ],
    "totals_of_scalars_in_one_branch": [
        Let(u, Piecewise((lr * t, t < 3), (g, True))),
        Let(whole.next, Piecewise((lr, t < 3), (ModelNorm(g), True))),
        Let(theta.next, theta - lr * g * (Norm(u) + RowMax(u) - ColMax(u) + whole.next)),
    ],
    "columns_limited": [
        Let(x, Max(Min(ColMean(theta * g), c), -1)),
        Let(c.next, c + x),
        Let(theta.next, theta - lr * x * g),
    ],
}
