"""What the classes and functions of modules for GPUs do around their kernels."""

import copy
import pickle
import signal
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any

import numpy as np
import pytest
from pressing import pressed_everywhere

from optgen.generated.cuda import adafactor, adamw, lamb, nadam
from optgen.runtime.cuda import host as cuda_host
from optgen.runtime.cuda.launch import CHUNK

SHAPES = ((5, 3), (), (0, 4), (7,), (CHUNK + 1,))


def arrays(seed: int, dtype: Any = np.float32) -> list[Any]:
    draw = np.random.default_rng(seed)
    return [np.asarray(draw.standard_normal(shape), dtype) for shape in SHAPES]


def contents(opt: Any) -> Any:
    """All that a step may change."""
    return opt.t, [x.tobytes() for x in opt.params], {k: np.asarray(v).tobytes() for k, v in opt.state_dict().items()}


@pytest.mark.parametrize(
    ("module", "title"), [(adamw, "AdamW"), (nadam, "NAdam"), (lamb, "LAMB"), (adafactor, "Adafactor")]
)
def test_advance_and_launch_are_a_step(module: Any, title: str) -> None:
    one, other = (getattr(module, title)(arrays(0)) for _ in range(2))
    other.compile()
    assert contents(one) == contents(other)
    for t in range(1, 4):
        one.step(arrays(t), lr=0.01 * t)
        other.advance(lr=0.01 * t)
        other.launch(arrays(t))
        assert contents(one) == contents(other)


def test_compiling_between_advance_and_launch_changes_nothing() -> None:
    one, other = adamw.AdamW(arrays(0)), adamw.AdamW(arrays(0))
    one.step(arrays(1), lr=0.5)
    other.advance(lr=0.5)
    other.compile()
    other.launch(arrays(1))
    assert contents(one) == contents(other)


def test_a_captured_launch_has_addresses_of_its_own_and_later_steps_find_theirs(monkeypatch: Any) -> None:
    """A graph that is replayed writes its gradients' addresses over those of the last step."""
    opt, other, mine, captured = adamw.AdamW(arrays(0)), adamw.AdamW(arrays(0)), arrays(1), arrays(2)
    opt.step(mine)
    opt.compile()
    opt.advance()
    with monkeypatch.context() as capturing:
        capturing.setattr(cuda_host, "is_capturing", lambda _: True)
        opt.launch(captured)  # the simulator has no graphs: this is its first replay
        for refused in (lambda: opt.step(mine), opt.advance, opt.compile):
            with pytest.raises(RuntimeError, match=r"while a CUDA graph is captured: capture launch\(grads\) alone"):
                refused()
        with pytest.raises(RuntimeError, match="for one CUDA graph: call it before each capture"):
            opt.launch(captured)
    opt.step(mine)
    for grads in (mine, captured, mine):
        other.step(grads)
    assert contents(opt) == contents(other)


def test_an_interrupt_comes_after_the_step(monkeypatch: Any) -> None:
    one, other, uploading = lamb.LAMB(arrays(0)), lamb.LAMB(arrays(0)), cuda_host.uploading

    def interrupted(*arguments: Any) -> Any:
        upload = uploading(*arguments)

        def pressed() -> None:
            signal.raise_signal(signal.SIGINT)
            upload()

        return partial(pressed)

    one.compile()
    other.step(arrays(1))
    with monkeypatch.context() as pressing:
        pressing.setattr(cuda_host, "uploading", interrupted)
        former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has none
        try:
            with pytest.raises(KeyboardInterrupt):
                one.step(arrays(1))
        finally:
            signal.signal(signal.SIGINT, former)
    assert contents(one) == contents(other)


def test_the_library_is_told_which_streams_use_its_memory(monkeypatch: Any) -> None:
    opt, told, streams = lamb.LAMB(arrays(0)), [], iter([0, 7, 7, 0])
    monkeypatch.setattr(type(opt._memory), "used_in", lambda _, stream, held: told.append((stream, held)))
    monkeypatch.setattr(type(opt._memory), "stream", lambda _: next(streams))
    for t in range(4):
        opt.step(arrays(t))
    assert [stream for stream, _ in told] == [0, 7]
    states = [array for values in opt._state.values() for array in values]
    for _, held in told:
        assert all(any(array is its for its in held) for array in states)
        assert any(its is opt._reduced.flat for its in held)


