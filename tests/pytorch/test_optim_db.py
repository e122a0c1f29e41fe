"""PyTorch's own list of what its optimizers are to be tried with: the same numbers, the same errors, the same states.

`pytest -k how_many tests/pytorch` prints how much of the list there is.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest

NAMES = "Adadelta Adafactor Adagrad Adam Adamax AdamW ASGD NAdam RAdam RMSprop Rprop SGD".split()
ELSEWHERE = {
    "LBFGS": "a search of its own, no update rule",
    "Muon": "products of matrices, which the language does not have",
    "SparseAdam": "for sparse gradients, which kernels do not take",
}
"""Optimizers of the list that are not here, and why."""
STEPS, AGREEMENT = 20, 1e-12


def all_listed() -> dict[str, Any]:
    pytest.importorskip("expecttest", reason="No module named 'expecttest', which torch.testing needs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        listed = pytest.importorskip("torch.testing._internal.common_optimizers")
    return {info.optim_cls.__name__: info for info in listed.optim_db}


def listed(name: str) -> Any:
    return all_listed()[name]


def params_of(torch: Any, name: str) -> list[Any]:
    torch.manual_seed(0)
    shapes = [(3, 4), (5,), (), (2, 3, 4, 5), (1, 7), *([] if name == "Adafactor" else [(0, 3)])]  # there torch fails
    return [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]


def copied(torch: Any, params: list[Any]) -> list[Any]:
    return [torch.nn.Parameter(param.detach().clone()) for param in params]


def train(torch: Any, steps: range, *pairs: tuple[list[Any], Any]) -> None:
    """Take the same steps with several optimizers."""
    for k in steps:
        torch.manual_seed(100 + k)
        grads = [torch.randn(param.shape) * 10.0 ** (k % 5 - 2) for param in pairs[0][0]]
        for params, optimizer in pairs:
            for param, grad in zip(params, grads, strict=True):
                param.grad = grad.clone()
            optimizer.step()


def apart(one: list[Any], other: list[Any]) -> float:
    """The largest difference of two models, beside the size of a tensor's largest element."""
    pairs = [(a.detach(), b.detach()) for a, b in zip(one, other, strict=True) if a.numel()]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in pairs)


def options_of(name: str) -> list[Any]:
    return listed(name).optim_inputs_func(device="cpu")


@pytest.mark.parametrize("optimizer", NAMES)
def test_every_configuration_computes_what_torch_does(optimizer: str, torch: Any, ours: Any) -> None:
    for each in options_of(optimizer):
        mine = params_of(torch, optimizer)
        other = copied(torch, mine)
        theirs = getattr(torch.optim, optimizer)(other, **each.kwargs, foreach=False)
        fused = getattr(ours, optimizer)(mine, **each.kwargs)
        train(torch, range(STEPS), (mine, fused), (other, theirs))
        assert apart(mine, other) < AGREEMENT, each.desc
        one, two = fused.state_dict(), theirs.state_dict()
        assert {k: its.keys() for k, its in one["state"].items()} == {k: its.keys() for k, its in two["state"].items()}
        assert [group.keys() for group in one["param_groups"]] == [group.keys() for group in two["param_groups"]]


@pytest.mark.parametrize("optimizer", NAMES)
def test_states_go_to_torch_and_back(optimizer: str, torch: Any, ours: Any) -> None:
    """After half of the steps; then ours, ours with the states of torch, and torch with ours, all go on."""
    for each in options_of(optimizer):
        kind, theirs = getattr(ours, optimizer), getattr(torch.optim, optimizer)
        mine = params_of(torch, optimizer)
        fused = kind(mine, **each.kwargs)
        train(torch, range(10), (mine, fused))
        there, back = copied(torch, mine), copied(torch, mine)
        in_torch, again = theirs(there, **each.kwargs, foreach=False), kind(back, **each.kwargs)
        in_torch.load_state_dict(deepcopy(fused.state_dict()))  # torch's own shares tensors with what it loads
        again.load_state_dict(deepcopy(in_torch.state_dict()))
        train(torch, range(10, STEPS), (mine, fused), (there, in_torch), (back, again))
        assert all(torch.equal(a, b) for a, b in zip(mine, back, strict=True)), each.desc
        assert apart(mine, there) < AGREEMENT, each.desc
        last, into = copied(torch, there), copied(torch, there)
        of_torch, of_ours = theirs(last, **each.kwargs, foreach=False), kind(into, **each.kwargs)
        of_torch.load_state_dict(deepcopy(in_torch.state_dict()))
        of_ours.load_state_dict(in_torch.state_dict())
        train(torch, range(STEPS, 2 * STEPS), (last, of_torch), (into, of_ours))
        assert apart(into, last) < AGREEMENT, each.desc


@contextmanager
def expected(each: Any) -> Iterator[None]:
    with (
        pytest.warns(each.error_type, match=each.error_regex)
        if issubclass(each.error_type, Warning)
        else pytest.raises(each.error_type, match=each.error_regex)
    ):
        yield


def refused(each: Any, torch: Any, kind: Callable[..., Any]) -> None:
    given = each.optimizer_error_input
    params = given.params if given.params is not None else [torch.nn.Parameter(torch.randn(2, 3))]
    if each.error_on.name == "CONSTRUCTION_ERROR":
        with expected(each):
            kind(params, **given.kwargs)
    else:
        optimizer = kind(params, **given.kwargs)
        with expected(each):
            optimizer.step()


@pytest.mark.parametrize("optimizer", NAMES)
def test_what_torch_refuses_is_refused_in_its_words(optimizer: str, torch: Any, ours: Any) -> None:
    for each in listed(optimizer).optim_error_inputs_func(device="cpu", dtype=torch.float64):
        refused(each, torch, getattr(ours, optimizer))


def test_how_many_there_are(torch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = all_listed()
    assert set(found) <= {*NAMES, *ELSEWHERE}
    count = {name: len(info.optim_inputs_func(device="cpu")) for name, info in found.items()}
    errors = {name: len(info.optim_error_inputs_func("cpu", torch.float64)) for name, info in found.items()}
    lines = []
    for what, its in (("configurations", count), ("error inputs", errors)):
        lines += [f"{what}: {sum(its[name] for name in NAMES)} of {sum(its.values())}"]
        lines += [f"    not the {its[name]} of {name}: {why}" for name, why in ELSEWHERE.items()]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
