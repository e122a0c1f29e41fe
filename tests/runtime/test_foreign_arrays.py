"""What is no array of NumPy, or no list of them, is refused with the conversion or the class to use."""

from types import SimpleNamespace

import numpy as np
import pytest

from optgen.generated.cpu.sgdm import SGDM


def of(module, name, **attributes):
    """An object of a class that another library might have."""
    return type(name, (), {"__module__": module, **attributes})()


ARRAYS = {
    "a tensor of PyTorch": (of("torch", "Tensor"), "got Tensor; pass {0}.detach().numpy(), which shares its memory"),
    "a parameter of PyTorch": (of("torch.nn.parameter", "Parameter"), "got Parameter; pass {0}.detach().numpy()"),
    "a tensor of PyTorch on a GPU": (
        of("torch", "Tensor", is_cuda=True),
        "there are the classes of optgen.generated.cuda",
    ),
    "an array of JAX": (of("jaxlib._jax", "ArrayImpl"), "got ArrayImpl; pass np.array({0}): JAX lets nobody write"),
    "a tracer of JAX": (of("jax._src.interpreters", "Tracer"), "pass np.array({0})"),
    "an array of CuPy": (
        of("cupy", "ndarray"),
        "got ndarray; for arrays in the memory of a GPU there are the classes of",
    ),
    "an array of Numba on a GPU": (
        of("numba_cuda", "DeviceNDArray", __cuda_array_interface__={}),
        "optgen.generated.cuda",
    ),
    "a tensor of TensorFlow": (of("tensorflow.python", "EagerTensor"), "pass {0}.numpy()"),
    "an array of MLX": (of("mlx.core", "array"), "pass np.array({0})"),
    "a frame of pandas": (of("pandas.core.frame", "DataFrame"), "pass {0}.to_numpy(copy=True)"),
    "a series of polars": (of("polars.series", "Series"), "pass {0}.to_numpy(writable=True)"),
    "a sparse matrix": (of("scipy.sparse", "csr_matrix"), "pass {0}.toarray()"),
    "what turns into an array": (of("mine", "Box", __array__=lambda _: np.zeros(3)), "pass np.array({0})"),
    "what has DLPack": (of("mine", "Box", __dlpack__=lambda _: None), "pass np.array({0})"),
    "a number of NumPy": (np.float64(1.0), "got numpy.float64; pass np.asarray({0})"),
    "a number of NumPy in single precision": (np.float32(1.0), "got numpy.float32; pass np.asarray({0})"),
    "a number": (1.0, "got float; pass np.asarray({0})"),
    "a nested dict": (
        {"weight": np.zeros(3)},
        "got dict; flatten it: one dict of arrays, with keys like 'layer.weight'",
    ),
    "a group": ({"params": [np.zeros(3)], "lr": 0.1}, "got dict; put all arrays into groups: "),
    "a list of numbers": ([1.0, 2.0], "got list; pass np.array({0}, float)"),
    "a list of lists": ([[1.0], [2.0]], "got list; pass np.array({0}, float)"),
    "a list of arrays": ([np.zeros(3), np.zeros(2)], "got list; flatten it: one list of arrays"),
    "an object": (object(), "got object; pass what numpy.asarray makes of it"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_an_array_of_another_kind_says_what_to_pass(what):
    given, said = ARRAYS[what]
    with pytest.raises(TypeError) as refusal:
        SGDM([np.zeros(3), given])
    assert str(refusal.value).startswith("params[1]: expected a numpy.ndarray, got ")
    assert said.format("params[1]") in str(refusal.value)
    optimizer = SGDM({"w": np.zeros(3)})
    with pytest.raises(TypeError) as refusal:
        optimizer.step({"w": given})
    assert said.format("grads['w']") in str(refusal.value)
    assert optimizer.t == 0


CONTAINERS = {
    "an array": (np.zeros(3), "got ndarray; put it in a list: [{0}]"),
    "what turns into an array": (of("torch", "Tensor", __array__=lambda _: np.zeros(3)), "put it in a list: [{0}]"),
    "a generator": ((x for x in [np.zeros(3)]), "got generator; pass list({0})"),
    "the values of a dict": ({"w": np.zeros(3)}.values(), "got dict_values; pass list({0})"),
    "a set": ({1.0}, "got set; pass list({0})"),
    "a module": (SimpleNamespace(named_parameters=list), "pass the arrays of its parameters, in a list"),
    "text": ("w", "got str; put the arrays in a list, a tuple or a dict"),
    "nothing": (None, "got NoneType; put the arrays in a list, a tuple or a dict"),
}


@pytest.mark.parametrize("what", CONTAINERS)
def test_what_is_no_list_of_arrays_says_what_to_pass(what):
    given, said = CONTAINERS[what]
    with pytest.raises(TypeError) as refusal:
        SGDM(given)
    assert said.format("params") in str(refusal.value)
    with pytest.raises(TypeError) as refusal:
        SGDM([np.zeros(3)]).step(given)
    assert said.format("grads") in str(refusal.value)


def test_a_gradient_without_dimensions_can_be_passed_as_it_says():
    scale = np.array(2.0)
    optimizer = SGDM([scale], lr=0.5)
    gradient = np.mean(scale * 4)
    with pytest.raises(TypeError, match=r"np\.asarray"):
        optimizer.step([gradient])
    optimizer.step([np.asarray(gradient)])
    assert scale == 2 - 0.5 * 8


def test_keys_that_are_no_strings_are_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"got the key 0: write str\(…\) of each"):
        SGDM({0: np.zeros(3)})


def test_a_number_or_a_list_becomes_one_in_what_is_computed():
    optimizer = SGDM([np.ones(3, np.float32), np.ones((), np.float32)])
    for k, given, said in (
        (0, [1.0, 2.0, 3.0], "np.array(grads[0], 'float32')"),
        (0, np.float64(1), "np.asarray(grads[0], 'float32')"),
        (1, 2, "np.asarray(grads[1], 'float32')"),
    ):
        grads = [np.ones(3, np.float32), np.ones((), np.float32)]
        grads[k] = given
        with pytest.raises(TypeError) as refusal:
            optimizer.step(grads)
        assert f"pass {said}" in str(refusal.value)
    optimizer.step([np.array([1.0, 2.0, 3.0], "float32"), np.asarray(2, "float32")])


@pytest.mark.parametrize("entry", [[1.0, 2.0, 3.0], np.ma.ones(3)])
def test_what_is_said_of_an_entry_can_be_written(entry):
    optimizer = SGDM([np.ones(3)])
    with pytest.raises(TypeError, match=r"^state dict entry 'b.0': .*pass (np.array\(it, float\)|it.filled\(0\))"):
        optimizer.load_state_dict({**optimizer.state_dict(), "b.0": entry})
