"""Every rule does to tensors what it does to arrays of NumPy; one's own rules do, too."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import optgen
from optgen import Let, Optimizer, g, state, theta
from optgen.errors import UsageError
from optgen.hypers import lr, momentum
from optgen.runtime.core.storage import dtype_of

SHAPES = ((3, 4), (5,), (), (0, 3), (2, 3, 4), (1, 7))


def drawn(k: int) -> list[np.ndarray]:
    rng = np.random.default_rng(k)
    return [np.asarray(rng.normal(size=shape)) for shape in SHAPES]


def tensors(torch: Any, arrays: list[np.ndarray], dtype: Any = None) -> list[Any]:
    return [torch.nn.Parameter(torch.from_numpy(array.copy()).to(dtype or torch.float64)) for array in arrays]


def test_every_rule_has_the_same_bits(generated: Any, torch: Any, ours: Any) -> None:
    arrays = drawn(0)
    params = tensors(torch, arrays)
    there = generated.kind(arrays)
    kind = ours.optimizer(generated.optimizer.name)
    if generated.optimizer.title in ("Adam", "AdamW", "Adagrad", "SGD", *DIRECT):  # of which torch has its own defaults
        kind = ours.optimizer(generated.module)
    here = kind(params)
    for k in range(1, 7):
        grads = drawn(k)
        there.step(grads)
        for param, grad in zip(params, grads, strict=True):
            param.grad = torch.from_numpy(grad.copy())
        here.step()
    for param, array in zip(params, arrays, strict=True):
        np.testing.assert_array_equal(param.detach().numpy(), array)
    evaluated = here.eval_params()
    for mine, other in zip(evaluated, there.eval_params(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), other)


DIRECT = ("Adadelta", "Adafactor", "Adamax", "ASGD", "NAdam", "RAdam", "RMSProp", "Rprop")


@pytest.mark.parametrize("options", [{}, {"master": True}, {"kahan": True}, {"rounding": "stochastic"}], ids=str)
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_parameters_of_16_bits(name: str, options: dict[str, Any], torch: Any, ours: Any) -> None:
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    arrays = [array.astype(dtype_of(name)) for array in drawn(0)]
    params = [
        torch.nn.Parameter(torch.from_numpy(array.astype(np.float32)).to(getattr(torch, name))) for array in arrays
    ]
    there = import_module("optgen.generated.cpu.adamw").AdamW(arrays, lr=0.01, **options, store={"v": "f32"})
    here = ours.AdamW(params, lr=0.01, **options, store={"exp_avg_sq": torch.float32})
    for k in range(1, 9):
        grads = [grad.astype(dtype_of(name)) for grad in drawn(k)]
        there.step(grads)
        for param, grad in zip(params, grads, strict=True):
            param.grad = torch.from_numpy(grad.astype(np.float32)).to(param.dtype)
        here.step()
    for param, array in zip(params, arrays, strict=True):
        np.testing.assert_array_equal(param.detach().float().numpy(), array.astype(np.float32))
    assert {x.dtype for x in here.state[params[0]].values()} >= {torch.float32, getattr(torch, name)}


@pytest.mark.parametrize("beside", ["master", "kahan"])
def test_what_is_written_to_a_parameter_of_16_bits_holds(beside: str, torch: Any, ours: Any) -> None:
    param = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = ours.SGD([param], lr=1e-4, **{beside: True})
    for k in range(6):
        param.grad = torch.ones(4, dtype=torch.bfloat16)
        optimizer.step()
        if k == 3:
            with torch.no_grad():
                param.fill_(2.0)
    exact = optimizer.state[param]["master"] if beside == "master" else param.double() + optimizer.state[param]["kahan"]
    assert torch.allclose(exact.double(), torch.full((4,), 2 - 2e-4), rtol=1e-5)


def test_gradients_of_16_bits_go_with_parameters_of_32(torch: Any, ours: Any) -> None:
    one, other = (torch.nn.Parameter(torch.ones(9, dtype=torch.float32)) for _ in range(2))
    for param, dtype in ((one, torch.bfloat16), (other, torch.float32)):
        param.grad_dtype = None
        param.grad = torch.arange(9).to(dtype)
        ours.AdamW([param], lr=0.1).step()
    assert one.equal(other)


b = state("b")
HEAVY = Optimizer("heavy", "Heavy", step=(Let(b.next, momentum * b + g), Let(theta.next, theta - lr * b.next)))


def test_a_rule_of_ones_own(torch: Any, ours: Any, pairs: Any, taught: Any, close: Any) -> None:
    module = optgen.compile(HEAVY)
    for kind, maximize in (
        (ours.optimizer(HEAVY), False),
        (ours.optimizer(module), False),
        (ours.optimizer(HEAVY), True),
    ):
        one, other = pairs()
        mine = kind(one, lr=0.1, momentum=0.8, maximize=maximize)
        theirs = torch.optim.SGD(other, lr=0.1, momentum=0.8, maximize=maximize)
        for k in range(5):
            taught(k, one, other)
            mine.step()
            theirs.step()
        assert close(one, other)
        assert mine.state_dict()["state"][0].keys() == {"b", "step"}
    with pytest.raises(UsageError, match="pass the Optimizer that it was made from"):
        ours.optimizer(module)(pairs()[0], maximize=True)
    with pytest.raises(TypeError, match="expected an Optimizer, a module of one or the name"):
        ours.optimizer(3)


def test_names(torch: Any, ours: Any) -> None:
    assert ours.Lion is ours.optimizer("lion") is ours.optimizer("Lion")
    assert ours.Lion.__doc__.startswith("Lion for all arrays")
    assert set(dir(ours)) >= {"AdamW", "Lion", "LookaheadAdamW", "SGD", "optimizer"}
    with pytest.raises(AttributeError, match="has no optimizer 'AdmW': did you mean"):
        ours.AdmW  # noqa: B018
    with pytest.raises(ImportError):
        exec("from optgen.torch import Nothing")  # noqa: S102
    for kind in (ours.AdamW, ours.Lion):
        assert list(inspect.signature(kind).parameters)[:3] == ["params", "lr", "betas"]


def test_decays_by_either_name(torch: Any, ours: Any) -> None:
    param = torch.nn.Parameter(torch.ones(3))
    assert ours.AdamW([param], beta1=0.5).defaults["betas"] == (0.5, 0.999)
    groups = ours.Lion([{"params": [param], "beta2": 0.5}], betas=(0.1, 0.2)).param_groups
    assert groups[0]["betas"] == (0.1, 0.5)
    assert "beta2" not in groups[0]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        ours.AdamW([param], beta=0.5)
    with pytest.raises(TypeError, match=r"^Lion: .*'beta'; expected params and some of lr, betas, .* as_matrices$"):
        ours.Lion([param], beta=0.5)
    with pytest.raises(ValueError, match="outside its domain"):
        ours.Lion([param], lr=-1.0)


@pytest.mark.parametrize("name", ["ClipGlobalNormAdamW", "SWATS"])
def test_totals_of_the_model_are_of_all_groups(name: str, torch: Any, ours: Any) -> None:
    whole, parted = tensors(torch, drawn(0)), tensors(torch, drawn(0))
    kind = getattr(ours, name)
    both = [kind(whole), kind([{"params": parted[:2]}, {"params": parted[2:]}])]
    for k in range(1, 5):
        for params, optimizer in zip((whole, parted), both, strict=True):
            for param, grad in zip(params, drawn(k), strict=True):
                param.grad = torch.from_numpy(grad.copy())
            optimizer.step()
    assert all(a.equal(b) for a, b in zip(whole, parted, strict=True))


def test_options_that_change_are_looked_at_again(torch: Any, ours: Any) -> None:
    theta = torch.nn.Parameter(torch.zeros(3))
    its = ours.SGD([theta], lr=1.0)
    group = its.param_groups[0]

    def moved() -> float:
        before = theta.detach().clone()
        theta.grad = torch.ones(3)
        its.step()
        return float((before - theta.detach())[0])

    assert [moved(), moved()] == [1, 1]
    for wrong, error in ((True, TypeError), ("1", TypeError), (None, TypeError), (-1.0, ValueError)):
        group["lr"] = wrong
        with pytest.raises(error, match="lr"):
            moved()
    group["lr"] = torch.tensor(0.5)
    assert moved() == 0.5
    group["lr"].fill_(0.25)
    assert moved() == 0.25
    group["lr"] = 2
    assert moved() == 2
    group["maximize"] = True
    assert moved() == -2


def test_what_is_in_a_list_of_options_is_looked_at_at_each_step(torch: Any, ours: Any) -> None:
    theta = torch.nn.Parameter(torch.zeros(3))
    its, betas = ours.Adam([theta], lr=1.0), [0.0, 0.0]
    its.param_groups[0]["betas"] = betas
    for beta in (0.0, 2.0):
        betas[0] = beta
        theta.grad = torch.ones(3)
        if beta < 1:
            its.step()
        else:
            with pytest.raises(ValueError, match="beta1"):
                its.step()
