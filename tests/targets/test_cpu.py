"""The CPU target: what a generated module looks like, and what LLVM makes of it."""

import ast
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from sympy import Abs, Eq, Max, Piecewise, Rational, sqrt

import optgen
from optgen import Let, Norm, Optimizer, g, local, state, t, theta
from optgen.hypers import eps, lr
from optgen.runtime.cpu.draws import draws

GENERATED = Path(__file__).parents[2] / "generated" / "cpu"


ALWAYS = ("optgen.runtime", "optgen.runtime.cpu.primitives", "optgen.runtime.cpu.storage")
"""What every module imports from."""


def test_a_module_has_the_public_names(generated):
    phases = generated.module.PROGRAM.phases
    kernels = ("chunk", "sweep") if not phases else ("sweep_0",)
    for name in ("scalars", "step", "PROGRAM", generated.optimizer.title, *kernels):
        assert hasattr(generated.module, name)


def test_its_docstring_holds_the_equations(generated):
    shown = " ".join(generated.module.__doc__.split())  # what is long takes several lines
    for line in str(generated.optimizer).splitlines():
        assert line in shown


def test_it_imports_the_runtime_and_nothing_else(generated):
    tree = ast.parse(Path(generated.module.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    drawing = {"optgen.runtime.cpu.draws"} if generated.optimizer.draws else set()
    assert imported - {"optgen.runtime.core", "optgen.runtime.cpu.totals"} == {*ALWAYS, *drawing}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_importing_them_all_imports_no_sympy():
    modules = ", ".join(f"optgen.generated.cpu.{path.stem}" for path in GENERATED.glob("[a-z]*.py"))
    code = f"import sys, {modules}; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def first_drawn(draw):
    """What the first element of the first array gets at the first step."""
    row, like = np.array([1, 0, 0]), np.empty(0)
    return draws(row, np.uint64(1), np.uint64(int(draw.seed.default)), int(draw.stream), like)[0]


def test_update_and_scalars_work_from_python_and_from_numba(generated):
    module, optimizer = generated.module, generated.optimizer
    if module.PROGRAM.phases:
        pytest.skip("no one function of an element is all of a step")
    if not hasattr(module, "update"):
        pytest.skip("each branch has a function of its own")
    hypers = [h.usual for h in optimizer.hypers]
    program, starts = module.PROGRAM, module.initial(*hypers)
    numbers = starts[len(program.states) :]
    states = [1.0 if name in program.copies else value for name, value in zip(program.states, starts, strict=False)]
    scalars, _ = program.computed(1, hypers, numbers)
    update, held = module.update, tuple(states)
    drawn = tuple(first_drawn(draw) for draw in optimizer.draws)

    @njit
    def one_step(theta, g):
        return update(theta, g, *held, *drawn, *scalars)

    new = one_step(1.0, 0.5)
    assert new == update(1.0, 0.5, *states, *drawn, *scalars)
    theta_new = new[0] if isinstance(new, tuple) else new
    arrays = {name: np.full(1, value) for name, value in zip(program.states, states, strict=True)}
    arrays |= {name: np.array(value) for name, value in zip(program.numbers, numbers, strict=True)}
    theta = np.ones(1)
    module.step(theta, np.full(1, 0.5), **arrays, t=1)
    assert theta[0] == theta_new


h, v = local("h"), state("v")
CHOOSING = Optimizer(
    "choosing",
    title="Choosing",
    step=(
        Let(v.next, Piecewise((g**2, Eq(t, 1)), (Max(v + g**2, eps), True))),
        Let(theta.next, theta - lr * g / (sqrt(v.next) + eps)),
    ),
)
ADDING = Optimizer(
    "adding",
    title="Adding",
    step=(Let(h, g / (sqrt(Abs(g)) + eps)), Let(theta.next, theta - lr * h / Norm(h))),
)


def test_powers_by_quarters_and_eighths_are_roots_in_elements_and_on_the_host():
    power = t ** Rational(1, 4) * (2 + g**2) ** Rational(3, 4) / Norm(g) ** Rational(1, 8)
    module = optgen.compile(Optimizer("roots", title="Roots", step=(Let(theta.next, theta - lr * power),)))
    text = Path(module.__file__).read_text(encoding="utf-8").partition("def scalars")[2].partition("def initial")[0]
    for root in ("sqrt(sqrt(t))", "sqrt(x0)*sqrt(sqrt(x0))", "sqrt(sqrt(sqrt("):
        assert root in text
    assert "**" not in text


@pytest.mark.skipif(platform.machine() != "x86_64", reason="looks for the packed instructions of x86-64")
@pytest.mark.parametrize(("dtype", "suffix"), [(np.float32, "ps"), (np.float64, "pd")])
@pytest.mark.parametrize("rule", ["adamw", CHOOSING, ADDING], ids=["adamw", "choosing", "adding"])
def test_square_root_and_division_are_packed(tmp_path, monkeypatch, generated_by_name, rule, dtype, suffix):
    """A kernel that is not vectorized is several times too slow, and nothing else would show it."""
    monkeypatch.setenv("OPTGEN_CACHE_DIR", str(tmp_path))  # machine code from Numba's cache cannot be looked at
    rule = generated_by_name(rule).optimizer if isinstance(rule, str) else rule
    module = optgen.compile(rule)
    getattr(module, rule.title)([np.ones(64, dtype)]).step([np.ones(64, dtype)])
    (assembly,) = (module.sweep if hasattr(module, "sweep") else module.sweep_0).inspect_asm().values()
    for operation in ("sqrt", "div"):
        whole = rf"\bv{operation}{suffix}\b.*%[yz]mm"  # of 256 bits, or 512
        assert re.search(whole, assembly), f"no whole pack of {operation} for {np.dtype(dtype)}"
