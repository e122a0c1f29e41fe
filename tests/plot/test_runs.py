"""Paths are those of the kernels, however many run at once."""

import numpy as np
import pytest

from optgen import catalog
from optgen.errors import UsageError
from optgen.folders import in_reach
from optgen.plot.curves import values_of
from optgen.plot.runs import contender, final_losses, path, walked
from optgen.plot.surfaces import SURFACES, surface_named
from optgen.specs.adamw import adamw
from optgen.specs.radam import radam


def named(name, **given):
    return contender(catalog.found(name, in_reach()), given)


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_gradients_are_slopes_and_minima_are_lowest(surface):
    points = np.array([surface.start, (0.3, -0.7), (1.1, 2.0)])
    for axis in (0, 1):
        ahead = np.zeros(2)
        ahead[axis] = 1e-6
        rise = surface.value(*(points + ahead).T) - surface.value(*(points - ahead).T)
        np.testing.assert_allclose(surface.gradient(points)[:, axis], rise / 2e-6, rtol=1e-5, atol=1e-4)
    assert all(abs(surface.value(*minimum)) < 1e-6 for minimum in surface.minima)


@pytest.mark.parametrize("name", ["sgd", "adamw", "clip_global_norm_adamw"])
def test_many_runs_at_once_are_those_that_are_run_alone(name):
    surface, settings = surface_named("noisy"), [{"lr": rate} for rate in (0.01, 0.1, 0.5)]
    together = walked(named(name), surface, settings, steps=12)
    for number, setting in enumerate(settings):
        alone = walked(named(name), surface, [setting], steps=12)
        assert together[:, number].tobytes() == alone[:, 0].tobytes()


def test_the_rate_is_the_one_that_is_given_or_a_good_one():
    surface = surface_named("ravine")
    tuned, given = path(named("sgd"), surface, 60), path(named("sgd", lr=1e-3), surface, 60)
    assert given.lr == 1e-3
    assert tuned.loss < given.loss < surface.value(*surface.start)
    assert tuned.points.shape == (61, 2)


def test_what_diverges_ends_at_infinity():
    assert path(named("sgd", lr=10.0), surface_named("rosenbrock"), 60).loss == np.inf


def test_losses_over_two_hyperparameters():
    columns, rows = ("lr", np.array([0.01, 0.1])), ("beta1", np.array([0.0, 0.9, 0.99]))
    found = final_losses(named("adamw"), surface_named("ravine"), (columns, rows), 30)
    one = path(named("adamw", lr=0.1, beta1=0.9), surface_named("ravine"), 30)
    assert found.shape == (3, 2)
    assert found[1, 1] == one.loss


def test_locals_that_follow_from_the_step_alone():
    t = np.arange(1, 10)
    r = values_of(radam, "r", t, {"beta2": 0.999})
    assert int(t[np.argmax(r > 0)]) == 6  # as the spec claims
    with pytest.raises(UsageError, match="adamw has no m_hat that follows from the step alone"):
        values_of(adamw, "m_hat", t, {})
