"""The verifier and rules that draw: what it proves of them, and that a wrong draw is caught."""

from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from broken import broken, failing
from counters import box_muller, pairs_of
from rules import NOISE, m, noisy, sigma

import optgen
from optgen import Let, Optimizer, g, normal, theta
from optgen.hypers import lr, seed
from optgen.properties import Bounded, EqualTo, Independent, Invariant, NotAlways
from optgen.verify import claims, memory, mutate, numerics, reference, settings, translation
from optgen.verify.arithmetic import Digits
from optgen.verify.candidate import QUICK, Candidate, Effort, Verdict, failures

FEW = Effort(draws=20)


@pytest.fixture(scope="module")
def noise() -> Any:
    return SimpleNamespace(optimizer=NOISE, module=optgen.compile(NOISE))


@pytest.fixture(scope="module")
def drawing() -> Any:
    """A rule that draws once at every step, from a stream of its own: of its draws, a third as many are compiled."""
    step = (Let(m.next, m / 2 + g + sigma * normal(seed, 1)), Let(theta.next, theta - lr * m.next))
    rule = Optimizer("drawing", title="Drawing", step=step)
    return SimpleNamespace(optimizer=rule, module=optgen.compile(rule))


def candidate(noise: Any) -> Candidate:
    made = Candidate(noise.optimizer, Path(noise.module.__file__))
    vars(made)["module"] = noise.module
    return made


@pytest.mark.parametrize("part", [translation, memory, numerics])
def test_a_module_that_draws_is_right(noise: Any, part: Any) -> None:
    findings = list(part.check(candidate(noise), QUICK))
    assert failures(findings) == []
    assert part is not translation or {finding.verdict for finding in findings} == {Verdict.PROVED}


def test_the_reference_draws_as_the_language_says() -> None:
    """From words that are made by hand; tests/runtime/test_philox.py holds them to those of the generator's authors."""
    expected = box_muller(pairs_of(2, 7, 5, 11 + 2**40, 6))
    place = (2, 7, 5, 11 + 2**40)
    np.testing.assert_allclose(reference.deviates((2, 3), *place).ravel(), expected, rtol=1e-14, atol=1e-15)
    exactly = reference.deviates((2, 3), *place, by=Digits(40))
    np.testing.assert_allclose(exactly.astype(float).ravel(), expected, rtol=1e-14, atol=1e-15)


WRONG = {
    "another step": ("keys[group, 0], keys[group, 1], 1", "keys[group, 1], keys[group, 1], 1", "does not count"),
    "no seed": ("keys[group, 0], keys[group, 1], 0", "keys[group, 0], 0, 0", "does not count"),
    "a seed out of nowhere": (
        "keys[group, 0], keys[group, 1], 0",
        "keys[group, 0], keys[group, 2], 0",
        "does not count",
    ),
    "another stream": ("keys[group, 1], 1, scalars)", "keys[group, 1], 2, scalars)", "normal(seed, 2)"),
    "one stream for both": ("keys[group, 1], 1, scalars)", "keys[group, 1], 0, scalars)", "normal(seed)"),
    "streams exchanged": ("z1[i], lr", "z0[i], lr", "the code gives"),
    "the draw of another element": (
        "z0[i]",
        "z0[0]",
        "`normal(seed)` is read or written elsewhere than at the element",
    ),
    "another seed": ('seeds=("seed",)', 'seeds=("lr",)', "normal(lr)"),
    "no seed for the runtime": ('seeds=("seed",)', "seeds=()", "does not take what its phase gives it"),
    "another function": ("import draws\n", "import upper as draws\n", "`draws` is not the runtime's"),
    "no keys": (
        "chunk(rows[row], storage, scalars, keys)",
        "chunk(rows[row], storage, scalars, scalars)",
        "`chunk` does not take what `sweep` gives it",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_draw_that_the_equations_do_not_make_is_no_translation(noise: Any, tmp_path: Path, what: str) -> None:
    before, after, complaint = WRONG[what]
    found = failures(list(translation.check(broken(tmp_path, noise, before, after), QUICK)))
    assert any(complaint in finding.detail for finding in found), found


RUNTIME = """\
import numpy
from optgen.runtime.cpu.draws import draws as the_runtimes
from optgen.runtime.cpu.primitives import per_chunk


@per_chunk
def draws(given, t, seed, stream, like):
    row = numpy.empty(len(given), numpy.int64)
    for k in range(len(given)):
        row[k] = given[k]
    {change}
    return the_runtimes(row, t, seed, stream, like)
"""


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (numerics, "row[-2] = 0"),
        (numerics, "t = seed"),
        (numerics, "t = t // 2"),
        (numerics, "seed = seed*0"),
        (numerics, "stream = 0"),
        (numerics, "row[-1] += 1"),
        (memory, "row[-1] = 0"),
        (memory, "row[-1] -= row[-1] % 4"),
    ],
)
def test_a_runtime_that_counts_wrongly_is_caught(drawing: Any, tmp_path: Path, part: Any, change: str) -> None:
    source = "from optgen.runtime.cpu.draws import draws\n"
    wrong = broken(tmp_path, drawing, source, RUNTIME.format(change=change))
    if part is memory:
        setting = settings.branches(drawing.optimizer)[-1]
        says = "differ from what they are alone"
        found = failing(memory._compiled(wrong, setting, np.dtype(np.float32), np.random.default_rng(0)), says)
    else:
        says, dtype = "theta", np.dtype(np.float32)
        found = failing(chain(numerics._first_steps(wrong, dtype), numerics._accuracy(wrong, FEW, dtype)), says)
    assert any(says in finding.detail for finding in found), found


