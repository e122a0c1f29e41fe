"""Parameter groups, parameters without a gradient, and what is refused of both."""

from __future__ import annotations

import copy
import pickle
from types import ModuleType

import numpy as np
import pytest

from optgen import STEP, Let, Optimizer, build, g, state, theta
from optgen.generated.cpu.adamw import AdamW
from optgen.generated.cpu.schedule_free_sgd import ScheduleFreeSGD
from optgen.generated.cpu.sgdm import SGDM
from optgen.hypers import lr, momentum

weight = state("weight", space=STEP)
COUNTING = Optimizer(
    "counting",
    title="Counting",
    step=(Let(weight.next, momentum * weight + 1), Let(theta.next, theta - lr * g / weight.next)),
)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return build.compile(COUNTING)


def grouped(params, **hypers):
    """Two groups of the five arrays, of which both have some of either dtype."""
    return [{"params": params[:2], "lr": 0.5, **hypers}, {"params": params[2:]}]


def bytes_of(values):
    return [array.tobytes() for array in values]


def falling(t):
    return 1 / t


def test_groups_are_one_list_in_what_an_optimizer_shows(arrays):
    params = arrays(0)
    optimizer = AdamW(grouped(params, weight_decay=0.0), lr=0.1, eps=1e-6)
    assert [x is y for x, y in zip(optimizer.params, params, strict=True)] == [True] * 5
    assert len(optimizer.state["m"]) == 5
    assert optimizer.hypers["lr"].tolist() == [0.5, 0.1]
    first, second = optimizer.groups
    assert (first["lr"], first["weight_decay"], first["eps"]) == (0.5, 0.0, 1e-6)
    assert (second["lr"], second["weight_decay"], second["eps"]) == (0.1, 0.01, 1e-6)
    assert second["params"][0] is params[2]
    with pytest.raises(TypeError):
        first["lr"] = 1.0
    assert repr(optimizer).startswith("AdamW(5 arrays, 323 elements, 2 groups, t=0, lr=[0.5, 0.1], beta1=0.9, ")


def test_one_group_is_as_no_group(arrays):
    one, other = AdamW([{"params": arrays(0), "lr": 0.5}]), AdamW(arrays(0), lr=0.5)
    for optimizer in (one, other):
        optimizer.step(arrays(1))
    assert bytes_of(one.params) == bytes_of(other.params)
    assert repr(one) == repr(other)
    assert one.hypers == other.hypers
    assert list(one.state_dict()) == list(other.state_dict())


def test_groups_of_dicts_have_keys(arrays):
    w, b = arrays(0)[:2]
    optimizer = SGDM([{"params": {"w": w}}, {"params": {"b": b}, "lr": 2.0}], lr=1.0, momentum=0.0)
    before = b.copy()
    optimizer.step({"b": np.ones_like(b), "w": np.ones_like(w)})
    assert (b == before - 2).all()
    assert optimizer.params["w"] is w
    assert list(optimizer.groups[1]["params"]) == ["b"]
    assert {"b.w", "b.b"} < optimizer.state_dict().keys()


@pytest.mark.parametrize("kind", [AdamW, ScheduleFreeSGD])
def test_groups_are_as_an_optimizer_each(arrays, kind):
    mine, others = arrays(0), arrays(0)
    together = kind(grouped(mine), lr=falling)
    alone = [kind(others[:2], lr=0.5), kind(others[2:], lr=falling)]
    for seed in (1, 2, 3):
        grads = arrays(seed)
        together.step(grads)
        alone[0].step(grads[:2])
        alone[1].step(grads[2:])
    assert bytes_of(mine) == bytes_of(others)
    assert bytes_of(together.eval_params()) == bytes_of([*alone[0].eval_params(), *alone[1].eval_params()])