@pytest.mark.parametrize("act", ["step", "advance", "compile", "load_state_dict"])
def test_whatever_is_interrupted_is_done_whole_or_not_begun(act: str) -> None:
    """Any number of interrupts, anywhere."""
    theta, there = np.ones(2), nadam.NAdam([np.ones(2)], lr=0.5)
    arguments = {"step": [[np.ones(2)]], "load_state_dict": [there.state_dict()]}.get(act, [])
    opt, found = nadam.NAdam([theta]), set()
    begun = opt.state_dict()
    twice = (pressed_everywhere(lambda: getattr(opt, act)(*arguments)) for _ in range(2))  # the first time compiles
    for _ in chain.from_iterable(twice):
        found.add((opt.t, opt.hypers["lr"], theta[0]))
        opt.load_state_dict(begun)
        theta[...] = 1
    assert found == {(0, begun["hyper.lr"], 1.0), (opt.t, opt.hypers["lr"], theta[0])}
    opt.step([np.ones(2)])  # nothing that was left behind is in the way


def test_a_step_finds_gradients_wherever_they_are() -> None:
    one, other, held = adamw.AdamW(arrays(0)), adamw.AdamW(arrays(0)), arrays(9)
    for t in range(1, 4):
        for place, grad in zip(held, arrays(t), strict=True):
            place[...] = grad
        one.step(held)
        other.step(arrays(t))
        assert contents(one) == contents(other)


@pytest.mark.parametrize("module", [adamw, lamb, adafactor, nadam])
def test_one_array_at_a_time_is_a_model_of_one(module: Any) -> None:
    program = module.PROGRAM
    kind = next(x for x in vars(module).values() if isinstance(x, type) and getattr(x, "program", None) is program)
    theta, grads = arrays(0)[0], [arrays(t)[0] for t in range(1, 4)]
    opt = kind([theta.copy()])
    slots = {name: copy.deepcopy(opt.state[name]) for name in opt.state}
    slots = {name: np.array(value[0] if isinstance(value, tuple) else value) for name, value in slots.items()}
    for t, grad in enumerate(grads, start=1):
        opt.step([grad])
        module.step(theta=theta, g=grad, **slots, t=t)
    assert theta.tobytes() == opt.params[0].tobytes()
    for name, value in slots.items():
        expected = opt.state[name]
        assert value.tobytes() == np.asarray(expected[0] if isinstance(expected, tuple) else expected).tobytes()


def pickled(opt: Any) -> Any:
    return pickle.loads(pickle.dumps(opt))  # noqa: S301


@pytest.mark.parametrize("again", [copy.deepcopy, pickled])
def test_a_copy_goes_its_own_way_from_the_same_place(again: Callable[[Any], Any]) -> None:
    opt = adafactor.Adafactor(arrays(0), lr=0.1)
    opt.step(arrays(1))
    before, other = contents(opt), again(opt)
    assert contents(other) == before
    other.step(arrays(2))
    assert contents(opt) == before
    opt.step(arrays(2))
    assert contents(other) == contents(opt)


def test_a_run_is_resumed_from_its_state_dict() -> None:
    one = lamb.LAMB(dict(zip("abcde", arrays(0), strict=True)), lr=lambda t: 0.1 / t)
    one.step(dict(zip("abcde", arrays(1), strict=True)))
    params = {key: array.copy() for key, array in one.params.items()}
    other = lamb.LAMB(params)
    other.load_state_dict(one.state_dict())
    other.set(lr=lambda t: 0.1 / t)
    for opt in (one, other):
        opt.step(dict(zip("abcde", arrays(2), strict=True)))
    assert {k: v.tobytes() for k, v in one.params.items()} == {k: v.tobytes() for k, v in other.params.items()}


def test_states_of_rows_and_columns_broadcast_against_the_parameters() -> None:
    opt = adafactor.Adafactor(arrays(0))
    assert opt.state["r"][0].shape == (5, 1)
    assert opt.state["c"][0].shape == (1, 3)
    opt.step(arrays(1))
    assert np.all(opt.state["r"][0] > 0)


