"""Tensors of more than two dimensions, seen as matrices of a row for each place in the first."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import optgen
from optgen import ROW, Let, Optimizer, RowNorm, g, state, theta
from optgen.bench.heats import BY_ROWS
from optgen.hypers import lr

SHAPES = ((8, 4, 3, 3), (7,), (5, 6), (), (3, 2, 5), (2, 0, 3), (6, 1, 1, 1))


def as_matrix(array: np.ndarray) -> np.ndarray:
    """A view of the same memory, a row for each place in the first of more than two dimensions."""
    return array.reshape(array.shape[0], int(np.prod(array.shape[1:]))) if array.ndim > 2 else array


def drawn(k: int) -> list[np.ndarray]:
    rng = np.random.default_rng(k)
    return [np.asarray(rng.normal(size=shape)) for shape in SHAPES]


def pair(kind: Any, **options: Any) -> tuple[Any, Any]:
    """An optimizer of tensors seen as matrices, and one of matrices, after the same steps."""
    ours, others = kind(drawn(0), as_matrices=True, **options), kind(list(map(as_matrix, drawn(0))), **options)
    for k in range(1, 4):
        ours.step(drawn(k))
        others.step(list(map(as_matrix, drawn(k))))
    return ours, others


def assert_same(ours: Any, others: Any) -> None:
    """The same bits, in parameters and in states, which broadcast against parameters."""
    held = ((ours.params, others.params), *((its, others.state[name]) for name, its in ours.state.items()))
    for mine, theirs in held:
        for a, b, param in zip(mine, theirs, ours.params, strict=True):
            np.testing.assert_array_equal(as_matrix(a), b)
            assert np.broadcast_shapes(a.shape, param.shape) == param.shape


@pytest.mark.parametrize("name", [*BY_ROWS, "adamw"])
def test_a_tensor_is_stepped_as_the_matrix_it_is_seen_as(generated_by_name: Any, name: str) -> None:
    assert_same(*pair(generated_by_name(name).kind))


def test_all_rules_of_rows_and_columns_are_here(reducing: Any) -> None:
    kinds = {*reducing.module.PROGRAM.kinds.values()}
    assert (reducing.optimizer.name in BY_ROWS) is bool(kinds & {"row", "column", "part"})


def test_states_of_rows_that_start_from_theta() -> None:
    first = state("first", space=ROW, init=RowNorm(theta))
    rule = Optimizer("rule", title="Rule", step=(Let(first.next, first), Let(theta.next, theta - lr * g / first)))
    assert_same(*pair(optgen.compile(rule).Rule))


def test_a_state_dict_is_of_the_same_shapes(generated_by_name: Any) -> None:
    kind = generated_by_name("adafactor").kind
    ours, _ = pair(kind)
    later = kind(drawn(0), as_matrices=True)
    later.load_state_dict(ours.state_dict())
    np.testing.assert_array_equal(later.state["r"][0], ours.state["r"][0])
    assert later.state["r"][0].shape == (8, 1, 1, 1)
    assert later.state["c"][0].shape == (1, 4, 3, 3)


@pytest.mark.parametrize("there", [True, False])
def test_a_state_dict_of_tensors_seen_the_other_way_is_refused_in_words(generated_by_name: Any, *, there: bool) -> None:
    kind = generated_by_name("adafactor").kind
    one, another = kind(drawn(0), as_matrices=there), kind(drawn(0), as_matrices=not there)
    expected, got = (re.escape(str(its.state["r"][0].shape)) for its in (another, one))
    said = rf"'r\.0': expected shape {expected}, got {got}, as optimizers with as_matrices={there} have it; make"
    with pytest.raises(ValueError, match=said):
        another.load_state_dict(one.state_dict())
    wrong = {**another.state_dict(), "r.0": np.zeros(5)}
    with pytest.raises(ValueError, match=r"got \(5,\)$"):
        another.load_state_dict(wrong)


def test_groups_that_are_added_are_seen_so_too(generated_by_name: Any) -> None:
    kind = generated_by_name("sm3").kind
    ours = kind(drawn(0)[1:], as_matrices=True)
    ours.add_group(drawn(0)[:1])
    assert ours.state["r"][-1].shape == (8, 1, 1, 1)


@pytest.mark.parametrize("wrong", [1, "rows", None])
def test_it_is_true_or_false(generated_by_name: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="as_matrices"):
        generated_by_name("adamw").kind(drawn(0), as_matrices=wrong)
