"""Convolutions seen as matrices of a row for each output: the same as arrays of NumPy that are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

SHAPES = ((8, 4, 3, 3), (8,), (5, 6), (3, 2, 5))
RULES = ("adafactor_paper", "adam_mini", "adamp", "clip_unit_norm_sgdm", "sm3")


def drawn(k: int) -> list[np.ndarray]:
    rng = np.random.default_rng(k)
    return [rng.normal(size=shape) for shape in SHAPES]


@pytest.mark.parametrize("order", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("name", RULES)
def test_they_have_the_bits_of_arrays(generated_by_name: Any, torch: Any, ours: Any, name: str, order: str) -> None:
    arrays, layout = drawn(0), {"memory_format": getattr(torch, order)}
    params = [torch.from_numpy(a.copy()).contiguous(**layout if a.ndim == 4 else {}) for a in arrays]
    params = list(map(torch.nn.Parameter, params))
    there = generated_by_name(name).kind(arrays, as_matrices=True)
    here = ours.optimizer(name)(params, as_matrices=True)
    for k in range(1, 4):
        there.step(drawn(k))
        for param, grad in zip(params, drawn(k), strict=True):
            param.grad = torch.from_numpy(grad).contiguous(**layout if grad.ndim == 4 else {})
        here.step()
    for param, array in zip(params, arrays, strict=True):
        np.testing.assert_array_equal(param.detach().numpy(), array)
    for state, arrays_of_state in there.state.items():
        for param, array in zip(params, arrays_of_state, strict=True):
            np.testing.assert_array_equal(here.state[param][state], array)


def test_a_checkpoint_is_of_the_same_shapes(torch: Any, ours: Any) -> None:
    def made(**options: Any) -> Any:
        return ours.Adafactor([torch.nn.Parameter(torch.ones(4, 2, 3, 3))], **options)

    one = made(as_matrices=True)
    (param,) = one.param_groups[0]["params"]
    param.grad = torch.ones_like(param)
    one.step()
    assert one.state[param]["row_var"].shape == (4, 1, 1, 1)
    assert one.state[param]["col_var"].shape == (1, 2, 3, 3)
    other = made(as_matrices=True)
    other.load_state_dict(one.state_dict())
    (again,) = other.param_groups[0]["params"]
    again.grad = torch.ones_like(again)
    other.step()
    another = made()
    another.load_state_dict(one.state_dict())
    (third,) = another.param_groups[0]["params"]
    third.grad = torch.ones_like(third)
    said = (
        r"params\[0\], 'row_var': expected .* \(4, 2, 3, 1\), got \(4, 1, 1, 1\), as optimizers with as_matrices=True"
    )
    with pytest.raises(ValueError, match=said):
        another.step()
