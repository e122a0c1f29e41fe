"""What only the sign of a product decides is decided by signs, so that nothing small is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import Abs, Eq, Ne, Piecewise, S, sign, sqrt

import optgen
from optgen import Let, Optimizer, g, local, state, theta
from optgen.combinators import cautious, decoupled_decay, lookahead
from optgen.generated.cpu.adafactor import Adafactor
from optgen.generated.cpu.adafactor_paper import AdafactorPaper
from optgen.generated.cpu.cautious_adamw import CautiousAdamW
from optgen.generated.cpu.prodigy import Prodigy
from optgen.hypers import lr
from optgen.language.signs import sign_of
from optgen.specs.adam import adam
from optgen.specs.adamw import adamw, adamw_after
from optgen.specs.sgd import sgd
from optgen.verify import translation
from optgen.verify.candidate import QUICK, Candidate, failures

m, (kept, named) = state("m"), local("kept named")

CONDITIONS: dict[str, tuple[Any, Any]] = {
    "a product": (g * m > 0, lambda g, m: g * m > 0),
    "with a scalar": (-lr * g * m < 0, lambda g, m: -g * m < 0),
    "the other way": (g * m > 0, lambda g, m: g * m > 0),
    "not strictly": (g * m >= 0, lambda g, m: g * m >= 0),
    "a square": (g**2 > 0, lambda g, _: g != 0),
    "a cube": (g**3 * m < 0, lambda g, m: g * m < 0),
    "a quotient": (g / m > 0, lambda g, m: g / m > 0),
    "a quotient, not strictly": (g / m >= 0, lambda g, m: g / m >= 0),
    "a quotient of squares": (-(g**2) / m <= 0, lambda g, m: g**2 / m >= 0),
    "a quotient by a product": (g / (m * theta) <= 0, lambda g, m: g / m <= 0),
    "a quotient that is not 0": (Ne(g / m, 0), lambda g, m: g / m != 0),
    "the size of a quotient": (Abs(g / m) > 0, lambda g, m: abs(g / m) > 0),
    "the sign of a quotient": (sign(g / m) >= 0, lambda g, m: g / m >= 0),
    "no number": (Eq(sign(g / m), 0), lambda g, m: g / m == 0),
    "two squares": (g**2 > m**2, lambda g, m: abs(g) > abs(m)),
    "scaled squares": (4 * g**2 > m**2 / 9, lambda g, m: 2 * abs(g) > abs(m) / 3),
    "squares with a scalar": (lr * g**2 >= m**2, lambda g, m: abs(g) >= abs(m)),
    "the size of a product": (Abs(g * m) > 0, lambda g, m: g * m != 0),
    "sizes": (g * Abs(m * g) > 0, lambda g, m: g * abs(m) > 0),
    "nothing": (Eq(g * m, 0), lambda g, m: g * m == 0),
    "a name": (named > 0, lambda g, m: g * m > 0),
    "a product with a name": (named * m < 0, lambda g, m: g * m * m < 0),
    "the sign of a name": (sign(named) < 0, lambda g, m: g * m < 0),
    "the sign of a product": (sign(g * m) > 0, lambda g, m: g * m > 0),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_product_that_vanishes_in_float32_decides_as_it_should(name: str) -> None:
    condition, meant = CONDITIONS[name]
    step = (
        *((Let(named, g * m),) if condition.has(named) else ()),
        Let(kept, Piecewise((1, condition), (0, True))),
        Let(m.next, m),
        Let(theta.next, theta - lr * kept),
    )
    rule = Optimizer("rule", "Rule", step)
    module = optgen.compile(rule)
    assert failures(list(translation.check(Candidate(rule, Path(module.__file__)), QUICK))) == []
    made = module.Rule
    sizes = np.array([0, 1, -1, 1e-26, -1e-26, 2e-26, 1e-38, -1e-38])
    grad, moment = (x.ravel().astype(np.float32) for x in np.meshgrid(sizes, sizes))
    optimizer = made([np.ones_like(grad)], lr=1)
    optimizer.state["m"][0][:] = moment
    optimizer.step([grad])
    with np.errstate(all="ignore"):
        expected = meant(grad.astype(np.float64), moment.astype(np.float64))  # which holds products and quotients
    np.testing.assert_array_equal(1 - optimizer.params[0], expected)


QUOTIENTS = {
    "by a size": (g / Abs(m), lambda g, m: g / abs(m)),
    "by a number that may be 0": (-g / (m * theta), lambda g, m: -g / m),
    "of a product": (g * m / (lr * Abs(g)), lambda g, m: g * m / abs(g)),
}


@pytest.mark.parametrize("name", QUOTIENTS)
@pytest.mark.parametrize("is_named", [True, False])
def test_the_sign_of_a_quotient_is_that_of_what_it_is(name: str, is_named: bool) -> None:  # noqa: FBT001 - both are tried
    """Also where it vanishes in float32; divided by 0 it is infinite, and 0 by 0 has no sign."""
    quotient, meant = QUOTIENTS[name]
    first = (Let(named, quotient),) if is_named else ()
    moved = Let(theta.next, theta - lr * sign(named if is_named else quotient))
    made = optgen.compile(Optimizer("rule", "Rule", (*first, Let(m.next, m), moved))).Rule
    sizes = np.array([0, 1, -1, 1e-26, -1e-26, 1e26, -1e38])
    grad, moment = (x.ravel().astype(np.float32) for x in np.meshgrid([*sizes, np.inf], sizes))
    optimizer = made([np.ones_like(grad)], lr=1)
    optimizer.state["m"][0][:] = moment
    optimizer.step([grad])
    with np.errstate(all="ignore"):
        expected = np.sign(meant(grad.astype(np.float64), moment.astype(np.float64)))
    np.testing.assert_array_equal(1 - optimizer.params[0], expected)


def test_a_sign_is_made_of_those_of_the_factors() -> None:
    assert sign_of(-lr * g / (sqrt(m) + 1)) == -sign(lr) * sign(g) * sign(1 / (sqrt(m) + 1))
    assert sign_of(g) == sign(g)
    assert sign_of(g + m) == sign(g + m)
    assert sign_of(lr * g + lr * m) == sign(lr) * sign(g + m)
    assert sign_of(Piecewise((g * m, lr > 1), (g, True))) == Piecewise((sign(g) * sign(m), lr > 1), (sign(g), True))


# The rules that are made of such things -------------------------------------------------------------------------------


@pytest.mark.parametrize("small", [1e-26, 1e-38, 1e-44])
def test_small_gradients_agree_as_large_ones_do(small: float) -> None:
    grads = [np.array([1, 1, small, small], dtype) for dtype in (np.float32, np.float64)]
    moved = []
    for grad in grads:
        optimizer = CautiousAdamW([np.zeros_like(grad)], weight_decay=0, eps=1e-30)
        optimizer.step([grad])
        moved.append(optimizer.params[0][:2])
    np.testing.assert_allclose(*moved, rtol=1e-6)


@pytest.mark.parametrize("inner", [adamw, adamw_after, lookahead(sgd), decoupled_decay(adam), sgd])
def test_theta_is_taken_from_its_new_value_by_algebra(inner: Optimizer) -> None:
    wrapped = cautious(inner)
    movement = next(let.value for let in wrapped.step if str(let.target) == "movement")
    last = movement.args[-1][0] if isinstance(movement, Piecewise) else movement
    # Nothing is left of theta - theta: without a rate nothing moves.
    assert last.xreplace({symbol: S.Zero for symbol in wrapped.hypers if symbol.name == "lr"}).expand() == 0
    params = [np.full(3, 1e10, np.float32)]  # beside which a step is nothing
    optimizer = getattr(optgen.compile(wrapped), wrapped.title)(params, lr=1e-3)
    optimizer.step([np.ones(3, np.float32)])
    assert np.isfinite(params[0]).all()


@pytest.mark.parametrize("eps1", [1e-30, 2.0**-23])
@pytest.mark.parametrize("kind", [Adafactor, AdafactorPaper])
def test_a_row_without_gradient_leaves_the_others_as_they_are(kind: Any, eps1: float) -> None:
    """In float32 as in float64, where no square and no quotient is too small or too large."""
    rng = np.random.default_rng(0)
    for scales in ([0, 1, 1], [0, 0, 0], [1e25, 1, 0], [1e-44, 1, 1e37], [3e37, 3e37, 1e-30]):
        grad = (rng.uniform(0.5, 1, (3, 4)) * np.array(scales)[:, None]).astype(np.float32)
        found = []
        for dtype in (np.float32, np.float64):
            params = [np.ones((3, 4), dtype), np.ones(12, dtype)]
            optimizer = kind(params, eps1=eps1)
            for _ in range(2):
                optimizer.step([grad.astype(dtype), grad.ravel().astype(dtype)])
            found.append(np.concatenate([x.ravel() for x in params]))
        np.testing.assert_allclose(*found, rtol=1e-5)


def test_a_large_gradient_times_a_small_distance_has_a_square() -> None:
    optimizer = Prodigy([np.ones(2, np.float32)])
    optimizer.step([np.full(2, 1e20, np.float32)])
    np.testing.assert_allclose(optimizer.state["v"][0], 1e-3 * 1e28, rtol=1e-5)
