"""What ``opt.step`` does with good input."""

from __future__ import annotations

import gc
import mmap
import weakref
from dataclasses import replace

import numpy as np
import pytest

from optgen.generated.cpu import adamw, sgdm
from optgen.generated.cpu.adamw import AdamW
from optgen.generated.cpu.sgdm import SGDM
from optgen.runtime.cpu import launch


def reference(theta, grads, *, lr=0.001, beta1=0.9, beta2=0.999, weight_decay=0.01, eps=1e-8):
    theta, m, v = theta.astype(np.float64), 0.0, 0.0
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        theta = (1 - lr * weight_decay) * theta
        theta = theta - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return theta


@pytest.mark.parametrize("container", [list, tuple, dict])
def test_trains_in_place_what_it_is_given(arrays, container):
    def contained(values):
        return {f"w{k}": value for k, value in enumerate(values)} if container is dict else container(values)

    params = arrays(0)
    steps = [arrays(seed) for seed in (1, 2, 3)]
    expected = [reference(theta, [grads[k] for grads in steps]) for k, theta in enumerate(params)]
    optimizer = AdamW(contained(params))
    for grads in steps:
        optimizer.step(contained(grads))
    assert optimizer.t == 3
    for theta, wanted in zip(params, expected, strict=True):
        np.testing.assert_allclose(theta, wanted, rtol=1e-5 if theta.dtype == np.float32 else 1e-13)


def test_properties_show_the_arrays_in_use(arrays):
    w, b = arrays(0)[:2]
    optimizer = AdamW({"w": w, "b": b}, lr=0.1)
    assert optimizer.params["w"] is w
    assert set(optimizer.state) == {"m", "v"}
    assert optimizer.state["m"]["w"].shape == w.shape
    assert optimizer.state["v"]["b"].dtype == b.dtype
    assert optimizer.hypers["lr"] == 0.1
    for container in (optimizer.params, optimizer.state["m"], optimizer.hypers):
        with pytest.raises(TypeError):
            container["w"] = w
    listed = AdamW([w, b])
    assert listed.params[1] is b
    listed.step([np.ones_like(w), np.ones_like(b)])
    assert listed.state["m"][0].all()
    with pytest.raises(TypeError):
        listed.state["m"][0] = w


def test_repr_says_how_much_there_is(arrays):
    assert repr(AdamW(arrays(0), lr=0.5)).startswith("AdamW(5 arrays, 323 elements, t=0, lr=0.5, beta1=0.9")


def test_gradients_may_come_in_any_order_of_keys(arrays):
    names = list("abcde")
    one, other = dict(zip(names, arrays(0), strict=True)), dict(zip(names, arrays(0), strict=True))
    grads = dict(zip(names, arrays(1), strict=True))
    AdamW(one).step(grads)
    AdamW(other).step(dict(reversed(grads.items())))
    for name in names:
        assert one[name].tobytes() == other[name].tobytes()


def test_gradients_may_share_memory_and_are_only_read():
    params, grad = [np.ones(6), np.ones((2, 3)), np.ones(3)], np.arange(6.0)
    AdamW(params).step([grad, grad.reshape(2, 3), grad[3:]])
    assert grad.tolist() == [0, 1, 2, 3, 4, 5]
    assert params[0].tobytes() == params[1].tobytes()
    assert params[0][3:].tobytes() == params[2].tobytes()


def test_read_only_subclassed_and_mapped_gradients_are_fine(tmp_path):
    grad = np.arange(6, dtype=np.float32).reshape(2, 3)
    frozen = grad.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "g.npy", grad)
    expected = np.ones((2, 3), np.float32)
    SGDM([expected]).step([grad])
    for given in (frozen, grad.view(np.matrix), np.load(tmp_path / "g.npy", mmap_mode="r")):
        theta = np.ones((2, 3), np.float32)
        SGDM([theta]).step([given])
        assert theta.tobytes() == expected.tobytes()


def test_parameters_may_be_mapped_from_a_file_or_slices_of_one_buffer(tmp_path):
    mapped = np.lib.format.open_memmap(tmp_path / "w.npy", "w+", np.float32, (2, 3))
    buffer = np.zeros(9, np.float32)
    optimizer = SGDM([mapped, buffer[1:4], buffer[4:9]], lr=1.0)
    for _ in range(2):
        optimizer.step([np.ones((2, 3), np.float32), np.ones(3, np.float32), np.full(5, 2, np.float32)])
    assert (np.asarray(mapped) == np.float32(-2.9)).all()
    assert buffer[0] == 0
    assert (buffer[1:4] == np.float32(-2.9)).all()


