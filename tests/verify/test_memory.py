"""Kernels write what they should and nothing else; modules that do not are caught before they do harm."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken import broken, failing

from optgen.runtime.core.stretches import stretches, unit_of
from optgen.verify import memory, settings
from optgen.verify.candidate import QUICK, Candidate, Verdict, failures

GENERATED = Path(__file__).parents[2] / "generated" / "cpu"


def test_no_kernel_writes_where_it_should_not(generated: Any) -> None:
    candidate = Candidate(generated.optimizer, GENERATED / f"{generated.optimizer.name}.py")
    vars(candidate)["module"] = generated.module  # with its cache of compiled kernels
    findings = list(memory.check(candidate, QUICK))
    assert failures(findings) == []
    assert all(finding.part == "memory" and finding.verdict is Verdict.TESTED for finding in findings)
    branches = len(settings.branches(generated.optimizer))
    program = generated.module.PROGRAM
    has_tiles = unit_of(stretches(program.phases, {**program.values, **program.reduced_states})) != ""
    assert len(findings) == branches * (1 + 2 * (2 + has_tiles))


def test_ordinary_states_are_on_both_sides_of_what_they_are_compared_with(generated_by_name: Any) -> None:
    optimizer, rng = generated_by_name("swats").optimizer, np.random.default_rng(0)
    models = [settings.ordinary(optimizer, [(3,), (2, 2)], rng) for _ in range(20)]
    assert {bool(model["switched_at"][0] > 0) for model in models} == {True, False}
    assert all(model["rate"][0] >= 4 and (model["v"][1] >= 4).all() for model in models)
    lookahead = generated_by_name("lookahead_adamw").optimizer  # sync_period <= since_sync + 1, of 5 unless given
    assert set(settings.at_switches(lookahead, "since_sync", np.zeros(99), rng)) == {0, 3, 4, 5}


def test_every_branch_is_looked_at(generated_by_name: Any) -> None:
    assert [setting.t for setting in settings.branches(generated_by_name("adam").optimizer)] == [1]
    assert [setting.t for setting in settings.branches(generated_by_name("sgdm").optimizer)] == [1, 2]


ADAM_STORE = """theta[i], m[i], v[i] = update(
            theta[i], g[i], m[i], v[i], lr, eps, beta1_head, beta1_tail, c0, beta2_head, beta2_tail, c1, c2, c3,
        )"""
ADAFACTOR_LAST = 'Phase(("total3", "total4", "total5", "rate", "numel", "c5"), between=prepare_2),'
SGDM_STORE = "theta[i], b[i] = update_1(theta[i], g[i], b[i], lr, momentum, c0)"


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("adam", "in range(count):", "in range(count - 1):", "stored 0 times"),
        ("adam", "in range(count):", "in range(1, count):", "stored 0 times"),
        ("adam", "in range(count):", "in range(count + 1):", "IndexError"),
        ("adam", "in range(count):", "in range(-1, count):", "IndexError"),
        ("adam", "prange(len(tasks) - 1)", "prange(len(tasks))", "IndexError"),
        ("adam", "prange(len(tasks) - 1)", "prange(len(tasks) - 2)", "stored 0 times"),
        ("adam", "tasks[task + 1]):", "tasks[task + 1] - 1):", "stored 0 times"),
        ("adam", "tasks[task + 1]):", "tasks[task + 1] + 1):", "IndexError"),
        ("adam", "range(tasks[task],", "range(tasks[task] - 1,", "stored 2 times"),
        ("adam", "theta = view(row, 1", "theta = view(row, 0", "a view at"),
        ("adam", "v = view(row, 4", "v = view(row, 5", "IndexError"),
        ("adam", "v = view(row, 4", "v = view(row, 3", "stored"),
        ("adam", ADAM_STORE, ADAM_STORE + f"\n        {ADAM_STORE}", "stored 2 times"),
        ("adam", ADAM_STORE, ADAM_STORE.replace("theta[i], m[i], v[i] =", "theta[i], m[i], g[i] ="), "g is written"),
        ("adam", ADAM_STORE, ADAM_STORE + "\n        m[i]", "loaded after"),
        ("adam", "scalars[group, 9]", "scalars[group, 11]", "IndexError"),
        ("adam", "return theta_next, m_next, v_next", "return theta_next, m_next", "ValueError"),
        ("adam", "m_hat = c2*m_next", "m_hat = c2*m_then", "NameError"),
        ("adam", "PROGRAM = Program(", "PROGRAM = Programme(", "NameError"),
        ("adam", "def update(", "def update((", "SyntaxError"),
        (
            "adafactor",
            "acc1_of[parts_begin : parts_begin + parts_count] = 0.0",
            "pass",
            "acc1 is read before it is written",
        ),
        (
            "adafactor",
            "acc0_of[first_row + line] = ",
            "acc0_of[line] = ",
            "acc0 is written by one task and used",
        ),
        ("fromage", "for i in range(count):", "for i in range(count - 1):", "is read of some elements in a sweep"),
        ("adafactor", "parts_begin = span[7]", "parts_begin = span[4]", "acc1 is written by one task and used"),
        ("adafactor", "acc3_of[span[0]] = ", "acc3_of[row[-2]] = ", "acc3 is written by one task and used"),
        ("adafactor", ADAFACTOR_LAST, "", "c5 is read before it is written"),
        ("adafactor", "column + count]", "column + count + 1]", "IndexError"),
        ("adafactor", "matrix*count", "(matrix + 1)*count", "IndexError"),
        ("adafactor", "begin = at.rows[j]", "begin = at.rows[j] + (j > 2)", "r is stored 0 times"),
        ("adafactor", "at.columns[j + 1] - begin", "at.columns[j + 1] - begin - 1", "c is stored 0 times"),
        ("adafactor", "begin = line*count", "begin = (line + 1)*count", "IndexError"),
        ("adafactor", "range(lines)", "range(lines - 1)", "theta is stored 0 times"),
        ("novograd", "for j in at.tensors:", "for j in at.tensors[1:]:", "v is stored 0 times"),
        ("lamb", "acc0_of[span[0]] = ", "acc0_of[span[0] + 1] = ", "IndexError"),
        ("lamb", "theta[i] = update_1", "m[i] = theta[i] = update_1", "m is stored 2 times"),
        ("lamb", "] += float64(theta[i])", "] += float64(m[i])", "m is loaded after it was stored"),
        ("prodigy", "r_of[0], d_next_of[0] = model", "r_of[1], d_next_of[0] = model", "IndexError"),
        ("sgdm", SGDM_STORE, SGDM_STORE.replace("b[i] =", "_ ="), "b is stored 0 times"),
        ("sgdm", "theta[i], b[i] = update_0", "theta[i], _ = update_0", "b is stored 0 times"),
    ],
)
def test_the_rehearsal_catches(
    generated_by_name: Any, tmp_path: Path, name: str, old: str, new: str, says: str
) -> None:
    candidate = broken(tmp_path, generated_by_name(name), old, new)
    found = failing(memory.check(candidate, QUICK), says)
    assert any(says in finding.detail for finding in found), found
    assert all("t = " in finding.detail for finding in found)


# A module whose text was right, and that was compiled wrongly: the rehearsal is left out.
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("for i in range(count):", "for i in range(count + 1):", "memory around theta is written"),
        ("for i in range(count):", "for i in range(-1, count):", "elements of m differ from what they are"),
        ("for i in range(count):", "for i in range(count - (count > 9)):", "elements of v differ from what they are"),
        ("tasks[task + 1]):", "tasks[task + 1] + 1):", "theta of an array is written that is not in the table"),
        ("prange(len(tasks) - 1)", "prange(len(tasks))", "m of an array is written that is not in the table"),
        ("range(tasks[task],", "range(tasks[task] - (tasks[task] > 0),", "elements of m differ from what they are"),
        (ADAM_STORE, f"{ADAM_STORE}\n        g[i] += lr", "elements of g differ from what they are"),
    ],
)
@pytest.mark.parametrize("dtype", memory.POISON)
def test_compiled_kernels_are_caught(
    generated_by_name: Any, tmp_path: Path, dtype: Any, old: str, new: str, says: str
) -> None:
    generated = generated_by_name("adam")
    candidate = broken(tmp_path, generated, old, new)
    [setting] = settings.branches(generated.optimizer)
    found = failing(memory._compiled(candidate, setting, dtype, np.random.default_rng(0)), says)
    assert any(says in finding.detail for finding in found), found


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("adafactor", "acc0_of[first_row + line] = ", "acc0_of[line] = ", "elements of r differ"),
        ("adafactor", "for i in range(count):", "for i in range(count + 1):", "memory around theta is written"),
        ("lamb", "task + 1]):", "task + 1] + 1):", "theta of an array is written that is not in the table"),
        ("lamb", "at.tensors:", "range(len(at.chunks) - 1):", "c4 of an array is written that is not in the table"),
        ("lamb", "acc0_of[span[0]] = ", "acc0_of[span[0] + 1] = ", "acc0 of an array is written that is"),
        (
            "lamb",
            "sum_of(acc0_of, at.chunks[j], at.",
            "sum_of(acc0_of, at.chunks[0], at.",
            "of theta differ from what they",
        ),
        (
            "prodigy",
            "for task in prange(len(tasks) - 1)",
            "for task in prange(len(tasks) - 2)",
            "differ from what they are on one thread",
        ),
        ("prodigy", "r_of[0], d_next_of[0]", "r_of[1], d_next_of[0]", "memory around r is written"),
        ("adafactor", "numel_of[j], eps2, c3)", "numel_of[j], eps2, c3); n_cols_of[j] = 1.0", "n_cols of an array is"),
    ],
)
def test_compiled_sweeps_are_caught(
    generated_by_name: Any, tmp_path: Path, name: str, old: str, new: str, says: str
) -> None:
    generated = generated_by_name(name)
    candidate = broken(tmp_path, generated, old, new)
    findings = (
        finding
        for setting in settings.branches(generated.optimizer)
        for finding in memory._compiled(candidate, setting, np.dtype(np.float32), np.random.default_rng(0))
    )
    found = failing(findings, says)
    assert any(says in finding.detail for finding in found), found


def test_a_module_that_does_not_compile_is_reported(generated_by_name: Any, tmp_path: Path) -> None:
    candidate = broken(tmp_path, generated_by_name("adam"), "m_hat = c2*m_next", "m_hat = eval('c2*m_next')")
    [*_, last] = memory.check(candidate, QUICK)
    assert last.verdict is Verdict.FAILED
    assert "it cannot be run" in last.detail


def test_guard_zones_notice_a_write_next_to_an_array() -> None:
    for dtype in (np.float32, np.float64):
        guarded = memory.fenced([np.ones(3, dtype), np.ones(0, dtype), np.ones(5, dtype)])
        assert not guarded.breached
        guarded.arrays[0][:] = guarded.arrays[2][:] = np.nan
        assert not guarded.breached
        guarded.whole[memory.GUARD + 3] = 1
        assert guarded.breached
