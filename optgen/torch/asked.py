"""From a rule to the program that computes it on a device: a module that is there, or one that is compiled now."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import optgen
from optgen.catalog import found
from optgen.errors import UsageError
from optgen.folders import installed_specs, spec_files
from optgen.runtime.core.program import Program


class Asked(NamedTuple):
    """What a group asks for.

    Parameters
    ----------
    name : str
        Of a rule.
    given : Optimizer or module, optional
        The rule itself, if it is one's own: as a spec has it, or as a module.
    wrappers : tuple of str
        What is wrapped around it, the innermost first.
    """

    name: str
    given: Any = None
    wrappers: tuple[str, ...] = ()


@cache
def program_of(rule: Asked, target: str) -> Program:
    """The program that computes a rule.

    Parameters
    ----------
    rule : Asked
        Which.
    target : str
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    UsageError
        If there is only a module of it, and that is for something else.
    """
    if not rule.wrappers and rule.given is None:
        return _program(import_module(f"optgen.generated.{target}.{rule.name}"))
    if not rule.wrappers and isinstance(rule.given, ModuleType) and _target_of(rule.given) == target:
        return _program(rule.given)
    optimizer = _spec_of(rule)
    wrappers = import_module("optgen.torch.wrappers").WRAPPERS  # with SymPy, which is not needed before
    for name in rule.wrappers:
        optimizer = wrappers[name](optimizer)
    return _program(optgen.compile(optimizer, target))


def _program(module: Any) -> Program:
    program: Program = module.PROGRAM
    return program


def _target_of(module: Any) -> str:
    return "cuda" if module.PROGRAM.launches else "cpu"


def _spec_of(rule: Asked) -> Any:
    """The equations of a rule."""
    if rule.given is not None and not isinstance(rule.given, ModuleType):
        return rule.given
    if rule.given is not None:
        what = f"there is only a module of {rule.name}, for {_target_of(rule.given)}"
        raise UsageError(f"{what}: for another device, or maximize, pass the Optimizer that it was made from")
    source, declared = found(rule.name, spec_files(installed_specs()))
    return source.rule(declared.name)
