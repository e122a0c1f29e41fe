"""Kernels whose calls are noted: what is done with them, by which thread, and what a failure leaves."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

from optgen.runtime.core.table import At
from optgen.runtime.core.turn import TURN, run
from optgen.runtime.cpu.notes import Due, kernel, prepared
from optgen.runtime.cpu.threads import start

SOME = 7


@kernel
def count(tasks: Any, done: Any, limit: Any) -> None:
    """Count what is done of each task; fail at one that is too large."""
    for k in range(tasks[0], tasks[-1]):
        if k >= limit[0]:
            raise ValueError
        done[k] += 1


@kernel
def double(at: Any, done: Any) -> None:
    """Double what belongs to each tensor."""
    for j in at.tensors:
        done[j] *= 2


def at(*tensors: int) -> At:
    return At(np.array(tensors), *[np.empty(0, np.int64)] * (len(At._fields) - 2), np.empty((0, 3), np.int64))


def ready(*calls: Any) -> list[Any]:
    return prepared(list(map(Due, calls)))


def test_python_calls_them_with_arrays() -> None:
    done = np.zeros(SOME)
    count(np.array([1, 3]), done, np.array([SOME]))
    double(at(2, 5), done)
    assert done.tolist() == [0, 1, 2, 0, 0, 0, 0]
    with pytest.raises(MemoryError):
        count(np.array([0, SOME]), done, np.array([3]))


def test_all_that_follow_each_other_are_one_call() -> None:
    done, seen = np.zeros(SOME), []
    counted = partial(count, np.arange(SOME + 1), done, np.array([SOME]))
    calls = ready(counted, partial(double, at(0), done), partial(seen.append, 1), counted, counted)
    assert len(calls) == 3
    run(calls)
    assert (done.tolist(), seen) == ([4, *[3] * (SOME - 1)], [1])


@pytest.mark.parametrize("count_of_tasks", [1, 2, 1000])
def test_threads_do_each_task_once_and_one_that_fails_fails_the_call(count_of_tasks: int) -> None:
    tasks, done, limit = np.arange(count_of_tasks + 1), np.zeros(count_of_tasks), np.array([count_of_tasks])
    with TURN:
        start()
        calls = ready(partial(count, tasks, done, limit), partial(double, at(0), done))
        run(calls)
        assert done.tolist() == [2, *[1] * (count_of_tasks - 1)]
        limit[0] = count_of_tasks - 1
        with pytest.raises(MemoryError, match="found no room"):
            run(calls)
        assert done[0] == 2 + (count_of_tasks > 1), "what comes after a failure is not done"


def test_what_a_call_reads_is_kept_as_long_as_it() -> None:
    done = np.zeros(SOME)
    made = ready(*[partial(count, np.arange(SOME + 1), done, np.array([SOME])) for _ in range(50)])
    gc.collect()
    run(made)
    assert done.tolist() == [50] * SOME


def test_a_kernel_says_what_it_is_to_do() -> None:
    def idle(x: Any) -> None:
        tasks = x
        tasks[0] = 1

    with pytest.raises(ValueError, match=r"`tasks` or `at`: none of \('x',\) is"):
        kernel(idle)


RULES = {
    "adamw": ({"rounding": "stochastic", "store": {"m": "float16"}}, True),
    "clip_global_norm_adamw": ({}, True),
    "adafactor": ({}, False),
    "sm3": ({}, False),
    "adamp": ({}, False),
    "lamb": ({}, False),
}
"""How they are made, and whether kernels want memory of their own in a step: for a chunk's chances, for a number of
each tensor that is put in order. No other total does, of however many columns."""


@pytest.mark.parametrize("name", RULES)
def test_all_that_a_step_allocates_is_freed_and_most_kernels_need_nothing(generated_by_name: Any, name: str) -> None:
    options, wants = RULES[name]
    opt = generated_by_name(name).kind([np.ones((50, 40), np.float32), np.ones(7, np.float32)], **options)
    grads = [np.ones_like(param) for param in opt.params]
    opt.step(grads)
    was_counted = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        opt.step(grads)
        after = rtsys.get_allocation_stats()
    finally:
        if not was_counted:
            _nrt_python.memsys_disable_stats()
    assert after.mi_alloc - before.mi_alloc == after.mi_free - before.mi_free
    to_be_called = 1  # for Python to hand over the array of notes
    assert (after.mi_alloc - before.mi_alloc > to_be_called) is wants