def test_hyperparameters_of_a_group_are_set_alone_and_those_of_a_step_hold_for_all(arrays):
    optimizer = SGDM(grouped(arrays(0)), lr=0.1)
    optimizer.set(group=1, lr=falling)
    assert optimizer.hypers["lr"].tolist() == [0.5, 1.0]
    optimizer.set(momentum=0.0)
    assert optimizer.hypers["momentum"].tolist() == [0.0, 0.0]
    before = [x.copy() for x in optimizer.params]
    optimizer.step([np.ones_like(x) for x in optimizer.params], lr=2.0)
    for old, new in zip(before, optimizer.params, strict=True):
        np.testing.assert_array_equal(new, old - 2)
    assert optimizer.hypers["lr"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("kind", [AdamW, SGDM])
def test_a_parameter_without_a_gradient_is_left_out_and_counts_its_own_steps(arrays, kind):
    mine, others = arrays(0), arrays(0)
    optimizer, alone = kind(mine), [kind([x]) for x in others]
    for seed in range(1, 8):
        grads = arrays(seed)
        there = [seed in (1, 7) or k % seed == 0 for k in range(5)]
        optimizer.step([x if its else None for x, its in zip(grads, there, strict=True)], missing="skip")
        for k in np.flatnonzero(there):
            alone[k].step([grads[k]])
    assert optimizer.t == 7
    assert optimizer.state_dict()["t.each"].tolist() == [one.t for one in alone]
    assert bytes_of(mine) == bytes_of(others)


def test_a_step_without_any_gradient_only_counts(arrays, unchanged):
    optimizer = AdamW(arrays(0), lr=falling)
    before = bytes_of(optimizer.params)
    optimizer.step([None] * 5, missing="skip")
    assert optimizer.t == 1
    assert bytes_of(optimizer.params) == before
    assert optimizer.hypers["lr"] == 1 / 2


def test_no_pattern_of_gradients_and_no_group_compiles_anything(arrays):
    optimizer = AdamW(grouped(arrays(0)))
    optimizer.step(arrays(1))
    functions = optimizer.program.scalars, optimizer.program.sweep
    before = [list(function.signatures) for function in functions]
    for left_out in range(5):
        optimizer.step([None if k == left_out else x for k, x in enumerate(arrays(2))], missing="skip")
    optimizer.step(arrays(3))
    assert [list(function.signatures) for function in functions] == before


def copies(optimizer):
    return copy.copy(optimizer), copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))  # noqa: S301 - our own


def test_copies_and_resumed_runs_go_on_bit_for_bit(arrays, tmp_path, module):
    params = arrays(0)
    optimizer = module.Counting(grouped(params, momentum=0.5), lr=falling)
    for seed in (1, 2):
        grads = arrays(seed)
        optimizer.step([grads[0], None, *grads[2:]], missing="skip")
    optimizer.set(group=0, lr=0.25)
    saved = optimizer.state_dict()
    assert saved["t"] == 2
    assert saved["t.each"].tolist() == [2, 0, 2, 2, 2]
    assert saved["weight"].tolist() == [1.5, 0, 1.9, 1.9, 1.9]
    assert saved["hyper.momentum"].tolist() == [0.5, 0.9]
    assert optimizer.state["weight"].tolist() == saved["weight"].tolist()
    np.savez(tmp_path / "state.npz", **saved)
    resumed = module.Counting(grouped([x.copy() for x in params]), lr=falling)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        resumed.load_state_dict(file)
    all_of_them = [*copies(optimizer), resumed]
    for one in (optimizer, *all_of_them):
        one.step(arrays(3))
    for one in all_of_them:
        assert bytes_of(one.params) == bytes_of(params)
        assert one.state_dict().keys() == optimizer.state_dict().keys()
        assert repr(one) == repr(optimizer)


def test_a_group_that_comes_later_has_taken_no_step(arrays):
    first, later = arrays(0)[:2], arrays(0)[2:]
    mine, others = [x.copy() for x in first], [x.copy() for x in later]
    optimizer = AdamW(first, lr=0.5, weight_decay=0.0)
    optimizer.set(lr=falling)
    alone = AdamW(mine, lr=falling, weight_decay=0.0)
    for one in (optimizer, alone):
        one.step(arrays(1)[:2])
    optimizer.add_group(later, eps=1e-3)
    assert optimizer.groups[1]["lr"] == 0.5
    assert optimizer.groups[1]["weight_decay"] == 0.0
    since = AdamW(others, lr=0.5, weight_decay=0.0, eps=1e-3)
    grads = arrays(2)
    optimizer.step(grads)
    alone.step(grads[:2])
    since.step(grads[2:])
    assert (optimizer.t, since.t) == (2, 1)
    assert bytes_of(first) == bytes_of(mine)
    assert bytes_of(later) == bytes_of(others)
    for twin in copies(optimizer):
        twin.add_group([np.ones(3)])
        assert len(twin.groups) == 3


def test_a_parameter_that_has_taken_no_step_has_states_that_follow_it():
    one, other = np.ones(3), np.ones(3)
    optimizer = ScheduleFreeSGD([one, other])
    optimizer.step([np.ones(3), None], missing="skip")
    other[:] = 5
    assert optimizer.state["z"][1].tolist() == [5] * 3
    assert optimizer.state["z"][0].tolist() != [1] * 3


