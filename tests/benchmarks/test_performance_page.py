"""docs/performance.md and the pictures beside it, of a report that nobody measured."""

import pytest
import write_performance

from optgen.bench.pictures import draw, pages

ALONE = {"2^10": (1, 2**10), "2^17": (1, 2**17), "2^24": (1, 2**24), "1x100": (1, 100), "10000x100": (10_000, 10**6)}
MODELS = {**ALONE, "4096by4096": (1, 2**24), "resnet50": (161, 25_557_032)}
MACHINE = {"cpu": "slow", "cores": 2, "caches": [{"level": 1, "bytes": 2**15, "own": True}], "python": "3.11"}


def result(rule, model, loop, ours, **others):
    """What a trial leaves."""
    times = {"loop": loop, "optgen": ours, **others}
    rows = [
        {"contender": name, "median_ms": ms, "min_ms": ms, "time_of_loop": ms / loop, "time_of_optgen": ms / ours}
        for name, ms in times.items()
    ]
    where = {"rule": rule, "model": model, "tensors": MODELS[model][0], "elements": MODELS[model][1]}
    return {**where, "stored": "float32", "threads": 2, "footprint": 16, "left_out": {}, "rows": rows}


REPORT = {
    "machine": MACHINE,
    "pace": {"rounds": 5, "seconds": 0.01},
    "missing": {"deepspeed": "deepspeed is not installed"},
    "results": [
        *(result("adamw", model, 1.0, 2.0, optax=1.8) for model in ALONE),
        result("lion", "2^24", 9.0, 10.0),
        result("sgd", "2^24", 9.6, 10.0),
        result("sm3", "2^24", 1.0, 10.0),
        result("sm3", "4096by4096", 9.8, 10.0),
        result("sm3", "resnet50", 9.0, 90.0, **{"torch single": 180.0}),
        result("sm3", "resnet50", 9.0, 12.0) | {"stored": "float32, as_matrices"},
    ],
}


def test_the_page_says_how_far_each_aim_is_reached():
    page = "\n".join(write_performance.lines(REPORT))
    for line in (
        "| AdamW, 10,000 × 100: 1.0 ms | 2.00 ms; other g not in this run | the loop takes 1.00 ms; beyond that, 100",
        "| AdamW, one tensor of 2^10: 6 µs | 2000.0 µs | the host: the loop takes 1000.0 µs |",
        "| every rule, 2^24, of rows those of rows: 0.95 of its loop | 2 of 4 | below, slowest first: adamw 0.50, lion",
        "| 0 of 5 models | 2^10: optax takes 0.90 of our time; ",
        "Not installed, so not compared with: deepspeed.",
        "| 10000x100 | 1.00 | 2.00 | 1.80 |",
        "](performance/limits-2-24.png)",
        "| `lion` | 10.0 ms | 0.90 | – |",
        "| `sm3` | 10.0 ms | 0.10 | – |",
        "| resnet50 | `sm3` | 9.00 | 90.0 | 0.10 | – | 180 |",
        "| resnet50, as matrices | `sm3` | 9.00 | 12.0 | 0.75 | – | – |",
    ):
        assert line in page
    assert all(f"| {aim} |" in page for aim, _ in write_performance.AIMS)


def test_the_readme_has_figures_of_the_same_report():
    before, after = "Words.\n", "Other words.\n"
    old = f"{before}{write_performance.BEGIN}| 2^24 | 9.9 |\n{write_performance.END}{after}"
    new = write_performance.with_figures(old, REPORT)
    assert new.startswith(before + write_performance.BEGIN + "Measured on slow, 2 threads")
    assert new.endswith(write_performance.END + after)
    assert "| 9.9 |" not in new
    assert "| 2^24 | 1.00 | 2.00 | 1.80 |" in new
    assert write_performance.with_figures(new, REPORT) == new


def test_the_figures_of_the_readme_are_on_the_page():
    page = (write_performance.ROOT / "docs" / "performance.md").read_text(encoding="utf-8").splitlines()
    readme = (write_performance.ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition(write_performance.BEGIN)[2].partition(write_performance.END)[0].splitlines()
    rows = [line for line in shown if line.startswith(("|", "Measured on"))]
    assert any(line.startswith("| 2^24 |") for line in rows)
    assert [line for line in rows if line not in page] == []


def test_pictures_are_drawn_of_what_there_is_enough_of(tmp_path):
    pytest.importorskip("matplotlib")
    drawn = [path.name for path in draw(REPORT, tmp_path / "new")]
    assert drawn == ["size-adamw.png", "tensors-adamw.png", "limits-2-24.png"]
    assert all((tmp_path / "new" / name).stat().st_size > 1000 for name in drawn)


@pytest.mark.parametrize("name", ["size-adamw.png", "tensors-adamw.png"])
def test_curves_go_from_left_to_right_in_whatever_order_models_were_run(name):
    canvas = pytest.importorskip("matplotlib.figure").Figure()
    pages({**REPORT, "results": REPORT["results"][::-1]})[name](canvas)
    curves = [line.get_xdata() for line in canvas.axes[0].get_lines() if line.get_marker() == "."]
    assert len(curves) == len(("loop", "optgen", "optax"))
    assert all(list(places) == sorted(places) for places in curves)
