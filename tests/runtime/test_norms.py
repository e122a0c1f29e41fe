"""Norms of numbers whose squares float64 does not hold."""

from __future__ import annotations

from math import inf, isnan, nan

import mpmath
import numpy as np
import pytest

from optgen.generated.cpu import lars
from optgen.runtime.cpu.primitives import root_of_squares, shrunk, stretched

SIZES = [0.0, 5e-324, 1e-310, 1e-200, 1e-170, 1e-154, 1e-121, 1e-120, 1.0, 1e120, 1e121, 1e154, 1e160, 1e300, 1.7e308]


def norm(x: np.ndarray) -> float:
    kinds = (x, *([f(y) for y in x] for f in (shrunk, stretched)))
    with np.errstate(all="ignore"):
        return root_of_squares(*(float(np.sum(np.array(kind, np.float64) ** 2)) for kind in kinds))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("other", SIZES)
def test_a_norm_is_right_wherever_float64_holds_it(size: float, other: float) -> None:
    x = np.random.default_rng(0).uniform(0.1, 1, 50) * np.repeat([size, other], 25)
    with mpmath.workdps(50):
        exact = mpmath.sqrt(mpmath.fsum(mpmath.mpf(float(v)) ** 2 for v in x))
        found = norm(x)
        expected = float(exact)
        assert found == expected == inf or abs(found - exact) <= 4e-16 * exact + 5e-324


@pytest.mark.parametrize("size", [1.401298464324817e-45, 1e-40, 1e-10, 3e38])
def test_numbers_of_float32_need_no_more_than_their_sum(size: float) -> None:
    x = np.full(9, size, np.float32)
    assert [float(f(v)) for f in (shrunk, stretched) for v in x] == [0.0] * 18
    assert norm(x) == pytest.approx(3 * float(np.float32(size)), rel=1e-15)


def test_what_is_no_number_has_no_norm() -> None:
    assert norm(np.array([1.0, inf])) == norm(np.array([1e-200, -inf])) == inf
    assert isnan(norm(np.array([1e200, nan])))
    assert isnan(norm(np.array([inf, nan])))
    assert norm(np.zeros(3)) == 0


@pytest.mark.parametrize("size", [2.0**530, 2.0**1000, 2.0**-600, 2.0**-900])
def test_a_rule_with_norms_does_the_same_at_any_size(size: float) -> None:
    """A step of LARS without decay is as large as the parameters and as the gradient is long, bit for bit."""

    def moved(scale: float) -> list[np.ndarray]:
        draw = np.random.default_rng(0)
        params, grads = ([draw.standard_normal(shape) * scale for shape in ((4, 5), (7,))] for _ in range(2))
        opt = lars.LARS(params, weight_decay=0.0)
        opt.step(grads)
        return [param / scale for param in params]

    for one, other in zip(moved(1.0), moved(size), strict=True):
        assert np.isfinite(other).all()
        assert one.tobytes() == other.tobytes()
