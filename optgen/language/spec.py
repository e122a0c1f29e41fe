"""``Let`` and ``Optimizer``: an update rule as a tuple of equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from sympy import Basic, Expr

from optgen.errors import Location, Problem, SpecError
from optgen.language import latex, rules
from optgen.language.caller import caller
from optgen.language.folded import refuse_folded
from optgen.language.grammar import shortened
from optgen.language.noise import normal
from optgen.language.order import walk
from optgen.language.parts import in_parts
from optgen.language.properties import Claim, misclaimed
from optgen.language.spaces import Space
from optgen.language.symbols import UNREADABLE, Hyper, Named, State, Stateful, exact, g, theta
from optgen.language.text import text


@dataclass(frozen=True)
class Let:
    """One equation: the value of a local, or the new value of a state or of theta.

    SymPy's ``Eq`` will not do: it folds to ``True`` or ``False`` where it can.

    Parameters
    ----------
    target : sympy.Symbol
        A local, ``state.next`` or ``theta.next``.
    value : sympy.Expr or number
        The right-hand side. A float stands for the decimal that was written: 0.1 is one tenth.
    """

    target: Any
    value: Any

    def __post_init__(self) -> None:
        refuse_folded()
        try:
            object.__setattr__(self, "value", exact(self.value))
        except UNREADABLE:
            fix = "build the right-hand side from the symbols of the spec, numbers and SymPy functions"
            what = f"the value of `{_named(self.target)}` is {self.value!r}, which SymPy cannot read"
            raise SpecError([Problem(what, fix)], location=caller()) from None

    def __str__(self) -> str:
        return f"{_named(self.target)} = {text(self.value)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex.tex(self.target)} = {latex.tex(self.value)}$"


class InEquations:
    """What optimizers and schedules have in common: what follows from their equations."""

    step: tuple[Let, ...]

    @cached_property
    def equations(self) -> tuple[Let, ...]:
        """The equations in an order in which they can be computed, else the author's."""
        return rules.in_order(self.step)

    @cached_property
    def hypers(self) -> tuple[Hyper, ...]:
        """The hyperparameters: the learning rate, then the others in order of first appearance."""
        found: list[Hyper] = self._first_seen(Hyper)
        return tuple(sorted(found, key=lambda symbol: symbol.name != "lr"))

    def _first_seen(self, kind: type[Named]) -> list[Any]:
        expressions: list[Expr] = [side for let in self.step for side in (let.target, let.value)]
        nodes = [node for expression in expressions for node in walk(expression)]
        symbols = [getattr(node, "of", node) for node in nodes]
        inits = [node for symbol in symbols if isinstance(symbol, State) for node in walk(symbol.init)]
        return list(dict.fromkeys(symbol for symbol in [*symbols, *inits] if isinstance(symbol, kind)))

    def __str__(self) -> str:
        return "\n".join(map(str, self.step))

    def _repr_latex_(self) -> str:
        pairs = [(let.target, let.value) for let in self.step]
        return f"$\\displaystyle {latex.aligned(pairs)}$"


