"""Targets: each prints a kernel for one kind of machine."""

from optgen.targets import cpu, cuda
from optgen.targets.base import Target

TARGETS: dict[str, Target] = {"cpu": cpu.TARGET, "cuda": cuda.TARGET}
"""Every target by the name the command line knows it by."""
