"""Parameters of which every process has a part: DTensors, as `fully_shard` makes them, and totals over all parts.

Until somebody imports torch.distributed.tensor there are none, so nothing of torch.distributed is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import torch

from optgen.runtime.core import sharing
from optgen.runtime.core.program import Program
from optgen.runtime.core.reduced import shape_in
from optgen.runtime.core.sharing import Combine, SharedTotal, differs


class Division(NamedTuple):
    """How a tensor is divided."""

    along: int  # which of its dimensions
    group: Any  # the processes that have the parts


def is_distributed(tensor: Any) -> bool:
    """Whether a tensor is a DTensor."""
    kind = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", ())
    return isinstance(tensor, kind)


def here(tensor: Any) -> Any:
    """What of a tensor is in this process: of a DTensor its part, in the same memory, of any other all."""
    if not is_distributed(tensor):
        return tensor
    part = tensor.to_local()
    return part.wait() if hasattr(part, "wait") else part  # as tensors have that others are still sending


def gradient_here(k: int, grad: Any, param: Any) -> Any:
    """What of the gradient of the k-th parameter is in this process, if it is divided as the parameter is."""
    expected, found = division(param), division(grad)
    if found != expected:
        what = f"expected it divided as its parameter, {_described(param)}, got {_described(grad)}"
        raise ValueError(f"grads[{k}]: {what}; redistribute it before the step")
    return here(grad)


def divided_as(param: Any, part: Any, kind: str = "element", *, as_matrices: bool = False) -> Any:
    """What is kept of a parameter here, a value for each of a kind, as a tensor that is divided as the parameter is.

    What is one number is the same in all processes, and stays a plain tensor.
    """
    if not is_distributed(param) or kind in {"tensor", "model"}:
        return part
    module = sys.modules["torch.distributed.tensor"]
    shape = tuple(param.shape)
    if kind != "element":
        shape = shape_in(kind, shape, as_matrices=as_matrices)
    stride = param.stride() if kind == "element" else torch.empty(shape, device="meta").stride()
    along = [getattr(place, "dim", None) for place in param.placements]
    same = [dim is not None and not differs(kind, param.dim(), dim, as_matrices=as_matrices) for dim in along]
    placements = [module.Replicate() if it else place for it, place in zip(same, param.placements, strict=True)]
    made = module.DTensor.from_local
    return made(part, param.device_mesh, placements, run_check=False, shape=torch.Size(shape), stride=stride)


def refuse_parts(program: Program, params: Iterable[tuple[int, Any]], *, by_chance: bool) -> None:
    """Complain of numbered parameters of which a rule cannot be followed with a part."""
    adds_up = _adds_up(program)
    for k, param in params:
        if not is_distributed(param):
            continue
        what = f"params[{k}] is {_described(param)}"
        if any(place.is_partial() for place in param.placements):
            raise ValueError(f"{what}: that is still to be added up; redistribute it to Shard or Replicate")
        cuts = _dimensions(param)
        if cuts:
            try:
                sharing.refuse(program, by_chance=by_chance, is_placed=first_here(param) is not None)
            except ValueError as error:
                raise ValueError(f"{what}, so there is a part of it here: {error}") from None
        if adds_up and len(cuts) > 1:
            why = f"{program.name} makes totals, which go over one dimension of a mesh"
            raise ValueError(f"{what}: {why}; divide it over one, or take a rule that makes none")
        if adds_up and cuts and param.device_mesh.get_coordinate() is None:
            why = f"{program.name} makes totals of all parts, and this process is not in the mesh that has them"
            raise ValueError(f"{what}: {why}; leave the parameter out here")


def first_here(param: Any) -> int | None:
    """With which number of the whole a part begins, in C order; None if it is not a part in a row, or is on a GPU.

    Complex elements are two numbers. Tables for GPUs do not say it.
    """
    if not is_distributed(param):
        return 0
    module, part = sys.modules["torch.distributed.tensor"], here(param)
    plain = all(type(place) in {module.Shard, module.Replicate} for place in param.placements)
    last = max((dim for _, dim in _dimensions(param)), default=0)
    in_a_row = part.is_contiguous() and param.is_contiguous() and all(size == 1 for size in param.shape[:last])
    if part.device.type != "cpu" or not plain or not in_a_row:
        return None
    if param.device_mesh.get_coordinate() is None:
        return 0  # nothing of it is here
    try:
        place = import_module("torch.distributed.tensor._utils").compute_local_shape_and_global_offset
    except (ImportError, AttributeError):  # it is torch's own, and may be elsewhere in another version
        return None
    _, begins = place(param.shape, param.device_mesh, param.placements)
    element = sum(begin * stride for begin, stride in zip(begins, param.stride(), strict=True))
    return int(element * (1 + param.is_complex()))


def adding_parts(program: Program, params: Mapping[int, Any], *, as_matrices: bool) -> Combine | None:
    """What makes totals of parts those of whole tensors; None if there are no parts, or no totals.

    The parameters that follow the rule come by their numbers, and may be seen as matrices; `refuse_parts` has let them
    pass.
    """
    divided = {k: param for k, param in params.items() if _adds_up(program) and is_distributed(param)}
    parts = {k: (param.dim(), cut) for k, param in divided.items() for cut in _cuts(param)}
    return _Adding(parts, as_matrices=as_matrices) if parts else None


class _Adding:
    """An all-reduce of each total, for each group of processes that has parts."""

    def __init__(self, parts: Mapping[int, tuple[int, Division]], *, as_matrices: bool) -> None:
        self._parts, self._differs = parts, partial(differs, as_matrices=as_matrices)
        self._places: dict[tuple[str, str], list[tuple[Any, Any]]] = {}

    def __call__(self, total: SharedTotal) -> None:
        values, kind = torch.as_tensor(total.values), (total.of, total.over)
        if kind not in self._places:
            self._places[kind] = [(group, torch.as_tensor(its, device=values.device)) for group, its in self._of(total)]
        for group, places in self._places[kind]:
            values[places] = _reduced(values[places], total.how, group)

    def _of(self, total: SharedTotal) -> list[tuple[Any, Any]]:
        """The groups that have parts of a total, each with where its values stand."""
        found: dict[Any, list[Any]] = {}
        for k, (dimensions, cut) in self._parts.items():
            if self._differs(total.of, dimensions, cut.along) and not self._differs(total.over, dimensions, cut.along):
                found.setdefault(cut.group, []).append(np.arange(*total.bounds[k : k + 2]))
        return [(group, np.concatenate(places)) for group, places in found.items()]


def _reduced(values: Any, how: str, group: Any) -> Any:
    """The sum, or the largest, of what all processes of a group have."""
    dist = torch.distributed
    if how == "sum":
        dist.all_reduce(values, dist.ReduceOp.SUM, group=group)
        return values
    unknown = values.isnan()  # of NaN and a number either may be called the larger
    found = torch.stack([values.masked_fill(unknown, -torch.inf), unknown.to(values.dtype)])
    dist.all_reduce(found, dist.ReduceOp.MAX, group=group)
    return found[0].masked_fill(found[1] > 0, torch.nan)


def _adds_up(program: Program) -> bool:
    """Whether a rule makes totals."""
    return any([*(phase.totals for phase in program.phases), *(launch.totals for launch in program.launches)])


def _dimensions(tensor: Any) -> list[tuple[int, int]]:
    """The dimensions of its mesh over which a DTensor is divided, each with that of its own."""
    along = [getattr(place, "dim", None) for place in tensor.placements]
    return [(j, dim) for j, dim in enumerate(along) if dim is not None and tensor.device_mesh.size(j) > 1]


def _cuts(tensor: Any) -> list[Division]:
    return [Division(dim, tensor.device_mesh.get_group(j)) for j, dim in _dimensions(tensor)]


def division(tensor: Any) -> Any:
    """Among whom and how a tensor is divided; None for one that is not."""
    return (tensor.device_mesh, tensor.placements) if is_distributed(tensor) else None


def _described(tensor: Any) -> str:
    if not is_distributed(tensor):
        return "a plain tensor"
    return f"a DTensor of placements [{', '.join(map(repr, tensor.placements))}]"