A, B = np.zeros(3), np.zeros(4)
BAD = {
    "groups that share a tensor": (
        [{"params": [A]}, {"params": [B, A]}],
        r"params\[1\]\['params'\]\[1\] overlaps params\[0\]\['params'\]\[0\] in memory",
    ),
    "an empty group": ([{"params": [A]}, {"params": []}], r"params\[1\]\['params'\] is empty: expected at least one"),
    "a hyperparameter that the rule lacks": (
        [{"params": [A], "betas": 0}],
        r"params\[0\]: adamw has no hyperparameter 'betas': expected one of lr, ",
    ),
    "a value outside the domain": ([{"params": [A], "lr": -1}], r"params\[0\]: lr = -1.0 is outside its domain"),
    "a group without parameters": ([{"params": [A]}, {"lr": 1}], r"params\[1\]: expected 'params' among the keys"),
    "an array among groups": ([{"params": [A]}, B], r"params\[1\]: expected a group, as params\[0\] is, got ndarray"),
    "a bare array": ([{"params": A}], r"params\[0\]\['params'\]: expected a list.*put it in a list"),
    "a list and a dict": (
        [{"params": [A]}, {"params": {"b": B}}],
        r"params\[1\]\['params'\]: expected a list or tuple, as",
    ),
    "a key twice": ([{"params": {"a": A}}, {"params": {"a": B}}], "the key 'a' is in two groups"),
    "one group alone": (
        {"params": [A]},
        r"params: expected arrays or a list of groups, .* put it in a list: \[params\]",
    ),
    "an option of all groups": ([{"params": [A], "master": True}], r"params\[0\]: master: expected it where the opt"),
    "what is no array": ([{"params": ["a"]}], r"params\[0\]\['params'\]\[0\]: expected a numpy.ndarray, got str"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_groups_are_refused_in_words(what):
    params, said = BAD[what]
    with pytest.raises((TypeError, ValueError), match=said):
        AdamW(params)


def test_whatever_else_is_wrong_is_refused_before_anything_changes(arrays, unchanged):
    optimizer = AdamW(grouped(arrays(0)))
    optimizer.step(arrays(1))
    saved = optimizer.state_dict()
    grads = [None, *arrays(2)[1:]]
    refused = [
        (lambda: optimizer.step(grads), r"grads\[0\] is missing \(None\).*missing='skip'\) leaves its parameter out"),
        (lambda: optimizer.step(grads, missing="drop"), "missing = 'drop': expected 'error', or 'skip'"),
        (lambda: optimizer.step([arrays(2)[:2], arrays(2)[2:]]), "grads: expected 5 arrays, one a parameter, got 2"),
        (lambda: optimizer.step([*grads[:4], np.ones(3)], missing="skip"), r"grads\[4\]: expected dtype float32"),
        (lambda: optimizer.set(group=2, lr=1), "group = 2: expected one of 2, counted from 0"),
        (lambda: optimizer.set(group=-1, lr=1), "group = -1"),
        (lambda: optimizer.set(group=0, lr=-1), "outside its domain"),
        (lambda: optimizer.add_group([optimizer.params[0]]), "overlaps"),
        (lambda: optimizer.add_group([]), "is empty"),
        (lambda: optimizer.add_group({"w": np.ones(3)}), "expected a list or tuple, as"),
        (lambda: optimizer.add_group([np.ones(3)], rate=1), "no hyperparameter 'rate'"),
        (lambda: optimizer.add_group([np.ones(3)], kahan=True), "kahan: expected it where the optimizer is made"),
        (lambda: optimizer.load_state_dict({**saved, "t.each": [[1], [1, 2]]}), "'t.each': expected 5 integers"),
        (lambda: optimizer.load_state_dict({**saved, "hyper.lr": np.array([1, -1])}), "entry hyper.lr = -1.0 is out"),
        (lambda: optimizer.load_state_dict({**saved, "hyper.lr": 1.0}), "'hyper.lr': expected 2 numbers, as many as"),
        (lambda: optimizer.load_state_dict({**saved, "t.each": np.ones(5)}), "'t.each': expected 5 integers"),
        (lambda: optimizer.load_state_dict({**saved, "t.each": np.array([0, 1, 1, 1, 2])}), "from 0 to t = 1"),
        (lambda: AdamW(arrays(0)).load_state_dict(saved), "'hyper.lr': expected a number, as many as there are groups"),
    ]
    for call, said in refused:
        with unchanged(optimizer), pytest.raises((TypeError, ValueError), match=said):
            call()


@pytest.mark.parametrize("options", [{"master": True}, {"kahan": True}, {"store": {"m": "f32"}}], ids=str)
def test_groups_may_be_stored_in_16_bits(options):
    draw = np.random.default_rng(0)
    params = [draw.normal(size=shape).astype(np.float16) for shape in ((5, 3), (7,), (4,))]
    mine, others = [x.copy() for x in params], [x.copy() for x in params]
    optimizer = AdamW([{"params": mine[:1], "lr": 0.5}, {"params": mine[1:2]}], **options)
    alone = [AdamW([x], lr=rate, **options) for x, rate in zip(others, (0.5, 1e-3, 0.25), strict=True)]
    optimizer.step([np.ones_like(mine[0]), None], missing="skip")
    alone[0].step([np.ones_like(others[0])])
    optimizer.add_group(mine[2:], lr=0.25)
    for optimizer_again in (optimizer, copy.copy(optimizer)):
        optimizer_again.step([np.ones_like(x) for x in mine])
    for one, x in zip(alone, others, strict=True):
        one.step([np.ones_like(x)])
    assert bytes_of(mine) == bytes_of(others) == bytes_of(optimizer_again.params)
