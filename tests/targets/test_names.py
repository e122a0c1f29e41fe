"""Names of a rule that the module has too: variables give way, what a user types is refused, nothing is forgotten."""

from dataclasses import dataclass

import numpy as np
import pytest
from sympy import Abs, sqrt
from undefined import undefined
from website.interpreted import interpreted

from optgen import STEP, TENSOR, Let, Norm, Optimizer, TensorMean, g, hyper, local, pipeline, state, theta
from optgen.errors import SpecError
from optgen.hypers import lr
from optgen.ir import Kernel
from optgen.language.schedules import Schedule
from optgen.language.symbols import t
from optgen.targets import TARGETS, schedules
from optgen.targets.base import Origin, Target
from optgen.verify import reference, translation
from optgen.verify.candidate import QUICK, Candidate, Verdict

NOWHERE = Origin("", "", "")
m = state("m")
PAPER = [
    "x0",
    "x1",
    "c0",
    "c1",
    "k_i",
    "i",
    "j",
    "step",
    "y0",
    "z0",
    "acc0",
    "one",
    "half",
    "row",
    "count",
    "line",
    "update",
]
OWN = [
    "THREADS",
    "block",
    "load",
    "branch",
    "sqrt",
    "inf",
    "range",
    "len",
    "numel_of",
    "theta_ptr",
    "m_i0",
    "narrow",
    "at",
]


def steps(name: str) -> dict[str, tuple[Let, ...]]:
    """Rules in which something is called so."""
    h, u, s = hyper(name, 0.5), local(name), state(name)

    def moved(x: object, y: object) -> Let:
        return Let(theta.next, theta - lr * x * sqrt(Abs(y)) / (2 + (x + Norm(g)) ** 3) / 3)

    return {
        "hyper": (Let(m.next, m * h + g * 2), moved(h, m.next)),
        "local": (Let(u, m * 2 + g), Let(m.next, u), moved(u, m.next)),
        "state": (Let(s.next, s + g), Let(m.next, m + g), moved(s.next, m)),
    }


def module(rule: Optimizer, target: str) -> str:
    return pipeline.source(rule, TARGETS[target], NOWHERE)


@pytest.mark.parametrize("kind", ["hyper", "local", "state"])
@pytest.mark.parametrize("name", PAPER + OWN)
def test_a_name_of_the_module_gives_way(name: str, kind: str) -> None:
    rule = Optimizer("rule", title="Rule", step=steps(name)[kind])
    kernel = pipeline.kernel_of(rule)
    texts = {key: pipeline.printed(rule, kernel, target, NOWHERE) for key, target in TARGETS.items()}
    for text in texts.values():
        assert not undefined(text)
        assert f'"{name}"' in text or kind == "local"
    draw = np.random.default_rng(7)
    trained, gradient = [draw.normal(size=(2, 3))], [draw.normal(size=(2, 3))]
    wanted, states = reference.step(rule, trained, gradient, reference.start(rule, trained), 1)
    optimizer = interpreted(texts["cpu"])["Rule"](trained)
    optimizer.step(gradient)
    np.testing.assert_allclose(trained[0], wanted[0])
    assert {key: np.allclose(values[0], states[key][0]) for key, values in optimizer.state.items()} == dict.fromkeys(
        states, True
    )


@pytest.mark.parametrize("name", ["i", "row", "c0", "x0", "sqrt", "step"])
@pytest.mark.parametrize("kind", ["hyper", "local", "state"])
def test_the_verifier_reads_it_back(name: str, kind: str, tmp_path: object) -> None:
    rule = Optimizer("rule", title="Rule", step=steps(name)[kind])
    path = tmp_path / "rule.py"  # type: ignore[operator]
    path.write_text(module(rule, "cpu"), encoding="utf-8")
    failed = [x.detail for x in translation.check(Candidate(rule, path), QUICK) if x.verdict is Verdict.FAILED]
    assert not failed


