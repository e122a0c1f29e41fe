from __future__ import annotations

from importlib import import_module

import pytest


@pytest.fixture
def gpt():
    """The example, where there is what it needs."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("torch")
    return import_module("gpt")


def test_a_short_run_learns_and_draws(gpt, tmp_path, capsys):
    out = tmp_path / "curves.png"
    runs = gpt.main(["--steps", "12", "--out", str(out)])
    assert list(runs) == list(gpt.CONTENDERS)
    for name in ("AdamW", "Grams"):  # Lookahead's slow weights take longer
        assert runs[name].losses[-1] < runs[name].losses[0] - 0.3
    one, other = (runs[name].losses for name in ("AdamW of torch", "AdamW"))
    assert one == pytest.approx(other, rel=1e-4)
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "at most" in capsys.readouterr().out


def test_no_steps_are_wrong_use(gpt, capsys):
    with pytest.raises(SystemExit):
        gpt.main(["--steps", "0"])
    assert "--steps: expected 1 or more" in capsys.readouterr().err
