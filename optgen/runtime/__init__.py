"""What generated modules import: tables of chunks, launches, argument checks and base classes. No SymPy here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optgen.runtime.core.domain import Domain
    from optgen.runtime.core.program import Array, Hyper, Launch, Params, Phase, Program, Value
    from optgen.runtime.core.schedule import ScheduleBase
    from optgen.runtime.cpu.optimizer import FusedOptimizer
    from optgen.runtime.cpu.single import update_array

_HOME = {
    "core.domain": "Domain",
    "core.program": "Array Hyper Launch Params Phase Program Value",
    "core.schedule": "ScheduleBase",
    "cpu.optimizer": "FusedOptimizer",
    "cpu.single": "update_array",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "Array", "Domain", "FusedOptimizer", "Hyper", "Launch", "Params", "Phase", "Program", "ScheduleBase", "Value",
    "update_array",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Schedules are plain Python, so what needs Numba is imported when it is first used.
    if name in _MODULE_OF:
        return getattr(import_module(f"optgen.runtime.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'optgen.runtime' has no attribute {name!r}")
