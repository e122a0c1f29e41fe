"""What generated modules import: tables of chunks, launches, argument checks and base classes. No SymPy here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optgen.runtime.domain import Domain
    from optgen.runtime.optimizer import FusedOptimizer
    from optgen.runtime.program import Array, Hyper, Launch, Params, Phase, Program, Value
    from optgen.runtime.schedule import ScheduleBase
    from optgen.runtime.single import update_array

_HOME = {
    "Array": "program",
    "Domain": "domain",
    "FusedOptimizer": "optimizer",
    "Hyper": "program",
    "Launch": "program",
    "Params": "program",
    "Phase": "program",
    "Program": "program",
    "ScheduleBase": "schedule",
    "Value": "program",
    "update_array": "single",
}

__all__ = [
    "Array",
    "Domain",
    "FusedOptimizer",
    "Hyper",
    "Launch",
    "Params",
    "Phase",
    "Program",
    "ScheduleBase",
    "Value",
    "update_array",
]


def __getattr__(name: str) -> Any:
    # Schedules are plain Python, so what needs Numba is imported when it is first used.
    if name in _HOME:
        return getattr(import_module(f"optgen.runtime.{_HOME[name]}"), name)
    raise AttributeError(f"module 'optgen.runtime' has no attribute {name!r}")
