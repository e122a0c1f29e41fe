"""split: how many sweeps a rule takes, what each of them moves, and why."""

import numpy as np
import pytest
from sympy import Eq, Min, Piecewise, sqrt

import optgen
from optgen import (
    COL,
    MODEL,
    ROW,
    TENSOR,
    ColMean,
    Let,
    ModelNorm,
    Norm,
    Optimizer,
    RowMax,
    RowMean,
    RowSum,
    TensorMax,
    TensorMean,
    TensorSum,
    g,
    local,
    normal,
    state,
    t,
    theta,
)
from optgen.hypers import beta1, beta2, eps, lr, norm_limit, seed
from optgen.ir import Branch, Kernel
from optgen.pipeline import kernel_of

m, v, w, u, x = *state("m v w"), *local("u x")
r, c, size, k = (
    state("r", space=ROW),
    state("c", space=COL),
    state("size", space=TENSOR),
    state("k", space=MODEL),
)
moments = (Let(m.next, beta1 * m + g), Let(v.next, beta2 * v + g**2))


def kernel(*step: Let) -> Kernel:
    return kernel_of(Optimizer("rule", title="Rule", step=step))


def branch(*step: Let) -> Branch:
    """The only branch of a rule."""
    (only,) = kernel(*step).branches
    return only


def moved(found: Branch) -> list[str]:
    """What each sweep over elements reads and writes."""
    return [
        f"{' '.join(map(str, sweep.reads))} -> {' '.join(map(str, (*sweep.stores, *sweep.keeps)))}".strip()
        for sweep in found.over_elements
    ]


def order(found: Branch) -> str:
    """The spaces of the sweeps, in order."""
    return " ".join(sweep.space.name for sweep in found.sweeps)


