"""What the benchmark on GPUs makes of measurements, and the page that is written of them. All numbers are made up."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gpu
import pytest
import write_gpu
from gpu import COPY, FUSED, OURS, Times

from optgen.runtime.cuda import primitives as cuda

ROOT = Path(__file__).parents[2]
TWO_ROUNDS = {
    COPY: [Times(1.0, 0.01, 1.0), Times(3.0, 0.01, 3.0), Times(2.0, 0.01, 2.0)],
    OURS: [Times(2.0, 0.1, 2.0), Times(4.0, 0.3, 4.0), Times(4.0, 0.2, 4.0)],
    FUSED: [Times(2.0, 0.4, 4.0), Times(4.0, 0.4, 4.0), Times(8.0, 0.4, 16.0)],
}
ROW = {
    "contender": "test data", "gpu_ms": 1.25, "host_ms": 0.5, "wall_ms": 1.5, "gb_per_s": 1234.5, "speed_of_copy": 0.75,
    "time_of_fused": 0.875, "kernels": 1, "copies": 2,
}  # fmt: skip
REPORT = {
    "date": "1970-01-01",
    "machine": {"gpu": "Test Data 1", "driver": "0.0", "l2_mib": 1.0},
    "notes": ["a note"],
    "parts": {
        "torch": [{"step": "AdamW", "title": "1 tensor", "rows": [ROW, {**ROW, "time_of_fused": None}]}],
        "graphs": [{"step": "AdamW", "title": "2 tensors", "rows": [{**ROW, "time_of_fused": None}]}],
        "totals": [],
        "elements": [
            {"optimizer": name, "title": "T", "elements": 2**28, "values": 7.0, "gpu_ms": 1.0, "gb_per_s": 2000.0,
             "speed_of_copy": 0.5, "draws": name == "noise"}
            for name in ("plain", "noise")
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file"),
    [("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3.json"), ("  A (b)/C ", "a-b-c.json")],
)
def test_the_file_is_called_after_the_gpu(name, file):
    assert gpu.file_name(name) == file


def test_what_a_step_moves_is_what_its_kernel_says():
    assert gpu.values_moved(gpu.kernel("adamw"), -1) == 7
    assert gpu.values_moved(gpu.kernel("sgd"), -1) == 3
    assert gpu.values_moved(gpu.kernel("ema_clip_global_norm_adamw"), -1) == 10
    assert gpu.branch_of(gpu.kernel("adamw"), (0.5, 3.0)) == 0
    looking_ahead = gpu.kernel("lookahead_adamw")
    assert len(looking_ahead.branches) > 1
    assert gpu.branch_of(looking_ahead, (1.0, 3.0)) == 1


@pytest.mark.parametrize(
    ("free", "arrays", "exponent"), [(2**40, 9, 28), (80 * 2**30, 40, 28), (2**30, 4, 25), (0, 4, 0)]
)
def test_the_largest_tensor_fits(free, arrays, exponent):
    assert gpu.exponent_that_fits(free, arrays) == exponent
    assert 4 * arrays * 2**exponent <= 0.9 * free or exponent == 0


def test_cases_have_as_many_elements_as_they_say():
    assert [gpu.power(k).elements for k in (20, 21, 28)] == [2**20, 2**21, 2**28]
    assert gpu.MANY.elements == 4_096_000


def test_a_row_has_medians_and_ratios_within_rounds():
    row = gpu.row(OURS, TWO_ROUNDS, moved=8 * 10**6, launched=(3, 1))
    assert (row.gpu_ms, row.host_ms, row.wall_ms) == (4.0, 0.2, 4.0)
    assert row.gb_per_s == pytest.approx(2.0)
    assert row.speed_of_copy == 0.5  # of 1/2, 3/4, 2/4
    assert row.time_of_fused == 0.5  # of 2/4, 4/4, 4/16
    assert (row.kernels, row.copies) == (3, 1)
    alone = gpu.row(OURS, {COPY: TWO_ROUNDS[COPY], OURS: [Times(2.0, 0.1)] * 3}, moved=None)
    assert (alone.gb_per_s, alone.wall_ms, alone.time_of_fused, alone.kernels) == (None, None, None, None)


def test_a_rule_of_elements_has_its_share_of_the_speed_of_a_copy():
    assert gpu.per_element(7, 10**6, gpu=2.0, copy=1.0) == (7, 2.0, pytest.approx(14.0), pytest.approx(1.75))
    assert gpu.per_element(2, 10**6, gpu=1.0, copy=1.0)[-1] == 1


def test_nobody_goes_first_in_every_round():
    assert [gpu.rotated("abc", k) for k in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_launches_are_counted_in_a_profile():
    def event(name, device="DeviceType.CUDA", **more):
        return SimpleNamespace(name=name, device_type=device, **more)

    events = [
        event("sweep"),
        event("void at::native::kernel"),
        event("Memcpy HtoD (Pageable -> Device)"),
        event("Memset (Device)"),
        event("aten::add_", "DeviceType.CPU"),
        event("Optimizer.step#AdamW.step"),
        event("anything", is_user_annotation=True),
    ]
    assert gpu.counted(events) == (2, 2)


def test_tables_for_a_reader_can_be_made():
    assert gpu.table({**REPORT["parts"]["graphs"][0]}).row_count == 1
    assert gpu.table_of_elements(REPORT["parts"]["elements"]).row_count == 2


def test_without_a_gpu_it_says_so_and_exits_with_2(tmp_path):
    if not gpu.missing():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--out", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("nothing is measured: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()
    assert gpu.main([]) == 2


def test_the_reason_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(cuda, "require_gpu", lambda: None)
    monkeypatch.setattr(gpu, "torch", None)
    assert "PyTorch is not installed" in gpu.missing()


def test_a_part_that_fails_hides_no_other(monkeypatch, tmp_path, capsys):
    def failing(_):
        raise ValueError("made up")

    monkeypatch.setattr(gpu, "missing", lambda: "")
    monkeypatch.setattr(gpu, "machine", lambda: REPORT["machine"])
    monkeypatch.setattr(gpu, "Stopwatch", lambda: None)
    monkeypatch.setattr(gpu, "release", lambda: None)
    monkeypatch.setattr(gpu, "PARTS", {"torch": failing, "elements": lambda _: REPORT["parts"]["elements"]})
    assert gpu.main(["--out", str(tmp_path / "results")]) == 1
    written = json.loads((tmp_path / "results" / "test-data-1.json").read_text(encoding="utf-8"))
    assert written["parts"].keys() == {"elements"}
    assert written["notes"] == ["torch: failed"]
    shown = capsys.readouterr()
    assert "made up" in shown.err
    assert "test-data-1.json" in shown.out.replace("\n", "")


def test_the_page_has_every_number():
    page = "\n".join(write_gpu.page([REPORT]))
    assert "## Test Data 1\n\n1970-01-01; driver 0.0, l2_mib 1.0.\n\n- a note\n" in page
    assert "| | GPU | host | wall | GB/s | of a copy | of fused | kernels | copies |\n" in page
    assert "| test data | 1.250 | 0.500 | 1.500 | 1,234 | 0.75 | 0.88 | 1 | 2 |\n" in page
    assert "| test data | 1.250 | 0.500 | 1.500 | 1,234 | 0.75 |  | 1 | 2 |\n" in page
    assert "| | GPU | host | wall | GB/s | of a copy | kernels | copies |\n" in page  # no graph has a fused step
    assert "one tensor of 2^28 elements" in page
    assert "| `plain` | 7 | 1.000 | 2,000 | 0.50 |" in page
    assert "| `noise`* | 7 |" in page
    assert "Rules that add up" not in page  # there were none
    assert "no results" not in page


def test_no_results_make_no_table(tmp_path):
    page = "\n".join(write_gpu.page([]))
    assert "no results yet" in page
    assert "|" not in page
    writer = [sys.executable, str(ROOT / "docs" / "write_gpu.py"), str(tmp_path)]
    done = subprocess.run(writer, capture_output=True, text=True, check=True)
    assert done.stdout == page.rstrip() + "\n"


def test_the_page_that_is_there_is_that_of_the_results_that_are_there():
    writer = [sys.executable, str(ROOT / "docs" / "write_gpu.py")]
    done = subprocess.run(writer, capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
