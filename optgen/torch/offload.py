"""``offload``: what is kept of parameters lies in the memory of the host, and steps run there."""

from __future__ import annotations

from itertools import chain
from typing import TypeVar

from optgen.torch.base import TorchOptimizer
from optgen.torch.sharded import is_distributed

T = TypeVar("T", bound=TorchOptimizer)


def offload(optimizer: T) -> T:
    """Let what an optimizer keeps lie in the memory of the host, and let it step there.

    The device holds no more than the parameters, of 16 bits say, and their gradients. A step fetches the gradients,
    runs the kernels for CPUs on a twin of each parameter, and sends the twins back; weights of 32 bits beside them
    (``master=True``) are rounded to those of 16 in the same sweep. ZeRO-Offload does so (Ren et al. 2021,
    arXiv:2101.06840).

    Parameters
    ----------
    optimizer : TorchOptimizer
        Of any rule, before its first step or after; its parameters may be on any device that PyTorch has.

    Returns
    -------
    TorchOptimizer
        The same. Schedulers, state dicts, `release_gradients` and all else work as ever.

    Raises
    ------
    ValueError
        If a parameter is a DTensor, for which ``fully_shard`` has a policy of its own.
    """
    params = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    for k, param in enumerate(params):
        if is_distributed(param):
            what = (
                "expected a plain tensor, got a DTensor; fully_shard(..., offload_policy=CPUOffloadPolicy()) does this"
            )
            raise ValueError(f"offload: params[{k}]: {what}")
    optimizer.steps_on_host = True
    return optimizer
