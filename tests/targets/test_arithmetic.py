"""The arithmetic of an element: order, rounding, and the same bits wherever it stands."""

from fractions import Fraction

import numpy as np
import pytest
from numba import njit
from sympy import Abs, Eq, Mod, Piecewise, sqrt

from optgen import Let, Optimizer, compile, g, local, state, t, theta
from optgen.hypers import beta1, beta2, eps, lr
from optgen.runtime.cpu.primitives import LANES, fma, lanes, max_of_lanes, maximum, per_chunk, sum_of_lanes

m, v, lost, h = state("m v lost h")
a, b = local("a b")


def kernels(*step):
    """The module of a rule, without the sweeps for all threads."""
    return compile(Optimizer("rule", "Rule", step))


@njit(error_model="numpy")
def run(update, steps, theta, gradient, other, *scalars):
    """Steps of one element, in a loop of its own."""
    for _ in range(steps):
        theta, other = update(theta, gradient, other, *scalars)
    return theta, other


KAHAN = {
    "the product in the sum": [Let(a, -lr * g - lost), Let(lost.next, (theta.next - theta) - a)],
    "the product by itself": [Let(b, lr * g), Let(a, -b - lost), Let(lost.next, (theta.next - theta) - a)],
    "signs the other way": [Let(a, lost - lr * g), Let(lost.next, a - (theta.next - theta))],
}


@pytest.mark.parametrize("how", KAHAN)
def test_a_compensated_sum_is_compensated(how):
    """1e5 steps of 1e-9 from 1 in float32, whose neighbours of 1 are 6e-8 away, end at 0.9999."""
    module = kernels(*KAHAN[how], Let(theta.next, theta + a))
    one, gradient, zero, rate = map(np.float32, (1, 1, 0, 1e-9))
    found, rest = run(module.update, 100_000, one, gradient, zero, rate)
    assert found == pytest.approx(0.9999, abs=3e-8)
    assert abs(float(found) + (-1) ** (how != "signs the other way") * float(rest) - 0.9999) < 1e-10
    assert (
        run(kernels(Let(theta.next, theta - lr * g), Let(lost.next, lost + g)).update, 10, one, gradient, zero, rate)[0]
        == 1
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_sum_is_exact(dtype):
    """What a sum rounds away, by six operations that real arithmetic makes 0 of (Knuth)."""
    module = kernels(
        Let(a, theta + g), Let(b, a - theta), Let(lost.next, (theta - (a - b)) + (g - b)), Let(theta.next, a)
    )
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=500) * 2.0 ** rng.integers(-30, 30, 500) for _ in range(2))
    x, y = x.astype(dtype), y.astype(dtype)
    total, rest = x.copy(), np.zeros_like(x)
    module.step(total, y, rest, t=1)
    assert all(
        Fraction(float(p)) + Fraction(float(q)) == Fraction(float(s)) + Fraction(float(r))
        for p, q, s, r in zip(x, y, total, rest, strict=True)
    )
    assert rest.any()


def test_fma_rounds_once():
    x = np.float32(1 + 2**-12)
    assert fma(x, x, np.float32(-1 - 2**-11)) == np.float32(2**-24)
    y = np.float64(1 + 2**-27)
    assert fma(y, y, np.float64(-1 - 2**-26)) == 2**-54


@per_chunk
def squares_of_chunk(x):
    """The sum of squares, as a chunk adds them up."""
    total, rest = lanes(0.0), 0.0
    whole = len(x) // LANES * LANES
    for start in range(0, whole, LANES):
        for i in range(start, start + LANES):
            total[i - start] += x[i] * x[i]
    for i in range(whole, len(x)):
        rest += x[i] * x[i]
    return sum_of_lanes(total) + rest


@njit
def square_sum(x):
    """The same, called by what has been compiled, as sweeps call chunks."""
    return squares_of_chunk(x)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_a_total_has_so_many_partial_sums_on_any_machine(size):
    x = np.random.default_rng(size).normal(size=size)
    parts = np.zeros(LANES)
    whole = size // LANES * LANES
    for start in range(0, whole, LANES):
        parts += x[start : start + LANES] ** 2
    while len(parts) > 1:
        parts = parts[: len(parts) // 2] + parts[len(parts) // 2 :]
    assert square_sum(x) == parts[0] + sum(x[whole:] ** 2)


@per_chunk
def largest_of_chunk(x):
    """The largest number, as a chunk finds it."""
    found, rest = lanes(-np.inf), -np.inf
    whole = len(x) // LANES * LANES
    for start in range(0, whole, LANES):
        for i in range(start, start + LANES):
            found[i - start] = maximum(found[i - start], x[i])
    for i in range(whole, len(x)):
        rest = maximum(rest, x[i])
    return maximum(max_of_lanes(found), rest)


@njit
def largest(x):
    """The same, called by what has been compiled."""
    return largest_of_chunk(x)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 100])
def test_the_largest_is_found_wherever_it_is_and_nan_if_there_is_one(size):
    x = np.random.default_rng(size).normal(size=size)
    assert largest(x) == max(x, default=-np.inf)
    for k in range(size):
        there = x.copy()
        there[k] = 10.0
        assert largest(there) == 10
        there[k] = np.nan
        assert np.isnan(largest(there))


ANY_SIZE = {
    "an average in a branch": [
        Let(
            h.next,
            Piecewise((beta2 * h + (1 - beta2) * g**2, Eq(Mod(t, 2), 0)), (beta2 * h + (1 - beta2) * g**4, True)),
        ),
        Let(theta.next, theta - lr * g / (sqrt(h.next) + eps)),
    ],
    "products of products": [
        Let(h.next, beta1 * h * theta - beta2 * g * theta + h * g),
        Let(theta.next, theta * theta - lr * h * g + beta1 * g),
    ],
    "choices": [
        Let(h.next, Piecewise((beta1 * h - lr * g, g > 0), (h * g + beta2 * theta, True))),
        Let(theta.next, theta - lr * h.next * Abs(g) + beta2 * g * h),
    ],
}


@pytest.mark.parametrize("what", ANY_SIZE)
def test_bits_do_not_depend_on_the_size_of_an_array(what):
    module = kernels(*ANY_SIZE[what])
    rng = np.random.default_rng(0)
    for t_ in (1, 2):
        start = [rng.normal(size=70).astype(np.float32) for _ in range(3)]
        start[2] = abs(start[2])
        whole = [x.copy() for x in start]
        module.step(*whole, t=t_)
        for size in range(1, 70):
            some = [x[:size].copy() for x in start]
            module.step(*some, t=t_)
            for part, all_of_it in zip(some, whole, strict=True):
                np.testing.assert_array_equal(part.view(np.uint32), all_of_it[:size].view(np.uint32))
