"""Groups, parameters without a gradient, storages of 16 bits and shared totals are on a GPU what they are on CPUs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

F32 = np.dtype(np.float32)
RULES = ("adamw", "nadam", "lamb", "novograd", "adafactor", "clip_global_norm_adamw", "gradient_noise_sgd")
BY_CHANCE = {"rounding": "stochastic", "rounding_seed": -3}
STORED = {
    "float16": {"store": {"m": "f16"}},
    "chance": {"store": {"m": "f16", "v": "f16"}, **BY_CHANCE},
    "bfloat16": {"store": {"m": "bf16", "v": "bf16"}, **BY_CHANCE},
}


@pytest.fixture
def both(on_gpu: Any, host: Any, generated_by_name: Any) -> Callable[..., Any]:
    """An optimizer on a CPU and one on a GPU that begin alike."""

    def made(library: Any, name: str, values: Any, **options: Any) -> Any:
        kinds = (generated_by_name(name).kind, host), (on_gpu(name), library)
        return [kind(grouped(its.model(values)), lr=0.01, **options) for kind, its in kinds]

    return made


def grouped(params: list[Any]) -> list[dict[str, Any]]:
    return [{"params": params[:3], "lr": 0.5}, {"params": params[3:]}]


def assert_close(library: Any, cpu: Any, gpu: Any, tolerance: float = 1e-5) -> None:
    expected, found = cpu.state_dict(), gpu.state_dict()
    assert list(found) == list(expected)
    for entry, value in expected.items():
        close(found[entry], value, tolerance, entry)
    for k, (one, other) in enumerate(zip(gpu.params, cpu.params, strict=True)):
        close(library.take(one), other, tolerance, f"params[{k}]")


def close(found: Any, wanted: Any, tolerance: float, name: str) -> None:
    one, other = (np.asarray(x).astype(np.float64) for x in (found, wanted))
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", RULES)
def test_steps_of_groups_and_of_some_parameters(
    both: Any, arrays: Any, host: Any, each_library: Any, name: str
) -> None:
    cpu, gpu = both(each_library, name, arrays(0, F32))
    for seed, left_out in enumerate([(), (0,), (0, 3), (), (1, 2, 3, 4), (5,)], 1):
        for opt, library in ((cpu, host), (gpu, each_library)):
            grads = library.model(arrays(seed, F32))
            opt.step([None if k in left_out else x for k, x in enumerate(grads)], missing="skip")
    assert_close(each_library, cpu, gpu)


@pytest.mark.parametrize("stored", STORED)
def test_states_of_16_bits(both: Any, arrays: Any, host: Any, library: Any, stored: str) -> None:
    """Beside a rounding that falls otherwise now and then, which is worth a unit of 16 bits."""
    if "bf16" in str(STORED[stored]):
        pytest.importorskip("ml_dtypes")
    cpu, gpu = both(library, "adamw", arrays(0, F32), **STORED[stored])
    for k in range(1, 4):
        cpu.step(host.model(arrays(k, F32)))
        gpu.step(library.model(arrays(k, F32)))
    assert_close(library, cpu, gpu, 2e-2 if stored == "bfloat16" else 2e-3)


@pytest.mark.parametrize("name", ["lamb", "adafactor", "clip_global_norm_adamw"])
def test_totals_that_are_shared(on_gpu: Any, arrays: Any, library: Any, name: str) -> None:
    """A model of which all is here: the totals are given back as they were found."""
    alone, shared = (on_gpu(name)(library.model(arrays(0, F32))) for _ in range(2))
    asked = []
    shared.share(lambda *what: asked.append(what), [np.shape(x) for x in arrays(0, F32)])
    for k in range(1, 4):
        for opt in (alone, shared):
            opt.step(library.model(arrays(k, F32)))
    assert asked
    assert library.bits(alone) == library.bits(shared)