def test_the_rehearsal_sees_a_draw_beyond_its_chunk(noise: Any, tmp_path: Path) -> None:
    found = failures(list(memory.check(broken(tmp_path, noise, "z0[i]", "z0[i + 1]"), QUICK)))
    assert any("element 3 of what is drawn, which has 3" in finding.detail for finding in found)


def test_mutants_of_draws_are_caught(noise: Any) -> None:
    candidate = Candidate(NOISE, Path(noise.module.__file__))
    mine = [mutant for mutant in mutate.mutants(candidate.text) if mutant.kind == "a draw from another count"]
    assert len(mine) >= 10
    assert [mutant for mutant in mine if not mutate.outcome(candidate, mutant).caught] == []


def test_claims_of_a_rule_that_draws_are_tried_on_the_kernel(tmp_path: Path) -> None:
    plain = Optimizer("plain", title="Plain", step=(Let(theta.next, theta - lr * g),))
    rule = Optimizer(
        "rule",
        title="Rule",
        step=(Let(noisy, g + sigma * normal(seed)), Let(theta.next, theta - lr * noisy)),
        properties=(
            Invariant({g: 1, theta: 1, sigma: 1}),
            EqualTo(plain, given={sigma: 0}),
            Independent(theta.next, of=seed, given={sigma: 0}),
            Bounded(noisy - g, -7 * sigma, 7 * sigma),
            NotAlways(Bounded(noisy - g, -2 * sigma, 2 * sigma)),
            NotAlways(EqualTo(plain)),
        ),
    )
    path = tmp_path / "plain.py"
    path.write_text(Path(optgen.compile(plain).__file__).read_text(encoding="utf-8"), encoding="utf-8")
    copied = broken(tmp_path, SimpleNamespace(optimizer=rule, module=optgen.compile(rule)), "lr", "lr")
    found: dict[str, set[Verdict]] = {}
    for finding in claims.check(copied, QUICK):
        found.setdefault(finding.subject, set()).add(finding.verdict)
    shown = [found[str(claim)] for claim in rule.properties]
    tested, both = {Verdict.TESTED}, {Verdict.TESTED, Verdict.PROVED}
    assert shown == [tested, both, both, tested, tested, tested]


def test_nothing_is_proved_of_what_is_drawn(noise: Any) -> None:
    """To the algebra two draws of one name would be equal, whatever the step."""
    assert not claims.proved(Invariant({g: 1, m: 1, theta: 1, sigma: 1}), NOISE)
