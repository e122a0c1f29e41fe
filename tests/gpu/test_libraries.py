"""Whatever the arrays are of, wherever the gradients lie and whichever way a step is put, the bits are the same."""

import copy
from importlib import import_module
from typing import Any

import numpy as np
import pytest

STEPS = 3
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


@pytest.fixture
def trained(on_gpu: Any, arrays: Any) -> Any:
    """An optimizer after a few steps with arrays of a library."""

    def train(library: Any, name: str, *dtypes: Any, steps: int = STEPS, **placed: Any) -> Any:
        taken = on_gpu(name)(library.model(arrays(0, *dtypes), **placed))
        for k in range(1, steps + 1):
            taken.step(library.model(arrays(k, *dtypes), **placed))
        return taken

    return train


def test_every_library(trained: Any, library: Any, each_library: Any, pick: str) -> None:
    wanted = trained(library, pick, F32)
    assert each_library.bits(trained(each_library, pick, F32)) == library.bits(wanted)


def test_every_stream(trained: Any, each_library: Any, pick: str) -> None:
    wanted = each_library.bits(trained(each_library, pick, F32))
    each_library.wait()
    with each_library.other_stream():
        assert each_library.bits(trained(each_library, pick, F32)) == wanted


def test_every_run_of_a_rule_that_adds_up(trained: Any, library: Any, reducing: Any) -> None:
    name = reducing.optimizer.name
    assert library.bits(trained(library, name, F32)) == library.bits(trained(library, name, F32))


def test_gradients_that_stay_where_they_are(trained: Any, on_gpu: Any, arrays: Any, library: Any, pick: str) -> None:
    taken = on_gpu(pick)(library.model(arrays(0, F32)))
    grads = library.model(arrays(1, F32))
    for k in range(1, STEPS + 1):
        for held, values in zip(grads, arrays(k, F32), strict=True):
            if values.size:
                library.fill(held, values)
        taken.step(grads)
    assert library.bits(taken) == library.bits(trained(library, pick, F32))


def test_both_dtypes(on_gpu: Any, arrays: Any, each_library: Any, pick: str, host: Any, generated_by_name: Any) -> None:
    """The model is that of the CPU, as far as float32 can say: a total that float32 went into is no better."""
    gpu = on_gpu(pick)(each_library.model(arrays(0, F32, F64)))
    cpu = generated_by_name(pick).kind(host.model(arrays(0, F32, F64)))
    for k in range(1, STEPS + 1):
        gpu.step(each_library.model(arrays(k, F32, F64)))
        cpu.step(host.model(arrays(k, F32, F64)))
    for param, wanted in zip(gpu.params, cpu.params, strict=True):
        found = each_library.take(param)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adafactor", "sm3"])
def test_tensors_of_another_dtype_beside_it_change_nothing(on_gpu: Any, arrays: Any, library: Any, name: str) -> None:
    alone = on_gpu(name)(library.model(arrays(0, F32, F64)[::2], shifted=()))
    among = on_gpu(name)(library.model(arrays(0, F32, F64), shifted=()))
    for k in range(1, STEPS + 1):
        alone.step(library.model(arrays(k, F32, F64)[::2], shifted=()))
        among.step(library.model(arrays(k, F32, F64), shifted=()))
    pairs = zip(alone.params, among.params[::2], strict=True)
    assert all(library.take(one).tobytes() == library.take(other).tobytes() for one, other in pairs)


def test_a_run_that_is_resumed(
    trained: Any, on_gpu: Any, arrays: Any, each_library: Any, pick: str, tmp_path: Any, generated_by_name: Any
) -> None:
    before = trained(each_library, pick, F32, steps=2)
    saved = before.state_dict()
    np.savez(tmp_path / "run.npz", **saved)
    params = [each_library.take(param) for param in before.params]
    resumed = on_gpu(pick)(each_library.model(params))
    with np.load(tmp_path / "run.npz") as stored:
        resumed.load_state_dict(stored)
    assert each_library.bits(resumed) == each_library.bits(before)
    resumed.step(each_library.model(arrays(3, F32)))
    assert each_library.bits(resumed) == each_library.bits(trained(each_library, pick, F32, steps=3))
    on_cpu = generated_by_name(pick).kind(params)
    on_cpu.load_state_dict(saved)
    assert on_cpu.t == 2


def test_a_copy(trained: Any, arrays: Any, library: Any, pick: str) -> None:
    if library.name == "numba":
        pytest.skip("arrays of Numba cannot be copied by copy.deepcopy")
    original = trained(library, pick, F32, shifted=())  # a copy may lie otherwise in memory
    twin = copy.deepcopy(original)
    before = library.bits(original)
    twin.step(library.model(arrays(4, F32), shifted=()))
    assert library.bits(original) == before
    original.step(library.model(arrays(4, F32), shifted=()))
    assert library.bits(original) == library.bits(twin)


@pytest.mark.parametrize("shape", [(), (7,), (64, 33)])
def test_one_array(on_gpu: Any, each_library: Any, pick: str, shape: Any) -> None:
    rng = np.random.default_rng(0)
    theta, *grads = (np.asarray(rng.standard_normal(shape), F32) for _ in range(STEPS + 1))
    taken = on_gpu(pick)([each_library.put(theta)])
    program, module = taken.program, import_module(f"optgen.generated.cuda.{pick}")
    given = {name: each_library.put(each_library.take(taken.state[name][0])) for name in program.states}
    for name, kind in program.reduced_states.items():
        its = taken.state[name] if kind == "model" else taken.state[name][0]
        given[name] = each_library.put(each_library.take(its))
    given |= {name: np.array(taken.state[name]) for name in program.numbers}
    given["theta"] = each_library.put(theta)
    for k, grad in enumerate(grads, 1):
        taken.step([each_library.put(grad)])
        module.step(g=each_library.put(grad), t=k, **given)
    assert each_library.take(given["theta"]).tobytes() == each_library.take(taken.params[0]).tobytes()
    for name in (*program.states, *program.reduced_states, *program.numbers):
        its = taken.state[name][0] if isinstance(taken.state[name], tuple) else taken.state[name]
        found, wanted = (
            array if isinstance(array, np.ndarray) else each_library.take(array) for array in (given[name], its)
        )
        assert found.tobytes() == wanted.tobytes(), name
