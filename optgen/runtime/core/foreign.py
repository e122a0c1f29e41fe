"""What to do with what is no array of NumPy: a conversion, or a class that takes it as it is.

Libraries are told by the names of their modules, so that none has to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_ON_A_GPU = "for arrays in the memory of a GPU there are the classes of optgen.generated.cuda"
_BY_LIBRARY = {
    "torch": "pass {0}.detach().numpy(), which shares its memory",
    "jax": "pass np.array({0}): JAX lets nobody write to its own",
    "jaxlib": "pass np.array({0}): JAX lets nobody write to its own",
    "tensorflow": "pass {0}.numpy(), a copy",
    "mlx": "pass np.array({0}), a copy",
    "pandas": "pass {0}.to_numpy(copy=True)",
    "polars": "pass {0}.to_numpy(writable=True)",
    "scipy": "pass {0}.toarray(): there are no sparse arrays here",
}


def expression(name: str) -> str:
    """What a user can write for something that messages have a name for, which may be words."""
    return "it" if " " in name else name


def instead(given: Any, name: str, dtypes: Sequence[str] = ("float64",)) -> str:
    """What to pass in the place of something, called so by the user, that is no array of NumPy; some dtypes will do."""
    name, kind = expression(name), "float" if "float64" in dtypes else repr(dtypes[0])
    library = type(given).__module__.partition(".")[0]
    if library == "cupy" or hasattr(given, "__cuda_array_interface__") or getattr(given, "is_cuda", False):
        return _ON_A_GPU
    if library in _BY_LIBRARY:
        return _BY_LIBRARY[library].format(name)
    if isinstance(given, np.generic | int | float):
        made = name if "float64" in dtypes and not isinstance(given, int | np.integer) else f"{name}, {kind}"
        return f"pass np.asarray({made}): what NumPy computes of arrays without dimensions is a number"
    if isinstance(given, Mapping):
        if "params" in given:
            return "put all arrays into groups: [{'params': [...], 'lr': 0.1}, {'params': [...]}]"
        return "flatten it: one dict of arrays, with keys like 'layer.weight'"
    if isinstance(given, list | tuple):
        numbers = all(isinstance(item, int | float | list | tuple) for item in given)
        return f"pass np.array({name}, {kind})" if numbers else "flatten it: one list of arrays"
    if hasattr(given, "__array__") or hasattr(given, "__dlpack__"):
        return f"pass np.array({name})"
    return "pass what numpy.asarray makes of it, in float32 or float64"


def converted(dtype: np.dtype[Any], name: str) -> str:
    """How elements of a dtype become such of another, which has a name."""
    if dtype.kind == "c":
        return f".view('float{4 * dtype.itemsize}') has both parts of each, in the same memory"
    if dtype.names:
        return f"a field of it, [{dtype.names[0]!r}], has numbers"
    return f".astype({name!r}) converts it"


def as_container(given: Any, name: str) -> str:
    """What to pass in the place of something that is no list, tuple or dict."""
    if isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        return f"put it in a list: [{name}]"
    if hasattr(given, "named_parameters"):
        return "pass the arrays of its parameters, in a list"
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        return f"pass list({name})"
    return "put the arrays in a list, a tuple or a dict"
