"""The symbols of a spec: ``theta``, ``g``, ``t``, states, locals, hyperparameters.

Old and new values are different symbols (``m`` and ``m.next``), and a name given here is the name in the generated
kernel. Every symbol is real and nothing more: with ``positive=True`` SymPy would split square roots and so change the
formula that is compiled.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from itertools import count
from typing import Any, NoReturn

import sympy
from mpmath.libmp import to_str
from sympy import ITE, Add, Basic, Eq, Equivalent, Expr, Float, Function, Ne, Rational, S, Set, Symbol, SympifyError
from sympy.logic.boolalg import Boolean

from optgen.errors import Problem, SpecError
from optgen.language.caller import caller
from optgen.language.decimals import in_decimals
from optgen.language.graph import nodes, rebuilt, replaced
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
            object.__setattr__(symbol, slot, detail)
        return symbol

    def __setattr__(self, name: str, value: Any) -> None:
        # A symbol is shared by all rules that have it. SymPy gives it a name, and keeps what it has found out of it.
        if name != "next" and not name.startswith("_") and hasattr(self, name):
            fix = f"write {self.name} = {self.name}.with_default(…)" if name == "default" else "declare one of your own"
            _refuse(f"`{self.name}.{name} = …` would change it in every rule that has it", fix)
        super().__setattr__(name, value)

    def called(self, name: str) -> Any:
        """The same symbol under another name."""
        return type(self)(name, *self._details())

    def _details(self) -> tuple[Any, ...]:
        return tuple(getattr(self, slot) for slot in type(self).__slots__)

    def _hashable_content(self) -> tuple[Any, ...]:
        # Two hyperparameters of one name and different defaults are different symbols.
        details = (detail if isinstance(detail, Basic) else repr(detail) for detail in self._details())
        return (*super()._hashable_content(), *details)

    def __eq__(self, other: object) -> bool:
        # SymPy's own compares what two symbols are hashed by, which takes a hundred times as long to make.
        if self is other:
            return True
        if not isinstance(other, Named) or type(self) is not type(other):
            return False
        return self.name == other.name and self._details() == other._details()

    __hash__ = Symbol.__hash__

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((self.name, *self._details()), {})

    def __getstate__(self) -> None:
        return None


class Opaque(Function):
    """A function of which SymPy knows nothing; its arguments are expressions, and no text that would be evaluated."""

    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        """What it is of its arguments."""
        try:
            known = [sympy.sympify(value, strict=True) for value in arguments]
        except SympifyError as error:
            fix = "write symbols, numbers and what is made of them, without quotes: from optgen import g"
            _refuse(f"{cls.__name__} is of expressions, not of {error.expr!r}", fix)
        return super().__new__(cls, *known, **options)


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
        return _next_of(self)

    @next.setter  # noqa: A003
    def next(self, value: Any) -> NoReturn:
        """Refuse ``m.next = value``: Python would forget it."""
        del value
        _refuse(f"`{self.name}.next = …` gives Python a value, not the step", f"write Let({self.name}.next, …)")


@lru_cache(maxsize=4096)  # one object, so that it is seen to be the same without a look at what it is made of
def _next_of(symbol: Stateful) -> Next:
    return Next(f"{symbol.name}_next", symbol)  # type: ignore[no-any-return]


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


class Count(Local):
    """A local that counts from 1, as t does: the number of a step within a wrapper that takes some only."""

    __slots__ = ()


class Result(Local):
    """What a schedule gives, under the schedule's name."""

    __slots__ = ()


class Hyper(Named):
    """A hyperparameter: a number the user may change at every step.

    Attributes
    ----------
    default : sympy.Expr
        The value it has unless the user says otherwise: a number, or what others make of it at the first step.
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

    @property
    def usual(self) -> float:
        """The default as a number, others at theirs."""
        return float(self.usual_number)

    @property
    def usual_number(self) -> Any:
        """The same, exactly."""
        try:
            return self.default.xreplace({other: exact(other.usual) for other in self.default.atoms(Hyper)})
        except ZeroDivisionError:  # of a remainder by 0
            return S.NaN

    def with_default(self, default: Any) -> Hyper:
        """The same hyperparameter with another default, for an optimizer that wants one."""
        return hyper(self.name, default, self.domain, self.meaning, self.tex)


UNREADABLE = (SympifyError, TypeError, AttributeError, ValueError)
"""What SymPy raises where it is given what it has no form for."""


def exact(value: Any) -> Any:
    """A SymPy expression in which every float stands for the decimal that was written: 0.1 is one tenth."""
    if isinstance(value, str):
        raise SympifyError(value)  # text would be evaluated, into symbols that no spec has declared
    expression = settled(sympy.sympify(value))
    if not isinstance(expression, Basic):
        return expression
    made: dict[Any, Any] = {}
    for node in nodes(expression):
        if isinstance(node, Float):
            made[node] = _decimal(node)
        elif _is_unsettled(node):
            made[node] = _settled(rebuilt(node, [replaced(x, made) for x in node.args]))
    return in_decimals(replaced(expression, made) if made else expression)


def algebraic(expression: Any) -> Any:
    """An expression for algebra: in real arithmetic, and in symbols of the same names that have SymPy's operators."""
    known = plain(expression)
    return known.xreplace({symbol: Symbol(symbol.name, real=True) for symbol in known.atoms(Named)})


