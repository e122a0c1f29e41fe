"""The class of each rule, made when it is first asked for."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from inspect import Parameter, Signature, cleandoc
from types import ModuleType
from typing import Any

from optgen.errors import UsageError
from optgen.folders import installed_generated
from optgen.runtime.core.program import OPTIONS
from optgen.torch.asked import Asked, Own
from optgen.torch.base import TorchOptimizer
from optgen.torch.families import FAMILIES, theirs

_CLASS = re.compile(r"^class (\w+)\(FusedOptimizer\)", re.MULTILINE)


@cache
def modules() -> dict[str, str]:
    """The modules that come with optgen, by the names of their classes in lower case."""
    folder = installed_generated() / "cpu"
    return {path.stem.replace("_", ""): path.stem for path in folder.glob("*.py") if path.stem != "__init__"}


def titles() -> list[str]:
    """The names of all classes."""
    folder = installed_generated() / "cpu"
    found = [_CLASS.search((folder / f"{name}.py").read_text(encoding="utf-8")) for name in modules().values()]
    return sorted({match[1] for match in found if match} | {name for name in FAMILIES if theirs(name)})


@cache
def class_named(title: str) -> type[TorchOptimizer] | None:
    """The class of a name; None if there is none."""
    if title in FAMILIES and theirs(title):
        its = theirs(title)
        first = (its.__doc__ or "").strip().partition("\n")[0]
        return _made(title, "optgen.torch", f"torch.optim.{title}, fused. {first}", family=FAMILIES[title])
    name = modules().get(title.lower())
    if name is None:
        return None
    module = import_module(f"optgen.generated.cpu.{name}")
    kind = getattr(module, title, None)
    return kind and _made(title, "optgen.torch", cleandoc(kind.__doc__ or ""), rule=Asked(name))


def no_such_class(title: str) -> str:
    """What to say where there is no class of a name."""
    near = get_close_matches(title.lower(), [name.lower() for name in titles()], n=3, cutoff=0.6)
    meant = [name for name in titles() if name.lower() in near]
    hint = f"did you mean {' or '.join(meant)}?" if meant else "dir(optgen.torch) has all names"
    return f"module 'optgen.torch' has no optimizer {title!r}: {hint}"


def class_of(rule: Any) -> type[TorchOptimizer]:
    """The class of a rule of one's own: an `Optimizer`, a module, or a name."""
    if isinstance(rule, str):
        found = class_named(rule) or class_named(_title_of(rule))
        if found is None:
            raise UsageError(no_such_class(rule))
        return found
    if type(rule).__module__.startswith("optgen.language"):  # an Optimizer; to ask would import SymPy
        return _made(rule.title, __name__, f"{rule.title}.", rule=Asked(rule.name, Own(rule)))
    if isinstance(rule, ModuleType) and hasattr(rule, "PROGRAM"):
        (title,) = [name for name, kind in vars(rule).items() if getattr(kind, "program", None) is rule.PROGRAM]
        text = cleandoc(getattr(rule, title).__doc__ or "")
        return _made(title, __name__, text, rule=Asked(rule.PROGRAM.name, Own(rule)))
    kind = type(rule).__name__
    raise TypeError(f"expected an Optimizer, a module of one or the name of one that comes with optgen, got {kind}")


def _title_of(name: str) -> str:
    """The title of a rule that comes with optgen."""
    path = installed_generated() / "cpu" / f"{name}.py"
    match = _CLASS.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    return match[1] if match else ""


def _made(title: str, module: str, text: str, **attributes: Any) -> type[TorchOptimizer]:
    made: Any = type(title, (TorchOptimizer,), {"__module__": module, "__doc__": text, **attributes})
    its = made._signature()  # noqa: SLF001 - of this package
    own = Parameter.KEYWORD_ONLY
    flags = dict.fromkeys(("master", "kahan", "as_matrices"), False)
    options = {"store": None, "rounding": "nearest", "rounding_seed": 0, **flags}
    assert tuple(options) == OPTIONS, "all are shown"
    made.__signature__ = Signature(
        [
            Parameter("params", Parameter.POSITIONAL_OR_KEYWORD),
            *its.parameters.values(),
            *(Parameter(name, own, default=default) for name, default in options.items()),
        ]
    )
    return made  # type: ignore[no-any-return]
