"""What the numbers were taken on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba

import optgen

PACKAGES = ("numpy", "numba", "torch", "optax", "jax", "deepspeed")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def machine() -> dict[str, Any]:
    """The processor, its caches, and the versions of all that was used, as what JSON can hold."""
    return {
        "cpu": _processor(),
        "cores": numba.config.NUMBA_NUM_THREADS,
        "caches": caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "optgen": optgen.__version__,
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def caches() -> list[dict[str, Any]]:
    """The caches of data, as far as the system says: level, bytes, and whether a core has it to itself."""
    found = []
    for folder in sorted(_CACHES.glob("index*")):
        level, kind, size, shared = (_said(folder / name) for name in ("level", "type", "size", "shared_cpu_list"))
        if kind != "Instruction" and level and size[:-1].isdecimal() and size[-1] in _UNITS:
            size_in_bytes = int(size[:-1]) * _UNITS[size[-1]]
            found.append({"level": int(level), "bytes": size_in_bytes, "own": shared.isdecimal()})
    return found


def memory_left() -> float:
    """Bytes that can be had; as many as one likes where the system does not say."""
    for line in _said(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 2.0**10
    return float("inf")


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
