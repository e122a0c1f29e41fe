"""The symbols of a spec: ``theta``, ``g``, ``t``, states, locals, hyperparameters.

Old and new values are different symbols (``m`` and ``m.next``), and a name given here is the name in the generated
kernel. Every symbol is real and nothing more: with ``positive=True`` SymPy would split square roots and so change the
formula that is compiled.
"""

from __future__ import annotations

from typing import Any

from sympy import ITE, And, Basic, Float, Not, Or, Rational, S, Set, Symbol, SympifyError, sympify

from optgen.language.graph import nodes, replaced
from optgen.language.spaces import Space
from optgen.language.sums import Written, plain, settled


class Named(Written, Symbol):
    """A named real symbol that knows its space."""

    __slots__: tuple[str, ...] = ()
    space: Any = Space.STEP

    def __new__(cls, name: str, *details: Any) -> Any:
        """A symbol of a name, with a value for each slot of the class."""
        symbol = Symbol.__xnew__(cls, name, real=True)
        for slot, detail in zip(cls.__slots__, details, strict=True):
            setattr(symbol, slot, detail)
        return symbol

    def _details(self) -> tuple[Any, ...]:
        return tuple(getattr(self, slot) for slot in type(self).__slots__)

    def _hashable_content(self) -> tuple[Any, ...]:
        # Two hyperparameters of one name and different defaults are different symbols.
        details = (detail if isinstance(detail, Basic) else repr(detail) for detail in self._details())
        return (*super()._hashable_content(), *details)

    def __eq__(self, other: object) -> bool:
        # SymPy's own compares what two symbols are hashed by, which takes a hundred times as long to make.
        same_name = self is other or (type(self) is type(other) and self.name == other.name)
        return same_name and (self is other or self._details() == other._details())

    __hash__ = Symbol.__hash__

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((self.name, *self._details()), {})

    def __getstate__(self) -> None:
        return None


class Next(Named):
    """The new value of a state or of theta, after the step."""

    __slots__ = ("of",)
    of: Stateful

    @property
    def space(self) -> Space:
        """The space of what it is the new value of."""
        return self.of.space  # type: ignore[no-any-return]


class Stateful(Named):
    """What keeps its value from one step to the next."""

    __slots__ = ()

    @property
    def next(self) -> Next:
        """The symbol of the value after this step."""
        symbol: Next = Next(f"{self.name}_next", self)
        return symbol


class Theta(Stateful):
    """The parameters."""

    __slots__ = ()
    space = Space.ELEM


class State(Stateful):
    """What an optimizer remembers between steps."""

    __slots__ = ("init", "space")


class Grad(Named):
    """The gradient handed to the step."""

    __slots__ = ()
    space = Space.ELEM


class StepCount(Named):
    """The number of the step: 1 at the first."""

    __slots__ = ()


class Local(Named):
    """A value that lives for one step; its space follows from its equation."""

    __slots__ = ()


class Result(Local):
    """What a schedule gives, under the schedule's name."""

    __slots__ = ()


class Hyper(Named):
    """A hyperparameter: a number the user may change at every step.

    Attributes
    ----------
    default : sympy.Expr
        The value it has unless the user says otherwise.
    domain : sympy.Set
        The values it may have.
    meaning : str
        One line for the documentation.
    tex : str
        How it is typeset.
    """

    __slots__ = ("default", "domain", "meaning", "tex")
    default: Any
    domain: Set
    meaning: str
    tex: str

    def with_default(self, default: float) -> Hyper:
        """The same hyperparameter with another default, for an optimizer that wants one."""
        return hyper(self.name, default, self.domain, self.meaning, self.tex)


def exact(value: Any) -> Any:
    """A SymPy expression in which every float stands for the decimal that was written: 0.1 is one tenth."""
    if isinstance(value, str):
        raise SympifyError(value)  # text would be evaluated, into symbols that no spec has declared
    expression = settled(sympify(value))
    if not isinstance(expression, Basic):
        return expression
    made: dict[Any, Any] = {}
    for node in nodes(expression):
        if isinstance(node, Float):
            made[node] = Rational(repr(float(node)))
        elif isinstance(node, ITE):  # what SymPy makes of a comparison with a Piecewise
            condition, yes, no = (replaced(x, made) for x in node.args)
            made[node] = Or(And(condition, yes), And(Not(condition), no))
    return replaced(expression, made) if made else expression


def algebraic(expression: Any) -> Any:
    """An expression for algebra: in real arithmetic, and in symbols of the same names that have SymPy's operators."""
    known = plain(expression)
    return known.xreplace({symbol: Symbol(symbol.name, real=True) for symbol in known.atoms(Named)})


def hyper(name: str, default: float, domain: Set = S.Reals, meaning: str = "", tex: str = "") -> Hyper:
    """Declare a hyperparameter.

    Parameters
    ----------
    name : str
        Its name, a Python identifier.
    default : float
        A member of the domain.
    domain : sympy.Set
        An interval, or the integers in one; all real numbers unless given.
    meaning : str
        One line that says what it is.
    tex : str
        How it is typeset; found from the name unless given.
    """
    symbol: Hyper = Hyper(name, exact(default), domain, meaning, tex)
    return symbol


def state(names: str, *, space: Space = Space.ELEM, init: Any = 0) -> Any:
    """Declare states.

    Parameters
    ----------
    names : str
        One name, or several with spaces between.
    space : Space
        What they vary over.
    init : number or sympy.Expr
        What they hold before the first step: an expression in hyperparameters, theta and the first g.

    Returns
    -------
    State or tuple of State
        One symbol for one name, else a tuple.

    Raises
    ------
    TypeError
        If the space is none.
    """
    if not isinstance(space, Space):
        raise TypeError(
            f"state({names!r}): expected space to be one of {', '.join(s.name for s in Space)}, got {space!r}"
        )
    return _declare(names, lambda name: State(name, exact(init), space))


def local(names: str) -> Any:
    """Declare locals: names for intermediate values.

    Parameters
    ----------
    names : str
        One name, or several with spaces between.

    Returns
    -------
    Local or tuple of Local
        One symbol for one name, else a tuple.
    """
    return _declare(names, Local)


def _declare(names: str, make: Any) -> Any:
    symbols = tuple(make(name) for name in names.replace(",", " ").split())
    return symbols[0] if len(symbols) == 1 else symbols


theta = Theta("theta")
"""The parameters before the step; ``theta.next`` are those after it."""
g = Grad("g")
"""The gradient of the loss at the parameters, as handed to the step."""
t = StepCount("t")
"""The number of the step, 1 at the first."""
