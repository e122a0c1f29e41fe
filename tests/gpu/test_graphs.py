"""CUDA graphs, and streams: what is put where, what waits for what."""

from typing import Any

import numpy as np
import pytest

F32 = np.dtype(np.float32)
CYCLES = 200_000_000
"""For which the GPU sleeps: a tenth of a second, much longer than a call takes."""


def lr(k: int) -> float:
    """A schedule, so that no two steps are alike."""
    return 1e-3 / k


def refill(library: Any, held: Any, values: Any) -> None:
    """Put new gradients where the old ones are."""
    for array, its in zip(held, values, strict=True):
        if its.size:
            library.fill(array, its)


@pytest.fixture
def twins(on_gpu: Any, arrays: Any, pick: str) -> Any:
    """Two optimizers that begin alike, and gradients."""

    def made(library: Any) -> Any:
        one, other = (on_gpu(pick)(library.model(arrays(0, F32))) for _ in range(2))
        return one, other, library.model(arrays(1, F32))

    return made


def test_a_step_is_advance_and_launch(twins: Any, arrays: Any, each_library: Any) -> None:
    plain, other, grads = twins(each_library)
    other.compile()
    assert each_library.bits(plain) == each_library.bits(other)
    for k in range(1, 7):
        refill(each_library, grads, arrays(k, F32))
        plain.step(grads, lr=lr(k))
        other.advance(lr=lr(k))
        other.launch(grads)
        assert each_library.bits(plain) == each_library.bits(other)


def test_a_graph_takes_the_steps(twins: Any, arrays: Any, torch_library: Any) -> None:
    torch = torch_library.module
    plain, graphed, grads = twins(torch_library)
    begun = torch_library.bits(graphed)
    graphed.compile()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        graphed.launch(grads)
    assert torch_library.bits(graphed) == begun
    for k in range(1, 7):
        refill(torch_library, grads, arrays(k, F32))
        plain.step(grads, lr=lr(k))
        if k == 4:  # a step between replays, with gradients elsewhere
            graphed.step(torch_library.model(arrays(k, F32)), lr=lr(k))
        else:
            graphed.advance(lr=lr(k))
            graph.replay()
        assert torch_library.bits(plain) == torch_library.bits(graphed)


@pytest.mark.parametrize("pick", ["adamw", "adafactor"])
def test_two_graphs_read_their_own_gradients(on_gpu: Any, arrays: Any, torch_library: Any, pick: str) -> None:
    torch = torch_library.module
    plain, graphed = (on_gpu(pick)(torch_library.model(arrays(0, F32))) for _ in range(2))
    pairs = []
    for k in (1, 2):
        grads = torch_library.model(arrays(k, F32))
        graphed.compile()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            graphed.launch(grads)
        pairs.append((graph, grads))
    for graph, grads in (*pairs, *pairs, *reversed(pairs)):
        plain.step(grads)
        graphed.advance()
        graph.replay()
        assert torch_library.bits(plain) == torch_library.bits(graphed)


@pytest.mark.parametrize("pick", ["adamw", "ema_clip_global_norm_adamw"])
def test_what_cannot_be_captured(twins: Any, torch_library: Any) -> None:
    torch = torch_library.module
    plain, other, grads = twins(torch_library)
    other.compile()
    begun = torch_library.bits(other)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        for refused in (lambda: other.step(grads), other.advance, other.compile):
            with pytest.raises(RuntimeError, match="while a CUDA graph is captured"):
                refused()
        other.launch(grads)
        with pytest.raises(RuntimeError, match="before each capture"):
            other.launch(grads)
    assert torch_library.bits(other) == begun
    plain.step(grads)
    other.step(grads)
    assert torch_library.bits(plain) == torch_library.bits(other)


def test_a_step_goes_where_pytorch_is_and_waits_for_nothing(twins: Any, arrays: Any, torch_library: Any) -> None:
    torch = torch_library.module
    plain, other, grads = twins(torch_library)
    side = torch.cuda.Stream()
    for k in range(1, 4):
        fresh = torch_library.model(arrays(k, F32))
        plain.step(fresh)
        torch_library.wait()
        with torch.cuda.stream(side):
            torch.cuda._sleep(CYCLES)
            for held, values in zip(grads, fresh, strict=True):
                held.copy_(values)
            other.step(grads)
            at_work = not side.query()
        torch_library.wait()
        assert at_work or k == 1  # the first step compiles
        assert torch_library.bits(plain) == torch_library.bits(other)
