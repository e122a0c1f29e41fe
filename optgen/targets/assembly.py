"""A module as text: the functions of a step, and around them what all modules have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.loops.printer import CodePrinter
from optgen.targets import beginning, module
from optgen.targets.base import Origin


def assembled(
    optimizer: Optimizer,
    kernel: Kernel,
    origin: Origin,
    *,
    functions: Sequence[str],
    said: Sequence[str],
    home: Mapping[str, str],
    used: set[str],
    arrays: str,
) -> str:
    """The text of a module: of functions, what ``PROGRAM`` says of them, and what its class takes, in words.

    What the functions use, and where that is found, is as `module.imports` has it.
    """
    host = CodePrinter(elementwise=False)
    outside = beginning.functions(optimizer)
    parts = [
        *functions,
        module.initial(optimizer, host),
        *module.derived(optimizer, host),
        *outside,
        module.program(optimizer, kernel, [*said, *beginning.lines(optimizer)]),
        module.step(optimizer),
        module.facade(optimizer, arrays),
    ]
    found = {*used, *host.used, *module.used_outside(outside)}
    head = [module.header(origin), module.docstring(optimizer), *module.numpy(outside), *module.imports(home, found)]
    return module.whole(head, parts)
