"""Threads and forks, on every threading layer, and what an import brings along: each in a process of its own."""

from __future__ import annotations

import ast
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _omp() -> str:
    """Why Numba cannot use OpenMP here; its library belongs to the system and not to Numba."""
    try:
        import_module("numba.np.ufunc.omppool")
    except ImportError as error:
        return f"Numba cannot use OpenMP: {error}"
    return ""


with_omp = pytest.mark.skipif(bool(_omp()), reason=_omp())
LAYERS = ["workqueue", pytest.param("omp", marks=with_omp)]
COMMON = """
import hashlib, os, sys, threading, time
import numpy as np
from optgen.generated.cpu import adamw
from optgen.generated.cpu.adamw import AdamW

def digest(*arrays):
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()

def grads(size, seed):
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)

def child(function):
    inward, outward = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(outward, str(function()).encode())
            os._exit(0)
        except BaseException as error:
            os.write(outward, repr(error).encode())
            os._exit(1)
    os.close(outward)
    told = os.read(inward, 1000).decode()
    os.close(inward)
    _, status = os.waitpid(pid, 0)
    assert status == 0, (status, told)
    return told
"""

THREADS = """
def work(size, steps=20):
    theta = np.ones(size, np.float32)
    optimizer = AdamW([theta])
    for seed in range(steps):
        optimizer.step([grads(size, seed)], lr=0.1)
    m, v, g = np.zeros_like(theta), np.zeros_like(theta), np.ones_like(theta)
    adamw.step(theta, g, m, v, t=1)
    return digest(theta, m, v)

sizes = [10, 40_000, 1000, 100_000] * 3
expected = [work(size) for size in sizes]
results = [None] * len(sizes)

def run(k):
    results[k] = work(sizes[k])

theta, same, grad = np.ones(50_000, np.float32), np.ones(50_000, np.float32), grads(50_000, 0)
shared, alone = AdamW([theta]), AdamW([same])

def share():
    for k in range(20):
        shared.step([grad])

threads = [threading.Thread(target=run, args=(k,)) for k in range(len(sizes))]
threads += [threading.Thread(target=share) for k in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert results == expected
for k in range(80):
    alone.step([grad])
assert shared.t == 80
assert digest(theta) == digest(same)
print("done")
"""

FOR_LONG = """
import numba
from optgen.runtime.cpu import launch
size, steps, threads = 20_000, 500, 8
given = [grads(size, seed) for seed in range(10)]

def work(number):
    theta = np.full(size, number, np.float32)
    optimizer = AdamW([theta], lr=0.01)
    for k in range(steps):
        optimizer.step([given[(k + number) % 10]])
    return digest(theta, *(array for arrays in optimizer.state.values() for array in arrays))

expected = [work(number) for number in range(threads)]  # too few elements to be worth more than one thread
launch.SERIAL_BELOW = 0
found = [None] * threads

def run(number):
    found[number] = work(number)

running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
for thread in running:
    thread.start()
for thread in running:
    thread.join()
assert found == expected
assert len(set(found)) == threads
print(numba.threading_layer())
"""

FORK = """
theta = np.ones(100_000, np.float32)
optimizer = AdamW([theta])
optimizer.step([grads(100_000, 0)])
mine = np.ones(100_000, np.float32)

def go_on():
    optimizer.step([grads(100_000, 1)])
    adamw.step(mine, grads(100_000, 2), np.zeros_like(mine), np.zeros_like(mine), t=1)
    return digest(theta, mine) + str(optimizer.t)

def grandchild():
    return child(go_on)

told = [child(go_on), child(grandchild), child(go_on)]
assert told == [go_on()] * 3, told
print("done")
"""

FORK_BEFORE = """
theta = np.ones(100_000, np.float32)
optimizer = AdamW([theta])

def go_on():
    optimizer.step([grads(100_000, 1)])
    return digest(theta), child(lambda: optimizer.step([grads(100_000, 1)]) or digest(theta))

told = child(go_on)
assert told == str(go_on()), told
print("done")
"""

