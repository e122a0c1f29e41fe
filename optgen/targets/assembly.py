"""A target whose modules are Python: the functions of a step as text, and around them what all modules have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optgen.ir import Kernel
from optgen.language.spec import Optimizer
from optgen.loops.printer import CodePrinter
from optgen.loops.rounds import Launched, Lowered
from optgen.targets import beginning, module
from optgen.targets.base import Origin
from optgen.targets.python import PythonEmitter


@dataclass(frozen=True, eq=False)
class PythonTarget:
    """A kind of machine for which Numba compiles."""

    name: str
    lowered: Callable[[Kernel], Lowered]
    emitter: type[PythonEmitter]
    said: Callable[[Kernel, tuple[Launched, ...], PythonEmitter], list[str]]  # what ``PROGRAM`` says of the sweeps
    home: Mapping[str, str]  # where modules find what they use; under the empty name, all that is not named
    arrays: str  # what the class takes, in words

    def source(self, optimizer: Optimizer, kernel: Kernel, origin: Origin) -> str:
        """The text of the module for a kernel."""
        slots = zip(kernel.slots[1:], optimizer.slots, strict=True)
        emitter = self.emitter(stored={mine.name: its.name for mine, its in slots if mine.name != its.name})
        lowered, host = self.lowered(kernel), CodePrinter(elementwise=False)
        functions, outside = emitter.functions(lowered.functions), beginning.functions(optimizer)
        said = [*self.said(kernel, lowered.phases, emitter), *beginning.lines(optimizer)]
        parts = [
            *functions,
            module.initial(optimizer, host),
            *module.derived(optimizer, host),
            *outside,
            module.program(optimizer, kernel, said),
            module.step(optimizer),
            module.facade(optimizer, self.arrays),
        ]
        used = {*emitter.used, *host.used, *module.used_outside(outside)}
        imports = [*module.numpy(outside), *module.imports(self.home, used)]
        return module.whole([module.header(origin), module.docstring(optimizer, module.SYMBOLS), *imports], parts)
