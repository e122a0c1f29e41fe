"""From spec to machine code: what each stage of the compiler makes of AdamW, printed by the stages themselves."""

from __future__ import annotations

import ast
import platform
import re
from collections.abc import Iterator
from difflib import unified_diff
from inspect import getdoc, getmodule
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from website.files import fenced

from optgen.build import source
from optgen.catalog import Choice
from optgen.cli.views import shown_as
from optgen.errors import UsageError
from optgen.explain.as_html import body
from optgen.explain.page import Equations
from optgen.files import module_of
from optgen.ir import Kernel
from optgen.language.formula import Formulas, equation
from optgen.machine_code import capability_of, ptx
from optgen.passes.lower import lower
from optgen.pipeline import PASSES

NAME = "adamw"
HEAD = f"""\
# From spec to machine code

Every block below is printed by the stage of the compiler that it shows, when this site is made; `optgen show {NAME}`
with `--ir`, `--loops`, `--source`, `--ptx` or `--sass` prints the same of any rule. [Working on
optgen](contributing.md) says which file does what.
"""
ARCH = "sm_90"
ELEMENTS = 64
_LABEL = re.compile(r"^[.\w$]+:", re.MULTILINE)


def walk(choice: Choice) -> Iterator[str]:
    """The parts of the page."""
    spec_file, declared = choice
    rule: Any = spec_file.rule(declared.name)
    yield HEAD
    yield "## The spec"
    yield f"From `specs/{spec_file.path.name}`; what it names is imported from its siblings."
    yield fenced(_statement(spec_file.path.read_text(encoding="utf-8"), declared.name), "python")
    yield "## The rule"
    yield "A frozen `Optimizer`: equations, hyperparameters and states, found from what they are made of."
    yield body([Equations([equation(let.target, let.value, Formulas(rule.hypers)) for let in rule.step])])
    yield fenced(str(shown_as("", spec_file.file, rule, "cpu", ARCH)), "text")
    yield from _passes(rule)
    yield "## The loops"
    yield "What the functions of the module do, before a language has it: for CPUs, then for GPUs."
    for target in ("cpu", "cuda"):
        yield fenced(str(shown_as("loops", spec_file.file, rule, target, ARCH)), "python")
    yield "## The module"
    text = source(spec_file.file, rule, "cpu")
    yield f"For CPUs; [the page of {rule.title}](gallery/{NAME}.md) has the one for GPUs too."
    yield fenced(text, "python")
    yield from _machine_code(text, rule.title)
    yield from _ptx(module_of(NAME, source(spec_file.file, rule, "cuda")).PROGRAM)


def _statement(text: str, name: str) -> str:
    """The statement of a file that gives something its name."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            return ast.get_source_segment(text, node) or ""
    raise AssertionError(f"{name} is declared by a statement of its own")


def _passes(rule: Any) -> Iterator[str]:
    yield "## The kernel"
    kernel = lower(rule)
    yield _doc(lower)
    yield fenced(str(kernel), "text")
    yield "## The passes"
    yield "Each is a function from a kernel to a kernel, after which what must hold is checked."
    for run, _ in PASSES:
        before, kernel = kernel, run(kernel)
        yield f"### {run.__name__}"
        yield _doc(run)
        yield _changed(before, kernel)


def _doc(function: Any) -> str:
    """What the file of a pass says it does."""
    words = getdoc(getmodule(function)) or ""
    said = words.split("\n\n")[0].partition(": ")[2].replace("\n", " ").replace("``", "`")
    return said[:1].upper() + said[1:]


def _changed(before: Kernel, after: Kernel) -> str:
    old, new = str(before).splitlines(), str(after).splitlines()
    if old == new:
        return "It finds nothing to do."
    _, _, _, *lines = unified_diff(old, new, lineterm="", n=len(old))  # but for three lines of where it is
    return fenced("\n".join(lines), "diff")


def _machine_code(text: str, title: str) -> Iterator[str]:
    yield "## On a CPU"
    with TemporaryDirectory() as folder:  # Numba does not show machine code that it finds on disk
        module = module_of(NAME, text, Path(folder))
        getattr(module, title)([np.ones(ELEMENTS, np.float32)]).step([np.ones(ELEMENTS, np.float32)])
        (assembly,) = module.sweep.inspect_asm().values()
    starts = [match.start() for match in _LABEL.finditer(assembly)]
    blocks = [assembly[start:end] for start, end in zip(starts, [*starts[1:], len(assembly)], strict=True)]
    loop = next(block for block in blocks if "sqrt" in block)  # the loops for what is left over come after it
    yield f"LLVM's code for the {platform.machine()} that made this page: the loop over elements, in float32."
    yield fenced(loop.replace("\t", "    "), "asm")


def _ptx(program: Any) -> Iterator[str]:
    yield "## On a GPU"
    try:
        (code,) = ptx(program, capability_of(ARCH))
    except UsageError as error:
        yield f"Not printed where this page was made: {error}. [Machine code](machine-code.md) has what was found."
    else:
        yield f"PTX of its one launch, for {ARCH}, in float32."
        yield fenced(code.text, "text")
