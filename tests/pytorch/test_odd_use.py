"""What scripts do with optimizers that few think of: files of older versions, other dtypes, memory that is gone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from optgen.runtime.core.turn import run

KINDS = "Adadelta Adafactor Adagrad Adam Adamax AdamW ASGD NAdam RAdam RMSprop Rprop SGD".split()
OPTIONS = {"SGD": {"lr": 0.1, "momentum": 0.9}}


def stepped(optimizer: Any, params: list[Any], taught: Any, steps: Iterator[int] | range) -> None:
    for k in steps:
        taught(k, params)
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_an_older_torch_has_fewer_options(
    kind: str, torch: Any, ours: Any, pairs: Any, taught: Any, close: Any
) -> None:
    since = "maximize foreach capturable differentiable fused decoupled_weight_decay nesterov centered amsgrad".split()
    one, other = pairs()
    optimizer = getattr(torch.optim, kind)(one, **OPTIONS.get(kind, {}))
    stepped(optimizer, one, taught, range(3))
    stepped(getattr(torch.optim, kind)(other, **OPTIONS.get(kind, {})), other, taught, range(3))
    saved = deepcopy(optimizer.state_dict())
    for name in since:
        saved["param_groups"][0].pop(name, None)
    mine = getattr(ours, kind)(other)
    mine.load_state_dict(saved)
    stepped(mine, other, taught, range(3, 6))
    stepped(optimizer, one, taught, range(3, 6))
    assert close(one, other) or kind in {"ASGD", "NAdam"}


@pytest.mark.parametrize(("saved", "loading", "missing"), [("Adam", "SGD", "momentum"), ("SGD", "Lion", "betas")])
def test_a_file_of_another_optimizer_is_refused_before_anything_changes(
    saved: str, loading: str, missing: str, torch: Any, ours: Any, pairs: Any, taught: Any
) -> None:
    params, _ = pairs()
    other = getattr(torch.optim, saved)(params)
    stepped(other, params, taught, range(2))
    optimizer = getattr(ours, loading)(params, lr=0.25)
    with pytest.raises(
        ValueError, match=rf"state dict: param_groups\[0\] has no .*{missing}.*expected those of {loading}"
    ):
        optimizer.load_state_dict(other.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert not optimizer.state
    stepped(optimizer, params, taught, range(2))


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "Adafactor", "Rprop"])
@pytest.mark.parametrize("how", ["loaded", "moved"])
def test_a_state_in_more_bits_than_are_computed_is_rounded(
    kind: str, how: str, torch: Any, ours: Any, pairs: Any, taught: Any
) -> None:
    one, other = pairs()
    stepped(getattr(torch.optim, kind)(other, **OPTIONS.get(kind, {})), other, taught, range(4))
    optimizer = getattr(ours, kind)(one, **OPTIONS.get(kind, {}))
    stepped(optimizer, one, taught, range(2))
    optimizer.zero_grad()
    for param in one:
        param.data = param.data.float()
    if how == "loaded":
        saved = optimizer.state_dict()
        optimizer = getattr(ours, kind)(one)
        optimizer.load_state_dict(saved)
    stepped(optimizer, one, taught, range(2, 4))
    assert all(torch.allclose(a.double(), b, atol=1e-6) for a, b in zip(one, other, strict=True))


def test_options_that_no_kernel_has_are_refused_in_words(torch: Any, ours: Any) -> None:
    param = torch.nn.Parameter(torch.ones(3))

    def refused(error: type[Exception], message: str, kind: Any = ours.Lion, **options: Any) -> None:
        with pytest.raises(error, match=message):
            kind([param], **options)

    refused(TypeError, "lr: expected a number, got a function.*LambdaLR", lr=lambda t: 1 / t)
    refused(TypeError, r"betas\[1\]: expected a number, got a function", betas=(0.9, lambda _: 0.9))
    refused(ValueError, r"lr: expected a number, or a tensor of one, got one of shape \(2,\)", lr=torch.ones(2))
    for betas in ((0.9,), (0.9, 0.99, 0.999), 0.9, "ab"):
        refused(ValueError, "betas: expected 2 numbers", betas=betas)
    refused(ValueError, "betas: expected 2 numbers", ours.AdamW, betas=(0.9, 0.99, 0.999))
    optimizer = ours.AdamW([param])
    param.grad = torch.ones(3)
    for key, value in {"lr": lambda t: 1 / t, "betas": (0.9,)}.items():
        before = optimizer.param_groups[0][key]
        optimizer.param_groups[0][key] = value
        with pytest.raises((TypeError, ValueError), match=f"{key}: expected"):
            optimizer.step()
        optimizer.param_groups[0][key] = before
    assert param.equal(torch.ones(3))
    optimizer.step()


@pytest.mark.parametrize("disturbed", ["a step that failed", "eval_params"])
@pytest.mark.parametrize("then", ["a group", "a copy", "a file"])
def test_nothing_that_is_no_step_counts_as_the_first(
    disturbed: str, then: str, torch: Any, ours: Any, pairs: Any, taught: Any, close: Any
) -> None:
    """Where torch keeps no count, the first step is the one that finds no momentum."""
    options = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}
    one, other = pairs()
    optimizer, theirs = ours.SGD(one[:2], **options), torch.optim.SGD(other[:2], **options)
    taught(0, one)
    if disturbed == "eval_params":
        optimizer.eval_params()
    else:
        one[1].grad.data = torch.ones(7)
        with pytest.raises(ValueError, match=r"grads\[1\]: expected shape"):
            optimizer.step()
    assert not any(optimizer.state_dict()["state"].values())
    if then == "a group":
        optimizer.add_param_group({"params": one[2:]})
        theirs.add_param_group({"params": other[2:]})
    elif then == "a copy":
        one, optimizer = deepcopy((one, optimizer))
    else:
        saved, optimizer = optimizer.state_dict(), torch.optim.SGD(one[:2])
        optimizer.load_state_dict(saved)
    stepped(optimizer, one, taught, range(3))
    stepped(theirs, other, taught, range(3))
    assert close(one, other)


def test_a_share_that_cannot_be_made_leaves_no_states(torch: Any, ours: Any) -> None:
    params = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(1).expand(3))]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "momentum": 0}]
    optimizer = ours.SGD(groups, lr=0.1, momentum=0.9)
    for param in params:
        param.grad = torch.ones(3)
    with pytest.raises(ValueError, match="several share memory"):
        optimizer.step()
    assert not optimizer.state


@pytest.mark.filterwarnings("ignore:ComplexHalf support")
@pytest.mark.parametrize("options", [{}, {"master": True}, {"kahan": True}, {"rounding": "stochastic"}], ids=str)
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_complex_numbers_of_32_bits_are_pairs_of_16(kind: str, options: Any, torch: Any, ours: Any) -> None:
    start, grads = (torch.randn(40, dtype=torch.complex64) for _ in range(2))
    one, other = (torch.nn.Parameter(its) for its in (start.to(torch.complex32), torch.view_as_real(start).half()))
    optimizers = [getattr(ours, kind)([param], lr=0.01, **options) for param in (one, other)]
    for k in range(4):
        one.grad, other.grad = grads.to(torch.complex32), torch.view_as_real(grads).half()
        for optimizer in optimizers:
            optimizer.step()
        if k == 1:
            with torch.no_grad():
                one.copy_(one.clone() * 2)
                other.mul_(2)
    assert torch.view_as_real(one.detach()).equal(other.detach())


@pytest.mark.filterwarnings("ignore:ComplexHalf support")
def test_states_of_complex_numbers_are_stored_in_what_torch_has(torch: Any, ours: Any) -> None:
    param = torch.nn.Parameter(torch.ones(3, dtype=torch.complex64))
    param.grad = torch.ones_like(param)
    for store, message in {"bf16": "no complex bfloat16", "f64": "computed in float32"}.items():
        with pytest.raises(ValueError, match=message):
            ours.AdamW([param], store={"exp_avg": store}).step()
    optimizer = ours.AdamW([param], store={"exp_avg": "f16"})
    optimizer.step()
    assert optimizer.state[param]["exp_avg"].dtype == torch.complex32


def _negative(torch: Any, shape: int) -> Any:
    return torch._neg_view(torch.ones(shape))


ODD_PARAMS: dict[str, Callable[[Any], Any]] = {
    r"pass params\[0\]\.resolve_neg\(\)": lambda torch: _negative(torch, 3),
    r"pass params\[0\]\.resolve_conj\(\)": lambda torch: torch.ones(3, dtype=torch.complex128).conj(),
}


@pytest.mark.parametrize("message", ODD_PARAMS)
def test_a_tensor_whose_memory_holds_other_numbers_is_refused(message: str, torch: Any, ours: Any) -> None:
    param = ODD_PARAMS[message](torch).detach().requires_grad_()
    param.grad = torch.ones_like(param)
    before = param.detach().clone()
    with pytest.raises(ValueError, match=message):
        ours.AdamW([param]).step()
    assert param.detach().clone().equal(before)


@pytest.mark.parametrize("what", ["params", "grads"])
@pytest.mark.parametrize("left", [0, 8])
def test_memory_that_was_let_go_of_is_not_touched(what: str, left: int, torch: Any, ours: Any) -> None:
    param, other = torch.nn.Parameter(torch.ones(40)), torch.nn.Parameter(torch.ones(3))
    optimizer = ours.SGD([param, other], lr=0.1)
    for k in range(2):  # the second finds all as it was
        param.grad, other.grad = torch.ones(40), torch.ones(3)
        if k == 0:
            optimizer.step()
    before = other.detach().clone()
    freed = param if what == "params" else param.grad
    if left and what == "grads":
        param.grad = freed = torch.ones(80)[::2]  # which is looked at
    freed.untyped_storage().resize_(left)
    message = "storage was resized to 8" if left else "has none"
    with pytest.raises(RuntimeError, match=rf"{what}\[0\]: .*{message}"):
        optimizer.step()
    assert other.equal(before)


@pytest.mark.parametrize("kind", ["NAdam", "SGD"])
def test_a_step_in_the_middle_of_a_step_comes_before_it(
    kind: str, torch: Any, ours: Any, pairs: Any, taught: Any
) -> None:
    """As a signal handler takes one; here it is taken when all of a step has been prepared."""
    one, other = pairs()
    optimizer, alone = (getattr(ours, kind)(params, lr=0.1) for params in (one, other))

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is run.__code__:
            sys.setprofile(None)
            optimizer.step()

    taught(0, one, other)
    for k in range(4):
        if k in {1, 3}:
            sys.setprofile(profile)
        optimizer.step()
    for _ in range(6):
        alone.step()
    assert all(a.equal(b) for a, b in zip(one, other, strict=True))
    assert str(optimizer.state_dict()["state"]) == str(alone.state_dict()["state"])