def _is_unsettled(node: Any) -> bool:
    """Whether there is another form of a node for which alone the compiler is made."""
    if isinstance(node, Add):  # one that was built with evaluate=False
        return len({term.as_coeff_Mul()[1] for term in node.args if isinstance(term, Expr)}) < len(node.args)
    if isinstance(node, Eq | Ne):
        return all(isinstance(side, Boolean) and not isinstance(side, Symbol) for side in node.args)
    return isinstance(node, ITE | sympy.Xor | sympy.Implies | Equivalent)


def _settled(node: Any) -> Any:
    """A sum with like terms added up; a condition in comparisons, And, Or and Not."""
    match node:
        case Add():
            return Add(*node.args)
        case ITE():  # SymPy makes one of a comparison with a Piecewise
            condition, one, other = node.args
            return sympy.Or(sympy.And(condition, one), sympy.And(sympy.Not(condition), other))
        case Eq() | Ne():
            same = Equivalent(*node.args)
            return (same if isinstance(node, Eq) else sympy.Not(same)).to_nnf(simplify=False)
    return node.to_nnf(simplify=False)


def _decimal(number: Float) -> Rational:
    """The decimal of fewest digits that is a float of its precision: what was written, in all likelihood."""
    precision = number._prec  # noqa: SLF001 - it has no other name
    if precision == sys.float_info.mant_dig and Float(float(number)) == number:
        return Rational(repr(float(number)))
    texts = (to_str(number._mpf_, digits) for digits in count(1))
    return Rational(next(written for written in texts if Float(written, precision=precision) == number))


def hyper(name: str, default: Any, domain: Set = S.Reals, meaning: str = "", tex: str = "") -> Hyper:
    """Declare a hyperparameter.

    Parameters
    ----------
    name : str
        Its name, a Python identifier.
    default : float or sympy.Expr
        A member of the domain; or an expression in other hyperparameters of the rule: what those are at the first step,
        when an optimizer is made, says what this one is from then on, unless it is given.
    domain : sympy.Set
        An interval, or the integers in one; all real numbers unless given.
    meaning : str
        One line that says what it is.
    tex : str
        How it is typeset; found from the name unless given.
    """
    _require_text(hyper=name, meaning=meaning, tex=tex)
    symbol: Hyper = Hyper(name, _exact_or_refused(default, f"the default of hyper({name!r})"), domain, meaning, tex)
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
    if not isinstance(space, Space) or space is Space.GROUP:
        named = ", ".join(s.name for s in Space if s is not Space.GROUP)
        which = "; a value of each parameter group is kept for its tensors: TENSOR" if space is Space.GROUP else ""
        raise TypeError(f"state({names!r}): expected space to be one of {named}, got {space!r}{which}")
    start = _exact_or_refused(init, f"the init of state({names!r})")
    return _declare("state", names, lambda name: State(name, start, space))


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
    return _declare("local", names, Local)


def _declare(kind: str, names: str, make: Any) -> Any:
    _require_text(**{kind: names})
    symbols = tuple(make(name) for name in names.replace(",", " ").split())
    if not symbols:
        _refuse(f"{kind}({names!r}) names nothing", f'write {kind}("m"), or {kind}("m v") for two')
    return symbols[0] if len(symbols) == 1 else symbols


def _require_text(**given: Any) -> None:
    for what, value in given.items():
        if not isinstance(value, str):
            _refuse(f"{what}: expected text, got {value!r}", 'write it in quotes: "m", or "m v" for the names of two')


def _exact_or_refused(value: Any, what: str) -> Any:
    try:
        return exact(value)
    except UNREADABLE:
        return _refuse(f"{what} is {value!r}, which SymPy cannot read", "write a number or an expression of SymPy")


def _refuse(what: str, fix: str) -> NoReturn:
    raise SpecError([Problem(what, fix)], location=caller())


theta = Theta("theta")
"""The parameters before the step; ``theta.next`` are those after it."""
g = Grad("g")
"""The gradient of the loss at the parameters, as handed to the step."""
t = StepCount("t")
"""The number of the step, 1 at the first."""
