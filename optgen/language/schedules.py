"""``Schedule``: the value of a hyperparameter as an equation in t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

from sympy import Expr

from optgen.errors import Location, SpecError
from optgen.language import rules
from optgen.language.caller import caller
from optgen.language.graph import replaced
from optgen.language.spec import InEquations, Let, cut, equations_in
from optgen.language.symbols import Named, Result, State


@dataclass(frozen=True)
class Schedule(InEquations):
    """A value that changes with the step.

    Hyperparameters are found from the equations. One that scales a rate is written in the shared hyperparameter
    ``lr``, so that ``lr`` goes on meaning the full rate where the schedule becomes part of an optimizer.

    Parameters
    ----------
    name : str
        What modules and the command line call it: ``"linear_decay"``.
    value : sympy.Expr or number
        The value at step t = 1, 2, … in t, hyperparameters and the locals of `where`. They are replaced by what they
        stand for: the attribute is in t and hyperparameters alone.
    title : str
        What classes and prose call it: ``"LinearDecay"``, and so on from the name unless given.
    where : sequence of Let
        Equations of locals, in the order in which a reader wants them.
    reference : str
        Where it comes from: paper and equation, or library.
    description : str
        What sets it apart, and where it differs from others of that name.

    Attributes
    ----------
    step : tuple of Let
        The equations as they were written: the locals, and last the value under the schedule's name. What is too large
        or too deep is cut, as in an `Optimizer`.

    Raises
    ------
    SpecError
        If a rule of the language is broken. All that was found is in the message.

    Examples
    --------
    >>> Schedule("inverse_sqrt", lr / sqrt(t))
    """

    name: str
    value: Any
    title: str = ""
    where: InitVar[Sequence[Let]] = ()
    reference: str = ""
    description: str = ""
    step: tuple[Let, ...] = field(init=False, compare=False, repr=False)
    location: Location = field(default_factory=lambda: caller(), compare=False, repr=False)  # noqa: PLW0108 - as in `Optimizer`
    kind: ClassVar[str] = "schedule"
    states: ClassVar[tuple[State, ...]] = ()

    def __post_init__(self, where: Sequence[Let]) -> None:
        where = equations_in("where", where, self.name, self.location, self.kind)
        if not self.title:
            object.__setattr__(self, "title", "".join(word.capitalize() for word in str(self.name).split("_")))
        object.__setattr__(self, "step", cut((*where, Let(Result(str(self.name)), self.value))))
        problems = rules.no_text(reference=self.reference, description=self.description)
        problems = problems or rules.broken(self.name, self.title, self.step, self.kind)
        if problems:
            raise SpecError(problems, str(self.name), self.location, self.kind)
        known: dict[Named, Expr] = {}
        for let in self.equations:
            known[let.target] = replaced(let.value, known)
        object.__setattr__(self, "value", known[self.step[-1].target])