def test_a_convolution_seen_as_a_matrix_is_stepped_as_one() -> None:
    start, grad = (np.random.default_rng(k).normal(size=(6, 2, 3, 3)) for k in (0, 1))
    ours, other = adafactor.Adafactor([start.copy()], as_matrices=True), adafactor.Adafactor([start.reshape(6, 18)])
    ours.step([grad])
    other.step([grad.reshape(6, 18)])
    np.testing.assert_array_equal(ours.params[0].reshape(6, 18), other.params[0])
    assert ours.state["r"][0].shape == (6, 1, 1, 1)
    assert ours.state["c"][0].shape == (1, 2, 3, 3)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda grads: grads[:-1], ValueError, "expected 5 arrays"),
        (lambda grads: [None, *grads[1:]], ValueError, r"grads\[0\] is missing"),
        (
            lambda grads: [grads[0].astype(np.float64), *grads[1:]],
            TypeError,
            "float16, got float64",
        ),
        (lambda grads: [grads[0].T, *grads[1:]], ValueError, r"expected shape \(5, 3\), got \(3, 5\)"),
        (lambda grads: [grads[0].tolist(), *grads[1:]], TypeError, "expected a numpy.ndarray, .* got list"),
        (lambda grads: [*grads[:-1], np.zeros(2 * CHUNK + 2, np.float32)[::2]], ValueError, "C-contiguous"),
        (tuple, None, ""),
    ],
    ids=["too few", "none", "dtype", "shape", "a list", "strides", "a tuple is fine"],
)
def test_bad_gradients_are_refused_before_anything_changes(change: Any, error: Any, says: str) -> None:
    opt = lamb.LAMB(arrays(0))
    opt.step(arrays(1))
    before = contents(opt)
    if error is None:
        opt.step(change(arrays(2)))
        assert contents(opt) != before
        return
    opt.compile()
    for use in (opt.step, opt.launch):
        with pytest.raises(error, match=says):
            use(change(arrays(2)))
        assert contents(opt) == before


def test_a_gradient_must_not_share_memory_with_what_is_written() -> None:
    opt = adamw.AdamW(arrays(0))
    with pytest.raises(ValueError, match=r"grads\[3\] overlaps params\[3\] in memory"):
        opt.step([*arrays(1)[:3], opt.params[3], arrays(1)[4]])
    assert opt.t == 0


@pytest.mark.parametrize("hypers", [{"lr": -1.0}, {"beta1": 1.0}, {"lr": float("nan")}], ids=str)
def test_bad_hyperparameters_are_refused_before_anything_changes(hypers: dict[str, float]) -> None:
    opt = adamw.AdamW(arrays(0))
    before = contents(opt)
    for use in (lambda: opt.step(arrays(1), **hypers), lambda: opt.advance(**hypers), lambda: opt.set(**hypers)):
        with pytest.raises(ValueError, match="outside its domain"):
            use()
        assert contents(opt) == before


def test_kernels_are_compiled_before_they_are_launched_alone() -> None:
    opt = adamw.AdamW(arrays(0))
    with pytest.raises(RuntimeError, match=r"call compile\(\), then advance\(\), first"):
        opt.launch(arrays(1))


@pytest.mark.parametrize("params", [[], {}, 3, None], ids=repr)
def test_a_model_of_nothing_is_refused(params: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="params"):
        adamw.AdamW(params)


def test_a_model_of_empty_arrays_takes_steps() -> None:
    for kind in (adamw.AdamW, lamb.LAMB, adafactor.Adafactor):
        opt = kind([np.zeros((0, 3), np.float32)])
        opt.step([np.zeros((0, 3), np.float32)])
        assert opt.t == 1


STARTING = [("ema_adamw", "EmaAdamW"), ("dog", "DoG"), ("schedule_free_sgd", "ScheduleFreeSGD"), ("asgd", "ASGD")]


@pytest.mark.parametrize(("name", "title"), STARTING)
def test_states_start_and_are_evaluated_as_on_cpus(name: str, title: str) -> None:
    on_gpu, on_cpu = (import_module(f"optgen.generated.{target}.{name}") for target in ("cuda", "cpu"))
    models = [arrays(0), arrays(0)]
    one, other = (getattr(module, title)(model) for module, model in zip((on_gpu, on_cpu), models, strict=True))
    for steps in range(2):
        for found, wanted in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
        for found, wanted in zip(one.eval_params(), other.eval_params(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
        if steps == 0:
            models[0][0][...] = models[1][0][...] = 3  # what counts is what theta is before the first step
        one.step(arrays(1))
        other.step(arrays(1))
    w, like = arrays(0)[0], one.program
    slots = {state: np.full(w.shape, np.nan if state in like.copies else 0, w.dtype) for state in like.states}
    slots |= {
        state: np.full((), np.nan if state in like.begun else 1.0) for state in (*like.reduced_states, *like.numbers)
    }
    on_gpu.step(w, np.ones_like(w), **slots, t=1)
    assert all(np.isfinite(slots[state]).all() for state in (*like.copies, *like.begun))
