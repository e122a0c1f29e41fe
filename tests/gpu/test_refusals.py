"""What is wrong is refused before anything has changed, and says what was expected."""

from typing import Any

import numpy as np
import pytest

from optgen.runtime.cuda import primitives as cuda

on_a_gpu = pytest.mark.skipif(cuda.SIMULATED, reason="in the simulator NumPy's arrays are on the GPU")


def zeros(library: Any, *shape: int, dtype: Any = np.float32) -> Any:
    return library.put(np.zeros(shape, dtype))


PARAMS = {
    "none at all": (lambda _: [], ValueError, "params is empty"),
    "no array": (lambda _: [[1.0, 2.0]], TypeError, r"params.*: expected"),
    "another dtype": (lambda of: [zeros(of, 3, dtype=np.int32)], TypeError, "expected dtype float32 or float64"),
    "every other element": (lambda of: [zeros(of, 4, 6)[:, ::2]], ValueError, "C-contiguous"),
    "overlapping": (lambda of: [(whole := zeros(of, 9))[:5], whole[3:]], ValueError, "overlaps"),
    "one twice": (lambda of: [zeros(of, 9)] * 2, ValueError, "overlaps"),
}
OFF_GPU = {
    "of NumPy": (lambda _: [np.zeros(3, np.float32)], TypeError, "optgen.generated.cpu"),
    "of two libraries": (lambda of: [zeros(of, 3), np.zeros(3, np.float32)], TypeError, r"params\[1\]"),
}
GRADS = {
    "one too few": (lambda of, _: [zeros(of, 3, 5)], ValueError, "expected 2 arrays"),
    "a missing one": (lambda of, _: [zeros(of, 3, 5), None], ValueError, r"grads\[1\] is missing"),
    "another shape": (lambda of, _: [zeros(of, 5, 3), zeros(of, 7, dtype=np.float64)], ValueError, "expected shape"),
    "another dtype": (lambda of, _: [zeros(of, 3, 5), zeros(of, 7)], TypeError, "expected dtype float64"),
    "every other element": (
        lambda of, _: [zeros(of, 3, 10)[:, ::2], zeros(of, 7, dtype=np.float64)], ValueError, "C-contiguous",
    ),
    "the parameters": (lambda _, opt: list(opt.params), ValueError, r"overlaps params\[0\]"),
    "a state": (lambda _, opt: list(opt.state["m"]), ValueError, "overlaps state"),
}  # fmt: skip


@pytest.fixture
def optimizer(on_gpu: Any) -> Any:
    """An optimizer with a tensor of each dtype, and two gradients that are as they should be."""

    def made(library: Any) -> Any:
        rng = np.random.default_rng(0)
        model = [rng.standard_normal((3, 5)).astype(np.float32), rng.standard_normal(7)]
        return on_gpu("adamw")([library.put(values) for values in model]), [library.put(values) for values in model]

    return made


def refused(library: Any, optimizer: Any, grads: Any, error: Any, match: str, **hypers: Any) -> None:
    """A step is refused and changes nothing; the next one is as if it had never been asked for."""
    before, hypers_before = library.bits(optimizer), dict(optimizer.hypers)
    with pytest.raises(error, match=match):
        optimizer.step(grads, **hypers)
    assert library.bits(optimizer) == before
    assert dict(optimizer.hypers) == hypers_before
    assert optimizer.t == 1


@pytest.mark.parametrize("case", PARAMS)
def test_parameters(on_gpu: Any, each_library: Any, case: str) -> None:
    make, error, match = PARAMS[case]
    with pytest.raises(error, match=match):
        on_gpu("adamw")(make(each_library))


@on_a_gpu
@pytest.mark.parametrize("case", OFF_GPU)
def test_parameters_that_are_not_on_the_gpu(on_gpu: Any, each_library: Any, case: str) -> None:
    make, error, match = OFF_GPU[case]
    with pytest.raises(error, match=match):
        on_gpu("adamw")(make(each_library))


def test_gradients_and_hyperparameters(optimizer: Any, each_library: Any) -> None:
    opt, grads = optimizer(each_library)
    undisturbed, same = optimizer(each_library)
    opt.step(grads)
    undisturbed.step(same)
    for make, error, match in GRADS.values():
        refused(each_library, opt, make(each_library, opt), error, match)
    refused(each_library, opt, grads, ValueError, "lr", lr=-1.0)
    refused(each_library, opt, grads, TypeError, "momentum", momentum=0.9)
    refused(each_library, opt, {"w": grads[0]}, TypeError, "expected a list or tuple")
    opt.step(grads)
    undisturbed.step(same)
    assert each_library.bits(opt) == each_library.bits(undisturbed)


@on_a_gpu
def test_gradients_that_are_not_on_the_gpu(optimizer: Any, each_library: Any) -> None:
    opt, grads = optimizer(each_library)
    opt.step(grads)
    refused(each_library, opt, [each_library.take(grad) for grad in grads], TypeError, r"grads\[0\]: expected")


def test_tensors_of_pytorch_elsewhere(on_gpu: Any, optimizer: Any, torch_library: Any) -> None:
    opt, grads = optimizer(torch_library)
    opt.step(grads)
    refused(torch_library, opt, [grads[0].cpu(), grads[1]], ValueError, r"grads\[0\]: .* in the memory of the CPU")
    with pytest.raises(TypeError, match="on a GPU"):
        on_gpu("adamw")([grads[0].cpu()])
    with pytest.raises(TypeError, match="float32 or float64"):
        on_gpu("adamw")([grads[0].int()])


def test_a_parameter_whose_memory_has_moved(optimizer: Any, torch_library: Any) -> None:
    opt, grads = optimizer(torch_library)
    opt.step(grads)
    with torch_library.module.no_grad():
        held = opt.params[0].data
        opt.params[0].data = held.clone()
    refused(torch_library, opt, grads, ValueError, r"params\[0\].*has moved")
    opt.params[0].data = held
    opt.step(grads)
    assert opt.t == 2


def test_a_module_of_pytorch(on_gpu: Any, torch_library: Any) -> None:
    torch = torch_library.module
    model = torch.nn.Linear(5, 3).cuda()
    opt = on_gpu("adamw")(dict(model.named_parameters()))
    before = [param.detach().clone() for param in model.parameters()]
    model(torch.ones(2, 5, device="cuda")).sum().backward()
    opt.step({name: param.grad for name, param in model.named_parameters()})
    assert opt.state["m"].keys() == {"weight", "bias"}
    assert not any(torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True))


def test_launch_before_compile(optimizer: Any, each_library: Any) -> None:
    opt, grads = optimizer(each_library)
    before = each_library.bits(opt)
    with pytest.raises(RuntimeError, match="compile"):
        opt.launch(grads)
    assert each_library.bits(opt) == before
