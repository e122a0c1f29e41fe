"""Modules for GPUs do what the equations say, whichever thread goes first; what is wrong with one is seen."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from reducing import RULES as REDUCING
from rules import RULES

from optgen import Optimizer, pipeline
from optgen.targets import target_named
from optgen.targets.base import Origin
from optgen.verify import simulation, translation
from optgen.verify.candidate import QUICK, Candidate, Verdict, failures
from optgen.verify.mutate import mutants, outcome
from optgen.verify.settings import begun, branches, model_step, ordinary


@cache  # the same for all that is broken of it
def texts(optimizer):
    """The modules of a rule, by their targets."""
    kernel = pipeline.kernel_of(optimizer)
    return {name: target_named(name).source(optimizer, kernel, Origin("", "", "")) for name in ("cpu", "cuda")}


def of_gpus(optimizer, folder):
    """The module for GPUs beside that for CPUs, as they are in ``generated``."""
    for name, text in texts(optimizer).items():
        path = folder / name / f"{optimizer.name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Candidate(optimizer, path, target="cuda")


def shipped(generated):
    cpu = Path(generated.module.__file__)
    return Candidate(generated.optimizer, cpu.parent.parent / "cuda" / cpu.name, target="cuda")


def test_every_stored_value_is_proved_and_every_thread_in_its_place(generated):
    candidate = shipped(generated)
    found = list(translation.check(candidate, QUICK))
    assert {finding.verdict for finding in found} == {Verdict.PROVED}
    assert len(found) >= 1 + 1 + len(generated.optimizer.states)
    found = [*simulation.check(candidate, QUICK), *simulation.rounding(candidate, QUICK)]
    assert len(found) > 1
    assert failures(found) == []


ALL_RULES = {**RULES, **REDUCING}


@pytest.mark.parametrize("name", ALL_RULES)
def test_no_construct_of_the_language_is_beyond_it(name, tmp_path):
    rule = ALL_RULES[name]
    optimizer = rule if isinstance(rule, Optimizer) else Optimizer(name, title="Rule", step=rule)
    candidate = of_gpus(optimizer, tmp_path)
    found = [*translation.check(candidate, QUICK), *simulation.check(candidate, QUICK)]
    assert failures(found) == []


@pytest.mark.parametrize("name", ["adamw", "lamb", "adafactor", "sm3", "novograd", "clip_global_norm_adamw", "dog"])
def test_tensors_may_be_left_out(name, generated_by_name):
    candidate = shipped(generated_by_name(name))
    optimizer = candidate.optimizer
    setting = replace(list(branches(optimizer))[-1], t=7)
    drawn = begun(optimizer, setting, ordinary(optimizer, simulation.SHAPES, np.random.default_rng(0)))
    there = [k for k in range(len(simulation.SHAPES)) if k not in {3, 5}]
    columns = simulation._step(candidate, setting, drawn, backwards=False, absent=(3, 5)).columns
    expected = model_step(optimizer, setting, {slot: [values[k] for k in there] for slot, values in drawn.items()})
    for slot in ("theta", *(state.name for state in optimizer.slots)):
        for k in (3, 5):
            assert not columns[slot][k].noted("stores").any()
        for k, values in zip(there, expected[slot], strict=True):
            np.testing.assert_allclose(columns[slot][k].values, np.ravel(values), rtol=1e-9)
    for state in optimizer.reduced_states:
        stored = np.concatenate([each.noted("stores") for each in columns[state.name]])
        assert stored.max() == 1
        assert (stored == 0).any() == (state.space.value != "model")


@pytest.mark.parametrize("name", ["sgdm", "lamb", "adafactor", "sm3", "centralized_sgdm", "gradient_noise_sgd"])
def test_mutants_are_caught(name, generated_by_name):
    candidate = shipped(generated_by_name(name))
    mine = list(mutants(candidate.text))
    survivors = [mutant for mutant in mine[:: max(4, len(mine) // 30)] if outcome(candidate, mutant).survived]
    assert survivors == []


BROKEN = {
    "adamw": {
        "a four too far": ("i += 4*THREADS", "i += 3*THREADS", "stored 2 times"),
        "a tail left out": ("while i < count:", "while i < fours:", "stored 0 times"),
        "fours where they cannot be": ("in_fours(count, theta_ptr | g_ptr | m_ptr | v_ptr)", "count//4*4", "of 16"),
        "another tensor": ("pointer(addresses, 0, tensor", "pointer(addresses, 0, 0", "which has 19"),
        "the gradient written": ("store(m_ptr, i, storage.m", "store(g_ptr, i, storage.m", "g is written"),
        "a lane for another": ("storage.m, m_next_i0, m_next_i1", "storage.m, m_next_i1, m_next_i0", "ulps off"),
        "a function of its own": ("m_hat = c2*m_next", "m_hat = c3*m_next", "the code gives"),
        "the hyperparameters of another group": ("group = chunks[3, block()]", "group = 0", "inf ulps off"),
        "a default": ('"lr": Hyper(0.001', '"lr": Hyper(0.002', "has the default 0.002 in PROGRAM"),
    },
    "adafactor": {
        "every thread its own total": ("acc6 = sum_of_block(acc6)", "acc6 = acc6", "ulps off"),
        "every thread its own row": ("acc0 = sum_of_team(acc0, team)", "acc0 = acc0", "ulps off"),
        "a row by the block": ("acc0 = sum_of_team(acc0, team)", "acc0 = sum_of_block(acc0)", "same barrier"),
        "a row left out": ("line += THREADS//team", "line += THREADS", "stored 0 times"),
        "a row by several teams": ("line = thread()//team", "line = 0", "acc0 is read before it is writ"),
        "the elements of another rank": ("i = 4*rank", "i = 4*thread()", "does not visit each element once"),
        "a column of the next row": ("        end = end_of_lines(", "        end = 1 + end_of_lines(", "which has"),
        "a column of the chunk before": ("line = first_line(", "line = -1 + first_line(", "which has"),
        "a column twice": ("part += THREADS", "part += 1", "does not visit each element once"),
        "a reduced value of another": ("acc0_of = at[17]", "acc0_of = at[17] + 1", "of acc0, which has"),
        "a row with those of another group": ("group = at[at[8] + j]", "group = 0", "inf ulps off"),
        "beyond the last row": ("if has_row(at):", "if thread() < 2:", "r is stored 2 times"),
    },
    "sm3": {
        "a barrier left out": ("    sync()\n", "", "theta is loaded after it was stored"),
        "a barrier for some": ("    sync()\n", "    if thread() < 1:\n        sync()\n", "same barrier"),
    },
}  # fmt: skip
CASES = [(name, what) for name, cases in BROKEN.items() for what in cases]


def broken_case(folder, generated, what):
    before, after, said = BROKEN[generated.optimizer.name][what]
    candidate = of_gpus(generated.optimizer, folder)
    assert before in candidate.text
    candidate.path.write_text(candidate.text.replace(before, after), encoding="utf-8")
    return Candidate(candidate.optimizer, candidate.path, target="cuda"), said


@pytest.mark.parametrize(("name", "what"), CASES, ids=[what for _, what in CASES])
def test_what_is_wrong_is_said_and_the_proof_alone_sees_all_but_who_waits(name, what, tmp_path, generated_by_name):
    wrong, said = broken_case(tmp_path, generated_by_name(name), what)
    by_proof = failures(list(translation.check(wrong, QUICK)))
    assert bool(by_proof) == (what != "a barrier left out")
    found = [*by_proof, *failures(list(simulation.check(wrong, QUICK)))]
    assert any(said in finding.detail for finding in found), [finding.detail for finding in found]


def test_without_the_module_for_cpus_the_loops_are_looked_at_all_the_same(tmp_path, generated_by_name):
    candidate = of_gpus(generated_by_name("sgd").optimizer, tmp_path)
    simulation.beside(candidate).unlink()
    (rounding,) = simulation.rounding(candidate, QUICK)
    assert rounding.verdict is Verdict.SKIPPED
    assert "build it too" in rounding.detail
    assert failures(list(simulation.check(candidate, QUICK))) == []
