"""What is known of rules in theory shows in the compiled ones: rates of convergence, a variance, a counterexample."""

import numpy as np
import pytest

EIGENVALUES = np.geomspace(1, 100, 9)
"""Of a quadratic whose condition number is 100."""
ROOT = 10


def rate_of(optimizer, x, steps):
    """By what factor a step shortens the error, late on a quadratic whose minimum is 0."""
    sizes = []
    for _ in range(2):
        for _ in range(steps):
            optimizer.step([EIGENVALUES * x])
        sizes.append(np.linalg.norm(x))
    return (sizes[1] / sizes[0]) ** (1 / steps)


@pytest.mark.parametrize(
    ("name", "hypers", "rate"),
    [
        ("sgd", {"lr": 2 / 101}, 99 / 101),
        # Polyak, Some methods of speeding up the convergence of iteration methods (1964): the best of both.
        ("sgdm", {"lr": 4 / (ROOT + 1) ** 2, "momentum": ((ROOT - 1) / (ROOT + 1)) ** 2}, (ROOT - 1) / (ROOT + 1)),
        # Nesterov, Introductory lectures on convex optimization (2004), scheme 2.2.11: a step of 1/L.
        ("nag", {"lr": 1 / 100, "momentum": (ROOT - 1) / (ROOT + 1)}, 1 - 1 / ROOT),
    ],
)
def test_the_rate_on_a_quadratic_is_the_one_of_theory(name, hypers, rate, generated_by_name):
    x = np.ones(EIGENVALUES.size)
    found = rate_of(generated_by_name(name).kind([x], **hypers), x, 120)
    assert found == pytest.approx(rate, rel=0.01)  # two equal roots of the recursion leave a factor of t


@pytest.mark.parametrize(("period", "share"), [(5, 0.5), (10, 0.8), (1, 0.5)])
def test_lookahead_has_the_variance_that_was_proved(period, share, generated_by_name):
    """Zhang et al., Lookahead optimizer (2019), proposition 2: a noisy quadratic, of as many elements as need be."""
    rng, x, rate = np.random.default_rng(0), np.zeros(20_000), 0.1
    optimizer = generated_by_name("lookahead_sgdm").kind(
        [x], lr=rate, momentum=0, sync_period=period, slow_step_size=share
    )
    variances = []
    for k in range(30 * period + 80 // period * period):
        optimizer.step([x - rng.normal(size=x.size)])
        if k >= 80 and (k + 1) % period == 0:
            variances.append(x.var())
    kept = 1 - rate
    of_sgd = rate**2 / (1 - kept**2)
    inner, outer = 1 - kept ** (2 * period), 1 - kept**period
    expected = share**2 * inner / (share**2 * inner + 2 * share * (1 - share) * outer) * of_sgd
    assert np.mean(variances) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("name", "end"), [("adam", 1), ("amsgrad", -1)])
def test_adam_goes_to_the_worst_point_where_amsgrad_finds_the_best(name, end, generated_by_name):
    """Reddi et al., On the convergence of Adam and beyond (2018), theorem 1: gradients 3, -1, -1, in [-1, 1]."""
    large, x = 3.0, np.zeros(1)
    optimizer = generated_by_name(name).kind([x], lr=lambda t: 0.5 / t**0.5, beta1=0, beta2=1 / (1 + large**2))
    for k in range(6000):
        optimizer.step([np.array([-1.0 if k % 3 else large])])
        np.clip(x, -1, 1, out=x)
    assert x[0] == pytest.approx(end, abs=0.02)
