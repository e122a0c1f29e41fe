"""From a rule to the program that computes it on a device: a module that is there, or one that is compiled now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import optgen
from optgen.catalog import found
from optgen.errors import UsageError
from optgen.folders import installed_specs, spec_files
from optgen.runtime.core.program import Program


@dataclass(frozen=True, eq=False)
class Own:
    """A rule of one's own, which is itself and equal to no other."""

    rule: Any  # as a spec has it, or as a module


class Asked(NamedTuple):
    """What a group asks for."""

    name: str  # of a rule
    own: Own | None = None  # the rule itself, if it is one's own
    wrappers: tuple[str, ...] = ()  # what is wrapped around it, the innermost first


@cache
def program_of(rule: Asked, target: str) -> Program:
    """The program that computes a rule on a target; of a module alone there is none for another."""
    own = rule.own and rule.own.rule
    if not rule.wrappers and own is None:
        return _program(import_module(f"optgen.generated.{target}.{rule.name}"))
    if not rule.wrappers and isinstance(own, ModuleType) and _target_of(own) == target:
        return _program(own)
    optimizer = _spec_of(rule.name, own)
    if rule.wrappers:
        wrappers = import_module("optgen.torch.wrappers").WRAPPERS  # with SymPy, which is not needed before
        for name in rule.wrappers:
            optimizer = wrappers[name](optimizer)
    return _program(optgen.compile(optimizer, target))


def _program(module: Any) -> Program:
    program: Program = module.PROGRAM
    return program


def _target_of(module: Any) -> str:
    return "cuda" if module.PROGRAM.launches else "cpu"


def _spec_of(name: str, own: Any) -> Any:
    """The equations of a rule."""
    if own is not None and not isinstance(own, ModuleType):
        return own
    if own is not None:
        what = f"there is only a module of {name}, for {_target_of(own)}"
        raise UsageError(f"{what}: for another device, or maximize, pass the Optimizer that it was made from")
    source, declared = found(name, spec_files(installed_specs()))
    return source.rule(declared.name)
