"""The reference: public names by what they are for, each with its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from website.files import Files
from website.gallery import rules, source

import optgen
from optgen import hypers, language
from optgen.errors import UsageError
from optgen.explain.as_html import body
from optgen.explain.page import Heading, Rows, Title, page_of
from optgen.explain.sheet import sheet
from optgen.language.domains import domain_of
from optgen.language.symbols import Hyper
from optgen.language.text import text

SPEC = {
    "Rules": ("Let", "Optimizer", "Schedule", "compile", "lr_range_test"),
    "Symbols": ("theta", "g", "t", "state", "local", "hyper"),
    "Choices, sums and draws": ("Max", "Min", "Piecewise", "InOrder", "normal"),
    "Reductions": (
        *("Norm", "TensorSum", "TensorMean", "TensorMax", "RowSum", "RowMean", "RowMax", "RowNorm"),
        *("ColSum", "ColMean", "ColMax", "ColNorm", "GroupSum", "GroupMean", "GroupMax", "GroupNorm"),
        *("ModelSum", "ModelMean", "ModelMax", "ModelNorm", "finite", "numel", "n_rows", "n_cols"),
    ),
    "Spaces": ("Space",),
    "Errors": ("OptgenError", "SpecError"),
}
"""The names of `optgen`, by what they are for."""
RUNTIME = {
    "Optimizers for CPUs": ("cpu.optimizer.FusedOptimizer",),
    "Optimizers for NVIDIA GPUs": ("cuda.optimizer.FusedOptimizer",),
    "What both have": ("core.optimizer.OptimizerBase",),
    "What a module says of itself": tuple(
        f"core.program.{name}" for name in ("Program", "Params", "Value", "Hyper", "Phase", "Launch")
    ),
    "Schedules": ("core.schedule.ScheduleBase",),
    "One array": ("cpu.single.update_array",),
}
TORCH = ("optimizer", "TorchOptimizer", "release_gradients")
PAGES = ("optgen", "hypers", "wrappers", "claims", "schedules", "runtime", "torch", "language")


def reference() -> Files:
    """A page for each package that one imports from."""
    strays = set(optgen.__all__) - {name for names in SPEC.values() for name in names} - {*optgen.Space.__members__}
    if strays:
        raise UsageError(
            f"{', '.join(sorted(strays))} of optgen: in no part of docs/website/reference.py: name it there"
        )
    yield _page("optgen", "optgen", {part: [f"optgen.{name}" for name in names] for part, names in SPEC.items()})
    for title, home in (("wrappers", "optgen.combinators"), ("claims", "optgen.properties")):
        yield _page(title, home, {"": [f"{home}.{name}" for name in import_module(home).__all__]})
    yield "reference/schedules.md", "\n\n".join(_schedules())
    places = {part: [f"optgen.runtime.{name}" for name in names] for part, names in RUNTIME.items()}
    yield _page("runtime", "optgen.runtime", places)
    yield _page("torch", "optgen.torch", {"": [f"optgen.torch.{name}" for name in TORCH]})
    modules = sorted(f"optgen.language.{each.name}" for each in iter_modules(language.__path__))
    yield _page("language", "optgen.language", {"": modules})
    yield "reference/hypers.md", _hypers()


def _page(title: str, home: str, parts: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """A page: what a package says of itself, then its names."""
    lines = [f"# {home}", *([said] if (said := _first(home)) else [])]
    for part, places in parts.items():
        lines += [f"## {part}"] if part else []
        level = 3 if part else 2
        lines += [f"::: {place}\n    options:\n      heading_level: {level}" for place in places]
    return f"reference/{title}.md", "\n\n".join(lines) + "\n"


def _first(home: str) -> str:
    """What a package says of itself, read without importing it: PyTorch need not be there."""
    spec = find_spec(home)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else ast.Module([], [])
    return re.sub(r"``?([^`]+)``?", r"`\1`", ast.get_docstring(tree) or "")


def _schedules() -> Iterator[str]:
    """The page of the schedules that come with optgen."""
    yield "# optgen.generated.schedules"
    yield _first("optgen.generated.schedules")
    for name, choice in rules("schedule").items():
        title, *blocks = page_of(sheet(*choice))
        assert isinstance(title, Title)
        yield f"## {title.text}\n\n`from optgen.generated.schedules.{name} import {title.text}`"
        yield from [source(title.note)] if title.note else []
        yield from (body([block]) for block in blocks if not isinstance(block, Heading))


def _hypers() -> str:
    """The hyperparameters that rules share."""
    shared = {name: each for name, each in sorted(vars(hypers).items()) if isinstance(each, Hyper)}
    rows = [
        [[name], [f"{h.usual:g}" if h.default.is_number else text(h.default)], [str(domain_of(h))], [h.meaning]]
        for name, h in shared.items()
    ]
    table = body([Rows(("name", "default", "domain", "what it is"), rows, frozenset({1}))])
    return f"# optgen.hypers\n\n{_first('optgen.language.hypers')}\n\n{table}\n"
