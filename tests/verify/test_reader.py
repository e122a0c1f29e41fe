"""What is emitted is read back: every shipped module of both targets, and nodes made by hand."""

import ast
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from trees import TREES

from optgen import pipeline
from optgen.loops.layout import assignment
from optgen.loops.nodes import Assign, Choose, Compute, Function, Return
from optgen.loops.printer import CodePrinter
from optgen.targets import target_named
from optgen.targets.cpu import CpuEmitter
from optgen.targets.cuda import CudaEmitter
from optgen.verify import reader

EMITTERS = {"cpu": CpuEmitter, "cuda": CudaEmitter}


def told(node, code=None):
    """Nodes without what text does not say: notes, how lines are broken, what is an equation, `else: if` for `elif`."""
    match node:
        case tuple():
            return tuple(told(each, code) for each in node)
        case Function():
            code = CodePrinter(elementwise=node.kind == "element")
            return replace(node, what=" ".join(node.what.split()), body=told(node.body, code))
        case Compute(equation):
            (read,) = reader.block(ast.parse(assignment(equation, code)).body)
            return read
        case Choose((*cases, (None, (Choose(others),)))):
            return told(Choose((*cases, *others)), code)
        case Return(values, packed):
            return Return(told(values, code), packed=packed and len(values) < 2)
        case Assign():
            return replace(node, targets=told(node.targets, code), value=told(node.value, code), note="")
    if is_dataclass(node):
        return replace(node, **{field.name: told(getattr(node, field.name), code) for field in fields(node)})
    return node


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_shipped_modules_are_read_as_what_was_emitted(target, generated):
    path = Path(generated.module.__file__)
    text = (path.parent.parent / target / path.name).read_text(encoding="utf-8")
    emitted = target_named(target).lowered(pipeline.kernel_of(generated.optimizer)).functions
    read = reader.functions(ast.parse(text))
    assert [*read.values()] == [*map(told, emitted)]


@pytest.mark.parametrize(
    ("name", "machine"), [(name, machine) for name, tree in TREES.items() for machine in tree.machines]
)
def test_nodes_made_by_hand_are_read_back(name, machine):
    emitted = TREES[name].whole({"cpu": "sweep", "cuda": "kernel"}[machine])
    text = "\n".join(EMITTERS[machine]().functions(emitted))
    assert [*reader.functions(ast.parse(text)).values()] == [*map(told, emitted)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("del x", "`del x` is no statement"),
        ("x = [1]", "`[1]` is no expression"),
        ("x[a:b] = 0.0", "no run of values"),
        ("store(p, i, slot, x)", "`slot` is not how a slot is stored"),
        ("x.y += 1", "`x.y` is nothing that generated code gives values to"),
        ("i = 0\nwhile i < n:\n    j += 1", "is no loop"),
    ],
)
def test_what_no_emitter_writes_is_refused(line, said):
    with pytest.raises(reader.Rejected, match=re.escape(said)):
        reader.block(ast.parse(line).body)
