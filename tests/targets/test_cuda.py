"""Modules for GPUs: the text they share with those for CPUs, and what they say where nothing can run them."""

import ast
import os
import re
import subprocess
import sys
from importlib import import_module
from inspect import getmodule, getsource
from pathlib import Path

import numpy as np
import pytest
from kept import kept
from reducing import RULES as REDUCING
from rules import RULES

import optgen
from optgen import Let, Optimizer, g, state, theta
from optgen.machine_code import missing, ptx
from optgen.pipeline import source
from optgen.runtime.cuda import primitives as cuda
from optgen.targets.base import Origin
from optgen.targets.cuda import TARGET as CUDA
from optgen.verify import translation
from optgen.verify.candidate import Candidate, Effort, Verdict

ROOT = Path(__file__).parents[2]
OF_POSITIONS = ("per_element", "on_host", "helper", "on_device")


def functions(module):
    """The bodies of the functions of one position and of the scalars, by name."""
    found = {}
    for node in ast.parse(getsource(module)).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith(("combine", "prepare", "initial")):
            decorators = [each.id for each in node.decorator_list]
            if decorators and decorators[0] in OF_POSITIONS:
                node.decorator_list = []
                found[node.name] = ast.unparse(node)
    return found


def test_scalars_and_the_functions_of_one_position_are_those_of_the_module_for_cpus(generated):
    gpu = import_module(f"optgen.generated.cuda.{generated.optimizer.name}")
    assert functions(gpu) == functions(generated.module)
    assert "scalars" in functions(gpu)


def test_initial_values_hyperparameters_and_states_are_those_of_the_module_for_cpus(generated):
    one, other = generated.module.PROGRAM, import_module(f"optgen.generated.cuda.{generated.optimizer.name}").PROGRAM
    assert one.initial(**dict.fromkeys(one.hypers, 0.5)) == other.initial(**dict.fromkeys(other.hypers, 0.5))
    for part in ("name", "hypers", "states", "reduced_states", "numbers", "seeds", "scratch", "values"):
        assert getattr(one, part) == getattr(other, part)


def test_slots_may_be_many(tmp_path):
    """Where all of them lie is looked at together, in more than one statement."""
    states = state(" ".join(f"s{k}" for k in range(60)))
    step = [Let(s.next, s / 2 + g) for s in states]
    rule = Optimizer("many", title="Many", step=[*step, Let(theta.next, theta - sum(s.next for s in states) / 100)])
    text = source(rule, CUDA, Origin("0", "many.py", ""))
    assert text.count("bits = ") == 3
    (tmp_path / "many.py").write_text(text, encoding="utf-8")
    found = list(translation.check(Candidate(rule, tmp_path / "many.py", target="cuda"), Effort(draws=2)))
    assert [finding for finding in found if finding.verdict is not Verdict.PROVED] == []


def python(program, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


USE = """
import numpy as np
from optgen.generated.cuda.adamw import AdamW, step
from optgen.generated.cuda.lamb import LAMB
array = np.ones(3)
for use in (lambda: AdamW([array]), lambda: LAMB({"w": array}), lambda: step(array, array, array, array, t=1)):
    try:
        use()
    except RuntimeError as error:
        print(error)
assert array.tolist() == [1, 1, 1]
"""
WITHOUT = "import sys; sys.modules['numba.cuda'] = None"


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (WITHOUT, "numba-cuda, which compiles kernels for GPUs, is not installed or incomplete"),
        ("", "no kernel can run on a GPU here: "),
    ],
    ids=["without numba-cuda", "without a GPU"],
)
def test_importing_works_and_using_says_what_is_missing(before, says):
    if not before and not cuda.INSTALLED:
        pytest.skip("numba-cuda is not installed")
    errors = python(f"{before}\n{USE}", CUDA_VISIBLE_DEVICES="-1").splitlines()
    assert len(errors) == 3
    for error in errors:
        assert error.startswith(says)
        assert "pip install 'optgen[cuda]'" in error
        assert "optgen.generated.cpu" in error


def test_building_takes_neither_numba_cuda_nor_a_gpu(tmp_path):
    arguments = ["optgen", "build", str(ROOT / "specs" / "lamb.py"), "--target", "cuda", "--out", str(tmp_path)]
    program = f"{WITHOUT}; sys.argv = {arguments}; from optgen.cli import main; main()"
    assert "2 built" in python(program)
    assert (tmp_path / "cuda" / "lamb.py").read_text().count("@kernel") > 2


@pytest.mark.skipif(not cuda.INSTALLED, reason="numba-cuda is not installed")
def test_arrays_of_numpy_are_refused_with_a_word_on_where_they_belong():
    with pytest.raises(
        TypeError, match=r"expected arrays in the memory of a GPU, .* got ndarray; .*optgen.generated.cpu"
    ):
        import_module("optgen.runtime.cuda.arrays").memory_of([np.ones(3)])


COMPILED = {name: rule for name, rule in (RULES | REDUCING).items() if not name.startswith("each_")}
"""All but those that take as long as all others, and have nothing that is not in the others too."""


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.parametrize("name", COMPILED)
def test_whatever_the_language_has_is_typed_and_compiled(name):
    rule = optgen.Optimizer(name, title="Rule", step=tuple(COMPILED[name]))
    module = optgen.compile(rule, "cuda")
    turns = re.search(r"\b(sin|cos|tan)\(", getsource(module))  # the GPU's own reduce large arguments in float64
    for code in kept(lambda: tuple(ptx(module.PROGRAM, (9, 0))), getsource(module), getsource(getmodule(ptx))):
        assert ".visible .entry" in code.text
        if name in RULES and not turns:
            assert not re.search(r"\.f64\s", code.text), "float64 in a sweep over float32 that adds up nothing"
