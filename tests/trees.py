"""Loops made by hand, each with what it does in NumPy's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sympy import Max, Piecewise, sqrt

from optgen.ir import Equation, Scalar, fma
from optgen.loops.nodes import (
    ONE,
    ZERO,
    Accumulate,
    Assign,
    Barrier,
    Binary,
    Call,
    Cast,
    Choose,
    Compute,
    Constant,
    Each,
    Field,
    Function,
    Item,
    Kind,
    Load,
    Loop,
    Name,
    Number,
    Pointer,
    Return,
    Run,
    Statement,
    Store,
    View,
    assign,
    call,
    count_up,
    counted,
    item,
    plus,
)
from optgen.runtime.core.storage import uniform

Arrays = dict[str, Any]


class Cut(NamedTuple):
    """A parameter that has parts."""

    ends: NDArray[Any]


@dataclass(frozen=True)
class Tree:
    """A body, and what it does.

    Parameters
    ----------
    name : str
        What is tried.
    body : tuple of Statement
        Statements that read and write the arrays.
    arrays : callable
        What it is given, for a dtype of the tensors, by the names of its parameters.
    does : callable
        The same to such arrays in NumPy's words.
    functions : tuple of Function
        What it calls.
    threads : int
        How many run it together.
    machines : tuple of str
        Where it can run.
    apart : tuple of str
        Arrays that are no parameters: only their addresses are given.
    """

    name: str
    body: tuple[Statement, ...]
    arrays: Callable[[Any], Arrays]
    does: Callable[[Arrays], None]
    functions: tuple[Function, ...] = ()
    threads: int = 1
    machines: tuple[str, ...] = ("cpu", "cuda")
    apart: tuple[str, ...] = ()

    def given(self, arrays: Arrays) -> Arrays:
        """The parameters among the arrays."""
        return {name: array for name, array in arrays.items() if name not in self.apart}

    def whole(self, kind: Kind) -> tuple[Function, ...]:
        """The functions that a module for it has; the one called ``tree`` runs it."""
        parameters = tuple(self.given(self.arrays(np.float64)))
        return (*self.functions, Function(kind, "tree", parameters, "Made by hand.", self.body))


def _x(dtype: Any) -> NDArray[Any]:
    return np.array([1.5, -2.25, 1e-3, 7.0, 1 / 3, -1.0, 0.1, 3.0], dtype)


def _like(dtype: Any) -> NDArray[Any]:
    return np.array([2.0, 0.1], dtype)


I, J, N = (Name(name) for name in "ijn")  # noqa: E741 - what the loops count with
LENGTH = call("len", Name("x"))


def _squares() -> Tree:
    square = Binary(Cast(item("x", I), "float64"), "*", Cast(item("x", I), "float64"))
    body = (
        assign("total", Number(0.0), "sum of squares"),
        count_up("i", LENGTH, Accumulate(Name("total"), "sum", square)),
        Assign((item("out", ZERO),), Name("total")),
    )

    def does(a: Arrays) -> None:
        for x in a["x"].astype(np.float64):
            a["out"][0] += x * x

    return Tree("a sum in float64", body, lambda dtype: {"x": _x(dtype), "out": np.zeros(1)}, does)


def _largest(what: str, values: list[float]) -> Tree:
    body = (
        assign("most", Number(float("-inf"))),
        count_up("i", LENGTH, Accumulate(Name("most"), "max", Cast(item("x", I), "float64"))),
        Assign((item("out", ZERO),), Name("most")),
    )

    def does(a: Arrays) -> None:
        a["out"][0] = a["x"].max()

    arrays = lambda dtype: {"x": np.array(values, dtype), "out": np.zeros(1)}  # noqa: E731
    return Tree(f"the largest{what}", body, arrays, does)


def _integers() -> Tree:
    values = [
        Binary(plus(N, Number(7)), "//", Number(3)),
        Binary(Binary(ZERO, "-", N), "//", Number(3)),
        Binary(N, "-", Binary(Number(2), "-", N)),
        Binary(Number(2), "*", plus(N, ONE)),
        Binary(Binary(Number(3), "*", N), "//", Number(2)),
        Binary(Number(3), "*", Binary(N, "//", Number(2))),
        Binary(N, "|", Number(6)),
        Binary(Binary(N, "//", Number(2)), "//", Number(2)),
    ]
    body = (
        assign("n", Cast(item("scalars", ZERO), "index")),
        *(Assign((item("out", Number(k)),), value) for k, value in enumerate(values)),
    )

    def does(a: Arrays) -> None:
        n = 11
        a["out"][:] = (n + 7) // 3, -n // 3, n - (2 - n), 2 * (n + 1), 3 * n // 2, 3 * (n // 2), n | 6, n // 2 // 2

    arrays = lambda dtype: {"scalars": np.array([11, 0], dtype), "out": np.zeros(8, np.int64)}  # noqa: E731
    return Tree("integers", body, arrays, does)


def _nested() -> Tree:
    inner = Loop("j", I, Number(8), Number(3), (Assign((item("out", I, J),), item("x", J)),))
    body = (counted("i", ONE, Number(4), inner),)

    def does(a: Arrays) -> None:
        for i in range(1, 4):
            a["out"][i, i::3] = a["x"][i::3]

    arrays = lambda dtype: {"x": _x(dtype), "out": np.zeros((4, 8), dtype)}  # noqa: E731
    return Tree("loops in loops, with a step", body, arrays, does)


def _cases() -> Tree:
    three = tuple((Binary(I, "==", Number(k)), (Assign((item("out", I),), Number(k + 0.5)),)) for k in (1, 2))
    small = (Binary(I, "<", Number(5)), (Assign((item("out", I),), item("x", I)),))
    alone = Choose(((Binary(I, "==", Number(7)), (Assign((item("out", I),), Number(-9.0)),)),))
    body = (count_up("i", LENGTH, Choose((*three, small, (None, ()))), alone),)

    def does(a: Arrays) -> None:
        a["out"][:5] = a["x"][:5]
        a["out"][[1, 2, 7]] = 1.5, 2.5, -9

    arrays = lambda dtype: {"x": _x(dtype), "out": np.zeros(8, dtype)}  # noqa: E731
    return Tree("cases", body, arrays, does)


def _runs() -> Tree:
    body = (
        Assign((Run(Name("x"), ONE, Number(2)),), Number(0.0)),
        assign("part", Run(Name("x"), Number(4), Number(3))),
        count_up("i", Number(3), Accumulate(item("part", I), "sum", item("x", ZERO))),
    )

    def does(a: Arrays) -> None:
        a["x"][1:3] = 0
        a["x"][4:7] += a["x"][0]

    return Tree("runs of an array", body, lambda dtype: {"x": _x(dtype)}, does, machines=("cpu",))


def _each() -> Tree:
    ends = Field(Name("at"), "ends")
    last = Binary(Item(ends, (plus(J, ONE),)), "-", Item(ends, (J,)))
    body = (Each("j", Name("which"), (Assign((item("out", J),), last),)),)

    def does(a: Arrays) -> None:
        a["out"][[0, 2]] = 3, 4

    def arrays(_: Any) -> Arrays:
        at = Cut(np.array([0, 3, 5, 9]))
        return {"at": at, "which": np.array([0, 2]), "out": np.zeros(3, np.int64)}

    return Tree("each value of a part", body, arrays, does, machines=("cpu",))


def _memory() -> Tree:
    body = (
        assign("part", View("x", Name("row"), 1, Number(2), item("row", Number(-1)))),
        count_up("i", item("row", Number(-1)), Assign((item("part", I),), item("scalars", ONE))),
    )

    def does(a: Arrays) -> None:
        a["x"][2:5] = a["scalars"][1]

    def arrays(dtype: Any) -> Arrays:
        x = _x(dtype)
        row = np.array([8, x.ctypes.data, 3])
        return {"row": row, "scalars": _like(dtype), "storage": uniform(("x",), dtype).as_argument, "x": x}

    return Tree("memory at an address", body, arrays, does, machines=("cpu",), apart=("x",))


def _equations() -> Tree:
    x, y, low = Scalar("x"), Scalar("y"), Scalar("low")
    equations = (
        Equation(y, fma(x, x, Max(x, low))),
        Equation(Scalar("root"), sqrt(y) / (x + low)),
        Equation(Scalar("kept"), Piecewise((Scalar("root"), x > low), (y, True))),
    )
    returned = Return((Name("kept"), Name("y")))
    element = Function("element", "one", ("x", "low"), "Made by hand.", (*map(Compute, equations), returned))
    visit = Assign((item("x", I), item("out", I)), Call("one", (item("x", I), item("scalars", ONE))))

    def does(a: Arrays) -> None:
        x, low = a["x"].copy(), a["scalars"][1]
        y = (x.astype(np.longdouble) * x + np.maximum(x, low)).astype(x.dtype)
        a["x"][:], a["out"][:] = np.where(x > low, np.sqrt(y) / (x + low), y), y

    def arrays(dtype: Any) -> Arrays:
        return {"x": _x(dtype), "scalars": _like(dtype), "out": np.zeros(8, dtype)}

    return Tree("equations of an element", (count_up("i", LENGTH, visit),), arrays, does, (element,))


def _all_threads() -> Tree:
    tasks, task = Name("tasks"), Name("task")
    visit = Accumulate(item("x", I), "sum", item("x", I))
    of_task = counted("i", Item(tasks, (task,)), Item(tasks, (plus(task, ONE),)), visit)
    body = (count_up("task", Binary(call("len", tasks), "-", ONE), of_task, parallel=True),)

    def does(a: Arrays) -> None:
        a["x"] += a["x"]

    def arrays(dtype: Any) -> Arrays:
        return {"tasks": np.array([0, 3, 4, 4, 7, 8]), "x": _x(dtype)}

    return Tree("on all threads", body, arrays, does, machines=("cpu",))


THREADS = 4
"""In a block of the simulator."""


def _by_threads() -> Tree:
    lanes, four = tuple(Name(f"x{k}") for k in range(4)), Number(4)
    at, me = Name("x_ptr"), call("thread")
    body = (
        assign("x_ptr", Pointer("x", Name("addresses"), 1, ZERO, Number(4))),
        Loop(
            "i",
            Binary(four, "*", me),
            Number(8),
            Binary(four, "*", Constant("THREADS")),
            (Assign(lanes, Load("x", at, I, 4)), Store("x", at, I, tuple(reversed(lanes)))),
        ),
        Barrier(),
        assign("one", Load("x", at, me, 1)),
        assign("total", call("sum_of_block", Cast(Name("one"), "float64"))),
        Choose(((Binary(me, "==", ZERO), (Assign((item("out", call("block")),), Name("total")),)),)),
        Store("x", at, plus(me, four), (Name("one"),)),
    )

    def does(a: Arrays) -> None:
        a["x"][:] = a["x"].reshape(2, 4)[:, ::-1].reshape(-1)
        a["out"][0] = a["x"][:4].sum(dtype=np.float64)
        a["x"][4:] = a["x"][:4]

    def arrays(dtype: Any) -> Arrays:
        room = np.zeros(16, dtype)
        begin = (-room.ctypes.data % 16) // room.itemsize
        x = room[begin : begin + 8]
        x[:] = [4, 8, 2, 1, 16, 32, 64, 128]
        addresses = np.array([[0], [x.ctypes.data - 4 * x.itemsize]])
        return {"addresses": addresses, "x": x, "storage": uniform(("x",), dtype).as_argument, "out": np.zeros(1)}

    return Tree("threads of a block", body, arrays, does, threads=THREADS, machines=("cuda",), apart=("x",))


TREES: Mapping[str, Tree] = {
    tree.name: tree
    for tree in (
        _squares(),
        _largest("", [0.5, -1.0, 3.0, 2.0]),
        _largest(" of NaN", [0.5, float("nan"), 3.0, 2.0]),
        _largest(" of infinities", [float("-inf"), float("-inf")]),
        _integers(),
        _nested(),
        _cases(),
        _runs(),
        _each(),
        _memory(),
        _equations(),
        _all_threads(),
        _by_threads(),
    )
}
