"""What a GPU would run: the kernels of a module for GPUs as PTX and as SASS, compiled where there is no GPU.

Numba makes PTX; nvJitLink assembles it, as a driver would, and says what a kernel needs of a multiprocessor; nvdisasm
prints its instructions, which are called SASS.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numba import types

from optgen.errors import UsageError
from optgen.runtime import Program
from optgen.runtime.core.storage import Storage, uniform
from optgen.runtime.cpu.storage import StorageType
from optgen.runtime.cuda import primitives as cuda

Capability = tuple[int, int]
"""A compute capability: ``(9, 0)`` is that of an H100, for which compilers say ``sm_90``."""
_INSTRUCTION = 16
"""Bytes of an instruction, of every GPU that CUDA still compiles for."""
_NEEDS = re.compile(r"used (\d+) registers,.* (\d+) stack,.* (\d+) bytes lmem")
_REMEDY = "pip install 'optgen[cuda]' nvidia-cuda-nvdisasm"


@dataclass(frozen=True)
class Ptx:
    """A kernel as PTX."""

    kernel: str  # its name in the module
    over: str  # what it visits: every ``"element"``, ``"row"``, ``"column"`` or ``"tensor"``, or the ``"model"``
    capability: Capability  # the compute capability that it is for
    dtype: str  # the type of the tensors
    text: str  # the PTX


@dataclass(frozen=True)
class MachineCode:
    """What a GPU would run for one launch."""

    # As in `Ptx`
    kernel: str
    over: str
    capability: Capability
    dtype: str
    registers: int  # what each thread needs of the 65,536 that the threads on a multiprocessor share
    local_bytes: int  # what each thread keeps in local memory, for want of registers or because it is indexed
    shared_bytes: int  # what each block keeps in shared memory, beside what CUDA itself does
    cubin: bytes = field(repr=False)  # the code

    @cached_property
    def sass(self) -> str:
        """Its instructions, and those of the functions that it calls, as text."""
        return _disassembled(self.cubin).strip()


def missing() -> str:
    """What keeps kernels from being compiled here, and what to do about it; nothing if they can be."""
    if cuda.SIMULATED:
        return "Numba simulates GPUs here and compiles nothing for them: unset NUMBA_ENABLE_CUDASIM"
    if not cuda.INSTALLED:
        return f"numba-cuda, which compiles kernels for GPUs, is not installed or incomplete: {_REMEDY}"
    if not _linker_and_nvdisasm()[1]:
        return f"cuda-core, which assembles kernels for GPUs, or nvdisasm, which prints them, is missing: {_REMEDY}"
    return ""


def capability_of(arch: str) -> Capability:
    """The compute capability that compilers call so: ``sm_90`` is ``(9, 0)``; a `UsageError` if they call none so."""
    found = re.fullmatch(r"sm_(\d+)(\d)", arch)
    if not found:
        raise UsageError(f"there is no architecture '{arch}': write, for example, sm_90")
    return int(found[1]), int(found[2])


def ptx(
    program: Program, capability: Capability, dtype: str = "float32", storage: Storage | None = None
) -> Iterator[Ptx]:
    """The kernels of a program for GPUs as PTX, in the order of their launches.

    Elements are computed in the dtype, and stored like that unless it is said how. A `UsageError` says why nothing can
    be compiled here, or not for this capability.
    """
    _require(missing())
    arch, refused = _arch(capability), ""
    for launch in program.launches:
        try:
            text = cuda.ptx(launch.kernel, _signature(program, launch.over, dtype, storage), capability)
        except RuntimeError as error:  # of GPUs that CUDA no longer supports
            text, refused = "", f" ({error})"
        if not re.search(rf"^\.target {arch}\b", text, re.MULTILINE):  # of GPUs that it does not support yet
            raise UsageError(f"the CUDA that is installed does not compile for {arch}{refused}")
        name: str = launch.kernel.py_func.__name__  # type: ignore[attr-defined]
        yield Ptx(name, launch.over, capability, dtype, text)


def assembled(source: Ptx, capability: Capability | None = None) -> MachineCode:
    """A kernel as machine code, for the capability that it was compiled for or for a greater one."""
    _require(missing())
    core, _ = _linker_and_nvdisasm()
    capability = capability or source.capability
    options = core.LinkerOptions(arch=_arch(capability), verbose=True)
    linker = core.Linker(core.ObjectCode.from_ptx(source.text.encode()), options=options)
    cubin = linker.link("cubin").code
    registers, *local = max(tuple(map(int, needs)) for needs in _NEEDS.findall(linker.get_info_log()))
    shared = sum(map(int, re.findall(r"^\..*\.shared .*\[(\d+)\];", source.text, re.MULTILINE)))
    return MachineCode(source.kernel, source.over, capability, source.dtype, registers, max(local), shared, cubin)


def machine_code(program: Program, capability: Capability) -> Iterator[MachineCode]:
    """The machine code of the kernels of a program for float32, in the order of their launches."""
    return map(assembled, ptx(program, capability))


def listings(codes: Sequence[MachineCode]) -> list[str]:
    """The instructions of kernels for one GPU, of each as text: those that `MachineCode.sass` has, without labels.

    They are disassembled in one go, for nvdisasm takes as long to begin as for dozens of kernels.
    """
    if not codes:
        return []
    (capability,) = {code.capability for code in codes}
    found = [_instructions_in(code.cubin) for code in codes]
    text = _disassembled(b"".join(found), "--binary", "SM{}{}".format(*capability))
    lines = re.findall(r"^ +/\*[0-9a-f]{4,}\*/.*", text, re.MULTILINE)
    _, *ends = accumulate((len(each) // _INSTRUCTION for each in found), initial=0)
    return ["\n".join(lines[end - len(each) // _INSTRUCTION : end]) for each, end in zip(found, ends, strict=True)]


def _disassembled(code: bytes, *options: str) -> str:
    """What nvdisasm prints of a file."""
    _require(missing())
    _, nvdisasm = _linker_and_nvdisasm()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(code)
        command = [str(nvdisasm), "--no-dataflow", "--print-code", *options, str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _instructions_in(cubin: bytes) -> bytes:
    """Those of a kernel and of the functions that it calls: what the sections of an ELF file have that say so."""
    (start,) = struct.unpack_from("<Q", cubin, 0x28)
    size, number, of_names = struct.unpack_from("<3H", cubin, 0x3A)
    sections = [struct.unpack_from("<I20xQQ", cubin, start + size * k) for k in range(number)]  # name, where, how long
    names = sections[of_names][1]
    return b"".join(cubin[at : at + n] for name, at, n in sections if cubin.startswith(b".text.", names + name))


def _signature(program: Program, over: str, dtype: str, storage: Storage | None) -> tuple[Any, ...]:
    """The types of the arguments of a kernel of a program, as Numba names them."""
    integers, numbers = types.int64[::1], types.float64[::1]
    if over != "element":
        return integers, types.float64[:, ::1], numbers
    table, scalars = types.int64[:, ::1], getattr(types, np.dtype(dtype).name)[:, ::1]
    keys = (types.uint64[:, ::1],) if program.seeds else ()
    handed = StorageType(storage or uniform(program.slots, dtype))
    return table, table, handed, scalars, *keys, *((integers, numbers) if program.has_reduced else ())


def _require(what: str) -> None:
    if what:
        raise UsageError(what)


def _arch(capability: Capability) -> str:
    """What compilers call it: ``(9, 0)`` is ``sm_90``."""
    return "sm_{}{}".format(*capability)


def _linker_and_nvdisasm() -> tuple[Any, str | None]:
    """The module that assembles PTX, and the path of nvdisasm; None for what is not installed."""
    try:
        from cuda import core, pathfinder  # noqa: PLC0415 an extra
    except ImportError:
        return None, None
    return core, pathfinder.find_nvidia_binary_utility("nvdisasm") or shutil.which("nvdisasm")
