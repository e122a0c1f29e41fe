"""What is drawn can be read: labels lie apart and inside, files are the same each time."""

import math
import re
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from optgen.cli import main
from optgen.errors import UsageError
from optgen.plot import curves, maps
from optgen.plot.canvas import _spread, canvas, label_ends, look
from optgen.plot.runs import Path
from optgen.plot.surfaces import SURFACES


@pytest.fixture
def optgen(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: the exit status and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["optgen", "plot", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        return status, capsys.readouterr().err

    return run


def test_places_that_are_too_close_are_moved_apart_and_stay_inside():
    for places in ([0.5, 0.5, 0.5], [0, 0, 0.02, 0.9], [0.97, 1, 1], [0.1, 0.4, 0.8]):
        found = _spread(places, 0.1)
        assert all(b - a >= 0.1 - 1e-12 for a, b in pairwise(found))
        assert -1e-12 <= found[0] <= found[-1] <= 1 + 1e-12
    assert _spread([0.1, 0.4, 0.8], 0.1) == pytest.approx([0.1, 0.4, 0.8])


def test_labels_at_the_ends_of_lines_do_not_overlap():
    with canvas() as (figure, axes):
        lines = [(f"rule {k}", 1, value, look(k)["color"]) for k, value in enumerate([0, 0, 0.01, 0.5, 0.51, 1])]
        axes.set(xlim=(0, 1), ylim=(0, 1))
        label_ends(axes, lines)
        figure.draw_without_rendering()
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to its end
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[k + 1 :])
        assert all(box.x1 <= figure.bbox.x1 for box in boxes)


@pytest.fixture
def paths():
    rng = np.random.default_rng(0)
    walks = [np.cumsum(rng.normal(0, 0.1, (30, 2)), axis=0) for _ in range(maps.MOST)]
    return [Path(f"rule_{k}", walk, 0.1, np.inf if k == 1 else float(k)) for k, walk in enumerate(walks)]


def test_the_key_beside_paths_can_be_read(paths, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(maps, "save", lambda figure, _: figures.append(figure))
    maps.draw_paths(paths, SURFACES["beale"], tmp_path / "paths.png")
    (figure,) = figures
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[k + 1 :])
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[0] == "rule_0"
    assert words[2 * len(paths) - 1] == "lr 0.1, diverges"


def test_an_animation_ends_with_the_whole_paths(paths, tmp_path):
    maps.draw_paths(paths[:2], SURFACES["noisy"], tmp_path / "paths.gif")
    with Image.open(tmp_path / "paths.gif") as picture:
        assert picture.n_frames > 10


def test_a_heat_map_marks_where_it_is_lowest(tmp_path):
    losses = np.array([[1.0, 0.1, np.inf], [2.0, 0.01, 3.0]])
    axes = (("lr", np.array([1e-3, 1e-2, 1e-1])), ("beta1", np.array([0, 0.9])))
    maps.draw_heat(losses, axes, ("adam", SURFACES["beale"], 9), tmp_path / "heat.svg")
    text = (tmp_path / "heat.svg").read_text(encoding="utf-8")
    assert "lr = 0.01, beta1 = 0.9" in text
    assert "grey: diverges" in text


def test_the_same_picture_is_the_same_bytes(tmp_path):
    for name in ("one.svg", "other.svg"):
        curves.draw_schedules([("halving", lambda t: 1 / t), ("flat", lambda _: 1.0)], 50, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rectification",), "RAdam begins to divide by the second moment at step 6"),
        (("bounds",), "rates are free at first and end at one, 0.1"),
        (("schedules", "linear_decay", "noam", "--steps", "100"), "Schedules over 100 steps"),
        (("paths", "sgd", "adamw", "--steps", "20", "--set", "lr=0.01"), "Rosenbrock's valley: after 20 steps"),
    ],
)
def test_a_picture_says_one_thing(optgen, tmp_path, arguments, says):
    assert optgen(*arguments, "--out", "picture.svg") == (0, "")
    assert says in re.sub("<[^>]*>", "", (tmp_path / "picture.svg").read_text(encoding="utf-8")).replace("&apos;", "'")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("paths", "adam", "--out", "paths.jpg"), "paths.jpg: a picture is .png, .svg, .gif"),
        (("paths", "adam", "--surface", "hill"), "there is no surface 'hill': choose one of beale"),
        (("paths", *["adam"] * 11), "11 paths cannot be told apart"),
        (("paths", "adam", "--set", "lr"), "--set lr: write a hyperparameter and a number"),
        (("paths", "adamw", "--set", "beta1=2"), "beta1 = 2 of adamw: expected a number in [0, 1)"),
        (("paths", "noam"), "noam is no optimizer"),
        (("heat", "adamw", "--y", "alpha"), "adamw has no hyperparameter 'alpha': choose two of lr"),
        (("heat", "adamw", "--y", "lr"), "both axes are lr"),
        (("schedules", "adam"), "adam is no schedule"),
        (("schedules", "noam", "--set", "lr=-1"), "lr = -1 of noam: expected a number in [0, inf)"),
        (("schedules", "noam", "--set", "warmup=inf"), "warmup = inf of noam: expected a number in"),
        (("rectification", "adamw"), "adamw has no rho that follows from the step alone"),
    ],
)
def test_wrong_use_says_what_to_do(optgen, tmp_path, arguments, complaint):
    status, err = optgen(*arguments)
    assert (status, complaint in " ".join(err.split())) == (2, True)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [
        (lambda t: 1 / (t - 3), "ZeroDivisionError"),
        (lambda t: math.log(3 - t), "ValueError"),
        (lambda t: math.exp(1000 * (t - 2)), "OverflowError"),
        (lambda t: max((2.5 - t) ** 0.5, 0), "TypeError"),
    ],
)
def test_a_schedule_without_a_value_is_named_with_the_step(tmp_path, schedule, kind):
    with pytest.raises(UsageError, match=rf"^mine has no value at step 3 \({kind}: .*--set"):
        curves.draw_schedules([("mine", schedule)], 50, tmp_path / "mine.svg")


def test_without_matplotlib_it_says_what_to_install(optgen, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, err = optgen("bounds")
    assert (status, "pip install 'optgen[plot]'" in err) == (2, True)