@pytest.mark.parametrize("shape", [(0,), (), (3, 0, 2)])
def test_arrays_of_no_element_and_of_no_axis(shape):
    theta = np.ones(shape)
    optimizer = AdamW([theta, np.ones(0)])
    optimizer.step([np.ones(shape), np.ones(0)])
    assert optimizer.t == 1
    assert (theta < 1).all()
    adamw.step(theta, np.ones(shape), np.zeros(shape), np.zeros(shape), t=1)


def test_hyperparameters_of_a_step_hold_for_it_alone():
    grads = [np.ones(4)]
    one, other = [np.ones(4)], [np.ones(4)]
    scheduled, changed = SGDM(one, lr=0.5), SGDM(other, lr=0.5)
    for lr in (0.5, 0.25, np.float32(0.125), np.array(1), 3):
        scheduled.step(grads, lr=lr)
        changed.set(lr=lr)
        changed.step(grads)
    assert one[0].tobytes() == other[0].tobytes()
    assert scheduled.hypers["lr"] == 0.5
    assert changed.hypers["lr"] == 3.0


@pytest.mark.parametrize("size", [10, launch.SERIAL_BELOW])
def test_no_hyperparameter_and_no_step_compiles_anything(size):
    theta, grad = np.ones(size), np.ones(size)
    functions = adamw.PROGRAM.scalars, adamw.PROGRAM.sweep

    def compiled():
        return [(list(f.signatures), dict(f.stats.cache_hits), dict(f.stats.cache_misses)) for f in functions]

    optimizer = AdamW([theta])
    optimizer.step([grad])
    adamw.step(theta, grad, np.ones(size), np.ones(size), t=1)
    before = compiled()
    for k in range(3):
        optimizer.step([grad], lr=0.1 / (k + 1))
        optimizer.set(beta1=np.float32(0.5), eps=k, weight_decay=np.array(0))
        optimizer.step([grad], beta2=0)
        adamw.step(theta, grad, np.ones(size), np.ones(size), t=np.int32(k + 2), lr=1, beta1=np.float16(0.5))
    assert compiled() == before


def test_gradients_are_not_kept():
    theta, grad = np.ones(100), np.ones(100)
    optimizer = AdamW([theta])
    optimizer.step([grad])
    kept = weakref.ref(grad)
    del grad
    assert kept() is None


def test_memory_of_an_earlier_gradient_is_not_read():
    optimizer, expected = SGDM([np.ones(4096)]), SGDM([np.ones(4096)])
    mapped = mmap.mmap(-1, 8 * 4096)
    grad = np.frombuffer(mapped, np.float64)
    optimizer.step([grad])
    expected.step([np.zeros(4096)])
    del grad
    mapped.close()  # from here on a read of it ends the process
    for _ in range(3):
        optimizer.step([np.ones(4096)])
        expected.step([np.ones(4096)])
    assert optimizer.params[0].tobytes() == expected.params[0].tobytes()


def test_a_new_gradient_at_the_address_of_an_earlier_one_is_checked_anew():
    buffer = np.ones(8)
    optimizer = SGDM([np.zeros(4)], lr=1.0, momentum=0.0)
    optimizer.step([buffer[:4]])
    buffer[:4] = 2
    optimizer.step([buffer[:4]])
    assert optimizer.params[0].tolist() == [-3] * 4
    for other, error in ((buffer[:3], "shape"), (buffer[:8:2], "contiguous"), (buffer[:4].view(np.int64), "dtype")):
        with pytest.raises((TypeError, ValueError), match=error):
            optimizer.step([other])


def test_parameters_outlive_the_names_of_the_caller():
    theta = np.ones(1000)
    optimizer = SGDM([theta])
    kept = weakref.ref(theta)
    del theta
    optimizer.step([np.ones(1000)])
    assert kept() is optimizer.params[0]


def test_an_optimizer_is_freed_with_its_last_name():
    optimizer = SGDM([np.ones(10)])
    optimizer.step([np.ones(10)])
    kept = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert kept() is None
    finally:
        gc.enable()


def test_a_failed_compilation_leaves_nothing_half_done(arrays, unchanged):
    def sweep(*_):
        raise NotImplementedError

    class Failing(SGDM):
        program = replace(sgdm.PROGRAM, sweep=sweep)

    optimizer = Failing(arrays(0))
    with unchanged(optimizer), pytest.raises(NotImplementedError):
        optimizer.step(arrays(1))