SMALL = """
import numba
little, theta = np.ones(10, np.float32), np.ones(100_000, np.float32)

def threads():
    try:
        return numba.threading_layer()
    except ValueError:
        return "none"

def go_on():
    AdamW([theta]).step([theta.copy()])
    return digest(theta) + threads()

AdamW([little]).step([little.copy()])
adamw.step(little, little.copy(), np.zeros_like(little), np.zeros_like(little), t=1)
assert threads() == "none"
told = child(go_on)
assert told == go_on() and not told.endswith("none"), told
print("done")
"""

FORK_AMID = """
size = 400_000
theta, grad = np.ones(size, np.float32), np.ones(size, np.float32)
small, little = np.ones(1000, np.float32), np.ones(1000, np.float32)
optimizer, other = AdamW([theta]), AdamW([small])
optimizer.step([grad])
stop = threading.Event()

def keep_on(optimizer, grad):
    while not stop.is_set():
        optimizer.step([grad])

def go_on():
    assert len(np.unique(theta)) == len(np.unique(small)) == 1
    before = optimizer.t, theta[0], other.t
    optimizer.step([grad])
    other.step([little])
    assert (optimizer.t, other.t) == (before[0] + 1, before[2] + 1)
    assert len(np.unique(theta)) == 1 and theta[0] < before[1]
    return "done"

threads = [threading.Thread(target=keep_on, args=pair, daemon=True) for pair in ((optimizer, grad), (other, little))]
for thread in threads:
    thread.start()
for k in range(25):
    time.sleep(0.002 * (k % 4))
    assert child(go_on) == "done"
stop.set()
for thread in threads:
    thread.join()
print("done")
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("layer", LAYERS)
def test_any_thread_may_call(python, layer):
    assert python(COMMON + THREADS, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "done"


@pytest.mark.parametrize("layer", [*LAYERS, "tbb"])
def test_eight_threads_at_once_do_what_one_does(python, layer):
    if layer == "tbb":
        pytest.importorskip("tbb")
    assert python(COMMON + FOR_LONG, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == layer


@needs_fork
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("program", [FORK, FORK_BEFORE, FORK_AMID], ids=["after", "before", "amid"])
def test_a_forked_child_may_step(python, layer, program):
    assert python(COMMON + program, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "done"


@needs_fork
@pytest.mark.parametrize("layer", LAYERS)
def test_a_small_step_starts_no_threads_so_that_a_child_may_have_its_own(python, layer):
    assert python(COMMON + SMALL, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "done"


@needs_fork
@with_omp
def test_a_child_may_step_after_other_code_has_started_the_threads(python):
    program = """
import numba

@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += x[i]
    return s

total(np.ones(10))
theta = np.ones(100_000, np.float32)
print(child(lambda: AdamW([theta]).step([theta.copy()]) or "done"))
"""
    assert python(COMMON + program, NUMBA_THREADING_LAYER="omp", NUMBA_NUM_THREADS="2") == "done"


def test_a_generated_module_loads_the_runtime_alone(python):
    program = """
import sys, numpy
from optgen.generated.cpu.adamw import AdamW
AdamW([numpy.ones(3)]).step([numpy.ones(3)])
print(*sorted(name for name in sys.modules if name.startswith("optgen.")))
print(*sorted({"sympy", "mpmath", "rich", "typer", "torch"} & set(sys.modules)))
"""
    ours, _, heavy = python(program).partition("\n")
    assert not heavy
    assert all(name.startswith(("optgen.runtime", "optgen.generated")) for name in ours.split())


SOURCES = [ROOT / "generated" / "cpu" / name for name in ("adamw.py", "sgdm.py")]
SOURCES += sorted((ROOT / "optgen" / "runtime").glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_imports_name_numpy_numba_and_the_runtime_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    roots = {name if name.startswith("optgen") else name.partition(".")[0] for name in names}
    foreign = {root for root in roots - sys.stdlib_module_names if not root.startswith("optgen.runtime")}
    assert foreign <= {"numpy", "numba", *({"cuda", "llvmlite"} if path.stem in ("cuda", "cuda_host") else ())}