@dataclass(frozen=True)
class Optimizer(InEquations):
    """An update rule.

    Hyperparameters, states and locals are found from the equations; nothing is listed twice. The rules of the
    language are checked here, so that an `Optimizer` that exists is one that means something.

    Parameters
    ----------
    name : str
        What modules and the command line call it: ``"adamw"``.
    title : str
        What classes and prose call it: ``"AdamW"``.
    step : tuple of Let
        The equations, in the order in which a reader wants them. One that says the same over and over, or is nested
        deeper than `DEEPEST`, is cut into locals ``part0``, ``part1`` and so on.
    reference : str
        Where the rule comes from: paper and equation, or library.
    description : str
        What sets this rule, or this form of it, apart; goes into the docstring.
    properties : tuple of Claim
        What is claimed of it beyond the equations, for `optgen verify`.
    evaluation : sympy.Expr
        What to evaluate the model with, in theta and states as they are after a step: an average, say. theta itself
        unless given.

    Raises
    ------
    SpecError
        If a rule of the language is broken. All that was found is in the message.
    """

    kind: ClassVar[str] = "optimizer"
    name: str
    title: str
    step: tuple[Let, ...]
    reference: str = ""
    description: str = ""
    # Two optimizers with the same equations are the same, whatever is claimed of them.
    properties: tuple[Claim, ...] = field(default=(), compare=False, repr=False)
    evaluation: Any = theta
    location: Location = field(default_factory=lambda: caller(), compare=False, repr=False)  # noqa: PLW0108 - defined below

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", equations_in("step", self.step, self.name, self.location, self.kind))
        if isinstance(self.properties, Claim) or not isinstance(self.properties, Iterable):
            problem = Problem(
                f"properties is {self.properties!r}, no tuple of claims", "write properties=(Bounded(…),)"
            )
            raise SpecError([problem], str(self.name), self.location)
        object.__setattr__(self, "properties", tuple(self.properties))
        object.__setattr__(self, "step", cut(self.step))
        if isinstance(self.evaluation, Expr):
            object.__setattr__(self, "evaluation", exact(self.evaluation))
        problems = rules.no_text(reference=self.reference, description=self.description)
        problems = problems or rules.broken(self.name, self.title, self.step)
        problems = problems or rules.cannot_evaluate(self.step, self.evaluation) or misclaimed(self)
        if problems:
            raise SpecError(problems, str(self.name), self.location)

    @cached_property
    def spaces(self) -> Mapping[Named, Space]:
        """The space of every target."""
        return rules.spaces(self.equations)

    @cached_property
    def states(self) -> tuple[State, ...]:
        """The states in order of first appearance."""
        return tuple(symbol.of if not isinstance(symbol, State) else symbol for symbol in self._first_seen(State))

    @property
    def slots(self) -> tuple[State, ...]:
        """The states that are as large as theta: one value an element."""
        return tuple(state for state in self.states if state.space is Space.ELEM)

    @property
    def reduced_states(self) -> tuple[State, ...]:
        """The states that are one value a row, a column, a tensor or a model: float64, known where elements are."""
        return tuple(state for state in self.states if state.space not in (Space.STEP, Space.ELEM))

    @property
    def numbers(self) -> tuple[State, ...]:
        """The states that are one number for the whole model, kept on the host in float64."""
        return tuple(state for state in self.states if state.space is Space.STEP)

    @property
    def late(self) -> tuple[State, ...]:
        """The states that start from something made of the first gradient."""
        return tuple(state for state in self.states if state.init.has(g))

    @property
    def begun(self) -> tuple[State, ...]:
        """The states that start from something made of theta, no mere copy, and not of the first gradient."""
        made = (state for state in self.states if state.init.has(theta) and not state.init.has(g))
        return tuple(state for state in made if state.init != theta)

    def values(self, given: Mapping[str, float] | None = None) -> dict[str, float]:
        """Every hyperparameter by name: as given, else its default, which may follow from what others are."""
        chosen = dict(given or {})
        known = self._usual | chosen
        following = [symbol for symbol in self.hypers if not symbol.default.is_number and symbol.name not in chosen]
        if following:
            numbers = {symbol: exact(known[symbol.name]) for symbol in self.hypers if symbol.default.is_number}
            known |= {symbol.name: float(symbol.default.xreplace(numbers)) for symbol in following}
        return known

    @cached_property
    def _usual(self) -> dict[str, float]:
        return {symbol.name: symbol.usual for symbol in self.hypers}

    @cached_property
    def draws(self) -> tuple[normal, ...]:
        """What it draws, in order of first appearance."""
        nodes = [node for let in self.step for node in walk(let.value)]
        return tuple(dict.fromkeys(node for node in nodes if isinstance(node, normal)))


def equations_in(argument: str, given: Any, name: Any, location: Location, kind: str) -> tuple[Let, ...]:
    """What was given for the equations of a rule, if it has an order; what they are is for the language to see."""
    if isinstance(given, Let):
        problem = Problem(
            f"{argument} is one Let, not a tuple", f"write a comma after it: {argument}=(Let(…),)", str(given)
        )
    elif isinstance(given, str | bytes | Mapping | Set | Basic) or not isinstance(given, Iterable):
        what = f"{argument} is {shortened(given)}, no tuple of equations"
        problem = Problem(what, f"write {argument}=(Let(…), Let(…)): a value is given by Let(target, value)")
    else:
        return tuple(given)
    raise SpecError([problem], str(name), location, kind)


def cut(step: tuple[Let, ...]) -> tuple[Let, ...]:
    """Equations with those in parts that are too large; what is no equation is for the rules of the language to see."""
    if not all(isinstance(let, Let) and isinstance(let.value, Basic) for let in step):
        return step
    equations = in_parts([(let.target, let.value) for let in step])
    return tuple(Let(*equation) for equation in equations) if len(equations) > len(step) else step


def aligned(step: Sequence[Let]) -> list[str]:
    """Equations as lines of text whose equality signs stand below each other."""
    width = max(len(text(let.target)) for let in step)
    return [f"{text(let.target):{width}} = {text(let.value)}" for let in step]


def _named(target: Any) -> str:
    return text(target) if isinstance(target, Named) else str(target)


def assigned(let: Let) -> Stateful | None:
    """The state, or theta, whose new value an equation gives; None for a local."""
    return getattr(let.target, "of", None)
