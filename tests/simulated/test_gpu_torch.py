"""Tensors of PyTorch through the kernels for GPUs, which the simulator runs on tensors of the CPU."""

from importlib import import_module

import numpy as np
import pytest

SHAPES = ((3, 4), (5,), (), (0, 3), (70, 3))


@pytest.fixture(params=["whole", "parts"])
def divided(request):
    """What makes a parameter, or the last of four processes' part of one; there is no other process."""
    torch = pytest.importorskip("torch")
    if request.param == "whole":
        yield lambda whole: whole
        return
    fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    tensor = import_module("torch.distributed.tensor")
    torch.distributed.init_process_group("fake", store=fake.FakeStore(), rank=3, world_size=4)
    mesh = import_module("torch.distributed.device_mesh").init_device_mesh("cpu", (4,))

    def part(whole):
        if not whole.dim():
            return whole
        mine, like = whole.chunk(4)[3:], {"shape": whole.shape, "stride": whole.stride()}
        return tensor.DTensor.from_local(mine[0] if mine else whole[:0], mesh, [tensor.Shard(0)], **like)

    yield part
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["adamw", "adafactor", "ema_clip_global_norm_adamw", "swats", "nadam"])
def test_a_rule_does_what_it_does_on_a_cpu(name, divided):
    torch = pytest.importorskip("torch")
    asked, gpu, share, spelling = (
        import_module(f"optgen.torch.{part}") for part in ("asked", "gpu", "share", "spelling")
    )
    storage = import_module("optgen.runtime.core.storage")
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape) for shape in SHAPES]
    found = []
    for kind, target in ((share.Share, "cpu"), (gpu.GpuShare, "cuda")):
        program = asked.program_of(asked.Asked(name), target)
        params = [torch.nn.Parameter(divided(torch.from_numpy(start.copy()))) for start in starts]
        model = share.Trained(params, [0] * len(params), {param: {} for param in params})
        hypers = [dict(program.at(1, program.completed({})))]
        mine = kind(program, storage.wanted(program), spelling.Spelling(name), model, range(len(params)), hypers=hypers)
        rng = np.random.default_rng(1)
        for t in range(1, 6):
            for k, param in enumerate(params):
                grad = divided(torch.from_numpy(rng.normal(size=param.shape)))
                param.grad = None if (k, t) == (1, 3) and name != "swats" else grad
            absent = frozenset(k for k, param in enumerate(params) if param.grad is None)
            starts_of_grads = np.array([0 if k in absent else -1 for k in range(len(params))])
            with torch.no_grad():
                for call in mine.calls(starts_of_grads, absent, hypers, t):
                    call()
        found.append([share.here(param.detach()).numpy() for param in params])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
