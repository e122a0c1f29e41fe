"""What a GPU would run: the kernels of a module for GPUs as PTX and as SASS, compiled where there is no GPU.

Numba makes PTX; nvJitLink assembles it into a cubin, as a driver would; nvdisasm prints its instructions, which are
called SASS, and what it needs of a multiprocessor.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numba import types

from optgen.errors import UsageError
from optgen.runtime import Program, cuda

Capability = tuple[int, int]
"""A compute capability: ``(9, 0)`` is that of an H100, for which one compiles to ``sm_90``."""
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@\S+\s+)?([A-Z][\w.]*)")
_FLOAT64 = re.compile(r"D(ADD|FMA|MMA|MNMX|MUL|SETP)\b|.*(\.F64|64H)\b")
_REMEDY = "pip install 'optgen[cuda]' nvidia-cuda-nvdisasm"


@dataclass(frozen=True)
class MachineCode:
    """What a GPU would run for one launch.

    Parameters
    ----------
    kernel : str
        Its name in the module.
    over : str
        What it visits: every ``"element"``, ``"row"``, ``"column"`` or ``"tensor"``, or the ``"group"``.
    capability : tuple of int
        The compute capability that it is for.
    dtype : str
        The type of the tensors.
    registers : int
        What each thread needs of the 65,536 that the threads on a multiprocessor share.
    local_bytes : int
        What each thread keeps in local memory, as the linker says.
    shared_bytes : int
        What each block keeps in shared memory, beside what CUDA itself does.
    instructions : Counter
        How often each instruction occurs, by its name with all modifiers.
    sass : str
        Its code, and that of the functions that it calls, as text.
    """

    kernel: str
    over: str
    capability: Capability
    dtype: str
    registers: int
    local_bytes: int
    shared_bytes: int
    instructions: Counter[str]
    sass: str

    @property
    def loads(self) -> int:
        """Instructions that load 128 bits from global memory."""
        return self._count(r"LDG\.E\.(.+\.)?128\b")

    @property
    def stores(self) -> int:
        """Instructions that store 128 bits to global memory."""
        return self._count(r"STG\.E\.(.+\.)?128\b")

    @property
    def spills(self) -> int:
        """Instructions that load from local memory or store to it."""
        return self._count(r"(LDL|STL)\b")

    @property
    def float64(self) -> Counter[str]:
        """Instructions that compute in float64, compare, or convert to it or from it."""
        return Counter({name: n for name, n in self.instructions.items() if _FLOAT64.match(name)})

    def _count(self, pattern: str) -> int:
        return sum(n for name, n in self.instructions.items() if re.match(pattern, name))


def missing(*, disassembler: bool = True) -> str:
    """What keeps kernels from being compiled here, and what to do about it; nothing if they can be.

    Parameters
    ----------
    disassembler : bool
        Whether more than PTX is wanted.
    """
    if cuda.SIMULATED:
        return "Numba simulates GPUs here and compiles nothing for them: unset NUMBA_ENABLE_CUDASIM"
    if not cuda.INSTALLED:
        return f"numba-cuda, which compiles kernels for GPUs, is not installed or incomplete: {_REMEDY}"
    if disassembler and not _linker_and_nvdisasm()[1]:
        return f"nvdisasm, which prints machine code of GPUs, or cuda-core is not installed: {_REMEDY}"
    return ""


def signature(program: Program, over: str, dtype: str) -> tuple[Any, ...]:
    """The types of the arguments of a kernel of a program, as Numba names them."""
    integers, numbers = types.int64[::1], types.float64[::1]
    if over != "element":
        return integers, numbers, numbers
    table, scalars = types.int64[:, ::1], getattr(types, np.dtype(dtype).name)[::1]
    keys = (types.uint64[::1],) if program.seeds else ()
    has_small = bool(program.small_states or program.values or len(program.launches) > 1)
    return table, table, scalars, *keys, *((integers, numbers) if has_small else ())


def ptx(program: Program, capability: Capability, dtype: str = "float32") -> Iterator[tuple[str, str, str]]:
    """The kernels of a program as PTX, in the order of their launches.

    Parameters
    ----------
    program : Program
        That of a module for GPUs.
    capability : tuple of int
        The compute capability to compile for.
    dtype : str
        The type of the tensors.

    Yields
    ------
    tuple of str
        The kernel's name, what it visits, and its PTX.

    Raises
    ------
    UsageError
        If nothing can be compiled here, or not for this capability.
    """
    _require(missing(disassembler=False))
    arch, refused = _arch(capability), ""
    for launch in program.launches:
        try:
            text = cuda.ptx(launch.kernel, signature(program, launch.over, dtype), capability)
        except RuntimeError as error:  # of GPUs that CUDA no longer supports
            text, refused = "", f" ({error})"
        if not re.search(rf"^\.target {arch}\b", text, re.MULTILINE):  # of GPUs that it does not support yet
            raise UsageError(f"the CUDA that is installed does not compile for {arch}{refused}")
        yield launch.kernel.py_func.__name__, launch.over, text  # type: ignore[attr-defined]


def machine_code(program: Program, capability: Capability, dtype: str = "float32") -> Iterator[MachineCode]:
    """The machine code of the kernels of a program, in the order of their launches.

    Parameters
    ----------
    program : Program
        That of a module for GPUs.
    capability : tuple of int
        The compute capability to compile for.
    dtype : str
        The type of the tensors.

    Yields
    ------
    MachineCode
        For each launch.

    Raises
    ------
    UsageError
        If nothing can be compiled here, or not for this capability.
    """
    _require(missing())
    for kernel, over, text in ptx(program, capability, dtype):
        printed = _disassembled(text, _arch(capability))
        name = re.findall(r"^\.visible \.entry (\w+)", text, re.MULTILINE)[0]
        sass = "\n".join(_code(printed))
        yield MachineCode(
            kernel,
            over,
            capability,
            dtype,
            registers=_attribute(printed, "REGCOUNT", name),
            local_bytes=max(_attribute(printed, kind, name) for kind in ("FRAME_SIZE", "MIN_STACK_SIZE")),
            shared_bytes=sum(map(int, re.findall(r"^\..*\.shared .*\[(\d+)\];", text, re.MULTILINE))),
            instructions=Counter(_INSTRUCTION.findall(sass)),
            sass=sass,
        )


def _require(what: str) -> None:
    if what:
        raise UsageError(what)


def _arch(capability: Capability) -> str:
    """What compilers call it: ``(9, 0)`` is ``sm_90``."""
    return "sm_{}{}".format(*capability)


def capability_of(arch: str) -> Capability:
    """The compute capability that compilers call so.

    Raises
    ------
    UsageError
        If they call none so.
    """
    found = re.fullmatch(r"sm_(\d+)(\d)", arch)
    if not found:
        raise UsageError(f"there is no architecture '{arch}': write, for example, sm_90")
    return int(found[1]), int(found[2])


def _linker_and_nvdisasm() -> tuple[Any, str | None]:
    """The module that assembles PTX, and the path of nvdisasm; None for what is not installed."""
    try:
        from cuda import core, pathfinder  # noqa: PLC0415 an extra
    except ImportError:
        return None, None
    return core, pathfinder.find_nvidia_binary_utility("nvdisasm") or shutil.which("nvdisasm")


def _disassembled(text: str, arch: str) -> str:
    """What nvdisasm prints of a kernel in PTX: its code, and what the linker says of it."""
    core, nvdisasm = _linker_and_nvdisasm()
    assert nvdisasm is not None
    code = core.ObjectCode.from_ptx(text.encode())
    cubin = core.Linker(code, options=core.LinkerOptions(arch=arch)).link("cubin")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin.code)
        command = [nvdisasm, "--no-dataflow", str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _attribute(printed: str, kind: str, name: str) -> int:
    """What the linker says of a kernel: the numbers of ``EIATTR_REGCOUNT`` and its like follow their symbols."""
    each = rf"nvinfo : EIATTR_{kind}\n(?:(?!nvinfo).)*?index@\({name}\)\s+/\*\w+\*/\s+\.word\s+(0x\w+)"
    return int(re.findall(each, printed, re.DOTALL)[0], 16)


def _code(printed: str) -> Iterator[str]:
    """The lines of the sections with code, the kernel after what it calls."""
    is_code = False
    for line in printed.splitlines():
        if line.startswith("//------"):
            is_code = " .text." in line
        if is_code and line.strip():
            yield line
