"""Loops made by hand do what they say when they are interpreted, and the same when a target has compiled them."""

import numpy as np
import pytest
from interpret import AddressSpace, Interpreter
from trees import THREADS, TREES

from optgen.files import module_of
from optgen.loops.nodes import (
    ZERO,
    Assign,
    Barrier,
    Binary,
    Function,
    Loop,
    Name,
    Number,
    Run,
    View,
    assign,
    call,
    item,
    plus,
    walk,
)
from optgen.loops.text import LoopPrinter
from optgen.runtime.cuda import simulated
from optgen.targets import cpu, module

LIBRARY = {
    **{name: getattr(simulated, name) for name in ("fma", "sqrt", "where")},
    "maximum": np.maximum,
    "THREADS": THREADS,
}
SHARED = {"sum_of_block": lambda given: [sum(x for (x,) in given)] * len(given)}


def assert_done(tree, given, dtype):
    wanted = tree.arrays(dtype)
    tree.does(wanted)
    for name, array in wanted.items():
        if name not in ("row", "addresses") and isinstance(array, np.ndarray):
            np.testing.assert_array_equal(given[name], array, err_msg=name, strict=True)


def interpreted(tree, dtype):
    given = tree.arrays(dtype)
    functions = {function.name: function for function in tree.whole("kernel" if tree.threads > 1 else "sweep")}
    memory = AddressSpace(array for array in given.values() if isinstance(array, np.ndarray))
    machine = Interpreter(functions, LIBRARY, np.dtype(dtype), memory, SHARED)
    machine.launch("tree", 1, tree.threads, *tree.given(given).values())
    return given


@pytest.mark.parametrize("name", TREES)
def test_interpreted(name, dtype):
    assert_done(TREES[name], interpreted(TREES[name], dtype), dtype)


def compiled(tree, folder):
    """The tree in a module for CPUs."""
    emitter = cpu.CpuEmitter()
    parallel = any(isinstance(node, Loop) and node.parallel for node in walk(tree.body))
    functions = emitter.functions(tree.whole("sweep" if parallel else "host"))
    imports = module.imports(cpu.HOME, emitter.used)
    return module_of("tree", module.whole(imports, functions), folder).tree


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if "cpu" in tree.machines])
def test_compiled_for_cpus(name, dtype, tmp_path):
    tree = TREES[name]
    given = tree.arrays(dtype)
    compiled(tree, tmp_path)(*tree.given(given).values())
    assert_done(tree, given, dtype)


def interpreter(*body, parameters=("x",), arrays=(), threads="sweep"):
    function = Function(threads, "tree", parameters, "", body)
    return Interpreter({"tree": function}, {}, np.dtype(np.float64), AddressSpace(arrays))


@pytest.mark.parametrize(
    "value",
    [
        item("x", Number(3)),
        item("x", Binary(Number(2), "-", Number(3))),
        Run(Name("x"), Number(2), Number(2)),
        Run(Name("x"), Binary(Number(2), "-", Number(3)), Number(2)),
    ],
    ids=str,
)
def test_what_lies_outside_an_array_is_refused(value):
    with pytest.raises(IndexError):
        interpreter(assign("y", value)).call("tree", np.zeros(3))


def test_memory_is_that_of_the_arrays_alone():
    x, other = np.zeros(3), np.zeros(3)
    machine = interpreter(assign("y", View("x", Name("x"), 0, ZERO, Number(2))), arrays=[x, other])
    machine.call("tree", [x.ctypes.data + 8])
    for address in (x.ctypes.data - 8, x.ctypes.data + 16, x.ctypes.data + 4, 0):
        with pytest.raises(IndexError, match="lie in no array"):
            machine.call("tree", [address])


def test_a_barrier_that_some_threads_never_reach_is_refused():
    alone = interpreter(
        *(assign("me", call("thread")), Assign((item("x", Name("me")),), Number(1.0)), Barrier()), threads="kernel"
    )
    alone.launch("tree", 2, 3, np.zeros(3))
    some = TREES["threads of a block"]
    given = some.arrays(np.float64)
    functions = {function.name: function for function in some.whole("kernel")}
    ended = {"sum_of_block": lambda _: [0.0]}  # one answer for all: the others hear nothing
    machine = Interpreter(functions, LIBRARY, np.dtype(np.float64), AddressSpace([given["x"]]), ended)
    with pytest.raises(ValueError, match="zip"):
        machine.launch("tree", 1, some.threads, *some.given(given).values())


@pytest.mark.parametrize("name", TREES)
def test_every_node_has_a_text(name):
    for function in TREES[name].whole("sweep"):
        text = LoopPrinter().function(function)
        assert text.startswith(f"{function.kind} {function.name}(")
        assert "Name(" not in text


def test_sums_of_integers_are_flat():
    a, b, c = map(Name, "abc")
    assert plus(plus(a, b), Number(0), c) == Binary(Binary(a, "+", b), "+", c)
    assert plus() == Number(0)
