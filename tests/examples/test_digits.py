from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"


@pytest.fixture(scope="module")
def digits() -> ModuleType:
    spec = spec_from_file_location("digits_example", EXAMPLE)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_backward_pass_agrees_with_finite_differences(digits):
    rng = np.random.default_rng(0)
    params = {name: array.astype(np.float64) for name, array in digits.initial(rng).items()}
    params["b1"] += rng.normal(0, 0.1, params["b1"].shape)
    params["b2"] += rng.normal(0, 0.1, params["b2"].shape)
    x, y = rng.random((7, 64)), rng.integers(10, size=7)
    _, gradients = digits.loss_and_gradients(params, x, y)

    h = 1e-6
    for name, array in params.items():
        assert gradients[name].shape == array.shape
        flat = array.reshape(-1)
        for k in rng.choice(flat.size, size=min(flat.size, 60), replace=False):
            here = flat[k]
            losses = []
            for there in (here + h, here - h):
                flat[k] = there
                losses.append(digits.loss_and_gradients(params, x, y)[0])
            flat[k] = here
            difference = (losses[0] - losses[1]) / (2 * h)
            assert gradients[name].reshape(-1)[k] == pytest.approx(difference, rel=1e-5, abs=1e-8), f"{name}[{k}]"


def test_gradients_have_the_dtype_of_the_parameters(digits):
    params = digits.initial(np.random.default_rng(0))
    _, gradients = digits.loss_and_gradients(params, np.ones((3, 64), np.float32), np.array([1, 2, 3]))
    assert list(gradients) == list(params)
    assert {array.dtype for array in gradients.values()} == {np.dtype(np.float32)}


def test_the_split_is_the_same_in_every_run_and_holds_out_every_digit(digits):
    one, other = digits.load(), digits.load()
    np.testing.assert_array_equal(one.test_x, other.test_x)
    assert len(one.train_y) + len(one.test_y) == 1797
    assert np.bincount(one.test_y).min() >= 34


def test_the_rule_fades_from_the_sign_to_the_adaptive_step(digits):
    # With one and the same gradient at every step both halves of the rule are 1: every weight moves by lr exactly.
    theta = np.zeros(3)
    optimizer = digits.optgen.compile(digits.sign_start).SignStart([theta], lr=0.01, weight_decay=0.0, eps=0.0)
    for _ in range(5):
        optimizer.step([np.array([2.0, -3.0, 0.5])])
    np.testing.assert_allclose(theta, [-0.05, 0.05, -0.05], rtol=1e-12)
    # A gradient ten times as large as usual moves an Adam farther, but not yet a rule that goes by the sign.
    optimizer.step([np.array([20.0, -30.0, 5.0])])
    np.testing.assert_allclose(theta, [-0.06, 0.06, -0.06], rtol=2e-2)


def test_a_short_run_learns_and_draws(digits, tmp_path, capsys):
    out = tmp_path / "curves.png"
    accuracies = digits.main(["--epochs", "8", "--seed", "1", "--out", str(out)])
    assert list(accuracies) == ["Adam", "SignStart"]
    assert min(accuracies.values()) > 0.93
    assert out.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "epoch   8/8" in printed
    assert f"{accuracies['Adam']:.2%}" in printed


def test_the_same_seed_gives_the_same_run(digits, tmp_path):
    arguments = ["--epochs", "2", "--out", str(tmp_path / "curves.png")]
    assert digits.main(arguments) == digits.main(arguments)


def test_no_epochs_is_wrong_use(digits, capsys):
    with pytest.raises(SystemExit) as exit_:
        digits.main(["--epochs", "0"])
    assert exit_.value.code == 2
    assert "--epochs" in capsys.readouterr().err
