"""What tests with PyTorch share; without it they are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest


@pytest.fixture
def torch() -> Iterator[Any]:
    """PyTorch, in which numbers have 64 bits, the counts of its optimizers among them."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.fixture
def ours(torch: Any) -> Any:
    """`optgen.torch`."""
    return import_module("optgen.torch")


@pytest.fixture
def pairs(torch: Any) -> Callable[..., tuple[list[Any], list[Any]]]:
    """Two lists of the same parameters: ``pairs((3, 4), (5,))``."""

    def made(*shapes: tuple[int, ...], **kind: Any) -> tuple[list[Any], list[Any]]:
        torch.manual_seed(0)
        one = [torch.nn.Parameter(torch.randn(shape, **kind)) for shape in shapes or ((3, 4), (5,), ())]
        return one, [torch.nn.Parameter(param.detach().clone()) for param in one]

    return made


@pytest.fixture
def taught(torch: Any) -> Callable[..., None]:
    """Give two models the same gradients: ``taught(k, one, other)``, of the k-th step."""

    def teach(k: int, *models: list[Any]) -> None:
        torch.manual_seed(100 + k)
        for same in zip(*models, strict=True):
            grad = torch.randn(same[0].shape, dtype=same[0].dtype)
            for param in same:
                param.grad = grad.clone(memory_format=torch.preserve_format)

    return teach


@pytest.fixture
def close(torch: Any) -> Callable[[list[Any], list[Any]], bool]:
    """Whether two models agree to 1e-12."""
    return lambda one, other: all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(one, other, strict=True))
