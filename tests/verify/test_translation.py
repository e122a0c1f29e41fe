"""Translation validation: what it proves, and that it names the equation that is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
from broken import broken
from rules import RULES
from sympy import Integer

from optgen import Let, Optimizer, g, pipeline, t, theta
from optgen.build import target_named
from optgen.hypers import beta2, lr
from optgen.targets.base import Origin
from optgen.verify import translation
from optgen.verify.candidate import QUICK, Candidate, Verdict, failures

ORIGIN = Origin("0", "specs/rule.py", "0")


def written(folder, optimizer):
    """A candidate with the text that the compiler gives."""
    path = folder / f"{optimizer.name}.py"
    path.write_text(pipeline.source(optimizer, target_named("cpu"), ORIGIN), encoding="utf-8")
    return Candidate(optimizer, path)


def test_every_stored_value_of_every_spec_is_proved(generated):
    findings = list(translation.check(Candidate(generated.optimizer, Path(generated.module.__file__)), QUICK))
    assert {finding.verdict for finding in findings} == {Verdict.PROVED}
    assert len(findings) >= 1 + 1 + len(generated.optimizer.states)


@pytest.mark.parametrize("name", RULES)
def test_no_construct_of_the_language_is_beyond_it(name, tmp_path):
    rule = Optimizer(name, title="Rule", step=RULES[name])
    findings = list(translation.check(written(tmp_path, rule), QUICK))
    assert failures(findings) == []
    assert {finding.verdict for finding in findings} <= {Verdict.PROVED, Verdict.TESTED}


def test_a_pass_that_drops_a_term_is_caught_and_the_equation_named(tmp_path, monkeypatch, generated_by_name):
    """A wrong compiler, not only a wrong file: this pass forgets the weight decay of AdamW."""

    def forgetful(kernel):
        (decay,) = (a.target for a in kernel.scalars if str(a.value) == "-lr*weight_decay + 1")

        def forgotten(sweep):
            return replace(sweep, body=tuple(replace(a, value=a.value.subs(decay, Integer(1))) for a in sweep.body))

        return kernel.map_sweeps(forgotten)

    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, (forgetful, ())))
    adamw = generated_by_name("adamw").optimizer
    (wrong,) = failures(list(translation.check(written(tmp_path, adamw), QUICK)))
    assert wrong.subject == "theta' = (1 - lr*weight_decay)*theta - lr*m_hat/(sqrt(v_hat) + eps)"
    assert "the code gives" in wrong.detail
    assert " at " in wrong.detail


CHANGED = {
    "a sign": ("m_next = beta1*m + c0*g", "m_next = beta1*m - c0*g", "m' = beta1*m + (1 - beta1)*g"),
    "a bias correction": ("m_hat = c2*m_next", "m_hat = m_next", "m_hat = m'/(1 - beta1**t)"),
    "eps": ("sqrt(v_hat) + eps", "sqrt(v_hat + eps)", "theta' = theta - lr*m_hat/(sqrt(v_hat) + eps)"),
    "an old value": ("m_hat = c2*m_next", "m_hat = c2*m", "m_hat = m'/(1 - beta1**t)"),
    "the step count": ("expm1(t*log(beta1))", "expm1((t - 1)*log(beta1))", "m_hat = m'/(1 - beta1**t)"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_the_equation_that_is_wrong_is_named_with_an_input(what, tmp_path, generated_by_name):
    before, after, equation = CHANGED[what]
    found = failures(list(translation.check(broken(tmp_path, generated_by_name("adam"), before, after), QUICK)))
    assert any(equation.split(" = ")[1] in finding.detail + finding.subject for finding in found)
    assert any(" at " in finding.detail for finding in found)


REJECTED = {
    "a store of another element": ("theta[i], m[i]", "theta[i - 1], m[i]", "not the element i of a slot"),
    "a name out of nowhere": ("m_hat = c2*m_next", "m_hat = c9*m_next", "`c9` is used before it has a value"),
    "a foreign function": ("sqrt(v_hat)", "rsqrt(v_hat)", "`rsqrt` is no function that generated code may call"),
    "another type": ("c0 = 1 - beta1", "c0 = float32(1 - beta1)", "`float32` is no function"),
    "a second value": (
        "    m_hat = c2*m_next\n",
        "    m_hat = 2*c2*m_next\n    m_hat = c2*m_next\n",
        "`m_hat` is given a second value",
    ),
    "other columns": ("view(row[3]", "view(row[4]", "does not prepare a chunk"),
    "other scalars": ("eps = scalars[3]", "eps = scalars[99]", "not one of the 8 scalars"),
    "no Python": ("def update", "def 2update", "cannot be read back"),
}


FRAME = {
    "a task skipped": ("prange(len(tasks) - 1)", "prange(len(tasks) - 2)", "`sweep` does not visit every chunk once"),
    "a row skipped": ("range(len(rows))", "range(1, len(rows))", "`sweep_serial` does not visit every chunk once"),
    "a decorator": ("@on_host", "@per_element", "`scalars` is not compiled as on_host"),
    "a start": ("return 0.0, 0.0", "return 0.0, 1.0", "state `v` starts from 1 where the spec says 0"),
    "a default": ("lr: float = 0.001", "lr: float = 0.01", "`step` has the defaults"),
    "a domain": ("0.9, Domain(low=0.0, high=1.0)", "0.9, Domain(low=0.0)", "domain of `beta1`"),
    "the states": ('states=("m", "v")', 'states=("v", "m")', "the states are ('v', 'm')"),
    "the sweep": ("sweep=sweep,", "sweep=sweep_serial,", "PROGRAM takes `sweep_serial` for sweep"),
    "an import": ("    expm1, log, ", "    exp as expm1, log, ", "is not the runtime's"),
}


@pytest.mark.parametrize(
    ("before", "after", "complaint"), [*REJECTED.values(), *FRAME.values()], ids=[*REJECTED, *FRAME]
)
def test_what_no_compiler_of_ours_writes_is_rejected(before, after, complaint, tmp_path, generated_by_name):
    found = failures(list(translation.check(broken(tmp_path, generated_by_name("adam"), before, after), QUICK)))
    assert any(complaint in finding.detail for finding in found)


def test_what_algebra_cannot_settle_is_tested_and_called_so(tmp_path):
    """A long expression is beyond the bound of the algebra."""
    total = sum((g + k) ** 3 / (1 + (g - k) ** 2) for k in range(60))
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - lr * total / (1 - beta2**t)),))
    verdicts = {finding.verdict for finding in translation.check(written(tmp_path, rule), QUICK)}
    assert verdicts == {Verdict.PROVED, Verdict.TESTED}
