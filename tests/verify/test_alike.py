"""A module in which something is changed takes from the right one what is the same there, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from broken import broken

from optgen.verify.alike import on_top_of
from optgen.verify.candidate import BrokenError, program_of


def taken(generated: Any, old: str, new: str) -> set[str]:
    """What a copy of a module takes from it, if one piece of text stands for another."""
    text = Path(generated.module.__file__).read_text(encoding="utf-8")
    assert old in text
    start = f"from {generated.module.__name__} import "
    lines = on_top_of(generated.module, text.replace(old, new)).splitlines()
    return {line.removeprefix(start) for line in lines if line.startswith(start)}


def compiled(generated: Any) -> set[str]:
    text = Path(generated.module.__file__).read_text(encoding="utf-8")
    return taken(generated, text, text)


def test_what_is_changed_and_all_that_calls_it_is_made_anew(generated_by_name: Any) -> None:
    lamb = generated_by_name("lamb")
    everything = compiled(lamb)
    assert {"scalars", "update_0", "update_1", "tensor_0", "chunk_0", "sweep_0", "sweep_1"} <= everything
    assert everything - taken(lamb, "theta_next = fma(-c4", "theta_next = fma(c4") == {"update_1", "chunk_1", "sweep_1"}
    assert "tensor_0" not in taken(lamb, "size/length", "length/size")


@pytest.mark.parametrize(
    ("name", "new"), [("expm1", "expm1 as exp_1"), ("fma", "sqrt as fma"), ("LANES", "numel as LANES")]
)
def test_what_a_name_stands_for_is_a_change(generated_by_name: Any, name: str, new: str) -> None:
    lamb = generated_by_name("lamb")
    text = Path(lamb.module.__file__).read_text(encoding="utf-8")
    users = {its.split("(")[0] for its in text.split("\ndef ")[1:] if name in its.split("\n\n\n")[0]}
    assert users & compiled(lamb)
    assert not users & taken(lamb, f" {name}, ", f" {new}, ")


def test_the_copy_is_that_of_its_text(generated_by_name: Any, tmp_path: Path) -> None:
    adamw = generated_by_name("adamw")
    candidate = broken(tmp_path, adamw, 'name="adamw"', 'name="other"')
    assert program_of(candidate).name == "other"
    assert candidate.module.sweep is adamw.module.sweep
    assert candidate.module.PROGRAM is not adamw.module.PROGRAM
    assert 'name="other"' in candidate.text
    with pytest.raises(BrokenError, match="SyntaxError"):
        program_of(broken(tmp_path, adamw, "PROGRAM = Program(", "PROGRAM = = Program("))
