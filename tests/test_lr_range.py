"""The learning-rate range test on losses whose limits are known."""

import subprocess
import sys
from math import inf, isnan, nan

import numpy as np
import pytest

import optgen
from optgen import lr_range_test


def quadratic(curvature, noise=0.0):
    """A step of gradient descent on curvature/2 x**2, stable for rates below 2/curvature; the loss before it."""
    x, draw = np.ones(3), np.random.default_rng(0).normal

    def step(lr):
        loss = curvature / 2 * float(x @ x) + noise * draw()
        x[:] -= lr * curvature * x
        return loss

    return step


def refuse(lr):
    raise AssertionError("the function was called")


@pytest.mark.parametrize("curvature", [0.5, 3.0, 40.0])
@pytest.mark.parametrize(("spacing", "low"), [("exponential", 1e-3), ("linear", 2e-3)])
def test_the_stable_limit_of_a_quadratic_is_found(curvature, spacing, low):
    limit = 2 / curvature
    found = lr_range_test(quadratic(curvature), low=low * limit, high=20 * limit, steps=600, spacing=spacing)
    assert found.largest_stable == pytest.approx(limit, rel=0.06 if spacing == "linear" else 0.03)
    assert found.steepest < found.largest_stable
    assert "the loss had risen from" in found.stopped
    assert len(found.lr) == len(found.loss) == len(found.smoothed) < 600
    assert np.isfinite(found.smoothed[:-1]).all()


def test_a_run_that_goes_well_goes_to_the_end():
    found = lr_range_test(quadratic(1.0), low=1e-4, high=1e-1, steps=50)
    assert found.stopped == ""
    np.testing.assert_allclose(found.lr, np.geomspace(1e-4, 1e-1, 50))
    assert found.loss[0] == 1.5
    assert (np.diff(found.smoothed) < 0).all()
    assert found.largest_stable == found.lr[-2]
    assert repr(found) == f"LrRange(steepest={found.steepest}, largest_stable={found.lr[-2]}, stopped='', 50 steps)"


def test_linear_spacing():
    rates = []
    lr_range_test(lambda lr: rates.append(lr) or 1.0, low=1.0, high=2.0, steps=5, spacing="linear")
    assert rates == [1, 1.25, 1.5, 1.75, 2]
    assert type(rates[0]) is float


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_loss_that_is_not_finite_ends_it(value):
    losses = [3.0, 2.0, 1.0, value, 0.0]
    found = lr_range_test(lambda _: losses.pop(0), low=1, high=16, steps=5, smoothing=1)
    assert found.stopped == f"the loss was {'NaN' if isnan(value) else 'infinite'} at lr = 8"
    assert (len(found.loss), losses) == (4, [0.0])
    np.testing.assert_array_equal(found.smoothed, [3, 2, 1, nan])
    assert (found.steepest, found.largest_stable) == (pytest.approx(1), pytest.approx(2))


@pytest.mark.parametrize("losses", [[1.0, 1e6], [nan], [1.0, 2.0, 3.0, 1e9]])
def test_what_blows_up_at_once_suggests_nothing(losses):
    given = iter(losses)
    found = lr_range_test(lambda _: next(given))
    assert (found.steepest, found.largest_stable) == (None, None)
    assert len(found.loss) == len(losses)
    assert found.stopped


def test_losses_may_be_negative():
    losses = [-1.0, -3.0, -5.0, -4.9, -1.5, -0.5]
    given = iter(losses)
    found = lr_range_test(lambda _: next(given), steps=10, smoothing=1)
    assert len(found.loss) == 6
    assert found.largest_stable == found.lr[1]


@pytest.mark.parametrize(
    "losses",
    [
        [0.0, 0.5, 0.4, 0.3, 2.0, 0.1],
        [0.0, 0.0, 0.5, 0.4, 1.0, 0.3],
        [-0.0, -1.0, -2.0, -1.0, 1.0, -3.0],
        [0.0] * 6,
        [2.0] * 6,
    ],
)
def test_a_first_loss_of_0_is_no_measure_of_what_blows_up(losses):
    given = iter(losses)
    found = lr_range_test(lambda _: next(given), steps=6)
    assert (found.stopped, found.loss.tolist()) == ("", losses)


def test_what_blows_up_after_a_loss_of_0_ends_it():
    given = iter([0.0, 0.5, 2.1])
    assert lr_range_test(lambda _: next(given)).stopped.startswith("the loss had risen from 0 to 2.1")


def test_noise_is_averaged_out():
    found = lr_range_test(quadratic(1.0, noise=0.01), low=1e-3, high=10, steps=300, smoothing=15)
    assert 0.005 < found.steepest < 0.5
    assert 0.2 < found.largest_stable < 2.1


def test_an_error_of_the_function_is_passed_on():
    def step(lr):
        raise KeyError("the data is missing")

    with pytest.raises(KeyError, match="the data is missing"):
        lr_range_test(step)


@pytest.mark.parametrize("loss", [None, "0.5", [1.0, 2.0]])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(TypeError, match="step: expected it to return the loss, a number"):
        lr_range_test(lambda _: loss)


def test_a_loss_may_be_an_array_of_one_number():
    assert lr_range_test(lambda _: np.array(1.0, np.float32), steps=3).loss.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"low": 0}, ValueError, "expected 0 < low < high"),
        ({"low": 2.0}, ValueError, "expected 0 < low < high"),
        ({"low": nan}, ValueError, "expected 0 < low < high"),
        ({"high": inf}, ValueError, "expected 0 < low < high"),
        ({"high": "1"}, TypeError, "high: expected a real number, got str"),
        ({"steps": 1}, ValueError, "steps = 1: expected at least 2"),
        ({"steps": 10.0}, TypeError, "steps: expected an integer, got float"),
        ({"spacing": "log"}, ValueError, "spacing = 'log': expected one of 'exponential', 'linear'"),
        ({"blow_up": 0}, ValueError, "blow_up = 0.0: expected a number above 0"),
        ({"smoothing": 0}, ValueError, "smoothing = 0: expected at least 1"),
    ],
)
def test_bad_arguments_are_refused_before_the_function_is_called(arguments, error, message):
    with pytest.raises(error, match=message):
        lr_range_test(refuse, **arguments)


def test_the_function_must_be_one():
    with pytest.raises(TypeError, match="step: expected a function of the learning rate, got float"):
        lr_range_test(0.1)


def test_a_plot_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for name, arguments in (("a.png", {}), ("b.svg", {"spacing": "linear"})):
        lr_range_test(quadratic(10.0), low=1e-3, high=10.0, **arguments).plot(tmp_path / name)
    lr_range_test(lambda _: nan).plot(tmp_path / "nothing.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (tmp_path / "b.svg").read_bytes()


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"a plot needs matplotlib: pip install 'optgen\[plot\]'"):
        lr_range_test(lambda _: 1.0, steps=3).plot(tmp_path / "a.png")


def test_it_is_part_of_the_package_and_needs_neither_sympy_nor_numba():
    assert optgen.lr_range_test is lr_range_test
    code = "import sys, optgen; optgen.lr_range_test(float); assert not {'sympy', 'numba'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