CLIPPED = Let(u, g * Min(1, norm_limit / ModelNorm(g)))
ELEMENTWISE = {
    "nothing is reduced": ((Let(theta.next, theta - lr * g),), "ELEM", ["theta g -> theta"]),
    "a total that nothing of this step waits for": (
        (Let(size.next, beta1 * size + TensorSum(g)), Let(theta.next, theta - lr * size * g)),
        "TENSOR ELEM TENSOR TENSOR",
        ["theta g -> theta"],
    ),
    "the first sweep reads what the total is of": (
        (CLIPPED, Let(m.next, beta1 * m + u), Let(theta.next, theta - lr * m.next)),
        "ELEM TENSOR TENSOR MODEL TENSOR ELEM",
        ["g ->", "theta g m -> theta m"],
    ),
    "states are stored by the first sweep and read again by the second": (
        (*moments, Let(u, m.next / (sqrt(v.next) + eps)), Let(theta.next, theta - lr * u / Norm(u))),
        "ELEM TENSOR TENSOR ELEM",
        ["g m v -> m v", "theta m_next v_next -> theta"],
    ),
    "a value of more than two states is kept": (
        (
            *moments,
            Let(w.next, w + theta),
            Let(u, m.next / (sqrt(v.next) + w.next)),
            Let(theta.next, theta - lr * u / Norm(u)),
        ),
        "ELEM TENSOR TENSOR ELEM",
        ["theta g m v w -> m v w u", "theta u -> theta"],
    ),
    "a state whose old value is needed later is stored later": (
        (
            Let(m.next, beta1 * m + g),
            Let(theta.next, theta - lr * (m.next - m) / Norm(m.next)),
        ),
        "ELEM TENSOR TENSOR ELEM",
        ["g m ->", "theta g m -> theta m"],
    ),
    "a total of a total takes one more sweep": (
        (Let(u, g / Norm(g)), Let(x, u * RowMax(u)), Let(theta.next, theta - lr * x / Norm(x))),
        "ELEM TENSOR TENSOR ELEM ROW ELEM TENSOR TENSOR ELEM",
        ["g ->", "g ->", "g ->", "theta g -> theta"],
    ),
    "totals of totals of no elements take none": (
        (Let(r.next, r + RowMean(g)), Let(theta.next, theta - lr * g * r.next / ColMean(r.next) / TensorMean(r.next))),
        "ELEM ROW TENSOR COL COL ELEM",
        ["g ->", "theta g -> theta"],
    ),
    "what is drawn is drawn again": (
        (Let(u, g + normal(seed)), Let(theta.next, theta - lr * u / Norm(u))),
        "ELEM TENSOR TENSOR ELEM",
        ["g -> u", "theta u -> theta"],
    ),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_sweeps_read_and_write_what_they_must(name: str) -> None:
    step, spaces, traffic = ELEMENTWISE[name]
    assert (order(branch(*step)), moved(branch(*step))) == (spaces, traffic)


def test_a_small_state_is_stored_when_its_old_value_was_read_for_the_last_time() -> None:
    early = branch(Let(k.next, k + ModelNorm(g)), Let(theta.next, theta - lr * g * k.next))
    assert [k in sweep.stores for sweep in early.sweeps if not sweep.is_reduced] == [False, False]
    assert sum(k in sweep.stores for sweep in early.sweeps) == 1
    late = branch(Let(k.next, ModelNorm(g)), Let(u, g * k.next), Let(theta.next, theta - lr * u * k / Norm(u)))
    assert late.sweeps[-1].stores == (k,)
    assert late.sweeps[-1].loads == (k.next,)


def test_equal_totals_are_made_once_and_what_is_the_same_everywhere_stays_outside() -> None:
    found = branch(Let(theta.next, theta - lr * g * (TensorSum(3 * g) + TensorMean(g + size) + TensorSum(-g))),
                   Let(size.next, size / 2))  # fmt: skip
    assert [str(reduce) for sweep in found.sweeps for reduce in sweep.reduces] == ["acc0 = sum of g over the tensor"]


@pytest.mark.parametrize("both", [(RowSum, TensorSum), (TensorSum, RowSum), (RowMax, TensorMax), (TensorMax, RowMax)])
def test_a_total_of_a_tensor_is_that_of_its_rows_where_there_are_such(both) -> None:
    first, second = (total(m * g) for total in both)
    found = branch(Let(x, first), Let(m.next, m + x), Let(theta.next, theta - lr * g / (1 + x + second)))
    (made,) = (sweep.reduces for sweep in found.over_elements if sweep.reduces)
    assert [reduce.target.space for reduce in made] == [ROW]
    (of_rows,) = (reduce for sweep in found.sweeps if sweep.is_reduced for reduce in sweep.reduces)
    assert of_rows.what.endswith(f"of {made[0].target} over the tensor")


def test_a_norm_is_of_products_in_float64_and_not_of_squares_in_float32() -> None:
    (first, *_) = branch(Let(theta.next, theta - lr * g / (Norm(g) + TensorSum(g * theta)))).sweeps
    assert [str(reduce) for reduce in first.reduces] == [
        "acc0 = sum of g*g over the tensor",
        "acc1 = sum of y0*y0 over the tensor",  # of those whose squares may be too large for float64
        "acc2 = sum of y1*y1 over the tensor",  # and too small
        "acc3 = sum of g*theta over the tensor",
    ]
    (first, *_) = branch(Let(theta.next, theta - lr * g / (1 + Norm(-lr * g * theta)))).sweeps
    assert [str(assign) for assign in first.body] == ["y0 = lr*g*theta", "y1 = shrunk(y0)", "y2 = stretched(y0)"]
    assert [str(reduce) for reduce in first.reduces] == [f"acc{k} = sum of y{k}*y{k} over the tensor" for k in range(3)]


def test_a_total_of_elements_is_made_of_values_of_elements() -> None:
    (first, _) = branch(Let(c.next, c + 1), Let(theta.next, theta - lr * RowMean(g * c))).over_elements
    assert [str(assign) for assign in first.body] == ["y0 = c"]
    assert [str(reduce) for reduce in first.reduces] == ["acc0 = sum of g*y0 over the row"]


def test_a_person_sees_why() -> None:
    shown = str(kernel(*moments, Let(u, m.next / (sqrt(v.next) + eps)), Let(theta.next, theta - lr * u / Norm(u))))
    assert "sweep 0 over every element: 3 loads, 2 stores an element" in shown
    assert "sweep 1 over every tensor" in shown
    assert "sweep 3 over every element: 3 loads, 1 stores an element" in shown
    assert "36 bytes an element in float32 are moved" in shown
    assert "m stored by element sweep 0; by 1: 40" in shown
    assert "u computed again; kept in memory: 36" in shown


def test_each_branch_has_sweeps_of_its_own() -> None:
    w0 = state("w0", init=theta)
    rate = Piecewise((lr, Eq(t, 1)), (lr * Norm(theta - w0), True))
    first, later = kernel(Let(w0.next, w0), Let(theta.next, theta - rate * g)).branches
    assert (order(first), moved(first)) == ("ELEM", ["theta g -> theta"])
    assert (order(later), moved(later)) == ("ELEM TENSOR TENSOR ELEM", ["theta w0 ->", "theta g -> theta"])


def test_a_condition_on_a_total_of_scalars_is_no_branch() -> None:
    found = branch(Let(theta.next, theta - lr * Piecewise((g, TensorSum(lr) > 1), (theta, True))))
    assert [str(assign) for assign in found.sweeps[0].body] == ["c0 = 1 if numel*lr > 1 else 0"]


NORM = ModelNorm(g)
OF_GROUPS = {
    "a quotient": (lr * g / NORM, lambda g, _, norm, lr: lr * g / norm),
    "a product": (lr * NORM * g, lambda g, _, norm, lr: lr * norm * g),
    "what is below": (g / (NORM + lr), lambda g, _, norm, lr: g / (norm + lr)),
    "a choice": (g * Piecewise((lr, lr < NORM), (0, True)), lambda g, _, norm, lr: g * (lr if norm > lr else 0)),
    "a sum": (lr + NORM + g, lambda g, _, norm, lr: lr + norm + g),
    "a name": (lr * (theta + g) / NORM, lambda g, theta, norm, lr: lr * (theta + g) / norm),
}


@pytest.mark.parametrize("what", OF_GROUPS)
def test_what_is_made_of_the_model_and_of_hyperparameters_may_differ_between_groups(what):
    value, meant = OF_GROUPS[what]
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - value),))
    assert not kernel_of(rule).shared
    params, grads, rates = [np.full(3, 2.0), np.full(2, 5.0)], [np.arange(1.0, 4.0), np.array([-2.0, 1.0])], (0.5, 20.0)
    expected = [
        theta - meant(its, theta, np.linalg.norm(np.concatenate(grads)), rate)
        for theta, its, rate in zip(params, grads, rates, strict=True)
    ]
    module = optgen.compile(rule)
    module.Rule([{"params": [x], "lr": rate} for x, rate in zip(params, rates, strict=True)]).step(grads)
    for found, right in zip(params, expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-14)


def test_a_state_of_the_model_is_one_value_whatever_the_groups_have():
    s = state("s", space=MODEL)
    step = (Let(s.next, s + lr * NORM), Let(theta.next, theta - s.next * g))
    assert kernel_of(Optimizer("rule", title="Rule", step=step)).shared == {lr}