@pytest.mark.parametrize("name", ["params", "self", "grads", "super", "PROGRAM", "update_array", "slots", "hypers"])
def test_what_a_user_would_type_twice_is_refused(name: str) -> None:
    for kind in ("hyper", "state"):
        with pytest.raises(SpecError, match=f"the name `{name}` is reserved"):
            module(Optimizer("rule", title="Rule", step=steps(name)[kind]), "cpu")
    module(Optimizer("rule", title="Rule", step=steps(name)["local"]), "cpu")


@pytest.mark.parametrize("name", ["file", "allow_pickle"])
def test_one_number_is_not_called_what_savez_calls_its_own(name: str) -> None:
    whole = state(name, space=STEP)
    step = (Let(whole.next, whole + 1), Let(theta.next, theta - lr * g * whole.next))
    with pytest.raises(SpecError, match=f"the name `{name}` is reserved: it is an argument of numpy.savez"):
        module(Optimizer("rule", title="Rule", step=step), "cpu")
    module(Optimizer("rule", title="Rule", step=steps(name)["hyper"]), "cpu")
    module(Optimizer("rule", title="Rule", step=steps(name)["state"]), "cpu")


@pytest.mark.parametrize("name", ["grads", "group", "missing"])
def test_a_hyperparameter_is_not_called_what_a_method_takes(name: str) -> None:
    with pytest.raises(SpecError, match=f"the name `{name}` is reserved: it is an argument of a method"):
        module(Optimizer("rule", title="Rule", step=steps(name)["hyper"]), "cpu")
    module(Optimizer("rule", title="Rule", step=steps(name)["local"]), "cpu")


def test_functions_that_take_hyperparameters_keep_those_that_they_call() -> None:
    named = hyper("sqrt", 0.5)
    start = state("start", init=sqrt(named))
    rule = Optimizer("rule", title="Rule", step=(Let(start.next, start), Let(theta.next, theta - start * g)))
    with pytest.raises(SpecError, match="the name `sqrt` is reserved"):
        module(rule, "cpu")


@pytest.mark.parametrize("title", ["Params", "Program", "PROGRAM", "Hyper", "Array", "FusedOptimizer", "Value"])
def test_titles_of_the_module_are_refused(title: str) -> None:
    with pytest.raises(SpecError, match="is taken by the module"):
        module(Optimizer("rule", title=title, step=(Let(theta.next, theta - lr * g),)), "cpu")


@dataclass(frozen=True)
class _Importing:
    """A target that has come to import something, and uses it in every chunk."""

    name: str = "cpu"

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        text = TARGETS["cpu"].source(optimizer, kernel, origin)
        used = text.replace("    count = row[0]\n", "    count = row[0]\n    prefetch(row)\n")
        return used.replace("\n\n\n", "\nfrom optgen.runtime.cpu.primitives import prefetch\n\n\n", 1)


def test_what_a_target_comes_to_import_is_known_at_once() -> None:
    target: Target = _Importing()
    rate = hyper("prefetch", 0.5)
    rule = Optimizer("rule", title="Rule", step=(Let(theta.next, theta - rate * g),))
    text = pipeline.source(rule, target, NOWHERE)
    assert "    prefetch(row)\n" in text
    assert "    prefetch_ = scalars[group, 0]\n" in text
    small = state("prefetch", space=TENSOR)
    step = (Let(small.next, TensorMean(g)), Let(theta.next, theta - small * g))
    with pytest.raises(SpecError, match="`prefetch` is reserved: it is a name in `chunk_0`"):  # as memory is named
        pipeline.source(Optimizer("rule", title="Rule", step=step), target, NOWHERE)


@pytest.mark.parametrize("name", ["exp", "pi", "dataclass", "step_count", "hypers", "Domain", "value"])
def test_schedules_refuse_what_their_modules_use(name: str) -> None:
    from sympy import exp, pi  # noqa: PLC0415

    with pytest.raises(SpecError, match=f"the name `{name}` is reserved"):
        schedules.source(Schedule("rule", hyper(name, 0.5) * exp(-t) * pi), NOWHERE)
