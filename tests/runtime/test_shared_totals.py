"""A model of which every process has a part: totals are made one between what is added up and what is made of it."""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from optgen.runtime.core.sharing import SharedTotal, differs

SHAPES = [(40, 30), (64,), (6, 5, 4), (1, 8), (3, 2), (1,), (4, 1)]
"""Of those with a single row, column or element, one process has nothing."""
CALLS: list[SharedTotal] = []


def _kind(rule: str) -> Any:
    """The class of a generated module."""
    module = import_module(f"optgen.generated.cpu.{rule}")
    return next(x for x in vars(module).values() if isinstance(x, type) and x.__module__ == module.__name__)


def of_tensors_cut(
    total: SharedTotal,
    exchanged: Callable[[np.ndarray, str], np.ndarray],
    along: Sequence[int],
    *,
    as_matrices: bool = False,
) -> None:
    """Combine what has been added up here of values of which others have some too."""
    for k, (shape, cut) in enumerate(zip(SHAPES, along, strict=True)):
        of, over = (differs(kind, len(shape), cut, as_matrices=as_matrices) for kind in (total.of, total.over))
        if of and not over:
            mine = slice(*total.bounds[k : k + 2])
            total.values[mine] = exchanged(total.values[mine], total.how)


def of_whole_tensors(total: SharedTotal, exchanged: Callable[[np.ndarray, str], np.ndarray]) -> None:
    """Combine what has been added up over the tensors that are here."""
    if total.over == "model":
        total.values[:] = exchanged(total.values.copy(), total.how)


def _exchanged(pipe: Any, values: np.ndarray, how: str) -> np.ndarray:
    pipe.send(values)
    others = pipe.recv()
    return values + others if how == "sum" else np.maximum(values, others)


def _trained(rule: str, params: Sequence[np.ndarray], grads: Sequence[Sequence[np.ndarray]], **shared: Any) -> Any:
    name, _, seen = rule.partition(" ")
    opt = _kind(name)(params, as_matrices=bool(seen))
    if shared:
        opt.share(**shared)
    for each in grads:
        opt.step(list(each))
    return opt


def _in_process(pipe: Any, rule: str, params: Any, grads: Any, combine: Any, shapes: Any) -> None:
    try:
        _trained(rule, params, grads, combine=partial(combine, exchanged=partial(_exchanged, pipe)), shapes=shapes)
        pipe.send(params)
    except BaseException as error:
        pipe.send(error)
        raise


def _in_two(rule: str, halves: Any, combine: Any, shapes: Any) -> list[Any]:
    """The parameters of two processes, that exchange values through here."""
    fork = mp.get_context("fork")
    ends = [fork.Pipe() for _ in halves]
    workers = [
        fork.Process(target=_in_process, args=(there, rule, params, grads, combine, shapes))
        for (_, there), (params, grads) in zip(ends, halves, strict=True)
    ]
    for worker in workers:
        worker.start()
    pipes = [here for here, _ in ends]
    while True:
        found = [pipe.recv() for pipe in pipes]
        for each in found:
            if isinstance(each, BaseException):
                raise each
        if isinstance(found[0], list):
            break
        for pipe, values in zip(pipes, reversed(found), strict=True):
            pipe.send(values)
    for worker in workers:
        worker.join()
    return found


def _model(seed: int = 0) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    draw = np.random.default_rng(seed)
    params = [draw.normal(size=shape) for shape in SHAPES]
    return params, [[draw.normal(size=shape) for shape in SHAPES] for _ in range(4)]


RULES = [
    "adafactor",
    "clip_global_norm_adamw",
    "lamb",
    "sm3",
    *(f"{rule} of matrices" for rule in ("adafactor", "sm3")),
]


@pytest.mark.parametrize("along", ["first", "last"])
@pytest.mark.parametrize("rule", RULES)
def test_parts_of_tensors_become_what_the_whole_does(rule: str, along: str) -> None:
    params, grads = _model()
    whole = [each.copy() for each in params]
    _trained(rule, whole, grads)
    cut = [0 if along == "first" else len(shape) - 1 for shape in SHAPES]

    def half(arrays: Sequence[np.ndarray], side: int) -> list[np.ndarray]:
        pairs = [np.split(a, [a.shape[axis] // 2], axis) for a, axis in zip(arrays, cut, strict=True)]
        return [np.ascontiguousarray(pair[side]) for pair in pairs]

    halves = [(half(params, side), [half(each, side) for each in grads]) for side in (0, 1)]
    found = _in_two(rule, halves, partial(of_tensors_cut, along=cut, as_matrices=" " in rule), SHAPES)
    for k, expected in enumerate(whole):
        together = np.concatenate([found[0][k], found[1][k]], cut[k])
        np.testing.assert_allclose(together, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", ["clip_global_norm_adamw", "swats"])
def test_some_of_the_tensors_become_what_they_do_among_all(rule: str) -> None:
    params, grads = _model(1)
    whole = [each.copy() for each in params]
    _trained(rule, whole, grads)
    halves = [([a.copy() for a in params[side::2]], [each[side::2] for each in grads]) for side in (0, 1)]
    found = _in_two(rule, halves, of_whole_tensors, None)
    for side in (0, 1):
        for ours, expected in zip(found[side], whole[side::2], strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)


def test_a_total_is_seen_before_anything_is_made_of_it() -> None:
    seen: list[SharedTotal] = []
    params = [np.full((4, 3), 2.0), np.full(5, 1.0)]
    opt = _kind("clip_global_norm_adamw")(params)
    opt.share(seen.append)
    opt.step([np.full((4, 3), 3.0), np.full(5, 4.0)])
    squares = next(each for each in seen if (each.how, each.of, each.over) == ("sum", "element", "tensor"))
    np.testing.assert_array_equal(squares.values, [12 * 9.0, 5 * 16.0])
    assert squares.bounds.tolist() == [0, 1, 2]
    assert [each.over for each in seen][-1] == "model"


def test_what_cannot_be_shared_is_refused_in_words() -> None:
    params = [np.ones(3)]
    for rule, why in {
        "dog": "starts from what all of theta is",
        "gradient_noise_sgd": "where an element stands",
    }.items():
        with pytest.raises(ValueError, match=why):
            _kind(rule)(params).share(CALLS.append)
    opt = _kind("lamb")(params)
    with pytest.raises(TypeError, match="expected a function, got int"):
        opt.share(3)
    with pytest.raises(TypeError, match="expected a list of 1 shapes"):
        opt.share(CALLS.append, shapes=[(3,), (4,)])
    with pytest.raises(ValueError, match=r"params\[0\] has shape \(3,\): that is no part of a tensor of shape \(2,\)"):
        opt.share(CALLS.append, shapes=[(2,)])
    opt.step([np.ones(3)])
    assert not CALLS
